"""Odd files in a cohort, as `preprocess` and `predict` meet them: one is refused or another taken, and the rest go on."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicoms import write_series
from measured import answer
from phantoms import texture

from adclip import Predictor
from adclip.config import SMALL, PredictConfig, PreprocessConfig
from adclip.domain import ScanItem
from adclip.errors import ScanError
from adclip.imaging.derivatives.files import PreparedScan
from adclip.imaging.derivatives.status import STATUS_FILE
from adclip.imaging.records.quality import Quality
from adclip.imaging.records.sidecar import StepTaken
from adclip.imaging.sources.files import read_volume, scan_sha256
from adclip.prediction import derivation
from adclip.prediction.answer import with_flags
from adclip.prediction.jobs import failed_prediction
from adclip.runtime.events import Event, Failed, Warned
from adclip.verbs.predict import predict, write_predictions
from adclip.verbs.preprocess import plan, preprocess

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
AFFINE[:3, 3] = (-60, -70, -40)


def tiny(path: Path) -> Path:
    """Write a volume that every check of a file lets through."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(texture(), AFFINE), path)
    return path


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read and check every scan, and paint the rest, which takes no time."""

    def prepare(item, contract, stripper, options, **_):
        volume = read_volume(item.path, options)
        image = np.zeros(contract.shape_xyz, dtype=np.float32)
        image[20:40, 20:40, 20:40] = 0.5
        return PreparedScan(
            image, image > 0, np.eye(4), volume=volume, qc=Quality(verdict="pass"), flags=item.flags,
            steps=(StepTaken("brain", {"method": "painted"}),), source_sha256=scan_sha256(item.path, options),
        )  # fmt: skip

    monkeypatch.setattr(derivation, "prepare_scan", prepare)
    monkeypatch.setattr(derivation, "is_current", lambda sidecar, sha256, *_: sidecar.source_sha256 == sha256)
    monkeypatch.setattr("adclip.model.checkpoint.read_contract", lambda model: SMALL.contract)


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / STATUS_FILE).open(encoding="utf-8") as stream:
        return {row["subject_id"]: row for row in csv.DictReader(stream, delimiter="\t")}


def latin_named(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    bad = Path(os.fsdecode(os.fsencode(folder) + b"/M\xfcller.nii"))
    try:
        shutil.copy(tiny(folder / "copied.nii"), bad)
    except OSError:
        pytest.skip("this file system has no such names")
    (folder / "copied.nii").unlink()
    return bad


def test_such_a_name_inside_a_dicom_folder_reaches_no_table_as_it_is(painted: None, tmp_path: Path) -> None:
    slices = write_series(tmp_path / "study" / "dicom")
    bad = latin_named(tmp_path / "study" / "dicom")
    bad.unlink()
    slices[3].rename(bad.with_suffix(".dcm"))
    bad.with_suffix(".dcm").write_bytes(bad.with_suffix(".dcm").read_bytes()[:-100])
    tiny(tmp_path / "study" / "anna.nii")
    assert preprocess(PreprocessConfig((tmp_path / "study",), out=tmp_path / "out")).failed == 1
    rows = rows_of(tmp_path / "out")
    assert rows["anna"]["status"] == "done"
    assert r"M\xfcller.dcm: this DICOM file is cut short" in rows["dicom"]["error"]


def test_neither_error_nor_hint_of_a_failed_record_names_a_folder_of_this_machine(tmp_path: Path) -> None:
    folder = tmp_path / "jane doe"
    folder.mkdir()
    contradicting, pointer = folder / "a.nii", folder / "b.nii"
    image = nib.Nifti1Image(texture(), AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE @ np.diag([0.9, 0.9, 0.9, 1]), 1)
    nib.save(image, contradicting)
    pointer.write_bytes(b"/annex/objects/MD5E-s12--abc.nii\n")
    for path, command in ((contradicting, "'a.nii' without-sform.nii.gz"), (pointer, "git -C '.' annex get b.nii")):
        with pytest.raises(ScanError) as caught:
            read_volume(path)
        assert str(tmp_path) in caught.value.remedy, "the terminal has the line that runs"
        record = failed_prediction(ScanItem(path, "x"), caught.value)
        assert "jane" not in json.dumps(record.to_dict()) and str(tmp_path) not in json.dumps(record.to_dict())
        assert record.hint is not None and command in record.hint


@pytest.mark.parametrize("relative", [False, True])
def test_a_name_that_is_not_utf8_costs_one_scan_and_not_the_cohort(
    relative: bool, painted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latin_named(tmp_path / "study")
    tiny(tmp_path / "study" / "anna.nii")
    monkeypatch.chdir(tmp_path)
    heard: list[Event] = []
    given = Path("study") if relative else tmp_path / "study"
    config = PreprocessConfig((given,), out=Path("out"))
    assert [row.status for row in plan(config).rows] == ["failed", "to do"]
    result = preprocess(config, heard.append)
    assert result.failed == 1
    rows = rows_of(Path("out"))
    assert rows["anna"]["status"] == "done"
    (failed,) = (row for row in rows.values() if row["status"] == "failed")
    assert failed["scan"] == ("study/" if relative else "") + r"M\xfcller.nii" and "not UTF-8" in failed["error"]
    assert str(tmp_path) not in (tmp_path / "out" / STATUS_FILE).read_text(encoding="utf-8")
    (event,) = (event for event in heard if isinstance(event, Failed))
    assert event.problem.startswith(event.item), "the line on the screen names the file once"
    json.dumps(result.to_dict(), ensure_ascii=False).encode("utf-8")


def test_a_name_that_is_not_utf8_costs_predict_one_answer(
    painted: None, raw_config: PredictConfig, measured: object, tmp_path: Path
) -> None:
    bad = latin_named(tmp_path / "study")
    result = predict(replace(raw_config, inputs=(bad, *raw_config.inputs)))
    failed, good = result.predictions
    assert (failed.status, result.failed) == ("failed", 1) and good.probabilities
    assert failed.scan == r"M\xfcller.nii" and str(tmp_path) not in json.dumps(failed.to_dict())
    write_predictions(tmp_path / "out", result.predictions)
    assert r"M\xfcller.nii" in (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8")
    with pytest.raises(ScanError, match="not UTF-8"):
        predict(replace(raw_config, inputs=(bad,)))


def cut(path: Path) -> Path:
    """Damage a scan behind its header, which only reading all of it tells."""
    path.write_bytes(path.read_bytes()[:-20_000])
    return path


def test_preprocess_takes_the_next_file_of_a_session_where_the_first_is_refused(painted: None, tmp_path: Path) -> None:
    anat = tmp_path / "study" / "sub-1" / "anat"
    cut(tiny(anat / "sub-1_run-1_T1w.nii.gz"))
    second = tiny(anat / "sub-1_run-2_T1w.nii.gz")
    config = PreprocessConfig((tmp_path / "study",), out=tmp_path / "out")
    result = preprocess(config)
    (row,) = result.rows
    assert (row.status, row.scan) == ("done", str(second)) and row.flags == ("run_chosen", "next_run_used")
    (again,) = preprocess(config).rows
    assert (again.status, again.scan) == ("kept", str(second)), "what was done is not done again"
    cut(second)
    with pytest.raises(ScanError, match=r"run-1.*gzip stream is damaged"):
        preprocess(replace(config, out=tmp_path / "other"))


def test_where_every_file_is_refused_the_first_one_is_told(painted: None, tmp_path: Path) -> None:
    anat = tmp_path / "study" / "sub-1" / "anat"
    for run in (1, 2):
        tiny(anat / f"sub-1_run-{run}_T1w.nii.gz").write_bytes(b"x")
    heard: list[Event] = []
    with pytest.raises(ScanError, match="run-1"):
        preprocess(PreprocessConfig((tmp_path / "study",), out=tmp_path / "out"), heard.append)
    assert any("run-1_T1w.nii.gz is refused" in event.text for event in heard if isinstance(event, Warned))


@pytest.mark.parametrize("damaged", [False, True])
def test_predict_takes_the_next_file_and_says_so(
    damaged: bool, head: Path, raw_config: PredictConfig, measured: object, tmp_path: Path
) -> None:
    anat = tmp_path / "sub-x" / "anat"
    anat.mkdir(parents=True)
    for run in (1, 2):
        shutil.copy(head, anat / f"sub-x_run-{run}_T1w.nii.gz")
    if damaged:
        (anat / "sub-x_run-1_T1w.nii.gz").rename(anat / "sub-x_run-1_bad_T1w.nii.gz")
        cut(anat / "sub-x_run-1_bad_T1w.nii.gz")
    heard: list[Event] = []
    (prediction,) = predict(replace(raw_config, inputs=(tmp_path,)), heard.append).predictions
    assert prediction.scan.endswith("sub-x_run-2_T1w.nii.gz" if damaged else "sub-x_run-1_T1w.nii.gz")
    assert ("next_run_used" in prediction.flags) is damaged and "run_chosen" in prediction.flags
    told = [event.text for event in heard if isinstance(event, Warned) and "is refused" in event.text]
    assert len(told) == damaged
    if damaged:
        from_python = Predictor.from_checkpoint(raw_config.model, "cpu")(tmp_path)
        assert from_python.probabilities == prediction.probabilities and "next_run_used" in from_python.flags


def test_a_contrast_agent_makes_an_answer_that_asks_for_care(
    head: Path, raw_config: PredictConfig, measured: object, tmp_path: Path
) -> None:
    plain = answer(raw_config)
    named = Path(shutil.copy(head, tmp_path / "sub-x_ce-gad_T1w.nii.gz"))
    found = answer(replace(raw_config, inputs=(named,)))
    assert set(found.flags) - set(plain.flags) == {"contrast_agent"}
    assert found.probabilities == plain.probabilities
    assert (with_flags(replace(plain, status="ok", flags=()), ["run_chosen"]).status) == "ok"
    assert (with_flags(replace(plain, status="ok", flags=()), ["contrast_agent"]).status) == "caution"
