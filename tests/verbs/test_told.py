"""What `predict` tells beside an answer, from the settings to the record: shares of classes, reasons, rescans, curves, similar cases."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from measured import with_training
from tiny import LABELS

from adclip import Predictor
from adclip.clinical.tables.table import read_table
from adclip.config import ExplainConfig, PredictConfig
from adclip.errors import CheckpointError, ConfigError
from adclip.model.record import read_record
from adclip.prediction.prevalence import shift
from adclip.prediction.telling import PredictTelling, Telling
from adclip.runtime.events import Warned
from adclip.verbs.explain import explain
from adclip.verbs.predict import predict

NAME = "sub-{0}/ses-01/anat/sub-{0}_ses-01_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz"
SHARES = {"CN": 0.9, "MCI": 0.08, "AD": 0.02}
GIVEN = "AD=.02,CN=.9,MCI=.08"  # in another order than the model's


@pytest.fixture(scope="module")
def scan(tiny_cohort):
    return tiny_cohort / NAME.format("p02")


@pytest.fixture(scope="module")
def visit(tiny_cohort):
    return next(row for row in read_table(tiny_cohort / "table.csv").rows if row.subject_id == "p02")


@pytest.fixture
def config(tiny_cohort, tiny_run, scan):
    return PredictConfig((scan,), tiny_cohort / "table.csv", str(tiny_run), device="cpu")


def told(config: PredictConfig, **asked):
    return predict(replace(config, telling=PredictTelling(**asked))).predictions[0]


def close(one, other, within=1e-5):
    return one == pytest.approx(other, abs=within)


# ------------------------------------------------------------------------------------------------ shares of the classes


def test_every_source_is_told_for_the_shares_given_and_the_set_stays(config, scan, visit, tiny_run):
    equal, found = told(config), told(config, prevalence=GIVEN)
    for name in ("probabilities", "scan_only", "metadata_only"):
        assert close(getattr(found, name), shift(getattr(equal, name), SHARES))
    assert found.volumes_only is None or close(found.volumes_only, shift(equal.volumes_only, SHARES))
    assert (found.prediction_set, found.scores, found.status) == (equal.prediction_set, equal.scores, equal.status)
    assert list(found.prevalence) == list(LABELS) and found.prevalence == SHARES
    assert close(found.probabilities_equal, equal.probabilities) and equal.probabilities_equal is None
    assert found.diagnosis == max(found.probabilities, key=found.probabilities.get)
    of_call = Predictor.from_checkpoint(str(tiny_run), "cpu")(scan, visit, prevalence=SHARES)
    assert close(of_call.probabilities, found.probabilities)


def test_explain_tells_the_same_shares_and_explains_the_class_that_it_names(config, tmp_path):
    wanted = told(config, prevalence=GIVEN)
    settings = ExplainConfig(config.inputs, tmp_path / "out", config.meta, config.model, device="cpu",
                             telling=Telling(prevalence=GIVEN))  # fmt: skip
    (found,) = explain(settings).explanations
    assert close(found.probabilities, wanted.probabilities) and found.target == wanted.diagnosis
    assert found.prevalence == SHARES and close(found.probabilities_equal, wanted.probabilities_equal)
    assert (found.status, found.reasons) == (wanted.status, wanted.reasons)


@pytest.mark.parametrize("text", ["CN=.5,MCI=.5", "CN=.5,MCI=.3,XX=.2"])
def test_shares_of_other_classes_are_refused_before_any_scan_is_read(config, text):
    with pytest.raises(ConfigError, match="--prevalence") as raised:
        predict(replace(config, inputs=(Path("no-such-file.nii.gz"),), telling=PredictTelling(prevalence=text)))
    assert "CN, MCI, AD" in raised.value.remedy


# ------------------------------------------------------------------------------------------------ status and reasons


def test_ages_of_training_stand_in_the_record_as_bands(tiny_run, tiny_cohort):
    record = read_record(tiny_run)
    splits = (tiny_run / "private" / "splits.tsv").read_text().splitlines()[1:]
    train = {line.split("\t")[0] for line in splits if line.split("\t")[1] == "train"}
    ages = [row.age_years for row in read_table(tiny_cohort / "table.csv").rows if row.subject_id in train]
    low, high = record.training.ages
    assert low % 5 == high % 5 == 0 and low <= min(ages) < low + 5 and high - 5 < max(ages) <= high
    assert json.loads((tiny_run / "adapter.json").read_text())["training"]["ages"] == [low, high]


def test_an_age_that_nobody_in_training_had_is_a_reason_for_caution(config, scan, visit, tiny_run, tmp_path):
    ask = Predictor.from_checkpoint(config.model, "cpu")
    low, high = ask.record.training.ages
    for age, flagged in ((low, False), (high, False), (low - 0.1, True), (high + 0.1, True)):
        found = ask(scan, replace(visit, age_years=age))
        assert ("age_outside_training" in found.flags) is flagged
        assert any(f"{low:g} to {high:g} years" in reason for reason in found.reasons) is flagged
        assert not flagged or found.status == "caution"
    run = with_training(tiny_run, tmp_path / "old", training={"ages": None})
    assert (
        "age_outside_training"
        not in Predictor.from_checkpoint(str(run), "cpu")(scan, replace(visit, age_years=20)).flags
    )


def test_columns_that_training_had_are_missed(config, scan, visit):
    ask = Predictor.from_checkpoint(config.model, "cpu")
    columns = ask.record.metadata_baseline.columns
    assert "apoe4_count" in columns and "hippocampus_mm3" in columns  # of the painted people
    whole = ask(scan, visit)
    assert "columns_missing" not in whole.flags and (whole.status == "ok") == (not whole.reasons)
    found = ask(scan, replace(visit, age_years=None, ventricles_mm3=None))
    assert found.status == "caution" and any("(age_years, ventricles_mm3)" in reason for reason in found.reasons)
    seldom = ask(scan, replace(visit, apoe4_count=None, education_years=None))  # are averaged over
    assert (
        "columns_averaged" in seldom.flags and "columns_missing" not in seldom.flags and seldom.status == whole.status
    )
    none = {column: None for column in vars(visit) if column.endswith("_mm3")}
    assert "columns_missing" not in ask(scan, replace(visit, **none)).flags  # calibrated without volumes as well
    assert "columns_missing" not in ask(scan).flags


# ------------------------------------------------------------------------------------------------ rescans


def test_rescans_are_the_same_in_every_process_batch_and_thread(config, scan, visit, tiny_run, monkeypatch):
    one = told(config, rescans=5).rescans
    assert one.of == 5 and 0 <= one.kept <= 5 and 0 <= one.low <= one.high <= 1
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        again = Predictor.from_checkpoint(str(tiny_run), "cpu", telling=Telling(rescans=5))(scan, visit).rescans
        monkeypatch.setattr("adclip.prediction.beside.AT_ONCE", 2)
        in_twos = Predictor.from_checkpoint(str(tiny_run), "cpu", telling=Telling(rescans=5))(scan, visit).rescans
    finally:
        torch.set_num_threads(threads)
    for other in (again, in_twos):
        assert (other.kept, other.of) == (one.kept, one.of) and close([other.low, other.high], [one.low, one.high])
    other_seed = Predictor.from_checkpoint(str(tiny_run), "cpu", telling=Telling(rescans=5), seed=1)(
        scan, visit
    ).rescans
    assert (other_seed.low, other_seed.high) != (one.low, one.high)


def test_rescans_are_told_where_they_cost_little_and_off_at_0(config):
    plain = told(config)
    assert plain.rescans is None  # a prepared scan
    assert told(config, rescans=0) == plain
    found = told(config, rescans=3)
    assert found.rescans.low <= found.probabilities[found.diagnosis] <= found.rescans.high
    assert close(found.probabilities, plain.probabilities) and found.to_dict()["rescans"]["of"] == 3
    flips = found.rescans.kept < 3
    assert ("class_flips_between_rescans" in found.flags) is flips and (found.status == "caution" or not flips)


# ------------------------------------------------------------------------------------------------ what if


def test_a_curve_is_what_the_model_says_of_such_rows(config, scan, visit, tiny_run, tmp_path):
    out = tmp_path / "out"
    found = told(replace(config, out=out), what_if=("hippocampus_mm3=4000:8000:3", "age_years=60:80:2"))
    first, second = found.what_if
    assert (first.column, first.present) == ("hippocampus_mm3", visit.hippocampus_mm3)
    assert [point.value for point in first.points] == sorted([4000, 6000, 8000, visit.hippocampus_mm3])
    ask = Predictor.from_checkpoint(str(tiny_run), "cpu")
    for curve, change in ((first, "hippocampus_mm3"), (second, "age_years")):
        for point in curve.points:
            there = ask(scan, replace(visit, **{change: point.value}))
            assert close(point.probabilities, there.probabilities), (change, point)
    assert sum(point.is_present for point in first.points) == 1
    with (out / "what_if.tsv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert [(row["column"], float(row["value"])) for row in rows] == [
        (curve.column, float(f"{point.value:g}")) for curve in found.what_if for point in curve.points
    ]
    assert float(rows[0]["AD"]) == pytest.approx(first.points[0].probabilities["AD"], abs=1e-6)
    record = json.loads((out / "predictions.jsonl").read_text())
    assert record["what_if"][0]["points"][0]["value"] == 4000
    assert "what_if" not in (out / "predictions.csv").read_text()
    told(replace(config, out=out, overwrite=True))
    assert not (out / "what_if.tsv").exists(), "curves of the replaced run"


def test_curves_follow_the_shares_given(config):
    equal = told(config, what_if=("age_years=60:80:2",)).what_if[0]
    found = told(config, what_if=("age_years=60:80:2",), prevalence=GIVEN).what_if[0]
    for one, other in zip(found.points, equal.points, strict=True):
        assert close(one.probabilities, shift(other.probabilities, SHARES))


def test_a_column_that_no_report_has_is_refused(config):
    for text in ("mmse=20:30:3", "sex=0:1:2", "nonsense=1:2:3"):
        with pytest.raises(ConfigError, match="--what-if") as raised:
            told(config, what_if=(text,))
        assert "age_years" in raised.value.remedy
    with pytest.raises(ConfigError) as raised:
        told(config, what_if=("age=60:70:3",))
    assert raised.value.remedy.startswith("say --what-if age_years=")


def test_a_rule_for_a_table_that_is_not_there_is_told(config):
    heard = []
    predict(replace(config, meta=None, columns=("age_years=age",)), heard.append)
    assert any(isinstance(event, Warned) and "--meta" in event.text for event in heard)


# ------------------------------------------------------------------------------------------------ similar cases


def test_a_training_scan_finds_itself_first(config, tiny_run, tiny_cohort):
    splits = dict(line.split("\t")[:2] for line in (tiny_run / "private" / "splits.tsv").read_text().splitlines()[1:])
    person = next(
        name for name in sorted(splits) if splits[name] == "train" and (tiny_cohort / NAME.format(name)).is_file()
    )
    row = next(row for row in read_table(tiny_cohort / "table.csv").rows if row.subject_id == person)
    found = told(replace(config, inputs=(tiny_cohort / NAME.format(person),)), similar=4).similar
    assert len(found) == 4 and found[0].distance == pytest.approx(0, abs=1e-5)
    assert (
        found[0].diagnosis == row.diagnosis
        and found[0].age_band == f"{int(row.age_years // 10) * 10}-{int(row.age_years // 10) * 10 + 9}"
    )
    distances = [case.distance for case in found]
    assert distances == sorted(distances) and distances[1] > 1e-5


def test_cases_name_nobody(tiny_run):
    with np.load(tiny_run / "private" / "embeddings.npz") as stored:
        assert set(stored.files) == {"embeddings", "diagnosis", "age_band", "fingerprint"}
        assert set(stored["diagnosis"].tolist()) == set(LABELS)
        np.testing.assert_allclose(np.linalg.norm(stored["embeddings"], axis=1), 1, atol=1e-5)


def test_a_model_without_its_cases_says_what_is_missing(config, tiny_run, tmp_path):
    shared = tmp_path / "shared"
    shutil.copytree(tiny_run, shared, ignore=shutil.ignore_patterns("private"))
    for model, words in ((str(shared), "no such file"), ("builtin", "builtin")):
        with pytest.raises(CheckpointError, match=words) as raised:
            told(replace(config, model=model), similar=2)
        assert (
            raised.value.exit_code == 2 and "--similar" in raised.value.problem and "fine-tune" in raised.value.remedy
        )
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_run, damaged)
    (damaged / "private" / "embeddings.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(CheckpointError, match="not readable"):
        told(replace(config, model=str(damaged)), similar=2)
    other = with_training(tiny_run, tmp_path / "other", training={"fingerprint": "0" * 64})
    with pytest.raises(CheckpointError, match="another training"):
        told(replace(config, model=str(other)), similar=2)
