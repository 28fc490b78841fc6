"""What is kept of a scan as JSON: read in one place, written in one place, and nobody's words lost in between."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adclip.brain_volumes import BrainVolumes
from adclip.config import SMALL
from adclip.domain import RESEARCH_NOTICE
from adclip.imaging.records.quality import Override, Quality
from adclip.imaging.records.sidecar import FileMade, Sidecar, StepTaken

VOLUMES: dict[str, Any] = {
    "source": "adclip segmenter 0123456789ab",
    "volumes": {"hippocampus_mm3": 6200.5, "icv_mm3": 1.4e6},
    "definitions": {"hippocampus_mm3": "left and right hippocampus"},
    "measured_error": {"n": 59, "volumes": {"hippocampus_mm3": {"sd_mm3": 210.0}, "icv_mm3": {"sd_mm3": 9.0, "n": 12}}},
}
QC: dict[str, Any] = {
    "snr": 40.5, "cnr": None, "left_right": "header", "modality": "t1", "verdict": "warn", "reasons": ["noisy"],
}  # fmt: skip


def new_sidecar() -> Sidecar:
    return Sidecar(
        "a", "01", "1.2", 3, "ff", "00", {"format": "nifti"}, SMALL.contract, (StepTaken("brain", {"method": "deepbet"}, 1.5),),
        [[1.0, 0.0], [0.0, 1.0]], Quality.from_dict(QC), ("qc_warn",), BrainVolumes.from_dict(VOLUMES),
        {"image": FileMade("sub-a/x.nii.gz", 12, "ee")},
    )  # fmt: skip


def on_disk(sidecar: Sidecar) -> dict[str, Any]:
    """Return what a reader of the file gets."""
    content: dict[str, Any] = json.loads(json.dumps(sidecar.to_dict()))
    return content


def test_what_is_written_is_read_again_and_written_alike() -> None:
    content = on_disk(new_sidecar())
    again = Sidecar.from_dict(content)
    assert replace(again, as_read={}) == new_sidecar()
    assert json.dumps(again.to_dict()) == json.dumps(content)
    assert list(content) == [
        "GeneratedBy", "SpatialReference", "SkullStripped", "Units", "SourceSHA256", "Fingerprint", "SourceGeometry",
        "InputContract", "Steps", "ScanToMNI", "SubjectID", "SessionID", "QC", "Flags", "Volumes", "Files", "Notice",
    ]  # fmt: skip
    assert (content["QC"], content["Volumes"], content["Notice"]) == (QC, VOLUMES, RESEARCH_NOTICE)
    assert again.brain_method == "deepbet"


def test_words_that_adclip_does_not_know_stay_where_they_are() -> None:
    content = {"Colour": "red", **on_disk(new_sidecar()), "Simulated": True}
    content["GeneratedBy"][0]["Container"] = "x"
    content["Volumes"] |= {"remark": 1}
    read = Sidecar.from_dict(content)
    assert read.to_dict() == content and list(read.to_dict()) == list(content)
    changed = replace(read, flags=("qc_fail",)).to_dict()
    assert list(changed) == list(content) and changed == content | {"Flags": ["qc_fail"]}
    assert "Volumes" not in replace(read, volumes=None).to_dict()
    copied = replace(read.copied(), volumes=read.volumes).to_dict()
    assert list(copied)[-1] == "Volumes" and copied == content, "each copy says anew what it holds"


@pytest.mark.parametrize(
    "edit",
    [
        {"QC": "good", "Flags": "qc_fail", "Volumes": [1], "Files": 3, "Steps": {}, "GeneratedBy": [], "SourceSHA256": 7},
        {"InputContract": {**SMALL.contract.to_dict(), "more": 1}, "SubjectID": 5, "ScanToMNI": None, "Steps": [4]},
    ],
)  # fmt: skip
def test_what_somebody_edited_counts_as_unknown_and_is_not_repaired(edit: dict[str, Any]) -> None:
    content = on_disk(new_sidecar()) | edit
    read = Sidecar.from_dict(content)
    if "QC" in edit:
        assert (read.qc, read.flags, read.files, read.steps) == (Quality(), (), {}, ())
        assert (read.recipe, read.source_sha256) == (None, "") and read.volumes is not None and not read.volumes.mm3
    else:
        assert (read.contract, read.subject_id, read.scan_to_mni) == (None, None, None)
        assert [step.name for step in read.steps] == [""]
    assert read.to_dict() == content
    assert replace(read, flags=("x",)).to_dict() == content | {"Flags": ["x"]}


def test_a_verdict_keeps_what_was_measured_however_often_it_is_changed() -> None:
    content = {"snr": 40.5, "verdict": "warn", "reasons": ["noisy"], "remark": "look again"}
    quality = Quality.from_dict(content)
    assert quality.overridden_to is None
    twice = quality.overridden("fail").overridden("pass")
    assert (twice.verdict, twice.override, twice.overridden_to) == ("pass", Override("warn", "pass"), "pass")
    assert twice.to_dict() == content | {"verdict": "pass", "override": {"from": "warn", "to": "pass"}}
    assert Quality.from_dict(twice.to_dict()) == twice
    assert Quality.from_dict(None) == Quality() and Quality().to_dict() == {}


@pytest.mark.parametrize(
    ("content", "mm3"),
    [
        ({"source": "x", "volumes": {"icv_mm3": 1.0, "a_mm3": float("nan")}}, {"icv_mm3": 1.0}),
        ({"source": "x", "volumes": {"icv_mm3": 1.0, "a_mm3": -1}}, {"icv_mm3": 1.0}),
        ({"source": "x", "volumes": {"icv_mm3": True}}, {}), ({"source": "x", "volumes": {}}, {}),
        ({"source": "x"}, {}), ({"source": 3, "volumes": {"icv_mm3": 1}}, {"icv_mm3": 1.0}),
    ],
)  # fmt: skip
def test_volumes_that_are_not_all_numbers_of_somebody_are_not_complete(
    content: dict[str, Any], mm3: dict[str, float]
) -> None:
    volumes = BrainVolumes.from_dict(content)
    assert volumes is not None and volumes.mm3 == mm3 and not volumes.is_complete


def test_volumes_know_their_error_and_whose_they_are() -> None:
    volumes = BrainVolumes.from_dict(VOLUMES)
    assert volumes is not None and volumes.is_complete and volumes.is_own and volumes.to_dict() == VOLUMES
    assert volumes.error_of("hippocampus_mm3") == (210.0, 59) and volumes.error_of("icv_mm3") == (9.0, 12)
    assert volumes.error_of("amygdala_mm3") == (None, None)
    of_table = BrainVolumes("SynthSeg", {"icv_mm3": 1.0}, "vol.csv")
    assert not of_table.is_own and list(of_table.to_dict()) == ["source", "table", "volumes"]
    assert BrainVolumes.from_dict({}) is None and BrainVolumes.from_dict(None) is None
