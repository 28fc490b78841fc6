"""The parts of the objective and of the calibration, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from adclip.evaluation.calibrate import calibrate
from adclip.evaluation.fusion import RoadEvidence, fit_temperature
from adclip.model.calibration import SCAN, TABLE, Calibration
from adclip.prediction.answer import to_probabilities
from adclip.training.losses import Pairs, adjusted_cross_entropy, contrast, masked_mse, published_contrast, soft_targets

LABELS = torch.tensor([0, 1, 0, 2])


def test_soft_targets_spread_over_the_class():
    wanted = torch.tensor([[0.75, 0, 0.25, 0], [0, 1, 0, 0], [0.25, 0, 0.75, 0], [0, 0, 0, 1]])
    assert torch.equal(soft_targets(LABELS), wanted)
    assert torch.equal(soft_targets(LABELS).sum(1), torch.ones(4))


def test_contrast_equals_the_formula_both_ways():
    image, text = (torch.nn.functional.normalize(torch.randn(4, 8), dim=-1) for _ in range(2))
    logits, wanted = 5.0 * image @ text.T, soft_targets(LABELS)
    one = -(wanted * logits.log_softmax(1)).sum(1).mean()
    two = -(wanted.T * logits.T.log_softmax(1)).sum(1).mean()
    found = contrast(Pairs(image, text, LABELS), torch.tensor(5.0))
    torch.testing.assert_close(found, (one + two) / 2)


def test_earlier_pairs_take_part_in_the_contrast():
    """A batch of two with two remembered pairs compares each of its own with all four."""
    image, text = (torch.nn.functional.normalize(torch.randn(4, 8), dim=-1) for _ in range(2))
    every = Pairs(image, text, LABELS)
    now, earlier = every.first(2), Pairs(image[2:], text[2:], LABELS[2:])
    wanted = soft_targets(LABELS)[:2]
    one = -(wanted * (5.0 * image[:2] @ text.T).log_softmax(1)).sum(1).mean()
    two = -(wanted * (5.0 * text[:2] @ image.T).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(contrast(now, torch.tensor(5.0), earlier), (one + two) / 2)


def test_the_published_contrast_calls_a_classmate_a_negative():
    image = torch.eye(3)
    assert published_contrast(image, image, torch.tensor(10.0)) < published_contrast(
        image, image[[1, 0, 2]], torch.tensor(10.0)
    )


def test_the_text_of_a_classmate_is_no_negative():
    image = torch.eye(3)
    text = image[[1, 0, 2]]  # the first two have each other's text
    same, other = (contrast(Pairs(image, text, torch.tensor(y)), torch.tensor(10.0)) for y in ([0, 0, 1], [0, 2, 1]))
    assert same < other


def test_logit_adjustment_adds_the_log_prior():
    scores, prior = torch.randn(4, 3), torch.tensor([0.5, 0.25, 0.25])
    wanted = -(scores + prior.log()).log_softmax(1)[torch.arange(4), LABELS].mean()
    torch.testing.assert_close(adjusted_cross_entropy(scores, LABELS, prior.log()), wanted)
    even = torch.full((3,), -math.log(3))
    torch.testing.assert_close(
        adjusted_cross_entropy(scores, LABELS, even), torch.nn.functional.cross_entropy(scores, LABELS)
    )


def test_an_unknown_mmse_teaches_nothing():
    predicted = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    loss = masked_mse(predicted, torch.tensor([0.0, math.nan, 5.0]))
    loss.backward()
    assert loss.item() == pytest.approx((1 + 4) / 2)
    assert predicted.grad.tolist() == [1.0, 0.0, -2.0]
    nothing = masked_mse(predicted, torch.full((3,), math.nan))
    nothing.backward()
    assert nothing.item() == 0.0 and torch.isfinite(predicted.grad).all()


# ------------------------------------------------------------------------------------------------ calibration


def draw(temperature: float, count: int = 4000) -> tuple[np.ndarray, list[int]]:
    """Scores whose true probabilities are softmax(scores / temperature)."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 3, (count, 3))
    return scores, [int(rng.choice(3, p=row)) for row in to_probabilities(scores, temperature)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_is_found(temperature):
    assert fit_temperature(*draw(temperature)) == pytest.approx(temperature, rel=0.1)


def test_probabilities_sum_to_one_also_for_large_scores():
    found = to_probabilities(np.array([[900.0, -900.0, 0.0]]), 0.1)
    assert found.sum() == pytest.approx(1) and np.isfinite(found).all()


CLASSES = ("CN", "MCI", "AD")


def make_scores(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (count, 3))


def roads_of(report: np.ndarray, bare: np.ndarray, truth: np.ndarray, told: np.ndarray | None = None) -> dict:
    """Evidence of a method with a report and without; `told` says who has one."""
    told = np.ones(len(truth), dtype=bool) if told is None else told
    return {SCAN: RoadEvidence(truth, scan=bare), TABLE: RoadEvidence(truth[told], both=report[told])}


def calibrated_score(estimates: np.ndarray, true_scores: np.ndarray) -> Calibration:
    scores, truth = make_scores(len(estimates)), np.arange(len(estimates)) % 3
    return calibrate(roads_of(scores, scores[:, ::-1], truth), estimates, true_scores, CLASSES)


def test_the_mmse_interval_is_the_conformal_rank():
    found = calibrated_score(20 + np.arange(19) / 10, np.full(19, 20.0))
    assert found.mmse_half_width == pytest.approx(1.7)  # the 18th smallest of 0.0, 0.1, ..., 1.8: ceil(20 * 0.9)
    assert found.subjects == 19 and found.coverage == 0.9


def test_the_mmse_interval_counts_only_known_values():
    mmse = np.full(19, 20.0)
    mmse[10:] = math.nan
    found = calibrated_score(20 + np.arange(19) / 10, mmse)
    assert found.mmse_half_width == pytest.approx(0.9)  # the largest of 10


@pytest.mark.parametrize("known", [0, 8])
def test_too_few_values_give_no_interval(known):
    mmse = np.full(12, math.nan)
    mmse[:known] = 20.0
    assert calibrated_score(20 + np.arange(12) / 10, mmse).mmse_half_width is None


def test_the_interval_covers_as_promised():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        error = rng.normal(0, 2, 40)
        width = calibrate({}, 20 + error[:39], np.full(39, 20.0), CLASSES).mmse_half_width
        covered.append(abs(error[39]) <= width)
    assert 0.85 < np.mean(covered) < 0.95


def test_one_class_alone_calibrates_nothing():
    scores = make_scores(9)
    evidence = roads_of(scores, scores[:, ::-1], np.zeros(9, dtype=int))
    found = calibrate(evidence, 20 + np.arange(9) / 10, np.full(9, 20.0), CLASSES)
    for name in (SCAN, TABLE):
        road = found.road(name)
        assert (road.temperature, road.thresholds, road.study_temperature, road.fitted) == (1.0, None, None, False)
    assert found.mmse_half_width is not None  # an interval of the score needs no classes


def test_scans_without_a_report_do_not_shape_the_road_of_the_report():
    scores, truth = make_scores(60), np.arange(60) % 3
    bare, told, unknown = scores[:, ::-1], np.arange(60) < 40, np.full(60, math.nan)

    def fit(told: np.ndarray | None) -> Calibration:
        return calibrate(roads_of(scores, bare, truth, told), None, unknown, CLASSES, (0.2, 0.5, 0.3))

    found, everyone = fit(told), fit(None)
    alone = calibrate(roads_of(scores[:40], bare[:40], truth[:40]), None, unknown[:40], CLASSES, (0.2, 0.5, 0.3))
    assert found.road(TABLE) == alone.road(TABLE) != everyone.road(TABLE)
    assert found.road(SCAN) == everyone.road(SCAN) != alone.road(SCAN)
    nobody = fit(np.zeros(60, dtype=bool))
    assert nobody.road(SCAN) == found.road(SCAN) and TABLE not in nobody.roads
    for untaught in (nobody.road(TABLE), fit(truth == 1).road(TABLE)):
        assert (untaught.temperature, untaught.study_temperature, untaught.thresholds) == (1.0, None, None)
        assert (untaught.scan, untaught.metadata, untaught.both, untaught.fitted) == (0.0, 0.0, 1.0, False)
    one_class = fit(truth == 1).road(TABLE)
    assert one_class.counts == {"CN": 0, "MCI": 20, "AD": 0} and one_class.subjects == 20


def test_few_subjects_are_cross_fitted_and_it_is_said():
    """Each subject's chance comes from a temperature that did not see it, so single answers cannot buy themselves a tight set."""
    truth = np.arange(30) % 3
    scores = 4 * np.eye(3)[truth] + np.random.default_rng(0).normal(0, 2.5, (30, 3))

    def fit(times: int) -> Calibration:
        many, labels = np.tile(scores, (times, 1)), np.tile(truth, times)
        return calibrate(roads_of(many, many, labels), None, np.full(len(labels), math.nan), CLASSES)

    few, many = fit(1).road(TABLE), fit(3).road(TABLE)
    assert few.cross_fitted and few.thresholds is not None and few.subjects == 30
    assert not many.cross_fitted and many.thresholds is not None
    assert few.temperature == pytest.approx(many.temperature, rel=1e-3), "the temperature that is kept is that of all"
    assert few.thresholds != many.thresholds
