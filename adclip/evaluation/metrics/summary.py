"""Every number of a set of predictions, under its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adclip.domain import FloatArray
from adclip.evaluation.metrics import intervals
from adclip.evaluation.metrics.f1 import macro_f1_interval
from adclip.evaluation.metrics.intervals import Estimate
from adclip.evaluation.metrics.reliability import ece, perfect_band
from adclip.evaluation.metrics.resampling import RESAMPLES, studentised_interval

Entry = dict[str, float | int | str | None]
FEWEST = 2  # subjects; of one nothing can be said about others
ALL_AGREE = "all resamples agree"  # why a number has no interval, in the word of the card
TOO_FEW = "too few subjects"


def entry(estimate: Estimate, count: int, people: int) -> Entry:
    """Return `value`, `low`, `high`, `n`, and `note` where a number has no interval; None for what is not finite."""
    value, low, high = (float(number) if math.isfinite(number) else None for number in estimate)
    record: Entry = {"value": value, "low": low, "high": high, "n": count}
    if value is not None and low is None:
        record["note"] = ALL_AGREE if people >= FEWEST else TOO_FEW
    return record


def summarise_mean(
    values: Sequence[float | None],
    subjects: Sequence[str],
    bounds: tuple[float, float] | None = (0.0, 1.0),
    seed: int = 0,
) -> Entry:
    """Return the entry of the mean of the values that are known.

    Parameters
    ----------
    values : sequence of float or None, length N
    subjects : sequence of str, length N
        Who each scan belongs to.
    bounds : tuple of float or None
        Between which values lie; None where nothing is known of that.
    seed : int
        Of the draws.
    """
    numbers = _with_nan(values)
    rows = np.flatnonzero(np.isfinite(numbers))
    people = [subjects[int(row)] for row in rows]
    estimate = (
        studentised_interval(numbers[rows], people, seed=seed)
        if bounds is None
        else intervals.mean_interval(numbers[rows], people, bounds, seed)
    )
    return entry(estimate, len(rows), len(set(people)))


def summarise(
    y_true: Sequence[str],
    probabilities: ArrayLike,
    class_order: Sequence[str],
    subjects: Sequence[str],
    mmse_true: Sequence[float | None] | None = None,
    mmse_pred: Sequence[float | None] | None = None,
    seed: int = 0,
    *,
    majority: str | None = None,
    resamples: int = RESAMPLES,
    score_name: str = "mmse",
    as_in_study: ArrayLike | None = None,
) -> dict[str, Entry]:
    """Return every metric of a set of predictions.

    Parameters
    ----------
    y_true : sequence of str, length N
        True class names.
    probabilities : array of shape (N, K)
        In the order of `class_order`; rows add up to 1.
    class_order : sequence of str
        K class names.
    subjects : sequence of str, length N
        Who each scan belongs to.
    mmse_true, mmse_pred : sequence of float or None, length N, optional
        Points; pairs with an unknown side are left out.
    seed : int
        Of draws and resamples.
    majority : str, optional
        Class that the majority baseline always answers, the most frequent in training; default is the most frequent here.
    resamples : int
        Of the bootstrap.
    score_name : str
        Of the task's auxiliary score, the MMSE by default, in the names of its metrics.
    as_in_study : array of shape (N, K), optional
        The same predictions for classes as common as where these people come from, if `probabilities` are for classes equally
        common. Each is then judged by people of its own mix: `as_in_study` by these people as they are, `probabilities` by them
        weighted so that classes weigh alike. Without it `probabilities` are judged by these people.

    Returns
    -------
    dict
        Name -> ``{"value", "low", "high", "n"}``: the estimate, its 95 % interval over subjects and the number of scans
        behind it; None where undefined, with a `note` where there is a value and no interval. Names: accuracy, balanced_accuracy,
        macro_f1, sensitivity_CLASS and specificity_CLASS (answers for classes equally common, as balanced_accuracy), auc_CLASS_vs_rest for each class, auc_ad_vs_cn (last class against first: score p_AD / (p_AD + p_CN), CN and AD
        only), brier, ece, ece_if_perfect (mean and 95 % band of a perfect model), ece_excess (`ece` less them: below the band's
        upper end, a perfect model may show it, and the interval holds 0), majority_accuracy, majority_balanced_accuracy, and with
        scores mmse_mae and mmse_r. With `as_in_study`, accuracy, brier and ece are its, and brier_equal, ece_equal,
        ece_equal_if_perfect and ece_equal_excess those of `probabilities` for classes equally common; the accuracy for such is
        balanced_accuracy.

    Notes
    -----
    Intervals are those of `adclip.evaluation.metrics.intervals`; docs/explanation/decisions.md has their measured coverage.
    """
    classes = [str(name) for name in class_order]
    truth = np.array([classes.index(str(name)) for name in y_true], dtype=int)
    equal = np.asarray(probabilities, dtype=float).reshape(len(truth), len(classes))
    study = equal if as_in_study is None else np.asarray(as_in_study, dtype=float).reshape(equal.shape)
    people = np.asarray(subjects, dtype=str)
    maker = _EntryMaker(truth, people, seed)
    result: dict[str, Entry] = {}
    result["accuracy"] = maker.share(study.argmax(axis=1) == truth)
    answered = equal.argmax(axis=1)
    result["balanced_accuracy"] = maker.class_mean(answered == truth, (0.0, 1.0))
    result["macro_f1"] = maker.of(macro_f1_interval(truth, answered, people.tolist(), seed))
    for index, name in enumerate(classes):
        result[f"sensitivity_{name.lower()}"] = maker.share(answered == index, truth == index)
        result[f"specificity_{name.lower()}"] = maker.share(answered != index, truth != index)
        result[f"auc_{name.lower()}_vs_rest"] = maker.area(truth == index, equal[:, index])
    last = len(classes) - 1
    ends = (truth == last) | (truth == 0)
    result[f"auc_{classes[-1].lower()}_vs_{classes[0].lower()}"] = maker.area(truth == last, odds(equal), ends)
    result["brier"] = maker.of(intervals.mean_interval(squares(truth, study), people.tolist(), (0.0, 2.0), seed))
    result |= maker.reliability("ece", study, None)
    if as_in_study is not None and len(truth):
        result["brier_equal"] = maker.class_mean(squares(truth, equal), (0.0, 2.0))
        result |= maker.reliability("ece_equal", equal, np.bincount(truth, minlength=len(classes)))
    if len(truth):
        common = classes.index(majority) if majority is not None else int(np.bincount(truth).argmax())
        result["majority_accuracy"] = maker.share(truth == common)
        # who always says one class finds all of it and none of the others, whoever is asked: nothing varies
        recall = float((truth == common).any()) / len(np.unique(truth))
        result["majority_balanced_accuracy"] = maker.of((recall, recall, recall))
    if mmse_true is not None and mmse_pred is not None:
        true_points, predicted_points = _with_nan(mmse_true), _with_nan(mmse_pred)
        rows = np.flatnonzero(np.isfinite(true_points) & np.isfinite(predicted_points))
        subject_ids = people[rows].tolist()
        errors = np.abs(true_points[rows] - predicted_points[rows])
        value, low, high = studentised_interval(errors, subject_ids, resamples, seed)
        result[f"{score_name}_mae"] = entry((value, max(low, 0.0), high), len(rows), len(set(subject_ids)))
        estimate = intervals.correlation_interval(true_points[rows], predicted_points[rows], subject_ids)
        result[f"{score_name}_r"] = entry(estimate, len(rows), len(set(subject_ids)))
    return result


def squares(truth: NDArray[Any], probabilities: FloatArray) -> FloatArray:
    """Return the squared distance (N,) of each answer (N, K) from the truth, 0 to 2."""
    result: FloatArray = ((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1)
    return result


def odds(probabilities: FloatArray) -> FloatArray:
    """Return the last class' share of last and first (N,); even where both are impossible."""
    total = probabilities[:, -1] + probabilities[:, 0]
    result: FloatArray = np.divide(probabilities[:, -1], total, out=np.full(len(total), 0.5), where=total > 0)
    return result


@dataclass(frozen=True)
class _EntryMaker:
    """Entries about the same scans."""

    truth: NDArray[Any]
    people: NDArray[Any]
    seed: int

    def of(self, estimate: Estimate) -> Entry:
        return entry(estimate, len(self.truth), len(np.unique(self.people)))

    def share(self, right: NDArray[Any], rows: NDArray[Any] | None = None) -> Entry:
        chosen = np.arange(len(self.truth)) if rows is None else np.flatnonzero(rows)
        subject_ids = self.people[chosen].tolist()
        estimate = intervals.mean_interval(right[chosen], subject_ids, (0.0, 1.0), self.seed)
        return entry(estimate, len(chosen), len(set(subject_ids)))

    def class_mean(self, values: NDArray[Any], bounds: tuple[float, float]) -> Entry:
        return self.of(intervals.class_mean_interval(values, self.truth, self.people.tolist(), bounds, self.seed))

    def area(self, cases: NDArray[Any], score: FloatArray, rows: NDArray[Any] | None = None) -> Entry:
        chosen = np.arange(len(self.truth)) if rows is None else np.flatnonzero(rows)
        subject_ids = self.people[chosen].tolist()
        return entry(
            intervals.auc_interval(cases[chosen], score[chosen], subject_ids), len(chosen), len(set(subject_ids))
        )

    def reliability(self, name: str, probabilities: FloatArray, counts: NDArray[Any] | None) -> dict[str, Entry]:
        """Return the ECE, a perfect model's, and what the first has more; `counts` of the classes weigh them alike."""
        band = perfect_band(probabilities, seed=self.seed, subjects=self.people.tolist(), shares=counts)
        error = ece(self.truth, probabilities, alike=counts is not None)
        flat = band.high - band.low <= 1e-12  # a model that is sure of everything: chance plays no part
        low, high = (math.nan, math.nan) if flat else (min(band.low, band.mean), max(band.high, band.mean))
        return {
            name: {"value": error if math.isfinite(error) else None, "low": None, "high": None, "n": len(self.truth)},
            f"{name}_if_perfect": self.of((band.mean, low, high)),
            f"{name}_excess": self.of((error - band.mean, error - high, error - low)),
        }


def _with_nan(values: Sequence[float | None]) -> FloatArray:
    return np.array([math.nan if value is None else float(value) for value in values], dtype=float)
