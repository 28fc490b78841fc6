"""What brain extraction is shown: the head upright and cut out, and its mask back on the scan's own voxels."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import FakeStripper, make_head, turn
from scipy import ndimage

from adclip.domain import SourceGrid, Volume
from adclip.imaging.steps.rotations import nearest_rotation
from adclip.imaging.steps.tilt import find_turn, tilt_degrees
from adclip.imaging.steps.view import head_extent_mm, look_at


def as_volume(array: np.ndarray, affine: np.ndarray) -> Volume:
    return Volume(array.astype(np.float32), affine, SourceGrid(array.shape, affine))


def padded(array: np.ndarray, affine: np.ndarray, voxels: list[tuple[int, int]], noise: float = 0.0) -> Volume:
    """Margins of zeros, or of Rayleigh noise."""
    wide = np.pad(array, voxels)
    if noise:
        rng = np.random.default_rng(1)
        wide = np.hypot(wide + noise * rng.standard_normal(wide.shape), noise * rng.standard_normal(wide.shape))
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3] @ [before for before, _ in voxels]
    return as_volume(wide, moved)


def acquired(array: np.ndarray, affine: np.ndarray, rotation: np.ndarray) -> Volume:
    """The same head on a grid whose axes are turned against the body; the affine says so."""
    shape = np.ceil(np.abs(rotation[:3, :3]).T @ array.shape).astype(int)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    grid = np.eye(4)
    grid[:3, :3] = rotation[:3, :3] * sizes
    middle = affine @ [*((np.array(array.shape) - 1) / 2), 1]
    grid[:3, 3] = middle[:3] - grid[:3, :3] @ ((shape - 1) / 2)
    matrix = np.linalg.inv(affine) @ grid
    values = ndimage.affine_transform(array, matrix[:3, :3], matrix[:3, 3], output_shape=tuple(shape), order=1)
    return as_volume(values, grid)


def volume_ml(volume: Volume, mask: np.ndarray) -> float:
    return float(mask.sum()) * abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000


def test_a_plain_head_is_shown_as_it_is_voxel_by_voxel() -> None:
    array, affine, _ = make_head()
    volume = as_volume(array, affine)
    view = look_at(volume)
    assert view.volume is volume
    assert view.facts == {}
    tilted = as_volume(array, turn(7, 0) @ affine)  # as far as planners tilt slices
    assert look_at(tilted).volume is tilted


@pytest.mark.parametrize("noise", [0.0, 20.0])
@pytest.mark.parametrize("voxels", [[(30, 30)] * 3, [(0, 60), (0, 0), (0, 0)], [(0, 0), (45, 0), (80, 0)]])
def test_margins_are_cut_off_whatever_they_hold(voxels: list[tuple[int, int]], noise: float) -> None:
    array, affine, brain = make_head()
    volume = padded(array, affine, voxels, noise)
    view = look_at(volume)
    whole = np.pad(brain, voxels)
    assert view.volume.array.size < 0.75 * volume.array.size
    window = view.to_scan(np.ones(view.volume.array.shape, dtype=bool))
    assert window[whole].all(), "the brain stays in view"
    np.testing.assert_array_equal(volume.array[window], view.volume.array.ravel())
    place = view.volume.affine @ [0, 0, 0, 1]
    first = np.argwhere(window)[0]
    np.testing.assert_allclose(place, volume.affine @ [*first, 1])


def test_neck_and_shoulders_are_cut_off() -> None:
    array, affine, brain = make_head()
    deep = 75  # 150 mm below the box of the head
    body = np.zeros((*array.shape[:2], deep), np.float32)
    middle_x, middle_y = array.shape[0] // 2, array.shape[1] // 2
    body[middle_x - 30 : middle_x + 30, middle_y - 30 : middle_y + 30, 20:] = 700  # neck
    body[:, 20:-20, :20] = 700  # shoulders, as wide as the field of view
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3] @ [0, 0, deep]
    volume = as_volume(np.concatenate([body, array], axis=2), moved)
    view = look_at(volume)
    assert view.facts["cut_off_mm"][2][0] > 80
    kept = view.to_scan(np.ones(view.volume.array.shape, dtype=bool))
    assert kept[:, :, deep:][brain].all()
    assert head_extent_mm(volume)[2] <= 240


@pytest.mark.parametrize("turns", [turn(30, 0), turn(48, 1), turn(48, 0) @ turn(35, 2), turn(-20, 1) @ turn(40, 0)])
def test_an_oblique_grid_is_turned_upright_and_the_mask_comes_back(turns: np.ndarray) -> None:
    array, affine, brain = make_head()
    volume = acquired(array, affine, turns)
    view = look_at(volume)
    directions = view.volume.affine[:3, :3] / np.linalg.norm(view.volume.affine[:3, :3], axis=0)
    np.testing.assert_allclose(directions, np.eye(3), atol=1e-9)
    shown = FakeStripper()(view.volume)
    found = view.to_scan(shown)
    assert volume_ml(volume, found) == pytest.approx(volume_ml(view.volume, shown), rel=0.005)
    truth = acquired(brain.astype(np.float32), affine, turns).array > 0.5
    overlap = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert overlap > 0.97


def test_a_head_tilted_behind_its_headers_back_is_found_from_another_side() -> None:
    array, affine, _ = make_head(turn(40, 0))  # the header says upright

    class FromOneSide(FakeStripper):
        """Blind but where the view is turned, as a network is for a head on its side."""

        def __call__(self, volume: Volume) -> np.ndarray:
            found = super().__call__(volume)
            return found if volume.array.shape != array.shape else np.zeros(array.shape, bool)

    stripper = FromOneSide()
    rotation = find_turn(as_volume(array, affine), stripper, correlation=-1.0)
    assert rotation is not None
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    whole = np.eye(4)
    whole[:3, :3] = nearest_rotation(turn(40, 0)[:3, :3]) @ rotation.T
    assert tilt_degrees(whole) < 8, "the head stands upright after the turn"


def test_where_no_side_shows_a_brain_nothing_is_turned() -> None:
    rng = np.random.default_rng(0)
    ball = np.linalg.norm(np.indices((60, 60, 60)) - 30.0, axis=0) < 25
    array = np.where(ball, 800 + 30 * rng.standard_normal(ball.shape), 0).astype(np.float32)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    assert find_turn(as_volume(array, affine), FakeStripper(), correlation=0.3) is None
