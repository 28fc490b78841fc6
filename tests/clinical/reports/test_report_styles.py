"""The full-sentence styles: what they say can be undone, traced, and never depends on the answer."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import product

import pytest
from drawn_visits import draw_visit, phrasings, sentences, styles, visits
from hypothesis import given
from hypothesis import strategies as st

from adclip.clinical.reports import (
    SCAN_ALONE,
    bare_phrase,
    candidates,
    fields_of,
    parse,
    printed,
    render,
    spans,
    template_versions,
    traced,
    usable_fields,
)
from adclip.clinical.reports.grammars import GRAMMARS
from adclip.clinical.reports.spans import KNOWLEDGE
from adclip.config import REPORT_STYLES
from adclip.domain import Diagnosis, Visit
from adclip.errors import ReportError

LABELS = (None, "CN", "MCI", "AD")


def test_ten_thousand_reports_are_undone():
    draw = random.Random(1)
    wordings: set[str] = set()
    for number in range(12_000):
        visit, style, label = draw_visit(draw), REPORT_STYLES[number % 4], LABELS[number // 4 % 4]
        phrasing, version = draw.choice([0, number]), draw.choice(template_versions(style))
        text = render(visit, style, label, phrasing=phrasing, version=version).text
        assert parse(text) == (label, printed(visit, style)), text
        wordings |= set(re.sub(r"\d+(\.\d+)?", "#", text).split(". "))
    assert len(wordings) > 200  # the paraphrases really occurred


@given(visits, styles, st.sampled_from(LABELS), phrasings, st.data())
def test_a_report_with_dropped_columns_is_undone(visit, style, label, phrasing, data):
    keep = data.draw(st.none() | st.frozensets(st.sampled_from(fields_of(style))))
    report = render(visit, style, label, keep, phrasing)
    assert parse(report.text) == (label, printed(visit, style, keep))


@given(visits, styles, phrasings)
def test_the_text_does_not_know_the_answer(visit, style, phrasing):
    expected = render(visit, style, "MCI", phrasing=phrasing)
    for diagnosis, mmse, cdr in product((None, *Diagnosis), (None, 0.0, 30.0), (None, 3.0)):
        altered = replace(
            visit, diagnosis=diagnosis, mmse=mmse, cdr_global=cdr, subject_id="x", session_id=None, scan=None
        )
        assert render(altered, style, "MCI", phrasing=phrasing) == expected


@given(visits, styles, phrasings)
def test_candidates_differ_in_the_label_phrase_alone(visit, style, phrasing):
    reports = candidates(visit, style, tuple(Diagnosis), phrasing=phrasing)
    bodies = {report.text.removeprefix(bare_phrase(report.label)) for report in reports}
    alone = render(visit, style, None, phrasing=phrasing).text
    assert bodies == {"" if alone == SCAN_ALONE else ": " + alone}


@given(visits, styles, st.sampled_from(LABELS), phrasings)
def test_every_printed_digit_is_traced(visit, style, label, phrasing):
    report, found = traced(visit, style, label, phrasing=phrasing)
    assert found == spans(visit, report, phrasing=phrasing)
    covered = set()
    for span in found:
        covered |= set(range(span.start, span.end))
        shown = report.text[span.start : span.end]
        if span.column == KNOWLEDGE:
            assert span.rule
            assert not any(character.isdigit() and not shown.endswith(".") for character in shown)
        elif span.column == "sex":
            assert shown == {"F": "woman", "M": "man"}[span.value]
        else:
            assert float(shown) == span.value
        if span.column != KNOWLEDGE:
            assert span.sources
            assert all(getattr(visit, source) is not None for source in span.sources)
    constants = re.sub(r"mm3|e4", lambda match: "_" * len(match.group()), report.text)
    assert all(place in covered for place, character in enumerate(constants) if character.isdigit())


@given(visits, sentences, st.data())
def test_a_dropped_column_reads_as_if_it_had_not_been_measured(visit, style, data):
    dropped = data.draw(st.sampled_from(fields_of(style)))
    keep = frozenset(fields_of(style)) - {dropped}
    blank = {dropped: None}
    if dropped == "hippocampus_mm3":
        blank |= {"hippocampus_left_mm3": None, "hippocampus_right_mm3": None}
    assert render(visit, style, None, keep) == render(replace(visit, **blank), style, None)
    assert {dropped, *blank} & {*usable_fields(visit, style)} or render(visit, style, None, keep) == render(
        visit, style, None
    )


@pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS)
def test_no_wording_is_taken_for_another_sentence(grammar):
    values = {"sex": "woman", "unavailable": "age, whole brain"}
    for sentence in grammar.sentences:
        for number in range(1, 60):
            text, _ = sentence.write({slot: values.get(slot) or _example(slot) for slot in sentence.slots}, number, 0)
            found = grammar.read_sentence(text, 0)
            assert found is not None
            assert (found[0], found[2]) == (sentence.key, len(text))
        assert len(sentence.wordings) >= 3


def _example(slot: str) -> str:
    from adclip.clinical.reports.sentences import to_text

    return to_text(slot, 12.345)


def test_standings_need_norms_of_the_same_program_age_and_sex():
    visit = Visit(
        age_years=70.0, sex="F", hippocampus_left_mm3=3500.0, hippocampus_right_mm3=3700.0, volumes_source="DLMUSE"
    )
    said = printed(visit, "clinical")
    assert {"hippocampus_left_z", "hippocampus_left_centile", "hippocampus_right_z"} <= set(said)
    for change, flag in (
        ({"volumes_source": "FreeSurfer"}, "no_norms_for_software"), ({"volumes_source": None}, "no_software"),
        ({"age_years": 30.0}, "outside_age"), ({"age_years": None}, "no_age"), ({"sex": None}, "no_sex"),
    ):  # fmt: skip
        altered = replace(visit, **change)
        assert not any("_z" in name or "centile" in name for name in printed(altered, "clinical"))
        assert render(altered, "clinical", None).flags == (flag,)


def test_what_is_unknown_is_never_invented_and_was_named_in_version_1():
    report = render(Visit(age_years=74.0, sex="F"), "clinical", "CN", version="1")
    assert report.text == (
        "A photo of NC: A woman, aged 74 years. Data unavailable: education, apoe, intracranial volume, hippocampus, ventricles, "
        "whole brain, entorhinal cortex, fusiform gyrus, middle temporal gyrus."
    )
    assert report.fields == ("sex", "age_years")
    newest = render(Visit(age_years=74.0, sex="F"), "clinical", "CN")
    assert newest.text == "A photo of NC: A woman, aged 74 years."
    assert newest.fields == report.fields


@pytest.mark.parametrize(
    "text",
    [
        "A woman, aged 74 years",
        "A woman, aged 74 years. ",
        "A woman, aged 74 years.  The intracranial volume is 1400000 mm3.",
        "A woman, aged 74.25 years.",
        "A dog, aged 74 years.",
        "The intracranial volume is 1400000 mm3. A woman, aged 74 years.",
        "A woman, aged 74 years. A woman, aged 75 years.",
        "A photo of AD: A woman, aged 74 years. MMSE 20.",
        "Data unavailable: mmse.",
        "A brain scan. A woman.",
        "A photo of AD: A brain scan.",
        "In the left hippocampus 2875 mm3, in the right 2926 mm3. Data unavailable: age.",  # sentences of two versions
    ],
)
def test_anything_else_is_no_report(text):
    with pytest.raises(ReportError):
        parse(text)


@given(visits, st.integers(1, 1000))
def test_the_same_seed_gives_the_same_words(visit, phrasing):
    assert render(visit, "clinical", None, phrasing=phrasing) == render(visit, "clinical", None, phrasing=phrasing)
