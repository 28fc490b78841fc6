"""A task: what its file may say, and what becomes of tables, reports and leaks when another question is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adclip.clinical.reports import candidates, parse
from adclip.clinical.reports.lint import _Rules as Rules
from adclip.clinical.reports.lint import find_leaks
from adclip.clinical.reports.report_texts import ReportText
from adclip.clinical.tables.canonical import write_canonical
from adclip.clinical.tables.table import read_tables
from adclip.config import FinetuneConfig, SynthesizeReportsConfig, TableOptions
from adclip.domain import Visit
from adclip.errors import ConfigError, TableError
from adclip.task import ALZHEIMER, Task, read_task
from adclip.verbs.finetune import finetune, plan
from adclip.verbs.synthesize_reports import synthesize_reports

PARKINSON = """
name = "parkinson"
classes = ["HC", "PD"]
columns = ["age_years", "sex", "whole_brain_mm3", "icv_mm3"]

[phrases]
HC = "healthy person"
PD = "Parkinson's disease"

[score]
name = "MoCA"
range = [0, 30]
"""


@pytest.fixture
def parkinson(tmp_path: Path) -> Task:
    (tmp_path / "parkinson.toml").write_text(PARKINSON)
    return read_task(tmp_path / "parkinson.toml")


def test_the_default_is_the_project_s_own_question():
    assert ALZHEIMER.classes == ("CN", "MCI", "AD") and ALZHEIMER.phrases["CN"] == "NC"
    assert ALZHEIMER.score_key == "mmse" and ALZHEIMER.score_range == (0, 30)
    assert ALZHEIMER.is_default and read_task(None) is ALZHEIMER
    assert Task.from_dict(ALZHEIMER.to_dict()) == ALZHEIMER


def test_a_file_says_everything(parkinson):
    assert parkinson.classes == ("HC", "PD") and parkinson.phrases["PD"] == "Parkinson's disease"
    assert parkinson.score_key == "moca" and not parkinson.is_default
    assert parkinson.usable(("education_years", "sex")) == ("sex",)
    assert Task.from_dict(parkinson.to_dict()) == parkinson


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("classes = [", "clases = ["), "`clases` is not a setting"),
        (('["HC", "PD"]', '["PD"]'), "2 to 10 names"),
        (('["HC", "PD"]', '["PD", "pd"]'), "same name"),
        (('["HC", "PD"]', '["HC", "P D"]'), "letters, digits"),
        (('HC = "healthy person"', 'XX = "healthy person"'), "no class"),
        (('"healthy person"', '"healthy: person"'), "without a colon"),
        (('"healthy person"', '"PARKINSON\'S disease"'), "same phrase"),
        (('name = "MoCA"', 'nam = "MoCA"'), "needs `name` and `range`"),
        (("[0, 30]", "[30, 0]"), "lowest and its highest"),
        (('"MoCA"', '"sex"'), "of another meaning"),
        (('"MoCA"', '"report"'), "of another meaning"),
        (('"MoCA"', '"Rescans"'), "of another meaning"),
        (('"sex"', '"mmse"'), "not a column that a report may use"),
        (('"sex"', '"diagnosis"'), "not a column that a report may use"),
        (("[0, 30]", "[0, 30"), "not readable as TOML"),
    ],
)
def test_a_wrong_file_is_told_by_its_name(tmp_path, change, problem):
    assert change[0] in PARKINSON
    (tmp_path / "task.toml").write_text(PARKINSON.replace(*change))
    with pytest.raises(ConfigError, match=problem) as caught:
        read_task(tmp_path / "task.toml")
    assert "task.toml" in caught.value.problem and "--task" in caught.value.problem


def test_a_missing_file_is_told_before_anything_is_read(tmp_path):
    config = FinetuneConfig(tmp_path, tmp_path / "table.csv", tmp_path / "run", task=tmp_path / "task.toml")
    with pytest.raises(ConfigError, match="no such file"):
        finetune(config)
    with pytest.raises(ConfigError, match="no such file"):
        plan(config)
    assert not (tmp_path / "run").exists()


def test_what_is_known_of_alzheimer_s_disease_is_not_told_of_another(tmp_path, parkinson):
    with pytest.raises(ConfigError, match="what is known of Alzheimer"):
        synthesize_reports(
            SynthesizeReportsConfig(tmp_path / "t.csv", style="knowledge", task=tmp_path / "parkinson.toml")
        )
    with pytest.raises(ConfigError, match="what is known of Alzheimer"):
        finetune(
            FinetuneConfig(
                tmp_path, tmp_path / "t.csv", tmp_path / "run", style="knowledge", task=tmp_path / "parkinson.toml"
            )
        )


def read(path: Path, text: str, task: Task, *columns: str):
    path.write_text(text)
    return read_tables((path,), TableOptions(columns=columns, task=task))


def test_rows_name_the_task_s_classes_and_score(tmp_path, parkinson):
    table = read(tmp_path / "t.csv", "subject_id,diagnosis,moca,age_years\na,HC,27,70\nb,parkinson's DISEASE,21,71\nc,,,\n",
                 parkinson)  # fmt: skip
    assert [visit.diagnosis for visit in table.rows] == ["HC", "PD", None]
    assert [parkinson.score_of(visit) for visit in table.rows] == [27, 21, None]
    assert all(visit.mmse is None for visit in table.rows)


def test_codes_and_other_names_can_be_declared(tmp_path, parkinson):
    table = read(tmp_path / "t.csv", "subject_id,group,montreal\na,0,27\nb,1,21\n", parkinson,
                 "diagnosis=group:0=HC,1=PD", "moca=montreal")  # fmt: skip
    assert [(visit.diagnosis, visit.score) for visit in table.rows] == [("HC", 27), ("PD", 21)]


@pytest.mark.parametrize(("row", "why"), [("a,sick,27", "other than HC or PD"), ("a,PD,31", "above 30")])
def test_a_cell_that_is_none_of_it_is_refused(tmp_path, parkinson, row, why):
    with pytest.raises(TableError, match=why):
        read(tmp_path / "t.csv", f"subject_id,diagnosis,moca\n{row}\n", parkinson)


def test_other_diagnoses_of_a_known_table_are_left_out_and_counted(tmp_path):
    two = Task.from_dict({"name": "two", "classes": ["CN", "AD"], "score": {"name": "MMSE", "range": [0, 30]}})
    header = "RID,PTID,VISCODE,EXAMDATE,DX_bl,DX,AGE,MMSE,COLPROT\n"
    rows = "1,001_S_0001,bl,2010-01-01,CN,CN,70,29,ADNI1\n2,001_S_0002,bl,2010-01-01,LMCI,MCI,70,27,ADNI1\n"
    table = read(tmp_path / "adni.csv", header + rows, two)
    assert [visit.diagnosis for visit in table.rows] == ["CN", None]
    assert any("1 row has a diagnosis that is no class" in note for note in table.notes)
    assert two.score_of(table.rows[0]) == 29


def test_two_of_the_three_groups_of_an_ordinary_table_can_be_told_apart(tmp_path):
    two = Task.from_dict({"name": "two", "classes": ["CN", "AD"], "score": {"name": "MMSE", "range": [0, 30]}})
    table = read(tmp_path / "t.csv", "subject_id,diagnosis,mmse\na,CN,29\nb,MCI,27\nc,ad,20\n", two)
    assert [visit.diagnosis for visit in table.rows] == ["CN", None, "AD"]
    assert table.rows[0].mmse == 29 and any("1 row has a diagnosis that is no class" in note for note in table.notes)


def test_a_clean_table_keeps_the_score(tmp_path, parkinson):
    table = read(tmp_path / "t.csv", "subject_id,diagnosis,moca\na,HC,27\n", parkinson)
    write_canonical(tmp_path / "clean.csv", table)
    again = read_tables((tmp_path / "clean.csv",), TableOptions(task=parkinson))
    assert again.rows == table.rows and again.rows[0].score == 27


def test_reports_name_the_task_s_phrases_and_read_back(parkinson):
    visit = Visit(age_years=70.0, sex="F", whole_brain_mm3=1.1e6, icv_mm3=1.4e6, score=12.0, diagnosis="PD")
    for style in ("paper6", "clinical"):
        texts = [one.text for one in candidates(visit, style, parkinson.classes, phrases=parkinson.phrases)]
        assert [text.partition(":")[0] for text in texts] == [
            "A photo of healthy person",
            "A photo of Parkinson's disease",
        ]
        assert len({text.partition(":")[2] for text in texts}) == 1
        for name, text in zip(parkinson.classes, texts, strict=True):
            assert parse(text, parkinson.phrases)[0] == name
        told = replace(visit, score=29.0, diagnosis="HC")
        assert texts == [one.text for one in candidates(told, style, parkinson.classes, phrases=parkinson.phrases)]


@pytest.mark.parametrize("text", ["MoCA was good.", "A word of healthy person.", "He is a PD patient."])
def test_its_score_and_classes_are_leaks(parkinson, text):
    rules = Rules.of(parkinson)
    assert list(find_leaks(ReportText(1, f"A photo of Parkinson's disease: {text}", ()), rules))
    assert not list(find_leaks(ReportText(1, "A photo of Parkinson's disease: The person is 70 years old.", ()), rules))
