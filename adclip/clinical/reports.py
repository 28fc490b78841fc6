"""Visit -> synthetic report, by versioned templates, and back again.

A report states measured values only. No score that defines the diagnosis (MMSE, CDR, ...) and no diagnosis is ever read
from the visit: the label phrase is written from an argument, so that training, candidate and unlabelled reports differ in
that phrase alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from adclip.config import check_style
from adclip.domain import CLASS_PHRASES, Report, Visit
from adclip.errors import ConfigError, ReportError

TEMPLATE_VERSION = "1"  # raise it whenever a rendered byte changes: checkpoints record the version they were taught on

UNAVAILABLE = "Data unavailable"
PHRASE_START = "A photo of "
UNIT = "mm3"

# Canonical column -> its name in the report; wording and order of arXiv:2509.07613.
_BIOMARKERS = {
    "hippocampus_mm3": "Hippocampal Vol",
    "ventricles_mm3": "Ventricular size",
    "whole_brain_mm3": "Whole brain Vol",
    "entorhinal_mm3": "Entorhinal Vol",
    "fusiform_mm3": "Fusiform Vol",
    "middle_temporal_mm3": "Middle temporal Vol",
}
_FIELDS = {"paper4": tuple(_BIOMARKERS)[:4], "paper6": tuple(_BIOMARKERS)}
# Where a total is unknown it may be the sum of parts, if every part is known: total -> (parts, name of the rule).
_SUMS = {"hippocampus_mm3": (("hippocampus_left_mm3", "hippocampus_right_mm3"), "left + right")}

_CLASSES = {phrase: name for name, phrase in CLASS_PHRASES.items()}
_LABEL = re.compile(rf"{PHRASE_START}(?P<phrase>[A-Za-z0-9-]+)")
_NUMBER = re.compile(r"\d+\.\d{2}")


@dataclass(frozen=True)
class Span:
    """One printed value of a report and its origin.

    Parameters
    ----------
    start, end : int
        Position of the value in `Report.text`, as in ``text[start:end]``.
    column : str
        Canonical column that the template asks for.
    value : float
        The number as printed, in `unit`.
    unit : str
        Always mm3 in the paper templates.
    sources : tuple of str
        Columns of the table that the value was read from.
    rule : str
        ``as given``, or how `sources` were combined.
    """

    start: int
    end: int
    column: str
    value: float
    unit: str
    sources: tuple[str, ...]
    rule: str


def fields_of(style: str) -> tuple[str, ...]:
    """Return the canonical columns that `style` prints, in its order.

    Raises
    ------
    ConfigError
        If there is no such style.
    """
    check_style(style)
    return _FIELDS[style]


def usable_fields(visit: Visit, style: str) -> tuple[str, ...]:
    """Return those of `fields_of(style)` that the visit can supply, a sum of left and right included.

    These are the names that `keep` of `render` selects from.
    """
    return tuple(column for column in fields_of(style) if _measure(visit, column) is not None)


def printed(visit: Visit, style: str, keep: frozenset[str] | None = None) -> dict[str, float]:
    """Return what a report says: canonical column -> value in mm3 at the template's two decimals."""
    values = {}
    for column in fields_of(style):
        found = _measure(visit, column, keep)
        if found is not None:
            values[column] = float(f"{found[0]:.2f}")
    return values


def render(
    visit: Visit, style: str, label: str | None, keep: frozenset[str] | None = None, phrasing: int = 0
) -> Report:
    """Write the report of one visit.

    Parameters
    ----------
    visit : Visit
        Volumes in mm3; None, NaN, infinity and what is not above 0 count as unknown. Its diagnosis and scores are never read.
    style : str
        ``paper4`` or ``paper6``.
    label : str or None
        Class named in the label phrase (``CN``, ``MCI``, ``AD``); None writes the sentences without the phrase.
    keep : frozenset of str, optional
        Columns of `fields_of(style)` that may be printed; the others read ``Data unavailable``, exactly as if they had
        not been measured (report dropout). None keeps all.

    Returns
    -------
    Report
        Its `fields` are the columns of the table that were used: where the hippocampus is the sum of both sides, those
        two columns.

    Raises
    ------
    ConfigError
        If style or label is unknown.

    References
    ----------
    .. [1] Cheng, Ray, Yang, 2025, arXiv:2509.07613: the template.
    """
    parts: list[str] = []
    used: list[str] = []
    for column in fields_of(style):
        found = _measure(visit, column, keep)
        if found is None:
            parts.append(f"{_BIOMARKERS[column]}: {UNAVAILABLE}")
        else:
            parts.append(f"{_BIOMARKERS[column]}: {found[0]:.2f}")
            used.extend(found[1])
    text = ", ".join(parts)
    if label is not None:
        text = f"{bare_phrase(label)}: {text}"
    return Report(
        text=text,
        style=style,
        template_version=TEMPLATE_VERSION,
        label=None if label is None else str(label),
        fields=tuple(used),
    )


def bare_phrase(label: str) -> str:
    """Return the label phrase alone, e.g. ``A photo of NC`` for class ``CN``.

    Raises
    ------
    ConfigError
        If the class is unknown.
    """
    phrase = CLASS_PHRASES.get(str(label))
    if phrase is None:
        raise ConfigError.bad_value("label", f"`{label}` is not one of {', '.join(CLASS_PHRASES)}")
    return PHRASE_START + phrase


def candidates(
    visit: Visit, style: str, labels: Iterable[str], keep: frozenset[str] | None = None, phrasing: int = 0
) -> list[Report]:
    """Return one report per class: the same sentences, a different label phrase, in the order of `labels`."""
    return [render(visit, style, label, keep, phrasing) for label in labels]


def measured_mm3(visit: Visit, column: str) -> float | None:
    """Return a volume as a report would print it, before rounding: as given, else the sum of left and right, else None."""
    found = _measure(visit, column)
    return None if found is None else found[0]


def spans(visit: Visit, report: Report) -> tuple[Span, ...]:
    """Trace every printed value of a report to the columns of the visit it was rendered from.

    Raises
    ------
    ReportError
        If the text is not of the paper templates.
    """
    traced = []
    for column, start, end in _positions(report.text)[1]:
        found = _measure(visit, column)
        if report.text[start:end] == UNAVAILABLE or found is None:
            continue
        traced.append(Span(start, end, column, float(report.text[start:end]), UNIT, found[1], found[2]))
    return tuple(traced)


def parse(text: str) -> tuple[str | None, dict[str, float]]:
    """Read a report back: the inverse of `render` at the template's precision.

    Parameters
    ----------
    text : str
        A report of any paper style, or a bare label phrase.

    Returns
    -------
    label : str or None
        Class of the label phrase (``CN`` for ``NC``); None if there is no phrase.
    values : dict
        Canonical column -> value in mm3; what reads ``Data unavailable`` is left out.

    Raises
    ------
    ReportError
        If the text deviates from the templates anywhere.
    """
    label, positions = _positions(text)
    values = {column: text[start:end] for column, start, end in positions}
    return label, {column: float(value) for column, value in values.items() if value != UNAVAILABLE}


def _measure(
    visit: Visit, column: str, keep: frozenset[str] | None = None
) -> tuple[float, tuple[str, ...], str] | None:
    """Return (value, source columns, rule), or None if the column is unknown or dropped."""
    if keep is not None and column not in keep:
        return None
    value = _known(visit, column)
    if value is not None:
        return value, (column,), "as given"
    if column in _SUMS:
        parts, rule = _SUMS[column]
        measured = [_known(visit, part) for part in parts]
        if all(part is not None for part in measured):
            return math.fsum(part for part in measured if part is not None), parts, rule
    return None


def _known(visit: Visit, column: str) -> float | None:
    value = getattr(visit, column)
    return float(value) if value is not None and 0 < value < math.inf else None


def _positions(text: str) -> tuple[str | None, list[tuple[str, int, int]]]:
    """Return the class of the label phrase and, for each field, (column, start, end) of its value."""
    label, at = None, 0
    if phrase := _LABEL.match(text):
        label = _CLASSES.get(phrase["phrase"])
        at = phrase.end()
        if label is None:
            raise ReportError.not_a_report(phrase.start("phrase"))
        if at == len(text):
            return label, []
        at = _expect(text, at, ": ")
    found: list[tuple[str, int, int]] = []
    for column, name in _BIOMARKERS.items():
        if found:
            at = _expect(text, at, ", ")
        at = _expect(text, at, f"{name}: ")
        number = _NUMBER.match(text, at)
        end = number.end() if number else _expect(text, at, UNAVAILABLE)
        found.append((column, at, end))
        at = end
        if at == len(text) and len(found) in {len(columns) for columns in _FIELDS.values()}:
            return label, found
    raise ReportError.not_a_report(at)


def _expect(text: str, at: int, literal: str) -> int:
    if not text.startswith(literal, at):
        raise ReportError.not_a_report(at)
    return at + len(literal)
