"""The same numbers for women and men, for the ages of life, and for each site."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, Visit
from adclip.evaluation.metrics import compare_groups
from adclip.evaluation.metrics.intervals import auc_interval, class_mean_interval, mean_interval
from adclip.evaluation.metrics.summary import Entry, entry, odds

FEWEST = 10  # people of the first and of the last class, below which a group says too little
AGES = (65, 75, 85)  # years at which a band begins
SITE_NAMES = ("site", "site_id", "siteid", "sitename", "center", "centre", "scanner", "scanner_id", "hospital")
MOST_SITES = 40  # a column with more values is an id of something else
OTHERS = "others"  # sites of fewer than `FEWEST` people, together


@dataclass(frozen=True)
class Subgroup:
    """What was measured of one group of people.

    Parameters
    ----------
    kind, name : str
        Such as `sex` and `F`.
    scans, people : int
    counts : dict
        Class -> people, by their first scan here.
    numbers : dict
        `auc`, `accuracy`, `balanced_accuracy` -> entry; `auc_less_others` -> AUC of this group less that of all others. Empty for a
        group that is too small.
    """

    kind: str
    name: str
    scans: int
    people: int
    counts: dict[str, int]
    numbers: dict[str, Entry]

    @property
    def is_too_small(self) -> bool:
        """Whether nothing was measured."""
        return not self.numbers

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "too_small": self.is_too_small}


def age_band(age_years: float | None) -> str | None:
    """Return the band of an age, such as `65-74`.

    Examples
    --------
    >>> age_band(64.9), age_band(65), age_band(90), age_band(None)
    ('under 65', '65-74', '85 and over', None)
    """
    if age_years is None:
        return None
    if age_years < AGES[0]:
        return f"under {AGES[0]}"
    if age_years >= AGES[-1]:
        return f"{AGES[-1]} and over"
    low, high = next((low, high) for low, high in pairwise(AGES) if age_years < high)
    return f"{low}-{high - 1}"


def groups_of(visits: Sequence[Visit], sites: Sequence[str | None] | None) -> dict[str, list[str | None]]:
    """Return for each kind of group which one each scan belongs to; a kind of which nothing is known is left out."""
    kinds: dict[str, list[str | None]] = {
        "sex": [visit.sex for visit in visits],
        "age": [age_band(visit.age_years) for visit in visits],
        "site": list(sites or ()),
    }
    return {kind: names for kind, names in kinds.items() if any(name is not None for name in names)}


def find_sites(cells: Mapping[str, Sequence[str | None]], subjects: Sequence[str]) -> list[str | None] | None:
    """Return the site of each row by the first column whose name says so.

    Parameters
    ----------
    cells : mapping
        Column -> cell of each of N scans; None where unknown.
    subjects : sequence of str, length N
        Who each scan belongs to.

    Returns
    -------
    list of str or None
        Sites of fewer than `FEWEST` people are `OTHERS`. None without such a column, where it has too many values to be one of sites, or
        where no site has enough people.

    Notes
    -----
    What this returns is printed on a page that names nobody. A column `hospital` may hold the numbers of patients there: a value that
    few people have in common may tell who they are.
    """
    for wanted in SITE_NAMES:
        for name, column in cells.items():
            if name.strip().lower().replace(" ", "_") != wanted:
                continue
            people: defaultdict[str, set[str]] = defaultdict(set)
            for cell, person in zip(column, subjects, strict=True):
                if cell is not None:
                    people[cell].add(person)
            large = {site for site, members in people.items() if len(members) >= FEWEST}
            known = len(set().union(*people.values()))
            if large and len(people) <= min(MOST_SITES, known // 2):
                return [cell if cell is None or cell in large else OTHERS for cell in column]
    return None


def measure_subgroups(
    visits: Sequence[Visit],
    truth: NDArray[np.int64],
    equal: FloatArray,
    study: FloatArray,
    subjects: Sequence[str],
    labels: Sequence[str],
    sites: Sequence[str | None] | None = None,
    seed: int = 0,
) -> list[Subgroup]:
    """Measure each group, and by how much its AUC differs from that of everybody else.

    Parameters
    ----------
    visits : sequence of Visit, length N
    truth : ndarray of int (N,)
        Places of the true classes.
    equal, study : ndarray (N, K)
        Answers for classes equally common, and as common as here.
    subjects : sequence of str, length N
    labels : sequence of str
        K class names.
    sites : sequence of str or None, length N, optional
    seed : int
        Of the intervals.
    """
    people = np.asarray(subjects, dtype=str)
    last = len(labels) - 1

    def area(rows: NDArray[np.int64]) -> tuple[float, float, float]:
        ends = rows[(truth[rows] == 0) | (truth[rows] == last)]
        return auc_interval(truth[ends] > 0, odds(equal[ends]), people[ends].tolist())

    def of(kind: str, name: str, rows: NDArray[np.int64], others: NDArray[np.int64]) -> Subgroup:
        ids, first = np.unique(people[rows], return_index=True)
        classes = np.bincount(truth[rows][first], minlength=len(labels))
        counts = {label: int(count) for label, count in zip(labels, classes, strict=True)}
        numbers: dict[str, Entry] = {}
        if min(classes[0], classes[last]) >= FEWEST:
            own_people = people[rows].tolist()

            def told(estimate: tuple[float, float, float]) -> Entry:
                return entry(estimate, len(rows), len(ids))

            right = study[rows].argmax(axis=1) == truth[rows]
            found = equal[rows].argmax(axis=1) == truth[rows]
            numbers = {
                "auc": told(area(rows)),
                "accuracy": told(mean_interval(right, own_people, seed=seed)),
                "balanced_accuracy": told(class_mean_interval(found, truth[rows], own_people, seed=seed)),
            }
            if len(others):
                numbers["auc_less_others"] = told(compare_groups(area(rows), area(others)))
        return Subgroup(kind, name, len(rows), len(ids), counts, numbers)

    result = []
    for kind, names in groups_of(visits, sites).items():
        column = np.array([name or "" for name in names])
        for name in sorted(set(column) - {""}, key=_in_order):
            result.append(
                of(kind, name, np.flatnonzero(column == name), np.flatnonzero((column != name) & (column != "")))
            )
    return result


def _in_order(name: str) -> tuple[int, float, str]:
    """Sort `under 65` first, `85 and over` last, and sites 2 and 10 as numbers."""
    if name.startswith("under"):
        return (0, 0.0, name)
    return (1, float(name), "") if name.isdecimal() else (2, 0.0, name)
