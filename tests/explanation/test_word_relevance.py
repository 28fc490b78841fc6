"""Words of the report: they add up to what the model does without them, belong to their biomarkers, and leave the model as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from adclip import Predictor
from adclip.clinical.reports import render, spans
from adclip.clinical.tables.table import read_table
from adclip.domain import ScanItem, Visit
from adclip.explanation.target import parse_target
from adclip.explanation.word_relevance import (
    WordRelevance,
    _owners,
    attribute_words,
    biomarkers_to_tsv,
    words_to_tsv,
)

PERSON = Visit(
    age_years=71.5, sex="F", education_years=16.0, hippocampus_left_mm3=3000.0, hippocampus_right_mm3=3200.0, icv_mm3=1.4e6,
    ventricles_mm3=31000.0, volumes_source="FreeSurfer",
)  # fmt: skip


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor.from_checkpoint(str(tiny_run), "cpu")


@pytest.fixture(scope="module")
def scan(predictor, tiny_cohort):
    path = next(iter(sorted(tiny_cohort.rglob("*_desc-preproc_T1w.nii.gz"))))
    return predictor.prepare(ScanItem(path, "p01", preprocessed=True))


@pytest.fixture(scope="module")
def row(tiny_cohort):
    return read_table(tiny_cohort / "table.csv").rows[0]


def number(predictor, scan, visit, target: int, kept: Visit | None = None) -> float:
    """The explained number with the report of `kept`, everything else being as for `visit`."""
    evidence = predictor.evidence(scan, visit)
    shown = replace(evidence, completed=kept or evidence.completed)
    with torch.inference_mode():
        scores = predictor.decide(predictor.score(predictor.to_image(scan), shown), evidence)[0]
    others = torch.cat([scores[:target], scores[target + 1 :]])
    return float(scores[target] - others.mean())


def explain(predictor, scan, visit, target="AD", phrase=None) -> WordRelevance:
    with torch.no_grad():
        tokens = predictor.reader.network.image_tokens(predictor.to_image(scan))
    wanted = parse_target(None if phrase else target, phrase, predictor.labels, predictor.record.task.score_key)
    return attribute_words(predictor, tokens, predictor.evidence(scan, visit), wanted)


@pytest.mark.parametrize("target", ["CN", "AD"])
def test_words_add_up_and_the_model_is_left_as_it_was(predictor, scan, row, target):
    before = predictor.answer(scan, predictor.evidence(scan, row)).scores
    told = explain(predictor, scan, row, target)
    assert predictor.answer(scan, predictor.evidence(scan, row)).scores == before
    report = predictor.teller.report_of(row).text
    assert " ".join(word.text for word in told.words) == " ".join(report.split())
    assert all(report[word.start : word.end] == word.text for word in told.words)
    total = sum(word.relevance for word in told.words)
    assert abs(told.together) > 1e-4 and total == pytest.approx(told.together, rel=0.1, abs=1e-3)
    by_name = {one.name: one.relevance for one in told.biomarkers}
    owned = [word for word in told.words if word.biomarker in by_name]
    assert sum(by_name.values()) == pytest.approx(sum(word.relevance for word in owned))


def test_left_out_is_what_the_model_says_of_such_a_report(predictor, scan, row):
    told = {one.name: one.left_out for one in explain(predictor, scan, row).biomarkers}
    whole = number(predictor, scan, row, 2)
    for name, columns in {"age_years": ("age_years",), "ventricles": ("ventricles_mm3",)}.items():
        without = replace(row, **dict.fromkeys(columns))
        assert told[name] == pytest.approx(whole - number(predictor, scan, row, 2, without), abs=1e-4)
    assert len(told) > 3 and any(abs(value) > 1e-5 for value in told.values())


def test_where_no_report_is_read_there_are_no_words(predictor, scan, row):
    assert explain(predictor, scan, None) == WordRelevance()
    assert explain(predictor, scan, Visit(subject_id="x")) == WordRelevance()
    assert explain(predictor, scan, row, predictor.record.task.score_key) == WordRelevance()
    assert explain(predictor, scan, row, phrase="Ventricular size") == WordRelevance()


def test_one_class_against_another_is_the_difference_of_what_words_are_worth(predictor, scan, row):
    """The number of a contrast is two thirds of that of its first class less the same of the second, of three classes."""
    ad, cn, contrast = (explain(predictor, scan, row, target) for target in ("AD", "CN", "AD-CN"))
    wanted = [(one.relevance - two.relevance) * 2 / 3 for one, two in zip(ad.words, cn.words, strict=True)]
    assert [word.relevance for word in contrast.words] == pytest.approx(wanted, abs=1e-4)
    assert contrast.together == pytest.approx((ad.together - cn.together) * 2 / 3, abs=1e-4)
    assert max(abs(word.relevance) for word in contrast.words) > 1e-3
    left_out = [(one.left_out - two.left_out) * 2 / 3 for one, two in zip(ad.biomarkers, cn.biomarkers, strict=True)]
    assert [one.left_out for one in contrast.biomarkers] == pytest.approx(left_out, abs=1e-4)


@pytest.mark.parametrize("style", ["paper6", "clinical"])
def test_each_part_of_a_sentence_belongs_to_what_it_tells_of(style):
    report = render(PERSON, style, None)
    owner = list(_owners(report.text, spans(PERSON, report)))
    assert len(owner) == len(report.text)
    for value, name in (("71.5", "age_years"), ("16", "education_years"), ("31000", "ventricles"), ("1400000", "icv")):
        if value in report.text:
            at = report.text.index(value)
            assert set(owner[at : at + len(value)]) == {name}, (style, value)
    assert {"hippocampus", "ventricles"} <= set(owner)
    both = {owner[report.text.index(side)] for side in ("left", "right") if side in report.text}
    assert both <= {"hippocampus"}


def test_tables_hold_them(predictor, scan, row):
    told = explain(predictor, scan, row)
    lines = words_to_tsv(told).splitlines()
    assert (
        lines[0].split("\t") == ["word", "start", "end", "biomarker", "relevance"] and len(lines) == len(told.words) + 1
    )
    assert len(biomarkers_to_tsv(told).splitlines()) == len(told.biomarkers) + 1
