"""The gate: near scans pass, far ones do not, and a folder keeps it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adclip.model.gate import Gate, take_gate
from adclip.prediction.predictor import Predictor
from adclip.training.fit_gate import find_limit, fit_gate, read_outs


def test_distance_is_that_of_mahalanobis():
    from scipy.spatial.distance import mahalanobis

    torch.manual_seed(0)
    rows = torch.randn(40, 6) + torch.tensor([8.0, 0, 0, 0, 0, 0])
    gate = fit_gate(rows)
    one = torch.nn.functional.normalize(rows[:1], dim=-1)[0].double().numpy()
    wanted = mahalanobis(one, gate.mean.double().numpy(), gate.precision.double().numpy())
    assert float(gate.distance(rows[:1])[0]) == pytest.approx(wanted, rel=1e-4)
    assert torch.equal(gate.distance(3 * rows), gate.distance(3 * rows)), "the length of a read-out does not matter"
    assert torch.allclose(gate.distance(3 * rows), gate.distance(rows), rtol=1e-3)


def test_others_are_farther():
    torch.manual_seed(0)
    rows = torch.randn(60, 6) + torch.tensor([8.0, 0, 0, 0, 0, 0])
    gate = fit_gate(rows)
    others = torch.randn(60, 6) + torch.tensor([0.0, 8, 0, 0, 0, 0])
    assert gate.distance(others).min() > gate.distance(rows).max()


@pytest.mark.parametrize(("count", "wanted"), [(5, 4.0), (48, 47.0), (49, 48.0), (99, 97.0), (200, 196.0)])
def test_the_limit_lets_98_in_100_pass(count, wanted):
    assert find_limit(np.random.default_rng(0).permutation(count).astype(float)) == wanted


def test_without_anybody_there_is_no_limit():
    assert find_limit(np.zeros(0)) is None


def test_a_damaged_gate_is_refused():
    state = Gate(torch.zeros(4), torch.eye(4)).tensors()
    with pytest.raises(ValueError, match="does not fit"):
        take_gate(dict(state), 5)
    with pytest.raises(ValueError, match="does not fit"):
        take_gate({"gate.mean": torch.zeros(4)}, 4)
    assert take_gate({}, 4) is None


def test_a_scan_far_away_is_flagged(tiny_run, tiny_cohort):
    predictor = Predictor.from_checkpoint(tiny_run, "cpu")
    assert predictor.gate is not None and predictor.record.calibration.gate_limit is not None
    scan = next(tiny_cohort.rglob("*_T1w.nii.gz"))
    near = predictor(scan)
    assert "unlike_training_scans" not in near.flags
    prepared = predictor.prepare(predictor_item(scan))
    limit = predictor.answer(prepared, predictor.evidence(prepared, None)).distance
    assert limit is not None
    predictor.record = replace(
        predictor.record, calibration=replace(predictor.record.calibration, gate_limit=limit * 0.99)
    )
    far = predictor(scan)
    assert "unlike_training_scans" in far.flags and far.status == "caution"
    assert far.probabilities == near.probabilities


@pytest.mark.parametrize(("fitted", "served"), [("bf16", "fp32"), ("fp32", "bf16")])
def test_a_gate_serves_another_precision_than_it_was_fitted_in(tiny_base, fitted, served):
    from tiny import PROMPTS, make_cohort

    from adclip.model.bases import read_base
    from adclip.model.build import load_network
    from adclip.model.device import DTYPES

    cohort, cpu = make_cohort(48), torch.device("cpu")
    outs = {}
    for precision in (fitted, served):
        torch.manual_seed(3)  # the same fresh parts beside the base
        network = load_network(read_base(str(tiny_base)), PROMPTS, dtype=DTYPES[precision])
        outs[precision] = read_outs(network, cohort, range(48), cpu)
    assert not torch.equal(outs[fitted], outs[served])
    gate = fit_gate(outs[fitted][:32])
    there, here = (gate.distance(outs[precision][32:]) for precision in (fitted, served))
    limit = find_limit(gate.distance(outs[fitted][:32]).double().numpy())
    assert limit is not None
    torch.testing.assert_close(here, there, rtol=0.1, atol=0)
    assert torch.equal(here > 1.1 * limit, there > 1.1 * limit)
    other = torch.nn.functional.normalize(outs[served][32:], dim=-1) - 2 * gate.mean
    assert gate.distance(other).min() > 2 * limit, "what is far away is far in either precision"


def predictor_item(scan):
    from adclip.prediction.inputs import to_item

    return to_item(scan)
