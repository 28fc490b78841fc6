"""How well repeated measurements of the same people agree."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adclip.evaluation.metrics.intervals import Estimate


def icc_interval(values: ArrayLike) -> Estimate:
    """Estimate the intraclass correlation of repeated measurements with its 95 % interval.

    Parameters
    ----------
    values : array of shape (N, K)
        K >= 2 measurements of each of N people, in one unit; which comes first does not matter.

    Returns
    -------
    estimate, low, high : float
        1 where all that differs are people, 0 where repetitions differ as much as people do; it can fall below 0. NaN with fewer
        than two people, or where nothing differs at all; the ends are NaN where the repetitions agree to the last digit.

    Notes
    -----
    ICC(1,1), one-way random effects, with the interval of the F distribution [1]_, [2]_: of two scans of one person neither has a role
    of its own.

    References
    ----------
    .. [1] Shrout & Fleiss 1979, Psychological Bulletin 86:420-428.
    .. [2] McGraw & Wong 1996, Psychological Methods 1:30-46.
    """
    from scipy.stats import f

    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 2:
        return math.nan, math.nan, math.nan
    people, times = table.shape
    means = table.mean(axis=1)
    between = times * float(((means - means.mean()) ** 2).sum()) / (people - 1)
    within = float(((table - means[:, None]) ** 2).sum()) / (people * (times - 1))
    if between + within <= 0:
        return math.nan, math.nan, math.nan
    estimate = (between - within) / (between + (times - 1) * within)
    if within <= 0:
        return estimate, math.nan, math.nan
    ratio, degrees = between / within, (people - 1, people * (times - 1))
    lower = ratio / float(f.ppf(0.975, *degrees))
    upper = ratio * float(f.ppf(0.975, *reversed(degrees)))
    return estimate, *((bound - 1) / (bound + times - 1) for bound in (lower, upper))
