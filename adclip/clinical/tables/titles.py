"""A title above the header of a table, as spreadsheets have it: found, so that the error names the header's line."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from adclip.clinical.column_names import near_miss
from adclip.clinical.tables import errors
from adclip.clinical.tables.header import to_plain
from adclip.clinical.tables.records import DELIMITERS, cells_of_line

_LINES = 20  # in which the header is looked for
_NAMES = 2  # that a header has at least


def check_no_title(path: Path, rows: Iterator[tuple[int, list[str]]], known: Collection[str]) -> None:
    """Refuse a table of which a later row than the first holds the names of columns.

    Parameters
    ----------
    path : Path
        The file; a text is looked at line by line, since its delimiter was chosen by the title.
    rows : iterator of (int, list of str)
        Rows behind the first, of a workbook.
    known : collection of str
        Names in lower case that somebody reads; bare numbers, which are names of DLMUSE, do not count.

    Raises
    ------
    TableError
        With the line that looks like the header.
    """
    if path.suffix.lower() == ".json":
        return
    for line, cells in islice(rows, _LINES - 1) if path.suffix.lower() == ".xlsx" else _lines_of(path):
        names = [name for name in to_plain(cells) if name and not name.isdigit()]
        if sum(name in known or near_miss(name) is not None for name in names) >= _NAMES:
            raise errors.header_below(path, line)


def _lines_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    lines = path.read_text(encoding="utf-8-sig").splitlines()[:_LINES]
    for number, line in enumerate(lines[1:], start=2):
        for delimiter in DELIMITERS:
            yield number, cells_of_line(line, delimiter)
