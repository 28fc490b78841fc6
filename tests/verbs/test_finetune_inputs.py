"""`finetune` on odd and bad cohorts, on bases of other origin, and what it says where it cannot go on."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import CONTRACT, LABELS, finetune_config, write_cohort, write_table

from adclip.clinical.tables.table import read_table
from adclip.errors import (
    EXIT_INPUT,
    AdclipError,
    CheckpointError,
    ConfigError,
    InputError,
    LeakError,
    ScanError,
    TableError,
    TrainingError,
    WeightsError,
)
from adclip.model.bases import read_base
from adclip.model.calibration import TABLE_WITH_VOLUMES
from adclip.model.checkpoint import load_model
from adclip.model.record import read_record
from adclip.prediction.predictor import Predictor
from adclip.runtime.events import Event, Warned
from adclip.verbs.finetune import finetune

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
