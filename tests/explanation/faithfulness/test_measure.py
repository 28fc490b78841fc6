"""All that is measured of one map: as much as was asked for, and what it comes to."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from explaining import explained_of, weigh_by
from tiny import CONFIG, CONTRACT, known_of

from adclip.explanation.attribution import attribute
from adclip.explanation.faithfulness.curves import TEN_STEPS, random_orders, ranked
from adclip.explanation.faithfulness.measure import RESCANS, References, measure_map
from adclip.explanation.faithfulness.record import SelfTestRow
from adclip.explanation.methods import METHODS
from adclip.model.calibration import Road

ROW = SelfTestRow("grad-eclip", "a hippocampus", 4, 0.1, 0.0, 0.2, 0.02, 0.3, 0.1, 0.8, 0.5, 0.7)


@pytest.fixture
def explained(either, image, reference, cohort):
    return explained_of(either, image, known_of(either, cohort.visits[2]), "AD", reference)


def measured(explained, level="quick", seed=0, found=None, method="grad-eclip"):
    blurred = torch.where(explained.image > 0, explained.image.mean(), 0.0)
    found = attribute(explained, method) if found is None else found
    # a pseudo-rescan here is the scan with a little noise
    draw = torch.Generator().manual_seed(1)

    def rescans(count):
        return [explained.image + 0.02 * torch.randn(explained.image.shape, generator=draw) for _ in range(count)]

    return measure_map(explained, found, level, References("healthy", blurred), seed, "notice", rescans, (ROW,))


def test_off_measures_nothing_and_says_so(explained):
    found = measured(explained, "off")
    assert found.curves == found.rivals == found.randomised == () and found.rescans is None
    assert found.verdict.believed is None and "not measured" in found.verdict.words and found.flags == ()
    assert found.level == "off" and found.selftest == (ROW,) and found.notice == "notice"
    with torch.no_grad():
        assert found.number == pytest.approx(float(explained.of_images(explained.image)), abs=1e-5)
    assert found.method == "grad-eclip" and found.target == "AD" and found.explained == explained.target.described


def test_quick_takes_half_of_the_patches_with_two_references(explained):
    found = measured(explained)
    assert [one.reference for one in found.curves] == ["healthy", "the scan itself, blurred"]
    inside = np.flatnonzero(explained.brain_patches().numpy())
    assert found.patches == len(inside) and 0 < found.patches <= CONFIG.patches
    assert found.rivals == found.randomised == () and found.rescans is None
    order = ranked(attribute(explained, "grad-eclip").per_patch, inside)
    mask = torch.zeros(1, CONFIG.patches, dtype=torch.bool)
    mask[0, torch.from_numpy(order[: round(len(order) / 2)].copy())] = True
    for one in found.curves:
        assert one.fractions == (0.5,) and len(one.deletion) == len(one.insertion) == 1
        assert len(one.deletion_random) == len(one.insertion_random) == 8
    assert found.curves[0].deletion[0] == pytest.approx(float(explained.replaced(mask)), abs=1e-5)
    assert found.curves[0].deletion != found.curves[1].deletion
    assert found == measured(explained)
    assert measured(explained, seed=1).curves[0].deletion_random != found.curves[0].deletion_random
    assert measured(explained, seed=1).curves[0].deletion == found.curves[0].deletion


def test_full_takes_ten_steps_all_rivals_other_weights_and_rescans(explained):
    found = measured(explained, "full")
    for one in found.curves:
        assert one.fractions == TEN_STEPS and len(one.deletion) == len(one.insertion) == 10
        assert all(len(row) == 10 for row in (*one.deletion_random, *one.insertion_random))
    assert {rival.method for rival in found.rivals} == set(METHODS) - {"grad-eclip"}
    assert found.randomised[-1].down_to == "patch embedding"
    assert found.rescans is not None and found.rescans.of == RESCANS and found.rescans.median > 0.5
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_curves_begin_one_step_from_the_scan_and_from_the_reference(explained):
    """A twentieth of the patches is replaced first, or is all that is kept."""
    found = measured(explained, "full")
    inside = np.flatnonzero(explained.brain_patches().numpy())
    healthy = found.curves[0]
    order = ranked(attribute(explained, "grad-eclip").per_patch, inside)
    count = round(len(order) / 20)
    for replaced, wanted in ((order[:count], healthy.deletion[0]), (order[count:], healthy.insertion[0])):
        mask = torch.zeros(1, CONFIG.patches, dtype=torch.bool)
        mask[0, torch.from_numpy(replaced.copy())] = True
        assert float(explained.replaced(mask)) == pytest.approx(wanted, abs=1e-5)


def test_a_true_map_is_believed_and_a_reversed_one_is_not(explained, monkeypatch):
    """The number is a weighted sum of those patches that are the scan's own: then the order of the weights is the true one."""
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=CONFIG.patches))
    own = explained.patches
    monkeypatch.setattr(explained, "of_patches", lambda patches, shares: ((patches == own).all(-1) * weights).sum(-1))
    found = attribute(explained, "grad-eclip")
    true = replace(found, per_patch=weights.numpy().reshape(CONFIG.token_grid))
    good, bad = measured(explained, found=true), measured(explained, found=replace(true, per_patch=-true.per_patch))
    for one in good.curves:
        assert one.deletion_gain.beats == one.insertion_gain.beats == 8
        assert one.deletion_gain.estimate > 0 < one.insertion_gain.estimate
    for one in bad.curves:
        assert one.deletion_gain.estimate < 0 > one.insertion_gain.estimate
    assert good.verdict.believed is True and good.flags == ()
    assert bad.verdict.believed is False and bad.flags == ("map_no_better_than_chance",)
    middling = replace(
        true, per_patch=random_orders(np.arange(CONFIG.patches), 11)[0].astype(float).reshape(CONFIG.token_grid)
    )
    assert measured(explained, found=middling).verdict.believed is not True


@pytest.mark.parametrize("level", ["off", "quick", "full"])
def test_of_a_flat_map_nothing_is_measured(predictor, image, reference, evidence, level):
    weigh_by(predictor, Road(metadata=1.0, both=0.0))
    found = measured(explained_of(predictor, image, evidence, "AD", reference), level)
    assert found.curves == () and found.flags == ("flat_map",) and found.verdict.believed is False


def test_an_empty_scan_has_no_patch_to_replace(predictor, evidence):
    empty = torch.zeros((1, 1, *CONTRACT.shape))
    for visit in (None, evidence.row):
        explained = explained_of(predictor, empty, known_of(predictor, visit), "AD")
        found = measured(explained, method="attention-rollout")
        assert found.patches == 0 and found.curves == ()
