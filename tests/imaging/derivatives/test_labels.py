"""Names of derivatives: labels that BIDS allows, different for different ids, the same in every run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from bids_check import errors_of
from hypothesis import given
from hypothesis import strategies as st
from tiny import CONTRACT

from adclip.domain import ScanItem
from adclip.errors import OutputError
from adclip.imaging.derivatives.dataset import write_dataset_description
from adclip.imaging.derivatives.files import PreparedScan, check_own_place, read_derivative, write_derivative
from adclip.imaging.derivatives.labels import to_label
from adclip.imaging.derivatives.names import derivative_path, record_path
from adclip.imaging.sources.find import find_scans

IDS = ("002_S_0413", "002_S_0295", "a_1", "a-1", "a.1", "a1", "IXI013-HH-1212", "AIBL_7", "2006-04-18_I13722")


def prepared() -> PreparedScan:
    image = np.zeros(CONTRACT.shape_xyz, np.float32)
    image[4:-4, 4:-4, 4:-4] = 0.5
    return PreparedScan(image, image > 0, np.eye(4))


def test_labels_are_letters_and_digits_and_stay_apart() -> None:
    labels = [to_label(text) for text in IDS]
    assert len(set(labels)) == len(IDS) and all(re.fullmatch("[0-9a-zA-Z]+", label) for label in labels)
    assert (to_label("002_S_0413"), to_label("2006-04-18_I13722"), to_label("p01")) == (
        "002S0413",
        "20060418I13722",
        "p01",
    )


@given(st.sets(st.text("ab01._-", min_size=1, max_size=6), min_size=2, max_size=30))
def test_no_two_ids_share_a_label(ids: set[str]) -> None:
    assert len({to_label(text) for text in ids}) == len(ids)


def test_a_derivative_carries_its_ids_beside_a_name_that_bids_allows(tmp_path: Path) -> None:
    write_dataset_description(tmp_path)
    for subject in IDS[:6]:
        write_derivative(prepared(), ScanItem(Path("x.nii"), subject, "m_06"), tmp_path, CONTRACT)
    items = find_scans((tmp_path,))
    assert sorted(item.subject_id for item in items) == sorted(IDS[:6]) and {item.session_id for item in items} == {
        "m_06"
    }
    assert all(
        re.fullmatch(r"(sub|ses)-[0-9a-zA-Z]+|anat", part)
        for item in items
        for part in item.path.relative_to(tmp_path).parts[:-1]
    )


def test_a_derivative_under_an_earlier_versions_name_keeps_its_place(tmp_path: Path) -> None:
    item = ScanItem(Path("x.nii"), "002_S_0413", "m06")
    write_dataset_description(tmp_path)
    written = write_derivative(prepared(), item, tmp_path, CONTRACT)
    earlier = tmp_path / "sub-002_S_0413" / "ses-m06" / "anat"
    earlier.parent.parent.mkdir()
    written.parent.parent.parent.rename(tmp_path / "moved")
    (tmp_path / "moved" / "ses-m06").rename(earlier.parent)
    for file in earlier.iterdir():
        file.rename(file.with_name(file.name.replace("002S0413", "002_S_0413")))
    assert derivative_path(tmp_path, item).parent == earlier
    (found,) = find_scans((tmp_path,))
    assert (found.subject_id, found.session_id) == ("002_S_0413", "m06")
    assert read_derivative(found, CONTRACT).image.max() == pytest.approx(0.5, abs=1e-4)
    assert write_derivative(prepared(), item, tmp_path, CONTRACT).parent == earlier


def test_a_place_that_another_id_holds_is_not_written_to(tmp_path: Path) -> None:
    write_dataset_description(tmp_path)
    write_derivative(prepared(), ScanItem(Path("x.nii"), "002_S_0413"), tmp_path, CONTRACT)
    check_own_place(tmp_path, ScanItem(Path("x.nii"), "002_S_0413"))
    with pytest.raises(OutputError, match="holds the scan of `002_S_0413`"):
        check_own_place(tmp_path, ScanItem(Path("y.nii"), "002S0413"))


# ----------------------------------------------------------------------------------------------- BIDS's own validator


def test_the_validator_finds_what_is_wrong(tmp_path: Path) -> None:
    write_dataset_description(tmp_path)
    folder = tmp_path / "sub-002_S_0413" / "anat"
    folder.mkdir(parents=True)
    (folder / "sub-002_S_0413_T1w.json").write_text("{}")
    assert errors_of(tmp_path)


def test_the_validator_finds_no_error_in_derivatives(tmp_path: Path) -> None:
    write_dataset_description(tmp_path)
    for name in (
        "status.tsv",
        "status.json",
        "qc.html",
        "volumes.tsv",
        "volumes.json",
        "predictions.jsonl",
        "predictions.csv",
        "predictions.tsv",
    ):
        (tmp_path / name).write_text("x\n")
    for subject in IDS[:3]:
        item = ScanItem(Path("x.nii"), subject, "m_06")
        figure = tmp_path / f"sub-{to_label(subject)}" / "figures" / f"sub-{to_label(subject)}_desc-qc_T1w.webp"
        figure.parent.mkdir(parents=True)
        figure.write_bytes(b"x")
        image = write_derivative(prepared(), item, tmp_path, CONTRACT)
        described = json.loads(next(image.parent.glob("*_desc-brain_mask.json")).read_text())
        assert (
            described["Sources"] == [f"bids::{image.relative_to(tmp_path).as_posix()}"] and described["Type"] == "Brain"
        )
        record_path(tmp_path, item, "prediction").write_text("{}")
    (tmp_path / ".adclip").mkdir()
    (tmp_path / ".adclip" / "predict.json").write_text("{}")
    assert errors_of(tmp_path) == []
