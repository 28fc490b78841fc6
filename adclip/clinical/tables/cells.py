"""The cells of a table as they stand in the file, for questions about columns that no model reads."""

from __future__ import annotations

from collections import defaultdict

from adclip.clinical.columns import MISSING
from adclip.clinical.tables.records import read_records
from adclip.clinical.tables.table import Table


def read_cells(table: Table) -> dict[str, list[str | None]]:
    """Return the cells of each column of a table's file, in the order of its rows; None where a cell says that it is unknown.

    Parameters
    ----------
    table : Table
        From `read_tables`.

    Returns
    -------
    dict
        Name of the column as it is written -> one cell for each of `table.rows`. Empty where several files were joined, because a row
        is then of no single line, and where the file is no table of lines (FreeSurfer's results).
    """
    if len(table.dialects) != 1 or table.path.is_dir() or table.path.name.endswith(".stats"):
        return {}
    wanted = {name.strip().lower() for meaning in table.meanings for name in meaning.source.split(" + ")}
    records = read_records(table.path, wanted)
    _, header = next(records)
    rows_of: dict[int, list[int]] = defaultdict(list)  # UK Biobank has several visits in one line
    for number, line in enumerate(table.lines):
        rows_of[line].append(number)
    columns: dict[str, list[str | None]] = {name: [None] * len(table.rows) for name in header if name}
    for line, cells in records:
        numbers = rows_of.get(line, ())
        for name, cell in zip(header, cells, strict=False):
            text = cell.strip()
            if name and text not in MISSING:
                for number in numbers:
                    columns[name][number] = text
    return columns


def columns_taken_for(table: Table, *canonical: str) -> frozenset[str]:
    """Return the names of a file's columns that were read as one of these canonical ones."""
    sources = (meaning.source for meaning in table.meanings if meaning.column in canonical)
    return frozenset(name for source in sources for name in (source, *source.split(" + ")))
