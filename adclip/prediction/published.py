"""The predictions of a cohort as single files: JSON lines, and one flat row a scan as CSV and TSV, made record by record."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from adclip.domain import Prediction
from adclip.imaging.derivatives.dataset import DESCRIPTION, ignore_in_bids, write_dataset_description
from adclip.runtime.paths import atomic_path
from adclip.runtime.spreadsheets import escape_cell

JSON_LINES, CSV, TSV = "predictions.jsonl", "predictions.csv", "predictions.tsv"
RESULTS = (JSON_LINES, CSV, TSV)
NOT_KNOWN = "n/a"  # BIDS: how a TSV says "nothing"


def write_predictions(out: Path, predictions: Iterable[Prediction | Mapping[str, Any]]) -> int:
    """Write predictions.jsonl, and predictions.csv and .tsv with one flat row for each scan, in a folder that BIDS's tools accept.

    Parameters
    ----------
    out : Path
        Folder.
    predictions : iterable of Prediction or mapping
        Predictions, or what their `to_dict` gave; looked at one at a time.

    Returns
    -------
    int
        How many there were.

    Raises
    ------
    OSError
        If the disk is full; then the earlier files stay.
    """
    if (out / DESCRIPTION).is_file():
        ignore_in_bids(out)
    else:
        write_dataset_description(out, "adclip predictions", has_images=False)
    names: dict[str, None] = {}
    count = 0
    # the lines are the last to get their name: where they are, the tables are
    with atomic_path(out / JSON_LINES) as lines:
        with lines.open("w", encoding="utf-8") as stream:
            for count, prediction in enumerate(predictions, 1):  # noqa: B007  counted here, told at the end
                record = prediction.to_dict() if isinstance(prediction, Prediction) else prediction
                stream.write(json.dumps(record) + "\n")
                names |= dict.fromkeys(flatten(narrow(record)))
        groups = {name.rpartition(".")[0] for name in names}  # one row has `volumes_only.CN`, another none of it
        header = [name for name in names if name not in groups]
        with atomic_path(out / CSV) as table, table.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, header, restval="", extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: escape_cell(value) for name, value in row.items()} for row in _rows(lines))
        with atomic_path(out / TSV) as table, table.open("w", encoding="utf-8", newline="") as stream:
            stream.write("\t".join(header) + "\n")
            stream.writelines("\t".join(_to_cell(row.get(name)) for name in header) + "\n" for row in _rows(lines))
    return count


def _rows(lines: Path) -> Iterator[dict[str, Any]]:
    with lines.open(encoding="utf-8") as stream:
        for line in stream:
            yield flatten(narrow(json.loads(line)))


def _to_cell(value: Any) -> str:
    """Return a cell of a TSV, which has no quotes: on one line, and never empty."""
    return " ".join(str(escape_cell(value)).split()) or NOT_KNOWN if value is not None else NOT_KNOWN


def narrow(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record for one flat row: of each volume the number, its centile and its asymmetry, as far as they are known.

    The rest is the same in all rows, or follows from these; the JSON lines have it.
    """
    flat_columns: dict[str, Any] = {}
    for column, entry in (record["volumes"] or {}).items():
        name = column.removesuffix("_mm3")
        flat_columns[column] = entry["mm3"]
        if entry["centile"] is not None:
            flat_columns[f"{name}_centile"] = entry["centile"]
            if entry["centile_beyond"]:  # 95 stands for all above it, 5 for all below
                flat_columns[f"{name}_centile_beyond"] = True
        if entry["asymmetry_percent"] is not None:
            flat_columns[f"{name}_asymmetry_percent"] = entry["asymmetry_percent"]
    # of each value or case a row of its own would be needed: `what_if.tsv` has the curves
    return {name: value for name, value in record.items() if name not in ("similar", "what_if")} | {
        "volumes": flat_columns
    }


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return one level of columns: `probabilities.AD` and so on; lists joined by `;`."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            flat[prefix + key] = ";".join(str(item) for item in value)
        else:
            flat[prefix + key] = value
    return flat
