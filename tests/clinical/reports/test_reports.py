"""Reports say what was measured, in the paper's words, and never the answer."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adclip.clinical.reports import (
    bare_phrase,
    candidates,
    fields_of,
    parse,
    printed,
    render,
    spans,
    usable_fields,
)
from adclip.domain import Diagnosis, Visit
from adclip.errors import ConfigError, ReportError

PAPER = Visit(
    hippocampus_mm3=5210, ventricles_mm3=61230, whole_brain_mm3=1010456, entorhinal_mm3=2890, fusiform_mm3=15820,
    middle_temporal_mm3=17230,
)  # fmt: skip

volumes = st.none() | st.floats(min_value=0.01, max_value=9e6, allow_nan=False)
visits = st.builds(
    Visit,
    **dict.fromkeys((*fields_of("paper6"), "hippocampus_left_mm3", "hippocampus_right_mm3", "icv_mm3"), volumes),
)
styles = st.sampled_from(["paper4", "paper6"])
labels = st.sampled_from([None, "CN", "MCI", "AD"])
keeps = st.none() | st.frozensets(st.sampled_from(fields_of("paper6")))


def test_paper6_is_the_published_text():
    report = render(PAPER, "paper6", "AD")
    assert report.text == (
        "A photo of AD: Hippocampal Vol: 5210.00, Ventricular size: 61230.00, Whole brain Vol: 1010456.00, "
        "Entorhinal Vol: 2890.00, Fusiform Vol: 15820.00, Middle temporal Vol: 17230.00"
    )
    assert (report.style, report.template_version, report.label) == ("paper6", "1", "AD")
    assert report.fields == fields_of("paper6")


def test_paper4_stops_after_the_entorhinal_volume():
    assert render(PAPER, "paper4", "CN").text == (
        "A photo of NC: Hippocampal Vol: 5210.00, Ventricular size: 61230.00, Whole brain Vol: 1010456.00, "
        "Entorhinal Vol: 2890.00"
    )


def test_unknown_is_data_unavailable_and_no_label_is_no_phrase():
    report = render(Visit(ventricles_mm3=61230.0), "paper4", None)
    assert report.text == (
        "Hippocampal Vol: Data unavailable, Ventricular size: 61230.00, Whole brain Vol: Data unavailable, "
        "Entorhinal Vol: Data unavailable"
    )
    assert report.fields == ("ventricles_mm3",)
    assert report.label is None


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, 0.0, -1.0])
def test_what_is_no_volume_is_never_printed(nothing):
    assert "Hippocampal Vol: Data unavailable" in render(replace(PAPER, hippocampus_mm3=nothing), "paper4", None).text


def test_hippocampus_is_summed_only_when_both_sides_are_known_and_the_total_is_not():
    both = Visit(hippocampus_left_mm3=2600.004, hippocampus_right_mm3=2610.004)
    report = render(both, "paper4", None)
    assert report.text.startswith("Hippocampal Vol: 5210.01, ")
    assert report.fields == ("hippocampus_left_mm3", "hippocampus_right_mm3")
    assert spans(both, report)[0].rule == "left + right"
    assert usable_fields(both, "paper4") == ("hippocampus_mm3",)
    assert usable_fields(replace(both, hippocampus_right_mm3=None), "paper4") == ()
    assert render(replace(both, hippocampus_mm3=5000.0), "paper4", None).fields == ("hippocampus_mm3",)


def test_bare_phrases_and_the_name_of_cn():
    assert [bare_phrase(name) for name in Diagnosis] == ["A photo of NC", "A photo of MCI", "A photo of AD"]
    assert [parse(bare_phrase(name)) for name in Diagnosis] == [(name, {}) for name in Diagnosis]


@pytest.mark.parametrize(
    "call", [lambda: fields_of("poem"), lambda: bare_phrase("NC"), lambda: render(PAPER, "paper6", "FTD")]
)
def test_unknown_styles_and_classes_are_refused(call):
    with pytest.raises(ConfigError):
        call()


@given(visits, styles, labels, keeps)
def test_parse_is_the_inverse_of_render_at_the_printed_precision(visit, style, label, keep):
    report = render(visit, style, label, keep)
    found_label, found = parse(report.text)
    assert found_label == label
    assert found == pytest.approx(printed(visit, style, keep), abs=0)
    assert set(found) == set(usable_fields(visit, style)) & (set(fields_of(style)) if keep is None else keep)
    for span in spans(visit, report, keep):
        assert float(report.text[span.start : span.end]) == span.value == found[span.column]
        assert set(span.sources) <= set(report.fields)


@given(visits, styles, keeps)
def test_a_dropped_field_reads_as_if_it_had_not_been_measured(visit, style, keep):
    kept = fields_of(style) if keep is None else keep
    blank = {column: None for column in fields_of(style) if column not in kept}
    if "hippocampus_mm3" in blank:
        blank |= {"hippocampus_left_mm3": None, "hippocampus_right_mm3": None}
    assert render(visit, style, None, keep).text == render(replace(visit, **blank), style, None).text


@given(visits, styles)
def test_candidates_differ_in_the_label_phrase_alone(visit, style):
    reports = candidates(visit, style, tuple(Diagnosis))
    assert [report.label for report in reports] == list(Diagnosis)
    bodies = {report.text.removeprefix(bare_phrase(report.label)) for report in reports}
    assert bodies == {": " + render(visit, style, None).text}


@given(visits, styles, labels)
def test_report_is_byte_equal_whatever_diagnosis_and_scores_say(visit, style, label):
    expected = render(visit, style, label)
    for diagnosis, mmse, cdr in product((None, *Diagnosis), (None, 0.0, 30.0), (None, 3.0)):
        altered = replace(visit, diagnosis=diagnosis, mmse=mmse, cdr_global=cdr)
        assert render(altered, style, label) == expected


def test_no_column_but_the_volumes_reaches_the_text():
    known = Visit(
        subject_id="AD-patient", session_id="MCI", visit_date="2012-05-31", age_years=77.77, sex="F", education_years=12.12,
        apoe4_count=2, mmse=11.0, cdr_global=2.0, diagnosis=Diagnosis.AD, icv_mm3=1444444.0, scan="AD/scan.nii.gz",
    )  # fmt: skip
    assert render(known, "paper6", None).text == render(Visit(), "paper6", None).text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A photo of",
        "A photo of CN",
        "A photo of AD, Hippocampal Vol: 1.00",
        "A photo of AD: ",
        "Hippocampal Vol: 1.00",
        render(PAPER, "paper4", None).text + ", ",
        render(PAPER, "paper4", None).text + ", Fusiform Vol: 1.00",
        render(PAPER, "paper4", None).text.replace("5210.00", "5210.0"),
        render(PAPER, "paper6", None).text + ", MMSE: 12.00",
        render(PAPER, "paper6", None).text + "\n",
    ],
)
def test_what_deviates_from_the_template_is_refused_without_repeating_it(text):
    with pytest.raises(ReportError) as caught:
        parse(text)
    assert "character" in caught.value.problem
    assert "5210" not in str(caught.value) + caught.value.remedy
