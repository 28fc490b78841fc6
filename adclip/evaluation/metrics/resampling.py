"""The bootstrap over people, for numbers that have no interval of their own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adclip.domain import FloatArray

RESAMPLES = 1000  # of the bootstrap; the ends of a 95 % interval then vary by about 0.1 standard errors
Metric = Callable[..., float]


def bootstrap_interval(
    metric: Metric,
    *arrays: ArrayLike,
    subjects: Sequence[str],
    n: int = RESAMPLES,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> tuple[float, float, float]:
    """Estimate a metric with its 95 % interval, resampling people rather than scans.

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
    strata : array of shape (N,), optional
        Classes: as many subjects of each are drawn as there are, a subject counting by the first scan.

    Returns
    -------
    estimate, low, high : float
        The ends hold the estimate. They are NaN where all resamples agree (they then say nothing of other people), where the
        metric is undefined in more than half of them (a group is too small), and with fewer than two subjects in all or in a stratum.

    Notes
    -----
    BCa by `scipy.stats.bootstrap` [1]_, at a level that makes up for the narrowness of the bootstrap with few people [2]_: the
    normal quantile becomes ``sqrt(m / (m - 1)) * t(m - 1)`` for m subjects. Where BCa is undefined, percentiles at that level.

    References
    ----------
    .. [1] Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 and 14.
    .. [2] Hesterberg 2015, The American Statistician 69:371-386, sec. 4.1.
    """
    from scipy import stats

    data = [np.asarray(array) for array in arrays]
    if any(len(array) != len(subjects) for array in data):
        raise ValueError(f"arrays of length {[len(array) for array in data]} for {len(subjects)} scans")
    estimate = float(metric(*data))
    scans = rows_of(subjects)
    groups = _groups(scans, strata)
    if any(len(group) < 2 for group in groups):
        return estimate, math.nan, math.nan

    def of_people(*drawn: NDArray[Any]) -> float:
        rows = np.concatenate([scans[int(person)] for group in drawn for person in group])
        return metric(*(array[rows] for array in data))

    level = _level(len(scans))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # degenerate resamples are told by NaN
        bootstrap = stats.bootstrap(
            groups, of_people, n_resamples=n, vectorized=False, confidence_level=level, rng=np.random.default_rng(seed)
        )
    values = np.asarray(bootstrap.bootstrap_distribution)
    defined = values[np.isfinite(values)]
    if len(defined) < n / 2 or np.ptp(defined) <= 1e-12 * max(1.0, abs(estimate)):
        return estimate, math.nan, math.nan
    low, high = bootstrap.confidence_interval
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return estimate, min(float(low), estimate), max(float(high), estimate)


def rows_of(subjects: Sequence[str]) -> list[NDArray[Any]]:
    """Return the scans of each subject, subjects in the order of their ids."""
    if not len(subjects):
        return []
    _, owner, sizes = np.unique(np.asarray(subjects, dtype=str), return_inverse=True, return_counts=True)
    return np.split(np.argsort(owner, kind="stable"), np.cumsum(sizes)[:-1])


def _groups(scans: Sequence[NDArray[Any]], strata: ArrayLike | None) -> tuple[NDArray[Any], ...]:
    """Return the places of the subjects in `scans`, one array a stratum."""
    places = np.arange(len(scans))
    if strata is None:
        return (places,)
    of = np.asarray(strata)[[rows[0] for rows in scans]] if len(scans) else places
    return tuple(places[of == stratum] for stratum in np.unique(of))


def _level(people: int) -> float:
    """Return the level at which the bootstrap is to be read for an interval of 95 %."""
    from scipy import stats

    return float(1 - 2 * stats.norm.sf(math.sqrt(people / (people - 1)) * stats.t.ppf(0.975, people - 1)))


def studentised_interval(
    values: ArrayLike, subjects: Sequence[str], n: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    """Estimate the mean of values (N,) without bounds, in their unit, with its 95 % bootstrap-t interval over subjects.

    Returns
    -------
    estimate, low, high : float
        The ends are NaN with fewer than three subjects, or where all have the same value.

    Notes
    -----
    Each resample's distance from the estimate is divided by its own standard error, so that skewed errors and few people are met
    better than by percentiles [1]_; no end is nearer than Student's. The mean is over scans; its standard error is that of a ratio of sums over subjects.

    References
    ----------
    .. [1] Efron & Tibshirani 1993, An Introduction to the Bootstrap, sec. 12.5.
    """
    from scipy import stats

    numbers = np.asarray(values, dtype=float)
    if not len(numbers):
        return math.nan, math.nan, math.nan
    estimate = float(numbers.mean())
    scans = rows_of(subjects)
    sizes = np.array([len(rows) for rows in scans], dtype=float)
    sums = np.array([numbers[rows].sum() for rows in scans])
    error = float(_standard_error(sums[None], sizes[None])[0]) if len(scans) > 2 else 0.0
    if error <= 1e-12 * max(1.0, abs(estimate)):
        return estimate, math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(len(scans), size=(n, len(scans)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    errors = _standard_error(sums[drawn], sizes[drawn])
    usable = errors > 1e-9 * error  # a resample of one person again and again has no error of its own
    low, high = np.quantile((means[usable] - estimate) / errors[usable], [0.025, 0.975])
    widest = float(stats.t.ppf(0.975, len(scans) - 1))
    return estimate, estimate - max(float(high), widest) * error, estimate + max(-float(low), widest) * error


def _standard_error(sums: FloatArray, sizes: FloatArray) -> FloatArray:
    """Return the standard error (D,) of means over scans, from sums and numbers of scans (D, M) of M subjects."""
    people = sums.shape[1]
    mean = sums.sum(axis=1, keepdims=True) / sizes.sum(axis=1, keepdims=True)
    spread = ((sums - mean * sizes) ** 2).sum(axis=1) * people / (people - 1)
    result: FloatArray = np.sqrt(spread) / sizes.sum(axis=1)
    return result
