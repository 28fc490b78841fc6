"""Simulated cohorts: same seed same bytes, resumable, whole or not at all, and free of shortcuts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids_check import errors_of

from adclip.config import SimulateConfig
from adclip.errors import ConfigError, OutputError
from adclip.simulation.subject import RECORDS, SubjectWork
from adclip.verbs.simulate import ORACLE, TABLE, TRUTH, simulate


def small(out: Path, subjects: int = 2, **changes: object) -> SimulateConfig:
    settings = {"spacing_mm": 3.0, "seed": 4, "workers": 1, "measured": False} | changes
    return SimulateConfig(out, subjects, **settings)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("preprocessed", [True, False])
def test_same_seed_same_bytes_whatever_the_number_of_workers(tmp_path: Path, preprocessed: bool) -> None:
    for name, workers in (("a", 1), ("b", 2)):
        simulate(small(tmp_path / name, 3, preprocessed=preprocessed, workers=workers))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_another_cohort_is_not_written_over(tmp_path: Path) -> None:
    simulate(small(tmp_path / "a", 1))
    before = digests(tmp_path / "a")
    with pytest.raises(OutputError, match="exists"):
        simulate(small(tmp_path / "a", 1, seed=5))
    assert digests(tmp_path / "a") == before


def test_overwriting_leaves_nothing_of_the_earlier_cohort(tmp_path: Path) -> None:
    simulate(small(tmp_path / "a", 3))
    (tmp_path / "a" / "notes.txt").write_text("the user's own")
    simulate(small(tmp_path / "a", 1, seed=5, overwrite=True))
    simulate(small(tmp_path / "b", 1, seed=5))
    left = digests(tmp_path / "a")
    assert left.pop("notes.txt") and left == digests(tmp_path / "b")


def test_a_stopped_run_goes_on_and_a_larger_cohort_begins_with_the_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(small(tmp_path / "whole", 3))
    done: list[int] = []
    real = SubjectWork.__call__

    def count(self: SubjectWork, index: int) -> object:
        if index == 2 and not done.count(9):
            done.append(9)
            raise KeyboardInterrupt
        done.append(index)
        return real(self, index)

    monkeypatch.setattr(SubjectWork, "__call__", count)
    with pytest.raises(KeyboardInterrupt):
        simulate(small(tmp_path / "a", 3))
    assert not (tmp_path / "a" / TRUTH).exists()
    result = simulate(small(tmp_path / "a", 3))
    assert done == [0, 1, 9, 2] and result.kept == 2
    assert digests(tmp_path / "a") == digests(tmp_path / "whole")
    simulate(small(tmp_path / "b", 2))
    assert simulate(small(tmp_path / "b", 3)).kept == 2
    assert digests(tmp_path / "b") == digests(tmp_path / "whole")


def test_a_damaged_subject_is_made_again(tmp_path: Path) -> None:
    simulate(small(tmp_path / "a", 2))
    before = digests(tmp_path / "a")
    scan = next((tmp_path / "a").glob("sub-sim0001/anat/*_T1w.nii.gz"))
    scan.write_bytes(scan.read_bytes()[:1000])
    (tmp_path / "a" / RECORDS / "sim0002.json").write_text("{")
    assert simulate(small(tmp_path / "a", 2)).kept == 0
    assert digests(tmp_path / "a") == before


def test_visits_are_sessions_with_scans_of_the_same_person(tmp_path: Path) -> None:
    result = simulate(small(tmp_path / "a", 2, visits=3, dropout=0.0, preprocessed=True))
    assert result.subjects == 2 and result.scans == 6
    rows = [line.split(",") for line in (tmp_path / "a" / TABLE).read_text().splitlines()]
    sessions = [dict(zip(rows[0], row, strict=True))["session_id"] for row in rows[1:]]
    assert sessions == ["bl", "m12", "m24"] * 2
    scans = sorted((tmp_path / "a").glob("sub-sim0001/ses-*/anat/*desc-preproc_T1w.nii.gz"))
    first, second, _ = (np.asarray(nib.load(path).dataobj) for path in scans)
    other = np.asarray(
        nib.load(next((tmp_path / "a").glob("sub-sim0002/ses-bl/anat/*desc-preproc_T1w.nii.gz"))).dataobj
    )
    inside = (first > 0) & (second > 0) & (other > 0)
    assert np.corrcoef(first[inside], second[inside])[0, 1] > np.corrcoef(first[inside], other[inside])[0, 1] + 0.1


def test_the_records_of_a_scan_name_no_diagnosis(tmp_path: Path) -> None:
    simulate(small(tmp_path / "a", 4))
    for sidecar in (tmp_path / "a").glob("sub-*/anat/*.json"):
        facts = json.loads(sidecar.read_text())
        assert set(facts) == {
            "Modality",
            "Simulated",
            "InstitutionName",
            "ManufacturersModelName",
            "MagneticFieldStrength",
        }
    for scan in (tmp_path / "a").glob("sub-*/anat/*.nii.gz"):
        header = nib.load(scan).header
        assert not bytes(header["descrip"]).strip(b"\0") and not bytes(header["intent_name"]).strip(b"\0")


def test_site_and_scan_are_drawn_apart_from_the_person(tmp_path: Path) -> None:
    """The same seed with sicker people: the scanner, the voxels and the noise outside the head stay what they were."""
    from adclip.simulation import population

    simulate(small(tmp_path / "a", 3))
    healthy = dict(population.SEVERITY)
    try:
        population.SEVERITY.update({group: (mean + 1.5, sd) for group, (mean, sd) in healthy.items()})
        simulate(small(tmp_path / "b", 3))
    finally:
        population.SEVERITY.update(healthy)
    for one in (tmp_path / "a").glob("sub-*/anat/*_T1w.nii.gz"):
        mine, theirs = nib.load(one), nib.load(tmp_path / "b" / one.relative_to(tmp_path / "a"))
        assert mine.shape == theirs.shape and np.array_equal(mine.affine, theirs.affine)
        assert not np.array_equal(mine.dataobj, theirs.dataobj)
        corner = np.asarray(mine.dataobj)[:5, :5, :5], np.asarray(theirs.dataobj)[:5, :5, :5]
        assert np.array_equal(*corner)


def test_the_oracle_is_stored_beside_what_it_judges(tmp_path: Path) -> None:
    result = simulate(small(tmp_path / "a", 40, preprocessed=True, workers=2))
    stored = json.loads((tmp_path / "a" / ORACLE).read_text())["numbers"]
    assert stored == result.oracle and 0.5 < stored["auc_ad_vs_cn"]["value"] <= 1
    assert stored["auc_ad_vs_cn"]["low"] < stored["auc_ad_vs_cn"]["value"] < stored["auc_ad_vs_cn"]["high"] + 1e-9


@pytest.mark.parametrize("wrong", [
    {"appearance": "odd"}, {"contrast": "t2"}, {"visits": 0}, {"sites": 0}, {"missing": 1.5}, {"spacing_mm": 9.0},
    {"thickness_mm": 0.5, "spacing_mm": 1.0}, {"subjects": 10000}, {"interval_months": 0},
])  # fmt: skip
def test_impossible_settings_are_refused_by_name(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        dataclasses.replace(small(tmp_path / "a"), **wrong)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "changes",
    [{}, {"contrast": "ct"}, {"visits": 2}, {"visits": 2, "preprocessed": True}],
    ids=lambda changes: "-".join(changes),
)
def test_bids_own_validator_finds_no_error_in_any_form(changes: dict[str, object], tmp_path: Path) -> None:
    simulate(small(tmp_path / "out", 1, **changes))
    assert errors_of(tmp_path / "out") == []
