"""`preprocess` as a function and as a process: one bad scan never stops the rest, no work is lost or done twice."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "imaging"))
from phantoms import FakeStripper, make_head, save

from adclip.config import SMALL, PreprocessConfig
from adclip.errors import ConfigError, OutputError, ScanError
from adclip.events import Event, Failed, Step, Warned
from adclip.imaging.status import STATUS_FILE
from adclip.preprocess import plan, preprocess


@pytest.fixture(autouse=True)
def _small_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adclip.model.checkpoint.read_contract", lambda model: SMALL.contract)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    array, affine, _ = make_head()
    return save(tmp_path_factory.mktemp("heads") / "anna.nii.gz", array, affine, "LAS")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four skull-stripped heads, which need no torch, so that processes start quickly."""
    folder = tmp_path_factory.mktemp("stripped")
    for number, name in enumerate(("anna", "bert", "carl", "dora")):
        scale = np.diag([1.0 + 0.03 * number, 1.0, 1.0, 1.0])
        array, affine, _ = make_head(scale, spacing=3.0, skull=False)
        save(folder / f"{name}.nii.gz", array, affine)
    return folder


def read_status(out: Path) -> list[dict[str, str]]:
    with (out / STATUS_FILE).open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def snapshot(out: Path) -> dict[str, bytes]:
    """Every file below `out` with its bytes, measured times aside."""
    files = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".json":
            data = re.sub(rb'"seconds": [0-9.e-]+', b'"seconds": 0', data)
        if path.name == STATUS_FILE:
            data = "\n".join(str({**row, "seconds": ""}) for row in read_status(out)).encode()
        files[str(path.relative_to(out))] = data
    return files


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "adclip", "preprocess", *map(str, words)]


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
    status = {row["subject_id"]: row for row in read_status(out)}
    assert (status["bad"]["status"], status["anna"]["status"]) == ("failed", "done")
    assert str(tmp_path) not in (out / STATUS_FILE).read_text()  # absolute paths stay out of files
    page = (out / "qc.html").read_text()
    assert "anna" in page and "not gzip" in page and str(tmp_path) not in page

    derivative = next(out.rglob("*_desc-preproc_T1w.nii.gz"))
    before, everything = derivative.read_bytes(), snapshot(out)
    again = preprocess(config, stripper=stripper)
    assert [row.status for row in again.rows] == ["failed", "kept"]
    assert again.rows[1].qc == result.rows[1].qc
    assert stripper.calls == 1
    assert snapshot(out) == everything
    next(out.rglob("*_desc-brain_mask.nii.gz")).unlink()  # a damaged set is made anew
    assert preprocess(config, stripper=stripper).rows[1].status == "done"
    assert derivative.read_bytes() == before
    assert not list(out.rglob("*.part.*"))


def test_derivatives_given_as_input_are_taken_over_without_computing(head: Path, tmp_path: Path) -> None:
    stripper = FakeStripper()
    first, second = tmp_path / "first", tmp_path / "second"
    preprocess(PreprocessConfig(inputs=(head,), out=first), stripper=stripper)
    given = preprocess(PreprocessConfig(inputs=(first,), out=second), stripper=stripper)
    assert [(row.status, row.flags[-1]) for row in given.rows] == [("done", "already_preprocessed")]
    one, two = (next(folder.rglob("*_desc-preproc_T1w.nii.gz")) for folder in (first, second))
    assert one.read_bytes() == two.read_bytes()
    assert stripper.calls == 1
    here = preprocess(PreprocessConfig(inputs=(first,), out=first), stripper=stripper)
    assert [row.status for row in here.rows] == ["kept"]


def test_when_nothing_can_be_read_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "bad.nii").write_text("no image")
    for inputs in ((tmp_path / "absent.nii.gz",), (tmp_path / "absent.nii.gz", tmp_path / "bad.nii")):
        with pytest.raises(ScanError, match="no such file"):
            preprocess(PreprocessConfig(inputs=inputs, out=tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def test_a_dataset_of_others_is_never_written_into(head: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text('{"Name": "raw", "BIDSVersion": "1.8.0"}')
    with pytest.raises(OutputError, match="did not make"):
        preprocess(PreprocessConfig(inputs=(head,), out=tmp_path))
    assert not (tmp_path / STATUS_FILE).exists()


def test_a_changed_scan_or_another_orientation_is_done_again(tmp_path: Path) -> None:
    array, affine, _ = make_head(spacing=3.0, skull=False)
    scan, out = tmp_path / "anna.nii.gz", tmp_path / "out"
    save(scan, array, affine)
    assert preprocess(PreprocessConfig(inputs=(scan,), out=out)).rows[0].status == "done"
    assert preprocess(PreprocessConfig(inputs=(scan,), out=out)).rows[0].status == "kept"
    save(scan, array * np.float32(1.5), affine)
    assert preprocess(PreprocessConfig(inputs=(scan,), out=out)).rows[0].status == "done"
    assert preprocess(PreprocessConfig(inputs=(scan,), out=out, overwrite=True)).rows[0].status == "done"


def test_an_override_is_obeyed_and_recorded_and_stays(heads: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = PreprocessConfig(inputs=(heads / "anna.nii.gz",), out=out, overrides=("anna=fail",))
    measured = preprocess(PreprocessConfig(inputs=config.inputs, out=out)).rows[0].qc["verdict"]
    for again in (config, PreprocessConfig(inputs=config.inputs, out=out)):
        (row,) = preprocess(again).rows
        assert (row.status, row.qc["verdict"]) == ("kept", "fail")
        assert "qc_overridden" in row.flags and "qc_fail" in row.flags
    (sidecar,) = (json.loads(path.read_text()) for path in out.rglob("*_desc-preproc_T1w.json"))
    assert (sidecar["QC"]["override"]["from"], sidecar["QC"]["override"]["to"]) == (measured, "fail")
    assert read_status(out)[0]["verdict"] == "fail" and "qc_overridden" in read_status(out)[0]["flags"]
    with pytest.raises(ConfigError, match="no scan of subject"):
        preprocess(PreprocessConfig(inputs=config.inputs, out=out, overrides=("ana=pass",)))


def test_a_plan_writes_nothing(heads: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.nii").write_text("no image")
    config = PreprocessConfig(inputs=(heads, tmp_path / "bad.nii"), out=tmp_path / "out", workers=2)
    planned = plan(config)
    assert [row.status for row in planned.rows] == ["to do"] * 4 + ["failed"]
    assert planned.workers == 2 and planned.minutes > 0
    assert not (tmp_path / "out").exists()
    preprocess(PreprocessConfig(inputs=(heads / "bert.nii.gz",), out=tmp_path / "out"))
    assert [row.status for row in plan(config).rows] == ["to do", "kept", "to do", "to do", "failed"]


def test_shards_together_make_what_one_run_makes(heads: Path, tmp_path: Path) -> None:
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    preprocess(PreprocessConfig(inputs=(heads,), out=whole))
    # At the same time, into the same folder, as a job array would.
    shards = [PreprocessConfig(inputs=(heads,), out=shared, shard=f"{number}/2") for number in (1, 2)]
    threads = [threading.Thread(target=preprocess, args=(config,)) for config in shards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert snapshot(shared) == snapshot(whole)


def test_a_job_array_takes_its_share_and_says_so(heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ID", 2), ("MIN", 1), ("MAX", 4), ("COUNT", 4)):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    events: list[Event] = []
    result = preprocess(PreprocessConfig(inputs=(heads,), out=tmp_path / "out"), events.append)
    assert [row.subject_id for row in result.rows] == ["bert"]
    assert any("shard 2/4" in event.text for event in events if isinstance(event, Step))
    alone = preprocess(PreprocessConfig(inputs=(heads / "anna.nii.gz",), out=tmp_path / "out"))
    assert [row.subject_id for row in alone.rows] == ["anna"], "a scan that was named is never left out"


def test_a_doubtful_scan_is_said_and_stays_usable(tmp_path: Path) -> None:
    array, affine, _ = make_head(spacing=3.0, skull=False)
    array[:, :, 55:] = 0  # the top of the brain is missing
    scan = save(tmp_path / "cut.nii.gz", array[:, :, :55], affine)
    events: list[Event] = []
    (row,) = preprocess(PreprocessConfig(inputs=(scan,), out=tmp_path / "out"), events.append).rows
    assert row.status == "done" and row.qc["verdict"] in ("warn", "fail") and row.qc["reasons"]
    assert any("quality" in event.text for event in events if isinstance(event, Warned))


def test_one_bad_scan_among_several_ends_with_code_3(heads: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"\x1f\x8bnothing")
    words = (heads, tmp_path / "bad.nii.gz", "--out", tmp_path / "out", "--workers", "2", "--json")
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["done"] * 4 + ["failed"]
    assert "error: " in done.stderr and "hint: " in done.stderr and "Traceback" not in done.stderr


def test_killed_at_any_moment_and_resumed_it_ends_as_if_never_interrupted(heads: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    began = time.monotonic()
    subprocess.run(command(heads, "--out", whole, "--workers", "1"), check=True, capture_output=True)
    length = time.monotonic() - began
    moments = random.Random(20261123)
    for _ in range(3):
        running = subprocess.Popen(
            command(heads, "--out", broken, "--workers", "2"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(moments.uniform(0.1, 0.7) * length)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        for path in broken.rglob("*_desc-preproc_T1w.json"):
            json.loads(path.read_text())  # what stands under its final name is whole
    subprocess.run(command(heads, "--out", broken, "--workers", "2"), check=True, capture_output=True)
    assert snapshot(broken) == snapshot(whole)


def test_ctrl_c_ends_with_code_130_and_leaves_no_process(heads: Path, tmp_path: Path) -> None:
    running = subprocess.Popen(
        command(heads, "--out", tmp_path / "out", "--workers", "2"),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    time.sleep(2.5)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode in (130, 0), said  # 0 where this machine was done by then
    assert "Traceback" not in said
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _group_lives(running.pid):
        time.sleep(0.05)
    assert not _group_lives(running.pid)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
