"""The full-sentence styles: `clinical`, and `knowledge`, which adds what is known of a finding in Alzheimer's disease."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adclip.clinical.reports import errors
from adclip.clinical.reports.grammars import GRAMMARS
from adclip.clinical.reports.knowledge import BY_TEXT, Statement, statements
from adclip.clinical.reports.readings import (
    BIOMARKERS,
    CLINICAL_FIELDS,
    HIPPOCAMPUS_SIDES,
    FieldReading,
    clinical_readings,
    rounded,
)
from adclip.clinical.reports.sentences import UNAVAILABLE, UNAVAILABLE_NAMES, Grammar, from_text, to_text
from adclip.clinical.reports.spans import KNOWLEDGE, Span
from adclip.domain import Visit

MOST_STATEMENTS = 4  # so that the longest report stays inside the text tower's 482 tokens, see tests/clinical/reports/test_report_tokens.py


def write(
    visit: Visit, keep: frozenset[str] | None, phrasing: int, grammar: Grammar, with_knowledge: bool, begin: int
) -> tuple[str, list[Span], tuple[str, ...]]:
    """Write the sentences of one visit.

    Parameters
    ----------
    visit : Visit
        Its diagnosis and scores are never read.
    keep : frozenset of str or None
        Canonical columns that may be used.
    phrasing : int
        0 for the canonical wording.
    grammar : Grammar
        The version of the words.
    with_knowledge : bool
        Whether statements on the findings follow them.
    begin : int
        Where in the report the first sentence begins.

    Returns
    -------
    text : str
        Empty where nothing is known and the grammar does not name what is missing.
    spans : list of Span
        Every printed value, and every statement.
    flags : tuple of str
        Reasons why standings for age and sex are missing.
    """
    readings, flags = clinical_readings(visit, keep)
    texts = {name: to_text(name, reading.value) for name, reading in readings.items()}
    gaps = [column for column in CLINICAL_FIELDS if column not in readings and column not in HIPPOCAMPUS_SIDES]
    if gaps and grammar.names_gaps:
        texts[UNAVAILABLE] = ", ".join(UNAVAILABLE_NAMES[column] for column in gaps)
    statement_of = _statements(readings, texts) if with_knowledge else {}
    parts: list[str] = []
    spans: list[Span] = []
    at = begin
    for key in (*_plan(readings), *([UNAVAILABLE] if UNAVAILABLE in texts else [])):
        sentence, places = grammar.by_key[key].write(texts, phrasing, at)
        parts.append(sentence)
        for name, start, end in places:
            if name != UNAVAILABLE:
                value, sources, rule, unit = readings[name]
                shown = value if isinstance(value, str) else float(texts[name])
                spans.append(Span(start, end, name, shown, unit, sources, rule))
        at += len(sentence) + 1
        for name in [name for name, _, _ in places if name in statement_of] if statement_of else ():
            statement = statement_of.pop(name)
            parts.append(statement.text)
            spans.append(Span(at, at + len(statement.text), KNOWLEDGE, statement.id, "", (name,), statement.reference))
            at += len(statement.text) + 1
    return " ".join(parts), spans, flags


def _plan(readings: Mapping[str, FieldReading]) -> Iterator[str]:
    """Yield the keys of the sentences that the fields allow, in the order of every grammar."""
    age, sex = "age_years" in readings, "sex" in readings
    if age or sex:
        yield "age and sex" if age and sex else "age" if age else "sex"
    for column, key in (("education_years", "education"), ("apoe4_count", "apoe"), ("icv_mm3", "icv")):
        if column in readings:
            yield key
    yield from _size_of("hippocampus", readings)
    left, right = (side in readings for side in HIPPOCAMPUS_SIDES)
    if left and right:
        yield "sides"
        yield "left smaller" if "hippocampus_left_smaller_percent" in readings else "right smaller"
    elif left or right:
        yield "hippocampus_left" if left else "hippocampus_right"
    yield from _standing_of("hippocampus_left", readings)
    yield from _standing_of("hippocampus_right", readings)
    for column in BIOMARKERS[1:]:
        name = column.removesuffix("_mm3")
        yield from _size_of(name, readings)
        yield from _standing_of(name, readings)


def _size_of(name: str, readings: Mapping[str, FieldReading]) -> Iterator[str]:
    if f"{name}_mm3" in readings:
        yield f"{name} of icv" if f"{name}_percent_icv" in readings else name


def _standing_of(name: str, readings: Mapping[str, FieldReading]) -> Iterator[str]:
    if f"{name}_z" in readings:
        yield f"{name} standing"
    for side in ("below", "above"):
        if f"{name}_{side}_centile" in readings:
            yield f"{name} {side}"


def _statements(readings: Mapping[str, FieldReading], texts: Mapping[str, str]) -> dict[str, Statement]:
    """Return the most telling statements, one a field; they look at printed values only, so they are equal for all classes."""
    findings = {name: float(texts[name]) for name, reading in readings.items() if not isinstance(reading.value, str)}
    chosen: dict[str, Statement] = {}
    for statement in statements(findings):
        chosen.setdefault(statement.field, statement)
        if len(chosen) == MOST_STATEMENTS:
            break
    return chosen


def printed(visit: Visit, keep: frozenset[str] | None) -> dict[str, float | str]:
    """Return what the sentences say: field -> value at its precision, in the order in which they say it."""
    readings, _ = clinical_readings(visit, keep)
    values: dict[str, float | str] = {}
    grammar = next(iter(GRAMMARS.values()))  # a sentence has the same slots in every version
    for key in _plan(readings):
        values |= {name: rounded(name, readings[name].value) for name in grammar.by_key[key].slots}
    return values


def read(text: str, at: int) -> dict[str, float | str]:
    """Read sentences of any version back: field -> value, in the order in which they stand.

    Raises
    ------
    ReportError
        If for every version anything is no sentence of its grammar, stands twice, or stands in another order.
    """
    stops = []
    for grammar in reversed([*GRAMMARS.values()]):
        values, stop = _read_as(grammar, text, at)
        if stop is None:
            return values
        stops.append(stop)
    raise errors.not_a_report(max(stops))


def _read_as(grammar: Grammar, text: str, at: int) -> tuple[dict[str, float | str], int | None]:
    """Return what sentences of one grammar say, and where they leave it; None where they do not."""
    values: dict[str, float | str] = {}
    last = -1
    while at < len(text):
        end = _end_of_statement(text, at)
        if end is None:
            sentence = grammar.read_sentence(text, at)
            if sentence is None or grammar.order[sentence[0]] <= last:
                return values, at
            key, places, end = sentence
            last = grammar.order[key]
            values |= {name: from_text(name, text[start:stop]) for name, start, stop in places if name != UNAVAILABLE}
        if end < len(text):
            if text[end] != " " or end + 1 == len(text):
                return values, end
            end += 1
        at = end
    return values, None


def _end_of_statement(text: str, at: int) -> int | None:
    return next((at + len(statement) for statement in BY_TEXT if text.startswith(statement, at)), None)
