"""The numbers themselves. Classes are integers 0..K-1; what is not defined (an AUC without one of the groups) is NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adclip.domain import FloatArray


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


def placements(y: ArrayLike, score: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return for each case the share of controls below it, and for each control the share of cases above it; ties count half.

    The mean of either is `auc(y, score)`.
    """
    case, numbers = np.asarray(y, dtype=bool), np.asarray(score, dtype=float)
    sick, well = np.sort(numbers[case]), np.sort(numbers[~case])
    below = sum(np.searchsorted(well, numbers[case], side) for side in ("left", "right")) / 2 / max(len(well), 1)
    above = 1 - sum(np.searchsorted(sick, numbers[~case], side) for side in ("left", "right")) / 2 / max(len(sick), 1)
    return below, above


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


def _confusion(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[Any]:
    """Return counts (K, K), true class by predicted class."""
    truth, answer = np.asarray(y_true, dtype=int), np.asarray(y_pred, dtype=int)
    size = int(max(truth.max(initial=-1), answer.max(initial=-1))) + 1
    return np.bincount(truth * size + answer, minlength=size * size).reshape(size, size)
