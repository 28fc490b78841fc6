"""Occlusion: what the number loses without a patch, for patches that hold brain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from explaining import KINDS, explained_of
from tiny import CONFIG, CONTRACT, known_of

from adclip.explanation.methods.occlusion import occlusion


def voxels_of(place: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(index * size, (index + 1) * size) for index, size in zip(place, CONFIG.patch, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_where_a_patch_is_embedded_by_itself_its_voxels_are_replaced(predictor, image, reference, evidence, kind):
    explained = explained_of(predictor, image, evidence, kind, reference)
    found = occlusion(explained).by_patch
    wanted = torch.zeros(CONFIG.token_grid)
    with torch.no_grad():
        whole = float(explained.of_images(image))
        for place in np.ndindex(*CONFIG.token_grid):
            version, box = image.clone(), voxels_of(place)
            version[0, 0][box] = reference[0, 0][box]
            if image[0, 0][box].any():
                wanted[place] = whole - float(explained.of_images(version))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=2e-5)
    assert float(wanted.abs().max()) > 1e-4


def test_a_patch_without_brain_is_not_asked(predictor, image, reference, evidence):
    """Also where the reference has brain: what nobody replaced has no relevance."""
    scan = image.clone()
    scan[0, 0, :8, :8, :8] = 0
    found = occlusion(explained_of(predictor, scan, evidence, "AD", reference)).by_patch
    inside = torch.nn.functional.avg_pool3d(scan, 8)[0, 0] > 0
    assert not found[~inside].any() and (~inside).any() and (found[inside] != 0).float().mean() > 0.9


def test_with_a_closer_look_its_shares_go_with_the_patch(closer_predictor, image, reference, cohort):
    """By hand: the patch's embedding, and what either box has of it."""
    evidence = known_of(closer_predictor, cohort.visits[2])
    explained = explained_of(closer_predictor, image, evidence, "AD", reference)
    tower = closer_predictor.reader.network.vision_encoder
    with torch.no_grad():
        (patches, shares), (others, other_shares) = tower.embed(image), tower.embed(reference)
        hottest = int((shares - other_shares).abs().sum((0, 1, 3)).argmax())
        patches, shares = patches.clone(), shares.clone()
        patches[0, hottest], shares[0, :, hottest] = others[0, hottest], other_shares[0, :, hottest]
        wanted = float(explained.of_images(image) - explained.of_patches(patches, shares))
    assert float(occlusion(explained).by_patch.flatten()[hottest]) == pytest.approx(wanted, abs=2e-5)
    assert abs(wanted) > 1e-5 and CONTRACT.shape == tuple(image.shape[2:])
