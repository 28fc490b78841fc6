"""How an answer would change with one column of the row: a curve of probabilities over values that the user names."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from adclip.clinical.columns import COLUMNS, CellError
from adclip.clinical.reports import fields_of, measured_mm3
from adclip.domain import Visit
from adclip.errors import ConfigError
from adclip.model.record import AdapterRecord
from adclip.prediction.evidence import Evidence
from adclip.runtime.paths import write_text
from adclip.runtime.spreadsheets import escape_cell
from adclip.told import Curve, CurvePoint

FLAG = "--what-if"
TABLE = "what_if.tsv"
MOST_VALUES = 100
DIGITS = 6  # significant ones of a value
_EXAMPLE = f"for example {FLAG} hippocampus_mm3=4000:8000:9"
_NUMBERS = ("age_years", "education_years", "apoe4_count", *(name for name in COLUMNS if name.endswith("_mm3")))
_SIDES = {"hippocampus_mm3": ("hippocampus_left_mm3", "hippocampus_right_mm3")}


@dataclass(frozen=True)
class Question:
    """A column and the values that it is to take, in its unit, from the smallest to the largest."""

    column: str
    values: tuple[float, ...]


def parse_question(text: str) -> Question:
    """Return what `column=from:to:count` asks.

    Raises
    ------
    ConfigError
        If it has another form, or a value that no cell of that column may have.

    Examples
    --------
    >>> parse_question("age_years=60:80:3")
    Question(column='age_years', values=(60.0, 70.0, 80.0))
    """
    column, _, span = text.partition("=")
    column, ends = column.strip(), span.split(":")
    try:
        low, high, count = float(ends[0]), float(ends[1]), int(ends[2])
    except (IndexError, ValueError):
        low = high = count = 0
    if len(ends) != 3 or not column or not -math.inf < low < high < math.inf or not 2 <= count <= MOST_VALUES:
        why = f"`{text}` is not COLUMN=FROM:TO:COUNT, with FROM below TO and 2 to {MOST_VALUES} values"
        raise ConfigError.bad_value(FLAG, why, _EXAMPLE)
    values = tuple(float(f"{value:.{DIGITS}g}") for value in np.linspace(low, high, count))
    if column in _NUMBERS:  # whether a model's report reads it, is asked later
        _check_values(column, values)
    return Question(column, values)


def _check_values(column: str, values: Sequence[float]) -> None:
    for value in values:
        try:
            COLUMNS[column](f"{value:f}".rstrip("0").rstrip("."))
        except CellError as error:
            raise ConfigError.bad_value(FLAG, f"{column}={value:g}: {error.why}", error.remedy or _EXAMPLE) from None


def check_question(question: Question, record: AdapterRecord) -> None:
    """Raise ConfigError unless the column is a number that the reports of a model have."""
    able = [column for column in fields_of(record.style) if column in _NUMBERS]
    able = list(record.task.usable(able)) if record.reports else []
    if question.column not in able:
        remedy = f"it reads {', '.join(able)}" if able else "it reads the scan alone, so no column changes its answer"
        raise ConfigError.bad_value(FLAG, f"`{question.column}` is no number that this model's report reads", remedy)


def present_value(evidence: Evidence, column: str) -> float | None:
    """Return what is known of a column now: in the row, or among the volumes found for the scan."""
    visit = evidence.completed or evidence.row
    if visit is None:
        return None
    value = measured_mm3(visit, column) if column.endswith("_mm3") else getattr(visit, column)
    return None if value is None else float(value)


def alter(visit: Visit | None, column: str, value: float) -> Visit:
    """Return a visit with another value in one column; both sides follow a total and the total a side, so that they agree."""
    visit = visit or Visit()
    changed: dict[str, Any] = {column: int(value) if column == "apoe4_count" else value}
    for total, sides in _SIDES.items():
        known = [getattr(visit, side) for side in sides]
        if None in known:
            continue
        if column == total and sum(known) > 0:
            changed |= {side: size * value / sum(known) for side, size in zip(sides, known, strict=True)}
        elif column in sides:
            changed[total] = value + known[1 - sides.index(column)]
    return replace(visit, **changed)


def is_found(evidence: Evidence, column: str) -> bool:
    """Whether a column is a volume that was found for the scan, and not one of the row."""
    row, completed = evidence.row, evidence.completed
    return (
        column.endswith("_mm3")
        and completed is not None
        and completed.has_volumes
        and not (row is not None and row.has_volumes)
    )


def to_curve(
    question: Question,
    present: float | None,
    here: Mapping[str, float],
    probabilities: Iterable[Mapping[str, float]],
) -> Curve:
    """Put values and answers together, with the present value among them.

    Parameters
    ----------
    question : Question
    present : float or None
        In the column's unit.
    here : mapping of str to float
        Class -> probability of the answer as it is.
    probabilities : iterable of mapping
        The same at each value of the question.
    """
    points = {
        value: CurvePoint(value, value == present, dict(answer))
        for value, answer in zip(question.values, probabilities, strict=True)
    }
    if present is not None:
        points[present] = CurvePoint(present, True, dict(here))
    return Curve(question.column, present, tuple(points[value] for value in sorted(points)))


def write_curves(out: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write `what_if.tsv`: a row for each scan, column and value; nothing where no record has a curve.

    Parameters
    ----------
    out : Path
        The folder.
    records : iterable of mapping
        Of predictions, as `Prediction.to_dict` returns them.
    """
    rows = [
        {
            "scan": record["scan"], "subject_id": record["subject_id"], "session_id": record["session_id"] or "n/a",
            "column": curve["column"], "value": f"{point['value']:g}", "is_present": str(point["is_present"]).lower(),
            **{label: f"{share:.6f}" for label, share in point["probabilities"].items()},
        }
        for record in records
        for curve in record.get("what_if") or ()
        for point in curve["points"]
    ]  # fmt: skip
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: escape_cell(value) for name, value in row.items()} for row in rows)
    write_text(out / TABLE, text.getvalue())
