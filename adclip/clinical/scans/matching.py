"""Which row of a table belongs to which scan.

The rules, in order: one scan and a table of one row; the `scan` column; the subject and session that a scan is named by, in
BIDS's way or in its study's (`scan_names`); `--subject`. Two rows for one scan are an error, and none is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from adclip.clinical import errors as clinical_errors
from adclip.clinical.dialects import study_key
from adclip.clinical.scans import errors
from adclip.clinical.tables.scan_names import (
    ScanName,
    day_of,
    image_of,
    is_day_or_image,
    pair_name,
    read_scan_name,
    scan_identity,
)
from adclip.clinical.tables.table import Table
from adclip.domain import ScanItem, Visit

_DAYS_A_YEAR = 365.25


def match_rows(
    table: Table,
    items: Sequence[ScanItem],
    subject: str | None = None,
    origins: Mapping[Path, tuple[Path, ...]] | None = None,
) -> list[int | None]:
    """Find the row of every scan of a run.

    Parameters
    ----------
    table : Table
        From `read_tables`.
    items : sequence of ScanItem
        All scans of the run: a bare file name in the `scan` column counts only where exactly one of them has it.
    subject : str, optional
        Subject id (`--subject`), with or without ``sub-``, for the one scan that nothing else joins.
    origins : mapping of Path to tuple of Path, optional
        Derivative -> the scan that it was made of: a `scan` cell may name either.

    Returns
    -------
    list of int or None
        For each scan the position in `table.rows`, or None.

    Raises
    ------
    TableError
        If two rows match one scan, a bare file name matches two scans, or `subject` would name several scans.
    ScanError
        If the names of a scan contradict each other.
    """
    _check_bare_names(table, items)
    only = len(items) == 1
    made_of = origins or {}
    row_indices = [find_row_index(table, item, only, made_of.get(item.path, ())) for item in items]
    unmatched = [place for place, row in enumerate(row_indices) if row is None]
    if subject is None or not unmatched:
        return row_indices
    if len(unmatched) > 1:
        raise errors.subject_of_several(table.path, subject, [items[place].path for place in unmatched])
    row_indices[unmatched[0]] = _row_of_subject(table, items[unmatched[0]], subject)
    return row_indices


def find_row_index(table: Table, item: ScanItem, only_scan: bool, made_of: Iterable[Path] = ()) -> int | None:
    """Return the position in `table.rows` of the row that belongs to a scan by its name, or None if there is none.

    A scan with a session matches the row of that session, or the only row of its subject if that names no session; it never
    borrows the row of another session.

    Parameters
    ----------
    table : Table
        From `read_tables`.
    item : ScanItem
        The scan and its ids.
    only_scan : bool
        Whether this is the only scan of the run.
    made_of : iterable of Path, optional
        What the scan was made of: a `scan` cell may name that as well.

    Raises
    ------
    TableError
        If two rows match; the message names their lines.
    ScanError
        If the names of the scan contradict each other.
    """
    if only_scan and len(table.rows) == 1:
        return 0
    if numbers := rows_naming(table, item, made_of):
        return _the_one(table, numbers, f"scan {item.path.name}")
    if not table.by_subject:
        return None
    named = read_scan_name(item)
    numbers = rows_of_person(table, item)
    return _of_visit(table, numbers, item, named) if numbers else None


def rows_of_person(table: Table, item: ScanItem) -> list[int]:
    """Return the positions in `table.rows` of those of a scan's subject, whatever their session; none where the id is not there."""
    numbers = table.by_subject.get(item.subject_id) or _of_study(table, read_scan_name(item))
    return numbers or table.by_file.get(item.subject_id, [])


def rows_naming(table: Table, item: ScanItem, made_of: Iterable[Path] = ()) -> list[int]:
    """Return the positions in `table.rows` of those whose `scan` cell names a scan, or what it is made of."""
    paths = {scan_identity(path) for path in (item.path.absolute(), item.path.resolve(), *made_of)}
    named_so = [*(table.by_scan.get(path, []) for path in paths), table.by_scan_name.get(pair_name(item.path.name), [])]
    return sorted({number for numbers in named_so for number in numbers})


def _check_bare_names(table: Table, items: Sequence[ScanItem]) -> None:
    """Refuse a bare file name that several scans have: it says of none that it is meant."""
    if not table.by_scan_name:
        return
    bearers: dict[str, list[Path]] = defaultdict(list)
    for item in items:
        bearers[pair_name(item.path.name)].append(item.path)
    for name, numbers in table.by_scan_name.items():
        paths = bearers.get(name, [])
        if len(paths) > 1:
            raise errors.bare_name(table.path, table.lines[numbers[0]], name, paths)


def _row_of_subject(table: Table, item: ScanItem, subject: str) -> int | None:
    """Return the row of the subject that the user names; of several the one of the scan's session."""
    named = study_key(subject)
    numbers = table.by_subject.get(subject.removeprefix("sub-")) or _of_study(table, named and ScanName(named))
    if not numbers:
        return None
    same = [number for number in numbers if table.rows[number].session_id == (item.session_id or "")]
    return _the_one(table, same or numbers, f"--subject {subject}")


# ----------------------------------------------------------------------------------------------- by a study's names


def _of_study(table: Table, named: ScanName | None) -> list[int]:
    """Return the rows of the person that a scan's name means, however the table writes the id."""
    if named is None:
        return []
    study, subject, _ = named.key
    if (rows := table.by_study.get((study, subject))) or study not in table.dialects.values():
        return rows or []
    # AIBL's tables, and those of ADNI without PTID, have the roster number alone
    number = subject.rpartition("_")[2]
    return table.by_subject.get(str(int(number)), []) if number.isdigit() else []


def _of_visit(table: Table, numbers: list[int], item: ScanItem, named: ScanName | None) -> int | None:
    """Choose among the rows of one person by session, else by day."""
    sessions = {item.session_id, image_of(item.session_id), named.key.session if named else None} - {None}
    scan_label = (
        item.stem
        if named is None
        else " ".join(filter(None, (named.key.subject, named.key.session or item.session_id)))
    )
    same = [number for number in numbers if sessions & _sessions_of(table.rows[number], named)]
    if same:
        return _the_one(table, same, scan_label)
    if not all(is_day_or_image(session) for session in sessions):
        if named is not None and (days := _days_of(table, numbers)):
            return _of_day(table, days, named.key.session or "", scan_label)
        return (
            _the_one(table, numbers, scan_label)
            if all(table.rows[number].session_id is None for number in numbers)
            else None
        )
    # a row that is named by a day itself is of that day's scan
    numbers = [number for number in numbers if not is_day_or_image(table.rows[number].session_id)]
    if (day := day_of(item, named)) is not None:
        scan_date = date.fromisoformat(day)
        dated = {
            number: float((date.fromisoformat(text) - scan_date).days)
            for number in numbers
            if (text := table.rows[number].visit_date)
        }
        if dated:
            return _nearest(table, dated, 0, scan_label)
    return _the_one(table, numbers, scan_label) if numbers else None


def _sessions_of(visit: Visit, named: ScanName | None) -> set[str | None]:
    """Return the session of a row as it stands and as its study writes it: clinica's tables say M006 for m06."""
    if visit.session_id is None:
        return set()
    study = named and study_key(f"{named.key.subject}_ses-{visit.session_id}")
    if study is None and named is not None:
        study = study_key(f"{named.key.study}{named.key.subject}_ses-{visit.session_id}")
    return {visit.session_id} | ({study.session} - {None} if study else set())


def _days_of(table: Table, numbers: Iterable[int]) -> dict[int, float]:
    """Return the days since entry of those rows that have any."""
    return {number: day for number in numbers if table.days and (day := table.days[number]) is not None}


def _of_day(table: Table, days: dict[int, float], session: str, scan_label: str) -> int | None:
    """Choose by the days since entry that a session counts: in days (``d0129``), or in clinica's steps of six months."""
    kind, count = session[:1], session[1:]
    if not count.isdigit():
        return None
    if kind == "M":
        same = [number for number, day in days.items() if 6 * round(day / (_DAYS_A_YEAR / 2)) == int(count)]
        return _the_one(table, same, scan_label) if same else None
    # a row with a session of its own is of another scan: its volumes are not this one's
    clinical = {number: day for number, day in days.items() if table.rows[number].session_id is None}
    return _nearest(table, clinical, int(count), scan_label) if clinical else None


def _nearest(table: Table, days: dict[int, float], scan_day: float, scan_label: str) -> int | None:
    """Return the row of the day nearest to a scan's, at most `max_days` away."""
    distances_days = {number: abs(day - scan_day) for number, day in days.items()}
    closest_days = min(distances_days.values())
    if closest_days > table.max_days:
        return None
    return _the_one(
        table, [number for number, distance_days in distances_days.items() if distance_days == closest_days], scan_label
    )


def _the_one(table: Table, numbers: list[int], scan_label: str) -> int:
    if len(numbers) > 1:
        raise clinical_errors.ambiguous(table.path, scan_label, (table.lines[number] for number in numbers))
    return numbers[0]
