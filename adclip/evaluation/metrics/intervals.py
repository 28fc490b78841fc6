"""95 % intervals that hold with a dozen people too: of shares and bounded means, of mean recalls, of AUC and correlation.

People, not scans, are what is counted: all scans of a subject stand for one observation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adclip.domain import FloatArray
from adclip.evaluation.metrics.resampling import rows_of
from adclip.evaluation.metrics.values import auc, pearson_r, placements

DRAWS = 4000  # of weights; an end then varies by about a fortieth of the half width
CELLS = 2_000_000  # weights drawn at once, so that large cohorts fit into memory
Estimate = tuple[float, float, float]


def mean_interval(
    values: ArrayLike, subjects: Sequence[str], bounds: tuple[float, float] = (0.0, 1.0), seed: int = 0
) -> Estimate:
    """Estimate the mean of bounded values (N,) with its 95 % interval; of 0 and 1 it is a share.

    Parameters
    ----------
    values : array of shape (N,)
        Of each scan.
    subjects : sequence of str, length N
        Who each scan belongs to.
    bounds : tuple of float
        Smallest and largest value there can be.
    seed : int
        Of the draws, where there are any.

    Returns
    -------
    estimate, low, high : float
        NaN without scans. There is an interval for a single subject too.

    Notes
    -----
    For shares of people with one scan each this is Clopper and Pearson's [1]_. Gaffke's bound [2]_ is the same for any bounded values: an
    end is a quantile of the mean under random (Dirichlet) weights of the people and of one more, whose value is the bound on that side.
    That one stands for what so few people cannot show, and is why the interval never has length 0. A subject's scans enter as
    their mean, weighted by their number.

    References
    ----------
    .. [1] Clopper & Pearson 1934, Biometrika 26:404-413; `scipy.stats.binomtest`.
    .. [2] Gaffke 2005, Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable,
       Math. Methods Statist. 14:451-467; Learned-Miller & Thomas 2019, arXiv:1905.06208.
    """
    numbers = np.asarray(values, dtype=float)
    if not len(numbers):
        return math.nan, math.nan, math.nan
    least, most = bounds
    estimate = float(numbers.mean())
    scans = rows_of(subjects)
    if len(scans) == len(numbers) and np.isin(numbers, bounds).all():
        from scipy import stats

        low, high = stats.binomtest(int((numbers == most).sum()), len(numbers)).proportion_ci(method="exact")
        return estimate, least + (most - least) * float(low), least + (most - least) * float(high)
    sizes = np.array([len(rows) for rows in scans], dtype=float)
    sums = np.array([numbers[rows].sum() for rows in scans])
    low, high = _gaffke(sums, sizes, least, most, np.random.default_rng(seed))
    return estimate, min(low, estimate), max(high, estimate)


def _gaffke(
    sums: FloatArray, sizes: FloatArray, least: float, most: float, random: np.random.Generator
) -> tuple[float, float]:
    lows, highs = [], []
    block = max(1, CELLS // (len(sums) + 1))
    for start in range(0, DRAWS, block):
        weights = random.standard_exponential((min(block, DRAWS - start), len(sums) + 1))
        added = weights[:, -1] * sizes.mean()
        total, number = weights[:, :-1] @ sums, weights[:, :-1] @ sizes + added
        lows.append((total + added * least) / number)
        highs.append((total + added * most) / number)
    return float(np.quantile(np.concatenate(lows), 0.025)), float(np.quantile(np.concatenate(highs), 0.975))


def class_mean_interval(
    values: ArrayLike,
    classes: ArrayLike,
    subjects: Sequence[str],
    bounds: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
) -> Estimate:
    """Estimate the mean over classes of the classes' mean values: balanced accuracy, where values say what was right.

    Parameters
    ----------
    values, classes : array of shape (N,)
        Of each scan; classes are those that occur.
    subjects, bounds, seed
        As in `mean_interval`.

    Notes
    -----
    The ends of the classes' own intervals are put together as distances from the estimate, whose squares add up (MOVER) [1]_.
    A class that was always missed, or always found, keeps the width that so few of its people have.

    References
    ----------
    .. [1] Zou & Donner 2008, Statistics in Medicine 27:1693-1702.
    """
    numbers, kinds, people = np.asarray(values, dtype=float), np.asarray(classes), np.asarray(subjects, dtype=str)
    class_intervals = [
        mean_interval(numbers[kinds == kind], people[kinds == kind].tolist(), bounds, seed) for kind in np.unique(kinds)
    ]
    if not class_intervals:
        return math.nan, math.nan, math.nan
    means, lows, highs = np.array(class_intervals).T
    estimate = float(means.mean())
    below = math.sqrt(float(((means - lows) ** 2).sum())) / len(means)
    above = math.sqrt(float(((highs - means) ** 2).sum())) / len(means)
    return estimate, max(estimate - below, bounds[0]), min(estimate + above, bounds[1])


def auc_interval(cases: ArrayLike, score: ArrayLike, subjects: Sequence[str]) -> Estimate:
    """Estimate the area under the ROC curve with its 95 % interval.

    Parameters
    ----------
    cases : array of shape (N,)
        True for cases.
    score : array of shape (N,)
        Higher means more likely a case; any unit.
    subjects : sequence of str, length N
        Who each scan belongs to.

    Returns
    -------
    estimate, low, high : float
        NaN without cases or without controls. An AUC of 1 has an interval that ends below it.

    Notes
    -----
    A score interval [1]_: its ends are the areas from which the estimate is 1.96 standard errors away, with Hanley and McNeil's standard
    error at that area. Numbers of cases and controls are effective ones, see `effective_number`.

    References
    ----------
    .. [1] Newcombe 2006, Statistics in Medicine 25:559-573, method 5.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    truth, people = np.asarray(cases, dtype=bool), np.asarray(subjects, dtype=str)
    estimate = auc(truth, score)
    if not math.isfinite(estimate):
        return math.nan, math.nan, math.nan
    sick, well = (effective_number(people[rows].tolist()) for rows in (truth, ~truth))
    middle, quantile = max((sick + well) / 2 - 1, 0.0), float(norm.ppf(0.975))

    def beyond(area: float) -> float:
        spread = 1 + middle * (1 - area) / (2 - area) + middle * area / (1 + area)
        return (area - estimate) ** 2 - quantile**2 * area * (1 - area) * spread / (sick * well)

    beside = 1e-9  # of the estimate 0 or 1 itself, which solves the equation in vain
    low = float(brentq(beyond, 0.0, estimate - beside)) if estimate > beside else 0.0
    high = float(brentq(beyond, estimate + beside, 1.0)) if estimate < 1 - beside else 1.0
    return estimate, low, high


def auc_difference_interval(cases: ArrayLike, first: ArrayLike, second: ArrayLike, subjects: Sequence[str]) -> Estimate:
    """Estimate how much larger the area is under the ROC curve of one score (N,) than of another on the same people.

    Notes
    -----
    The two areas' own intervals, put together with the correlation of the areas (MOVER) [1]_, which is DeLong's [2]_ and 0 where one of
    them does not vary. So two perfect scores have an interval too, where resamples would all agree.

    References
    ----------
    .. [1] Zou 2007, Psychological Methods 12:399-413.
    .. [2] DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837-845.
    """
    first_interval, second_interval = (auc_interval(cases, score, subjects) for score in (first, second))
    if not math.isfinite(first_interval[0] + second_interval[0]):
        return math.nan, math.nan, math.nan
    people, truth = np.asarray(subjects, dtype=str), np.asarray(cases, dtype=bool)
    spread = np.zeros((2, 2))
    for side, rows in enumerate((truth, ~truth)):
        subject_rows = rows_of(people[rows].tolist())
        if len(subject_rows) > 1:
            side_placements = np.array([placements(truth, score)[side] for score in (first, second)])
            sums = np.array(
                [
                    (side_placements[:, scans] - side_placements.mean(axis=1, keepdims=True)).sum(axis=1)
                    for scans in subject_rows
                ]
            )
            spread += sums.T @ sums * len(subject_rows) / (len(subject_rows) - 1) / rows.sum() ** 2
    scale = math.sqrt(spread[0, 0] * spread[1, 1])
    # few people may rank alike by chance: theirs is never taken for a correlation of 1, which would leave no length
    fewest = min(len(np.unique(people[rows])) for rows in (truth, ~truth))
    shared = min(1.0, max(-1.0, float(spread[0, 1]) / scale)) * (1 - 1 / fewest) if scale > 1e-15 else 0.0

    def combined_arm(first_arm: float, second_arm: float) -> float:
        return math.sqrt(max(first_arm**2 + second_arm**2 - 2 * shared * first_arm * second_arm, 0.0))

    estimate = first_interval[0] - second_interval[0]
    below = combined_arm(first_interval[0] - first_interval[1], second_interval[2] - second_interval[0])
    above = combined_arm(first_interval[2] - first_interval[0], second_interval[0] - second_interval[1])
    return estimate, max(estimate - below, -1.0), min(estimate + above, 1.0)


def correlation_interval(first: ArrayLike, second: ArrayLike, subjects: Sequence[str]) -> Estimate:
    """Estimate the correlation of two arrays (N,) with its 95 % interval on Fisher's scale.

    Returns
    -------
    estimate, low, high : float
        The ends are NaN with four effective subjects or fewer, and where the points lie on a line.

    Notes
    -----
    Fisher's standard error [1]_ takes both for normal, and a score with a ceiling in a cohort with few patients is not: alone it covers
    87 % of 95. The larger of it and the jackknife's over subjects [2]_ is taken, with Student's quantile.

    References
    ----------
    .. [1] Fisher 1921, Metron 1:3-32, as in `scipy.stats.pearsonr`; with the effective number of subjects.
    .. [2] Hinkley 1978, Biometrika 65:13-21.
    """
    from scipy.stats import t

    estimate = pearson_r(first, second)
    number = effective_number(subjects)
    if not math.isfinite(estimate) or number <= 4 or abs(estimate) > 1 - 1e-12:
        return estimate, math.nan, math.nan
    half = float(t.ppf(0.975, number - 2)) * max(_jackknife(first, second, subjects), 1 / math.sqrt(number - 3))
    middle = math.atanh(estimate)
    return estimate, math.tanh(middle - half), math.tanh(middle + half)


def _jackknife(first: ArrayLike, second: ArrayLike, subjects: Sequence[str]) -> float:
    """Return the standard error of Fisher's z of the correlation, from leaving each subject out in turn."""
    a, b = (np.asarray(variable, dtype=float) for variable in (first, second))
    a, b = a - a.mean(), b - b.mean()
    terms = np.stack([np.ones(len(a)), a, b, a * a, b * b, a * b])
    own = np.array([terms[:, rows].sum(axis=1) for rows in rows_of(subjects)])
    count, x, y, xx, yy, xy = (own.sum(axis=0) - own).T
    spread = np.sqrt(np.maximum((xx - x * x / count) * (yy - y * y / count), 0.0))
    # without the one who differs the others may be constant, or lie on a line: such a z is cut where 1 cannot be told from it
    correlations = np.divide(xy - x * y / count, spread, out=np.zeros(len(own)), where=spread > 0)
    z = np.arctanh(np.clip(correlations, -1 + 1e-9, 1 - 1e-9))
    return float(math.sqrt((len(z) - 1) / len(z) * ((z - z.mean()) ** 2).sum()))


def effective_number(subjects: Sequence[str] | NDArray[Any]) -> float:
    """Return how many independent scans are worth as much as these: Kish's number, with a subject's scans taken as alike.

    It is the number of subjects where all have equally many scans, and less where few people bring most of them (Kish 1965, Survey
    Sampling, sec. 11.7).
    """
    sizes = np.unique(np.asarray(subjects, dtype=str), return_counts=True)[1].astype(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0
