"""The published input: a z-scored cube on positions of another grid, kept for comparison, explained on the scan's own grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONFIG, CONTRACT, PROMPTS, finetune_config

from adclip.config import M3D_CLIP, SMALL
from adclip.explanation.attribution import attribute
from adclip.explanation.faithfulness.curves import TEN_STEPS, measure_curves, random_orders, ranked
from adclip.explanation.methods import METHODS
from adclip.explanation.seen import SeenScan
from adclip.explanation.target import class_target
from adclip.model.build import build_network
from adclip.model.published_input import as_published, published_grid
from adclip.prediction.inputs import to_item
from adclip.prediction.predictor import Predictor
from adclip.verbs.finetune import finetune


@pytest.mark.parametrize(
    ("config", "grid"),
    [(M3D_CLIP, (32, 8, 8)), (SMALL, (12, 10, 10)), (CONFIG, (5, 4, 4))],
    ids=["m3d", "builtin", "tiny"],
)
def test_as_many_patches_in_another_grid(config, grid):
    assert published_grid(config) == grid != config.token_grid
    assert np.prod(grid) == config.patches


def test_a_cube_of_128_voxels_z_scored_as_a_whole():
    torch.manual_seed(0)
    scans = torch.rand(2, 1, *M3D_CLIP.contract.shape) * torch.tensor([1.0, 0.3]).reshape(2, 1, 1, 1, 1)
    cubes = as_published(scans, published_grid(M3D_CLIP), M3D_CLIP.patch)
    assert cubes.shape == (2, 1, 128, 128, 128)
    for cube in cubes:
        assert float(cube.mean()) == pytest.approx(0, abs=1e-4) and float(cube.std()) == pytest.approx(1, abs=1e-4)
    assert torch.isfinite(as_published(torch.zeros(1, 1, *CONTRACT.shape), (5, 4, 4), CONFIG.patch)).all()


def test_positions_belong_to_other_places():
    """The table fits by number: the patch after the first row of the new grid gets what was learned for another place."""
    torch.manual_seed(0)
    tower = build_network(CONFIG, replace(PROMPTS, published_input=True)).vision_encoder.eval()
    assert tower.token_grid == (5, 4, 4)
    scans = torch.rand(1, 1, *CONTRACT.shape)
    by_hand = tower.encode(tower.patch_embedding(as_published(scans, (5, 4, 4), CONFIG.patch)))
    assert torch.equal(tower(scans).cls, by_hand.cls)
    scaled = tower(0.5 * scans)
    torch.testing.assert_close(scaled.cls, by_hand.cls, rtol=1e-4, atol=1e-4)  # a z-score knows no gain


@pytest.fixture(scope="module")
def predictor(tmp_path_factory, tiny_cohort, tiny_base):
    out = tmp_path_factory.mktemp("paper") / "run"
    finetune(finetune_config(tiny_cohort, tiny_base, out, epochs=1, recipe="paper"))
    return Predictor.from_checkpoint(out, "cpu")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_is_explained_is_what_is_predicted_on_the_scans_own_grid(predictor, tiny_cohort, method):
    item = to_item(next(tiny_cohort.rglob("*_T1w.nii.gz")))
    prepared = predictor.prepare(item)
    evidence = predictor.evidence(prepared, None)
    explained = SeenScan(predictor, prepared, evidence).explained(class_target("AD"))
    found = attribute(explained, method)
    assert found.answer.scores == pytest.approx(predictor.answer(prepared, evidence).scores, rel=1e-5)
    assert found.per_patch.shape == (5, 4, 4) and found.signed.shape == CONTRACT.shape
    assert found.flags == () and found.signed.max() == pytest.approx(1)
    inside = np.flatnonzero(explained.brain_patches().numpy())
    order, orders = ranked(found.per_patch, inside), random_orders(inside, 0)
    curves = measure_curves(explained, order, orders, (0.0, *TEN_STEPS), explained.reference_patches, "healthy")
    assert len(curves.deletion) == 11
    assert [row[0] for row in curves.deletion_random] == pytest.approx([curves.deletion[0]] * len(orders))
    with torch.no_grad():
        assert curves.deletion[0] == pytest.approx(float(explained.of_images(explained.image)), abs=1e-4)
    assert len(set(curves.deletion)) > 1, "patches that are taken away change the score"
