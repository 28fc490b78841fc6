"""A table with a `scan` column: which files it names, and what it calls them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from adclip.errors import TableError


@dataclass(frozen=True)
class ListedScan:
    """One row: the file, its ids without BIDS prefixes (`subject_id` may be empty), and the row's last line."""

    scan: Path
    subject_id: str
    session_id: str | None
    line: int


def read_list(path: Path) -> list[ListedScan]:
    """Read the rows that name a scan.

    Parameters
    ----------
    path : Path
        CSV (commas, semicolons or tabs) or TSV in UTF-8. Columns `scan`, relative to the table, and where there are any
        `subject_id` or `participant_id`, and `session_id`; in any case, with or without `sub-` and `ses-`.

    Raises
    ------
    TableError
        If the table is missing, unreadable, damaged, has no column `scan`, names no scan, or names the subjects of some rows only.
    """
    text = _read_text(path)
    first = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    listed: list[ListedScan] = []
    blank, named = None, False
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if "scan" not in header:
            raise TableError.no_column(path, "scan", header)
        subject_column = "subject_id" if "subject_id" in header else "participant_id"
        for row in rows:
            cells = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
            scan, subject_id, session_id = (
                _known(cells.get(name, "")) for name in ("scan", subject_column, "session_id")
            )
            if subject_id:
                named = True
            elif blank is None and any(cells.values()):
                blank = rows.line_num
            if not scan:
                continue  # a visit without a scan: metadata only
            listed.append(
                ListedScan(
                    path.parent / scan,
                    subject_id.removeprefix("sub-"),
                    session_id.removeprefix("ses-") or None,
                    rows.line_num,
                )
            )
    except csv.Error as error:
        long = f"a cell is longer than {csv.field_size_limit():,} characters"
        why = long if "field larger" in str(error) else "its quotes or line ends are damaged"
        raise TableError.bad_row(path, rows.line_num, why) from None
    if named and blank is not None:
        raise TableError.blank_id(path, blank)
    if not listed:
        raise TableError.no_rows(path, "no row names a scan")
    return listed


def _known(cell: str) -> str:
    return "" if cell.lower() in ("n/a", "na", "nan") else cell


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError.unreadable(path, "not UTF-8 text") from None
    except FileNotFoundError:
        raise TableError.missing_file(path) from None
    except (OSError, ValueError) as error:
        why = "it may not be read" if isinstance(error, PermissionError) else "no file can have this name"
        raise TableError.unreadable(path, why) from None
