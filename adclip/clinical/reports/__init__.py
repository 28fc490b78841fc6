"""Visit -> synthetic report, by versioned templates, and back again.

A report states measured values only. No score that defines the diagnosis (MMSE, CDR, ...) and no diagnosis is ever read
from the visit: the label phrase is written from an argument, so that training, candidate and unlabelled reports differ in
that phrase alone.

`paper` holds the paper's template; `clinical` the full-sentence styles, whose words are the grammar in `sentences`; `readings` what a
visit supplies to either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from adclip.clinical.reports import clinical, paper
from adclip.clinical.reports.knowledge import KNOWLEDGE_VERSION
from adclip.clinical.reports.readings import CLINICAL_FIELDS, measure
from adclip.clinical.reports.spans import KNOWLEDGE, Span
from adclip.domain import CLASS_PHRASES, Report, Visit
from adclip.errors import ConfigError, ReportError
from adclip.settings.shared import check_style

__all__ = [
    "PHRASE_START", "UNAVAILABLE", "Span", "bare_phrase", "candidates", "fields_of", "has_wordings", "measured_mm3", "parse",
    "printed", "render", "spans", "template_version", "traced", "usable_fields",
]  # fmt: skip

# Raise a version whenever a rendered byte of the style changes: checkpoints record the version they were taught on.
_PAPER_VERSION, _SENTENCES_VERSION = "1", "1"
PHRASE_START = "A photo of "
UNAVAILABLE = paper.UNAVAILABLE

_PHRASE_END = re.compile(r":|$")


def template_version(style: str) -> str:
    """Return the version of a style's words, the knowledge table's included where it is used."""
    if style in paper.FIELDS:
        return _PAPER_VERSION
    return f"{_SENTENCES_VERSION}+knowledge-{KNOWLEDGE_VERSION}" if style == "knowledge" else _SENTENCES_VERSION


def has_wordings(style: str) -> bool:
    """Whether a style can say the same in several ways."""
    return style not in paper.FIELDS


def fields_of(style: str) -> tuple[str, ...]:
    """Return the canonical columns that `style` reads, in its order.

    Raises
    ------
    ConfigError
        If there is no such style.
    """
    check_style(style)
    return paper.FIELDS.get(style, CLINICAL_FIELDS)


def usable_fields(visit: Visit, style: str) -> tuple[str, ...]:
    """Return those of `fields_of(style)` that the visit can supply, a sum of left and right included.

    These are the names that `keep` of `render` selects from.
    """
    return tuple(column for column in fields_of(style) if measure(visit, column) is not None)


def printed(visit: Visit, style: str, keep: frozenset[str] | None = None) -> dict[str, float | str]:
    """Return what a report says: field -> value at the template's precision; `parse` must return the same."""
    check_style(style)
    return paper.printed(visit, style, keep) if style in paper.FIELDS else clinical.printed(visit, keep)


def render(
    visit: Visit,
    style: str,
    label: str | None,
    keep: frozenset[str] | None = None,
    phrasing: int = 0,
    phrases: Mapping[str, str] = CLASS_PHRASES,
) -> Report:
    """Write the report of one visit.

    Parameters
    ----------
    visit : Visit
        Volumes in mm3; None, NaN, infinity and what is not above 0 count as unknown. Its diagnosis and scores are never read.
    style : str
        See `adclip.config.REPORT_STYLES`.
    label : str or None
        Class named in the label phrase (``CN``, ``MCI``, ``AD``); None writes the sentences without the phrase.
    keep : frozenset of str, optional
        Columns of `fields_of(style)` that may be printed; the others read ``Data unavailable``, exactly as if they had
        not been measured (report dropout). None keeps all.
    phrasing : int
        0 writes the canonical wording; any other number picks one wording for each sentence, always the same for the same
        number. The paper's styles have one wording.
    phrases : mapping of str to str
        Class -> its words in the label phrase.

    Returns
    -------
    Report
        Its `fields` are the columns of the table that were used; its `flags` say what had to be left out.

    Raises
    ------
    ConfigError
        If style or label is unknown.

    References
    ----------
    .. [1] Cheng, Ray, Yang, 2025, arXiv:2509.07613: the paper's template.
    """
    return traced(visit, style, label, keep, phrasing, phrases)[0]


def traced(
    visit: Visit,
    style: str,
    label: str | None,
    keep: frozenset[str] | None = None,
    phrasing: int = 0,
    phrases: Mapping[str, str] = CLASS_PHRASES,
) -> tuple[Report, tuple[Span, ...]]:
    """Write a report and trace every printed value: `render` and `spans` in one go."""
    check_style(style)
    lead = "" if label is None else f"{bare_phrase(label, phrases)}: "
    flags: tuple[str, ...] = ()
    if style in paper.FIELDS:
        text, found = paper.write(visit, style, keep, len(lead))
    else:
        text, found, flags = clinical.write(visit, keep, phrasing, style == "knowledge", len(lead))
    if visit.has_estimated_volumes and any(span.unit == "mm3" for span in found):
        flags = (*flags, "estimated_volumes")
    used = dict.fromkeys(source for span in found if span.column != KNOWLEDGE for source in span.sources)
    report = Report(
        text=lead + text,
        style=style,
        template_version=template_version(style),
        label=None if label is None else str(label),
        fields=tuple(used),
        flags=flags,
    )
    return report, tuple(found)


def bare_phrase(label: str, phrases: Mapping[str, str] = CLASS_PHRASES) -> str:
    """Return the label phrase alone, e.g. ``A photo of NC`` for class ``CN``.

    Raises
    ------
    ConfigError
        If the class is unknown.
    """
    phrase = phrases.get(str(label))
    if phrase is None:
        raise ConfigError.bad_value("label", f"`{label}` is not one of {', '.join(phrases)}")
    return PHRASE_START + phrase


def candidates(
    visit: Visit,
    style: str,
    labels: Iterable[str],
    keep: frozenset[str] | None = None,
    phrasing: int = 0,
    phrases: Mapping[str, str] = CLASS_PHRASES,
) -> list[Report]:
    """Return one report per class: the same sentences, a different label phrase, in the order of `labels`."""
    return [render(visit, style, label, keep, phrasing, phrases) for label in labels]


def measured_mm3(visit: Visit, column: str) -> float | None:
    """Return a volume as a report would print it, before rounding: as given, else the sum of left and right, else None."""
    found = measure(visit, column)
    return None if found is None else float(found.value)


def spans(
    visit: Visit,
    report: Report,
    keep: frozenset[str] | None = None,
    phrasing: int = 0,
    phrases: Mapping[str, str] = CLASS_PHRASES,
) -> tuple[Span, ...]:
    """Trace every printed value of a report to the columns of the visit it was rendered from.

    Raises
    ------
    ReportError
        If the visit, read with the same `keep` and `phrasing`, gives another text.
    """
    again, found = traced(visit, report.style, report.label, keep, phrasing, phrases)
    if again.text != report.text:
        differs = next(
            (at for at, (one, two) in enumerate(zip(again.text, report.text, strict=False)) if one != two),
            min(len(again.text), len(report.text)),
        )
        raise ReportError.not_a_report(differs)
    return found


def parse(text: str, phrases: Mapping[str, str] = CLASS_PHRASES) -> tuple[str | None, dict[str, float | str]]:
    """Read a report back: the inverse of `render` at the template's precision, for every style and wording.

    Parameters
    ----------
    text : str
        A report of any style, or a bare label phrase.
    phrases : mapping of str to str
        Class -> its words in the label phrase.

    Returns
    -------
    label : str or None
        Class of the label phrase (``CN`` for ``NC``); None if there is no phrase.
    values : dict
        Field -> value; what is unavailable is left out.

    Raises
    ------
    ReportError
        If the text deviates from the templates anywhere.
    """
    label, at = None, 0
    if text.startswith(PHRASE_START):
        end = _PHRASE_END.search(text, len(PHRASE_START))
        at = len(text) if end is None else end.start()
        words = text[len(PHRASE_START) : at]
        label = next((name for name, phrase in phrases.items() if phrase == words), None)
        if label is None:
            raise ReportError.not_a_report(len(PHRASE_START))
        if at == len(text):
            return label, {}
        if not text.startswith(": ", at) or at + 2 == len(text):
            raise ReportError.not_a_report(at)
        at += 2
    if text.startswith(f"{next(iter(paper.NAMES.values()))}: ", at):
        return label, paper.read(text, at)
    if at == len(text):
        raise ReportError.not_a_report(at)
    return label, clinical.read(text, at)
