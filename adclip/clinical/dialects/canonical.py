"""adclip's own form: every column under its canonical name."""

from __future__ import annotations

import json
from pathlib import Path

from adclip.clinical.columns import COLUMNS
from adclip.clinical.dialects.base import Dialect, Rule

_UNITS = {
    "age_years": "years",
    "education_years": "years",
    "apoe4_count": "alleles",
    "mmse": "points",
    "cdr_global": "points",
}
SOURCE = "volumes_source"  # not canonical: which program measured the volumes; `adclip preprocess --volumes` writes it


def unit_of(column: str) -> str:
    """Return the unit of a canonical column, empty where it has none."""
    return "mm3" if column.endswith("_mm3") else _UNITS.get(column, "")


CANONICAL = Dialect(
    name="canonical",
    signatures=(),
    rules=(
        Rule("subject_id", ("participant_id",), "BIDS name of the subject; the prefix `sub-` is removed"),
        Rule(SOURCE, (SOURCE,), "program that measured the volumes of the row", read=lambda cell: cell or None),
        *(Rule(column, (column,), "its own name", unit_of(column)) for column in COLUMNS),
    ),
)


def read_dictionary_source(path: Path) -> str | list[str | None] | None:
    """Return what the dictionary beside a clean table says of its volumes' program: one, one a row, or None."""
    dictionary = path.with_suffix(".json")
    if path.suffix not in (".csv", ".tsv") or not dictionary.is_file():
        return None
    try:
        data = json.loads(dictionary.read_text(encoding="utf-8"))
        entry = data[SOURCE]
        found = entry.get("Value") or entry.get("Values")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # another table's JSON, or none of ours
    if isinstance(found, list) and all(one is None or isinstance(one, str) for one in found):
        return found
    return found if isinstance(found, str) else None
