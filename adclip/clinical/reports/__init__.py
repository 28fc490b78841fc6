"""Visit -> synthetic report, by versioned templates, and back again.

A report states measured values only. No score that defines the diagnosis (MMSE, CDR, ...) and no diagnosis is ever read
from the visit: the label phrase is written from an argument, so that training, candidate and unlabelled reports differ in
that phrase alone.

`paper` holds the paper's template; `clinical` the full-sentence styles, whose words are in `grammars`, one for each version;
`readings` what a visit supplies to either. The paper's template names what is missing; full sentences did in version 1 and do not
since version 2. A model reads the version it was taught on, whatever is newest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from adclip.clinical.reports import clinical, errors, paper
from adclip.clinical.reports.grammars import GRAMMARS
from adclip.clinical.reports.knowledge import KNOWLEDGE_VERSION
from adclip.clinical.reports.readings import CLINICAL_FIELDS, measure
from adclip.clinical.reports.spans import KNOWLEDGE, Span
from adclip.domain import CLASS_PHRASES, Report, Visit
from adclip.errors import ConfigError
from adclip.settings.shared import check_style

__all__ = [
    "PHRASE_START", "SCAN_ALONE", "Span", "bare_phrase", "candidates", "fields_of", "has_wordings", "measured_mm3", "parse",
    "printed", "render", "spans", "template_version", "template_versions", "traced",
    "usable_fields",
]  # fmt: skip

# A version for every change of a rendered byte of the style: models record the version they were taught on, and are read to in it.
# Full sentences have one for each of `GRAMMARS`.
_PAPER_VERSIONS = ("1",)
PHRASE_START = "A photo of "
SCAN_ALONE = "A brain scan."  # full sentences without a label phrase, of whom nothing is known

_PHRASE_END = re.compile(r":|$")


def template_version(style: str) -> str:
    """Return the newest version of a style's words: what is written where no other is asked for."""
    return template_versions(style)[-1]


def template_versions(style: str) -> tuple[str, ...]:
    """Return the versions of a style's words that can be written, the oldest first.

    The knowledge table's version is part of them where it is used; there is one table.
    """
    if style in paper.FIELDS:
        return _PAPER_VERSIONS
    return tuple(f"{number}+knowledge-{KNOWLEDGE_VERSION}" if style == "knowledge" else number for number in GRAMMARS)


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
    version: str | None = None,
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
        Columns of `fields_of(style)` that may be printed; the others read exactly as if they had not been measured (report
        dropout): ``Data unavailable`` in the paper's styles, not a word in full sentences. None keeps all.
    phrasing : int
        0 writes the canonical wording; any other number picks one wording for each sentence, always the same for the same
        number. The paper's styles have one wording.
    phrases : mapping of str to str
        Class -> its words in the label phrase.
    version : str, optional
        One of `template_versions(style)`; None writes the newest.

    Returns
    -------
    Report
        Its `fields` are the columns of the table that were used; its `flags` say what had to be left out. Of a visit of which
        nothing is known, full sentences are the label phrase alone, as `bare_phrase` writes it, or without a label
        `SCAN_ALONE`.

    Raises
    ------
    ConfigError
        If style, label or version is unknown.

    References
    ----------
    .. [1] Cheng, Ray, Yang, 2025, arXiv:2509.07613: the paper's template.
    """
    return traced(visit, style, label, keep, phrasing, phrases, version)[0]


def traced(
    visit: Visit,
    style: str,
    label: str | None,
    keep: frozenset[str] | None = None,
    phrasing: int = 0,
    phrases: Mapping[str, str] = CLASS_PHRASES,
    version: str | None = None,
) -> tuple[Report, tuple[Span, ...]]:
    """Write a report and trace every printed value: `render` and `spans` in one go."""
    check_style(style)
    written = _check_version(style, version)
    phrase = None if label is None else bare_phrase(label, phrases)
    lead = "" if phrase is None else f"{phrase}: "
    flags: tuple[str, ...] = ()
    if style in paper.FIELDS:
        text, value_spans = paper.write(visit, style, keep, len(lead))
    else:
        text, value_spans, flags = clinical.write(
            visit, keep, phrasing, GRAMMARS[written.partition("+")[0]], style == "knowledge", len(lead)
        )
    if visit.has_estimated_volumes and any(span.unit == "mm3" for span in value_spans):
        flags = (*flags, "estimated_volumes")
    used = dict.fromkeys(source for span in value_spans if span.column != KNOWLEDGE for source in span.sources)
    report = Report(
        text=lead + text if text else phrase or SCAN_ALONE,
        style=style,
        template_version=written,
        label=None if label is None else str(label),
        fields=tuple(used),
        flags=flags,
    )
    return report, tuple(value_spans)


def _check_version(style: str, version: str | None) -> str:
    versions = template_versions(style)
    if version is None:
        return versions[-1]
    if version not in versions:
        raise ConfigError.bad_value("template_version", f"`{version}` is not one of {', '.join(versions)}")
    return version


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
    version: str | None = None,
) -> list[Report]:
    """Return one report per class: the same sentences, a different label phrase, in the order of `labels`."""
    return [render(visit, style, label, keep, phrasing, phrases, version) for label in labels]


def measured_mm3(visit: Visit, column: str) -> float | None:
    """Return a volume as a report would print it, before rounding: as given, else the sum of left and right, else None."""
    reading = measure(visit, column)
    return None if reading is None else float(reading.value)


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
    again, value_spans = traced(visit, report.style, report.label, keep, phrasing, phrases, report.template_version)
    if again.text != report.text:
        differs = next(
            (at for at, (first, second) in enumerate(zip(again.text, report.text, strict=False)) if first != second),
            min(len(again.text), len(report.text)),
        )
        raise errors.not_a_report(differs)
    return value_spans


def parse(text: str, phrases: Mapping[str, str] = CLASS_PHRASES) -> tuple[str | None, dict[str, float | str]]:
    """Read a report back: the inverse of `render` at the template's precision, for every style, version and wording.

    Parameters
    ----------
    text : str
        A report of any style, or a bare label phrase, or `SCAN_ALONE`.
    phrases : mapping of str to str
        Class -> its words in the label phrase.

    Returns
    -------
    label : str or None
        Class of the label phrase (``CN`` for ``NC``); None if there is no phrase.
    values : dict
        Field -> value; what is missing is left out.

    Raises
    ------
    ReportError
        If the text deviates from the templates anywhere.
    """
    label, at = None, 0
    if text == SCAN_ALONE:
        return None, {}
    if text.startswith(PHRASE_START):
        end = _PHRASE_END.search(text, len(PHRASE_START))
        at = len(text) if end is None else end.start()
        class_phrase = text[len(PHRASE_START) : at]
        label = next((name for name, phrase in phrases.items() if phrase == class_phrase), None)
        if label is None:
            raise errors.not_a_report(len(PHRASE_START))
        if at == len(text):
            return label, {}
        if not text.startswith(": ", at) or at + 2 == len(text):
            raise errors.not_a_report(at)
        at += 2
    if text.startswith(f"{next(iter(paper.NAMES.values()))}: ", at):
        return label, paper.read(text, at)
    if at == len(text):
        raise errors.not_a_report(at)
    return label, clinical.read(text, at)
