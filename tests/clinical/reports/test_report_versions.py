"""The words of a report have versions: an old one stays what it was, and the newest never tells what is missing."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_visits import phrasings, sentences, styles, visits
from hypothesis import assume, given
from hypothesis import strategies as st

from adclip.clinical.reports import (
    SCAN_ALONE,
    bare_phrase,
    fields_of,
    parse,
    render,
    spans,
    template_version,
    template_versions,
    traced,
)
from adclip.clinical.reports.sentences import UNAVAILABLE_NAMES
from adclip.domain import Diagnosis, Visit
from adclip.errors import ConfigError
from adclip.prediction.scoring import report_texts
from adclip.task import Task

# Written by the code of version 1, before there was another.
GOLDEN = Path(__file__).parents[1] / "golden" / "reports" / "version-1.jsonl"
TELLS_OF_A_GAP = re.compile(
    r"unavailable|missing|unknown|not (?:available|known|measured)|\bno data|\babsent|\bn/?a\b", re.IGNORECASE
)
COLUMNS = fields_of("clinical")


def words_of(text: str) -> Counter[str]:
    """Return the words of a text, whatever its numbers say."""
    return Counter(re.findall(r"[a-z#]\w*", re.sub(r"-?\b\d+(?:\.\d+)?\b", "#", text.lower())))


def test_version_1_is_what_it_was():
    lines = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert {line["style"] for line in lines} == {"paper4", "paper6", "clinical", "knowledge"}
    assert sum("Data unavailable" in line["text"] for line in lines) > 40
    for line in lines:
        visit, style = Visit(**line["visit"]), line["style"]
        first = template_versions(style)[0]
        assert first.partition("+")[0] == "1"
        report = render(visit, style, "AD", phrasing=line["phrasing"], version=first)
        assert (report.text, report.template_version) == (line["text"], first)


def test_the_paper_s_styles_have_one_version_and_name_what_is_missing():
    assert template_versions("paper4") == template_versions("paper6") == ("1",)
    assert render(Visit(), "paper4", None).text.count("Data unavailable") == 4


def test_full_sentences_are_written_in_version_2():
    assert template_versions("clinical") == ("1", "2")
    for style in ("clinical", "knowledge"):
        assert template_version(style) == template_versions(style)[-1] == render(Visit(), style, None).template_version
        assert template_version(style).partition("+")[0] == "2"


@given(visits, sentences, st.sampled_from((None, *Diagnosis)), phrasings, st.data())
def test_no_word_tells_of_a_gap(visit, style, label, phrasing, data):
    keep = data.draw(st.none() | st.frozensets(st.sampled_from(COLUMNS)))
    assert not TELLS_OF_A_GAP.search(render(visit, style, label, keep, phrasing).text)


@given(visits, phrasings, st.sampled_from(COLUMNS))
def test_a_gap_takes_words_away_and_brings_none(visit, phrasing, column):
    """Also no other wording of what is still said."""
    whole = render(visit, "clinical", "AD", phrasing=phrasing).text
    less = render(replace(visit, **{column: None}), "clinical", "AD", phrasing=phrasing).text
    assert not words_of(less) - words_of(whole)
    if column not in (
        "hippocampus_left_mm3",
        "hippocampus_right_mm3",
    ):  # one side alone opens its sentence, in place of two
        rest = iter(words_in_order(whole))
        assert all(word in rest for word in words_in_order(less))


@pytest.mark.parametrize("column", COLUMNS)
def test_what_a_gap_leaves_keeps_its_wording(column):
    """Each sentence of a visit without standings, in many draws of wordings: few words are shared, so another one shows."""
    visit = Visit(
        age_years=74.0, sex="F", education_years=16.0, apoe4_count=1, icv_mm3=1.4e6, hippocampus_left_mm3=3000.0,
        hippocampus_right_mm3=3100.0, ventricles_mm3=4e4, whole_brain_mm3=1e6, entorhinal_mm3=3e3, fusiform_mm3=1.7e4,
        middle_temporal_mm3=1.9e4,
    )  # fmt: skip
    seen = set()
    for phrasing in range(150):
        whole, less = (
            render(one, "clinical", None, phrasing=phrasing).text for one in (visit, replace(visit, **{column: None}))
        )
        sentences_left = [words_of(text) for text in less.split(". ")]
        sentences_before = [words_of(text) for text in whole.split(". ")]
        for left in sentences_left:
            assert any(not left - before for before in sentences_before), (whole, less)
        seen.add(re.sub(r"[\d.]+", "#", less))
    assert len(seen) > 50


def words_in_order(text: str) -> list[str]:
    return re.findall(r"[a-z#]\w*", re.sub(r"-?\b\d+(?:\.\d+)?\b", "#", text.lower()))


def test_in_version_1_a_gap_did_bring_words():
    """So that the two tests above can fail."""
    visit = Visit(age_years=74.0, sex="F", education_years=16.0)
    whole, less = (render(one, "clinical", "AD", version="1").text for one in (visit, replace(visit, age_years=None)))
    assert {"patient", "is"} <= set(words_of(less) - words_of(whole))
    assert TELLS_OF_A_GAP.search(less)


@given(visits, st.frozensets(st.sampled_from(COLUMNS), min_size=1), phrasings)
def test_a_column_that_a_task_leaves_out_is_not_mentioned(visit, used, phrasing):
    assume("hippocampus_mm3" in used)  # without it its sides go too
    assume(("hippocampus_left_mm3" in used) == ("hippocampus_right_mm3" in used))  # their sum stands for it
    task = Task(columns=tuple(sorted(used)))
    texts = report_texts(visit, ("CN", "AD"), "clinical", phrasing=phrasing, task=task)
    without = replace(visit, **{column: None for column in COLUMNS if column not in used})
    assert texts == report_texts(without, ("CN", "AD"), "clinical", phrasing=phrasing)
    for column in set(UNAVAILABLE_NAMES) - used - {"age_years", "sex", "education_years"}:
        assert column != "icv_mm3" or "intracranial" not in texts[0]
        if column != "icv_mm3":
            assert UNAVAILABLE_NAMES[column] not in texts[0].lower()


@given(sentences, phrasings)
def test_of_nothing_known_the_label_phrase_is_left_or_the_scan(style, phrasing):
    for label in Diagnosis:
        text = render(Visit(), style, label, phrasing=phrasing).text
        assert text == bare_phrase(label) == report_texts(Visit(), [label], style, phrasing=phrasing)[0]
        assert parse(text) == (label, {})
    assert render(Visit(), style, None, phrasing=phrasing).text == SCAN_ALONE
    assert parse(SCAN_ALONE) == (None, {})


def test_a_report_of_which_dropout_leaves_nothing_is_the_bare_phrase():
    """One side of the hippocampus is kept, but without the hippocampus its sides are not said."""
    visit = Visit(hippocampus_left_mm3=3000.0, hippocampus_right_mm3=3100.0)
    keep = frozenset({"hippocampus_left_mm3"})
    assert report_texts(visit, ("CN",), "clinical", keep) == [bare_phrase("CN")]
    assert report_texts(visit, ("CN",), "clinical", keep, version="1")[0].startswith("A photo of NC: Data unavailable")


@given(visits, styles, phrasings, st.data())
def test_a_trace_is_read_in_the_report_s_own_version(visit, style, phrasing, data):
    version = data.draw(st.sampled_from(template_versions(style)))
    report, found = traced(visit, style, "MCI", phrasing=phrasing, version=version)
    assert report.template_version == version
    assert spans(visit, report, phrasing=phrasing) == found


@pytest.mark.parametrize(
    ("style", "version"), [("clinical", "3"), ("clinical", "2+knowledge-1"), ("knowledge", "2"), ("paper6", "2")]
)
def test_a_version_that_nobody_wrote_is_refused(style, version):
    with pytest.raises(ConfigError, match="template_version"):
        render(Visit(), style, None, version=version)
