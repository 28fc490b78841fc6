"""Rows that name sessions or scans -> one visit for each subject and session, and for each scan of a session."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adclip.clinical.dialects.base import DAY
from adclip.clinical.dialects.bids import subject_of_file
from adclip.clinical.tables import errors
from adclip.clinical.tables.joined import Joined, Joining
from adclip.clinical.tables.partial import PartialRow, PartialTable

Key = tuple[str, str, str]


def key_of(row: PartialRow) -> Key:
    """Return what tells a row from the others of its subject: its session, else its date or day; and its scan."""
    values = row.values
    when = values.get("session_id") or values.get("visit_date") or values.get(DAY)
    return (values.get("subject_id", ""), "" if when is None else str(when), values.get("scan", ""))


@dataclass
class _Session:
    """What stands at one subject and session: the visits with a scan, the one without, and the rows that name none."""

    scanned: list[Joined] = field(default_factory=list)
    bare: Joined | None = None
    shared: list[tuple[PartialTable, PartialRow]] = field(default_factory=list)


class Visits:
    """Visits of all tables so far, found by subject and session, and by scan.

    A row with a scan speaks of that scan: it joins the visit of that scan, whatever else either row leaves open. A row without
    one speaks of its session: it joins every visit there, those that come later included, so that the order of the tables
    does not matter.

    Parameters
    ----------
    tables : sequence of PartialTable
        All of them. If they lie in several folders, a bare file name means the file beside its own table where there is one.
    """

    def __init__(self, tables: Sequence[PartialTable]) -> None:
        self._begun: list[Joined] = []
        self._merged: set[int] = set()
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._scans: dict[str, list[Joined]] = defaultdict(list)
        self._folders = {table.path: str(table.path.parent.absolute()) for table in tables}
        self._one_folder = len(set(self._folders.values())) == 1

    @property
    def all(self) -> list[Joined]:
        """All visits, in the order in which they began."""
        return [visit for visit in self._begun if id(visit) not in self._merged]

    def lay_down(self, table: PartialTable, result: Joining) -> None:
        """Add one table's rows to the visits of the tables before it; one of its own rows twice is a repetition or an error.

        Raises
        ------
        TableError
            If values contradict each other, or rows of a subject cannot be told apart.
        """
        rows_by_key: dict[Key, PartialRow] = {}
        undated: dict[str, PartialRow] = {}
        later = bool(self._begun)
        for row in table.rows:
            key = key_of(row)
            if not key[0] and not key[2]:  # nobody's row: it stands alone
                self._begin(table, row)
                continue
            if key in rows_by_key:
                _check_repetition(table, rows_by_key[key], row, key)
                result.repeated[table.name] = result.repeated.get(table.name, 0) + 1
                if row.aside != rows_by_key[key].aside:
                    self._take(table, row, key)  # the same but for answers that nobody reads
                continue
            rows_by_key[key] = row
            if not key[1] and not key[2]:
                undated[key[0]] = row
            if (
                self._take(table, row, key) and later and not subject_of_file(table.path)
            ):  # else another's visits, of course
                result.added[table.name] = result.added.get(table.name, 0) + 1
        if undated:
            _refuse_undated(table, rows_by_key, undated)

    def knows_others(self, table: PartialTable) -> bool:
        """Whether the table is about people who have visits already, and calls every session otherwise."""
        subjects = {subject for subject, _ in self._sessions}
        keys = [key_of(row) for row in table.rows]
        if any(key[2] and self._scan(table.path, key[2]) in self._scans for key in keys):
            return False
        return any(key[0] in subjects for key in keys) and not any(key[:2] in self._sessions for key in keys)

    def _take(self, table: PartialTable, row: PartialRow, key: Key) -> bool:
        """Give a row to its visits; return whether it began a new one."""
        place = self._sessions.setdefault(key[:2], _Session())
        if not key[2]:
            place.shared.append((table, row))
            visits = place.scanned or ([place.bare] if place.bare else [])
            if not visits:
                place.bare = self._begin(table, row)
            self._add(visits, table, row)
            return not visits
        scan = self._scan(table.path, key[2])
        if visits := [visit for visit in self._scans[scan] if _may_be_one(visit, row)]:
            self._add(visits, table, row)
            if key[0]:
                self._settle(visits, place)
            return False
        if place.bare is not None:
            visit, place.bare, began = place.bare, None, False
            self._add([visit], table, row)
        else:
            visit, began = self._begin(table, row), True
            for shared_table, shared_row in place.shared:
                visit.add(shared_table, shared_row.line, shared_row.values, shared_row.aside)
        place.scanned.append(visit)
        self._scans[scan].append(visit)
        return began

    def _settle(self, visits: Iterable[Joined], place: _Session) -> None:
        """Let visits that are known by their scan stand at the session that a row has named."""
        for visit in visits:
            if any(visit is scanned for scanned in place.scanned):
                continue
            for table, row in place.shared:
                self._add([visit], table, row)
            if place.bare is not None:
                self._merged.add(id(place.bare))
                place.bare = None
            place.scanned.append(visit)

    def _begin(self, table: PartialTable, row: PartialRow) -> Joined:
        self._begun.append(Joined.of(table, row))
        return self._begun[-1]

    def _add(self, visits: Iterable[Joined], table: PartialTable, row: PartialRow) -> None:
        for visit in visits:
            # one file may be written in several ways; whether two cells mean it was decided before
            values = {
                column: value for column, value in row.values.items() if column != "scan" or column not in visit.values
            }
            visit.add(table, row.line, values, row.aside)

    def _scan(self, path: Path, cell: str) -> str:
        """Return what all ways of naming a file have in common: its name where it lies beside the table, else its path."""
        folder = self._folders[path]
        whole = os.path.normpath(os.path.join(folder, cell))  # noqa: PTH118  a hundred thousand rows: paths as text
        parent, name = os.path.split(whole)
        if parent != folder or not (self._one_folder or not os.path.lexists(whole)):
            return whole
        return name


def _may_be_one(visit: Joined, row: PartialRow) -> bool:
    """Whether a row of the same scan contradicts a visit neither in the subject nor in the session."""
    return all(
        column not in visit.values or column not in row.values or visit.values[column] == row.values[column]
        for column in ("subject_id", "session_id")
    )


def _check_repetition(table: PartialTable, first: PartialRow, second: PartialRow, key: Key) -> None:
    if first.values == second.values:
        return
    if not key[1] and not key[2]:
        raise errors.same_subject(table.path, first.line, second.line)
    differing = next(
        column for column in {**first.values, **second.values} if first.values.get(column) != second.values.get(column)
    )
    raise errors.conflict(table.path, first.line, table.path, second.line, differing)


def _refuse_undated(table: PartialTable, rows: dict[Key, PartialRow], undated: dict[str, PartialRow]) -> None:
    """Refuse a row without session, date and scan beside others of the subject that have one."""
    for key, row in rows.items():
        undated_row = undated.get(key[0])
        if undated_row is not None and row is not undated_row:
            raise errors.same_subject(table.path, *sorted((row.line, undated_row.line)))
