"""The demo's own chapter: where a map of a simulated patient lies, against what the disease changed and against chance."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from tiny import CONTRACT

from adclip.clinical.scans.splits import Split
from adclip.clinical.tables.table import read_table
from adclip.config import DemoConfig
from adclip.imaging.sources.files import write_nifti
from adclip.imaging.sources.find import find_scans
from adclip.verbs.demo import _localise


@pytest.fixture
def cohort(tiny_cohort, tmp_path):
    """The tiny cohort, with the dark middle that grows with the class written as what the disease changed."""
    shutil.copytree(tiny_cohort, tmp_path / "cohort")
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in CONTRACT.shape_xyz), indexing="ij")
    middle = (np.sqrt(x**2 + y**2 + z**2) < 0.45).astype(np.uint8)
    for item in find_scans((tmp_path / "cohort",)):
        name = f"{item.stem}_space-MNI152NLin2009aSym_desc-changed_mask.nii.gz"
        write_nifti(item.path.with_name(name), middle, CONTRACT.affine_xyz)
    return tmp_path / "cohort"


def test_maps_of_held_out_patients_are_held_against_chance(cohort, tiny_run, tmp_path):
    found = _localise(cohort, tiny_run, DemoConfig(out=tmp_path / "demo", device="cpu"))
    split = Split.from_tsv((tiny_run / "private" / "splits.tsv").read_text())
    sick = [v for v in read_table(cohort / "table.csv").rows
            if v.diagnosis == "AD" and v.subject_id in split.part("test")]  # fmt: skip
    assert found["map"]["n"] == found["random"]["n"] == len(sick) > 0
    for ratio in (found["map"], found["random"]):
        assert 0 <= ratio["low"] <= ratio["value"] <= ratio["high"]
    assert found["map"]["value"] != found["random"]["value"]
