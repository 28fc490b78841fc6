"""Whether the answer stays between two scans of one person within weeks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Any

import numpy as np

from adclip.domain import FloatArray, Visit
from adclip.evaluation.metrics import icc_interval
from adclip.evaluation.metrics.intervals import mean_interval
from adclip.evaluation.metrics.summary import Entry, entry

MOST_DAYS = 90  # between the two: nobody's brain changes by a class in so short a time


@dataclass(frozen=True)
class Rescans:
    """How well the answers for pairs of scans agree.

    Parameters
    ----------
    pairs : int
        One for each person who has any: the two scans nearest in time.
    days : float or None
        Median number of days between the two.
    kept : dict or None
        Entry of the share of pairs that keep their class.
    icc : dict
        Name of a number -> entry of its intraclass correlation.
    """

    pairs: int
    days: float | None
    kept: Entry | None
    icc: dict[str, Entry]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


def find_pairs(
    visits: Sequence[Visit], subjects: Sequence[str], days: Sequence[float | None] | None = None
) -> list[tuple[int, int, float]]:
    """Return for each person who was scanned twice within `MOST_DAYS` the two nearest scans, and the days between them.

    Parameters
    ----------
    visits : sequence of Visit, length N
        Their dates count.
    subjects : sequence of str, length N
    days : sequence of float or None, optional
        Of each scan on the study's own clock, where there are no dates.
    """
    moments: list[float | None] = [_day_of(visit) for visit in visits]
    if days is not None and not any(moment is not None for moment in moments):
        moments = list(days)
    by_person: dict[str, list[int]] = defaultdict(list)
    for place, person in enumerate(subjects):
        if moments[place] is not None:
            by_person[person].append(place)
    pairs = []
    for places in by_person.values():
        apart = [
            (abs((moments[one] or 0.0) - (moments[other] or 0.0)), one, other) for one, other in combinations(places, 2)
        ]
        if apart and min(apart)[0] <= MOST_DAYS:
            between, one, other = min(apart)
            pairs.append((one, other, between))
    return pairs


def _day_of(visit: Visit) -> float | None:
    return None if visit.visit_date is None else float(date.fromisoformat(visit.visit_date).toordinal())


def measure_rescans(
    pairs: Sequence[tuple[int, int, float]],
    equal: FloatArray,
    subjects: Sequence[str],
    labels: Sequence[str],
    scores: dict[str, FloatArray],
    seed: int = 0,
) -> Rescans:
    """Measure how well the answers for pairs agree.

    Parameters
    ----------
    pairs : sequence of (int, int, float)
        From `find_pairs`.
    equal : ndarray (N, K)
        Answers for classes equally common.
    subjects : sequence of str, length N
    labels : sequence of str
        K class names.
    scores : dict
        Name -> estimate (N,) of each scan in its unit, such as the MMSE in points.
    seed : int
        Of the interval.
    """
    if not pairs:
        return Rescans(0, None, None, {})
    first, second, days = (np.array(side) for side in zip(*pairs, strict=True))
    people = [subjects[int(place)] for place in first]
    answer = equal.argmax(axis=1)
    kept = entry(mean_interval(answer[first] == answer[second], people, seed=seed), len(pairs), len(pairs))
    columns = {f"probability_{labels[-1]}": equal[:, -1]} | scores
    icc = {
        name: entry(icc_interval(np.stack([column[first], column[second]], axis=1)), len(pairs), len(pairs))
        for name, column in columns.items()
    }
    return Rescans(len(pairs), float(np.median(days)), kept, icc)
