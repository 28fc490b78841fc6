"""Parkinson's disease with the MoCA through every command: its classes and its score stand wherever CN, MCI, AD and MMSE stood."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import write_cohort

from adclip.model.record import read_record
from adclip.prediction.predictor import Predictor

TASK = """
name = "parkinson"
classes = ["HC", "PD"]
columns = ["age_years", "sex", "hippocampus_mm3", "ventricles_mm3", "icv_mm3"]

[phrases]
HC = "healthy person"
PD = "Parkinson's disease"

[score]
name = "MoCA"
range = [0, 30]
"""
GROUP = {"CN": "HC", "MCI": "PD", "AD": "PD"}
HEADER = ("subject_id", "session_id", "diagnosis", "moca", "age_years", "sex", "education_years", "icv_mm3",
          "hippocampus_mm3", "ventricles_mm3")  # fmt: skip


def adclip(*words: object) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", "adclip", *map(str, words), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A folder with task, cohort, table and a RUN that the command trained."""
    folder = tmp_path_factory.mktemp("parkinson")
    (folder / "task.toml").write_text(TASK)
    visits = write_cohort(folder / "cohort", subjects=24)
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for visit in visits:
            group = GROUP[str(visit.diagnosis)]
            writer.writerow([visit.subject_id, visit.session_id, group, int(visit.mmse or 20), visit.age_years, visit.sex,
                             visit.education_years, visit.icv_mm3, visit.hippocampus_mm3, visit.ventricles_mm3])  # fmt: skip
    adclip("finetune", "--scans", folder / "cohort", "--table", folder / "table.csv", "--task", folder / "task.toml",
           "--base", tiny_base, "--out", folder / "run", "--epochs", 2, "--visual-prompts", 3, "--text-prompts", 4,
           "--test-fraction", 0.25, "--calibration-fraction", 0.2, "--device", "cpu")  # fmt: skip
    return folder


def test_the_run_remembers_what_it_was_asked(place):
    record = read_record(place / "run")
    assert record.labels == ("HC", "PD") and record.task.score == "MoCA"
    assert record.phrases == {"HC": "healthy person", "PD": "Parkinson's disease"}
    assert {"moca_mae", "auc_pd_vs_hc", "balanced_accuracy"} <= set(record.metrics)
    assert not any("mmse" in name or "auc_ad" in name for name in record.metrics)
    assert record.metadata_baseline is not None
    assert "education_years" not in record.metadata_baseline.columns
    header = (place / "run" / "private" / "predictions_test.tsv").read_text().splitlines()[0].split("\t")
    assert header[-2:] == ["moca", "moca_estimate"] and "probability_PD" in header
    card = (place / "run" / "README.md").read_text()
    assert "HC, PD" in card and "MoCA" in card and "MMSE" not in card


def test_predictions_name_its_classes_and_its_score(place):
    (record,) = adclip("predict", next((place / "cohort").rglob("*_T1w.nii.gz")), "--meta", place / "table.csv",
                       "--model", place / "run")  # fmt: skip
    for group in ("scores", "probabilities", "scan_only", "metadata_only"):
        assert list(record[group]) == ["HC", "PD"]
    assert "mmse" not in record and list(record["moca"]) == ["estimate", "low", "high", "known"]
    assert 0 <= record["moca"]["estimate"] <= 30 and record["moca"]["known"] is not None
    assert "16 years" not in record["report"], "a column that the task does not use"


def test_what_is_known_of_the_answer_changes_nothing(place):
    predictor = Predictor.from_checkpoint(place / "run", "cpu")
    scan = next((place / "cohort").rglob("*_T1w.nii.gz"))
    answers = []
    for group, points in (("HC", 30), ("PD", 4), ("", "")):
        table = place / "one.csv"
        table.write_text(f"subject_id,diagnosis,moca,age_years,sex\np00,{group},{points},70,F\n")
        answers.append(predictor(scan, table).to_dict())
    assert answers[0]["probabilities"] == answers[1]["probabilities"] == answers[2]["probabilities"]
    assert [answer["moca"]["known"] for answer in answers] == [30, 4, None]
    assert len({answer["moca"]["estimate"] for answer in answers}) == 1


@pytest.mark.parametrize("target", ["PD", "moca"])
def test_its_class_and_its_score_can_be_explained(place, tmp_path, target):
    (record,) = adclip("explain", next((place / "cohort").rglob("*_T1w.nii.gz")), "--meta", place / "table.csv",
                       "--model", place / "run", "--target", target, "--out", tmp_path)  # fmt: skip
    assert record["target"] == target and set(record["scores"]) == {"HC", "PD"}
    page = (tmp_path / "explain.html").read_text()
    told = re.sub(r'<script type="text/plain".*?</script>', "", page, flags=re.DOTALL)  # images hold any four letters
    assert "MoCA" in told and "MMSE" not in told


def test_reports_are_written_and_searched_for_leaks(place, tmp_path):
    task = ("--task", place / "task.toml")
    (told,) = adclip("synthesize-reports", place / "table.csv", "--out", tmp_path / "r.jsonl", "--mode", "candidate",
                     "--write-canonical", tmp_path / "clean.csv", *task)  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert {row["label"] for row in rows} == {"HC", "PD"} and len(rows) == 2 * told["visits"]
    assert not any(field["column"] == "education_years" for row in rows for field in row["fields"])
    assert any(field["column"] == "age_years" for row in rows for field in row["fields"])
    assert "moca" in (tmp_path / "clean.csv").read_text().splitlines()[0].split(",")
    (found,) = adclip("synthesize-reports", "--lint", tmp_path / "r.jsonl", *task)
    assert found["leaks"] == 0


def test_the_adapter_can_be_shared(place, tmp_path):
    adclip("weights", "export", place / "run", "--out", tmp_path / "share.zip")
    assert (tmp_path / "share.zip").stat().st_size > 1000


def test_a_dry_run_counts_its_subjects(place, tiny_base, tmp_path):
    (told,) = adclip("finetune", "--scans", place / "cohort", "--table", place / "table.csv", "--task",
                     place / "task.toml", "--base", tiny_base, "--out", tmp_path / "run", "--dry-run")  # fmt: skip
    assert sum(told["subjects"].values()) == 24 and not (tmp_path / "run").exists()
