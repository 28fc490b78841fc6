"""The way back: what is planted at a place of the scan is found there again, whatever the scan's grid and storage."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from phantoms import turn
from scipy import ndimage

from adclip.config import M3D_CLIP, SMALL
from adclip.domain import InputContract, Volume
from adclip.imaging.sources.files import read_volume, write_nifti
from adclip.imaging.steps.grid import from_model_grid, from_model_order, to_grid, to_model_order, to_scan_brain

HALF_A_VOXEL_MM = 0.5
SPACINGS = {"thick": (1.0, 1.0, 3.0), "fine": (0.9, 0.9, 1.2), "coarse": (2.0, 1.5, 2.5)}
TURNS = {"upright": np.eye(4), "oblique 20": turn(20, 0) @ turn(11, 2), "oblique 45": turn(45, 1) @ turn(-30, 0)}


def blob(affine: np.ndarray, shape: tuple[int, ...], center_mm: np.ndarray, sigma: float) -> np.ndarray:
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    mm = grid @ affine[:3, :3].T + affine[:3, 3]
    return np.exp(-((mm - center_mm) ** 2).sum(axis=-1) / (2 * sigma**2)).astype(np.float32)


def center_of(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ np.array(ndimage.center_of_mass(array.astype(np.float64))) + affine[:3, 3]


def scan_on(tmp_path, spacing, rotation, codes, extent_mm, middle_mm) -> tuple[Volume, np.ndarray]:
    """Write a scan of odd sizes in the axis order `codes`, and read it; also the affine that nibabel finds in the file."""
    sizes = tuple(int(extent / size) // 2 * 2 + 1 for extent, size in zip(extent_mm, spacing, strict=True))
    affine = rotation @ np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array(middle_mm) - affine[:3, :3] @ ((np.array(sizes) - 1) / 2)
    values = 100 + 20 * ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(sizes), 1.5)
    image = nib.Nifti1Image(values.astype(np.float32), affine)
    wanted = nib.orientations.axcodes2ornt(codes)
    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), wanted))
    path = tmp_path / "scan.nii.gz"
    nib.save(image, path)
    assert all(size % 2 for size in image.shape)
    return read_volume(path), nib.load(path).affine


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "PIR"])
@pytest.mark.parametrize("rotation", TURNS.values(), ids=TURNS)
@pytest.mark.parametrize("spacing", SPACINGS.values(), ids=SPACINGS)
def test_a_planted_blob_is_found_where_it_was_planted(tmp_path, spacing, rotation, codes) -> None:
    volume, stored = scan_on(tmp_path, spacing, rotation, codes, (90, 80, 100), (8.0, -12.0, 6.0))
    scan_to_mni = turn(6, 1) @ turn(-4, 0) @ np.diag([1.08, 0.97, 1.05, 1.0])
    scan_to_mni[:3, 3] = (2.3, -9.1, 4.7)
    planted = np.array([12.4, -5.3, 9.8])
    scan = blob(volume.affine, volume.array.shape, planted, 4.0)
    on_grid = to_grid(scan, volume.affine, scan_to_mni, SMALL.contract)
    at_mni = scan_to_mni[:3, :3] @ planted + scan_to_mni[:3, 3]
    assert np.linalg.norm(center_of(on_grid, SMALL.contract.affine_xyz) - at_mni) < HALF_A_VOXEL_MM
    back = from_model_grid(to_model_order(on_grid), SMALL.contract, scan_to_mni, volume)
    assert back.shape == volume.source.shape
    assert np.linalg.norm(center_of(back, stored) - planted) < HALF_A_VOXEL_MM


@pytest.mark.parametrize("contract", [SMALL.contract, M3D_CLIP.contract], ids=["small", "m3d"])
def test_a_field_of_view_that_is_cut_moves_nothing(tmp_path, contract: InputContract) -> None:
    """The blob lies at the edge of a cropped, oblique scan, far from the middle of the model's box."""
    volume, stored = scan_on(tmp_path, (0.9, 0.9, 1.2), turn(33, 2), "LPS", (64, 70, 62), (-31.0, 20.0, -14.0))
    planted = np.array([-36.2, 31.7, -23.4])
    scan = blob(volume.affine, volume.array.shape, planted, 3.0)
    back = from_model_grid(
        to_model_order(to_grid(scan, volume.affine, np.eye(4), contract)), contract, np.eye(4), volume
    )
    assert np.linalg.norm(center_of(back, stored) - planted) < HALF_A_VOXEL_MM


def test_half_a_voxel_too_far_would_be_noticed(tmp_path) -> None:
    """The tolerance tells a grid that was shifted by half of its voxels."""
    volume, stored = scan_on(tmp_path, (1.0, 1.0, 3.0), turn(20, 0), "PIR", (90, 80, 100), (0.0, 0.0, 0.0))
    planted = np.array([3.0, 5.0, -4.0])
    scan = blob(volume.affine, volume.array.shape, planted, 4.0)
    on_grid = to_model_order(to_grid(scan, volume.affine, np.eye(4), SMALL.contract))
    wrong = np.eye(4)
    wrong[:3, 3] = 0.5 * np.array(SMALL.contract.spacing_xyz_mm)
    back = from_model_grid(on_grid, SMALL.contract, wrong, volume)
    assert np.linalg.norm(center_of(back, stored) - planted) > 3 * HALF_A_VOXEL_MM


def test_the_same_map_in_mni_lies_at_the_same_place(tmp_path) -> None:
    """The file in MNI space and the one on the scan show one place, by the affines in their own headers."""
    volume, _ = scan_on(tmp_path, (1.0, 1.0, 3.0), turn(25, 0), "LAS", (120, 120, 120), (0.0, -10.0, 5.0))
    scan_to_mni = turn(10, 2)
    scan_to_mni[:3, 3] = (4.0, -3.0, 2.0)
    at_mni = np.array([-25.3, -18.6, -14.9])
    heat = blob(SMALL.contract.affine_xyz, SMALL.contract.shape_xyz, at_mni, 5.0)
    write_nifti(tmp_path / "mni.nii.gz", heat, SMALL.contract.affine_xyz, space_code=4)
    on_scan = from_model_grid(to_model_order(heat), SMALL.contract, scan_to_mni, volume)
    write_nifti(tmp_path / "scan_map.nii.gz", on_scan, volume.source.affine, place=volume.source.place)
    one, two = nib.load(tmp_path / "mni.nii.gz"), nib.load(tmp_path / "scan_map.nii.gz")
    assert np.linalg.norm(center_of(one.get_fdata(), one.affine) - at_mni) < 0.05
    found = scan_to_mni[:3, :3] @ center_of(two.get_fdata(), two.affine) + scan_to_mni[:3, 3]
    assert np.linalg.norm(found - at_mni) < HALF_A_VOXEL_MM
    assert (int(one.header["sform_code"]), int(one.header["qform_code"])) == (4, 4)


def test_a_map_cut_to_the_brain_does_not_fade_inside_of_it(tmp_path) -> None:
    volume, _ = scan_on(tmp_path, (1.0, 1.0, 3.0), turn(20, 0), "PIR", (90, 80, 100), (0.0, 0.0, 0.0))
    middle = np.array(volume.array.shape) // 2
    mask = np.zeros(volume.array.shape, dtype=bool)
    mask[tuple(slice(place - 6, place + 7) for place in middle)] = True
    back = to_scan_brain(np.ones(SMALL.contract.shape, np.float32), SMALL.contract, np.eye(4), volume, mask)
    inside = nib.orientations.apply_orientation(
        mask, nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.io_orientation(volume.source.affine))
    )  # fmt: skip
    np.testing.assert_allclose(back, inside, atol=1e-5)
    whole = to_scan_brain(np.ones(SMALL.contract.shape, np.float32), SMALL.contract, np.eye(4), volume, None)
    assert whole.sum() > 2 * back.sum()


def test_the_largest_value_may_be_lost_between_voxels(tmp_path) -> None:
    """Docs tell it: linear interpolation never makes a value larger, and a sharp peak of the model's grid smaller."""
    volume, _ = scan_on(tmp_path, (1.0, 1.0, 3.0), turn(20, 0), "RAS", (90, 80, 100), (0.0, 0.0, 0.0))
    sharp = np.zeros(SMALL.contract.shape_xyz, np.float32)
    sharp[40, 48, 40] = 1.0
    back = from_model_grid(to_model_order(sharp), SMALL.contract, np.eye(4), volume)
    assert 0.2 < back.max() < 1.0
    np.testing.assert_array_equal(from_model_order(to_model_order(sharp)), sharp)
