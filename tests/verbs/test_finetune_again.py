"""`finetune` twice, stopped, killed and on a full disk: a whole RUN folder or none, and the same one in the end."""

from __future__ import annotations

import csv
import errno
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from run_folders import FILES, StoppedError, files_in, stop_after
from tiny import finetune_config, write_table

from adclip.clinical.scans.splits import Split
from adclip.clinical.tables.table import read_table
from adclip.errors import (
    EXIT_INPUT,
    CheckpointError,
    ConfigError,
    OutputError,
    TableError,
)
from adclip.model.checkpoint import load_model
from adclip.model.record import read_record
from adclip.runtime.events import Advanced, Step
from adclip.training.run_folder import RunFolder
from adclip.verbs.finetune import finetune

# ------------------------------------------------------------------------------------------------ twice, and stopped


def test_a_stopped_run_goes_on_to_the_same_files(tmp_path, tiny_run, tiny_base, tiny_cohort):
    """Same seed, same bytes; stopped after the second epoch, still the same bytes."""

    config = finetune_config(tiny_cohort, tiny_base, tmp_path / "run")
    with pytest.raises(StoppedError):
        finetune(config, stop_after(2))
    assert "adapter.json" not in files_in(config.out)
    before = {name: (config.out / "private" / name).read_bytes() for name in ("config.toml", "splits.tsv")}
    with pytest.raises(
        OutputError, match=r"other settings \(learning_rate 0.001 there, 0.5 now; seed 0 there, 1 now\)"
    ):
        finetune(replace(config, learning_rate=0.5, seed=1))
    with pytest.raises(OutputError, match="method prompt there, metadata now"):
        finetune(replace(config, method="metadata"))
    assert before == {name: (config.out / "private" / name).read_bytes() for name in before}
    told = []
    finetune(config, told.append)
    assert any(isinstance(event, Step) and "resuming after epoch 2" in event.text for event in told)
    assert files_in(config.out) == FILES
    for name in FILES - {"private/config.toml"}:
        assert (config.out / name).read_bytes() == (tiny_run / name).read_bytes(), name


def test_a_finished_run_is_kept_and_told_again(tiny_run, tiny_base, tiny_cohort):
    before = {name: (tiny_run / name).read_bytes() for name in FILES}
    told = []
    found = finetune(finetune_config(tiny_cohort, tiny_base, tiny_run), told.append)
    record = read_record(tiny_run)
    assert any("finished already" in getattr(event, "text", "") for event in told)
    assert found.metrics["accuracy"] == record.metrics["accuracy"] and len(found.history) == 3
    assert found.baselines["majority"]["accuracy"] == record.metrics["majority.accuracy"]
    with pytest.raises(OutputError, match="exists already"):
        finetune(finetune_config(tiny_cohort, tiny_base, tiny_run, seed=1))
    assert before == {name: (tiny_run / name).read_bytes() for name in FILES}


def test_other_rows_are_another_run(tmp_path, tiny_base, tiny_cohort):
    """The same people, scans and settings, but a volume was corrected while the run was stopped."""
    rows = list(read_table(tiny_cohort / "table.csv").rows)
    table = write_table(tmp_path / "table.csv", rows)
    config = replace(finetune_config(tiny_cohort, tiny_base, tmp_path / "run"), table=table)
    with pytest.raises(StoppedError):
        finetune(config, stop_after(1))
    write_table(table, [replace(rows[0], hippocampus_mm3=(rows[0].hippocampus_mm3 or 5000) + 1), *rows[1:]])
    with pytest.raises(OutputError, match="other settings, scans or rows"):
        finetune(config)


def test_one_run_at_a_time_writes(tmp_path, tiny_base, tiny_cohort):
    config = finetune_config(tiny_cohort, tiny_base, tmp_path / "run")
    refused = []

    def another(event):
        if isinstance(event, Advanced) and event.task == "fine-tuning" and not refused:
            with pytest.raises(OutputError, match="another run is writing there") as caught:
                finetune(replace(config, seed=1, overwrite=True))
            refused.append(caught.value.exit_code)

    finetune(config, another)
    assert refused == [EXIT_INPUT] and files_in(config.out) == FILES
    assert tomllib.loads((config.out / "private" / "config.toml").read_text())["finetune"]["seed"] == 0


@pytest.mark.parametrize(
    "name",
    ["private/mine.txt", "README.md", "private/config.toml", "private/splits.tsv", "baseline.json", "private"],
)
def test_a_folder_of_other_things_is_left_alone(one_epoch, name):
    """Also where they bear the names that a run gives: what stands in them decides."""
    file = one_epoch.out / name
    file.parent.mkdir(parents=True)
    file.write_text('{"auc": 0.9}' if name.endswith(".json") else "[secrets]\nmine = 1\n")
    before = file.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="not a run's"):
            finetune(replace(one_epoch, overwrite=overwrite))
    assert files_in(one_epoch.out) == {name} and file.read_bytes() == before


def test_overwrite_starts_anew_and_touches_nothing_else(tmp_path, tiny_run, one_epoch):
    shutil.copytree(tiny_run, one_epoch.out)
    (one_epoch.out / "private" / "resume").mkdir()
    (one_epoch.out / "private" / "resume" / "state.safetensors").write_bytes(b"old")
    mine = {"notes.txt", "private/notes.txt"}
    for name in mine:
        (one_epoch.out / name).write_text("mine")
    finetune(replace(one_epoch, overwrite=True))
    assert files_in(one_epoch.out) == FILES | mine
    assert read_record(one_epoch.out).training.epochs == 1


def test_the_earlier_model_stays_until_the_new_one_is_ready(tiny_run, one_epoch):
    shutil.copytree(tiny_run, one_epoch.out)
    config = replace(one_epoch, epochs=2, overwrite=True)
    with pytest.raises(StoppedError):
        finetune(config, stop_after(1))
    assert (one_epoch.out / "adapter.json").read_bytes() == (tiny_run / "adapter.json").read_bytes()
    load_model(str(one_epoch.out))
    with pytest.raises(StoppedError):
        finetune(replace(config, seed=7), stop_after(1))  # and a third one begun over the second
    for name in ("splits.tsv", "predictions_test.tsv", "plots/mmse.png"):
        aside = one_epoch.out / "private" / "earlier" / name
        assert aside.read_bytes() == (tiny_run / "private" / name).read_bytes()
    with pytest.raises(StoppedError):
        finetune(config, stop_after(1))
    told = []
    finetune(config, told.append)  # the same line again, --overwrite and all
    assert any(isinstance(event, Step) and "resuming after epoch 1" in event.text for event in told)
    assert read_record(one_epoch.out).training.epochs == 2 and files_in(one_epoch.out) == FILES


@pytest.mark.parametrize("name", [pytest.param("last.safetensors", marks=pytest.mark.slow), "adapter.safetensors"])
def test_a_disk_that_fills_at_the_end_does_not_cost_the_earlier_model(tiny_run, one_epoch, monkeypatch, name):
    shutil.copytree(tiny_run, one_epoch.out)
    write = Path.write_bytes

    def write_until_full(path, data):
        if path.name.endswith(name) and ".part." in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_until_full)
        with pytest.raises(OSError, match="No space left") as caught:
            finetune(replace(one_epoch, epochs=2, overwrite=True))
    assert caught.value.filename.endswith(name)
    for file in ("adapter.json", "adapter.safetensors", "README.md"):
        assert (one_epoch.out / file).read_bytes() == (tiny_run / file).read_bytes(), file
    finetune(replace(one_epoch, epochs=2, overwrite=True))
    assert read_record(one_epoch.out).training.epochs == 2


@pytest.mark.parametrize("damage", ["missing", "cut", "record"])
def test_a_damaged_result_is_not_told_as_finished(tiny_run, tiny_base, tiny_cohort, tmp_path, damage):
    out = shutil.copytree(tiny_run, tmp_path / "run")
    weights = out / "adapter.safetensors"
    if damage == "missing":
        weights.unlink()
    else:
        path = weights if damage == "cut" else out / "adapter.json"
        path.write_bytes(path.read_bytes()[:100])
    config = finetune_config(tiny_cohort, tiny_base, out)
    with pytest.raises(CheckpointError) as caught:
        finetune(config)
    assert "--overwrite" in caught.value.remedy
    finetune(replace(config, overwrite=True))
    assert weights.read_bytes() == (tiny_run / "adapter.safetensors").read_bytes()


def test_a_damaged_state_says_so(one_epoch):
    config = replace(one_epoch, epochs=2)
    with pytest.raises(StoppedError):
        finetune(config, stop_after(1))
    (one_epoch.out / "private" / "resume" / "state.safetensors").write_bytes(b"cut")
    with pytest.raises(OutputError, match="cannot be read") as caught:
        finetune(config)
    assert "--overwrite" in caught.value.remedy
    finetune(replace(config, overwrite=True))
    assert files_in(one_epoch.out) == FILES


def test_a_baseline_replaces_a_model_only_when_told_to(tiny_run, one_epoch):
    shutil.copytree(tiny_run, one_epoch.out)
    config = replace(one_epoch, method="metadata")
    with pytest.raises(OutputError, match="exists already"):
        finetune(config)
    finetune(replace(config, overwrite=True))
    assert {name for name in files_in(one_epoch.out) if "/" not in name} == {"baseline.json", "README.md"}
    assert not {"private/last.safetensors", "private/metrics.jsonl", "private/plots/loss.png"} & files_in(one_epoch.out)
    with pytest.raises(OutputError, match="exists already"):
        finetune(one_epoch)


@pytest.mark.parametrize(
    "where",
    [pytest.param(name, marks=pytest.mark.slow) for name in ("measure", "plots", "last", "card")] + ["weights", "end"],
)
def test_killed_between_training_and_the_end(tiny_run, tiny_base, tiny_cohort, tmp_path, monkeypatch, where):
    """What is written after the last epoch is written again, to the same bytes."""
    from adclip.evaluation import measure, plots
    from adclip.model import checkpoint

    module, name = {
        "measure": (measure, "plot_answers"), "plots": (plots, "write_bytes"),
        "last": (checkpoint, "write_bytes"), "weights": (checkpoint, "atomic_path"), "card": (checkpoint, "write_text"),
        "end": (RunFolder, "end"),
    }[where]  # fmt: skip

    def fall(*given, **named):
        raise StoppedError

    config = finetune_config(tiny_cohort, tiny_base, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(module, name, fall)
        with pytest.raises(StoppedError):
            finetune(config)
    assert ("adapter.json" in files_in(config.out)) == (where == "end")
    told = []
    finetune(config, told.append)
    words = "finished already" if where == "end" else "resuming after epoch 3"
    assert any(isinstance(event, Step) and words in event.text for event in told)
    assert files_in(config.out) == FILES
    for file in FILES - {"private/config.toml"}:
        assert (config.out / file).read_bytes() == (tiny_run / file).read_bytes(), file


def test_the_written_settings_repeat_the_run(tiny_run, tiny_cohort, tiny_base, tmp_path):
    from adclip.cli.main import app

    again = tmp_path / "again"
    words = ["finetune", "--config", str(tiny_run / "private" / "config.toml"), "--scans", str(tiny_cohort), "--base",
             str(tiny_base), "--table", str(tiny_cohort / "table.csv"), "--out", str(again), "--quiet"]  # fmt: skip
    with pytest.raises(SystemExit) as left:
        app(words)
    assert left.value.code == 0
    assert (again / "adapter.safetensors").read_bytes() == (tiny_run / "adapter.safetensors").read_bytes()


def test_a_split_can_be_given_again(one_epoch, tmp_path):
    """Another seed on the same people; whom a smaller training size leaves out is told in the file."""
    finetune(replace(one_epoch, train_size=6, method="metadata"))
    split = Split.from_tsv((one_epoch.out / "private" / "splits.tsv").read_text())
    assert len(split.part("train")) == 6 and split.part("unused")
    again = replace(
        one_epoch, out=tmp_path / "again", seed=5, method="metadata", splits=one_epoch.out / "private" / "splits.tsv"
    )
    finetune(again)
    for name in ("splits.tsv", "scans.tsv"):
        assert (again.out / "private" / name).read_bytes() == (one_epoch.out / "private" / name).read_bytes()
    with (again.out / "private" / "scans.tsv").open() as stream:
        scans = list(csv.DictReader(stream, delimiter="\t"))
    assert all(row["part"] == split.assignment[row["subject_id"]] and len(row["sha256"]) == 64 for row in scans)
    with pytest.raises(TableError, match="no such table"):
        finetune(replace(again, out=tmp_path / "third", splits=tmp_path / "nope.tsv"))
    with pytest.raises(ConfigError, match="--fold"):
        replace(again, fold="1/3")


# ------------------------------------------------------------------------------------------------ methods and splits


def test_a_killed_process_loses_at_most_an_epoch(tiny_cohort, tiny_base, tmp_path):
    """A real process, a real SIGKILL, and the same bytes in the end; a second process with the same line waits for the first."""

    def start(out: Path) -> subprocess.Popen:
        words = ["--scans", str(tiny_cohort), "--table", str(tiny_cohort / "table.csv"), "--base", str(tiny_base),
                 "--epochs", "12", "--visual-prompts", "3", "--text-prompts", "4", "--device", "cpu"]  # fmt: skip
        return subprocess.Popen([sys.executable, "-m", "adclip", "finetune", *words, "--out", str(out)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def wait_for_an_epoch(running: subprocess.Popen, out: Path) -> None:
        until = time.monotonic() + 600
        while not (out / "private" / "resume" / "state.safetensors").exists():
            assert time.monotonic() < until and running.poll() is None
            time.sleep(0.01)

    whole = start(tmp_path / "whole")
    wait_for_an_epoch(whole, tmp_path / "whole")
    whole.send_signal(signal.SIGSTOP)  # so that the second process surely comes while the first holds the folder
    second = start(tmp_path / "whole")
    heard = ""
    while "waiting for its end" not in heard:
        heard = second.stderr.readline()
        assert heard, "the second process did not wait"
    whole.send_signal(signal.SIGCONT)
    assert whole.wait(timeout=600) == 0, whole.stderr.read()
    told = second.communicate(timeout=600)[1]
    assert second.returncode == 0 and "finished already" in told
    out = tmp_path / "killed"
    running = start(out)
    wait_for_an_epoch(running, out)
    running.kill()
    running.wait()
    assert not (out / "adapter.json").exists()
    again = start(out)
    told = again.communicate(timeout=600)[1]
    assert again.returncode == 0 and "resuming after epoch" in told
    for name in ("adapter.safetensors", "adapter.json", "private/metrics.jsonl", "private/last.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


# ------------------------------------------------------------------------------------------------ what may go wrong


def test_a_full_disk_loses_nothing(one_epoch, tiny_run, tmp_path, monkeypatch):
    """The disk is full when the second epoch is to be kept; with room again the run ends with the bytes of an unbroken one."""
    from adclip.training import resume

    config = replace(one_epoch, epochs=3)
    write, calls = resume.write_bytes, []

    def write_until_full(path, data):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(resume, "write_bytes", write_until_full)
        with pytest.raises(OSError, match="No space left"):
            finetune(config)
    assert not (config.out / "adapter.json").exists()
    told = []
    finetune(config, told.append)
    assert any(isinstance(event, Step) and "resuming after epoch 1" in event.text for event in told)
    assert (config.out / "adapter.safetensors").read_bytes() == (tiny_run / "adapter.safetensors").read_bytes()
