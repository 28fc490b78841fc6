"""Numbers that say how good predictions are, with 95 % intervals over subjects.

Classes are integers 0..K-1 here except in `summarise`, which takes names. Where a number is not defined (an AUC without
one of the two groups, a correlation of constants) it is NaN, and None in the result of `summarise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adclip.domain import FloatArray

RESAMPLES = 1000  # of the bootstrap; the ends of a 95 % interval then vary by about 0.1 standard errors
ECE_BINS = 10  # equal widths, as in Guo et al. 2017, arXiv:1706.04599 (who use 15; fewer suit small cohorts)
Metric = Callable[..., float]


def auc(y: ArrayLike, score: ArrayLike) -> float:
    """Return the area under the ROC curve: the chance that a case scores above a control, ties counting half.

    Parameters
    ----------
    y : array of shape (N,)
        True for cases.
    score : array of shape (N,)
        Higher means more likely a case; any unit.
    """
    case = np.asarray(y, dtype=bool)
    cases, controls = int(case.sum()), int((~case).sum())
    if not cases or not controls:
        return math.nan
    _, group, size = np.unique(np.asarray(score, dtype=float), return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[group]  # mean rank of ties
    return float((rank[case].sum() - cases * (cases + 1) / 2) / (cases * controls))


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the share of equal entries of two arrays of shape (N,)."""
    return float(np.mean(np.asarray(y_true) == np.asarray(y_pred))) if np.size(y_true) else math.nan


def balanced_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean recall over the classes that occur in `y_true`; both are integer arrays of shape (N,)."""
    table = _confusion(y_true, y_pred)
    present = table.sum(axis=1) > 0
    return float(np.mean(np.diag(table)[present] / table.sum(axis=1)[present])) if present.any() else math.nan


def macro_f1(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean F1 over the classes that occur in either of two integer arrays of shape (N,)."""
    table = _confusion(y_true, y_pred)
    support = table.sum(axis=0) + table.sum(axis=1)
    present = support > 0
    return float(np.mean(2 * np.diag(table)[present] / support[present])) if present.any() else math.nan


def brier(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean squared distance of probabilities (N, K) from the truth, summed over classes: 0 best, 2 worst."""
    shares = np.asarray(probabilities, dtype=float)
    truth = np.eye(shares.shape[1])[np.asarray(y_true, dtype=int)]
    return float(np.mean(np.sum((shares - truth) ** 2, axis=1))) if len(shares) else math.nan


def ece(y_true: ArrayLike, probabilities: ArrayLike, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error of the predicted class.

    Parameters
    ----------
    y_true : array of int, shape (N,)
        Class indices.
    probabilities : array of shape (N, K)
        Rows add up to 1.
    bins : int
        Number of bins of equal width over confidence 0 to 1.
    """
    shares = np.asarray(probabilities, dtype=float)
    return _ece(shares.max(axis=1), shares.argmax(axis=1) == np.asarray(y_true), bins) if len(shares) else math.nan


def ece_if_perfect(probabilities: ArrayLike, bins: int = ECE_BINS, draws: int = 200, seed: int = 0) -> float:
    """Return the mean ECE that these probabilities (N, K) would show were they exactly right.

    With few subjects even a perfectly calibrated model has an ECE well above 0; only the excess means anything.
    """
    confidence = np.asarray(probabilities, dtype=float).max(axis=1)
    if not len(confidence):
        return math.nan
    random = np.random.default_rng(seed)
    return float(np.mean([_ece(confidence, random.random(len(confidence)) < confidence, bins) for _ in range(draws)]))


def mae(true: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean absolute error of two arrays of shape (N,), in their unit."""
    return float(np.mean(np.abs(np.subtract(true, predicted)))) if np.size(true) else math.nan


def pearson_r(first: ArrayLike, second: ArrayLike) -> float:
    """Return the correlation of two arrays of shape (N,); NaN if one is constant."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if len(a) < 2:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return max(-1.0, min(1.0, float(a @ b) / norm)) if norm > 0 else math.nan


def bootstrap_interval(
    metric: Metric, *arrays: ArrayLike, subjects: Sequence[str], n: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    """Estimate a metric with its 95 % percentile interval, resampling people rather than scans.

    Parameters
    ----------
    metric : callable
        Takes the arrays, returns a number.
    *arrays : array of shape (N, ...)
        One entry per scan.
    subjects : sequence of str, length N
        Who each scan belongs to; all scans of a drawn subject are drawn together.
    n : int
        Resamples.
    seed : int
        Same seed, same interval.

    Returns
    -------
    estimate, low, high : float
        The ends are NaN if the metric is undefined in more than half of the resamples (a group is too small), or if there
        are fewer than two subjects.

    References
    ----------
    .. [1] Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13.
    """
    data = [np.asarray(array) for array in arrays]
    if any(len(array) != len(subjects) for array in data):
        raise ValueError(f"arrays of length {[len(array) for array in data]} for {len(subjects)} scans")
    estimate = metric(*data)
    _, owner, sizes = np.unique(np.asarray(subjects, dtype=str), return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        return estimate, math.nan, math.nan
    scans = np.split(np.argsort(owner, kind="stable"), np.cumsum(sizes)[:-1])
    random = np.random.default_rng(seed)
    values = np.empty(n)
    for number in range(n):
        drawn = random.integers(len(scans), size=len(scans))
        rows = np.concatenate([scans[subject] for subject in drawn])
        values[number] = metric(*(array[rows] for array in data))
    defined = values[np.isfinite(values)]
    if len(defined) < n / 2:
        return estimate, math.nan, math.nan
    low, high = np.quantile(defined, [0.025, 0.975])
    return estimate, float(low), float(high)


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
) -> dict[str, dict[str, float | int | None]]:
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
        Of the resampling.
    majority : str, optional
        Class that the majority baseline always answers, the most frequent in training; default is the most frequent here.
    resamples : int
        Of the bootstrap.
    score_name : str
        Of the task's auxiliary score, the MMSE by default, in the names of its metrics.

    Returns
    -------
    dict
        Name -> ``{"value", "low", "high", "n"}``: the estimate, its 95 % interval over subjects and the number of scans
        behind it; None where undefined. Names: accuracy, balanced_accuracy, macro_f1, auc_CLASS_vs_rest for each class,
        auc_ad_vs_cn (last class against first: score p_AD / (p_AD + p_CN), CN and AD only), brier, ece, ece_if_perfect,
        majority_accuracy, majority_balanced_accuracy, and with scores mmse_mae and mmse_r.
    """
    classes = [str(name) for name in class_order]
    truth = np.array([classes.index(str(name)) for name in y_true], dtype=int)
    shares = np.asarray(probabilities, dtype=float).reshape(len(truth), len(classes))
    people = np.asarray(subjects, dtype=str)
    answer = shares.argmax(axis=1) if len(truth) else truth
    result: dict[str, dict[str, float | int | None]] = {}

    def measure(name: str, metric: Metric, *arrays: NDArray[Any], rows: NDArray[Any] | None = None) -> None:
        chosen = np.arange(len(truth)) if rows is None else np.flatnonzero(rows)
        found = bootstrap_interval(
            metric, *(array[chosen] for array in arrays), subjects=people[chosen].tolist(), n=resamples, seed=seed
        )
        value, low, high = (number if math.isfinite(number) else None for number in found)
        result[name] = {"value": value, "low": low, "high": high, "n": len(chosen)}

    measure("accuracy", accuracy, truth, answer)
    measure("balanced_accuracy", balanced_accuracy, truth, answer)
    measure("macro_f1", macro_f1, truth, answer)
    for index, name in enumerate(classes):
        measure(f"auc_{name.lower()}_vs_rest", auc, truth == index, shares[:, index])
    last = len(classes) - 1
    both = shares[:, last] + shares[:, 0]
    odds = np.divide(shares[:, last], both, out=np.full(len(truth), 0.5), where=both > 0)
    ends = f"auc_{classes[-1].lower()}_vs_{classes[0].lower()}"
    measure(ends, auc, truth == last, odds, rows=(truth == last) | (truth == 0))
    measure("brier", brier, truth, shares)
    measure("ece", ece, truth, shares)
    floor = ece_if_perfect(shares, seed=seed)
    result["ece_if_perfect"] = {
        "value": floor if math.isfinite(floor) else None, "low": None, "high": None, "n": len(truth)
    }  # fmt: skip
    if len(truth):
        common = classes.index(majority) if majority is not None else int(np.bincount(truth).argmax())
        measure("majority_accuracy", accuracy, truth, np.full(len(truth), common))
        measure("majority_balanced_accuracy", balanced_accuracy, truth, np.full(len(truth), common))
    if mmse_true is not None and mmse_pred is not None:
        known, guessed = _with_nan(mmse_true), _with_nan(mmse_pred)
        rows = np.isfinite(known) & np.isfinite(guessed)
        measure(f"{score_name}_mae", mae, known, guessed, rows=rows)
        measure(f"{score_name}_r", pearson_r, known, guessed, rows=rows)
    return result


def _confusion(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """Return counts (K, K), true class by predicted class."""
    truth, answer = np.asarray(y_true, dtype=int), np.asarray(y_pred, dtype=int)
    size = int(max(truth.max(initial=-1), answer.max(initial=-1))) + 1
    return np.bincount(truth * size + answer, minlength=size * size).reshape(size, size)


def _ece(confidence: FloatArray, correct: NDArray[Any], bins: int) -> float:
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(bin_of, weights=correct.astype(float) - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def _with_nan(values: Sequence[float | None]) -> FloatArray:
    return np.array([math.nan if value is None else float(value) for value in values], dtype=float)
