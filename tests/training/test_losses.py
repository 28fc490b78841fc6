"""The parts of the objective and of the calibration, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from adclip.evaluation.calibrate import Answers, calibrate, fit_temperature
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


def make_answers(count: int) -> Answers:
    scores = np.random.default_rng(0).normal(0, 1, (count, 3))
    return Answers(scores, scores[:, ::-1].copy(), 20 + np.arange(count, dtype=float) / 10)


def test_the_mmse_interval_is_the_conformal_rank():
    answers = make_answers(19)
    found = calibrate(answers, torch.arange(19) % 3, torch.full((19,), 20.0))
    assert found.mmse_half_width == pytest.approx(1.7)  # the 18th smallest of 0.0, 0.1, ..., 1.8: ceil(20 * 0.9)
    assert found.subjects == 19


def test_the_mmse_interval_counts_only_known_values():
    mmse = torch.full((19,), 20.0)
    mmse[10:] = math.nan
    assert calibrate(make_answers(19), torch.arange(19) % 3, mmse).mmse_half_width == pytest.approx(
        0.9
    )  # the largest of 10


@pytest.mark.parametrize("known", [0, 8])
def test_too_few_values_give_no_interval(known):
    mmse = torch.full((12,), math.nan)
    mmse[:known] = 20.0
    assert calibrate(make_answers(12), torch.arange(12) % 3, mmse).mmse_half_width is None


def test_the_interval_covers_as_promised():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        error = rng.normal(0, 2, 40)
        answers = Answers(rng.normal(size=(39, 3)), rng.normal(size=(39, 3)), 20 + error[:39])
        width = calibrate(answers, torch.arange(39) % 3, torch.full((39,), 20.0)).mmse_half_width
        covered.append(abs(error[39]) <= width)
    assert 0.85 < np.mean(covered) < 0.95


def test_one_class_alone_calibrates_nothing():
    found = calibrate(make_answers(9), torch.zeros(9, dtype=torch.long), torch.full((9,), 20.0))
    assert (found.temperature, found.scan_only_temperature, found.set_threshold) == (1.0, 1.0, None)
    assert found.mmse_half_width is not None  # an interval of the score needs no classes


def test_scans_without_a_report_do_not_shape_the_report_s_temperature():
    answers, labels, mmse = make_answers(60), torch.arange(60) % 3, torch.full((60,), 20.0)
    told = np.arange(60) < 40
    found = calibrate(answers, labels, mmse, told)
    alone = calibrate(Answers(answers.report[:40], answers.bare[:40], None), labels[:40], mmse[:40])
    assert found.temperature == alone.temperature
    assert found.scan_only_temperature == calibrate(answers, labels, mmse).scan_only_temperature
    nobody = calibrate(answers, labels, mmse, np.zeros(60, dtype=bool))
    assert nobody.scan_only_temperature == found.scan_only_temperature
    assert (nobody.temperature, nobody.set_threshold, nobody.calibrated) == (1.0, None, False), "nothing is borrowed"
    one_class = calibrate(answers, labels, mmse, labels.numpy() == 1)
    assert (one_class.temperature, one_class.set_threshold, one_class.report_subjects) == (1.0, None, 20)
    assert not one_class.is_fitted(with_report=True) and one_class.is_fitted(with_report=False)


def test_few_subjects_are_cross_fitted_and_it_is_said():
    """Each subject's chance comes from a temperature that did not see it, so single answers cannot buy themselves a tight set."""
    labels = torch.arange(30) % 3
    rng = np.random.default_rng(0)
    scores = 4 * np.eye(3)[labels] + rng.normal(0, 2.5, (30, 3))
    few = calibrate(Answers(scores, scores, None), labels, torch.full((30,), float("nan")))
    assert few.cross_fitted and few.set_threshold is not None
    tripled = torch.cat([labels] * 3)
    many = calibrate(
        Answers(np.tile(scores, (3, 1)), np.tile(scores, (3, 1)), None), tripled, torch.full((90,), float("nan"))
    )
    assert not many.cross_fitted
    assert few.temperature == pytest.approx(many.temperature, rel=1e-3), "the temperature that is kept is that of all"
    assert few.set_threshold != many.set_threshold
