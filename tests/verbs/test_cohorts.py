"""`predict` over a cohort: stopped and gone on with, shared out, in batches, it is the run that nothing happened to."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from linked import derivatives_of, link_cohort, sidecar_of

from adclip import Predictor
from adclip.config import PredictConfig
from adclip.domain import Prediction, ScoreEstimate
from adclip.errors import ConfigError, OutputError, ScanError
from adclip.prediction import record_store
from adclip.prediction.cohort_run import BATCHES
from adclip.prediction.stored import to_prediction
from adclip.runtime.events import Failed, Produced, Step
from adclip.verbs.predict import predict

RESULTS = ("predictions.jsonl", "predictions.csv", "predictions.tsv")
SCANS = 24


@pytest.fixture(scope="module")
def cohort(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many scans of few people, and a table with a row for two of three of them; read only."""
    folder = tmp_path_factory.mktemp("many")
    lines = ["subject_id,age_years,sex,hippocampus_mm3,icv_mm3,mmse,diagnosis"]
    for number, _ in enumerate(link_cohort(derivatives_of(tiny_cohort)[:5], folder, SCANS), 1):
        if number % 3:
            lines.append(f"c{number:05d},{60 + number},{'FM'[number % 2]},{5000 + 70 * number},1400000,{number},CN")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def config(cohort: Path, tiny_run: Path, tmp_path: Path) -> PredictConfig:
    return PredictConfig((cohort,), cohort / "table.csv", str(tiny_run), out=tmp_path / "out", device="cpu")


@pytest.fixture(scope="module")
def undisturbed(cohort: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run in one process leaves."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    predict(PredictConfig((cohort,), cohort / "table.csv", str(tiny_run), out=out, device="cpu"))
    return out


def files_of(out: Path) -> dict[str, bytes]:
    """Return every file of an output folder but what a run remembers for itself."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and record_store.BOOK not in path.parts
    }


def records_of(out: Path) -> list[Path]:
    return sorted(out.rglob("*_prediction.json"))


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def assert_close(one: Any, two: Any) -> None:
    """Compare records: numbers to 1e-5, everything else exactly."""
    if isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            assert_close(one[key], two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            assert_close(first, second)
    else:
        assert one == (pytest.approx(two, abs=1e-5) if isinstance(two, float) else two)


def command(config: PredictConfig, *further: str) -> list[str]:
    return [
        sys.executable, "-m", "adclip", "predict", str(config.inputs[0]), "--meta", str(config.meta), "--model", config.model,
        "--out", str(config.out), "--device", "cpu", *further,
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ what is written


def test_every_scan_has_its_record_beside_its_name_and_its_line_in_order(undisturbed: Path) -> None:
    names = [f"c{number:05d}" for number in range(1, SCANS + 1)]
    records = [json.loads(path.read_text()) for path in records_of(undisturbed)]
    assert [path.relative_to(undisturbed).as_posix() for path in records_of(undisturbed)] == [
        f"sub-{name}/anat/sub-{name}_prediction.json" for name in names
    ]
    assert [line["subject_id"] for line in lines_of(undisturbed)] == names
    for record, line in zip(records, lines_of(undisturbed), strict=True):
        assert record.pop("fingerprint").count(":") == 1 and record == line


def test_the_three_tables_say_the_same(undisturbed: Path) -> None:
    rows = [line.split("\t") for line in (undisturbed / "predictions.tsv").read_text().splitlines()]
    assert len(rows) == SCANS + 1 and {len(row) for row in rows} == {len(rows[0])}
    assert (undisturbed / "predictions.csv").read_text().splitlines()[0] == ",".join(rows[0])
    assert all(cell for row in rows for cell in row) and "n/a" in rows[3]  # a scan without a row has no metadata
    for row, line in zip(rows[1:], lines_of(undisturbed), strict=True):
        assert float(row[rows[0].index("probabilities.AD")]) == line["probabilities"]["AD"]


def test_a_prediction_survives_being_written(undisturbed: Path) -> None:
    whole = Prediction(
        "a.nii", "ok", "a", None, "x", {"x": 1.5}, {"x": 1.0}, ("x",), ScoreEstimate(3.5, 1.0, None), volumes={"v": {"mm3": 1.0}},
        flags=("one", "two"), model={"id": "m"}, score_name="memory",
    )  # fmt: skip
    failed = Prediction("b.nii", "failed", error="b.nii: cut short", hint="copy it again")
    for prediction in (whole, failed):
        assert to_prediction(json.loads(json.dumps(prediction.to_dict()))) == prediction


# ------------------------------------------------------------------------------------------------ stopped, and gone on with


def hear_interrupts() -> None:
    """What runs in the background of a shell is started with interrupts ignored, and its children are too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(config: PredictConfig, *further: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(config, *further), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, preexec_fn=hear_interrupts,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("sent", "code"), [("SIGKILL", -9), ("SIGTERM", 143), ("SIGINT", 130)])
def test_a_stopped_run_gone_on_with_equals_an_undisturbed_one(
    config: PredictConfig, undisturbed: Path, sent: str, code: int
) -> None:
    assert config.out is not None
    for process in started(config, "--json"):
        assert process.stdout is not None and process.stderr is not None
        streamed = [json.loads(process.stdout.readline()) for _ in range(3)]  # as they come, long before the end
        process.send_signal(getattr(signal, sent))
        streamed += [json.loads(line) for line in process.stdout.read().splitlines()]
        told = process.stderr.read()
        assert process.wait(60) == code
    assert code < 0 or "run the same command again" in told
    assert streamed == lines_of(undisturbed)[: len(streamed)]
    assert not (config.out / "predictions.jsonl").exists()
    done = {path: path.stat().st_mtime_ns for path in records_of(config.out)}
    assert len(streamed) <= len(done) < SCANS
    events: list[Any] = []
    result = predict(config, events.append)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert Step(f"{len(done)} of {SCANS} scans were done by an earlier run") in events
    assert files_of(config.out) == files_of(undisturbed)
    assert [one.to_dict() for one in result.predictions] == lines_of(undisturbed)


def test_a_finished_run_is_told_again_without_a_model(
    config: PredictConfig, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(undisturbed, config.out))
    monkeypatch.setattr(Predictor, "from_checkpoint", classmethod(never))
    events: list[Any] = []
    predict(config, events.append)
    assert files_of(out) == files_of(undisturbed)
    assert [event.record for event in events if isinstance(event, Produced)] == lines_of(undisturbed)


def never(*_args: object, **_settings: object) -> None:
    raise AssertionError("the model was loaded")


def test_a_half_written_record_is_not_believed(config: PredictConfig, undisturbed: Path) -> None:
    out = Path(shutil.copytree(undisturbed, config.out))
    cut, emptied, foreign = records_of(out)[:3]
    cut.write_bytes(cut.read_bytes()[:-40])
    emptied.write_bytes(b"")
    foreign.write_text(json.dumps(json.loads(foreign.read_text()) | {"fingerprint": "0:0", "diagnosis": "AD"}))
    predict(config)
    assert files_of(out) == files_of(undisturbed)


def test_a_full_disk_costs_one_scan(config: PredictConfig, undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = record_store.write_text, []

    def write(path: Path, text: str) -> None:
        written.append(path)
        if len(written) == 6:
            raise OSError(errno.ENOSPC, "no space left", str(path))
        real(path, text)

    assert config.out is not None
    with monkeypatch.context() as patch:
        patch.setattr(record_store, "write_text", write)
        with pytest.raises(OSError, match="no space"):
            predict(config)
    assert 0 < len(records_of(config.out)) < 6
    predict(config)
    assert files_of(config.out) == files_of(undisturbed)


@pytest.mark.parametrize("changed", ["row", "bytes", "sidecar", "unused"])
def test_only_what_changed_is_done_again(config: PredictConfig, tmp_path: Path, changed: str) -> None:
    scans = tmp_path / "scans"
    (scan, *_) = list(link_cohort(derivatives_of(config.inputs[0])[:2], scans, 4))
    (tmp_path / "t.csv").write_text(f"subject_id,age_years,diagnosis\nc00001,70,{'CN'}\nc00002,60,CN\n")
    own = replace(config, inputs=(scans,), meta=tmp_path / "t.csv")
    predict(own)
    assert config.out is not None
    before = {path: path.stat().st_mtime_ns for path in records_of(config.out)}
    if changed == "row":
        (tmp_path / "t.csv").write_text("subject_id,age_years,diagnosis\nc00001,71,CN\nc00002,60,CN\n")
    elif changed == "unused":  # an answer, which nothing reads
        (tmp_path / "t.csv").write_text("subject_id,age_years,diagnosis\nc00001,70,AD\nc00002,60,MCI\n")
    elif changed == "bytes":
        content = derivatives_of(config.inputs[0])[2].read_bytes()
        scan.unlink()  # a link: the original is read only
        scan.write_bytes(content)
    else:
        sidecar_of(scan).write_text(sidecar_of(scan).read_text().replace('"Flags": []', '"Flags": ["thick_slices"]'))
    predict(own)
    after = {path: path.stat().st_mtime_ns for path in records_of(config.out)}
    again = [path.name for path in after if after[path] != before[path]]
    assert again == ([] if changed == "unused" else ["sub-c00001_prediction.json"])


# ------------------------------------------------------------------------------------------------ whose folder it is


def test_a_folder_of_another_run_is_refused_with_the_cure(
    config: PredictConfig, undisturbed: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(undisturbed, config.out))
    other = Path(shutil.copytree(tiny_run, tmp_path / "other"))
    record = json.loads((other / "adapter.json").read_text())
    record["calibration"]["roads"]["scan"]["temperature"] *= 2
    (other / "adapter.json").write_text(json.dumps(record))
    refused = {
        "of another model": replace(config, model=str(other)),
        "made with another --volumes": replace(config, volumes=False),
        "sub-c00002": replace(config, inputs=tuple(derivatives_of(config.inputs[0])[::2])),
    }
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "from_checkpoint", classmethod(never))
        for problem, wrong in refused.items():
            with pytest.raises(OutputError, match=problem) as told:
                predict(wrong)
            assert "--overwrite" in told.value.remedy and "another --out" in told.value.remedy
    assert files_of(out) == files_of(undisturbed)
    predict(replace(config, inputs=tuple(derivatives_of(config.inputs[0])[::2]), overwrite=True))
    assert len(records_of(out)) == len(lines_of(out)) == SCANS // 2


def test_a_cohort_may_grow(config: PredictConfig, undisturbed: Path) -> None:
    predict(replace(config, inputs=tuple(derivatives_of(config.inputs[0])[:5])))
    assert config.out is not None
    before = {path: path.stat().st_mtime_ns for path in records_of(config.out)}
    predict(config)
    assert len(before) == 5 and {path: path.stat().st_mtime_ns for path in before} == before
    assert files_of(config.out) == files_of(undisturbed)


def test_predictions_of_an_earlier_version_are_not_lost(config: PredictConfig) -> None:
    assert config.out is not None
    config.out.mkdir()
    (config.out / "predictions.jsonl").write_text("{}\n")
    with pytest.raises(OutputError, match="exists already"):
        predict(config)
    assert (config.out / "predictions.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize("place", ["file", "below_a_file", "foreign", "proc"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_read(
    config: PredictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "dataset_description.json").write_text('{"Name": "somebody\'s"}')
    out = {"below_a_file": tmp_path / "file" / "out", "proc": Path("/proc/adclip/out")}.get(place, tmp_path / place)
    if place == "proc" and not Path("/proc").is_dir():
        pytest.skip("no place here where even the superuser may not write")
    monkeypatch.setattr(Predictor, "from_checkpoint", classmethod(never))
    with pytest.raises(OutputError):
        predict(replace(config, out=out, inputs=(tmp_path / "absent.nii.gz",)))


# ------------------------------------------------------------------------------------------------ shared out


def test_shards_together_are_one_run(config: PredictConfig, undisturbed: Path) -> None:
    assert config.out is not None
    told: list[Any] = []
    for number in (2, 3, 1):
        result = predict(replace(config, shard=f"{number}/3"), told.append)
        assert len(result.predictions) == SCANS // 3
        if number == 3:  # in the order of the cohort, whoever was first
            assert [line["subject_id"] for line in lines_of(config.out)] == [
                f"c{place + 1:05d}" for place in range(SCANS) if place % 3
            ]
    assert any(isinstance(event, Step) and "the other shards" in event.text for event in told)
    assert files_of(config.out) == files_of(undisturbed)


def test_a_job_array_shares_the_cohort_by_itself(config: PredictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ID": 4, "MIN": 1, "MAX": 4, "COUNT": 4, "STEP": 1}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    found = predict(replace(config, out=None)).predictions
    assert [one.subject_id for one in found] == [f"c{number:05d}" for number in range(4, SCANS + 1, 4)]
    with pytest.raises(ConfigError, match="--shard"):
        predict(replace(config, out=None, shard="5/4"))


def test_two_processes_give_what_one_gives(config: PredictConfig, undisturbed: Path) -> None:
    assert config.out is not None
    result = predict(replace(config, workers=2))
    assert result.failed == 0
    assert_close(lines_of(config.out), lines_of(undisturbed))
    assert sorted(files_of(config.out)) == sorted(files_of(undisturbed))


def damaged(config: PredictConfig, folder: Path) -> PredictConfig:
    """Return a cohort whose fifth scan is cut short."""
    scans = list(link_cohort(derivatives_of(config.inputs[0])[:5], folder, 11))
    content = scans[4].read_bytes()
    scans[4].unlink()
    scans[4].write_bytes(content[: len(content) // 2])
    return replace(config, inputs=(folder,))


@pytest.mark.parametrize("size", [2, 8])
@pytest.mark.parametrize("with_rows", [True, False])
def test_scans_in_a_batch_are_answered_as_alone(
    config: PredictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, with_rows: bool
) -> None:
    """One of them is damaged: the others of its batch are none the worse for it."""
    own = replace(damaged(config, tmp_path / "scans"), out=None, meta=config.meta if with_rows else None)
    alone = predict(own)
    passes: list[int] = []
    real = Predictor.to_image
    monkeypatch.setattr(Predictor, "to_image", lambda self, scan: passes.append(1) or real(self, scan))
    monkeypatch.setitem(BATCHES, "cpu", size)
    together = predict(own)
    assert alone.failed == together.failed == 1
    assert together.predictions[4].status == "failed" and len(passes) == 10
    for one, two in zip(alone.predictions, together.predictions, strict=True):
        assert_close(one.to_dict(), two.to_dict())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_scan_is_told_and_tried_again_next_time(config: PredictConfig, tmp_path: Path, workers: int) -> None:
    own = replace(damaged(config, tmp_path / "scans"), workers=workers)
    told: list[Any] = []
    result = predict(own, told.append)
    (failed,) = [event for event in told if isinstance(event, Failed)]
    assert result.failed == 1 and "sub-c00005" in failed.item and own.out is not None
    assert [line["status"] == "failed" for line in lines_of(own.out)] == [False] * 4 + [True] + [False] * 6
    before = {path: path.stat().st_mtime_ns for path in records_of(own.out)}
    bad = derivatives_of(tmp_path / "scans")[4]
    bad.unlink()
    bad.hardlink_to(derivatives_of(config.inputs[0])[4])
    assert predict(own).failed == 0
    again = [path.name for path in before if path.stat().st_mtime_ns != before[path]]
    assert again == ["sub-c00005_prediction.json"]
    assert "failed" not in {line["status"] for line in lines_of(own.out)}


def test_a_run_that_can_do_nothing_leaves_nothing(config: PredictConfig, tmp_path: Path) -> None:
    own = damaged(config, tmp_path / "scans")
    bad = derivatives_of(tmp_path / "scans")[4]
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        (tmp_path / "two" / f"sub-{name}_T1w.nii.gz").write_bytes(bad.read_bytes())
    assert own.out is not None
    with pytest.raises(ScanError):
        predict(replace(own, inputs=(tmp_path / "two",), meta=None))
    assert not own.out.exists()


def test_a_process_that_is_killed_costs_one_scan(
    config: PredictConfig, tmp_path: Path, run_in: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    """The batch that was with it is done scan by scan, and the one that kills is named."""
    done = run_in(f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from adclip.config import PredictConfig
from adclip.prediction import cohort_run, predict_work
from adclip.verbs.predict import predict

class Deadly(predict_work.PredictWork):
    def _look(self, job):
        if job.item.subject_id == "c00007":
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._look(job)

if __name__ == "__main__":
    import adclip.verbs.predict as verb
    verb.PredictWork = Deadly
    cohort_run.BATCHES["cpu"] = 8
    config = PredictConfig((Path({str(config.inputs[0])!r}),), model={config.model!r}, out=Path({str(config.out)!r}), device="cpu", workers=2)
    result = predict(config)
    print([one.subject_id for one in result.predictions if one.status == "failed"], result.failed)
""")
    assert done.stdout.splitlines()[-1:] == ["['c00007'] 1"], done.stderr


@pytest.fixture
def run_in(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run a script that other processes read again."""

    def run_script(text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "script.py").write_text(text)
        return subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True)

    return run_script
