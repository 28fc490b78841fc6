"""How an answer would change with one column of the row: a curve of probabilities over values that the user names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from adclip.clinical.reports import measured_mm3
from adclip.domain import Visit
from adclip.prediction.evidence import Evidence
from adclip.prediction.questions import Question
from adclip.told import Curve, CurvePoint

_SIDES = {"hippocampus_mm3": ("hippocampus_left_mm3", "hippocampus_right_mm3")}


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
