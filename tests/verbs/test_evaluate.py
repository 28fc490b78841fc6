"""`evaluate` from files to files: the run's own test people, other cohorts, and what goes wrong."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from tiny import LABELS, write_table

from adclip.clinical.scans.splits import Split
from adclip.clinical.tables.table import read_table
from adclip.config import EvaluateConfig
from adclip.errors import OutputError, ScanError, TableError
from adclip.model.record import read_record
from adclip.prediction.predictor import Predictor
from adclip.runtime.events import Failed
from adclip.verbs.evaluate import evaluate, plan

FILES = {
    "evaluate.html", "metrics.json", "metrics.tsv", "subgroups.tsv", "columns.tsv", "checklists.tsv", "methods.md",
    "private/predictions.tsv", "private/failed.tsv", "private/cases.html",
}  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(tiny_run, tiny_cohort, tmp_path_factory):
    """The run on the cohort that it was trained on."""
    out = tmp_path_factory.mktemp("evaluated") / "out"
    return evaluate(EvaluateConfig(tiny_cohort, tiny_cohort / "table.csv", out, str(tiny_run), device="cpu"))


@pytest.fixture
def others(tiny_cohort, tmp_path) -> Path:
    """The same people under ids that no run knows, their scans told from the training ones by another last byte of the gzip header."""
    folder = tmp_path / "others"
    shutil.copytree(tiny_cohort, folder)
    for path in sorted(folder.rglob("*_desc-preproc_T1w.nii.gz")):
        data = bytearray(path.read_bytes())
        data[4:8] = b"\1\2\3\4"  # the time in the header of the gzip stream, which no reader looks at
        path.write_bytes(bytes(data))
    return folder


def as_strangers(tiny_run: Path, folder: Path) -> Path:
    """Return the run with other people in its split."""
    shutil.copytree(tiny_run, folder)
    split = Split.from_tsv((folder / "private" / "splits.tsv").read_text())
    strangers = Split({f"other-{name}": part for name, part in split.assignment.items()})
    (folder / "private" / "splits.tsv").write_text(strangers.to_tsv())
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_numbers_are_those_of_the_fine_tuning(evaluated, tiny_run):
    """Same people, same road: whatever the model card says comes out again, beside more rivals."""
    own, groups, less = read_record(tiny_run).by_group()
    record = evaluated.record
    assert record["own_test_part"] and "own test people" in record["who"]
    assert set(record["metrics"]) == set(own) and set(groups) <= set(record["beside"])
    for name, entry in own.items():
        assert record["metrics"][name] == pytest.approx(entry, abs=1e-6, nan_ok=True), name
    for group, numbers in groups.items():
        for name, entry in numbers.items():
            assert record["beside"][group][name] == pytest.approx(entry, abs=1e-6, nan_ok=True), (group, name)
    assert record["less"]["metadata_only"]["auc_ad_vs_cn"] == pytest.approx(
        less["metadata_only"]["auc_ad_vs_cn"], abs=1e-6
    )


def test_test_people_alone_are_counted(evaluated, tiny_run, tiny_cohort):
    with (evaluated.out / "private" / "predictions.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    split = Split.from_tsv((tiny_run / "private" / "splits.tsv").read_text())
    assert {row["subject_id"] for row in rows} == set(split.part("test"))
    assert len(rows) == evaluated.record["scans"] == evaluated.record["flow"]["scans counted"]
    assert sum(evaluated.record["people"].values()) == len(split.part("test"))


def test_the_untrained_network_learned_from_the_training_people(evaluated):
    assert "untrained_network" in evaluated.record["beside"] and "training people" in evaluated.record["rivals_learned"]


def test_exactly_these_files_and_nobody_named_in_those_that_may_be_passed_on(evaluated, tiny_cohort, tiny_run):
    assert names_in(evaluated.out) == FILES
    ids = [visit.subject_id for visit in read_table(tiny_cohort / "table.csv").rows]
    for name in FILES:
        text = re.sub(
            'base64,[^"]+', "", (evaluated.out / name).read_text()
        )  # three letters of an id occur in any picture
        if not name.startswith("private/"):
            assert not any(subject in text for subject in ids), name
        assert str(tiny_cohort) not in text and str(tiny_run) not in text, name
    assert any(subject in (evaluated.out / "private" / "cases.html").read_text() for subject in ids)


def test_the_page_says_what_the_record_says(evaluated):
    page = (evaluated.out / "evaluate.html").read_text()
    assert json.loads((evaluated.out / "metrics.json").read_text()) == json.loads(json.dumps(evaluated.record))
    value = evaluated.record["metrics"]["auc_ad_vs_cn"]["value"]
    assert (f"{value:.3f}" in page and "The network adds" in page) or "What the network adds" in page
    assert "to be completed by the authors" in page and "Research use only" in page
    for name in ("scan_only", "majority"):
        assert name in (evaluated.out / "metrics.tsv").read_text()


def test_answers_are_those_of_predict(evaluated, tiny_run, tiny_cohort):
    with (evaluated.out / "private" / "predictions.tsv").open() as stream:
        row = next(csv.DictReader(stream, delimiter="\t"))
    visit = next(
        visit for visit in read_table(tiny_cohort / "table.csv").rows
        if (visit.subject_id, visit.session_id) == (row["subject_id"], row["session_id"])
    )  # fmt: skip
    name = f"sub-{visit.subject_id}_ses-{visit.session_id}"
    scan = next(tiny_cohort.rglob(f"{name}_*desc-preproc_T1w.nii.gz"))
    prediction = Predictor.from_checkpoint(tiny_run, "cpu")(scan, visit)
    assert [float(row[f"probability_{label}"]) for label in LABELS] == pytest.approx(
        [prediction.probabilities[label] for label in LABELS], abs=1e-5
    )


def test_another_cohort_with_one_class_no_score_and_no_metadata(others, tiny_run, tmp_path):
    """Nothing can be told apart there, and the page says so in place of numbers."""
    run = as_strangers(tiny_run, tmp_path / "run")
    rows = ["subject_id,session_id,diagnosis"]
    visits = [visit for visit in read_table(others / "table.csv").rows if visit.diagnosis == "CN"]
    rows += [f"{visit.subject_id},{visit.session_id},CN" for visit in visits]
    (tmp_path / "plain.csv").write_text("\n".join(rows) + "\n")
    result = evaluate(EvaluateConfig(others, tmp_path / "plain.csv", tmp_path / "out", str(run), device="cpu"))
    record = result.record
    assert not record["own_test_part"] and record["scans"] == len(visits)
    assert record["metrics"]["auc_ad_vs_cn"]["value"] is None and record["metrics"]["accuracy"]["value"] is not None
    assert "mmse_mae" not in record["metrics"] or record["metrics"]["mmse_mae"]["value"] is None
    assert record["beside"].keys() >= {"scan_only", "majority"} and "metadata_only" not in record["beside"]
    assert record["shuffled"] == {"scan": None, "report": None} and record["quality"]["acquisition"] is None
    assert names_in(result.out) == FILES


def test_a_damaged_scan_is_told_and_the_others_go_on(others, tiny_run, tmp_path):
    run = as_strangers(tiny_run, tmp_path / "run")
    scans = sorted(others.rglob("*_desc-preproc_T1w.nii.gz"))
    scans[3].write_bytes(scans[3].read_bytes()[:-200])
    events = []
    config = EvaluateConfig(others, others / "table.csv", tmp_path / "out", str(run), device="cpu")
    result = evaluate(config, events.append)
    assert result.failed == 1 and result.total == len(scans) and result.record["scans"] == len(scans) - 1
    assert sum(isinstance(event, Failed) for event in events) == 1
    with (tmp_path / "out" / "private" / "failed.tsv").open() as stream:
        (row,) = csv.DictReader(stream, delimiter="\t")
    assert row["scan"].endswith(scans[3].name) and row["problem"] and str(others) not in row["problem"]
    assert sum(result.record["prevalence"].values()) == pytest.approx(1)


def test_a_dry_run_writes_nothing(tiny_run, tiny_cohort, tmp_path):
    config = EvaluateConfig(tiny_cohort, tiny_cohort / "table.csv", tmp_path / "out", str(tiny_run), device="cpu")
    told = plan(config)
    assert told.people and told.scans >= told.people and told.minutes > 0 and not (tmp_path / "out").exists()


def test_wrong_places_are_told_before_the_model_is_loaded(tiny_run, tiny_cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(Predictor, "from_checkpoint", lambda *words: pytest.fail("the model was loaded"))
    table = tiny_cohort / "table.csv"
    with pytest.raises(ScanError, match="no such file"):
        evaluate(EvaluateConfig(tmp_path / "none", table, tmp_path / "out", str(tiny_run)))
    with pytest.raises(TableError, match="no such table"):
        evaluate(EvaluateConfig(tiny_cohort, tmp_path / "none.csv", tmp_path / "out", str(tiny_run)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evaluate.html").write_text("")
    with pytest.raises(OutputError, match="exists already"):
        evaluate(EvaluateConfig(tiny_cohort, table, tmp_path / "out", str(tiny_run)))


def test_a_table_of_other_people_joins_nothing(tiny_run, tiny_cohort, tmp_path):
    visits = read_table(tiny_cohort / "table.csv").rows[:2]
    table = write_table(tmp_path / "t.csv", visits, subject_id="zz9")
    with pytest.raises(TableError):
        evaluate(EvaluateConfig(tiny_cohort, table, tmp_path / "out", str(tiny_run)))
