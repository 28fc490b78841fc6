"""How much better one method is than another on the same people."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.evaluation.metrics.f1 import macro_f1_difference_interval
from adclip.evaluation.metrics.intervals import Estimate, auc_difference_interval, class_mean_interval, mean_interval
from adclip.evaluation.metrics.resampling import RESAMPLES, studentised_interval
from adclip.evaluation.metrics.summary import Entry, entry, odds, squares

GAIN_RANGE = (-1.0, 1.0)  # of the difference of two answers that are right (1) or wrong (0)


@dataclass(frozen=True)
class Judged:
    """What one method says of N scans.

    Parameters
    ----------
    equal, study : ndarray (N, K)
        Probabilities for classes equally common, and as common as in the study.
    score : ndarray (N,) or None
        Estimated auxiliary score in points, NaN where there is none.
    """

    equal: FloatArray
    study: FloatArray
    score: FloatArray | None = None


def compare(
    first: Judged,
    second: Judged,
    truth: NDArray[np.int64],
    class_order: Sequence[str],
    subjects: Sequence[str],
    score: FloatArray | None = None,
    seed: int = 0,
    *,
    names: Sequence[str] | None = None,
    score_name: str = "mmse",
    resamples: int = RESAMPLES,
) -> dict[str, Entry]:
    """Return every metric of one method less that of the other, with 95 % intervals of the difference over subjects.

    Parameters
    ----------
    first, second : Judged
        Both of the same scans.
    truth : ndarray of int (N,)
        Places of the true classes in `class_order`.
    class_order : sequence of str
        K class names.
    subjects : sequence of str, length N
        Who each scan belongs to.
    score : ndarray (N,), optional
        Known auxiliary score in points, NaN where unknown.
    seed, resamples : int
        Of the bootstrap.
    names : sequence of str, optional
        Metrics that are wanted; all by default.
    score_name : str
        Of the auxiliary score.

    Returns
    -------
    dict
        Name as in `summarise` -> entry. Above 0 the first has more of it, which is better but for brier and mae. Calibration
        errors are not compared: each has a band of its own.

    Notes
    -----
    Differences on each person are what varies, so what both methods find hard on the same one does not count. Intervals are those of
    single numbers, between the bounds of differences.
    """
    people = np.asarray(subjects, dtype=str)
    metrics = _metrics(first, second, truth, class_order, people.tolist(), seed)
    groups = {name: (np.arange(len(truth)), measured) for name, measured in metrics.items()}
    ends = f"auc_{class_order[-1].lower()}_vs_{class_order[0].lower()}"
    rows = np.flatnonzero((truth == len(class_order) - 1) | (truth == 0))
    first_odds, second_odds = (odds(method.equal[rows]) for method in (first, second))
    groups[ends] = (
        rows,
        partial(auc_difference_interval, truth[rows] > 0, first_odds, second_odds, people[rows].tolist()),
    )
    if score is not None and first.score is not None and second.score is not None:
        error_difference = np.abs(first.score - score) - np.abs(second.score - score)
        scored_rows = np.flatnonzero(np.isfinite(error_difference))
        of = partial(studentised_interval, error_difference[scored_rows], people[scored_rows].tolist(), resamples, seed)
        groups[f"{score_name}_mae"] = scored_rows, of
    order = [name for name in groups if names is None or name in names]
    return {
        name: entry(groups[name][1](), len(groups[name][0]), len(np.unique(people[groups[name][0]])))
        for name in order
        if len(groups[name][0])
    }


def compare_groups(first: Estimate, second: Estimate) -> Estimate:
    """Return how much larger one number is than another of other people, with the interval of the difference.

    Parameters
    ----------
    first, second : (float, float, float)
        Estimate, low and high of each; nobody stands in both groups.

    Notes
    -----
    The two intervals, put together as distances whose squares add up (MOVER; Zou & Donner 2008, Statistics in Medicine 27:1693-1702).
    """
    below = math.hypot(first[0] - first[1], second[2] - second[0])
    above = math.hypot(first[2] - first[0], second[0] - second[1])
    estimate = first[0] - second[0]
    return estimate, estimate - below, estimate + above


def _metrics(
    first: Judged, second: Judged, truth: NDArray[Any], classes: Sequence[str], people: list[str], seed: int
) -> dict[str, Callable[[], Estimate]]:
    """Return how to compare the numbers that all scans have a part in."""

    def gained(answers: FloatArray, reference: FloatArray) -> FloatArray:
        result: FloatArray = (answers.argmax(1) == truth).astype(float) - (reference.argmax(1) == truth)
        return result

    metrics: dict[str, Callable[[], Estimate]] = {
        "accuracy": partial(mean_interval, gained(first.study, second.study), people, GAIN_RANGE, seed),
        "balanced_accuracy": partial(
            class_mean_interval, gained(first.equal, second.equal), truth, people, GAIN_RANGE, seed
        ),
        "macro_f1": partial(
            macro_f1_difference_interval, truth, first.equal.argmax(1), second.equal.argmax(1), people, seed
        ),
    }
    for index, name in enumerate(classes):
        scores = first.equal[:, index], second.equal[:, index]
        metrics[f"auc_{name.lower()}_vs_rest"] = partial(auc_difference_interval, truth == index, *scores, people)
    error = squares(truth, first.study) - squares(truth, second.study)
    return metrics | {"brier": partial(mean_interval, error, people, (-2.0, 2.0), seed)}
