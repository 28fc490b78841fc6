"""A file of reports, adclip's own or foreign -> its texts with line, subject and split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adclip.clinical import errors
from adclip.clinical.tables.records import read_records
from adclip.errors import TableError
from adclip.runtime.spreadsheets import unescape_cell

TEXT_COLUMNS = ("text", "report")  # the first one present is read
ID_COLUMNS = (
    "subject_id", "subject", "participant_id", "participant", "patient_id", "patient", "patient_name", "name", "ptid",
    "rid", "mrid", "mrn", "mri id", "subject id", "id",
)  # fmt: skip
_SPLIT = "split"
_LINES = (".jsonl", ".ndjson", ".txt")


@dataclass(frozen=True)
class ReportText:
    """One report of a file.

    Parameters
    ----------
    line : int
        Where it begins, from 1.
    text : str
    ids : tuple of str
        Whatever names the person in the same record.
    split : str or None
        Part of the split it belongs to, where the file says so.
    """

    line: int
    text: str
    ids: tuple[str, ...] = ()
    split: str | None = None


def read_report_texts(path: Path) -> Iterator[ReportText]:
    """Read a file of reports.

    Parameters
    ----------
    path : Path
        ``.jsonl`` or ``.ndjson`` with an object a line, ``.txt`` with a report a line, or a table (CSV, TSV, JSON list,
        ``.xlsx``); objects and tables hold the report in `text` or `report`.

    Yields
    ------
    ReportText
        Records without a report (as of a scan that failed) are passed over.

    Raises
    ------
    TableError
        If the file is absent or not readable, or a record has no such field; with its line.
    """
    ending = path.suffix.lower()
    if ending not in _LINES:
        yield from _read_table(path)
        return
    for line, text in _read_lines(path):
        if ending == ".txt":
            yield ReportText(line, text)
            continue
        report = _to_report(path, line, _read_object(path, line, text))
        if report is not None:
            yield report


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold anything, one at a time: a file of reports may be larger than memory."""
    if not path.exists():
        raise TableError.missing_file(path)
    any_line = False
    try:
        with path.open("rb") as stream:
            for line, data in enumerate(stream, start=1):
                if data[:2] in (b"\xff\xfe", b"\xfe\xff") and line == 1:
                    raise TableError.unreadable(path, "encoded in UTF-16")
                try:
                    text = data.decode("utf-8-sig" if line == 1 else "utf-8")
                except UnicodeDecodeError:
                    raise TableError.unreadable(path, f"line {line} is not UTF-8") from None
                if "\0" in text:
                    raise TableError.unreadable(path, f"line {line} holds binary data")
                if text.strip():
                    any_line = True
                    yield line, text.strip()
    except OSError as error:
        raise TableError.unreadable(path, (error.strerror or "cannot be opened").lower()) from None
    if not any_line:
        raise TableError.unreadable(path, "it is empty")


def _read_object(path: Path, line: int, text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise _not_an_object(path, line) from None
    if not isinstance(record, dict):
        raise _not_an_object(path, line)
    return {key.strip().lower(): value for key, value in record.items()}


def _not_an_object(path: Path, line: int) -> TableError:
    return TableError(f"{path} line {line}: not a JSON object", "write one object with a `text` on each line")


def _to_report(path: Path, line: int, record: Mapping[str, Any]) -> ReportText | None:
    column = next((name for name in TEXT_COLUMNS if name in record), None)
    if column is None:
        raise TableError(f"{path} line {line}: no report", "name the field of the report `text` or `report`")
    text = record[column]
    if text is None:
        return None
    if not isinstance(text, str):
        raise errors.bad_cell(path, line, column, "not a text", "write the report as a text in quotes")
    ids = tuple(str(record[name]).strip() for name in ID_COLUMNS if record.get(name) not in (None, ""))
    split = record.get(_SPLIT)
    return ReportText(line, text, ids, None if split in (None, "") else str(split).strip().lower())


def _read_table(path: Path) -> Iterator[ReportText]:
    column_names = {*TEXT_COLUMNS, *ID_COLUMNS, _SPLIT}
    rows = read_records(path, column_names)
    first = next(rows, None)
    if first is None:
        raise TableError.unreadable(path, "it is empty")
    header = first[1]
    names = [name.strip().lower() for name in header]
    for name in names:
        if name in column_names and names.count(name) > 1:
            raise errors.named_twice(path, name)
    if not set(TEXT_COLUMNS) & set(names):
        raise TableError(f"{path}: no column of reports", "name the column of the reports `text` or `report`")
    for line, cells in rows:
        if len(cells) != len(names):
            raise TableError.bad_row(path, line, f"{len(cells)} cells, the header has {len(names)}")
        record = {name: unescape_cell(cell) for name, cell in zip(names, cells, strict=True)}
        report = _to_report(path, line, record)
        if report is not None and report.text.strip():
            yield report
