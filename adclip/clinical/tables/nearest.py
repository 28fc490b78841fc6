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
    for other in best[1:]:
        if _without(other.values, _OF_ITS_DAY) != _without(best[0].values, _OF_ITS_DAY):
            raise errors.equally_near(table.path, best[0].line, other.line)
    return best[0]


def _distance(one: dict[str, Any], two: dict[str, Any]) -> int | None:
    """Days between two rows, by the study's own clock or by the calendar; None if they share neither."""
    shared = (DAY in one and DAY in two) or ("visit_date" in one and "visit_date" in two)
    return abs(_days_after(one, two)) if shared else None


def _without(values: dict[str, Any], left_out: Iterable[str]) -> dict[str, Any]:
    return {column: value for column, value in values.items() if column not in left_out}


def on_the_day_of(visit: Joined, values: dict[str, Any]) -> dict[str, Any]:
    """Return what a row of another day says of a visit: its scan and date only if the visit has none, its age moved."""
    found = _without(values, _OF_ITS_DAY)
    for column in _OF_ITS_DAY - {"session_id", "age_years"}:
        if column in values and column not in visit.values:
            found[column] = values[column]
    days = _distance(visit.values, values)
    if "age_years" in values and "age_years" not in visit.values and days is not None:
        found["age_years"] = round(values["age_years"] + _days_after(visit.values, values) / 365.25, 6)
    return found


def _days_after(one: dict[str, Any], two: dict[str, Any]) -> int:
    """Days from the second row to the first, for rows that share a clock."""
    if DAY in one and DAY in two:
        return int(one[DAY]) - int(two[DAY])
    return (date.fromisoformat(one["visit_date"]) - date.fromisoformat(two["visit_date"])).days
