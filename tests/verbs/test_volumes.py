"""Volumes that `predict` finds for a scan: when they are reported, and when they are only shown."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from measured import SOURCE, VOLUMES, answer, found_for, with_training
from tiny import CONTRACT

from adclip import Predictor
from adclip.brain_volumes import BrainVolumes
from adclip.domain import ScanItem, Visit
from adclip.imaging.derivatives.files import PreparedScan, write_dataset_description, write_derivative
from adclip.imaging.derivatives.names import sidecar_path
from adclip.imaging.records.quality import Quality
from adclip.model.calibration import FOUND_VOLUMES, SCAN, Calibration
from adclip.prediction.reasons import CAUTION_FLAGS

ANSWER = ("probabilities", "scores", "scan_only", "metadata_only", "mmse", "report")


# ------------------------------------------------------------------------------------------------ with and without a table


def test_a_raw_scan_alone_gets_a_report_of_what_was_measured(raw_config, measured):
    found, without = answer(raw_config), answer(replace(raw_config, volumes=False))
    assert measured.calls == 1
    assert "hippocampus is 6200 mm3" in found.report and "estimated_volumes" in found.flags
    assert found.volumes_source == SOURCE and "no_metadata" in found.flags
    assert found.scan_only == without.scan_only == without.probabilities != found.probabilities
    assert without.report is None and without.volumes is None and without.volumes_source is None
    assert not {"estimated_volumes", "volumes_need_raw_scan"} & set(without.flags)


def test_a_person_without_volumes_is_reported_with_those_of_the_scan(raw_config, measured, meta):
    found = answer(replace(raw_config, meta=meta(age_years=71, sex="F")))
    assert found.report.startswith("A woman, aged 71 years") and "left hippocampus has 3000 mm3" in found.report
    without = answer(replace(raw_config, meta=meta(age_years=71, sex="F"), volumes=False))
    assert found.scan_only == without.scan_only and found.metadata_only == without.metadata_only
    assert "mm3" not in without.report


def test_the_network_is_told_them_as_if_they_had_stood_in_the_table(raw_config, measured, meta, tmp_path):
    """Its own scores are the same; the regression on the row is told nothing that was found, and is weighed apart."""
    columns = {name: value for name, value in VOLUMES.items() if name in vars(Visit())}
    network_alone = with_training(Path(raw_config.model), tmp_path / "run", calibration=Calibration(0).to_dict())
    for model in (network_alone, raw_config.model):
        config = replace(raw_config, model=model, meta=meta(age_years=71, sex="F"))
        found, without = answer(config), answer(replace(config, volumes=False))
        table = meta(age_years=71, sex="F", **columns, volumes_source=SOURCE)
        told = answer(replace(config, meta=table, volumes=False))
        assert found.report == told.report and "estimated_volumes" in told.flags
        assert found.scan_only == told.scan_only
        assert found.metadata_only == without.metadata_only != told.metadata_only
        assert (found.scores == told.scores) == (model == network_alone)


@pytest.mark.parametrize("column", ["hippocampus_mm3", "icv_mm3", "amygdala_left_mm3"])
def test_a_table_with_any_volume_is_never_mixed_with_measured_ones(raw_config, measured, meta, column):
    table = meta(age_years=71, sex="F", **{column: VOLUMES[column] + 7}, volumes_source="FreeSurfer")
    found, without = answer(replace(raw_config, meta=table)), answer(replace(raw_config, meta=table, volumes=False))
    assert all(getattr(found, name) == getattr(without, name) for name in ANSWER)
    assert "estimated_volumes" not in found.flags
    assert found.volumes_source == SOURCE and found.volumes[column]["mm3"] == VOLUMES[column]
    assert without.volumes_source == "FreeSurfer" and list(without.volumes) == [column]


def test_a_table_beside_the_scan_comes_before_measuring(raw_config, measured, head, tmp_path):
    scan = Path(shutil.copy(head, tmp_path / "sub-x_T1w.nii.gz"))
    (tmp_path / "synthseg.csv").write_text(
        "subject,total intracranial,left hippocampus,right hippocampus\nsub-x,1500000,4000,4100\n"
    )
    found = answer(replace(raw_config, inputs=(scan,)))
    assert measured.calls == 0 and found.volumes_source == "SynthSeg"
    assert "left hippocampus has 4000 mm3" in found.report and "estimated_volumes" not in found.flags
    assert found.volumes["hippocampus_left_mm3"]["error_mm3"] is None
    assert answer(replace(raw_config, inputs=(scan,), volumes=False)).volumes is None


@pytest.mark.parametrize(("column", "value"), [("hippocampus_left_mm3", 0.0), ("ventricles_mm3", 9e5)])
def test_what_no_brain_has_is_shown_and_not_reported(raw_config, measured, column, value):
    measured.volumes[column] = value
    found = answer(raw_config)
    assert found.report is None and found.probabilities == found.scan_only
    assert found.volumes[column]["mm3"] == value and "volumes_not_plausible" in found.flags


# ------------------------------------------------------------------------------------------------ what the model was taught


def test_a_model_that_reads_no_reports_answers_as_before(raw_config, measured, tiny_run, tmp_path):
    run = with_training(tiny_run, tmp_path / "run", reports=False)
    found = answer(replace(raw_config, model=run))
    without = answer(replace(raw_config, model=run, volumes=False))
    assert all(getattr(found, name) == getattr(without, name) for name in ANSWER) and found.flags == without.flags
    assert found.volumes["hippocampus_mm3"]["mm3"] == 6200


def test_a_model_that_was_never_taught_volumes_is_told_none(raw_config, measured, meta, tiny_run, tmp_path):
    baseline = json.loads((tiny_run / "adapter.json").read_text())["metadata_baseline"]
    place = baseline["columns"].index("age_years")
    for name in ("columns", "medians", "means", "scales"):
        baseline[name] = [baseline[name][place]]
    baseline["coefficients"] = [[row[place]] for row in baseline["coefficients"]]
    baseline["covariance"] = [[baseline["covariance"][place][place]]]
    run = with_training(tiny_run, tmp_path / "run", metadata_baseline=baseline)
    table = meta(age_years=71, sex="F")
    found = answer(replace(raw_config, model=run, meta=table))
    without = answer(replace(raw_config, model=run, meta=table, volumes=False))
    assert all(getattr(found, name) == getattr(without, name) for name in ANSWER)
    assert found.volumes and "estimated_volumes" not in found.flags


@pytest.mark.parametrize(
    ("known", "told", "flag"),
    [
        ([], True, None), ([SOURCE], True, None), (["adclip segmenter"], True, None), (["simulation", SOURCE], True, None),
        (["adclip segmenter ba9876543210"], True, "volumes_of_other_version"),
        (["FreeSurfer"], False, None), (["simulation"], False, None),
        (["adclip segmenter 968d0ae78409"], False, None),  # before the calibration
    ],
)  # fmt: skip
def test_a_model_is_told_volumes_of_a_program_that_it_knows(tiny_run, tmp_path, known, told, flag):
    predictor = Predictor.from_checkpoint(
        with_training(tiny_run, tmp_path / "run", training={"volumes_sources": known}), "cpu"
    )
    image = np.zeros(CONTRACT.shape_xyz, np.float32)
    prepared = _prepared(image, BrainVolumes(SOURCE, VOLUMES))
    item = ScanItem(Path("x.nii.gz"), "x")
    evidence = predictor.evidence(prepared, None)
    assert evidence.road == (FOUND_VOLUMES if told else SCAN)
    found = predictor.to_prediction(item, prepared, evidence, predictor.answer(prepared, evidence))
    assert {name for name in found.flags if name.startswith("volumes_of")} == ({flag} if flag else set())
    assert ("estimated_volumes" in found.flags) == told == (found.report is not None)
    assert found.volumes["hippocampus_mm3"]["mm3"] == VOLUMES["hippocampus_mm3"]  # shown in any case
    assert (found.status == "caution") == (not CAUTION_FLAGS.isdisjoint(found.flags))


def _prepared(image, volumes):
    return PreparedScan(image, image > 0, np.eye(4), qc=Quality(verdict="pass"), volumes=volumes)


# ------------------------------------------------------------------------------------------------ derivatives


def derivative(tmp_path, volumes):
    image = np.full(CONTRACT.shape_xyz, 0.5, np.float32)
    path = write_derivative(_prepared(image, volumes), ScanItem(Path(), "x"), tmp_path / "d", CONTRACT)
    write_dataset_description(tmp_path / "d")
    return path


def test_a_derivative_gives_the_volumes_of_its_sidecar(raw_config, measured, tmp_path):
    found = answer(replace(raw_config, inputs=(derivative(tmp_path, found_for(VOLUMES)),)))
    assert measured.calls == 0 and "hippocampus is 6200 mm3" in found.report
    assert found.volumes_source == SOURCE and found.volumes["icv_mm3"]["error_mm3"] == 210
    assert "estimated_volumes" in found.flags and "volumes_need_raw_scan" not in found.flags


@pytest.mark.parametrize(
    "kept",
    [
        {}, {"source": "adclip segmenter 000000000000", "volumes": VOLUMES}, {"source": SOURCE, "volumes": {"icv_mm3": "big"}},
        {"source": SOURCE, "volumes": {"icv_mm3": float("nan")}}, {"source": 3, "volumes": VOLUMES}, {"volumes": VOLUMES},
    ],
)  # fmt: skip
def test_volumes_of_another_segmenter_or_none_need_the_raw_scan(raw_config, measured, meta, tmp_path, kept):
    scan = derivative(tmp_path, None)
    sidecar = json.loads(sidecar_path(scan).read_text())
    sidecar_path(scan).write_text(json.dumps(sidecar | {"Volumes": kept}))
    asked = replace(raw_config, inputs=(scan,))
    found = answer(asked)
    assert found.volumes is None and found.report is None and "volumes_need_raw_scan" in found.flags
    assert "volumes_need_raw_scan" not in answer(replace(asked, volumes=False)).flags
    # whoever has a table of volumes has what they need
    assert "volumes_need_raw_scan" not in answer(replace(asked, meta=meta(hippocampus_mm3=6000))).flags
