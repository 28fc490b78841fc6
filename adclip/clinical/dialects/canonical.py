"""adclip's own form: every column under its canonical name."""

from __future__ import annotations

import json
from pathlib import Path

from adclip.clinical.columns import COLUMNS, FURTHER_VOLUMES, read_further
from adclip.clinical.dialects.base import Dialect, Rule

_UNITS = {
    "age_years": "years",
    "education_years": "years",
    "apoe4_count": "alleles",
    "mmse": "points",
    "cdr_global": "points",
}
SCORE = "score"  # not canonical: the auxiliary score of a task that has another than the MMSE
# What a model is to find out. Nobody's answer depends on them, and `predict` stops at none of them.
ANSWERS = frozenset({"diagnosis", "mmse", "cdr_global", SCORE})
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
        *(Rule(column, (column,), "its own name", unit_of(column), read_further(column)) for column in FURTHER_VOLUMES),
    ),
)


def read_dictionary(path: Path) -> tuple[str | None, dict[str, str]]:
    """Read the dictionary beside a clean table.

    Returns
    -------
    source : str or None
        The program that measured all volumes, where it was one.
    definitions : dict of str to str
        Canonical volume -> the structures that it sums.
    """
    dictionary = path.with_suffix(".json")
    if path.suffix not in (".csv", ".tsv") or not dictionary.is_file():
        return None, {}
    try:
        data = json.loads(dictionary.read_text(encoding="utf-8"))
        source = data[SOURCE].get("Value")
        sums = {column: data[column]["Sums"] for column in COLUMNS if "Sums" in data.get(column, {})}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, {}  # another table's JSON, or none of ours
    return source if isinstance(source, str) else None, {c: text for c, text in sums.items() if isinstance(text, str)}
