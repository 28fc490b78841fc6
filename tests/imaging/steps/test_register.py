"""The brain is found where it is, whatever the header says, and every time in the same place."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import make_head, turn

from adclip.imaging.steps.register import Alignment, align, register_affine
from adclip.imaging.steps.templates import read_template


def true_map() -> np.ndarray:
    scale = np.diag([1.1, 0.9, 1.05, 1.0])
    matrix = turn(15, 0) @ turn(-12, 1) @ turn(18, 2) @ scale
    matrix[:3, 3] = [12.0, -15.0, 8.0]
    return matrix


def corner_errors_mm(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distances in MNI mm at the corners of the template brain's box."""
    t1, affine = read_template()
    used = np.argwhere(t1 > 0)
    low, high = used.min(axis=0), used.max(axis=0)
    corners = np.array([[*np.where([one & 1, one & 2, one & 4], low, high), 1.0] for one in range(8)]).T
    in_mni = affine @ corners
    return np.linalg.norm((found @ np.linalg.inv(true) @ in_mni - in_mni)[:3], axis=0)


@pytest.fixture(scope="module")
def brain() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return make_head(true_map(), skull=False)


@pytest.fixture(scope="module")
def alignment(brain: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Alignment:
    return align(*brain)


def test_a_known_affine_is_found(alignment: Alignment) -> None:
    assert corner_errors_mm(alignment.scan_to_mni, true_map()).max() < 1.0
    assert alignment.correlation > 0.8
    assert not alignment.rotated


def test_the_same_brain_lands_in_the_same_place_every_time(brain: tuple[np.ndarray, ...], alignment: Alignment) -> None:
    np.testing.assert_array_equal(register_affine(*brain), alignment.scan_to_mni)


@pytest.mark.parametrize("order", [(1, 2, 0), (0, 2, 1)])
def test_a_header_with_wrong_directions_is_overruled(
    order: tuple[int, int, int], brain: tuple[np.ndarray, ...], alignment: Alignment
) -> None:
    array, affine, mask = brain
    wrong = np.eye(4)
    wrong[:3, :3] = np.eye(3)[list(order)]
    if np.linalg.det(wrong) < 0:
        wrong[0] *= -1  # handedness kept
    found = align(array, wrong @ affine, mask)
    assert found.rotated
    assert corner_errors_mm(found.scan_to_mni @ wrong, alignment.scan_to_mni).max() < 0.01


def test_a_mirrored_header_is_not_undone(brain: tuple[np.ndarray, ...]) -> None:
    """Left and right cannot be told from a symmetric template, so the file is believed."""
    array, affine, mask = brain
    found = align(array, np.diag([-1.0, 1.0, 1.0, 1.0]) @ affine, mask)
    assert np.linalg.det(found.scan_to_mni[:3, :3]) > 0
    assert not found.rotated


def test_what_is_no_brain_convinces_nobody_and_keeps_its_header() -> None:
    ball = np.linalg.norm(np.indices((60, 60, 60)) - 29.5, axis=0) < 28
    noise = np.random.default_rng(0).uniform(50, 150, ball.shape).astype(np.float32)
    found = align(noise, np.diag([2.5, 2.5, 2.5, 1.0]), ball)
    assert found.correlation < 0.5
    assert not found.rotated


@pytest.mark.parametrize(("inside", "value"), [(0, 100.0), (20, 100.0), (40_000, 0.0), (40_000, np.nan)])
def test_nothing_to_align_is_said_so(inside: int, value: float) -> None:
    mask = np.arange(50**3).reshape(50, 50, 50) < inside
    with pytest.raises(np.linalg.LinAlgError):
        align(np.full(mask.shape, value, np.float32), np.eye(4), mask)
