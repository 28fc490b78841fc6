"""`adclip finetune`: a cohort of preprocessed scans and their table to a RUN folder."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.config import FinetuneConfig
from adclip.domain import CLASS_PHRASES, Diagnosis
from adclip.errors import CheckpointError, ScanError, TableError
from adclip.events import OnEvent, Step, Warned, ignore
from adclip.paths import claim_folder, write_text
from adclip.version import __version__

if TYPE_CHECKING:
    from adclip.clinical.manifest import Manifest
    from adclip.clinical.splits import Split
    from adclip.model.bases import BaseWeights

LIBRARIES = ("torch", "transformers", "nibabel", "numpy")


@dataclass(frozen=True)
class FinetuneResult:
    """What a finished run measured.

    Parameters
    ----------
    out : Path
        The RUN folder.
    metrics : dict
        Name -> value, low, high, n on the test subjects, with a report.
    baselines : dict
        `scan_only`, `metadata_only` and `majority` -> the same on the same subjects.
    epochs_run, best_epoch : int
    history : list of dict
        Losses of each epoch.
    notice : str
    """

    out: Path
    metrics: dict[str, Any]
    baselines: dict[str, Any]
    epochs_run: int
    best_epoch: int
    history: list[dict[str, float]]
    notice: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "out": str(self.out)}


def finetune(config: FinetuneConfig, on_event: OnEvent = ignore) -> FinetuneResult:
    """Prompt-tune a base model on a cohort, calibrate it, measure it, and write a RUN folder.

    Parameters
    ----------
    config : FinetuneConfig
    on_event : callable
        Told of every epoch.

    Returns
    -------
    FinetuneResult

    Raises
    ------
    InputError
        If scans, table or output folder cannot be used.
    """
    from adclip.clinical.manifest import build_manifest
    from adclip.clinical.reports import usable_fields
    from adclip.clinical.splits import prove_disjoint, split_by_subject
    from adclip.clinical.table import read_tables
    from adclip.imaging.find import find_scans, without_failed
    from adclip.model.bases import read_base, remember

    if not config.scans.exists():
        raise ScanError.missing(config.scans)
    base = read_base(config.base, config.tokenizer)
    if not base.config.text_depth:
        raise CheckpointError.no_text_tower()
    _ = base.tokenizer  # a missing vocabulary is told before an hour of training
    remember(base)
    table = read_tables(config.tables, config.table_options, need=("diagnosis",))
    for hint in (*table.hints, *table.notes):
        on_event(Warned(str(table.path), hint))
    found = find_scans((config.scans,))
    items = without_failed(found)
    if not items:
        raise ScanError.all_failed_quality(config.scans)
    if left_out := len(found) - len(items):
        on_event(Warned(str(config.scans), f"{left_out} left out: quality verdict fail (see qc.html there)"))
    manifest = build_manifest(items, table)
    for reason, count in manifest.skipped_by_reason.items():
        on_event(Warned(str(table.path), f"{count} left out: {reason}"))
    if not any(usable_fields(example.visit, config.style) for example in manifest.examples):
        on_event(Warned(str(table.path), f"no column that the style {config.style} reports; training on scans alone"))
    absent = {str(label) for label in Diagnosis} - {str(example.visit.diagnosis) for example in manifest.examples}
    if absent:
        raise TableError.no_rows(table.path, f"no scan has a row with diagnosis {', '.join(sorted(absent))}")
    shares = {
        "test": config.test_fraction,
        "validation": config.validation_fraction,
        "calibration": config.calibration_fraction,
    }
    split = split_by_subject([example.visit for example in manifest.examples], shares, config.seed)
    prove_disjoint({part: split.part(part) for part in ("train", *shares)})
    _prepare_folder(config)
    write_text(config.out / "private" / "splits.tsv", split.to_tsv())
    return _train(config, base, manifest, split, on_event)


def _prepare_folder(config: FinetuneConfig) -> None:
    claim_folder(config.out, overwrite=config.overwrite, marker="adapter.json")
    if config.overwrite:
        for name in ("adapter.json", "adapter.safetensors", "README.md"):
            (config.out / name).unlink(missing_ok=True)
        shutil.rmtree(config.out / "private", ignore_errors=True)
    settings = config.to_dict() | {"scans": config.scans.name, "out": config.out.name}
    settings["table"] = [path.name for path in config.tables]
    write_text(config.out / "private" / "config.toml", _to_toml(settings))


def _train(
    config: FinetuneConfig, base: BaseWeights, manifest: Manifest, split: Split, on_event: OnEvent
) -> FinetuneResult:
    import numpy as np
    import torch

    from adclip.clinical.baseline import MetadataBaseline
    from adclip.clinical.reports import template_version
    from adclip.model.build import load_network
    from adclip.model.checkpoint import AdapterRecord, save_adapter, with_class_texts
    from adclip.model.device import choose_device, choose_dtype
    from adclip.model.prompts import adapter_state, count_trainable
    from adclip.training.calibrate import answer, calibrate
    from adclip.training.dataset import read_cohort
    from adclip.training.loop import Loop, LoopConfig
    from adclip.training.measure import count_subjects, measure
    from adclip.training.scoring import Reader

    device = choose_device(config.device)
    labels = tuple(str(label) for label in Diagnosis)
    cohort = read_cohort(manifest.examples, base.config.contract, labels, on_event)
    places = {part: cohort.indices_of(set(split.part(part))) for part in ("train", "validation", "calibration", "test")}
    known = cohort.mmse[places["train"]].numpy()
    known = known[~np.isnan(known)]
    mmse_stats = (float(known.mean()), float(known.std() or 1.0)) if len(known) > 1 else (27.0, 3.0)

    torch.manual_seed(config.seed)
    network = load_network(base, config.prompts, dtype=choose_dtype(config.precision, device)).to(device)
    if config.checkpointing:
        network.checkpoint_activations()
    if config.compile:
        network.compile_blocks()
    ours, total = count_trainable(network)
    on_event(Step(f"training {ours:,} of {total:,} parameters on {len(places['train'])} scans ({device.type})"))
    reader = Reader(network, base.tokenizer, labels, config.style)
    loop = Loop(
        reader,
        cohort,
        places["train"],
        places["validation"],
        mmse_stats,
        LoopConfig(
            config.epochs, config.batch_size, config.learning_rate, config.weight_decay, config.alpha, config.seed
        ),
        _fingerprint(config, split, manifest, base.sha256),
    )
    progress = loop.run(config.out / "private" / "resume" / "state.safetensors", on_event)
    lines = "".join(json.dumps(row) + "\n" for row in progress.history)
    write_text(config.out / "private" / "metrics.jsonl", lines)

    has_mmse = config.prompts.mmse_token and len(known) > 1
    # repeated visits of one person are not exchangeable: one visit each
    once = list({cohort.visits[place].subject_id: place for place in reversed(places["calibration"])}.values())
    calibration = calibrate(answer(reader, cohort, once, mmse_stats), cohort.labels[once], cohort.mmse[once])
    train_visits = [cohort.visits[place] for place in places["train"]]
    baseline = MetadataBaseline.fit(train_visits, [str(visit.diagnosis) for visit in train_visits], class_order=labels)
    counts = {part: count_subjects(cohort, places[part], labels) for part in places}
    record = AdapterRecord(
        base={"name": base.name, "revision": base.revision, "sha256": base.sha256},
        model=base.config,
        prompts=config.prompts,
        labels=labels,
        phrases={label: CLASS_PHRASES[label] for label in labels},
        style=config.style,
        mmse_mean=mmse_stats[0] if has_mmse else None,
        mmse_sd=mmse_stats[1] if has_mmse else None,
        calibration=calibration,
        metadata_baseline=baseline.to_dict(),
        training={
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "seed": config.seed,
            "batch_size": config.batch_size,
            "learning_rate": config.learning_rate,
            "weight_decay": config.weight_decay,
            "alpha": config.alpha,
            "counts": counts,
            "volumes_sources": sorted({e.visit.volumes_source for e in manifest.examples if e.visit.volumes_source}),
            "trainable_parameters": ours,
            "split_sha256": split.sha256,
        },
        metrics={},
        adclip_version=__version__,
        libraries={name: importlib.metadata.version(name) for name in LIBRARIES},
        template_version=template_version(config.style),
    )
    test = answer(reader, cohort, places["test"], mmse_stats)
    metrics, baselines = measure(record, cohort, places["test"], test, config.out, config.seed)
    named = {f"{group}.{name}": value for group, numbers in baselines.items() for name, value in numbers.items()}
    record = dataclasses.replace(record, metrics=metrics | named)
    with torch.inference_mode():
        state = with_class_texts(adapter_state(network), reader.bare())
    save_adapter(config.out, state, record)
    shutil.rmtree(config.out / "private" / "resume", ignore_errors=True)
    return FinetuneResult(
        config.out, metrics, baselines, progress.epoch, progress.best_epoch, progress.history, record.notice
    )


def _fingerprint(config: FinetuneConfig, split: Split, manifest: Manifest, base_sha256: str) -> str:
    settings = {k: v for k, v in config.to_dict().items() if k not in ("out", "scans", "table", "device", "overwrite")}
    scans = sorted(example.sha256 for example in manifest.examples)
    text = json.dumps([settings, split.sha256, scans, base_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _to_toml(settings: dict[str, Any]) -> str:
    """Write flat settings and one level of tables as TOML; unset values are left out."""
    flat = [f"{key} = {json.dumps(value)}" for key, value in settings.items()
            if value is not None and not isinstance(value, dict)]  # fmt: skip
    for name, table in settings.items():
        if isinstance(table, dict):
            flat += ["", f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items() if v is not None)]
    return "\n".join(flat) + "\n"
