"""`finetune` as a function: a whole RUN folder or none, resumable, honest about who trained it."""

from __future__ import annotations

import csv
import errno
import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import CONTRACT, LABELS, PROMPTS, finetune_config, write_cohort, write_table

from adclip.clinical.scans.splits import Split
from adclip.clinical.tables.table import read_table
from adclip.config import PromptConfig
from adclip.errors import (
    EXIT_INPUT,
    AdclipError,
    CheckpointError,
    ConfigError,
    InputError,
    LeakError,
    MissingPackageError,
    OutputError,
    ScanError,
    TableError,
    TrainingError,
    WeightsError,
)
from adclip.model.bases import read_base
from adclip.model.calibration import SCAN, TABLE_WITH_VOLUMES
from adclip.model.checkpoint import load_model
from adclip.model.record import LAST_DIAGNOSIS_NOTICE, read_record
from adclip.prediction.predictor import Predictor
from adclip.runtime.events import Advanced, Event, Step, Warned
from adclip.training.run_folder import RunFolder
from adclip.verbs.finetune import finetune, plan

FILES = {
    "adapter.json", "adapter.safetensors", "README.md", "private/config.toml", "private/metrics.jsonl",
    "private/metrics.csv",
    "private/predictions_test.tsv", "private/splits.tsv", "private/scans.tsv", "private/embeddings.npz", "private/.lock", "private/leak_certificate.json", "private/last.safetensors",
    *(f"private/plots/{name}.png" for name in ("loss", "roc", "confusion", "reliability", "mmse")),
}  # fmt: skip


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_run_holds_exactly_these_files(tiny_run):
    assert files_in(tiny_run) == FILES
    record = read_record(tiny_run)
    assert record.labels == LABELS and record.style == "clinical"
    assert record.training.epochs == 3
    load_model(str(tiny_run))


def test_nothing_shared_names_a_person_or_a_path(tiny_run, tiny_cohort):
    for name in ("adapter.json", "README.md", "private/config.toml"):
        text = (tiny_run / name).read_text()
        assert "p00" not in text and str(tiny_cohort) not in text and str(tiny_run) not in text
    header = load_file(tiny_run / "adapter.safetensors")
    assert not any("subject" in name for name in header)


def test_nobody_stands_on_two_sides(tiny_run, tiny_cohort):
    split = Split.from_tsv((tiny_run / "private" / "splits.tsv").read_text())
    visits = read_table(tiny_cohort / "table.csv").rows
    assert set(split.assignment) == {visit.subject_id for visit in visits}
    lines = (tiny_run / "private" / "predictions_test.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0] for line in lines} == set(split.part("test"))
    assert len(lines) == sum(visit.subject_id in split.part("test") for visit in visits)


def test_the_metrics_come_with_their_baselines(tiny_run):
    metrics = read_record(tiny_run).metrics
    for name in ("accuracy", "balanced_accuracy", "auc_ad_vs_cn", "mmse_mae"):
        assert {"value", "low", "high", "n"} <= set(metrics[name])
    for group in ("scan_only", "metadata_only", "majority"):
        assert f"{group}.balanced_accuracy" in metrics
    with (tiny_run / "private" / "predictions_test.tsv").open() as stream:
        known = [float(row["mmse"]) for row in csv.DictReader(stream, delimiter="\t") if row["mmse"] != "n/a"]
    usual = metrics["majority.mmse_mae"]
    mean = read_record(tiny_run).mmse_mean
    assert usual["value"] == pytest.approx(np.mean([abs(score - mean) for score in known]))
    assert usual["n"] == metrics["mmse_mae"]["n"]
    rows = [json.loads(line) for line in (tiny_run / "private" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def test_test_probabilities_sum_to_one(tiny_run):
    header, *lines = ((tiny_run / "private" / "predictions_test.tsv").read_text()).splitlines()
    for line in lines:
        row = dict(zip(header.split("\t"), line.split("\t"), strict=True))
        for kind in ("probability", "scan_only", "metadata_only"):
            assert sum(float(row[f"{kind}_{label}"]) for label in LABELS) == pytest.approx(1, abs=1e-5)
        assert 0 <= float(row["mmse_estimate"]) <= 30


def test_the_written_settings_can_be_read(tiny_run):
    settings = tomllib.loads((tiny_run / "private" / "config.toml").read_text())["finetune"]
    assert settings["epochs"] == 3 and settings["visual_prompts"] == 3


def test_the_numbers_of_every_epoch_stand_in_a_table_too(tiny_run):
    rows = [json.loads(line) for line in (tiny_run / "private" / "metrics.jsonl").read_text().splitlines()]
    with (tiny_run / "private" / "metrics.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [{key: float(cell) for key, cell in row.items()} for row in table] == rows


def test_numbers_are_on_disk_after_each_epoch(one_epoch):
    seen = []

    def look(event):
        if isinstance(event, Advanced) and event.task == "fine-tuning":
            seen.append(len((one_epoch.out / "private" / "metrics.jsonl").read_text().splitlines()))

    finetune(replace(one_epoch, epochs=2), look)
    assert seen == [1, 2]


def test_tensorboard_is_asked_for_and_told_at_once_where_it_is_missing(one_epoch, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="tensorboard") as caught:
        finetune(replace(one_epoch, tensorboard=True))
    assert "pip install" in caught.value.remedy and not one_epoch.out.exists()


def test_tensorboard_gets_the_same_numbers(one_epoch):
    pytest.importorskip("tensorboard", reason="optional: pip install 'adclip[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    finetune(replace(one_epoch, epochs=2, tensorboard=True))
    told = EventAccumulator(str(one_epoch.out / "private" / "tensorboard")).Reload()
    rows = [json.loads(line) for line in (one_epoch.out / "private" / "metrics.jsonl").read_text().splitlines()]
    drawn = [(event.step, event.value) for event in told.Scalars("train_loss")]
    assert drawn == [(row["epoch"], pytest.approx(row["train_loss"])) for row in rows]


# ------------------------------------------------------------------------------------------------ twice, and stopped


class StoppedError(Exception):
    """Stands for Ctrl-C."""


def stop_after(epochs):
    def stop(event):
        if isinstance(event, Advanced) and event.task == "fine-tuning" and event.done == epochs:
            raise StoppedError

    return stop


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


@pytest.fixture
def one_epoch(tmp_path, tiny_base, tiny_cohort):
    return finetune_config(tiny_cohort, tiny_base, tmp_path / "run", epochs=1)


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


# ------------------------------------------------------------------------------------------------ odd and bad cohorts


@pytest.mark.parametrize("part", ["mmse_token", "cross_attention"])
def test_a_run_without_a_part(one_epoch, part):
    result = finetune(replace(one_epoch, prompts=replace(one_epoch.prompts, **{part: False})))
    record = read_record(one_epoch.out)
    assert (record.mmse_mean is None) == (part == "mmse_token")
    assert ("mmse_mae" in result.metrics) == (part != "mmse_token")
    load_model(str(one_epoch.out))


def test_no_mmse_in_the_table(tmp_path, one_epoch, tiny_cohort):
    table = write_table(tmp_path / "t.csv", read_table(tiny_cohort / "table.csv").rows, mmse="")
    result = finetune(replace(one_epoch, table=table))
    assert read_record(one_epoch.out).mmse_mean is None
    assert (result.metrics.get("mmse_mae") or {}).get("value") is None


@pytest.mark.parametrize("part", ["validation", "calibration", "test"])
def test_a_part_may_be_empty(one_epoch, part):
    finetune(replace(one_epoch, **{f"{part}_fraction": 0.0}))
    assert sum(read_record(one_epoch.out).training.counts[part].values()) == 0
    load_model(str(one_epoch.out))


def refused(config, kind: type[AdclipError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        finetune(config)
    assert caught.value.remedy
    assert not (config.out / "adapter.json").exists()


def test_a_table_without_diagnosis(tmp_path, one_epoch):
    (tmp_path / "t.csv").write_text("subject_id,session_id,mmse\np00,01,29\n")
    refused(replace(one_epoch, table=tmp_path / "t.csv"), TableError, "diagnosis")
    assert not one_epoch.out.exists()


def test_a_table_of_strangers(tmp_path, one_epoch):
    (tmp_path / "t.csv").write_text("subject_id,session_id,diagnosis\nq00,01,CN\nq01,01,AD\n")
    refused(replace(one_epoch, table=tmp_path / "t.csv"), TableError, "row")
    assert not one_epoch.out.exists()


def test_one_image_under_two_names(tmp_path, one_epoch, tiny_cohort):
    folder = tmp_path / "cohort"
    shutil.copytree(tiny_cohort, folder)
    name = "sub-{0}/ses-01/anat/sub-{0}_ses-01_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz"
    shutil.copy(folder / name.format("p01"), folder / name.format("p02"))
    refused(replace(one_epoch, scans=folder), LeakError, "p01|p02")


def test_derivatives_of_another_grid(tmp_path, tiny_cohort):
    config = finetune_config(tiny_cohort, Path("builtin"), tmp_path / "run")
    refused(config, ScanError, "preproc")


# ------------------------------------------------------------------------------------------------ bases of other origin


@pytest.fixture
def original(tmp_path: Path, tiny_base: Path) -> Path:
    """The tiny base in M3D-CLIP's original layout."""
    folder = tmp_path / "original"
    folder.mkdir()
    shutil.copy(tiny_base / "base.safetensors", folder / "model.safetensors")
    shutil.copy(tiny_base / "vocab.txt", folder / "vocab.txt")
    told = {
        "img_size": CONTRACT.shape,
        "patch_size": (8, 8, 8),
        "num_heads": 4,
        "text_config": {"num_attention_heads": 4},
    }
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def test_a_run_on_an_original_checkpoint_finds_its_base_again(original, tiny_cohort, tmp_path, monkeypatch):
    contract = read_base(str(original)).config.contract
    monkeypatch.setattr(
        "adclip.model.original.BOX_MM", tuple(n * s for n, s in zip(CONTRACT.shape, CONTRACT.spacing_mm, strict=True))
    )
    assert read_base(str(original)).config.contract != contract
    out = tmp_path / "run"
    finetune(finetune_config(tiny_cohort, original, out, epochs=1))
    record = read_record(out)
    assert record.base["name"] == "original" and record.base["revision"] == "unknown"
    assert str(tmp_path) not in (out / "adapter.json").read_text()
    loaded = load_model(str(out))  # by its hash: no base of that name is in the store
    assert loaded.identity["base"] == "original"
    shutil.rmtree(original)
    with pytest.raises(WeightsError, match="original") as caught:
        load_model(str(out))
    assert "weights import" in caught.value.remedy


def test_a_missing_vocabulary_is_told_before_any_work(original, tiny_cohort, tmp_path):
    (original / "vocab.txt").unlink()
    with pytest.raises(WeightsError, match=r"vocab\.txt") as caught:
        finetune(finetune_config(tiny_cohort, original, tmp_path / "run"))
    assert caught.value.exit_code == 4 and not (tmp_path / "run").exists()


def test_a_bare_tower_cannot_be_prompted(tmp_path, original, tiny_cohort):
    from safetensors.torch import save_file

    prefix = "vision_encoder."
    state = load_file(original / "model.safetensors")
    save_file(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, original / "model.safetensors"
    )
    with pytest.raises(CheckpointError, match="no text tower"):
        finetune(finetune_config(tiny_cohort, original, tmp_path / "run"))


def test_low_precision_trains_and_answers_alike(tiny_run, tiny_base, tiny_cohort, tmp_path):
    finetune(finetune_config(tiny_cohort, tiny_base, tmp_path / "run", precision="bf16", checkpointing=True))
    one, two = read_record(tiny_run).metrics, read_record(tmp_path / "run").metrics
    assert one["accuracy"]["value"] == pytest.approx(two["accuracy"]["value"], abs=0.4)
    state = load_file(tmp_path / "run" / "adapter.safetensors")
    assert all(value.dtype == torch.float32 for name, value in state.items() if name != "class_texts.words")
    with pytest.raises(AdclipError, match="fp16"):
        finetune_config(tiny_cohort, tiny_base, tmp_path / "x", precision="fp16")


# ------------------------------------------------------------------------------------------------ methods and splits


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_base_that_is_fine_tuned_answers_after_loading(method, one_epoch, tiny_base, tiny_cohort):
    result = finetune(replace(one_epoch, method=method))
    record = read_record(one_epoch.out)
    assert record.training.method == method and record.prompts.visual_prompts == 0
    state, base = load_file(one_epoch.out / "adapter.safetensors"), load_file(tiny_base / "base.safetensors")
    held = {name for name in state if name.startswith("vision_encoder.blocks.0.attn")}
    if method == "lora":
        assert held == {f"vision_encoder.blocks.0.attn.{part}_update.lora_{way}"
                        for part in ("qkv", "out") for way in ("down", "up")}  # fmt: skip
    else:
        assert set(base) <= set(state)
        assert not torch.equal(
            state["vision_encoder.blocks.0.attn.qkv.weight"], base["vision_encoder.blocks.0.attn.qkv.weight"]
        )
    assert result.metrics["accuracy"]["n"] > 0
    # what was measured is what the folder answers
    lines = (one_epoch.out / "private" / "predictions_test.tsv").read_text().splitlines()
    header, first = lines[0].split("\t"), lines[1].split("\t")
    row = dict(zip(header, first, strict=True))
    name = f"sub-{row['subject_id']}/ses-{row['session_id']}/anat/*desc-preproc_T1w.nii.gz"
    visit = next(v for v in read_table(tiny_cohort / "table.csv").rows
                 if (v.subject_id, v.session_id) == (row["subject_id"], row["session_id"]))  # fmt: skip
    found = Predictor.from_checkpoint(one_epoch.out, "cpu")(next(tiny_cohort.glob(name)), visit)
    for label in LABELS:
        assert found.probabilities[label] == pytest.approx(float(row[f"probability_{label}"]), abs=1e-4)


def test_from_scratch_forgets_the_base(one_epoch, tiny_base):
    finetune(replace(one_epoch, method="full", from_scratch=True))
    state, base = load_file(one_epoch.out / "adapter.safetensors"), load_file(tiny_base / "base.safetensors")
    name = "language_encoder.embeddings.word_embeddings.weight"
    assert float(torch.corrcoef(torch.stack([state[name].flatten(), base[name].flatten()]))[0, 1]) < 0.1
    with pytest.raises(AdclipError, match="--method full"):
        replace(one_epoch, from_scratch=True)


@pytest.mark.parametrize("method", ["linear-probe", "cnn", "metadata"])
def test_a_baseline_is_measured_on_the_same_people_and_predicts_nothing(method, one_epoch, tiny_run):
    seed_split = (tiny_run / "private" / "splits.tsv").read_text()
    result = finetune(replace(one_epoch, method=method))
    assert (one_epoch.out / "private" / "splits.tsv").read_text() == seed_split
    assert {"value", "low", "high", "n"} <= set(result.metrics["balanced_accuracy"])
    assert {"baseline.json", "README.md"} <= files_in(one_epoch.out) and not (one_epoch.out / "adapter.json").exists()
    with pytest.raises(CheckpointError, match="baseline"):
        load_model(str(one_epoch.out))
    if method == "metadata":
        assert result.metrics["accuracy"]["value"] == result.baselines["metadata_only"]["accuracy"]["value"]


@pytest.mark.parametrize(
    "changed",
    [
        {"objective": "paper"}, {"reports": False}, {"bare_weight": 0.0}, {"contrast_weight": 0.0}, {"memory": 0},
        {"augment": False}, {"prompts": replace(PromptConfig.paper(), visual_prompts=2, text_prompts=3)},
    ],
)  # fmt: skip
def test_every_part_of_the_objective_can_be_switched(changed, one_epoch, tiny_cohort):
    finetune(replace(one_epoch, **changed))
    record = read_record(one_epoch.out)
    if changed.get("objective") == "paper":
        assert (record.mmse_mean, record.mmse_sd) == (0.0, 1.0)
    if "reports" in changed:
        scan = next(tiny_cohort.glob("sub-p01/**/*desc-preproc_T1w.nii.gz"))
        visit = next(v for v in read_table(tiny_cohort / "table.csv").rows if v.subject_id == "p01")
        found = Predictor.from_checkpoint(one_epoch.out, "cpu")(scan, visit)
        assert found.report is None and found.probabilities == found.scan_only


def test_folds_hold_everyone_once(one_epoch, tiny_cohort):
    tested = []
    for number in (1, 2, 3):
        config = replace(one_epoch, fold=f"{number}/3", method="metadata", out=one_epoch.out / str(number))
        finetune(config)
        tested += Split.from_tsv((config.out / "private" / "splits.tsv").read_text()).part("test")
    everyone = {visit.subject_id for visit in read_table(tiny_cohort / "table.csv").rows}
    assert sorted(tested) == sorted(everyone)


def test_fewer_training_subjects_leave_the_other_parts_alone(one_epoch, tiny_run):
    finetune(replace(one_epoch, train_size=6))
    record, whole = read_record(one_epoch.out), read_record(tiny_run)
    assert record.training.counts["train"] == {"CN": 2, "MCI": 2, "AD": 2}
    assert record.training.counts["test"] == whole.training.counts["test"]
    with pytest.raises(AdclipError, match="--train-size"):
        finetune(replace(one_epoch, train_size=500, overwrite=True))


def test_a_converter_counts_as_what_they_became_only_when_asked(one_epoch, tiny_cohort, tmp_path):
    visits = list(read_table(tiny_cohort / "table.csv").rows)
    twice = next(
        v.subject_id for v in visits if sum(w.subject_id == v.subject_id for w in visits) > 1 and v.diagnosis == "CN"
    )
    changed = [replace(v, diagnosis="AD") if (v.subject_id, v.session_id) == (twice, "02") else v for v in visits]
    table = write_table(tmp_path / "converters.csv", changed)
    heard = []
    finetune(replace(one_epoch, table=table, label_policy="subject-last", method="metadata"), heard.append)
    assert any("1 scans count as their subject's last diagnosis" in getattr(event, "text", "") for event in heard)
    record = json.loads((one_epoch.out / "baseline.json").read_text())
    assert record["training"]["label_policy"] == "subject-last"
    assert LAST_DIAGNOSIS_NOTICE in record["notice"]
    assert LAST_DIAGNOSIS_NOTICE in (one_epoch.out / "README.md").read_text()


def test_prediction_sets_hold_the_likeliest_class(tiny_run, tiny_cohort):
    predictor = Predictor.from_checkpoint(tiny_run, "cpu")
    for threshold, size in ((0.0, 3), (0.99, 1)):
        alone = replace(predictor.record.calibration.road(SCAN), thresholds=dict.fromkeys(LABELS, threshold))
        calibration = replace(predictor.record.calibration, roads={SCAN: alone})
        predictor.record = replace(predictor.record, calibration=calibration)
        found = predictor(next(tiny_cohort.glob("sub-p01/**/*desc-preproc_T1w.nii.gz")))
        assert len(found.prediction_set) == size and found.diagnosis in found.prediction_set


def test_a_plan_counts_and_writes_nothing(one_epoch, tiny_run):
    found = plan(one_epoch)
    counts = read_record(tiny_run).training.counts
    assert found.subjects == {part: sum(sizes.values()) for part, sizes in counts.items()}
    assert found.scans["train"] >= found.subjects["train"] and found.minutes > 0 and found.memory_gb > 0.1
    assert not one_epoch.out.exists()
    assert plan(replace(one_epoch, method="metadata")).minutes == 0


def test_the_papers_recipe_is_what_the_paper_does(one_epoch):
    finetune(replace(one_epoch, recipe="paper"))
    record = read_record(one_epoch.out)
    published = dict.fromkeys(("prompts_before_cls", "new_projections", "raw_scale", "published_input"), True)
    assert record.prompts == replace(PROMPTS, **published)
    assert {name: record.training.settings[name] for name in ("recipe", "objective", "report_dropout", "augment")} == {
        "recipe": "paper", "objective": "paper", "report_dropout": 0.0, "augment": False,
    }  # fmt: skip
    assert record.mmse_sd == 1.0


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


@pytest.mark.parametrize(
    ("kept", "absent"), [({"CN", "AD"}, "MCI"), ({"AD"}, "CN, MCI")], ids=["a class is missing", "one class"]
)
def test_a_class_without_anybody_is_told_with_a_way_on(one_epoch, tiny_cohort, tmp_path, kept, absent):
    visits = [visit for visit in read_table(tiny_cohort / "table.csv").rows if visit.diagnosis in kept]
    table = write_table(tmp_path / "table.csv", visits)
    with pytest.raises(TableError, match=f"no scan has a row with diagnosis {absent}$") as caught:
        finetune(replace(one_epoch, table=table))
    assert "--task" in caught.value.remedy and not one_epoch.out.exists()


def test_parts_that_few_subjects_leave_empty_are_told(one_epoch, tiny_cohort, tmp_path):
    visits = [
        visit for visit in read_table(tiny_cohort / "table.csv").rows if visit.subject_id in ("p00", "p01", "p02")
    ]
    told = []
    finetune(replace(one_epoch, table=write_table(tmp_path / "table.csv", visits)), told.append)
    warned = " ".join(event.text for event in told if isinstance(event, Warned))
    for part in ("validation", "calibration", "test"):
        assert f"too few subjects for a {part} part" in warned
    predicted = Predictor.from_checkpoint(one_epoch.out, "cpu")(next(tiny_cohort.rglob("*_T1w.nii.gz")))
    assert predicted.prediction_set is None and predicted.mmse is not None and predicted.mmse.low is None


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


def test_the_advice_after_a_diverged_training_works(one_epoch):
    """Clipped gradients make large steps harmless for long; a rate beyond all reason does not survive its first epoch."""
    with pytest.raises(TrainingError) as caught:
        finetune(replace(one_epoch, learning_rate=1e30, epochs=2))
    assert caught.value.exit_code == EXIT_INPUT and "--overwrite" in caught.value.remedy
    assert not (one_epoch.out / "adapter.json").exists()
    finetune(replace(one_epoch, overwrite=True))
    assert read_record(one_epoch.out).training.settings["learning_rate"] == one_epoch.learning_rate


def test_why_no_scan_has_a_row_is_told(one_epoch, tiny_cohort, tmp_path):
    rows = list(read_table(tiny_cohort / "table.csv").rows)
    others = write_table(
        tmp_path / "others.csv", [replace(row, subject_id=f"X{row.subject_id}", scan=None) for row in rows]
    )
    with pytest.raises(TableError, match="a scan is of `p00`, a row is of `Xp00`"):
        finetune(replace(one_epoch, table=others))
    undiagnosed = write_table(tmp_path / "none.csv", [replace(row, diagnosis=None) for row in rows])
    with pytest.raises(TableError, match="scans have a row, none of them a diagnosis"):
        finetune(replace(one_epoch, table=undiagnosed))


def test_raw_scans_are_told_before_rows_are_looked_for(one_epoch, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.copy(next(one_epoch.scans.rglob("*desc-preproc_T1w.nii.gz")), raw / "other_T1w.nii.gz")
    with pytest.raises(ScanError, match="not an adclip derivative"):
        finetune(replace(one_epoch, scans=raw))


@pytest.mark.parametrize(
    ("part", "size"), [("prompt_depth", 99), ("lora_rank", 500), ("visual_prompts", 100_000), ("text_prompts", 5000)]
)
def test_a_part_larger_than_its_base_is_refused(one_epoch, part, size):
    with pytest.raises(ConfigError, match=f"--{part.replace('_', '-')}: {size} are too many"):
        finetune(replace(one_epoch, prompts=replace(one_epoch.prompts, **{part: size})))
    assert not one_epoch.out.exists()


def test_prompts_before_cls_leave_fewer_places_for_words(one_epoch, tiny_base):
    most = read_base(str(tiny_base)).config.text_positions - 20
    prompts = replace(one_epoch.prompts, text_prompts=most, prompts_before_cls=True)
    with pytest.raises(InputError, match="the text tower takes 20") as caught:
        finetune(replace(one_epoch, prompts=prompts))
    assert "--text-prompts" in caught.value.remedy


def test_sets_and_intervals_are_measured_too(one_epoch):
    """Coverage by hand from the predictions: what the model card promises at 90 % is a number that was counted."""
    told: list[Event] = []
    finetune(replace(one_epoch, calibration_fraction=0.5, test_fraction=0.2, validation_fraction=0.0), told.append)
    record = read_record(one_epoch.out)
    with (one_epoch.out / "private" / "predictions_test.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    half = record.calibration.mmse_half_width
    known = [row for row in rows if row["mmse"] != "n/a"]
    inside = [abs(float(row["mmse"]) - float(row["mmse_estimate"])) <= half + 1e-3 for row in known]
    assert record.metrics["mmse_coverage"]["value"] == pytest.approx(np.mean(inside))
    road = record.calibration.road(TABLE_WITH_VOLUMES)
    assert road.subjects == record.calibration.subjects < 27 and min(road.counts.values()) < 9
    # so few promise no set: nothing is measured of sets, and it is said of whom there were too few, and how many
    assert road.thresholds is None and not {"set_coverage", "set_size"} & set(record.metrics)
    (why,) = [event.text for event in told if isinstance(event, Warned) and "no prediction sets" in event.text]
    assert "90 % needs at least 9 calibration subjects of each class" in why
    for label, count in road.counts.items():
        assert (f"of {label} there are {count}" in why or f"and {label} there are {count}" in why) == (count < 9)
    assert f"{why[0].upper()}{why[1:]}." in (one_epoch.out / "README.md").read_text()


def test_sets_of_enough_people_are_measured(tiny_base, tmp_path):
    """Nine of each class calibrate: every set that a test person would be given is counted, by the threshold of each class."""
    cohort = tmp_path / "cohort"
    write_cohort(cohort, subjects=48)
    config = finetune_config(cohort, tiny_base, tmp_path / "run", epochs=1, calibration_fraction=0.6, test_fraction=0.2,
                             validation_fraction=0.0)  # fmt: skip
    told: list[Event] = []
    finetune(config, told.append)
    record = read_record(config.out)
    road = record.calibration.road(TABLE_WITH_VOLUMES)
    assert min(road.counts.values()) >= 9 and road.fitted and road.cross_fitted
    assert not [event for event in told if isinstance(event, Warned) and "no prediction sets" in event.text]
    with (config.out / "private" / "predictions_test.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    sets = []
    for row in rows:
        shares = {label: float(row[f"probability_{label}"]) for label in LABELS}
        sets.append({name for name, share in shares.items()
                     if share >= road.thresholds[name] - 1e-6 or share == max(shares.values())})  # fmt: skip
    hits = [row["diagnosis"] in one for row, one in zip(rows, sets, strict=True)]
    assert record.metrics["set_coverage"]["value"] == pytest.approx(np.mean(hits))
    assert record.metrics["set_size"]["value"] == pytest.approx(np.mean([len(one) for one in sets]))
    assert "Prediction sets hold the true class with 90 % in each class" in (config.out / "README.md").read_text()


def test_prediction_sets_are_counted_as_they_are_given():
    from adclip.evaluation.measure import _measure_sets

    shares = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.1, 0.1, 0.8], [0.34, 0.33, 0.33]])
    people = ["a", "b", "c", "d"]

    def measured(*limits):
        each = [limit and dict(zip(LABELS, limit, strict=True)) for limit in limits]
        return _measure_sets(shares, [0, 1, 0, 2], each, LABELS, people, 0)

    low, high = (0.3, 0.3, 0.3), (0.9, 0.9, 0.9)
    found = measured(low, low, low, high)
    assert found["set_size"]["value"] == pytest.approx((1 + 2 + 1 + 1) / 4)
    assert found["set_coverage"]["value"] == pytest.approx(2 / 4)
    assert measured(low, None, low, high) == {}
    # each class by its own threshold, and no class by that of another
    found = measured((0.9, 0.15, 0.2), (0.5, 0.5, 0.2), (0.05, 0.2, 0.05), high)
    assert found["set_size"]["value"] == pytest.approx((2 + 2 + 2 + 1) / 4)
    assert found["set_coverage"]["value"] == pytest.approx(2 / 4)


def test_a_recipe_holds_from_scratch_too(one_epoch):
    published = replace(one_epoch, recipe="paper", method="full", from_scratch=True).resolved()
    assert published.objective == "paper" and not published.augment and published.pretrained_rate == 1.0
    assert replace(one_epoch, method="cnn").resolved().pretrained_rate == 1.0
    assert one_epoch.resolved().pretrained_rate == 0.1
