"""95 % intervals of the macro F1 and of differences of it: no mean over people, so it needs a road of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adclip.domain import FloatArray
from adclip.evaluation.metrics.intervals import CELLS, DRAWS, Estimate
from adclip.evaluation.metrics.resampling import rows_of


def macro_f1_interval(y_true: ArrayLike, y_pred: ArrayLike, subjects: Sequence[str], seed: int = 0) -> Estimate:
    """Estimate the macro F1 of integer arrays (N,) with its 95 % interval over subjects.

    Returns
    -------
    estimate, low, high : float
        NaN without scans; the ends are NaN where one class is all there is.

    Notes
    -----
    As in `adclip.evaluation.metrics.intervals.mean_interval`, people and one more get random weights. For the lower end the added one is missed in
    every way there is, in equal parts, and for the upper end found in every class. Nothing is proven of its coverage; it is measured.
    """
    tables, sizes, classes = _tables(y_true, [y_pred], subjects)
    if classes < 2:
        return (math.nan, math.nan, math.nan) if not classes else (1.0, math.nan, math.nan)
    missed_table, found_table = _added(classes)
    return _ends(lambda weighted: _macro_f1(weighted[0], classes), tables, [[missed_table], [found_table]], sizes, seed)


def macro_f1_difference_interval(
    y_true: ArrayLike, first: ArrayLike, second: ArrayLike, subjects: Sequence[str], seed: int = 0
) -> Estimate:
    """Estimate how much larger the macro F1 of one method's answers is than of another's, all integer arrays (N,).

    Notes
    -----
    As `macro_f1_interval`; the added person is found by one of the methods and missed by the other.
    """
    tables, sizes, classes = _tables(y_true, [first, second], subjects)
    if classes < 2:
        return (math.nan, math.nan, math.nan) if not classes else (0.0, math.nan, math.nan)
    missed_table, found_table = _added(classes)
    return _ends(
        lambda weighted: _macro_f1(weighted[0], classes) - _macro_f1(weighted[1], classes),
        tables,
        [[missed_table, found_table], [found_table, missed_table]],
        sizes,
        seed,
    )


def _ends(
    number: Callable[[list[FloatArray]], FloatArray],
    tables: list[FloatArray],
    added: list[list[FloatArray]],
    sizes: FloatArray,
    seed: int,
) -> Estimate:
    """Return the number and the outer quantiles of it under random weights; `added` are tables for the lower and the upper end."""
    estimate = float(number([table.sum(axis=0)[None] for table in tables])[0])
    random, ends = np.random.default_rng(seed), []
    block = max(1, CELLS // (len(sizes) + 1))
    for start in range(0, DRAWS, block):
        weights = random.standard_exponential((min(block, DRAWS - start), len(sizes) + 1))
        more = weights[:, -1:] * sizes.mean()
        ends.append(
            [
                number([weights[:, :-1] @ table + more * extra for table, extra in zip(tables, side, strict=True)])
                for side in added
            ]
        )
    lows, highs = (np.concatenate(side) for side in zip(*ends, strict=True))
    return estimate, min(float(np.quantile(lows, 0.025)), estimate), max(float(np.quantile(highs, 0.975)), estimate)


def _added(classes: int) -> tuple[FloatArray, FloatArray]:
    """Return the tables (K * K,) of a person who is missed in every way, and of one who is found in every class."""
    same = np.eye(classes).ravel()
    return (1 - same) / (classes * classes - classes), same / classes


def _tables(
    y_true: ArrayLike, answers: Sequence[ArrayLike], subjects: Sequence[str]
) -> tuple[list[FloatArray], FloatArray, int]:
    """Return each method's confusion tables (M, K * K) of M subjects, their numbers of scans (M,), and K classes that occur."""
    truth = np.asarray(y_true, dtype=int)
    every = [truth, *(np.asarray(answer, dtype=int) for answer in answers)]
    names, places = np.unique(np.concatenate(every), return_inverse=True)
    size, scans = len(names), rows_of(subjects)
    rows = np.split(places, len(every))

    def of(answer: NDArray[Any]) -> FloatArray:
        cells = rows[0] * size + answer
        return np.array(
            [np.bincount(cells[rows_of_subject], minlength=size * size) for rows_of_subject in scans], dtype=float
        )

    return (
        [of(answer) for answer in rows[1:]],
        np.array([len(rows_of_subject) for rows_of_subject in scans], dtype=float),
        size,
    )


def _macro_f1(tables: FloatArray, size: int) -> FloatArray:
    """Return the mean F1 (D,) over the classes of confusion tables (D, K * K) that occur on one side at least."""
    square = tables.reshape(-1, size, size)
    support = square.sum(axis=1) + square.sum(axis=2)
    # a class that one method alone ever answers occurs on neither side for the other
    scores = np.divide(
        2 * np.diagonal(square, axis1=1, axis2=2), support, out=np.full(support.shape, np.nan), where=support > 0
    )
    result: FloatArray = np.nanmean(scores, axis=1)
    return result
