"""`preprocess` as a function: one bad scan never stops the rest, and finished work is never done twice."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "imaging"))
from phantoms import FakeStripper, make_head, save

from adclip.config import SMALL, PreprocessConfig
from adclip.errors import OutputError, ScanError
from adclip.events import Event, Failed
from adclip.preprocess import STATUS_FILE, preprocess


@pytest.fixture(autouse=True)
def _small_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adclip.model.checkpoint.read_contract", lambda model: SMALL.contract)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    array, affine, _ = make_head()
    return save(tmp_path_factory.mktemp("heads") / "anna.nii.gz", array, affine, "LAS")


def read_status(out: Path) -> list[dict[str, str]]:
    with (out / STATUS_FILE).open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_one_bad_scan_does_not_stop_the_rest_and_nothing_is_done_twice(head: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_text("no image")
    out = tmp_path / "out"
    events: list[Event] = []
    stripper = FakeStripper()
    config = PreprocessConfig(inputs=(bad, head), out=out)
    result = preprocess(config, events.append, stripper=stripper)
    assert [row.status for row in result.rows] == ["failed", "done"]
    assert result.failed == 1
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert "not gzip" in failed.problem and failed.remedy
    record = result.rows[1].to_dict()
    assert record["verdict"] == "pass" and record["template_overlap"] > 0.9
    status = read_status(out)
    assert [row["status"] for row in status] == ["failed", "done"]
    assert str(tmp_path) not in (out / STATUS_FILE).read_text()  # absolute paths stay out of files

    derivative = next(out.rglob("*_desc-preproc_T1w.nii.gz"))
    before = derivative.read_bytes()
    again = preprocess(config, stripper=stripper)
    assert [row.status for row in again.rows] == ["failed", "skipped"]
    assert again.rows[1].qc == result.rows[1].qc
    assert stripper.calls == 1
    next(out.rglob("*_desc-brain_mask.nii.gz")).unlink()  # a damaged set is made anew
    assert preprocess(config, stripper=stripper).rows[1].status == "done"
    assert derivative.read_bytes() == before
    assert not list(out.rglob("*.part.*"))

    given = preprocess(PreprocessConfig(inputs=(out,), out=tmp_path / "second"), stripper=stripper)
    assert [(row.status, row.flags) for row in given.rows] == [("skipped", ("already_preprocessed",))]


def test_when_nothing_can_be_read_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no such file"):
        preprocess(PreprocessConfig(inputs=(tmp_path / "absent.nii.gz",), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_dataset_of_others_is_never_written_into(head: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text('{"Name": "raw", "BIDSVersion": "1.8.0"}')
    with pytest.raises(OutputError, match="did not make"):
        preprocess(PreprocessConfig(inputs=(head,), out=tmp_path))
    assert not (tmp_path / STATUS_FILE).exists()
