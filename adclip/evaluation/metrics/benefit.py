"""What decisions are worth that are taken by a probability."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from adclip.domain import FloatArray


def net_benefit(cases: ArrayLike, probability: ArrayLike, thresholds: ArrayLike) -> FloatArray:
    """Return the net benefit of acting on everybody whose probability reaches a threshold.

    Parameters
    ----------
    cases : array of shape (N,)
        True for those whom acting helps.
    probability : array of shape (N,)
        Stated chance of being a case, 0 to 1, for classes as common as among these people.
    thresholds : array of shape (T,)
        Between 0 and 1, without 1: the chance from which on somebody would act.

    Returns
    -------
    ndarray of shape (T,)
        Share of found cases, less the share of false alarms times the odds of the threshold. Acting on nobody has 0, and acting on
        everybody is the net benefit of the probability 1. NaN without people.

    References
    ----------
    .. [1] Vickers & Elkin 2006, Medical Decision Making 26:565-574.
    """
    truth, stated = np.asarray(cases, dtype=bool), np.asarray(probability, dtype=float)
    limits = np.asarray(thresholds, dtype=float)
    if not len(truth):
        return np.full(limits.shape, math.nan)
    acted = stated[None] >= limits[:, None]
    found, alarms = (acted & truth).mean(axis=1), (acted & ~truth).mean(axis=1)
    result: FloatArray = found - alarms * limits / (1 - limits)
    return result
