"""What a regression says where columns are missing: the mean over what they may be, given those that are known."""

from __future__ import annotations

import math

import numpy as np

from adclip.domain import BoolArray, FloatArray

QUADRATURE_NODES = 9  # in each direction


def covariance_of(table: FloatArray) -> FloatArray:
    """Return the covariance (F, F) of standardised columns (N, F), shrunk so that it can be inverted."""
    from sklearn.covariance import LedoitWolf

    covariance: FloatArray = LedoitWolf(assume_centered=True).fit(table).covariance_
    return covariance


def given_known(covariance: FloatArray, values: FloatArray, is_known: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean (F,) of standardised columns given the known ones, and the covariance (U, U) that the U unknown keep."""
    across = covariance[np.ix_(~is_known, is_known)]
    slopes = np.linalg.solve(covariance[np.ix_(is_known, is_known)], across.T).T
    mean = values.copy()
    mean[~is_known] = slopes @ values[is_known]
    return mean, covariance[np.ix_(~is_known, ~is_known)] - slopes @ across.T


def mean_softmax(scores: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the mean (K,) of the softmax of normal scores with mean (K,) and covariance (K, K).

    By Gauss-Hermite quadrature along the two widest directions in which scores differ: of three classes these are all.
    """
    from scipy.special import softmax

    nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
    centring = np.eye(len(scores)) - 1 / len(scores)  # what all scores share changes no probability
    variances, directions = np.linalg.eigh(centring @ covariance @ centring)
    first, second = (directions[:, -place] * math.sqrt(max(variances[-place], 0.0)) for place in (1, 2))
    points = nodes[:, None, None] * first + nodes[None, :, None] * second
    mean: FloatArray = np.einsum("a,b,abk->k", weights, weights, softmax(scores + points, axis=-1))
    return mean / weights.sum() ** 2
