"""The verb: one record a report, traced to its columns, and nothing of the answer outside the label phrase."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from adclip.clinical.reports import parse
from adclip.clinical.reports.lint import lint_reports
from adclip.config import SynthesizeReportsConfig
from adclip.domain import RESEARCH_NOTICE
from adclip.errors import ConfigError, OutputError, TableError
from adclip.runtime.events import Advanced, Started, Warned
from adclip.verbs.synthesize_reports import synthesize_reports

TABLE = """subject_id,session_id,diagnosis,mmse,hippocampus_left_mm3,hippocampus_right_mm3,ventricles_mm3,age
S1,bl,AD,21,2600,2610,61230,77
S2,bl,NC,30,,,30000.5,70
-S3,m12,,28,3500,3500,n/a,71
"""


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "visits.csv"
    path.write_text(TABLE)
    return path


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_training_reports_name_the_true_class_and_leave_out_the_unknown(table, tmp_path):
    events = []
    result = synthesize_reports(
        SynthesizeReportsConfig(table, tmp_path / "new" / "reports.jsonl", style="paper4"), events.append
    )
    found = records(result.out)
    assert [record["label"] for record in found] == ["AD", "CN"]
    assert found[0]["text"].startswith("A photo of AD: Hippocampal Vol: 5210.00, Ventricular size: 61230.00, Whole")
    assert found[1]["text"].startswith("A photo of NC: Hippocampal Vol: Data unavailable, ")
    assert (result.reports, result.by_diagnosis, result.skipped) == (2, {"CN": 1, "AD": 1}, 1)
    assert result.missing == {"hippocampus_mm3": 1, "ventricles_mm3": 0, "whole_brain_mm3": 2, "entorhinal_mm3": 2}
    assert result.rows == found
    warnings = [event.text for event in events if isinstance(event, Warned)]
    assert any("--column age_years=age" in text for text in warnings)
    assert any("lines 4" in text for text in warnings)
    assert Started("writing reports", 2) in events
    assert Advanced("writing reports", 2) in events


def test_each_value_is_traced_to_its_columns(table, tmp_path):
    result = synthesize_reports(SynthesizeReportsConfig(table, tmp_path / "r.jsonl", style="paper6"))
    record = records(result.out)[0]
    assert {"subject_id", "session_id", "label", "text", "style", "template_version", "fields"} <= set(record)
    assert record["synthetic"] is True
    assert record["notice"] == RESEARCH_NOTICE
    first, second = record["fields"]
    assert record["text"][first["start"] : first["end"]] == "5210.00"
    assert first["sources"] == ["hippocampus_left_mm3", "hippocampus_right_mm3"]
    assert (second["column"], second["value"], second["unit"], second["rule"]) == (
        "ventricles_mm3",
        61230.0,
        "mm3",
        "as given",
    )


def test_candidates_are_equal_but_for_the_phrase(table, tmp_path):
    result = synthesize_reports(SynthesizeReportsConfig(table, tmp_path / "r.jsonl", mode="candidate"))
    found = records(result.out)
    assert result.reports == len(found) == 9
    assert result.by_diagnosis == {"CN": 3, "MCI": 3, "AD": 3}
    for start in range(0, 9, 3):
        labels, values = zip(*(parse(record["text"]) for record in found[start : start + 3]), strict=True)
        assert labels == ("CN", "MCI", "AD")
        assert values[0] == values[1] == values[2]


@pytest.mark.parametrize("mode", ["candidate", "predict"])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_files_are_byte_equal_whatever_diagnosis_and_mmse_say(table, tmp_path, mode, suffix):
    written = []
    for number, text in enumerate([TABLE, TABLE.replace(",AD,21,", ",CN,30,").replace(",NC,30,", ",,,")]):
        table.write_text(text)
        out = tmp_path / f"{number}{suffix}"
        synthesize_reports(SynthesizeReportsConfig(table, out, mode=mode))
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_prediction_reports_have_no_phrase(table, tmp_path):
    result = synthesize_reports(SynthesizeReportsConfig(table, tmp_path / "r.jsonl", mode="predict"))
    assert result.by_diagnosis == {}
    assert all(record["label"] is None and "A photo" not in record["text"] for record in records(result.out))


def test_csv_cells_are_no_formulas(table, tmp_path):
    result = synthesize_reports(SynthesizeReportsConfig(table, tmp_path / "r.csv", mode="predict"))
    with result.out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["subject_id"] for row in rows] == ["S1", "S2", "'-S3"]
    assert {"age_years", "hippocampus_mm3"} <= {field["column"] for field in json.loads(rows[0]["fields"])}
    assert rows[0]["label"] == ""


def test_an_earlier_file_is_kept_unless_overwritten(table, tmp_path):
    out = tmp_path / "r.jsonl"
    out.write_text("precious")
    with pytest.raises(OutputError):
        synthesize_reports(SynthesizeReportsConfig(table, out))
    assert out.read_text() == "precious"
    synthesize_reports(SynthesizeReportsConfig(table, out, overwrite=True))
    assert len(records(out)) == 2


def test_the_table_is_never_overwritten(table, tmp_path):
    with pytest.raises(OutputError, match="one of the tables"):
        synthesize_reports(SynthesizeReportsConfig(table, table, overwrite=True))
    assert table.read_text() == TABLE


def test_a_failure_leaves_nothing_behind(table, tmp_path):
    def interrupt(event):
        if isinstance(event, Advanced):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize_reports(SynthesizeReportsConfig(table, tmp_path / "r.jsonl"), interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["visits.csv"]


def test_training_needs_diagnoses(table, tmp_path):
    table.write_text("subject_id,DX,ventricles_mm3\na,CN,30000\n")
    with pytest.raises(TableError, match="no column `diagnosis`"):
        synthesize_reports(SynthesizeReportsConfig(table, tmp_path / "r.jsonl"))
    mapped = SynthesizeReportsConfig(table, tmp_path / "r.jsonl", columns=("diagnosis=DX",))
    assert synthesize_reports(mapped).by_diagnosis == {"CN": 1}
    table.write_text("subject_id,diagnosis\na,\n")
    with pytest.raises(TableError, match="no row has a diagnosis"):
        synthesize_reports(SynthesizeReportsConfig(table, tmp_path / "s.jsonl"))


def test_rows_without_any_measurement_are_pointed_out(table, tmp_path):
    table.write_text("subject_id,diagnosis\na,CN\n")
    events = []
    synthesize_reports(SynthesizeReportsConfig(table, tmp_path / "r.jsonl"), events.append)
    assert any(isinstance(event, Warned) and "1 of 1 visits have none" in event.text for event in events)


GAPS = """subject_id,session_id,diagnosis,mmse,age_years,sex,education_years,apoe4_count,icv_mm3,hippocampus_left_mm3,\
hippocampus_right_mm3,ventricles_mm3,whole_brain_mm3,entorhinal_mm3,fusiform_mm3,middle_temporal_mm3,volumes_source
A1,bl,AD,21,77,F,12,1,1400000,2600,2610,61230,980000,2890,15820,17230,DLMUSE
A2,bl,AD,20,,F,,,1400000,2600,2610,61230,,2890,,,DLMUSE
C1,bl,CN,30,70,,16,0,,3500,,30000,1100000,,,,DLMUSE
C2,bl,CN,29,,M,,,,,,,,,,,
M1,bl,MCI,27,,,,,,,,,,,,,
"""
TELLS_OF_A_GAP = re.compile(r"unavailable|missing|unknown|not (available|known|measured)|no data|absent", re.IGNORECASE)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("mode", ["train", "candidate", "predict"])
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("style", ["clinical", "knowledge"])
def test_full_sentences_say_nothing_of_what_is_missing_and_the_record_does(tmp_path, style, seed, mode, suffix):
    (tmp_path / "gaps.csv").write_text(GAPS)
    config = SynthesizeReportsConfig(tmp_path / "gaps.csv", tmp_path / f"r{suffix}", style=style, mode=mode, seed=seed)
    result = synthesize_reports(config)
    if suffix == ".csv":
        with result.out.open(newline="") as stream:
            found = list(csv.DictReader(stream))
        missing = [[*filter(None, row["missing"].split(";"))] for row in found]
    else:
        found = records(result.out)
        missing = [record["missing"] for record in found]
    assert [row["text"] for row in found if TELLS_OF_A_GAP.search(row["text"])] == []
    assert {row["template_version"].partition("+")[0] for row in found} == {"2"}
    each = 3 if mode == "candidate" else 1
    assert len(found) == 5 * each and missing[0] == []
    assert missing[each] == [
        "age_years", "education_years", "apoe4_count", "whole_brain_mm3", "fusiform_mm3", "middle_temporal_mm3",
    ]  # fmt: skip
    counted = Counter(column for row in missing[::each] for column in row)
    assert counted == Counter({column: count for column, count in result.missing.items() if count})
    # of the last nobody knows anything: the phrase alone, or the scan
    assert (
        found[-1]["text"] == {"train": "A photo of MCI", "candidate": "A photo of AD", "predict": "A brain scan."}[mode]
    )
    assert lint_reports(result.out).leaks == ()


def test_the_paper_s_styles_go_on_naming_what_is_missing(tmp_path):
    (tmp_path / "gaps.csv").write_text(GAPS)
    result = synthesize_reports(SynthesizeReportsConfig(tmp_path / "gaps.csv", tmp_path / "r.jsonl", style="paper6"))
    found = records(result.out)
    assert {record["template_version"] for record in found} == {"1"}
    assert [record["text"].count("Data unavailable") for record in found] == [0, 3, 4, 6, 6]
    assert found[4]["missing"] == [
        "hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3", "entorhinal_mm3", "fusiform_mm3", "middle_temporal_mm3",
    ]  # fmt: skip


def test_a_column_that_the_task_leaves_out_is_neither_said_nor_missed(tmp_path):
    (tmp_path / "gaps.csv").write_text(GAPS)
    (tmp_path / "task.toml").write_text(
        'classes = ["CN", "MCI", "AD"]\ncolumns = ["age_years", "ventricles_mm3"]\n[score]\nname = "MMSE"\nrange = [0, 30]\n'
    )
    config = SynthesizeReportsConfig(
        tmp_path / "gaps.csv", tmp_path / "r.jsonl", task=tmp_path / "task.toml", mode="predict"
    )
    found = records(synthesize_reports(config).out)
    assert [(record["text"], record["missing"]) for record in found] == [
        ("Aged 77 years. The volume of the ventricles is 61230 mm3.", []),
        ("The volume of the ventricles is 61230 mm3.", ["age_years"]),
        ("Aged 70 years. The volume of the ventricles is 30000 mm3.", []),
        ("A brain scan.", ["age_years", "ventricles_mm3"]),
        ("A brain scan.", ["age_years", "ventricles_mm3"]),
    ]


@pytest.mark.parametrize("settings", [{"mode": "guess"}, {"style": "poem"}, {"out": Path("r.txt")}])
def test_impossible_settings(settings):
    with pytest.raises(ConfigError):
        SynthesizeReportsConfig(**({"table": Path("t.csv"), "out": Path("r.csv")} | settings))
