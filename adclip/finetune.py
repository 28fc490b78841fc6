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
from adclip.events import OnEvent, Warned, ignore
from adclip.paths import claim_folder, write_text
from adclip.task import Task
from adclip.version import __version__

if TYPE_CHECKING:
    from adclip.clinical.manifest import Manifest
    from adclip.clinical.splits import Split
    from adclip.training.enrol import Enrolment

LIBRARIES = ("torch", "transformers", "nibabel", "numpy")
# Settings that a RUN tells of its training; paths and devices are not among them.
RECORDED = (
    "method", "recipe", "from_scratch", "objective", "label_policy", "seed", "fold", "train_size", "batch_size", "learning_rate",
    "weight_decay", "pretrained_rate", "alpha", "bare_weight", "contrast_weight", "report_dropout", "field_dropout", "memory", "patience",
    "augment", "flip", "precision",
)  # fmt: skip


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
    from adclip.training.enrol import enrol

    config = config.resolved()
    enrolled = enrol(config, on_event)
    _prepare_folder(config)
    write_text(config.out / "private" / "splits.tsv", enrolled.split.to_tsv())
    return _train(config, enrolled, on_event)


@dataclass(frozen=True)
class Plan:
    """What a fine-tuning would do.

    Parameters
    ----------
    subjects, scans : dict
        Part -> how many.
    minutes, memory_gb, seconds_per_step : float
        By one step that was timed here; see `adclip.training.rehearse`.
    """

    subjects: dict[str, int]
    scans: dict[str, int]
    minutes: float
    memory_gb: float
    seconds_per_step: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


def plan(config: FinetuneConfig, on_event: OnEvent = ignore) -> Plan:
    """Say what `finetune` would do with the same settings, time one step, and write nothing."""
    from adclip.training.dataset import read_cohort
    from adclip.training.enrol import enrol
    from adclip.training.methods import Material
    from adclip.training.rehearse import rehearse

    config = config.resolved()
    enrolled = enrol(config, on_event)
    task = enrolled.task
    of = enrolled.examples_of_parts()
    batch = of["train"][: config.batch_size]
    cohort = read_cohort(batch, enrolled.base.config.contract, task, ignore)
    places = {part: list(range(len(batch))) if part == "train" else [] for part in of}
    cost = rehearse(
        Material(config, enrolled.base, task, cohort, places, _middle_of(task), ""),
        len(of["train"]),
        len(of["validation"]),
    )
    return Plan(
        {part: len(theirs) for part, theirs in enrolled.subjects.items()},
        {part: len(examples) for part, examples in of.items()},
        cost.minutes,
        cost.memory_gb,
        cost.seconds_per_step,
    )


def _prepare_folder(config: FinetuneConfig) -> None:
    claim_folder(config.out, overwrite=config.overwrite, marker="adapter.json")
    if config.overwrite:
        for name in ("adapter.json", "adapter.safetensors", "README.md"):
            (config.out / name).unlink(missing_ok=True)
        shutil.rmtree(config.out / "private", ignore_errors=True)
    settings = config.to_dict() | {"scans": config.scans.name, "out": config.out.name}
    settings["table"] = [path.name for path in config.tables]
    settings["task"] = None if config.task is None else config.task.name
    write_text(config.out / "private" / "config.toml", _to_toml(settings))


def _train(config: FinetuneConfig, enrolled: Enrolment, on_event: OnEvent) -> FinetuneResult:
    import numpy as np

    from adclip.clinical.baseline import MetadataBaseline
    from adclip.clinical.reports import template_version
    from adclip.model.checkpoint import save_adapter, save_baseline, write_tensors
    from adclip.model.device import choose_device
    from adclip.model.record import AdapterRecord
    from adclip.training.calibrate import calibrate
    from adclip.training.certificate import certify
    from adclip.training.dataset import read_cohort
    from adclip.training.fit_gate import find_limit
    from adclip.training.measure import count_subjects, measure
    from adclip.training.methods import Material, fit
    from adclip.training.plots import plot_history
    from adclip.training.scoring import report_texts

    base, manifest, split = enrolled.base, enrolled.manifest, enrolled.split
    private = config.out / "private"
    task = enrolled.task
    labels = task.classes
    cohort = read_cohort(manifest.examples, base.config.contract, task, on_event)
    places = {part: cohort.indices_of(set(theirs)) for part, theirs in enrolled.subjects.items()}
    certificate = certify(
        cohort,
        places,
        lambda visit: report_texts(visit, labels, config.style, reports=config.reports, task=task),
        base.config.contract,
    )
    write_text(private / "leak_certificate.json", json.dumps(certificate, indent=2) + "\n")
    known = cohort.mmse[places["train"]].numpy()
    known = known[~np.isnan(known)]
    mmse_stats = (float(known.mean()), float(known.std() or 1.0)) if len(known) > 1 else _middle_of(task)
    if config.objective == "paper":
        mmse_stats = (0.0, 1.0)  # the published loss is on raw points
    if len(known) < 2:
        on_event(
            Warned(str(config.tables[0]), f"no {task.score} of the training subjects is known; none will be estimated")
        )

    cohort = cohort.where_it_fits(choose_device(config.device))
    material = Material(
        config, base, task, cohort, places, mmse_stats, _fingerprint(config, task, split, manifest, base.sha256)
    )
    fitted = fit(material, private / "resume" / "state.safetensors", on_event)
    progress = fitted.progress
    plot_history(private / "plots", progress.history, progress.best_epoch)

    has_mmse = fitted.prompts.mmse_token and len(known) > 1
    # repeated visits of one person are not exchangeable: one visit each
    once = list({cohort.visits[place].subject_id: place for place in reversed(places["calibration"])}.values())
    calibration = dataclasses.replace(
        calibrate(fitted.answers(once), cohort.labels[once], cohort.mmse[once]),
        gate_limit=find_limit(fitted.distances(once)) if once else None,
    )
    train_visits = [cohort.visits[place] for place in places["train"]]
    baseline = MetadataBaseline.fit(
        train_visits, [str(visit.diagnosis) for visit in train_visits], labels, task.columns
    )
    record = AdapterRecord(
        base={"name": base.name, "revision": base.revision, "sha256": base.sha256},
        model=base.config,
        prompts=fitted.prompts,
        labels=labels,
        phrases=dict(task.phrases),
        task=task,
        style=config.style,
        mmse_mean=mmse_stats[0] if has_mmse else None,
        mmse_sd=mmse_stats[1] if has_mmse else None,
        calibration=calibration,
        metadata_baseline=baseline.to_dict(),
        training={
            **{name: getattr(config, name) for name in RECORDED},
            "epochs": progress.epoch,
            "best_epoch": progress.best_epoch,
            "counts": {part: count_subjects(cohort, places[part], labels) for part in places},
            "volumes_sources": sorted({e.visit.volumes_source for e in manifest.examples if e.visit.volumes_source}),
            "trainable_parameters": fitted.trained,
            "split_sha256": split.sha256,
        },
        metrics={},
        adclip_version=__version__,
        libraries={name: importlib.metadata.version(name) for name in LIBRARIES},
        template_version=template_version(config.style),
        reports=config.reports,
    )
    metrics, baselines = measure(
        record,
        cohort,
        places["test"],
        fitted.answers(places["test"]),
        config.out,
        config.seed,
        float(known.mean()) if len(known) else None,
    )
    named = {f"{group}.{name}": value for group, numbers in baselines.items() for name, value in numbers.items()}
    record = dataclasses.replace(record, metrics=metrics | named)
    if fitted.state is None:
        save_baseline(config.out, record)
    else:
        if fitted.last is not None:
            write_tensors(private / "last.safetensors", fitted.last)
        save_adapter(config.out, fitted.state, record)
    shutil.rmtree(private / "resume", ignore_errors=True)
    return FinetuneResult(
        config.out, metrics, baselines, progress.epoch, progress.best_epoch, progress.history, record.notice
    )


def _middle_of(task: Task) -> tuple[float, float]:
    """Return a mean and a standard deviation for a score that nobody's value is known of: towards its upper end."""
    low, high = task.score_range
    return low + 0.9 * (high - low), 0.1 * (high - low)


def _fingerprint(config: FinetuneConfig, task: Task, split: Split, manifest: Manifest, base_sha256: str) -> str:
    settings = {
        k: v
        for k, v in config.to_dict().items()
        if k not in ("out", "scans", "table", "task", "device", "overwrite", "checkpointing", "compile")
    }
    scans = sorted(example.sha256 for example in manifest.examples)
    text = json.dumps([settings, task.to_dict(), split.sha256, scans, base_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _to_toml(settings: dict[str, Any]) -> str:
    """Write flat settings and one level of tables as TOML; unset values are left out."""
    flat = [f"{key} = {json.dumps(value)}" for key, value in settings.items()
            if value is not None and not isinstance(value, dict)]  # fmt: skip
    for name, table in settings.items():
        if isinstance(table, dict):
            flat += ["", f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items() if v is not None)]
    return "\n".join(flat) + "\n"
