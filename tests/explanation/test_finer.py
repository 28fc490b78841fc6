"""Finer maps: they keep what they share out, lie where the patches lie, and say how fine they are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from explaining import explained_of, look_closer
from tiny import CONFIG, CONTRACT, known_of

from adclip.explanation import finer
from adclip.explanation.attribution import attribute
from adclip.explanation.finer import _by_occlusion, _by_shifts, attribute_finer, moved
from adclip.explanation.methods import METHODS
from adclip.explanation.relevance import Relevance
from adclip.explanation.settings import FINER

METHOD = "patch-integrated-gradients"


@pytest.fixture
def explained(either, image, reference, cohort):
    return explained_of(either, image, known_of(either, cohort.visits[2]), "AD", reference)


@pytest.mark.parametrize("by", [[0, 0, 0], [2, -3, 1], [-2, 0, 4]])
def test_moved_there_and_back_is_the_same_but_for_the_border(image, by):
    there = moved(image, by)
    back = moved(there, [-step for step in by])
    d, h, w = (slice(4, size - 4) for size in CONTRACT.shape)
    torch.testing.assert_close(back[..., d, h, w], image[..., d, h, w], rtol=0, atol=0)
    beyond = [slice(0, step) if step > 0 else slice(step or 10**6, None) for step in by]
    for axis, gone in enumerate(beyond, start=2):
        assert not there.movedim(axis, 0)[gone].any(), "nothing comes in from the other side"


def test_a_voxel_moves_to_where_it_is_said_to():
    scan = torch.zeros(1, 1, *CONTRACT.shape)
    scan[0, 0, 10, 20, 30] = 1
    assert torch.nonzero(moved(scan, [3, -2, 1])[0, 0]).tolist() == [[13, 18, 31]]
    assert float(scan.sum()) == 1 and not moved(scan, [0, 0, 2]).any()


@pytest.mark.parametrize("way", FINER)
def test_each_way_gives_a_map(explained, way):
    plain, found = attribute(explained, METHOD), attribute_finer(explained, METHOD, way)
    assert found.method == METHOD and found.answer == plain.answer and found.flags == ()
    assert found.signed.shape == CONTRACT.shape and found.signed.max() == pytest.approx(1)
    assert set(found.roads) == set(plain.roads) and sum(found.roads.values()) == pytest.approx(1 if plain.roads else 0)
    if way == "none":
        np.testing.assert_array_equal(found.signed, plain.signed)
    else:
        assert not np.array_equal(found.signed, plain.signed)


def test_how_fine_a_map_is_said_to_be(predictor, image, reference, cohort):
    """Patches of 40 mm and voxels of 5 mm that are smoothed over 6; parts are half as wide."""

    def told(way: str) -> tuple[float, float]:
        found = attribute_finer(
            explained_of(predictor, image, known_of(predictor, cohort.visits[2]), "AD", reference), METHOD, way
        )
        return found.resolution_mm, found.fine_resolution_mm

    assert [told(way) for way in FINER] == [(40, 40), (40, 40), (40, 20)]
    look_closer(predictor)
    assert [told(way) for way in FINER] == [(40, 6), (40, 6), (40, 6)]


@pytest.mark.parametrize("method", ["gradient-x-input", "smoothgrad", "integrated-gradients"])
@pytest.mark.parametrize("way", FINER)
def test_a_map_by_voxel_is_left_as_it_is(explained, method, way):
    found = attribute_finer(explained, method, way)
    np.testing.assert_array_equal(found.signed, attribute(explained, method).signed)
    assert (found.resolution_mm, found.fine_resolution_mm) == (6, 6)


def test_shares_of_a_patch_add_up_to_it(explained):
    """What is known by voxel stays, what is known by patch keeps its sum in every patch."""
    before = METHODS[METHOD](explained)
    after = _by_occlusion(explained, before)
    torch.testing.assert_close(after.per_patch(), before.per_patch(), rtol=1e-3, atol=1e-5)
    hottest = before.by_patch.abs().flatten().argsort(descending=True)[: finer.HOTTEST]
    rest = torch.ones(CONFIG.patches, dtype=torch.bool)
    rest[hottest] = False
    assert torch.equal(after.by_patch.flatten()[rest], before.by_patch.flatten()[rest])
    shared = after.by_patch.flatten()[hottest] == 0
    assert shared.sum() >= finer.HOTTEST / 2


def test_parts_of_a_patch_are_told_apart_by_what_is_lost_with_them(predictor, image, reference, evidence, monkeypatch):
    """The number is one eighth of one patch: only that part may get the patch's relevance, with its sign."""
    explained = explained_of(predictor, image, evidence, "AD", torch.zeros_like(image))
    place, box = (1, 2, 2), (slice(12, 16), slice(16, 20), slice(20, 24))
    monkeypatch.setattr(explained, "of_images", lambda images: -images[:, 0][(slice(None), *box)].sum((1, 2, 3)))
    by_patch = torch.zeros(CONFIG.token_grid)
    by_patch[place] = -3.0
    found = _by_occlusion(explained, Relevance(CONFIG.token_grid, by_patch))
    assert float(found.by_voxel[box].sum()) == pytest.approx(-3) == float(found.by_voxel.sum())
    assert not found.by_patch.any()
    # where a patch has another sign than all that its parts do, they say nothing of it
    found = _by_occlusion(explained, Relevance(CONFIG.token_grid, -by_patch))
    assert torch.equal(found.by_patch, -by_patch) and not found.by_voxel.any()


@pytest.fixture
def differences(explained, monkeypatch):
    """A made-up method whose relevance is the scan less the reference, by patch; of a spot off the middle. Returns what it is asked about."""
    spot = torch.zeros_like(explained.image)
    spot[..., 14:18, 20:26, 9:14] = explained.image[..., 14:18, 20:26, 9:14]
    explained.image, explained.reference, seen = spot, spot.flip(4) / 2, []

    def difference(one):
        seen.append(one)
        by_patch = 8**3 * torch.nn.functional.avg_pool3d(one.image - one.reference, 8)[0, 0]
        return Relevance(one.grid, by_patch, None, {"patches": 1.0})

    monkeypatch.setitem(METHODS, METHOD, difference)
    return seen


def test_moving_keeps_the_sum_and_moves_the_reference_too(explained, differences):
    found = _by_shifts(explained, METHOD)
    wanted = (explained.image - explained.reference)[0, 0]
    assert float(found.by_voxel.sum()) == pytest.approx(float(wanted.sum()), rel=1e-4)
    assert dict(found.roads) == {"patches": pytest.approx(1)}
    for one, signs in zip(differences, product((-2, 2), repeat=3), strict=True):  # a quarter of a patch, to either side
        assert torch.equal(one.image, moved(explained.image, list(signs))) and one.target == explained.target
        assert torch.equal(one.reference, moved(explained.reference, list(signs)))


def test_the_mean_of_moved_maps_lies_where_the_map_lies_and_closer_to_the_truth(explained, differences):
    """Moved to the wrong side on the way back, a map would lie half a patch off."""
    fine = _by_shifts(explained, METHOD).by_voxel
    coarse = METHODS[METHOD](explained).per_voxel(CONTRACT.shape, CONTRACT.spacing_mm)
    truth = (explained.image - explained.reference).flatten()

    def likeness(one: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([one.flatten(), truth]))[0, 1])

    for axis in range(3):
        for step in (-4, 4):
            beside = moved(fine[None, None], [step if other == axis else 0 for other in range(3)])
            assert likeness(fine) > likeness(beside)
    assert likeness(fine) > likeness(coarse) > 0


def test_a_flat_map_is_not_looked_at_again(explained, monkeypatch):
    monkeypatch.setitem(METHODS, METHOD, lambda one: Relevance(one.grid, torch.zeros(one.grid), is_flat=True))
    monkeypatch.setattr(finer, "_by_shifts", None)
    monkeypatch.setattr(finer, "_by_occlusion", None)
    for way in FINER:
        assert attribute_finer(explained, METHOD, way).flags == ("flat_map",)
