"""The text of a table -> rows of cells with their line numbers; CSV in three dialects, JSON, and Excel workbooks.

The standard library's csv module is used because every cell must stay the text that was written (``NA`` is not a float,
``007`` not 7) and every complaint must name its line; pandas guesses the former and forgets the latter.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from adclip.clinical import errors
from adclip.clinical.tables.workbooks import read_workbook
from adclip.errors import TableError

DELIMITERS = (",", "\t", ";")
_SEPARATOR = re.compile(r"\"?sep=([^\s\w\"])\"?[^\S\n]*\r?\n", re.IGNORECASE)
_OF_FREESURFER = re.compile(r"(Measure|[lr]h\.[\w.]+):?\S* ", re.IGNORECASE)


def read_records(path: Path, column_names: Collection[str]) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a table as text.

    Parameters
    ----------
    path : Path
        CSV (comma, semicolon or tab) or a JSON list of objects, UTF-8 with or without byte order mark; or ``.xlsx``.
    column_names : collection of str
        Column names in lower case that the caller looks for; they decide which delimiter fits.

    Returns
    -------
    iterator of (int, list of str)
        Line where the row begins (from 1) and its cells; first the header. The rows may be longer or shorter than it.

    Raises
    ------
    TableError
        If the file is absent, empty, not text, or not of these formats.
    """
    if path.suffix.lower() == ".xlsx" and path.is_file():
        return read_workbook(path)
    text = _read_text(path)
    if path.suffix.lower() == ".json" or text.lstrip()[:1] == "[":
        return _json_records(path, text, column_names)
    return _csv_records(path, text, column_names)


def delimiter_of(path: Path, column_names: Collection[str]) -> str | None:
    """Return what stands between the cells of a table that `read_records` can read; None of JSON and of a workbook."""
    if path.suffix.lower() in (".xlsx", ".json"):
        return None
    text = _read_text(path)
    if text.lstrip()[:1] == "[":
        return None
    return _find_delimiter(text, column_names)[0]


def cells_of_line(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line that may be a header; none of one that csv refuses, such as a cell beyond its limit of 128 KiB."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _read_text(path: Path) -> str:
    if not path.exists():
        raise TableError.missing_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError.unreadable(path, (error.strerror or "cannot be opened").lower()) from None
    if data[:4] == b"PK\x03\x04":
        raise TableError.unreadable(path, "this is an Excel workbook or a zip archive; a workbook's name ends in .xlsx")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise TableError.unreadable(path, "encoded in UTF-16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError.unreadable(path, f"line {line} is not UTF-8") from None
    if "\0" in text:
        raise TableError.unreadable(path, "it holds binary data")
    if not text.strip():
        raise TableError.unreadable(path, "it is empty")
    return text


def _csv_records(path: Path, text: str, column_names: Collection[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV; rows without any content, which spreadsheets leave behind, are passed over."""
    delimiter, start = _find_delimiter(text, column_names)
    reader = csv.reader(io.StringIO(text[start:], newline=""), delimiter=delimiter, strict=True)
    above = 1 if start else 0
    begins, first = 1 + above, True
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            if first:  # nothing but delimiters
                raise TableError.unreadable(path, "it is empty") from None
            return
        except csv.Error as error:
            raise TableError.bad_row(path, begins, f"not readable as CSV ({error})") from None
        if any(cell.strip() for cell in cells):
            yield begins, [cell.strip() for cell in cells] if first else cells
            first = False
        begins = reader.line_num + 1 + above


def _find_delimiter(text: str, column_names: Collection[str]) -> tuple[str, int]:
    """Return the delimiter of a CSV and where its header begins: behind Excel's first line ``sep=;``, which says the former, else at 0.

    Where nothing says it, the one under which the header holds the most names that are asked for, then the most names at all.
    """
    if said := _SEPARATOR.match(text):
        return said[1], said.end()
    header = next(line for line in text.splitlines() if line.strip())
    if _OF_FREESURFER.match(header) and not any(delimiter in header for delimiter in DELIMITERS):
        return " ", 0  # asegstats2table --delimiter space

    def score(delimiter: str) -> tuple[int, int]:
        names = cells_of_line(header, delimiter)
        return sum(name.strip().lower() in column_names for name in names), len(names)

    return max(DELIMITERS, key=score), 0


def _json_records(path: Path, text: str, column_names: Collection[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the objects of a JSON list as cells; numbers keep the digits that the file has."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            raise TableError.unreadable(path, "an object names the same key twice")
        return record

    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_float=str, parse_int=str, parse_constant=str)
    objects: list[tuple[int, dict[str, Any]]] = []
    at = _skip_space(text, 0)
    line = 1 + text.count("\n", 0, at)
    if text[at : at + 1] != "[":
        raise TableError.unreadable(path, "expected a JSON list of objects")
    at, before = _skip_space(text, at + 1), at
    try:
        while text[at : at + 1] != "]":
            line, before = line + text.count("\n", before, at), at
            record, at = decoder.raw_decode(text, at)
            if not isinstance(record, dict):
                raise TableError.unreadable(path, f"line {line} begins an entry that is not an object")
            objects.append((line, record))
            at = _skip_space(text, at)
            if text[at : at + 1] == ",":
                at = _skip_space(text, at + 1)
            elif text[at : at + 1] != "]":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        if text[at + 1 :].strip():
            raise json.JSONDecodeError("Extra data", text, at + 1)
    except (json.JSONDecodeError, RecursionError) as error:
        where = (
            f"line {error.lineno} is not valid JSON" if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        )
        raise TableError.unreadable(path, where) from None
    if not objects:
        raise TableError.unreadable(path, "it is empty")
    names = list(dict.fromkeys(chain.from_iterable(record for _, record in objects)))
    yield 1, names
    for line, record in objects:
        yield line, [_json_cell(path, line, name, record.get(name), name.lower() in column_names) for name in names]


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _json_cell(path: Path, line: int, name: str, value: Any, is_read: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if not is_read:
        return ""  # nobody will read it
    kind = "true or false" if isinstance(value, bool) else "a list or an object"
    raise errors.bad_cell(path, line, name, f"{kind} where one value is needed")
