"""`finetune` as a function: what a RUN folder holds, its methods and its splits, and who trained it."""

from __future__ import annotations

import csv
import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch
from run_folders import FILES, files_in
from safetensors.torch import load_file
from tiny import LABELS, PROMPTS, write_table

from adclip.clinical.scans.splits import Split
from adclip.clinical.tables.table import read_table
from adclip.config import PromptConfig
from adclip.errors import (
    AdclipError,
    CheckpointError,
    MissingPackageError,
)
from adclip.model.calibration import SCAN
from adclip.model.checkpoint import load_model
from adclip.model.record import LAST_DIAGNOSIS_NOTICE, read_record
from adclip.prediction.predictor import Predictor
from adclip.runtime.events import Advanced
from adclip.verbs.finetune import finetune, plan


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
