"""The grid: half-voxel exactness, there and back, and left stays left."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import turn
from scipy import ndimage

from adclip.config import M3D_CLIP, SMALL
from adclip.domain import InputContract, SourceGrid, Volume
from adclip.imaging.steps.grid import from_model_grid, from_model_order, to_grid, to_model_order

CONTRACT = SMALL.contract


def blob(affine: np.ndarray, shape: tuple[int, int, int], center_mm: tuple[float, ...], sigma: float) -> np.ndarray:
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    mm = grid @ affine[:3, :3].T + affine[:3, 3]
    return np.exp(-((mm - np.array(center_mm)) ** 2).sum(axis=-1) / (2 * sigma**2)).astype(np.float32)


def center_of(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ np.array(ndimage.center_of_mass(array.astype(np.float64))) + affine[:3, 3]


def test_left_stays_left() -> None:
    xyz = np.zeros(CONTRACT.shape_xyz, np.float32)
    affine = CONTRACT.affine_xyz
    left_front_low = np.rint(np.linalg.inv(affine) @ [-40, 30, -30, 1])[:3].astype(int)
    xyz[tuple(left_front_low)] = 1
    d, h, w = np.argwhere(to_model_order(xyz))[0]
    size_d, size_h, size_w = CONTRACT.shape
    assert d < size_d / 2  # inferior comes first
    assert h < size_h / 2  # anterior comes first
    assert w > size_w / 2  # patient right comes first, so left is late
    np.testing.assert_array_equal(from_model_order(to_model_order(xyz)), xyz)


def test_model_order_keeps_leading_axes() -> None:
    array = np.random.default_rng(0).random((2, 3, 4, 5, 6))
    np.testing.assert_array_equal(to_model_order(array)[1, 2], to_model_order(array[1, 2]))
    np.testing.assert_array_equal(from_model_order(to_model_order(array)), array)


@pytest.mark.parametrize("contract", [CONTRACT, M3D_CLIP.contract], ids=["small", "m3d"])
def test_resampling_is_exact_to_a_fraction_of_a_voxel(contract: InputContract) -> None:
    affine = turn(14, 0) @ turn(-9, 2) @ np.diag([1.1, 0.9, 1.3, 1.0])
    affine[:3, 3] = (-60, -75, -80)
    scan_to_mni = turn(5, 1)
    scan_to_mni[:3, 3] = (3.3, -4.1, 2.7)
    at_mni = (5.3, -8.7, -3.1)
    at_scan = (np.linalg.inv(scan_to_mni) @ [*at_mni, 1])[:3]
    scan = blob(affine, (121, 140, 118), tuple(at_scan), 9.0)
    moved = to_grid(scan, affine, scan_to_mni, contract)
    assert moved.shape == contract.shape_xyz
    np.testing.assert_allclose(center_of(moved, contract.affine_xyz), at_mni, atol=0.03)


def test_there_and_back_on_an_odd_oblique_grid() -> None:
    affine = turn(20, 0) @ turn(11, 1) @ np.diag([1.7, 2.1, 2.3, 1.0])
    affine[:3, 3] = (-70, -95, -60)
    scan_to_mni = turn(-7, 2)
    scan_to_mni[:3, 3] = (-2, 6, 4)
    scan = blob(affine, (81, 90, 69), (18.0, -5.0, 12.0), 12.0)
    # The file keeps (z, x, y) with x flipped.
    stored = affine @ np.array([[0, -1, 0, 80], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    volume = Volume(scan, affine, SourceGrid((69, 81, 90), stored))
    on_grid = to_model_order(to_grid(scan, affine, scan_to_mni, CONTRACT))
    back = from_model_grid(on_grid, CONTRACT, scan_to_mni, volume)
    assert back.shape == volume.source.shape
    np.testing.assert_allclose(center_of(back, stored), center_of(scan, affine), atol=0.05)
    assert np.abs(back - np.transpose(scan[::-1], (2, 0, 1))).max() < 0.06  # what 2 mm voxels cost


def test_labels_are_never_blended() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (60, 70, 60)) * 10
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-60, -87, -55)
    assert set(np.unique(to_grid(labels, affine, np.eye(4), CONTRACT, order=0))) <= {0, 10, 20, 30, 40}


def test_averaging_keeps_the_mean_and_lowers_the_noise() -> None:
    noise = np.random.default_rng(0).normal(5, 1, (200, 220, 200)).astype(np.float32)
    affine = np.eye(4)
    affine[:3, 3] = (-100, -127, -95)
    inside = to_grid(noise, affine, np.eye(4), CONTRACT)[8:-8, 8:-8, 8:-8]
    assert abs(inside.mean() - 5) < 0.01
    assert inside.std() < 0.35  # one linear sample would leave about 0.6
