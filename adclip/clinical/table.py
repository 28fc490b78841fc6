"""Metadata tables -> Visit rows, and which row belongs to which scan."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from adclip.clinical.columns import COLUMNS, MISSING, SYNONYMS, CellError, near_miss, parse_cell
from adclip.clinical.records import read_records
from adclip.domain import ScanItem, Visit
from adclip.errors import ConfigError, TableError


@dataclass(frozen=True)
class Table:
    """Rows of a metadata table.

    Parameters
    ----------
    rows : list of Visit
        In file order.
    lines : list of int
        Line of the file where each row begins, counted from 1.
    path : Path
        As the user gave it; `scan` cells are relative to its folder.
    columns : tuple of str
        Canonical columns that the table has, in file order.
    extra : tuple of str
        Names of the columns that were not used.
    hints : tuple of str
        One sentence for each unused column whose name comes close to a canonical one.
    """

    rows: list[Visit]
    lines: list[int]
    path: Path
    columns: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    @cached_property
    def by_subject(self) -> dict[str, list[int]]:
        """Row indices of each subject id."""
        return _index(self.rows, lambda visit: visit.subject_id or None)

    @cached_property
    def by_scan(self) -> dict[str, list[int]]:
        """Row indices of each absolute scan path."""
        folder = self.path.parent.absolute()
        return _index(self.rows, lambda visit: visit.scan and os.path.normpath(folder / visit.scan))

    @cached_property
    def by_scan_name(self) -> dict[str, list[int]]:
        """Row indices of each scan cell that is a plain file name without a folder."""
        return _index(self.rows, lambda visit: visit.scan if visit.scan and os.sep not in visit.scan else None)


def _index(rows: Sequence[Visit], key: Any) -> dict[str, list[int]]:
    index: dict[str, list[int]] = defaultdict(list)
    for number, visit in enumerate(rows):
        name = key(visit)
        if name:
            index[name].append(number)
    return dict(index)


def read_table(path: Path, columns: Iterable[str] = (), need: Iterable[str] = ()) -> Table:
    """Read a table in adclip's canonical form.

    Parameters
    ----------
    path : Path
        CSV (comma, semicolon or tab, found from the header) or a JSON list of objects; UTF-8, byte order mark optional.
    columns : iterable of str
        Mappings ``canonical=theirs``; a mapped column wins over one that bears the canonical name.
    need : iterable of str
        Canonical columns without which the caller cannot work.

    Returns
    -------
    Table
        Unknown cells (empty, ``n/a``, ``N/A``, ``NA``, ``nan``, ``NaN``) are None. Prefixes ``sub-`` and ``ses-`` are
        removed from ids, and `participant_id` is read as `subject_id`.

    Raises
    ------
    TableError
        If the file cannot be read, a needed column is absent, two columns mean the same, or a cell is not what its column
        holds. Cells are never quoted, only classed.
    ConfigError
        If a mapping is malformed.
    """
    path = Path(path)
    mappings = _parse_mappings(columns)
    records = read_records(path, {*COLUMNS, *SYNONYMS, *(theirs.lower() for theirs in mappings.values())})
    _, header = next(records)
    used, extra = _choose_columns(path, header, mappings)
    hints = tuple(_hints(extra, used.values()))
    for column in need:
        if column not in used.values():
            raise TableError.no_column(path, column, header, _likely(column, extra))
    if not used:
        raise TableError.no_known_column(path, hints)

    readers = [(position, column) for position, column in used.items()]
    rows, lines = [], []
    for line, cells in records:
        if len(cells) != len(header):
            raise TableError.bad_row(path, line, f"{len(cells)} cells, the header has {len(header)}")
        values: dict[str, Any] = {}
        for position, column in readers:
            cell = cells[position]
            if cell in MISSING:
                continue
            try:
                values[column] = parse_cell(column, cell)
            except CellError as error:
                raise TableError.bad_cell(path, line, header[position], error.why, error.remedy) from None
        values["subject_id"] = values.get("subject_id") or ""
        rows.append(Visit(**values))
        lines.append(line)
    if not rows:
        raise TableError.no_rows(path, "the table has a header but no rows")
    return Table(rows, lines, path, tuple(used.values()), tuple(extra), hints)


# ----------------------------------------------------------------------------------------------- column names


def _parse_mappings(columns: Iterable[str]) -> dict[str, str]:
    mappings: dict[str, str] = {}
    for text in columns:
        canonical, equals, theirs = (part.strip() for part in text.partition("="))
        if not equals or not canonical or not theirs:
            raise ConfigError.bad_value("--column", f"`{text}` is not of the form canonical=theirs")
        if canonical not in COLUMNS:
            meant = near_miss(canonical)
            remedy = f"did you mean `{meant}`?" if meant else f"canonical columns: {', '.join(COLUMNS)}"
            raise ConfigError.bad_value("--column", f"`{canonical}` is not a canonical column", remedy)
        if canonical in mappings:
            raise ConfigError.bad_value("--column", f"`{canonical}` is mapped twice", "keep one of the two")
        mappings[canonical] = theirs
    return mappings


def _choose_columns(path: Path, header: Sequence[str], mappings: dict[str, str]) -> tuple[dict[int, str], list[str]]:
    """Return {position: canonical column} and the names left over."""
    folded: dict[str, list[str]] = defaultdict(list)
    for name in header:
        if name:
            folded[name.lower()].append(name)
    for names in folded.values():
        if len(names) > 1:
            raise TableError.named_twice(path, names[0])

    used: dict[int, str] = {}
    for canonical, theirs in mappings.items():
        if theirs.lower() not in folded:
            raise TableError.no_mapped_column(path, canonical, theirs, header)
        position = [name.lower() for name in header].index(theirs.lower())
        if position in used:
            raise ConfigError.bad_value(
                "--column", f"`{theirs}` is mapped to two canonical columns", "keep one of the two"
            )
        used[position] = canonical
    named: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(header):
        canonical = SYNONYMS.get(name.lower(), name.lower())
        if position not in used and canonical in COLUMNS and canonical not in mappings:
            named[canonical].append(position)
    for canonical, positions in named.items():
        if len(positions) > 1:
            raise TableError.same_column(path, canonical, (header[position] for position in positions))
        used[positions[0]] = canonical
    used = dict(sorted(used.items()))
    return used, [name for position, name in enumerate(header) if position not in used and name]


def _hints(extra: Iterable[str], used: Iterable[str]) -> Iterator[str]:
    open_columns = [column for column in COLUMNS if column not in set(used)]
    for name in list(extra):
        meant = near_miss(name, open_columns)
        if meant:
            yield f"column `{name}` is not used; if it holds `{meant}`, add `--column {meant}={_quoted(name)}`"


def _likely(column: str, extra: Iterable[str]) -> str | None:
    return next((name for name in extra if near_miss(name, (column,))), None)


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name


# ----------------------------------------------------------------------------------------------- rows and scans


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
