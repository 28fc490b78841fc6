"""Excel workbooks -> rows of cells, by the optional package openpyxl."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from adclip.errors import MissingPackageError, TableError


def read_workbook(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Read the only sheet of an ``.xlsx`` file that holds anything.

    Returns
    -------
    iterator of (int, list of str)
        Row number and cells as text, first the header: whole numbers without a point, dates as ``YYYY-MM-DD``. Of a
        formula the value that the spreadsheet last computed.

    Raises
    ------
    MissingPackageError
        If openpyxl is not installed.
    TableError
        If the file is no workbook, is empty, or has several sheets with content.
    """
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError:
        raise MissingPackageError.needed("openpyxl", "excel") from None
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl lets through whatever its zip and XML readers raise
        raise TableError.unreadable(path, f"no Excel workbook ({type(error).__name__})") from None
    try:
        sheets = [(sheet.title, list(_rows(sheet))) for sheet in book.worksheets]
    finally:
        book.close()
    filled = [(title, rows) for title, rows in sheets if rows]
    if not filled:
        raise TableError.unreadable(path, "it is empty")
    if len(filled) > 1:
        raise TableError.unreadable(path, f"{len(filled)} of its sheets hold something; save the right one as CSV")
    return _padded(filled[0][1])


def _rows(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        texts = [_text(cell) for cell in cells]
        if any(texts):
            yield number, texts


def _padded(rows: list[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Give every row the header's length: a sheet does not store the empty cells at the end of a row."""
    header = [name.strip() for name in rows[0][1]]
    while header and not header[-1]:
        header.pop()
    yield rows[0][0], header
    for number, cells in rows[1:]:
        beyond = [cell for cell in cells[len(header) :] if cell]
        yield number, (cells + [""] * len(header))[: len(header)] + beyond


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime | date):
        return cell.isoformat()[:10]
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip() if not isinstance(cell, bool) else str(cell).lower()
