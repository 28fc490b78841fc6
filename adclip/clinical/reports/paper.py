"""The paper's template: biomarkers in mm3 with two decimals, in a fixed order (arXiv:2509.07613)."""

from __future__ import annotations

import re

from adclip.clinical.reports import errors
from adclip.clinical.reports.readings import measure
from adclip.clinical.reports.spans import Span
from adclip.domain import Visit

UNAVAILABLE = "Data unavailable"
# Canonical column -> its name in the report; wording and order of arXiv:2509.07613.
NAMES = {
    "hippocampus_mm3": "Hippocampal Vol",
    "ventricles_mm3": "Ventricular size",
    "whole_brain_mm3": "Whole brain Vol",
    "entorhinal_mm3": "Entorhinal Vol",
    "fusiform_mm3": "Fusiform Vol",
    "middle_temporal_mm3": "Middle temporal Vol",
}
FIELDS = {"paper4": tuple(NAMES)[:4], "paper6": tuple(NAMES)}
_NUMBER = re.compile(r"\d+\.\d{2}")


def write(visit: Visit, style: str, keep: frozenset[str] | None, begin: int) -> tuple[str, list[Span]]:
    """Write the biomarkers of one visit, and trace every value; `begin` is where in the report the text begins."""
    parts: list[str] = []
    spans: list[Span] = []
    at = begin
    for column in FIELDS[style]:
        reading = measure(visit, column, keep)
        shown = UNAVAILABLE if reading is None else f"{reading.value:.2f}"
        parts.append(f"{NAMES[column]}: {shown}")
        at += len(parts[-1])
        if reading is not None:
            spans.append(Span(at - len(shown), at, column, float(shown), "mm3", reading.sources, reading.rule))
        at += len(", ")
    return ", ".join(parts), spans


def printed(visit: Visit, style: str, keep: frozenset[str] | None) -> dict[str, float | str]:
    """Return what a report says: canonical column -> value in mm3 at two decimals."""
    readings = {column: measure(visit, column, keep) for column in FIELDS[style]}
    return {column: float(f"{reading.value:.2f}") for column, reading in readings.items() if reading is not None}


def read(text: str, at: int) -> dict[str, float | str]:
    """Read the biomarkers back from position `at`; what reads ``Data unavailable`` is left out.

    Raises
    ------
    ReportError
        If the text deviates from the template anywhere.
    """
    values: dict[str, float | str] = {}
    for passed, (column, name) in enumerate(NAMES.items()):
        at = _expect(text, at, f", {name}: " if passed else f"{name}: ")
        number = _NUMBER.match(text, at)
        if number:
            values[column] = float(number.group())
        at = number.end() if number else _expect(text, at, UNAVAILABLE)
        if at == len(text) and passed + 1 in {len(columns) for columns in FIELDS.values()}:
            return values
    raise errors.not_a_report(at)


def _expect(text: str, at: int, literal: str) -> int:
    if not text.startswith(literal, at):
        raise errors.not_a_report(at)
    return at + len(literal)
