"""Which row of a dated table is nearest to a visit, and what such a row of another day may say of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

from adclip.clinical.dialects.base import DAY
from adclip.clinical.tables import errors
from adclip.clinical.tables.partial import PartialRow, PartialTable

if TYPE_CHECKING:
    from adclip.clinical.tables.joined import Joined

# Of a row that is attached by date, these describe that row's own day and do not move to the visit.
_OF_ITS_DAY = frozenset({"session_id", "visit_date", DAY, "age_years", "scan"})


def find_nearest(table: PartialTable, visit: Joined, rows: Iterable[PartialRow], max_days: int) -> PartialRow | None:
    """Return the row nearest in time to a visit, or None if none is at most `max_days` away.

    Raises
    ------
    TableError
        If two rows that say different things are equally near.
    """
    near: list[tuple[int, PartialRow]] = []
    for row in rows:
        days = _distance(visit.values, row.values)
        if days is not None and days <= max_days:
            near.append((days, row))
    if not near:
        return None
    closest = min(days for days, _ in near)
    best = [row for days, row in near if days == closest]
    for rival in best[1:]:
        if _without(rival.values, _OF_ITS_DAY) != _without(best[0].values, _OF_ITS_DAY):
            raise errors.equally_near(table.path, best[0].line, rival.line)
    return best[0]


def _distance(first: dict[str, Any], second: dict[str, Any]) -> int | None:
    """Days between two rows, by the study's own clock or by the calendar; None if they share neither."""
    shared = (DAY in first and DAY in second) or ("visit_date" in first and "visit_date" in second)
    return abs(_days_after(first, second)) if shared else None


def _without(values: dict[str, Any], excluded: Iterable[str]) -> dict[str, Any]:
    return {column: value for column, value in values.items() if column not in excluded}


def on_the_day_of(visit: Joined, values: dict[str, Any]) -> dict[str, Any]:
    """Return what a row of another day says of a visit: its scan and date only if the visit has none, its age moved."""
    carried = _without(values, _OF_ITS_DAY)
    for column in _OF_ITS_DAY - {"session_id", "age_years"}:
        if column in values and column not in visit.values:
            carried[column] = values[column]
    days = _distance(visit.values, values)
    if "age_years" in values and "age_years" not in visit.values and days is not None:
        carried["age_years"] = round(values["age_years"] + _days_after(visit.values, values) / 365.25, 6)
    return carried


def _days_after(first: dict[str, Any], second: dict[str, Any]) -> int:
    """Days from the second row to the first, for rows that share a clock."""
    if DAY in first and DAY in second:
        return int(first[DAY]) - int(second[DAY])
    return (date.fromisoformat(first["visit_date"]) - date.fromisoformat(second["visit_date"])).days
