"""What `Predictor` may be given for a scan and for a row of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adclip.clinical.settings import TableOptions
from adclip.domain import ScanItem, Visit
from adclip.errors import ScanError, TableError
from adclip.task import ALZHEIMER, Task


def to_item(scan: Path | str) -> ScanItem:
    """Return the one scan at a path: a file as it is named; of a folder or a list the one scan that it holds."""
    from adclip.imaging.sources.find import LISTS, find_scans
    from adclip.imaging.sources.item import name_scan
    from adclip.runtime.paths import is_folder

    path = Path(scan)
    if not is_folder(path) and path.suffix.lower() not in LISTS:
        return name_scan(path).item
    items = find_scans((path,))
    if len(items) != 1:
        raise ScanError(f"{scan}: holds {len(items)} scans", "give one scan file, or use adclip.verbs.predict for many")
    return items[0]


def read_visit(table: Path | str, task: Task = ALZHEIMER) -> Visit:
    """Return the only row of a table."""
    from adclip.clinical.tables.table import read_tables

    rows: list[Any] = list(read_tables((Path(table),), TableOptions(task=task, answers=False)).rows)
    if len(rows) != 1:
        raise TableError.no_rows(table, f"{len(rows)} rows, one is needed here")
    return rows[0]
