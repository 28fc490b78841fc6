"""The second table of a cohort: volumes as the segmenter finds them, in the person's millimetres, and never mixed with the true."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from adclip.clinical.tables.table import read_tables
from adclip.config import SimulateConfig
from adclip.errors import OutputError, TableError
from adclip.imaging.volumes.measure import FIELDS, VolumeEstimate
from adclip.simulation.measured import are_plausible
from adclip.simulation.subject import RECORDS
from adclip.verbs.simulate import MEASURED, TABLE, TABLE_MEASURED, simulate

SOURCE, VERSION = "adclip segmenter", "0123456789ab"
TEMPLATE_ICV_MM3 = 1.8865e6  # brain mask of the template


class Segmenter:
    """Stands in for the networks: outline and size are measured, the rest follows from them."""

    def __init__(self) -> None:
        self.calls, self.odd = 0, False

    def __call__(self, head, affine, mask, scan_to_mni, device="cpu", *, calibrated=True):
        self.calls += 1
        assert head.shape == mask.shape and head.dtype == np.float32 and mask.dtype == bool
        brain = float(mask.sum()) * abs(float(np.linalg.det(affine[:3, :3])))
        found = dict.fromkeys(FIELDS, 1500.0 + float(head[mask].mean()) % 100)
        found |= {"hippocampus_mm3": 6000.0, "ventricles_mm3": 30000.0, "whole_brain_mm3": 0.8 * brain}
        found["icv_mm3"] = TEMPLATE_ICV_MM3 / abs(float(np.linalg.det(scan_to_mni[:3, :3])))
        if self.odd:
            found["hippocampus_left_mm3"] = 3.0
        return VolumeEstimate(**found, method=SOURCE, version=VERSION)


@pytest.fixture
def segmenter(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    stand_in = Segmenter()
    monkeypatch.setattr("adclip.imaging.volumes.measure.measure_volumes", stand_in)
    monkeypatch.setattr("adclip.imaging.volumes.measure.measured_by", lambda: f"{SOURCE} {VERSION}")
    return stand_in


def cohort(out: Path, subjects: int = 2, **changes: object) -> SimulateConfig:
    return SimulateConfig(out, subjects, **({"spacing_mm": 3.0, "seed": 4, "workers": 1} | changes))


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t" if path.suffix == ".tsv" else ","))


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("preprocessed", [True, False])
def test_scans_are_measured_in_the_persons_own_millimetres(
    tmp_path: Path, segmenter: Segmenter, preprocessed: bool
) -> None:
    """The grid of a derivative has no head size: volumes counted there would be a third too large, and alike for all."""
    result = simulate(cohort(tmp_path / "a", 2, preprocessed=preprocessed, missing=0.0))
    found, true = rows_of(tmp_path / "a" / MEASURED), rows_of(tmp_path / "a" / TABLE)
    assert result.files["measured"] == str(tmp_path / "a" / MEASURED) and segmenter.calls == 2
    assert list(found[0]) == ["subject_id", "session_id", *FIELDS, "volumes_source"]
    for mine, theirs in zip(found, true, strict=True):
        assert mine["subject_id"] == theirs["subject_id"] and mine["volumes_source"] == f"{SOURCE} {VERSION}"
        icv = float(theirs["icv_mm3"])
        assert float(mine["icv_mm3"]) == pytest.approx(icv, rel=0.1 if preprocessed else 0.005)
        assert float(mine["whole_brain_mm3"]) / 0.8 == pytest.approx(icv, rel=0.12)


def test_a_sidecar_of_a_derivative_holds_what_predict_looks_for(tmp_path: Path, segmenter: Segmenter) -> None:
    from adclip.brain_volumes import BrainVolumes
    from adclip.prediction.volumetry import still_counts

    simulate(cohort(tmp_path / "a", 1, preprocessed=True))
    (path,) = (tmp_path / "a").glob("sub-*/anat/*_T1w.json")
    volumes = json.loads(path.read_text())["Volumes"]
    assert set(volumes) == {"source", "volumes", "definitions", "measured_error"} and still_counts(
        BrainVolumes.from_dict(volumes)
    )
    (row,) = rows_of(tmp_path / "a" / MEASURED)
    assert {name: f"{volumes['volumes'][name]:.1f}" for name in FIELDS} == {name: row[name] for name in FIELDS}


def test_the_same_seed_gives_the_same_volumes_and_a_stopped_run_measures_nothing_twice(
    tmp_path: Path, segmenter: Segmenter
) -> None:
    simulate(cohort(tmp_path / "a", 2, preprocessed=True))
    simulate(cohort(tmp_path / "b", 1, preprocessed=True))
    segmenter.calls = 0
    assert simulate(cohort(tmp_path / "b", 2, preprocessed=True)).kept == 1 and segmenter.calls == 1
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_another_segmenter_makes_another_cohort(
    tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(cohort(tmp_path / "a", 1, preprocessed=True))
    monkeypatch.setattr("adclip.imaging.volumes.measure.measured_by", lambda: f"{SOURCE} ba9876543210")
    with pytest.raises(OutputError, match="other settings"):
        simulate(cohort(tmp_path / "a", 1, preprocessed=True))


@pytest.mark.parametrize("changes", [{"measured": False}, {"contrast": "ct"}])
def test_nothing_is_measured_where_it_is_not_wanted_or_not_possible(
    tmp_path: Path, segmenter: Segmenter, changes: dict[str, object]
) -> None:
    result = simulate(cohort(tmp_path / "a", 1, **changes))
    assert not segmenter.calls and "measured" not in result.files
    assert not (tmp_path / "a" / MEASURED).exists() and not (tmp_path / "a" / TABLE_MEASURED).exists()


def test_a_model_can_be_taught_on_measured_volumes_and_not_on_two_sources_at_once(
    tmp_path: Path, segmenter: Segmenter
) -> None:
    simulate(cohort(tmp_path / "a", 3, preprocessed=True, missing=0.3))
    own, true = (read_tables((tmp_path / "a" / name,)).rows for name in (TABLE_MEASURED, TABLE))
    for mine, theirs in zip(own, true, strict=True):
        assert (mine.mmse, mine.diagnosis, mine.age_years) == (theirs.mmse, theirs.diagnosis, theirs.age_years)
        assert (mine.hippocampus_mm3 is None) == (theirs.hippocampus_mm3 is None)
        assert mine.entorhinal_mm3 is None and mine.volumes_source == f"{SOURCE} {VERSION}"
        assert mine.further_volumes and theirs.further_volumes is None
    with pytest.raises(TableError):
        read_tables((tmp_path / "a" / TABLE, tmp_path / "a" / MEASURED))


def test_a_segmentation_that_failed_is_told_and_not_taught(tmp_path: Path, segmenter: Segmenter) -> None:
    segmenter.odd = True
    simulate(cohort(tmp_path / "a", 1, preprocessed=True, missing=0.0))
    assert rows_of(tmp_path / "a" / MEASURED)[0]["hippocampus_left_mm3"] == "3.0"
    (row,) = read_tables((tmp_path / "a" / TABLE_MEASURED,)).rows
    assert not row.has_volumes and row.volumes_source is None
    record = json.loads((tmp_path / "a" / RECORDS / "sim0001.json").read_text())["visits"][0]["measured"]
    assert set(record) == {"source", "volumes"} and not are_plausible(record["volumes"])
