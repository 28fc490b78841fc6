"""The numbers of a RUN, from files to files: both mixes of classes, paired differences, and roads that teach nothing."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny import LABELS, finetune_config, write_table

from adclip.clinical.scans.splits import Split
from adclip.clinical.tables.table import read_table
from adclip.errors import CheckpointError
from adclip.evaluation import calibrate as calibrate_module
from adclip.evaluation import fusion
from adclip.evaluation.calibrate import calibrate
from adclip.evaluation.fusion import RoadEvidence, fit_temperature
from adclip.evaluation.metrics import brier, ece
from adclip.model.calibration import ROADS, SCAN, TABLE, TABLE_WITH_VOLUMES, Calibration, Road
from adclip.model.record import read_record
from adclip.prediction.answer import to_probabilities
from adclip.prediction.predictor import Predictor
from adclip.verbs.finetune import finetune

SCAN_FILE = "sub-{0}/ses-01/anat/sub-{0}_ses-01_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz"


def rows_of(run):
    with (run / "private" / "predictions_test.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return rows, np.array([LABELS.index(row["diagnosis"]) for row in rows])


def shares(rows, kind):
    return np.array([[float(row[f"{kind}_{label}"]) for label in LABELS] for row in rows])


@pytest.fixture(scope="module")
def uneven_run(tmp_path_factory, tiny_base, tiny_cohort):
    """A run on a cohort whose classes are far from equally common, measured on many people."""
    folder = tmp_path_factory.mktemp("uneven")
    visits = list(read_table(tiny_cohort / "table.csv").rows)
    changed = [replace(v, diagnosis="CN") if v.diagnosis != "CN" and int(v.subject_id[1:]) % 2 else v for v in visits]
    table = write_table(folder / "table.csv", changed)
    config = replace(finetune_config(tiny_cohort, tiny_base, folder / "run", method="metadata"), table=table,
                     test_fraction=0.35, calibration_fraction=0.3, validation_fraction=0.0)  # fmt: skip
    return config, finetune(config), changed


def test_the_shares_of_the_training_scans_are_kept(uneven_run):
    config, _, visits = uneven_run
    told = json.loads((config.out / "baseline.json").read_text())
    train = Split.from_tsv((config.out / "private" / "splits.tsv").read_text()).part("train")
    names = [str(v.diagnosis) for v in visits if v.subject_id in train]
    assert told["prior"] == pytest.approx({label: names.count(label) / len(names) for label in LABELS})
    assert told["prior"]["CN"] >= 0.5
    assert all(road["study_temperature"] > 0 for road in told["calibration"]["roads"].values())
    assert f"CN {told['prior']['CN']:.2f}" in (config.out / "README.md").read_text()


def test_accuracy_and_calibration_are_measured_for_both_mixes(uneven_run):
    config, result, _ = uneven_run
    rows, truth = rows_of(config.out)
    study, equal = shares(rows, "study"), shares(rows, "probability")
    found = result.metrics
    assert found["accuracy"]["value"] == pytest.approx(np.mean(study.argmax(1) == truth))
    assert found["brier"]["value"] == pytest.approx(brier(truth, study), abs=1e-4)
    assert found["ece"]["value"] == pytest.approx(ece(truth, study), abs=1e-4)
    alike = [np.mean(equal[truth == k].argmax(1) == k) for k in np.unique(truth)]
    assert found["balanced_accuracy"]["value"] == pytest.approx(np.mean(alike))
    assert found["brier_equal"]["value"] == pytest.approx(
        np.mean([brier(truth[truth == k], equal[truth == k]) for k in np.unique(truth)]), abs=1e-4
    )
    assert study[:, 0].mean() > equal[:, 0].mean(), "the commonest class has its share back"
    # the regression that stands beside it is treated alike: same scores, same answers
    assert found["accuracy"]["value"] == result.baselines["metadata_only"]["accuracy"]["value"]


def test_every_interval_of_a_run_holds_its_number(uneven_run, tiny_run):
    for metrics in (
        read_record(tiny_run).metrics,
        json.loads((uneven_run[0].out / "baseline.json").read_text())["metrics"],
    ):
        for name, number in metrics.items():
            if number["low"] is None:
                ece_alone = name.split(".")[-1] in ("ece", "ece_equal")
                assert number["value"] is None or number.get("note") or ece_alone, name
            else:
                assert number["low"] <= number["value"] <= number["high"], name
                assert number["low"] < number["high"] or name == "majority.balanced_accuracy", name


def test_every_card_compares_on_the_same_people(uneven_run, tiny_run, tiny_base, tiny_cohort):
    record = read_record(tiny_run)
    rows, truth = rows_of(tiny_run)
    model, rival = shares(rows, "probability"), shares(rows, "metadata_only")

    def balanced(table):
        return np.mean([np.mean(table[truth == k].argmax(1) == k) for k in np.unique(truth)])

    less = record.metrics["less_metadata_only.balanced_accuracy"]
    assert less["value"] == pytest.approx(balanced(model) - balanced(rival))
    assert less["low"] < less["value"] < less["high"] or abs(less["value"]) == 1
    for group in ("scan_only", "metadata_only", "majority"):
        assert f"less_{group}.accuracy" in record.metrics
    assert "less_majority.mmse_mae" in record.metrics and "less_majority.brier" not in record.metrics
    card = (tiny_run / "README.md").read_text()
    assert "| model less | scan_only | metadata_only | majority |" in card
    assert f"{less['value']:+.3f}" in card
    again = finetune(finetune_config(tiny_cohort, tiny_base, tiny_run))
    assert again.differences["metadata_only"]["balanced_accuracy"] == less
    assert not any(group.startswith("less_") for group in again.baselines)
    _, result, _ = uneven_run
    assert result.differences["majority"]["accuracy"]["n"] == result.metrics["accuracy"]["n"]


@pytest.fixture(scope="module")
def half_told_run(tmp_path_factory, tiny_base, tiny_cohort):
    """A run whose table tells something of healthy people alone: no other class ever has a report."""
    folder = tmp_path_factory.mktemp("half")
    visits = read_table(tiny_cohort / "table.csv").rows
    blank = dict.fromkeys(("age_years", "sex", "education_years", "apoe4_count", "icv_mm3", "hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3"))  # fmt: skip
    table = write_table(folder / "table.csv", [v if v.diagnosis == "CN" else replace(v, **blank) for v in visits])
    config = replace(finetune_config(tiny_cohort, tiny_base, folder / "run", epochs=1), table=table,
                     calibration_fraction=0.55, test_fraction=0.15, validation_fraction=0.0)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # a coverage that a dozen people can promise
        for module in (fusion, calibrate_module):
            patch.setattr(module, "COVERAGE", 0.5)
        finetune(config)
    return config.out


def test_a_road_of_one_class_borrows_nothing(half_told_run, tiny_cohort, tmp_path):
    found = read_record(half_told_run).calibration
    alone = found.road(SCAN)
    assert alone.fitted and alone.thresholds is not None and alone.subjects == found.subjects
    for name in (TABLE, TABLE_WITH_VOLUMES):
        road = found.roads[name]
        assert 0 < road.subjects == road.counts["CN"] < found.subjects and not road.fitted
        assert (road.temperature, road.thresholds, road.study_temperature) == (1.0, None, None)
        assert (road.scan, road.metadata, road.both) == (0.0, 0.0, 1.0)
    chapter = (half_told_run / "README.md").read_text().split("## Calibration")[1].split("\n## ")[0]
    assert f"Not calibrated are answers that rest on {TABLE}; {TABLE_WITH_VOLUMES}" in chapter
    assert f"| {SCAN} |" in chapter and f"| {TABLE} |" not in chapter and f"| {TABLE_WITH_VOLUMES} |" not in chapter
    predictor = Predictor.from_checkpoint(half_told_run, "cpu")
    visit = next(v for v in read_table(tiny_cohort / "table.csv").rows if v.subject_id == "p00")
    scan = tiny_cohort / SCAN_FILE.format("p00")
    told, bare = predictor(scan, visit), predictor(scan)
    assert told.report and told.prediction_set is None and "not_calibrated" in told.flags
    raw = np.exp([told.scores[label] for label in LABELS])
    assert [told.probabilities[label] for label in LABELS] == pytest.approx(raw / raw.sum())
    assert bare.prediction_set and "not_calibrated" not in bare.flags
    assert told.scan_only == pytest.approx(bare.probabilities, abs=1e-6), (
        "the scan's own road is calibrated all the same"
    )


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory, tiny_base, tiny_cohort):
    """A run on a table that tells something of every other person alone, whatever the class, with thresholds far apart."""
    folder = tmp_path_factory.mktemp("mixed")
    blank = dict.fromkeys(("age_years", "sex", "education_years", "apoe4_count", "icv_mm3", "hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3"))  # fmt: skip
    visits = [
        replace(v, **blank) if int(v.subject_id[1:]) % 2 else v for v in read_table(tiny_cohort / "table.csv").rows
    ]
    table = write_table(folder / "table.csv", visits)
    config = replace(finetune_config(tiny_cohort, tiny_base, folder / "run", epochs=1), table=table,
                     calibration_fraction=0.25, test_fraction=0.35, validation_fraction=0.0)  # fmt: skip
    return config, visits


def test_what_was_measured_is_what_the_folder_answers(mixed_run, tiny_cohort):
    """Every number of the test table is the one that `predict` gives for that scan and row: classes, baselines and MMSE."""
    config, visits = mixed_run
    finetune(config)
    predictor, checked = Predictor.from_checkpoint(config.out, "cpu"), 0
    for row in rows_of(config.out)[0]:
        visit = next(v for v in visits if (v.subject_id, v.session_id) == (row["subject_id"], row["session_id"]))
        found = predictor(tiny_cohort / SCAN_FILE.format(visit.subject_id), visit) if visit.session_id == "01" else None
        if found is None:
            continue
        told = {"probability": found.probabilities, "scan_only": found.scan_only, "metadata_only": found.metadata_only}
        for kind, named in told.items():
            assert [float(row[f"{kind}_{label}"]) for label in LABELS] == pytest.approx(
                [1 / 3] * 3 if named is None else [named[label] for label in LABELS], abs=1e-4
            )
        assert float(row["mmse_estimate"]) == pytest.approx(found.mmse.estimate, abs=1e-2)
        checked += 1
    assert checked > 4


def test_sets_are_measured_by_the_road_of_each_answer(mixed_run, monkeypatch, tmp_path):
    """Who has no report is given the set of the scan alone: the card must promise its size and coverage."""
    from adclip.training import gather as module

    config = replace(mixed_run[0], out=tmp_path / "run")
    real = module.calibrate

    def far_apart(*given) -> Calibration:
        """Whole sets with a report, sets of one class without."""
        found = real(*given)
        roads = {}
        for name in ROADS:
            limits = dict.fromkeys(LABELS, 0.999 if name == SCAN else 0.0)
            roads[name] = replace(found.road(name), fitted=True, thresholds=limits)
        return replace(found, roads=roads)

    monkeypatch.setattr(module, "calibrate", far_apart)
    finetune(config)
    rows, truth = rows_of(config.out)
    told, found = np.array([int(row["subject_id"][1:]) % 2 == 0 for row in rows]), shares(rows, "probability")
    assert 0 < told.sum() < len(told)
    metrics = read_record(config.out).metrics
    assert metrics["set_size"]["value"] == pytest.approx(np.where(told, 3, 1).mean())
    assert metrics["set_coverage"]["value"] == pytest.approx(np.where(told, True, found.argmax(1) == truth).mean())


def test_a_missing_cell_counts_as_the_median_of_the_training_people(tiny_base, tiny_cohort, tmp_path):
    """A gap in the table and the median in its place teach the metadata baseline the same."""
    visits = list(read_table(tiny_cohort / "table.csv").rows)
    gaps = [replace(v, age_years=None, apoe4_count=None) if int(v.subject_id[1:]) % 4 == 1 else v for v in visits]
    settings = {"method": "metadata", "validation_fraction": 0.0, "calibration_fraction": 0.0}

    def learned(name, rows):
        table = write_table(tmp_path / f"{name}.csv", rows)
        finetune(replace(finetune_config(tiny_cohort, tiny_base, tmp_path / name, **settings), table=table))
        return json.loads((tmp_path / name / "baseline.json").read_text())["metadata_baseline"]

    with_gaps = learned("gaps", gaps)
    middle = dict(zip(with_gaps["columns"], with_gaps["medians"], strict=True))
    filled = [
        replace(v, age_years=middle["age_years"], apoe4_count=int(middle["apoe4_count"])) if v.age_years is None else v
        for v in gaps
    ]
    assert middle["apoe4_count"].is_integer()
    without = learned("filled", filled)
    for name in ("medians", "means", "scales", "intercepts", "coefficients"):
        np.testing.assert_allclose(with_gaps[name], without[name], rtol=1e-6, err_msg=name)
    assert with_gaps["coefficients"] != learned("whole", visits)["coefficients"]


def test_without_calibration_subjects_the_answer_says_so(tiny_base, tiny_cohort, tmp_path):
    finetune(finetune_config(tiny_cohort, tiny_base, tmp_path / "run", epochs=1, calibration_fraction=0.0))
    found = Predictor.from_checkpoint(tmp_path / "run", "cpu")(tiny_cohort / SCAN_FILE.format("p01"))
    assert "not_calibrated" in found.flags and found.prediction_set is None


def test_a_model_from_before_the_shares_were_kept_still_answers(tiny_run, tiny_cohort, tmp_path):
    out = shutil.copytree(tiny_run, tmp_path / "run")
    record = json.loads((out / "adapter.json").read_text())
    del record["prior"]
    alone = record["calibration"]["roads"][SCAN]
    record["calibration"] = {  # as it was written then
        "subjects": record["calibration"]["subjects"], "mmse_half_width": record["calibration"]["mmse_half_width"],
        "gate_limit": record["calibration"]["gate_limit"], "cross_fitted": alone["cross_fitted"], "temperature": 1.5,
        "scan_only_temperature": alone["temperature"], "set_threshold": None, "scan_only_set_threshold": None,
    }  # fmt: skip
    (out / "adapter.json").write_text(json.dumps(record))
    scan = tiny_cohort / SCAN_FILE.format("p01")
    old, new = (Predictor.from_checkpoint(run, "cpu")(scan).to_dict() for run in (out, tiny_run))
    least = Road(**alone).least_probability  # then nobody counted the people of a road, so nothing limits what is told
    for group in ("probabilities", "scan_only"):
        limited = {label: least + (1 - 3 * least) * value for label, value in old.pop(group).items()}
        assert limited == pytest.approx(new.pop(group)) and least > 0
    for answer in (old, new):
        del answer["model"], answer["prediction_set"], answer["flags"]
    assert old == new
    for wrong in ({"CN": 1.0}, {"CN": 0.5, "MCI": 0.5, "AD": 0.0}, {"CN": 0.5, "MCI": 0.3, "AD": "much"}):
        (out / "adapter.json").write_text(json.dumps(record | {"prior": wrong}))
        with pytest.raises(CheckpointError, match="prior"):
            read_record(out)


def test_a_perfect_scorer_keeps_its_temperature_for_both_mixes():
    """Scores freed of the study's shares, of people of a study: fitted without them, they would be bent to make up for it."""
    rng = np.random.default_rng(0)
    prior = (0.2, 0.7, 0.1)
    truth = rng.choice(3, size=6000, p=prior)
    sign = rng.normal(1.2 * truth, 1)
    scores = -((sign[:, None] - 1.2 * np.arange(3)) ** 2) / 2
    evidence = {SCAN: RoadEvidence(truth, scan=2 * scores), TABLE: RoadEvidence(truth, both=scores)}
    found = calibrate(evidence, None, np.full(6000, math.nan), LABELS, prior)
    report, alone = found.road(TABLE), found.road(SCAN)
    assert (report.temperature, report.study_temperature) == pytest.approx((1, 1), abs=0.08)
    assert alone.temperature == pytest.approx(2, abs=0.16)
    assert abs(fit_temperature(scores, truth) - 1) > 0.15, "what was fitted before"
    study = to_probabilities(scores, report.study_temperature, prior)
    assert ece(truth, study) < 0.03 < 0.1 < ece(truth, to_probabilities(scores, report.temperature))
    assert report.subjects == alone.subjects == 6000 and report.counts["MCI"] == np.sum(truth == 1)


def test_three_perfect_sources_are_one_perfect_scorer_for_both_mixes():
    """The same people seen by three sources with their own noise: what is put together is neither too sure nor too shy."""
    rng = np.random.default_rng(1)
    prior = (0.2, 0.7, 0.1)
    truth = rng.choice(3, size=6000, p=prior)

    def source() -> np.ndarray:
        sign = rng.normal(0.9 * truth, 1)
        return -((sign[:, None] - 0.9 * np.arange(3)) ** 2) / 2

    evidence = RoadEvidence(truth, source(), source(), 3 * source())
    road = calibrate({TABLE: evidence}, None, np.full(6000, math.nan), LABELS, prior).road(TABLE)
    # their noise is independent, so that the sum of all three, each on its own scale, is exact
    assert [road.scan / road.temperature, road.metadata / road.temperature, 3 * road.both / road.temperature] == (
        pytest.approx([1, 1, 1], abs=0.12)
    )
    assert ece(truth, to_probabilities(evidence.weighed(road), road.study_temperature, prior)) < 0.03
