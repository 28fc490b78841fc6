"""The clean table: canonical columns and nothing else, with a dictionary beside it that says what they are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adclip.clinical.columns import COLUMNS
from adclip.clinical.dialects.canonical import SOURCE, unit_of
from adclip.clinical.table import Table
from adclip.domain import RESEARCH_NOTICE, Visit
from adclip.paths import write_text
from adclip.spreadsheets import escape_cell
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
    All canonical columns are written, known or not, so that every clean table has the same header. `volumes_source` is
    none of them and stands in the dictionary, from where `read_tables` takes it back.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=_DELIMITERS[path.suffix], lineterminator="\n")
    unknown = "n/a" if path.suffix == ".tsv" else ""
    writer.writerow(COLUMNS)
    writer.writerows([to_cell(getattr(visit, column), unknown) for column in COLUMNS] for visit in table.rows)
    dictionary = path.with_suffix(".json")
    write_text(dictionary, json.dumps(_describe(table), indent=2) + "\n")
    write_text(path, text.getvalue())
    return dictionary


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
    for column in COLUMNS:
        entry: dict[str, Any] = {"Description": column.removesuffix("_mm3").replace("_", " ")}
        if unit_of(column):
            entry["Units"] = unit_of(column)
        if column in table.definitions:
            entry["Sums"] = table.definitions[column]
        if column in origins:
            entry["Origin"] = origins[column]
        columns[column] = entry
    return {
        **columns,
        SOURCE: _sources(table.rows),
        "GeneratedBy": {"Name": "adclip", "Version": __version__},
        "Notice": RESEARCH_NOTICE,
    }


def _sources(rows: Sequence[Visit]) -> dict[str, Any]:
    """Return the program that measured the volumes: one for all rows, or one for each row."""
    named = [visit.volumes_source for visit in rows]
    described = {"Description": "program that measured the volumes"}
    measured = {source for visit, source in zip(rows, named, strict=True) if _has_volumes(visit)}
    if len(measured) <= 1:
        return {**described, "Value": next(iter(measured), None)}
    return {**described, "Values": named}


def _has_volumes(visit: Visit) -> bool:
    return any(getattr(visit, column) is not None for column in COLUMNS if column.endswith("_mm3"))
