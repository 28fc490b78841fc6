"""Which row of a table belongs to which scan."""

from __future__ import annotations

import os

from adclip.clinical.table import Table
from adclip.domain import ScanItem, Visit
from adclip.errors import TableError


def find_row(table: Table, item: ScanItem, only_scan: bool, subject: str | None = None) -> Visit | None:
    """Return the row that belongs to a scan, or None if there is none.

    One scan and a one-row table belong together. Otherwise the `scan` column decides, then subject and session of the
    file name, then `subject`. A scan with a session matches the row of that session, or the only row of its subject if
    that names no session; it never borrows the row of another session.

    Parameters
    ----------
    table : Table
        From `read_table`.
    item : ScanItem
        The scan and its ids.
    only_scan : bool
        Whether this is the only scan of the run.
    subject : str, optional
        Subject id to fall back on (`--subject`), with or without ``sub-``.

    Raises
    ------
    TableError
        If two rows match; the message names their lines.
    """
    number = find_row_index(table, item, only_scan, subject)
    return None if number is None else table.rows[number]


def find_row_index(table: Table, item: ScanItem, only_scan: bool, subject: str | None = None) -> int | None:
    """Return the position in `table.rows` that `find_row` chooses."""
    if only_scan and len(table.rows) == 1:
        return 0
    for path in dict.fromkeys((os.path.normpath(item.path.absolute()), str(item.path.resolve()))):
        if numbers := table.by_scan.get(path):
            return _the_one(table, numbers, f"scan {item.path.name}")
    if numbers := table.by_scan_name.get(item.path.name):
        return _the_one(table, numbers, f"scan {item.path.name}")
    if numbers := table.by_subject.get(item.subject_id):
        numbers = _of_session(table, numbers, item.session_id)
        if numbers:
            return _the_one(table, numbers, item.stem)
    if subject is not None and (numbers := table.by_subject.get(subject.removeprefix("sub-"))):
        return _the_one(table, numbers, f"--subject {subject}")
    return None


def _of_session(table: Table, numbers: list[int], session: str | None) -> list[int]:
    if session is None:
        return numbers
    same = [number for number in numbers if table.rows[number].session_id == session]
    return same or (numbers if all(table.rows[number].session_id is None for number in numbers) else [])


def _the_one(table: Table, numbers: list[int], who: str) -> int:
    if len(numbers) > 1:
        raise TableError.ambiguous(table.path, who, (table.lines[number] for number in numbers))
    return numbers[0]
