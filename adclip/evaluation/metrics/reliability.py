"""How far stated probabilities are from observed shares, and how far they would be were they exactly right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adclip.domain import FloatArray

ECE_BINS = 10  # equal widths, as in Guo et al. 2017, arXiv:1706.04599 (who use 15; fewer suit small cohorts)
DRAWS = 1000  # of a perfect model's answers; the ends of its 95 % band then vary by about a tenth of its width
_CELLS = 2_000_000  # numbers that are drawn at once, so that large cohorts fit into memory


def ece(y_true: ArrayLike, probabilities: ArrayLike, bins: int = ECE_BINS, *, alike: bool = False) -> float:
    """Return the expected calibration error of the predicted class.

    Parameters
    ----------
    y_true : array of int, shape (N,)
        Class indices.
    probabilities : array of shape (N, K)
        Rows add up to 1.
    bins : int
        Number of bins of equal width over confidence 0 to 1.
    alike : bool
        Count scans as if the classes that occur were equally common: each weighs the inverse of its class' share.
    """
    shares, truth = np.asarray(probabilities, dtype=float), np.asarray(y_true, dtype=int)
    if not len(shares):
        return math.nan
    right = (shares.argmax(axis=1) == truth)[None]
    weights = _weights(truth[None], shares.shape[1]) if alike else np.full((1, len(truth)), 1 / len(truth))
    return float(_errors(shares.max(axis=1), right, weights, bins)[0])


@dataclass(frozen=True)
class Band:
    """ECE of a perfect model: its mean, and the ends between which it lies in 95 of 100 cohorts."""

    mean: float
    low: float
    high: float


def perfect_band(
    probabilities: ArrayLike,
    bins: int = ECE_BINS,
    draws: int = DRAWS,
    seed: int = 0,
    *,
    subjects: Sequence[str] | None = None,
    shares: ArrayLike | None = None,
) -> Band:
    """Return what the ECE of these probabilities would be were they exactly right.

    With few subjects even a perfectly calibrated model has an ECE well above 0; only the excess means anything.

    Parameters
    ----------
    probabilities : array of shape (N, K)
        Rows add up to 1.
    bins, draws, seed : int
        Bins of the ECE, cohorts drawn, and how.
    subjects : sequence of str, length N, optional
        Who each scan belongs to. Scans of one subject share one draw: what is right once is right again.
    shares : array of shape (K,), optional
        How common the classes are where the labels come from. Then `probabilities` are those for classes equally common,
        and the band is that of `ece(..., alike=True)`.

    References
    ----------
    .. [1] Vaicenavicius et al. 2019, Evaluating model calibration in classification, AISTATS: consistency resampling.
    """
    forecasts = np.asarray(probabilities, dtype=float)
    if not len(forecasts):
        return Band(math.nan, math.nan, math.nan)
    owner = (
        np.arange(len(forecasts)) if subjects is None else np.unique(np.asarray(subjects, str), return_inverse=True)[1]
    )
    confidence, answer = forecasts.max(axis=1), forecasts.argmax(axis=1)
    ladder = None if shares is None else (put_back(forecasts, shares)).cumsum(axis=1)[:, :-1]
    random, error_blocks = np.random.default_rng(seed), []
    block = max(1, _CELLS // (len(forecasts) * forecasts.shape[1]))
    for start in range(0, draws, block):
        chance = random.random((min(block, draws - start), int(owner.max()) + 1))[:, owner]
        if ladder is None:
            error_blocks.append(
                _errors(confidence, chance < confidence, np.full(chance.shape, 1 / len(forecasts)), bins)
            )
        else:
            truth = (chance[..., None] >= ladder).sum(axis=-1)
            error_blocks.append(_errors(confidence, truth == answer, _weights(truth, forecasts.shape[1]), bins))
    errors = np.concatenate(error_blocks)
    low, high = np.quantile(errors, [0.025, 0.975])
    return Band(float(errors.mean()), float(low), float(high))


def ece_if_perfect(probabilities: ArrayLike, bins: int = ECE_BINS, draws: int = DRAWS, seed: int = 0) -> float:
    """Return the mean of `perfect_band`: the ECE that these probabilities (N, K) would show were they exactly right."""
    return perfect_band(probabilities, bins, draws, seed).mean


def put_back(probabilities: ArrayLike, shares: ArrayLike) -> FloatArray:
    """Turn probabilities for classes equally common into those for classes of given shares, by Bayes' rule.

    Parameters
    ----------
    probabilities : array of shape (N, K)
        Rows add up to 1.
    shares : array of shape (K,)
        How common each class is; any positive scale.

    Returns
    -------
    ndarray of shape (N, K)

    References
    ----------
    .. [1] Saerens, Latinne & Decaestecker 2002, Neural Computation 14:21-41, eq. 2.4.
    """
    weighted = np.asarray(probabilities, dtype=float) * np.asarray(shares, dtype=float)
    total = weighted.sum(axis=1, keepdims=True)
    # an answer that is sure of a class that does not occur has no posterior: it is left as it is
    result: FloatArray = np.where(total > 0, weighted / np.where(total > 0, total, 1.0), probabilities)
    return result


def _weights(truth: NDArray[Any], classes: int) -> FloatArray:
    """Return weights (D, N) that add up to 1, and up to the same over each class that occurs in a row of `truth`."""
    counts = (truth[..., None] == np.arange(classes)).sum(axis=1)
    result: FloatArray = 1 / np.take_along_axis(counts, truth, axis=1) / (counts > 0).sum(axis=1, keepdims=True)
    return result


def _errors(confidence: FloatArray, right: NDArray[Any], weights: FloatArray, bins: int) -> FloatArray:
    """Return the ECE (D,) of answers of confidence (N,) that were right (D, N), with weights (D, N)."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = ((right - confidence) * weights) @ (bin_of[:, None] == np.arange(bins))
    result: FloatArray = np.abs(gaps).sum(axis=1)
    return result
