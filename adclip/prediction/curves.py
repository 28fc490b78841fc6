"""Curves of `--what-if` as a table on disk."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from adclip.runtime.paths import atomic_path
from adclip.runtime.spreadsheets import escape_cell

TABLE = "what_if.tsv"


def write_curves(out: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write `what_if.tsv`: a row for each scan, column and value; nothing where no record has a curve.

    Parameters
    ----------
    out : Path
        The folder.
    records : iterable of mapping
        Of predictions, as `Prediction.to_dict` returns them.
    """
    rows = (
        {
            "scan": record["scan"], "subject_id": record["subject_id"], "session_id": record["session_id"] or "n/a",
            "column": curve["column"], "value": f"{point['value']:g}", "is_present": str(point["is_present"]).lower(),
            **{label: f"{share:.6f}" for label, share in point["probabilities"].items()},
        }
        for record in records
        for curve in record.get("what_if") or ()
        for point in curve["points"]
    )  # fmt: skip
    if (first := next(rows, None)) is None:
        return
    with atomic_path(out / TABLE) as table, table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(first), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: escape_cell(value) for name, value in row.items()} for row in chain((first,), rows))
