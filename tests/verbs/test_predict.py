"""`predict` as a function: what may change an answer, and what must not."""

from __future__ import annotations

import csv
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from tiny import LABELS, write_table

from adclip import Predictor
from adclip.brain_volumes import BrainVolumes
from adclip.clinical.reports import render, template_version
from adclip.clinical.tables.table import read_table
from adclip.config import PredictConfig
from adclip.domain import BUILTIN_NOTICE, RESEARCH_NOTICE, Prediction, ScanItem, Visit
from adclip.errors import CheckpointError, OutputError, ScanError, TableError
from adclip.imaging.records.quality import Quality
from adclip.model.calibration import (
    FOUND_VOLUMES,
    ROADS,
    SCAN,
    TABLE,
    TABLE_AND_FOUND_VOLUMES,
    TABLE_WITH_VOLUMES,
    Calibration,
    Road,
)
from adclip.model.checkpoint import load_model
from adclip.model.record import model_folder, read_record
from adclip.model.text import tokenize
from adclip.prediction.answer import Answer, name_probabilities
from adclip.prediction.evidence import without_volumes
from adclip.prediction.inputs import to_item
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.scoring import Reader
from adclip.runtime.events import Failed, Warned
from adclip.verbs.predict import predict

NAME = "sub-{0}/ses-01/anat/sub-{0}_ses-01_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz"


@pytest.fixture(scope="module")
def visits(tiny_cohort):
    return list(read_table(tiny_cohort / "table.csv").rows)


@pytest.fixture
def config(tiny_cohort, tiny_run):
    scans = tuple(tiny_cohort / NAME.format(name) for name in ("p01", "p02", "p05"))
    return PredictConfig(scans, tiny_cohort / "table.csv", str(tiny_run), device="cpu")


def answers(config: PredictConfig) -> list[Prediction]:
    return predict(config).predictions


def test_every_number_is_within_its_range(config):
    for found in answers(config):
        assert found.status == "ok" and found.notice == RESEARCH_NOTICE
        for named in (found.probabilities, found.scan_only, found.metadata_only):
            assert list(named) == list(LABELS)
            assert sum(named.values()) == pytest.approx(1) and min(named.values()) >= 0
        assert found.diagnosis == max(found.probabilities, key=found.probabilities.get)
        assert 0 <= found.mmse.estimate <= 30
        json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "changed", [{"diagnosis": "AD"}, {"diagnosis": "CN"}, {"mmse": "3"}, {"mmse": "", "diagnosis": ""}]
)
def test_the_answer_in_the_table_changes_nothing(config, visits, tmp_path, changed):
    wanted = answers(config)
    found = answers(replace(config, meta=write_table(tmp_path / "t.csv", visits, **changed)))
    for one, two in zip(wanted, found, strict=True):
        assert (one.probabilities, one.scores, one.scan_only, one.metadata_only, one.report, one.mmse.estimate) == (
            two.probabilities, two.scores, two.scan_only, two.metadata_only, two.report, two.mmse.estimate,
        )  # fmt: skip
        assert two.mmse.known == (float(changed["mmse"] or "nan") if changed.get("mmse") else one.mmse.known) or (
            changed.get("mmse") == "" and two.mmse.known is None
        )


def test_free_text_scores_and_names_change_nothing(config, tmp_path, tiny_cohort):
    """The same scan and volumes under a name, a file name and columns that give the diagnosis away."""
    header = "subject_id,age_years,hippocampus_mm3,ventricles_mm3"
    row = "70,5000,60000"
    (tmp_path / "one.csv").write_text(f"{header}\np01,{row}\n")
    (tmp_path / "two.csv").write_text(
        f"{header},cdr_global,notes\nAD-severe,{row},2,severe dementia of Alzheimer type\n"
    )
    scan = tmp_path / "AD_severe_mmse_3_desc-preproc_T1w.nii.gz"
    shutil.copy(config.inputs[0], scan)
    shutil.copy(str(config.inputs[0]).replace(".nii.gz", ".json"), str(scan).replace(".nii.gz", ".json"))
    (one,) = answers(replace(config, inputs=config.inputs[:1], meta=tmp_path / "one.csv"))
    predictor = Predictor.from_checkpoint(config.model, "cpu")
    two = predictor(ScanItem(scan, "AD-severe", preprocessed=True), tmp_path / "two.csv")
    assert (one.probabilities, one.scan_only, one.metadata_only, one.report) == (
        two.probabilities, two.scan_only, two.metadata_only, two.report,
    )  # fmt: skip


def test_volumes_in_the_table_do_matter(config, visits, tmp_path):
    changed = answers(replace(config, meta=write_table(tmp_path / "t.csv", visits, hippocampus_mm3="4000")))
    for one, two in zip(answers(config), changed, strict=True):
        assert one.probabilities != two.probabilities and one.scan_only == two.scan_only


def test_without_metadata_the_scan_alone_answers(config):
    for one, two in zip(answers(replace(config, meta=None)), answers(config), strict=True):
        assert one.probabilities == one.scan_only
        assert one.scan_only == pytest.approx(two.scan_only, abs=1e-6)
        assert one.report is None and one.metadata_only is None and "no_metadata" in one.flags
        assert two.report.startswith(("A man, aged ", "A woman, aged ")) and "no_metadata" not in two.flags


def test_a_row_without_a_usable_field_gives_no_report(config, tmp_path):
    (tmp_path / "t.csv").write_text("subject_id,cdr_global,diagnosis,mmse\np01,1,AD,12\n")
    (found,) = answers(replace(config, inputs=config.inputs[:1], meta=tmp_path / "t.csv"))
    assert found.probabilities == found.scan_only and "no_report" in found.flags
    assert found.mmse.known == 12


def changed_run(tiny_run, folder, calibration: Calibration) -> str:
    """Copy a RUN folder, with other numbers from the calibration."""
    run = shutil.copytree(tiny_run, folder)
    record = json.loads((run / "adapter.json").read_text())
    record["calibration"] = calibration.to_dict()
    (run / "adapter.json").write_text(json.dumps(record))
    return str(run)


def volumes_of(visit: Visit) -> BrainVolumes:
    """What somebody would find in the scan of a person whose row tells these volumes."""
    named = {name: value for name, value in vars(visit).items() if name.endswith("_mm3") and value is not None}
    return BrainVolumes(visit.volumes_source or "simulation", named)


def test_each_road_has_its_own_threshold_and_temperature(config, tiny_run, tmp_path):
    """Far apart, so that a number taken from the other road shows: with a report sets are whole and answers sharp."""
    told_road = Road(
        both=1.0, temperature=0.1, study_temperature=0.1, thresholds=dict.fromkeys(LABELS, 0.0), fitted=True
    )
    alone = Road(1.0, 0.0, 0.0, 20.0, study_temperature=20.0, thresholds=dict.fromkeys(LABELS, 0.99), fitted=True)
    run = changed_run(tiny_run, tmp_path / "run", Calibration(4, roads=dict.fromkeys(ROADS, told_road) | {SCAN: alone}))
    told = answers(replace(config, model=run, out=tmp_path / "out"))
    bare = answers(replace(config, model=run, meta=None))
    for one, two in zip(told, bare, strict=True):
        assert one.report and one.prediction_set == LABELS and two.prediction_set == (two.diagnosis,)
        assert one.probabilities == pytest.approx(name_probabilities(one.scores, 0.1))
        assert two.probabilities == two.scan_only == pytest.approx(name_probabilities(two.scores, 20.0))
        assert one.scan_only == pytest.approx(two.scan_only, abs=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [(line["prediction_set"], line["scan_only"]) for line in lines] == [
        (list(one.prediction_set), one.scan_only) for one in told
    ]


def every_road(visit: Visit) -> dict[str, tuple[Visit | None, BrainVolumes | None]]:
    """Return what a person may come with: a row, and volumes that were found for the scan."""
    person, found = without_volumes(visit), volumes_of(visit)
    return {
        SCAN: (None, None),
        TABLE: (person, None),
        TABLE_WITH_VOLUMES: (visit, None),
        TABLE_AND_FOUND_VOLUMES: (person, found),
        FOUND_VOLUMES: (None, found),
    }


def come_with(predictor: Predictor, item: ScanItem, visit: Visit, road: str):
    """Return a person's answer by one road, and the scores (3,) of its three sources: scan, row, both."""
    row, found = every_road(visit)[road]
    prepared = replace(predictor.prepare(item), volumes=found)
    evidence = predictor.evidence(prepared, row)
    assert evidence.road == road
    with torch.inference_mode():
        scores = predictor.score(predictor.to_image(prepared), evidence)
    told = predictor.to_prediction(item, prepared, evidence, predictor.to_answer(scores, evidence))
    of_row = [math.log(told.metadata_only[label]) if told.metadata_only else 0.0 for label in LABELS]
    return told, scores.bare[0].numpy(), np.array(of_row), scores.report[0].numpy()


def named(numbers: np.ndarray) -> dict[str, float]:
    return dict(zip(LABELS, numbers.tolist(), strict=True))


@pytest.mark.parametrize("road", ROADS)
def test_a_fitted_run_answers_by_every_road(predictor, config, visits, road):
    """Rows with volumes and without, volumes found for the scan, nothing: by the weights and the temperature fitted for each."""
    fitted = predictor.record.calibration.roads[road]
    assert fitted.fitted and fitted.subjects >= 3
    for visit in visits[1:4]:
        told, scan, row, both = come_with(predictor, to_item(config.inputs[0]), visit, road)
        assert told.scores == pytest.approx(
            named(fitted.scan * scan + fitted.metadata * row + fitted.both * both), abs=1e-4
        )
        least = fitted.least_probability
        assert told.probabilities == pytest.approx(name_probabilities(told.scores, fitted.temperature, least))
        assert 0 < least <= min(told.probabilities.values())
        assert "not_calibrated" not in told.flags
        assert (told.probabilities == told.scan_only) == (road == SCAN)


@pytest.mark.parametrize("own", ROADS)
def test_no_road_takes_a_number_of_another(tiny_run, config, visits, tmp_path, own):
    """Only one road is taught; every other keeps its raw scores, promises no set and says so."""
    limits = dict(zip(LABELS, (0.0, 0.99, 0.0), strict=True))
    taught = Road(0.6, 0.3, 0.9, 5.0, study_temperature=7.0, thresholds=limits, fitted=True)
    if own == SCAN:
        taught = replace(taught, scan=1.0, metadata=0.0, both=0.0)
    run = changed_run(tiny_run, tmp_path / "run", Calibration(4, roads={own: taught}))
    predictor, item = Predictor.from_checkpoint(run, "cpu"), to_item(config.inputs[0])
    for road in ROADS:
        told, scan, row, both = come_with(predictor, item, visits[2], road)
        if road == own:
            wanted = named(taught.scan * scan + taught.metadata * row + taught.both * both)
            assert told.scores == pytest.approx(wanted, abs=1e-4)
            assert told.probabilities == pytest.approx(name_probabilities(told.scores, 5.0))
            assert set(told.prediction_set) == {"CN", "AD", told.diagnosis}
            assert not {"not_calibrated", "no_prediction_set"} & set(told.flags)
        else:
            assert told.scores == pytest.approx(named(scan if road == SCAN else both), abs=1e-4)
            assert told.probabilities == pytest.approx(name_probabilities(told.scores, 1.0))
            assert told.prediction_set is None and "not_calibrated" in told.flags
            assert "no_prediction_set" not in told.flags
        assert told.scan_only == pytest.approx(name_probabilities(named(scan), 5.0 if own == SCAN else 1.0))
        assert (told.report is None) == (road == SCAN)


def test_a_road_with_too_few_people_for_a_set_says_so_and_changes_no_status(config, tiny_run, tmp_path):
    counts = dict(zip(LABELS, (12, 8, 12), strict=True))
    fitted = Road(both=1.0, temperature=2.0, counts=counts, fitted=True)
    alone = replace(fitted, scan=1.0, both=0.0)
    run = changed_run(tiny_run, tmp_path / "run", Calibration(32, roads=dict.fromkeys(ROADS, fitted) | {SCAN: alone}))
    with_sets = {name: replace(road, thresholds=dict.fromkeys(LABELS, 0.2)) for name, road in
                 (dict.fromkeys(ROADS, fitted) | {SCAN: alone}).items()}  # fmt: skip
    promising = changed_run(tiny_run, tmp_path / "promising", Calibration(32, roads=with_sets))
    for meta in (config.meta, None):
        for one, two in zip(
            *(answers(replace(config, meta=meta, model=model)) for model in (run, promising)), strict=True
        ):
            assert one.prediction_set is None and "no_prediction_set" in one.flags and "not_calibrated" not in one.flags
            assert two.prediction_set and "no_prediction_set" not in two.flags
            assert (one.status, one.probabilities) == (two.status, two.probabilities)


def test_what_may_stand_in_a_missing_cell_is_averaged_over(config, visits, tiny_run, tmp_path):
    """An empty cell is no person in the middle: the answer lies among those that the cell's possible contents give."""
    stored = json.loads((tiny_run / "adapter.json").read_text())["metadata_baseline"]
    baseline = MetadataBaseline.from_dict(stored)
    person = next(visit for visit in visits if (visit.subject_id, visit.session_id) == ("p02", "01"))
    full = np.array([baseline_read(baseline, person)])
    place = stored["columns"].index("hippocampus_mm3")
    covariance, shares = np.array(stored["covariance"]), np.array(stored["shares"])
    others = [number for number in range(len(stored["columns"])) if number != place]
    slope = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, place])
    sd = math.sqrt(covariance[place, place] - slope @ covariance[others, place])
    draws = np.repeat(full, 200_000, axis=0)
    draws[:, place] = full[0, others] @ slope + sd * np.random.default_rng(0).standard_normal(200_000)
    scores = draws @ np.array(stored["coefficients"]).T + np.array(stored["intercepts"]) + np.log(shares)
    wanted = softmax(scores, axis=1).mean(0) / shares
    (found,) = answers(replace(config, inputs=config.inputs[1:2], meta=write_table(
        tmp_path / "empty.csv", [person], hippocampus_mm3="")))  # fmt: skip
    assert list(found.metadata_only.values()) == pytest.approx(wanted / wanted.sum(), abs=4e-3)


def baseline_read(baseline: MetadataBaseline, visit: Visit) -> list[float]:
    """The standardised columns of a complete visit, by hand."""
    plain = {"age_years": visit.age_years, "sex": float(visit.sex == "M"), "education_years": visit.education_years,
             "apoe4_count": visit.apoe4_count}  # fmt: skip
    values = [plain[name] if name in plain else getattr(visit, name) / visit.icv_mm3 for name in baseline.columns]
    return [(value - mean) / scale for value, mean, scale in zip(values, baseline.means, baseline.scales, strict=True)]


@pytest.mark.parametrize("column", ["age_years", "hippocampus_mm3"])
def test_a_model_from_before_takes_the_median_for_a_missing_cell(config, visits, tiny_run, tmp_path, column):
    """Without the covariance of training, what the metadata alone say of an empty cell is what they say of one in the middle."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    record = json.loads((run / "adapter.json").read_text())
    stored = record["metadata_baseline"]
    del stored["covariance"], stored["shares"]
    (run / "adapter.json").write_text(json.dumps(record))
    middle = stored["medians"][stored["columns"].index(column)]
    cell = middle * visits[1].icv_mm3 if column.endswith("_mm3") else middle
    config = replace(config, model=str(run))
    empty, filled = (
        answers(replace(config, meta=write_table(tmp_path / f"{name}.csv", visits, **{column: text})))
        for name, text in (("empty", ""), ("filled", repr(cell)))
    )
    for one, two, known in zip(empty, filled, answers(config), strict=True):
        assert one.metadata_only == pytest.approx(two.metadata_only)
        assert one.metadata_only != pytest.approx(known.metadata_only)


def test_neighbours_and_order_change_nothing(config):
    together = answers(config)
    assert answers(replace(config, inputs=config.inputs[1:2]))[0] == together[1]
    assert answers(replace(config, inputs=config.inputs[::-1]))[0].probabilities in [p.probabilities for p in together]


def test_a_stranger_is_told_and_read_without_metadata(config, tmp_path):
    (tmp_path / "t.csv").write_text("subject_id,hippocampus_mm3\np01,5000\nzz,6000\n")
    told = []
    found = predict(replace(config, meta=tmp_path / "t.csv"), told.append).predictions
    assert ["no_metadata_row" in one.flags for one in found] == [False, True, True]
    assert sum(isinstance(event, Warned) for event in told) >= 2


def test_one_bad_scan_stops_nobody(config, tmp_path):
    bad = tmp_path / "sub-bad_T1w.nii.gz"
    bad.write_bytes(b"this is no image")
    told = []
    result = predict(replace(config, inputs=(bad, *config.inputs), out=tmp_path / "out"), told.append)
    assert result.failed == 1 and sum(isinstance(event, Failed) for event in told) == 1
    by_status = {one.status for one in result.predictions if "bad" in one.scan}
    assert by_status == {"failed"}
    assert sum(one.status == "ok" for one in result.predictions) == 3
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 4 and sum("error" in json.loads(line) for line in lines) == 1
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    assert len(rows) == 4 and {"probabilities.AD", "mmse.estimate", "flags"} <= set(rows[0])
    # what the failed scan lacks as a whole is no column of its own beside those of its parts
    assert not {name.rpartition(".")[0] for name in rows[0]} & set(rows[0])
    with pytest.raises(OutputError):
        predict(replace(config, out=tmp_path / "out"))


def test_only_bad_scans_raise(config, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"sub-{name}_T1w.nii.gz").write_bytes(b"no")
    with pytest.raises(ScanError):
        predict(replace(config, inputs=(tmp_path,), out=tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*"))


def test_a_wrong_model_is_told_before_any_scan_is_read(config, tmp_path):
    with pytest.raises(CheckpointError):
        predict(replace(config, model=str(tmp_path), inputs=(tmp_path / "absent.nii.gz",)))


def test_a_spreadsheet_reads_no_formula(tmp_path):
    from adclip.verbs.predict import write_predictions

    write_predictions(tmp_path, [Prediction(scan="=cmd()", status="failed", error="+x", hint="-y")])
    (row,) = csv.DictReader((tmp_path / "predictions.csv").open())
    assert (row["scan"], row["error"], row["hint"]) == ("'=cmd()", "'+x", "'-y")


# ------------------------------------------------------------------------------------------------ the Predictor


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor.from_checkpoint(tiny_run, "cpu")


def test_the_predictor_agrees_with_the_verb(predictor, config, visits):
    found = [predictor(scan, visit) for scan, visit in
             zip(config.inputs, (v for n in ("p01", "p02", "p05") for v in visits if (v.subject_id, v.session_id) == (n, "01")),
                 strict=True)]  # fmt: skip
    assert found == answers(config)


@pytest.mark.parametrize("points", [-40.0, 0.0, 29.9, 75.0])
def test_the_mmse_stays_between_0_and_30(predictor, config, points):
    item = ScanItem(config.inputs[0], "p01", "01", True)
    prepared = predictor.prepare(item)
    answer = Answer(dict.fromkeys(LABELS, 1.0), dict.fromkeys(LABELS, 1.0), SCAN, points)
    found = predictor.to_prediction(item, prepared, predictor.evidence(prepared, None), answer).mmse
    assert 0 <= found.estimate <= 30 and found.known is None
    if found.low is not None:
        assert 0 <= found.low <= found.estimate <= found.high <= 30


@pytest.mark.parametrize(("verdict", "status"), [("pass", "ok"), ("warn", "caution"), ("fail", "refer")])
def test_quality_decides_the_status(predictor, config, verdict, status):
    item = ScanItem(config.inputs[0], "p01", "01", True)
    prepared = replace(predictor.prepare(item), qc=Quality(verdict=verdict), flags=("qc",))
    evidence = predictor.evidence(prepared, None)
    found = predictor.to_prediction(item, prepared, evidence, predictor.answer(prepared, evidence))
    # five people calibrate no set; the derivative has no volumes, and says since they are measured by default that a raw scan would give them
    assert found.status == status
    assert found.flags == ("qc", "no_prediction_set", "no_metadata", "volumes_need_raw_scan")


def test_a_table_of_two_rows_is_no_single_visit(predictor, config, tiny_cohort):
    with pytest.raises(TableError, match="rows"):
        predictor(config.inputs[0], tiny_cohort / "table.csv")


def test_a_folder_of_many_is_no_single_scan(predictor, tiny_cohort):
    with pytest.raises(ScanError, match="scans"):
        predictor(tiny_cohort)


def test_probabilities_of_scores():
    assert name_probabilities({"a": 2000.0, "b": -2000.0}, 0.5) == {"a": 1.0, "b": 0.0}
    assert name_probabilities({"a": 1.0, "b": 1.0}, 3.0) == {"a": 0.5, "b": 0.5}
    limited = name_probabilities({"a": 2000.0, "b": 0.0, "c": -2000.0}, 0.5, least=0.01)
    assert limited == pytest.approx({"a": 0.98, "b": 0.01, "c": 0.01}) and sum(limited.values()) == pytest.approx(1)


# ------------------------------------------------------------------------------------------------ the builtin model


def test_the_baseline_of_the_builtin_model_is_for_classes_equally_common():
    """The scores beside it are; one that keeps the mix of its training loses wherever classes weigh alike, for that reason alone.

    Intercepts fitted to a mix sum to 0, as the fit begins there and no step moves their sum. Taking the mix away leaves this one.
    """
    record = read_record(model_folder("builtin"))
    intercepts = record.metadata_baseline.content["intercepts"]
    assert sum(intercepts) == pytest.approx(-sum(math.log(share) for share in record.prior.values()), abs=1e-6)
    assert sum(intercepts) > 1


def test_the_builtin_model_says_what_it_is(tmp_path):
    from tiny import write_template_derivative

    scan = write_template_derivative(tmp_path)
    (found,) = answers(PredictConfig((scan,), device="cpu"))
    assert found.notice.startswith(BUILTIN_NOTICE) and RESEARCH_NOTICE in found.notice
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert 0 <= found.mmse.estimate <= 30
    assert found.scan == scan.name  # an absolute path never reaches an output


def test_volumes_of_a_program_that_the_model_has_not_met_are_flagged(config, visits, tiny_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    record = json.loads((run / "adapter.json").read_text())
    record["training"]["volumes_sources"] = ["FreeSurfer"]
    (run / "adapter.json").write_text(json.dumps(record))
    for source, flagged in (("SynthSeg", True), ("FreeSurfer", False), ("", False)):
        table = write_table(tmp_path / "t.csv", visits)
        lines = table.read_text().splitlines()
        named = [f"{lines[0]},volumes_source", *(f"{line},{source}" for line in lines[1:])]
        table.write_text("\n".join(named) + "\n")
        for found in answers(replace(config, meta=table, model=str(run))):
            assert ("volumes_of_other_software" in found.flags) == flagged


def test_a_model_of_another_template_is_not_fed_with_this_one(config, tiny_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    record = json.loads((run / "adapter.json").read_text())
    (run / "adapter.json").write_text(json.dumps(record | {"template_version": "0"}))
    with pytest.raises(CheckpointError, match="version 0"):
        answers(replace(config, model=str(run)))


def words_read(run: str, visit: Visit, scan: Path, monkeypatch) -> tuple[list[str], Prediction]:
    """Return the texts that the network is given for one scan, and the answer."""
    texts: list[str] = []

    def listen(given, *rest):
        texts.extend(given)
        return tokenize(given, *rest)

    monkeypatch.setattr("adclip.prediction.scoring.tokenize", listen)
    found = Predictor.from_checkpoint(run, "cpu")(scan, visit)
    return texts, found


def test_each_model_reads_the_version_that_it_was_taught_on(config, tiny_run, visits, tmp_path, monkeypatch):
    """Exactly its words, old or new, whatever is newest; the answers differ because the words do."""
    visit = replace(visits[1], education_years=None, icv_mm3=None)
    old = tmp_path / "old"
    shutil.copytree(tiny_run, old)
    record = json.loads((old / "adapter.json").read_text())
    assert record["template_version"] == template_version("clinical") == "2"  # it was fine-tuned just now
    (old / "adapter.json").write_text(json.dumps(record | {"template_version": "1"}))
    scan = config.inputs[0]
    answered = {}
    for run, version in ((old, "1"), (tiny_run, "2")):
        texts, answered[version] = words_read(str(run), visit, scan, monkeypatch)
        assert texts == [render(visit, "clinical", label, version=version).text for label in LABELS]
        assert answered[version].report == render(visit, "clinical", None, version=version).text
    assert "Data unavailable: education, intracranial volume, entorhinal cortex" in answered["1"].report
    assert "unavailable" not in answered["2"].report
    assert answered["1"].scan_only == answered["2"].scan_only
    assert answered["1"].scores != answered["2"].scores


def test_the_builtin_model_reads_the_version_of_its_record(tmp_path, monkeypatch):
    from tiny import write_template_derivative

    version = read_record(model_folder("builtin")).template_version
    visit = Visit(age_years=74.0, sex="F", ventricles_mm3=41000.0)
    texts, found = words_read("builtin", visit, write_template_derivative(tmp_path), monkeypatch)
    assert texts == [render(visit, "clinical", label, version=version).text for label in LABELS]
    assert found.report == render(visit, "clinical", None, version=version).text


def test_two_tables_are_joined_to_the_scans(config, visits, tmp_path):
    wanted = answers(config)
    people = write_table(tmp_path / "people.csv", [replace(visit, hippocampus_mm3=None) for visit in visits])
    rows = [f"{visit.subject_id},{visit.session_id},{visit.hippocampus_mm3}" for visit in visits]
    (tmp_path / "volumes.csv").write_text("\n".join(["subject_id,session_id,hippocampus_mm3", *rows]) + "\n")
    found = answers(replace(config, meta=(people, tmp_path / "volumes.csv")))
    assert [one.report for one in found] == [one.report for one in wanted]


def test_volumes_that_adclip_estimated_itself_are_flagged(config, visits, tmp_path):
    table = write_table(tmp_path / "t.csv", visits)
    lines = table.read_text().splitlines()
    table.write_text(
        "\n".join([f"{lines[0]},volumes_source", *(f"{line},adclip segmenter 1a2b" for line in lines[1:])]) + "\n"
    )
    assert all("estimated_volumes" in found.flags for found in answers(replace(config, meta=table)))
    visit = read_table(table).rows[0]
    assert render(visit, "paper6", None).flags == ("estimated_volumes",)
    assert render(replace(visit, volumes_source="DLMUSE"), "paper6", None).flags == ()


def test_the_only_row_of_another_subject_is_used_and_told(config, visits, tmp_path):
    stranger = replace(visits[0], subject_id="other", session_id=None, scan=None)
    heard: list[object] = []
    alone = replace(config, inputs=config.inputs[:1], meta=write_table(tmp_path / "t.csv", [stranger]))
    (found,) = predict(alone, heard.append).predictions
    assert "row_of_other_subject" in found.flags and found.status == "caution" and found.subject_id == "p01"
    assert any(isinstance(event, Warned) and "of subject other" in event.text for event in heard)


def test_a_scan_alone_never_loads_the_text_tower(tmp_path):
    """Nor transformers: the class phrases stand encoded in the checkpoint. A report then brings it."""
    from tiny import write_template_derivative

    write_template_derivative(tmp_path)
    code = (
        "import sys\nfrom adclip import Predictor\nfrom adclip.domain import Visit\n"
        "predict = Predictor.from_checkpoint('builtin', 'cpu')\n"
        f"alone = predict({str(tmp_path)!r})\nbefore = 'transformers' in sys.modules\n"
        f"both = predict({str(tmp_path)!r}, Visit(hippocampus_mm3=6000.0, icv_mm3=1.4e6, volumes_source='DLMUSE'))\n"
        "print(before, 'transformers' in sys.modules, alone.report, both.report is not None, alone.scan_only == both.scan_only)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split()[-5:] == ["False", "True", "None", "True", "True"], done.stderr


def test_the_kept_class_phrases_are_what_the_text_tower_says():
    model = load_model("builtin")
    fresh = Reader(model.network, model.tokenizer, model.record.labels, model.record.style).bare()
    torch.testing.assert_close(
        model.class_texts.tokens, fresh.tokens, rtol=0, atol=1e-5
    )  # single precision, any processor
    assert torch.equal(model.class_texts.word_mask, fresh.word_mask)
