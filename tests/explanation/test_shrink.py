"""A region shrunk by a known factor: by as much as was asked, where it was asked, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from adclip.errors import InputError
from adclip.explanation.deformation import Deformation
from adclip.explanation.shrink import REACH_MM, deform, shrink

FACTORS = (0.95, 0.9, 0.8, 0.7, 0.5)


def millimetres(shape, spacing):
    return np.meshgrid(*((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")


def ellipsoid(shape, spacing, centre=(0.0, 0.0, 0.0), axes=(6.0, 12.0, 5.0)):
    places = millimetres(shape, spacing)
    return sum(((p - c) / a) ** 2 for p, c, a in zip(places, centre, axes, strict=True)) < 1


def bent_tube(shape, spacing):
    """Half a ring of 18 mm radius, 5 mm thick: its centre of mass lies outside it."""
    x, y, z = millimetres(shape, spacing)
    return ((np.hypot(x, y) - 18) ** 2 + z**2 < 25) & (y > 0)


GRIDS = {"1 mm": ((72, 72, 40), (1.0, 1.0, 1.0)), "2 mm": ((36, 40, 24), (2.0, 2.0, 2.0)), "slices": ((72, 72, 12), (1.0, 1.0, 4.0))}  # fmt: skip
SHAPES = {"ellipsoid": ellipsoid, "tube": bent_tube}


def speckles(shape, seed=0):
    draw = np.random.default_rng(seed)
    image = gaussian_filter(draw.normal(size=shape), 1.2)
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("factor", FACTORS)
def test_the_volume_is_the_one_asked_for_and_nothing_folds(grid, name, factor):
    shape, spacing = GRIDS[grid]
    region = SHAPES[name](shape, spacing)
    found = shrink(speckles(shape), region, spacing, factor)
    assert found.region_after.sum() / region.sum() == pytest.approx(factor, rel=0.01)
    done = deform(region, spacing, factor)
    assert done.obtained[0] == pytest.approx(factor, rel=0.01)
    assert 0 < done.least_jacobian() < 1  # what surrounds the region is stretched, so that the way back is compressed
    # what moves is the region and its surroundings within reach
    distance = distance_to(region, spacing)
    assert distance[found.moved].max() <= REACH_MM
    assert found.moved[region].mean() > 0.9


def distance_to(region, spacing):
    """In mm, by the plain definition: to the nearest voxel centre of the region."""
    inside = np.argwhere(region) * np.array(spacing)
    everywhere = np.argwhere(np.ones(region.shape, bool)) * np.array(spacing)
    return cKDTree(inside).query(everywhere)[0].reshape(region.shape)


@pytest.mark.parametrize("name", SHAPES)
def test_a_measure_that_the_solution_never_saw_agrees(name):
    """Random points, and the shapes themselves in place of their voxels: how many points took their content from inside."""
    shape, spacing = GRIDS["1 mm"]
    done = deform(SHAPES[name](shape, spacing), spacing, 0.7)
    points = np.random.default_rng(0).uniform(0, np.array(done.places.shape[1:]) - 1, (400_000, 3)).T
    sources = np.stack([map_coordinates(part, points, order=1) for part in done.places])
    first = np.array([[part.start] for part in done.window])
    middle = (np.array(shape)[:, None] - 1) / 2
    before, after = (
        exactly_inside(name, found + first - middle).mean() for found in (points, sources)
    )  # voxels of 1 mm
    assert after / before == pytest.approx(0.7, rel=0.02)  # chance is 0.7 %: some 20 000 points lie inside


def exactly_inside(name, places):
    x, y, z = places
    if name == "ellipsoid":
        return (x / 6) ** 2 + (y / 12) ** 2 + (z / 5) ** 2 < 1
    return ((np.hypot(x, y) - 18) ** 2 + z**2 < 25) & (y > 0)


def test_all_of_it_shrinks_alike_however_it_is_bent():
    """A tube that is drawn to its centre of mass would wander; this one stays in its place and gets thinner everywhere."""
    shape, spacing = GRIDS["1 mm"]
    region = bent_tube(shape, spacing)
    after = shrink(speckles(shape), region, spacing, 0.7).region_after
    x, y, _ = millimetres(shape, spacing)
    angle = np.degrees(np.arctan2(y, x))
    parts = [(angle > start) & (angle <= start + 20) for start in range(20, 160, 20)]  # without both ends
    thinner = [after[part].sum() / region[part].sum() for part in parts]
    assert max(thinner) - min(thinner) < 0.06 and 0.65 < np.mean(thinner) < 0.8
    radius = np.hypot(x, y)
    for part in parts:
        assert abs((after * radius)[part].sum() / after[part].sum() - 18) < 1


def test_a_factor_of_1_gives_the_image_back_bit_for_bit():
    shape, spacing = GRIDS["2 mm"]
    image, region = speckles(shape), ellipsoid(shape, spacing)
    found = shrink(image, region, spacing, 1.0)
    assert found.image.tobytes() == image.tobytes() and found.image is not image
    np.testing.assert_array_equal(found.region_after, region.astype(np.float32))
    assert not found.moved.any()


def test_near_1_the_image_changes_little():
    """There is no jump from untouched to interpolated: what interpolation alone would do is nothing."""
    shape, spacing = GRIDS["2 mm"]
    image, region = speckles(shape), ellipsoid(shape, spacing)
    changes = [np.abs(shrink(image, region, spacing, factor).image - image).max() for factor in (0.9999, 0.999, 0.99, 0.9)]  # fmt: skip
    assert changes[0] < 1e-3 and changes == sorted(changes) and changes[-1] > 0.01


@pytest.mark.parametrize("grid", GRIDS)
def test_one_side_leaves_the_other_bit_for_bit_and_left_stays_left(grid):
    shape, spacing = GRIDS[grid]
    image = speckles(shape)
    left, right = (ellipsoid(shape, spacing, (x, 0, 0), (5, 9, 6)) for x in (-15, 15))
    found = shrink(image, left, spacing, 0.7)
    x = millimetres(shape, spacing)[0]
    assert found.image[x > 0].tobytes() == image[x > 0].tobytes() and not found.moved[x > 0].any()
    assert np.any(found.image[left] != image[left])
    centre = (found.region_after * x).sum() / found.region_after.sum()
    assert centre == pytest.approx(-15, abs=0.3)
    mirrored = shrink(image[::-1].copy(), right, spacing, 0.7)
    np.testing.assert_allclose(mirrored.image[::-1], found.image, atol=1e-5)
    np.testing.assert_array_equal(mirrored.moved[::-1], found.moved)


def test_each_label_gets_the_factor_by_itself():
    shape, spacing = GRIDS["2 mm"]
    labels = np.zeros(shape, np.int16)
    labels[ellipsoid(shape, spacing, (-15, 0, 0), (5, 12, 6))] = 17
    labels[ellipsoid(shape, spacing, (15, 5, 0), (6, 6, 6))] = 53
    done = deform(labels, spacing, 0.8)
    assert done.obtained == pytest.approx((0.8, 0.8), rel=0.005)
    for code in (17, 53):
        assert done.carry(labels == code).sum() / (labels == code).sum() == pytest.approx(0.8, rel=0.01)
    several = deform([labels == 17, labels == 53], spacing, 0.8)
    np.testing.assert_array_equal(several.places, done.places)


def test_neighbours_that_share_their_surroundings_both_get_it():
    """Their reaches overlap, so that each drags at the other."""
    shape, spacing = GRIDS["2 mm"]
    parts = [ellipsoid(shape, spacing, (x, 0, 0), (5, 9, 6)) for x in (-8, 8)]
    assert deform(parts, spacing, 0.7).obtained == pytest.approx((0.7, 0.7), rel=0.01)


def test_a_share_counts_as_one():
    shape, spacing = GRIDS["2 mm"]
    share = gaussian_filter(ellipsoid(shape, spacing).astype(np.float32), 0.8)
    found = shrink(speckles(shape), share, spacing, 0.8)
    assert found.region_after.sum() / share.sum() == pytest.approx(0.8, rel=0.01)
    assert found.region_after.max() <= 1


def test_what_is_left_is_filled_by_what_surrounds_it():
    """A bright region in dark surroundings: the bright part gets smaller, the rest is dark, and no other shade appears but at the edge."""
    shape, spacing = GRIDS["1 mm"]
    region = ellipsoid(shape, spacing, axes=(8, 14, 8))
    image = np.where(region, 0.8, 0.2).astype(np.float32)
    found = shrink(image, region, spacing, 0.7)
    assert (found.image > 0.5).sum() / region.sum() == pytest.approx(0.7, abs=0.03)
    np.testing.assert_allclose(
        found.image[found.region_after == 0], 0.2, atol=0.11
    )  # a cubic spline rings by that at a jump
    assert found.image.min() >= image.min() and found.image.max() <= image.max() and found.image.dtype == image.dtype


def test_outside_the_brain_all_stays_0():
    shape, spacing = GRIDS["2 mm"]
    brain = millimetres(shape, spacing)[0] < 9
    region = ellipsoid(shape, spacing)
    image = np.where(brain, 0.3 + 0.7 * speckles(shape), 0).astype(np.float32)
    without, within = (shrink(image, region, spacing, 0.7, brain=mask).image for mask in (None, brain))
    after = deform(region, spacing, 0.7).carry(brain) > 0.5
    assert not within[~after].any() and without[~after].any()
    np.testing.assert_array_equal(within[after], without[after])


@pytest.mark.parametrize("factor", [1.2, 1.5, 2.0])
@pytest.mark.parametrize("name", SHAPES)
def test_it_grows_too(factor, name):
    shape, spacing = GRIDS["2 mm"]
    region = SHAPES[name](shape, spacing)
    done = deform(region, spacing, factor)
    assert done.obtained[0] == pytest.approx(factor, rel=0.01) and done.least_jacobian() > 0
    assert distance_to(region, spacing)[done.moved].max() <= REACH_MM


def test_what_cannot_be_reached_is_refused():
    shape, spacing = GRIDS["2 mm"]
    region = ellipsoid(shape, spacing, axes=(8, 8, 8))
    with pytest.raises(InputError, match="within 3 mm it becomes"):  # a ball of 11 mm is 2.6 times as large
        deform(region, spacing, 3.0, reach_mm=3.0)
    for factor in (0.0, -1.0, 0.05, 5.0, float("nan")):
        with pytest.raises(InputError, match="times as large"):
            deform(region, spacing, factor)
    with pytest.raises(InputError, match="half voxels"):
        deform(region, spacing, 0.7, reach_mm=2.0)


@pytest.mark.parametrize(
    "nothing",
    [np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), np.int16), np.full((8, 8, 8), 0.3), np.ones((8, 8), bool), []],
    ids=["mask", "labels", "faint", "flat", "none"],
)
def test_no_region_is_refused(nothing):
    with pytest.raises(InputError, match="no region"):
        deform(nothing, (2, 2, 2), 0.7)


def test_a_fold_would_be_seen():
    """The Jacobian is not merely a number that happens to be above 0."""
    places = np.indices((6, 6, 6), dtype=float)
    flat = Deformation((slice(0, 6),) * 3, places, np.ones((6, 6, 6), bool), (1.0,))
    assert flat.least_jacobian() == pytest.approx(1.0)
    folded = places.copy()
    folded[0, 3] = 1.5  # a voxel takes its content from before that of its neighbour
    assert Deformation(flat.window, folded, flat.moved, (1.0,)).least_jacobian() == pytest.approx(-0.5)


def test_a_region_at_the_edge_of_the_grid():
    shape, spacing = GRIDS["2 mm"]
    region = ellipsoid(shape, spacing, (-34, 0, 0), (8, 8, 8))  # cut by the edge
    found = shrink(speckles(shape), region, spacing, 0.8)
    assert found.region_after.sum() / region.sum() == pytest.approx(0.8, rel=0.01)
