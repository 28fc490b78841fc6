"""Rows of several files -> visits: same subject and session, else the nearest date, else one row for the whole person.

The rules, in order:

1. Tables that name sessions (or the `scan`) lay down the visits: one for each subject and session, from all of them together.
2. A table that knows only dates, or days since entry, is attached to the visit nearest in time, at most `max_days` away; so is
   a table whose sessions have other names than those of the tables before it, if both know dates. Where no table names
   sessions, the first dated one lays down the visits.
3. A table with neither, or with nothing but what is the person's, describes the person. What does not change from visit to
   visit (`PERSON`) goes to every visit of theirs; anything else only to a subject with one visit.

Nothing is overwritten: two different values for one column of one visit are an error that names both lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.clinical.dialects.base import AGE_AT_ENTRY, BIRTH_YEAR, DAY
from adclip.clinical.nearest import find_nearest, on_the_day_of
from adclip.clinical.partial import PartialRow, PartialTable
from adclip.errors import TableError

PERSON = frozenset({"subject_id", "sex", "education_years", "apoe4_count", BIRTH_YEAR, AGE_AT_ENTRY})

Key = tuple[str, str, str]


@dataclass
class Joined:
    """One visit in the making: its values, and the file and line that each came from."""

    values: dict[str, Any]
    origin: dict[str, tuple[Path, int]]
    path: Path
    line: int

    @classmethod
    def of(cls, table: PartialTable, row: PartialRow) -> Joined:
        """Begin with one row."""
        place = (table.path, row.line)
        return cls(dict(row.values), dict.fromkeys(row.values, place), *place)

    def add(self, table: PartialTable, line: int, values: dict[str, Any]) -> None:
        """Take what is not known yet; refuse what contradicts."""
        mine = self.values
        for column, value in values.items():
            if column not in mine:
                mine[column] = value
                self.origin[column] = (table.path, line)
            elif mine[column] != value:
                path, other = self.origin[column]
                raise TableError.conflict(path, other, table.path, line, column)


@dataclass
class Joining:
    """All visits of all tables, and what happened on the way.

    Attributes
    ----------
    visits : list of Joined
        In the order of the tables.
    repeated : int
        Rows that repeat another one exactly; counted once.
    unattached : dict of str to int
        File name -> rows that belong to no visit.
    added : dict of str to int
        File name of a later table -> its visits that the tables before it do not have.
    nobodys : list of int
        Lines of rows without subject id and without scan, in a table that has a column for the id.
    """

    visits: list[Joined] = field(default_factory=list)
    repeated: int = 0
    unattached: dict[str, int] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    nobodys: list[int] = field(default_factory=list)


def join(tables: Sequence[PartialTable], max_days: int) -> Joining:
    """Join tables by the rules above.

    Parameters
    ----------
    tables : sequence of PartialTable
        One or more.
    max_days : int
        Largest distance in days between a visit and what is attached to it by date.

    Raises
    ------
    TableError
        If values contradict each other, or rows cannot be told apart; with lines.
    """
    result = Joining()
    sessions = [table for table in tables if _names_sessions(table)]
    dated = [table for table in tables if table not in sessions and _has_dates(table)]
    people = [table for table in tables if table not in sessions and table not in dated]
    if len(tables) == 1 and people:
        sessions, people = people, []
    if not sessions and dated:
        sessions, dated = [dated[0]], dated[1:]
    if not sessions and people:
        sessions, people = [people[0]], people[1:]

    visits: dict[Key, Joined] = {}
    for position, table in enumerate(sessions):
        if position and _has_dates(table) and _has_other_sessions(table, visits):
            dated.append(table)
            continue
        _lay_down(table, visits, result)
    result.visits = list(visits.values())
    of_subject: dict[str, list[Joined]] = defaultdict(list)
    for visit in result.visits:
        of_subject[visit.values.get("subject_id", "")].append(visit)
    for table in dated:
        _attach_by_date(table, of_subject, max_days, result)
    for table in people:
        _attach_to_person(table, of_subject, result)
    _spread(of_subject)
    return result


def _names_sessions(table: PartialTable) -> bool:
    if not {*table.columns} - PERSON - {"session_id"}:
        return (
            False  # sex or genotype written at some visit (AIBL's demographics stand at the baseline) are of the person
        )
    return any("session_id" in row.values or "scan" in row.values for row in table.rows)


def _has_dates(table: PartialTable) -> bool:
    return any(DAY in row.values or "visit_date" in row.values for row in table.rows)


def _key(row: PartialRow) -> Key:
    """Return what tells a row from the others of its subject: its session, else its date or day, else the scan."""
    values = row.values
    when = values.get("session_id") or values.get("visit_date") or values.get(DAY)
    return (values.get("subject_id", ""), "" if when is None else str(when), values.get("scan", ""))


def _has_other_sessions(table: PartialTable, visits: dict[Key, Joined]) -> bool:
    """Whether the table is about people who have visits already, and calls every session otherwise."""
    subjects, sessions = {key[0] for key in visits}, {key[:2] for key in visits}
    keys = [_key(row)[:2] for row in table.rows]
    return any(key[0] in subjects for key in keys) and not any(key in sessions for key in keys)


# ----------------------------------------------------------------------------------------------- by session


def _lay_down(table: PartialTable, visits: dict[Key, Joined], result: Joining) -> None:
    """Add one table's rows to the visits of the tables before it; one of its own rows twice is a repetition or an error."""
    mine: dict[Key, PartialRow] = {}
    several: dict[str, PartialRow] = {}
    without_scan = {key[:2]: key for key in visits}
    later = bool(visits)
    for row in table.rows:
        key = _key(row)
        if not key[0] and not key[2]:  # nobody's row: it stands alone
            visits[("", f"{table.path}:{row.line}", "")] = Joined.of(table, row)
            if "subject_id" in table.columns:
                result.nobodys.append(row.line)
            continue
        if key in mine:
            _check_repetition(table, mine[key], row, key)
            result.repeated += 1
            continue
        mine[key] = row
        if not key[1] and not key[2]:
            several[key[0]] = row
        shared = key if key in visits else without_scan.get(key[:2], key)
        if shared in visits:
            visits[shared].add(table, row.line, row.values)
        else:
            if later:
                result.added[table.path.name] = result.added.get(table.path.name, 0) + 1
            visits[key] = Joined.of(table, row)
            without_scan.setdefault(key[:2], key)
    if several:
        _refuse_undated(table, mine, several)


def _check_repetition(table: PartialTable, first: PartialRow, second: PartialRow, key: Key) -> None:
    if first.values == second.values:
        return
    if not key[1] and not key[2]:
        raise TableError.same_subject(table.path, first.line, second.line)
    differing = next(
        column for column in {**first.values, **second.values} if first.values.get(column) != second.values.get(column)
    )
    raise TableError.conflict(table.path, first.line, table.path, second.line, differing)


def _refuse_undated(table: PartialTable, rows: dict[Key, PartialRow], undated: dict[str, PartialRow]) -> None:
    """Refuse a row without session and date beside others of the subject that have one: it belongs to no visit in particular."""
    for key, row in rows.items():
        other = undated.get(key[0])
        if key[1] and other is not None:
            raise TableError.same_subject(table.path, *sorted((row.line, other.line)))


# ----------------------------------------------------------------------------------------------- by date


def _attach_by_date(table: PartialTable, of_subject: dict[str, list[Joined]], max_days: int, result: Joining) -> None:
    """Give every visit the nearest row of the table, as a whole."""
    rows: dict[str, list[PartialRow]] = defaultdict(list)
    for row in table.rows:
        if row.values.get("subject_id"):
            rows[row.values["subject_id"]].append(row)
    attached: set[int] = set()
    for subject, theirs in rows.items():
        for visit in of_subject.get(subject, ()):
            nearest = find_nearest(table, visit, theirs, max_days)
            if nearest is not None:
                attached.add(nearest.line)
                visit.add(table, nearest.line, on_the_day_of(visit, nearest.values))
    _count_unattached(table, attached, result)


# ----------------------------------------------------------------------------------------------- by person


def _attach_to_person(table: PartialTable, of_subject: dict[str, list[Joined]], result: Joining) -> None:
    attached: set[int] = set()
    seen: dict[str, PartialRow] = {}
    for row in table.rows:
        subject = row.values.get("subject_id", "")
        if not subject:  # nobody's row describes nobody in particular
            continue
        first = seen.setdefault(subject, row)
        if first is not row:
            if first.values == row.values:
                result.repeated += 1
            elif {*first.values, *row.values} - PERSON - {"session_id"}:
                raise TableError.same_subject(table.path, first.line, row.line)
        visits = of_subject.get(subject, [])
        if not visits:
            continue
        attached.add(row.line)
        values = {column: value for column, value in row.values.items() if column != "session_id"}
        changing = [column for column in values if column not in PERSON]
        if changing and len(visits) > 1:
            raise TableError.which_visit(table.path, row.line, changing[0], len(visits))
        for visit in visits:
            visit.add(table, row.line, values)
    _count_unattached(table, attached, result)


def _spread(of_subject: dict[str, list[Joined]]) -> None:
    """Give what one visit of several files knows of the person to the person's other visits, where all agree.

    Studies write sex or year of birth at one visit only (AIBL's demographics stand at the baseline).
    """
    for subject, visits in of_subject.items():
        if not subject or len(visits) < 2:
            continue
        for column in PERSON - {"subject_id"}:
            known = [visit for visit in visits if column in visit.values]
            if known and len(known) < len(visits) and len({visit.values[column] for visit in known}) == 1:
                for visit in visits:
                    visit.values.setdefault(column, known[0].values[column])
                    visit.origin.setdefault(column, known[0].origin[column])


def _count_unattached(table: PartialTable, attached: set[int], result: Joining) -> None:
    left = sum(row.line not in attached for row in table.rows)
    if left:
        result.unattached[table.path.name] = result.unattached.get(table.path.name, 0) + left
