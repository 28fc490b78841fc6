"""Statements say what is known, in words the model can read, and follow from printed findings alone."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adclip.clinical.reports.knowledge import BY_TEXT, KNOWLEDGE_VERSION, statements
from adclip.domain import Visit

TABLE = json.loads((files("adclip") / "assets" / "knowledge.json").read_text(encoding="utf-8"))
ENTRIES = TABLE["statements"]
FINDINGS = sorted({finding for entry in ENTRIES for case in entry["when"] for finding in case})
ANSWERS = {"diagnosis", "mmse", "cdr_global"}


def ids(findings: dict[str, float]) -> list[str]:
    return [statement.id for statement in statements(findings)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_a_statement_is_one_short_sentence_with_a_source(entry: dict) -> None:
    text = entry["text"]
    assert len(text.split()) <= 14
    assert re.fullmatch(r"[A-Z][A-Za-z, ]+\.", text)  # no digit that could pass for a value, no second sentence
    assert re.search(r"\((19|20)\d\d\)\. .+ doi:10\.\d{4,5}/\S+$", entry["reference"])
    assert not re.search(r"\b(patient|person|subject|he|she|his|her|this scan)\b", text)


def test_ids_and_sentences_are_unique_and_the_table_has_a_version() -> None:
    assert len({entry["id"] for entry in ENTRIES}) == len(BY_TEXT) == len(ENTRIES)
    assert TABLE["version"] == KNOWLEDGE_VERSION
    assert all(BY_TEXT[text].text == text for text in BY_TEXT)
    # `startswith` reads sentences back, so none may begin another
    assert not [(one, two) for one in BY_TEXT for two in BY_TEXT if one != two and two.startswith(one)]


def test_no_statement_depends_on_the_answer() -> None:
    assert not [name for name in FINDINGS if any(answer in name for answer in ANSWERS)]
    structures = {field.name.removesuffix("_mm3") for field in fields(Visit)}
    assert all(any(name.startswith(structure) for structure in structures) for name in FINDINGS)


def test_no_statement_depends_on_the_size_of_a_percentage_without_norms() -> None:
    for entry in ENTRIES:
        for case in entry["when"]:
            assert all(text == "known" for name, text in case.items() if name.endswith(("_percent_icv", "_mm3")))


@given(st.dictionaries(st.sampled_from([*FINDINGS, "unheard_of"]), st.floats()))
def test_every_statement_follows_from_a_finding_of_the_report(findings: dict[str, float]) -> None:
    chosen = statements(findings)
    order = [entry["id"] for entry in ENTRIES]
    assert [order.index(statement.id) for statement in chosen] == sorted({order.index(s.id) for s in chosen})
    for statement in chosen:
        assert not math.isnan(findings[statement.field])
        assert BY_TEXT[statement.text].id == statement.id


def test_nothing_known_nothing_said() -> None:
    assert statements({}) == []
    assert statements({"hippocampus_left_z": math.nan, "apoe4_count": math.nan}) == []


def test_a_small_hippocampus_is_said_of_the_side_that_is_small() -> None:
    (first, *_) = statements({"hippocampus_left_z": 0.3, "hippocampus_right_z": -1.6})
    assert (first.id, first.field) == ("hippocampus_early", "hippocampus_right_z")
    (first, *_) = statements({"hippocampus_left_below_centile": 5.0})
    assert (first.id, first.field) == ("hippocampus_early", "hippocampus_left_below_centile")


def test_two_small_sides_get_two_different_statements() -> None:
    chosen = statements({"hippocampus_left_z": -1.6, "hippocampus_right_z": -1.6})[:2]
    assert [statement.field for statement in chosen] == ["hippocampus_left_z", "hippocampus_right_z"]


@pytest.mark.parametrize(
    ("findings", "present", "absent"),
    [
        (
            {"hippocampus_left_z": -1.5, "hippocampus_right_z": 0.5},
            set(),
            {"hippocampus_early", "hippocampus_preserved"},
        ),
        ({"hippocampus_left_z": 0.0, "hippocampus_right_z": 0.5}, {"hippocampus_preserved"}, {"hippocampus_early"}),
        ({"hippocampus_left_z": 0.7}, set(), {"hippocampus_preserved"}),  # the other side is not known
        ({"ventricles_z": 1.51}, {"ventricles_enlarged", "ventricles_unspecific"}, set()),
        ({"ventricles_z": -1.6}, set(), {"ventricles_enlarged"}),
        ({"ventricles_above_centile": 95.0}, {"ventricles_enlarged"}, set()),
        ({"apoe4_count": 0}, {"apoe_none"}, {"apoe_risk", "apoe_dose"}),
        ({"apoe4_count": 1}, {"apoe_risk"}, {"apoe_none", "apoe_dose"}),
        ({"apoe4_count": 2}, {"apoe_risk", "apoe_dose"}, {"apoe_none"}),
        ({"entorhinal_percent_icv": 0.2}, {"entorhinal_tau"}, set()),
    ],
)
def test_statements_keep_to_their_conditions(findings: dict, present: set, absent: set) -> None:
    assert present <= set(ids(findings))
    assert not absent & set(ids(findings))
