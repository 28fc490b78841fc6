"""ADNI's screening is part of its baseline: some forms are filled in at the one, some at the other, and ADNIMERGE calls both `bl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adclip.clinical.dialects.adni import ADNIMERGE
from adclip.clinical.tables.joined import Joined, Joining
from adclip.clinical.tables.partial import PartialTable

_SCREENING, _BASELINE = "sc", "bl"


def with_screening(result: Joining, tables: Sequence[PartialTable]) -> list[Joined]:
    """Give each baseline what the person's screening alone knows, and take the screening out of the visits.

    Parameters
    ----------
    result : Joining
        Visits of several tables, joined by subject and session. Changed in place; a screening that is taken out is no visit that a
        later table adds.
    tables : sequence of PartialTable
        Those of them that are ADNI's are meant; visits of others stay.

    Returns
    -------
    list of Joined
        In the same order. What the baseline knows itself stays; nothing here depends on a diagnosis or a score.
    """
    visits = result.visits
    adnis = {table.path for table in tables if table.dialect == ADNIMERGE.name}
    baselines = {
        visit.values["subject_id"]: visit
        for visit in visits
        if visit.values.get("session_id") == _BASELINE and "subject_id" in visit.values
    }
    kept: list[Joined] = []
    for visit in visits:
        baseline = baselines.get(visit.values.get("subject_id", ""))
        is_screening = visit.values.get("session_id") == _SCREENING and visit.path in adnis
        if is_screening and baseline is not None and not {"scan"} <= visit.values.keys() & baseline.values.keys():
            _complete(baseline, visit)
            _forget_added(result, visit, tables)
        else:  # two scans are two visits
            kept.append(visit)
    return kept


def _forget_added(result: Joining, visit: Joined, tables: Sequence[PartialTable]) -> None:
    name = next(table.name for table in tables if table.path == visit.path)
    if result.added.get(name, 0) > 1:
        result.added[name] -= 1
    else:
        result.added.pop(name, None)


def _complete(baseline: Joined, screening: Joined) -> None:
    for column, value in screening.values.items():
        if column not in baseline.values:
            baseline.values[column] = value
            baseline.origin[column] = screening.origin[column]
    for column, value in screening.aside.items():
        baseline.aside.setdefault(column, value)


def differ_in(first: Mapping[str, Any], second: Mapping[str, Any], column: str) -> bool:
    """Whether two rows of one person have different values of a column and nothing else that differs."""
    return (
        column in first
        and column in second
        and first[column] != second[column]
        and all(first[name] == second[name] for name in first.keys() & second.keys() - {column, "session_id"})
    )
