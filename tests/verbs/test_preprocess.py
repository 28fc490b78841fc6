"""`preprocess` as a function and as a process: one bad scan never stops the rest, no work is lost or done twice."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicoms import write_series
from phantoms import FakeStripper, make_head, save, texture

from adclip.config import SMALL, PreprocessConfig
from adclip.domain import RESEARCH_NOTICE
from adclip.errors import ConfigError, DeviceMemoryError, MissingPackageError, OutputError, ScanError
from adclip.imaging.derivatives.status import STATUS_FILE
from adclip.imaging.formats import convert, pixels
from adclip.imaging.sources.find import find_scans
from adclip.prediction import derivation
from adclip.runtime.events import Event, Failed, Step, Warned
from adclip.verbs.preprocess import plan, preprocess


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


# Imported by every process of a test that asks for it: scans are read and checked as ever, and then painted in no time.
# Subjects named in TEST_HANGS leave a mark and never end.
SITECUSTOMIZE = """
import os, pathlib, time
import numpy as np
from adclip.prediction import derivation
from adclip.imaging.derivatives.files import PreparedScan
from adclip.imaging.records.quality import Quality
from adclip.imaging.records.sidecar import StepTaken
from adclip.imaging.sources.files import read_volume, scan_sha256

def prepare(item, contract, stripper, options, **_):
    volume = read_volume(item.path, options)
    if item.subject_id in os.environ.get("TEST_HANGS", "").split():
        pathlib.Path(os.environ["TEST_MARKS"], item.subject_id).touch()
        time.sleep(600)
    image = np.zeros(contract.shape_xyz, dtype=np.float32)
    image[20:40, 20:40, 20:40] = 0.5
    steps = (StepTaken("brain", {"method": "painted"}),)
    return PreparedScan(
        image, image > 0, np.eye(4), volume=volume, qc=Quality(verdict="pass"), steps=steps,
        source_sha256=scan_sha256(item.path, options),
    )

derivation.prepare_scan = prepare
derivation.is_current = lambda sidecar, sha256, *_: sidecar.source_sha256 == sha256
"""
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
AFFINE[:3, 3] = (-60, -70, -40)


@pytest.fixture
def painted(tmp_path: Path) -> dict[str, str]:
    """Environment of a process in which preprocessing takes no time."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    (tmp_path / "marks").mkdir()
    return {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "TEST_MARKS": str(tmp_path / "marks")}


def save_tiny(path: Path) -> Path:
    """Write a volume that every check of a file lets through."""
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(texture(), AFFINE), path)
    return path


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


def test_a_shard_whose_scans_all_fail_is_recorded(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.nii").write_text(f"no image {name}")
    out = tmp_path / "out"
    with pytest.raises(ScanError, match="NIfTI header is damaged"):
        preprocess(PreprocessConfig(inputs=tuple(sorted(tmp_path.glob("*.nii"))), out=out, shard="1/2"))
    assert [(row["subject_id"], row["status"]) for row in read_status(out)] == [("a", "failed"), ("c", "failed")]
    assert "NIfTI header is damaged" in (out / "qc.html").read_text()


def test_a_scan_that_is_refused_now_loses_its_earlier_result(heads: Path, tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for name in ("anna.nii.gz", "bert.nii.gz"):
        (scans / name).write_bytes((heads / name).read_bytes())
    config = PreprocessConfig(inputs=(scans,), out=out)
    preprocess(config)
    assert len(find_scans((out,))) == 2
    (scans / "anna.nii.gz").write_bytes((heads / "anna.nii.gz").read_bytes()[:-900])  # read to the end it is damaged
    events: list[Event] = []
    assert [row.status for row in preprocess(config, events.append).rows] == ["failed", "kept"]
    assert any("no longer used" in event.text for event in events if isinstance(event, Warned))
    (left,) = find_scans((out,))
    assert (
        left.subject_id == "bert" and "left out 1 file unfinished, or of a scan that was refused later" in left.notes[0]
    )
    (scans / "bert.nii.gz").write_text("no image")  # its header tells; now no scan is left
    with pytest.raises(ScanError):
        preprocess(config)
    assert [row["status"] for row in read_status(out)] == ["failed", "failed"]
    assert "not gzip" in (out / "qc.html").read_text()
    with pytest.raises(ScanError, match="no scans"):
        find_scans((out,))
    for name in ("anna.nii.gz", "bert.nii.gz"):
        (scans / name).write_bytes((heads / name).read_bytes())
    assert [row.status for row in preprocess(config).rows] == ["done", "done"]
    assert len(find_scans((out,))) == 2


def lose_memory(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _always(DeviceMemoryError.of("this machine"), monkeypatch)


def lose_a_package(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _always(MissingPackageError.broken("deepbet"), monkeypatch)


def meet_a_defect(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _always(KeyError("x"), monkeypatch)


def lose_the_disk(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan.unlink()


def forget_the_orientation(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result was made with an option that this run was not given; the bytes are the same."""


def _always(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(derivation, "prepare_scan", prepare)


@pytest.mark.parametrize("harm", [lose_memory, lose_a_package, meet_a_defect, lose_the_disk, forget_the_orientation])
def test_a_result_is_not_lost_for_what_is_no_fault_of_the_scan(
    harm: Callable[[Path, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, affine, _ = make_head(spacing=3.0, skull=False)
    scan, out = save(tmp_path / "anna.nii", array, affine), tmp_path / "out"
    orientation = None
    if harm is forget_the_orientation:
        data, orientation = bytearray(scan.read_bytes()), "RAS"
        struct.pack_into("<2h", data, 252, 0, 0)  # qform_code, sform_code
        scan.write_bytes(data)
    preprocess(PreprocessConfig(inputs=(scan,), out=out, orientation=orientation))
    harm(scan, monkeypatch)
    overwrite = harm in (lose_memory, lose_a_package, meet_a_defect)  # else what is finished would be kept at once
    with pytest.raises(Exception, match=r"memory|not installed|defect|no such file|no orientation"):
        preprocess(PreprocessConfig(inputs=(scan,), out=out, overwrite=overwrite))
    assert read_status(out)[0]["status"] == "failed"
    assert [item.subject_id for item in find_scans((out,))] == ["anna"]


def test_raw_scans_are_never_hidden_by_results_in_their_own_folder(heads: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "anna.nii.gz").write_bytes((heads / "anna.nii.gz").read_bytes())
    for work in (preprocess, plan):
        with pytest.raises(OutputError, match="--out is one of the inputs") as caught:
            work(PreprocessConfig(inputs=(folder,), out=tmp_path / "." / "scans"))
        assert "--out derivatives" in caught.value.remedy
    preprocess(
        PreprocessConfig(inputs=(folder / "anna.nii.gz",), out=folder)
    )  # a file beside its result is named itself
    with pytest.raises(OutputError, match="--out is one of the inputs"):
        preprocess(PreprocessConfig(inputs=(folder,), out=folder))


def test_a_package_that_one_scan_needs_fails_that_scan_alone(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_program() -> str:
        raise MissingPackageError.broken("dcm2niix")

    monkeypatch.setattr(convert, "_find_program", find_program)
    monkeypatch.setattr(pixels, "LOSSLESS", frozenset())  # leaves everything to dcm2niix
    write_series(tmp_path / "dicom")
    inputs = (tmp_path / "dicom", heads / "anna.nii.gz")
    result = preprocess(PreprocessConfig(inputs=inputs, out=tmp_path / "out"))
    assert [row.status for row in result.rows] == ["failed", "done"]
    assert "dcm2niix" in (result.rows[0].error or "") and "pip install" in (result.rows[0].hint or "")
    (tmp_path / "bad.nii").write_text("no image")
    with pytest.raises(MissingPackageError):  # of two reasons the one that this machine can be cured of
        preprocess(PreprocessConfig(inputs=(tmp_path / "bad.nii", tmp_path / "dicom"), out=tmp_path / "other"))


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
    measured = preprocess(PreprocessConfig(inputs=config.inputs, out=out)).rows[0].qc.verdict
    for again in (config, PreprocessConfig(inputs=config.inputs, out=out)):
        (row,) = preprocess(again).rows
        assert (row.status, row.qc.verdict) == ("kept", "fail")
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
    assert row.status == "done" and row.qc.verdict in ("warn", "fail") and row.qc.reasons
    assert any("quality" in event.text for event in events if isinstance(event, Warned))


def test_one_bad_scan_among_ten_ends_with_code_3_and_nine_done(tmp_path: Path, painted: dict[str, str]) -> None:
    scans = [save_tiny(tmp_path / "scans" / f"s{number}.nii.gz") for number in range(10)]
    scans[4].write_bytes(scans[4].read_bytes()[:-500])
    words = (tmp_path / "scans", "--out", tmp_path / "out", "--workers", "2", "--json")
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False, env=painted)
    assert done.returncode == 3, done.stderr
    rows = {row["subject_id"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert len(rows) == 10 and {row["notice"] for row in rows.values()} == {RESEARCH_NOTICE}
    assert {who for who, row in rows.items() if row["status"] == "failed"} == {"s4"}
    assert sum(row["status"] == "done" for row in rows.values()) == 9
    assert len(find_scans((tmp_path / "out",))) == 9
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1
    assert "hint: " in done.stderr and "Traceback" not in done.stderr


def _edited(offset: int, form: str, *values: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        data = bytearray(nib.Nifti1Image(texture(), AFFINE).to_bytes())
        struct.pack_into(form, data, offset, *values)
        path.write_bytes(data)

    return write


def _zipped(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(change(gzip.compress(nib.Nifti1Image(texture(), AFFINE).to_bytes())))


def _values(make: Callable[[], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: nib.save(nib.Nifti1Image(make(), AFFINE), path)


def _with(value: float) -> np.ndarray:
    array = texture()
    array[3, 4, 5] = value
    return array


def _write_labels(path: Path) -> None:
    labels = np.zeros((40, 42, 44), dtype=np.int16)
    for number in range(1, 7):
        labels[:, :, 6 * number : 6 * number + 6] = number
    nib.save(nib.Nifti1Image(labels, AFFINE), path)


def _write_contrary(path: Path) -> None:
    image = nib.Nifti1Image(texture(), AFFINE)
    image.set_qform(np.diag([-1.0, 1, 1, 1]) @ AFFINE, code=1)  # the other half of the head is the left one
    nib.save(image, path)


COLOURS = [("R", "u1"), ("G", "u1"), ("B", "u1")]
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "crc.nii.gz": (_zipped(lambda data: data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]), "checksum is wrong"),
    "cut.nii.gz": (_zipped(lambda data: data[:-2000]), "gzip stream is damaged"),
    "text.nii.gz": (lambda path: path.write_text("hello"), "not gzip"),
    "empty.nii": (lambda path: path.touch(), "file is empty"),
    "words.nii": (lambda path: path.write_text("hello " * 100), "this is a text file"),
    "short.nii": (lambda path: path.write_bytes(nib.Nifti1Image(texture(), AFFINE).to_bytes()[:-9]), "header promises"),
    "huge.nii": (_edited(40, "<4h", 3, 2000, 2000, 2000), "the cap is"),
    "nan.nii": (_values(lambda: _with(np.nan)), "NaN or infinite"),
    "inf.nii": (_values(lambda: _with(np.inf)), "NaN or infinite"),
    "constant.nii": (_values(lambda: np.full((40, 42, 44), 7, np.float32)), "all voxels have the same value"),
    "two.nii": (_values(lambda: texture()[:, :, 0]), "expected a 3D image"),
    "four.nii": (_values(lambda: np.stack([texture()] * 3, axis=3)), "expected a 3D image"),
    "rgb.nii": (_values(lambda: np.zeros((40, 42, 44), dtype=COLOURS)), "not plain numbers"),
    "complex.nii": (_values(lambda: texture().astype(np.complex64)), "not plain numbers"),
    "labels.nii": (_write_labels, "label map"),
    "mask.nii": (_values(lambda: (texture() > 100).astype(np.uint8)), "this is a mask"),
    "ct.nii": (_values(lambda: texture() * 10 - 2000), "Hounsfield"),
    "noise.nii": (_values(lambda: np.random.default_rng(0).random((40, 42, 44)).astype(np.float32)), "this is noise"),
    "singular.nii": (_edited(280, "<4f", 0, 0, 0, 0), "affine"),
    "contrary.nii": (_write_contrary, "contradict each other about the directions"),
    "metres.nii": (_edited(280, "<12f", 30, 0, 0, -60, 0, 30, 0, -70, 0, 0, 30, -40), "impossible"),
    "nowhere.nii": (_edited(252, "<2h", 0, 0), "no orientation"),
}


def test_every_kind_of_bad_file_is_answered_by_the_command_without_heavy_imports(tmp_path: Path) -> None:
    for name, (write, _) in BAD.items():
        write(tmp_path / name)
    code = (
        "import sys\nfrom adclip.cli.main import main\n"
        "try: main()\n"
        "finally: print(*sorted({'torch', 'monai', 'transformers', 'SimpleITK', 'deepbet'} & set(sys.modules)))\n"
    )
    names = [*(str(tmp_path / name) for name in BAD), str(tmp_path / "absent.nii")]
    words = ["preprocess", *names, "--out", str(tmp_path / "out"), "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout.split() == [], "heavy packages were imported to refuse a file"
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for name, (_, words_of_it) in {**BAD, "absent.nii": (None, "no such file")}.items():
        (line,) = [line for line in said if f"/{name}: " in line]
        assert words_of_it in line
    assert len(said) == len(BAD) + 1
    assert done.stderr.count("\nhint: ") == len(said)


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


def test_ctrl_c_ends_with_code_130_keeps_what_is_done_and_leaves_no_process(
    tmp_path: Path, painted: dict[str, str]
) -> None:
    for name in ("anna", "bert", "carl"):
        save_tiny(tmp_path / "scans" / f"{name}.nii.gz")
    words = (tmp_path / "scans", "--out", tmp_path / "out", "--workers", "2", "--json")
    running = subprocess.Popen(
        command(*words), env={**painted, "TEST_HANGS": "bert carl"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # a shell's background job ignores Ctrl-C, and so would whatever a test suite in it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while len(list((tmp_path / "marks").iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.poll() is None and len(list((tmp_path / "marks").iterdir())) == 2, "two scans are being worked on"
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 130, said
    assert "Traceback" not in said and "run the same command again" in said
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _group_lives(running.pid):
        time.sleep(0.05)
    assert not _group_lives(running.pid)
    assert [(row["subject_id"], row["status"]) for row in read_status(tmp_path / "out")] == [("anna", "done")]
    again = subprocess.run(command(*words), env=painted, capture_output=True, text=True, check=True)
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == ["kept", "done", "done"]


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
