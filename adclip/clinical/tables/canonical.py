"""The clean table: canonical columns and nothing else, with a dictionary beside it that says what they are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adclip.clinical.columns import COLUMNS, FURTHER_VOLUMES
from adclip.clinical.dialects.canonical import SOURCE, unit_of
from adclip.clinical.tables.table import Table, move_scan
from adclip.domain import RESEARCH_NOTICE, Visit
from adclip.runtime.paths import write_text
from adclip.runtime.spreadsheets import escape_cell
from adclip.version import __version__

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def write_canonical(path: Path, table: Table) -> Path:
    """Write a table in adclip's canonical form, and its dictionary as FILE.json.

    Parameters
    ----------
    path : Path
        ``.csv`` (unknown cells empty) or ``.tsv`` (unknown cells ``n/a``, as BIDS wants it).
    table : Table
        What was read.

    Returns
    -------
    Path
        The dictionary: meaning, unit and origin of each column, the program that measured the volumes, and the structures
        that `ventricles_mm3` and `whole_brain_mm3` sum.

    Notes
    -----
    All canonical columns are written, known or not, so that every clean table has the same header; after them those of
    `FURTHER_VOLUMES` that any row has. The program that
    measured the volumes stands in the dictionary, from where `read_tables` takes it back; where rows have different ones,
    each row carries its own in a last column `volumes_source`, so that sorting or filtering the table moves nothing.
    Relative `scan` cells lead from the new file to the same scan.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=_DELIMITERS[path.suffix], lineterminator="\n")
    unknown = "n/a" if path.suffix == ".tsv" else ""
    columns = (*COLUMNS, SOURCE) if len(_sources(table.rows)) > 1 else tuple(COLUMNS)
    further = _further(table.rows)
    score = table.task.score_key
    folder = path.parent.absolute()
    writer.writerow([*columns, *further, *([] if score in COLUMNS else [score])])
    for visit in table.rows:
        moved_visit = replace(visit, scan=move_scan(visit.scan, table.path.parent, folder))
        scores = [] if score in COLUMNS else [to_cell(moved_visit.score, unknown)]
        more = dict(moved_visit.further_volumes or ())
        cells = [*(getattr(moved_visit, column) for column in columns), *(more.get(column) for column in further)]
        writer.writerow([*(to_cell(cell, unknown) for cell in cells), *scores])
    dictionary = dictionary_path(path)
    write_text(dictionary, json.dumps(_describe(table), indent=2) + "\n")
    write_text(path, text.getvalue())
    return dictionary


def dictionary_path(path: Path) -> Path:
    """Return where the dictionary of a clean table stands."""
    return path.with_suffix(".json")


def to_cell(value: Any, unknown: str = "") -> str:
    """Return a value as text: numbers with all their digits, whole ones without a point."""
    if value is None or value == "":
        return unknown
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(escape_cell(str(value)))


def _describe(table: Table) -> dict[str, Any]:
    origins: dict[str, list[str]] = {}
    for meaning in table.meanings:
        if meaning.column is not None:
            origins.setdefault(meaning.column, []).append(f"{meaning.source} of {meaning.table}: {meaning.why}")
    columns: dict[str, Any] = {}
    for column in (*COLUMNS, *_further(table.rows)):
        entry: dict[str, Any] = {"Description": column.removesuffix("_mm3").replace("_", " ")}
        if unit_of(column):
            entry["Units"] = unit_of(column)
        if column in table.definitions:
            entry["Sums"] = table.definitions[column]
        if column in origins:
            entry["Origin"] = origins[column]
        columns[column] = entry
    if (score := table.task.score_key) not in COLUMNS:
        columns[score] = {"Description": table.task.score, "Units": "points"}
    return {
        **columns,
        SOURCE: {"Description": "program that measured the volumes", **_the_source(table.rows)},
        "GeneratedBy": {"Name": "adclip", "Version": __version__},
        "Notice": RESEARCH_NOTICE,
    }


def _further(rows: Sequence[Visit]) -> list[str]:
    """Return the further volumes that any row has."""
    present_columns = {column for visit in rows for column, _ in visit.further_volumes or ()}
    return [column for column in FURTHER_VOLUMES if column in present_columns]


def _sources(rows: Sequence[Visit]) -> set[str | None]:
    """Return the programs that measured the volumes of the rows that have any."""
    return {visit.volumes_source for visit in rows if _has_volumes(visit)}


def _the_source(rows: Sequence[Visit]) -> dict[str, Any]:
    sources = _sources(rows)
    return {"Value": next(iter(sources), None)} if len(sources) <= 1 else {}


def _has_volumes(visit: Visit) -> bool:
    return bool(visit.further_volumes) or any(
        getattr(visit, column) is not None for column in COLUMNS if column.endswith("_mm3")
    )
