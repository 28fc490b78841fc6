"""`evaluate` from files to files: the run's own test people, other cohorts, and what goes wrong."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny import LABELS, finetune_config, write_cohort, write_table

from adclip.clinical.scans.splits import Split
from adclip.clinical.tables.table import read_table
from adclip.config import EvaluateConfig
from adclip.errors import OutputError, ScanError, TableError
from adclip.evaluation.page.findings import findings_of
from adclip.evaluation.page.methods import facts_of, methods_of, sources
from adclip.model.record import read_record
from adclip.prediction.predictor import Predictor
from adclip.runtime.events import Failed, Warned
from adclip.verbs import evaluate as verb
from adclip.verbs.evaluate import evaluate, plan
from adclip.verbs.finetune import finetune

FILES = {
    "evaluate.html", "metrics.json", "metrics.tsv", "subgroups.tsv", "columns.tsv", "checklists.tsv", "methods.md",
    "private/predictions.tsv", "private/failed.tsv", "private/cases.html",
}  # fmt: skip


@pytest.fixture(scope="module")
def own_cohort(tmp_path_factory) -> Path:
    """Derivatives of so many people that five of a class are left to train."""
    folder = tmp_path_factory.mktemp("own")
    write_cohort(folder, 45)
    return folder


@pytest.fixture(scope="module")
def own_run(own_cohort, tiny_base, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    finetune(finetune_config(own_cohort, tiny_base, out))
    return out


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """What `evaluated` hands to the page: filled by it."""
    return {}


@pytest.fixture(scope="module")
def evaluated(own_run, own_cohort, tmp_path_factory, written):
    """The run on the cohort that it was trained on, whose table is taken for the truth of a simulation."""
    out = tmp_path_factory.mktemp("evaluated") / "out"
    true_visits = {own_cohort: list(read_table(own_cohort / "table.csv").rows)}
    write = verb._write

    def kept(config, assessment, study, read, failures):
        written.update(config=config, assessment=assessment, study=study, read=read, failures=failures)
        return write(config, assessment, study, read, failures)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verb, "_write", kept)
        patch.setattr("adclip.simulation.subject.read_true_visits", lambda folder: true_visits.get(folder, []))
        return evaluate(EvaluateConfig(own_cohort, own_cohort / "table.csv", out, str(own_run), device="cpu"))


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


def test_the_numbers_are_those_of_the_fine_tuning(evaluated, own_run):
    """Same people, same road: whatever the model card says comes out again, beside more rivals."""
    own, groups, less = read_record(own_run).by_group()
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


def test_test_people_alone_are_counted(evaluated, own_run):
    with (evaluated.out / "private" / "predictions.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    split = Split.from_tsv((own_run / "private" / "splits.tsv").read_text())
    assert {row["subject_id"] for row in rows} == set(split.part("test"))
    assert len(rows) == evaluated.record["scans"] == evaluated.record["flow"]["scans counted"]
    assert sum(evaluated.record["people"].values()) == len(split.part("test"))


def test_the_untrained_network_learned_from_the_training_people(evaluated):
    assert "untrained_network" in evaluated.record["beside"] and "training people" in evaluated.record["rivals_learned"]
    assert "volumes_regression" in evaluated.record["beside"]


def test_who_was_counted_stands_first(evaluated, written):
    first = evaluated.record["findings"][0]
    assert first["text"] == f"{evaluated.record['who']}." and first["level"] == "plain"
    page = (evaluated.out / "evaluate.html").read_text()
    assert "own test people" in page[: page.index("<nav")]
    unknown = replace(written["study"], checked=False)
    assert findings_of(written["assessment"], unknown)[0].level == "warn"
    facts = facts_of(written["assessment"], replace(unknown, own=False))
    assert "could not be checked" in facts["division"] and not facts["external"]


def test_the_oracle_stands_beside_simulated_people(evaluated, written):
    record = evaluated.record
    auc = record["beside"]["oracle"]["auc_ad_vs_cn"]["value"]
    assert (
        auc > 0.8 and "auc_ad_vs_cn" in record["less"]["oracle"]
    )  # volumes of the classes lie more than three deviations apart
    said = record["findings"][1]["text"]
    assert "simulated" in said and f"{auc:.3f}" in said
    methods = methods_of(written["assessment"], written["study"])
    assert "true volumes" in methods[3] and "one who sees more" in methods[3]
    real = findings_of(written["assessment"], replace(written["study"], simulated=False))
    assert not any("These people are simulated" in finding.text for finding in real)


def test_the_methods_tell_what_was_done_and_nothing_else(evaluated, written):
    assessment, study = written["assessment"], written["study"]
    told = methods_of(assessment, study)
    for word in ("Cheng", "random weights", "somebody else", "logistic regression on the metadata"):
        assert word in " ".join(told), word
    assert ("Coupe" in " ".join(told)) is ("volumes_only" in evaluated.record["beside"])
    record = replace(assessment.record, training=replace(assessment.record.training, settings={"method": "lora"}))
    alone = {name: value for name, value in assessment.metrics.items() if "." not in name or "majority" in name}
    quality, missing = replace(assessment.quality, acquisition=None, every=None), replace(assessment.missing, auc=None)
    less = replace(assessment, record=record, metrics=alone, scan_shuffled=None, report_shuffled=None, quality=quality, missing=missing,
                   columns=[], subgroups=[], rescans=replace(assessment.rescans, pairs=0))  # fmt: skip
    plain = methods_of(less, study)
    text = " ".join(plain)
    for word in (
        "Cheng",
        "regression",
        "random weights",
        "somebody else",
        "asked for the diagnosis",
        "Groups",
        "ICC",
        "from quality alone",
    ):
        assert word not in text, word
    cited = " ".join(sources(plain))
    assert "Cheng" not in cited and "Pedregosa" not in cited and "Shrout" not in cited and "Newcombe" in cited
    assert "Cheng" in " ".join(sources(told)) and "lora" in text


def test_the_checklists_tell_what_was_done_and_nothing_else(evaluated, written):
    assessment, study = written["assessment"], written["study"]
    facts = facts_of(assessment, study)
    assert facts["updating"] == "none" and "N4" in facts["preparation"] and "MMSE" in facts["output"]
    assert ("prediction set" in facts["output"]) is ("set_coverage" in evaluated.record["metrics"])
    assert "reports shuffled" in facts["robustness"]
    less = replace(assessment, is_prevalence_of_cohort=True, scan_shuffled=None, report_shuffled=None,
                   judgement=replace(assessment.judgement, mmse=None))  # fmt: skip
    facts = facts_of(less, replace(study, preprocessed=False))
    assert "shares of the classes" in facts["updating"] and not facts["preparation"] and "MMSE" not in facts["output"]
    assert "shuffled" not in facts["robustness"] and "this cohort" in " ".join(methods_of(less, study))


def test_a_run_that_is_killed_leaves_no_page_beside_other_tables(evaluated, written, tmp_path, monkeypatch):
    shutil.copytree(evaluated.out, tmp_path / "out")

    def killed(target, text):
        if target.name == "methods.md":
            raise KeyboardInterrupt

    monkeypatch.setattr(verb, "write_text", killed)
    config = replace(written["config"], out=tmp_path / "out", overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        verb._write(config, *(written[name] for name in ("assessment", "study", "read", "failures")))
    assert not (tmp_path / "out" / "evaluate.html").exists()


def test_rivals_do_without_training_scans_that_cannot_be_read(own_cohort, own_run, tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(own_cohort, folder)
    split = Split.from_tsv((own_run / "private" / "splits.tsv").read_text())
    damaged = [path for name in split.part("train") for path in folder.rglob(f"sub-{name}_*_desc-preproc_T1w.nii.gz")]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-200])
    events: list[Any] = []
    config = EvaluateConfig(folder, folder / "table.csv", tmp_path / "out", str(own_run), device="cpu")
    result = evaluate(config, events.append)
    assert (
        damaged
        and result.failed == len(damaged) < result.total
        and result.record["scans"] == result.total - len(damaged)
    )
    assert any(isinstance(event, Warned) and "no training scan" in event.text for event in events)
    assert "cross-fitted" in result.record["rivals_learned"]
    assert (tmp_path / "out" / "private" / "failed.tsv").read_text().count("\n") == 1 + len(damaged)


def test_exactly_these_files_and_nobody_named_in_those_that_may_be_passed_on(evaluated, own_cohort, own_run):
    assert names_in(evaluated.out) == FILES
    ids = [visit.subject_id for visit in read_table(own_cohort / "table.csv").rows]
    for name in FILES:
        text = re.sub(
            'base64,[^"]+', "", (evaluated.out / name).read_text()
        )  # three letters of an id occur in any picture
        if not name.startswith("private/"):
            assert not any(subject in text for subject in ids), name
        assert str(own_cohort) not in text and str(own_run) not in text, name
    assert any(subject in (evaluated.out / "private" / "cases.html").read_text() for subject in ids)


def test_the_page_says_what_the_record_says(evaluated):
    page = (evaluated.out / "evaluate.html").read_text()
    assert json.loads((evaluated.out / "metrics.json").read_text()) == json.loads(json.dumps(evaluated.record))
    value = evaluated.record["metrics"]["auc_ad_vs_cn"]["value"]
    assert (f"{value:.3f}" in page and "The network adds" in page) or "What the network adds" in page
    assert "to be completed by the authors" in page and "Research use only" in page
    for name in ("scan_only", "majority"):
        assert name in (evaluated.out / "metrics.tsv").read_text()


def test_answers_are_those_of_predict(evaluated, own_run, own_cohort):
    with (evaluated.out / "private" / "predictions.tsv").open() as stream:
        row = next(csv.DictReader(stream, delimiter="\t"))
    visit = next(
        visit for visit in read_table(own_cohort / "table.csv").rows
        if (visit.subject_id, visit.session_id) == (row["subject_id"], row["session_id"])
    )  # fmt: skip
    name = f"sub-{visit.subject_id}_ses-{visit.session_id}"
    scan = next(own_cohort.rglob(f"{name}_*desc-preproc_T1w.nii.gz"))
    prediction = Predictor.from_checkpoint(own_run, "cpu")(scan, visit)
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


def test_a_dry_run_counts_three_looks_at_those_counted_and_one_at_training_scans(
    own_run, own_cohort, tmp_path, monkeypatch
):
    monkeypatch.setattr(verb, "time", SimpleNamespace(perf_counter=iter([0.0, 60.0 * verb.REHEARSED]).__next__))
    told = plan(EvaluateConfig(own_cohort, own_cohort / "table.csv", tmp_path / "out", str(own_run), device="cpu"))
    split = Split.from_tsv((own_run / "private" / "splits.tsv").read_text())
    training = sum(visit.subject_id in split.part("train") for visit in read_table(own_cohort / "table.csv").rows)
    assert told.scans >= verb.REHEARSED and told.minutes == pytest.approx(3 * told.scans + training)


@pytest.mark.parametrize("out", ["file", "file/out", "folder", "people"])
@pytest.mark.parametrize("what", [evaluate, plan])
def test_a_place_that_cannot_be_written_is_told_before_any_scan_is_looked_at(
    what, out, tiny_run, tiny_cohort, tmp_path, monkeypatch
):
    monkeypatch.setattr("adclip.evaluation.examples.find_examples", lambda *words: pytest.fail("scans were looked at"))
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "private").write_text("")
    (tmp_path / "people" / ".adclip").mkdir(parents=True)  # predictions of people, which are not for sharing
    with pytest.raises(OutputError):
        what(EvaluateConfig(tiny_cohort, tiny_cohort / "table.csv", tmp_path / out, str(tiny_run)))


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
