"""`adclip finetune`: a cohort of preprocessed scans and their table to a RUN folder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import RESEARCH_NOTICE
from adclip.runtime.events import OnEvent, Step, Warned, ignore
from adclip.runtime.paths import write_text
from adclip.task import Task
from adclip.training.settings import FinetuneConfig

if TYPE_CHECKING:
    from adclip.model.record import AdapterRecord
    from adclip.training.enrol import Enrolment
    from adclip.training.run_folder import RunFolder


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
        `scan_only`, `metadata_only`, `volumes_only` and `majority` -> the same on the same subjects, where there are any.
    differences : dict
        The same groups -> metrics of the model less theirs, each with the interval of the difference.
    epochs_run, best_epoch : int
    history : list of dict
        Losses of each epoch.
    notice : str
    """

    out: Path
    metrics: dict[str, Any]
    baselines: dict[str, Any]
    differences: dict[str, Any]
    epochs_run: int
    best_epoch: int
    history: list[dict[str, float]]
    notice: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "out": str(self.out)}


def finetune(config: FinetuneConfig, on_event: OnEvent = ignore) -> FinetuneResult:
    """Prompt-tune a base model on a cohort, calibrate it, measure it, and write a RUN folder.

    A run that was stopped goes on; one that has ended with the same settings, scans and rows is not repeated.

    Parameters
    ----------
    config : FinetuneConfig
    on_event : callable
        Told of every step.

    Returns
    -------
    FinetuneResult

    Raises
    ------
    InputError
        If scans, table or output folder cannot be used.
    """
    from adclip.model.places import remember
    from adclip.training.enrol import enrol
    from adclip.training.history import read_history
    from adclip.training.run_folder import RunFolder

    config = config.resolved()
    config.read_task()  # what is wrong with it is told before anything else is looked at
    folder = RunFolder(config)
    folder.check()
    enrolled = enrol(config, on_event)
    fingerprint = enrolled.fingerprint(config)
    with folder.held(fingerprint, on_event):
        record = folder.finished(fingerprint)
        if record is None:
            remember(enrolled.base)
            folder.begin(enrolled.split.to_tsv(), enrolled.scans_to_tsv())
            return _train(config, folder, enrolled, fingerprint, on_event)
        on_event(Step(f"{config.out}: finished already with these settings, scans and rows; nothing is left to do"))
        return _to_result(config, record, read_history(folder.private))


def _to_result(config: FinetuneConfig, record: AdapterRecord, history: list[dict[str, float]]) -> FinetuneResult:
    epochs, best_epoch = record.training.epochs or 0, record.training.best_epoch or 0
    return FinetuneResult(config.out, *record.by_group(), epochs, best_epoch, history, record.notice)


@dataclass(frozen=True)
class FinetunePlan:
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
    notice: str = RESEARCH_NOTICE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


def plan(config: FinetuneConfig, on_event: OnEvent = ignore) -> FinetunePlan:
    """Say what `finetune` would do with the same settings, time one step, and write nothing."""
    from adclip.prediction.dataset import read_cohort
    from adclip.training.enrol import enrol
    from adclip.training.methods import Material
    from adclip.training.rehearse import rehearse
    from adclip.training.run_folder import RunFolder

    config = config.resolved()
    config.read_task()
    RunFolder(config).check()
    enrolled = enrol(config, on_event)
    enrolled.prove_unchanged(config)
    task = enrolled.task
    of = enrolled.examples_of_parts()
    batch = of["train"][: config.batch_size]
    cohort = read_cohort(batch, enrolled.base.config.contract, task, ignore, keep=False)
    places = {part: list(range(len(batch))) if part == "train" else [] for part in of}
    cost = rehearse(
        Material(config, enrolled.base, task, cohort, places, _middle_of(task), ""),
        len(of["train"]),
        len(of["validation"]),
    )
    return FinetunePlan(
        {part: len(members) for part, members in enrolled.subjects.items()},
        {part: len(examples) for part, examples in of.items()},
        cost.minutes,
        cost.memory_gb,
        cost.seconds_per_step,
    )


def _train(
    config: FinetuneConfig, folder: RunFolder, enrolled: Enrolment, fingerprint: str, on_event: OnEvent
) -> FinetuneResult:
    import numpy as np

    from adclip.evaluation.measure import measure
    from adclip.evaluation.plots import plot_history
    from adclip.model.card_calibration import missing_sets
    from adclip.model.checkpoint import save_adapter, save_baseline, write_tensors
    from adclip.model.device import choose_device
    from adclip.prediction.canary import ask_canary
    from adclip.prediction.dataset import read_cohort
    from adclip.prediction.similar import TrainingCases, write_cases
    from adclip.training.certificate import certify
    from adclip.training.gather import gather_record
    from adclip.training.methods import Material, fit
    from adclip.training.run_folder import CERTIFICATE, LAST

    base, task = enrolled.base, enrolled.task
    unchanged = enrolled.prove_unchanged(config)
    cohort = read_cohort(enrolled.manifest.examples, base.config.contract, task, on_event)
    places = {part: cohort.indices_of(set(members)) for part, members in enrolled.subjects.items()}
    certificate = certify(cohort, places, base.config.contract, unchanged)
    write_text(folder.private / CERTIFICATE, json.dumps(certificate.to_dict(), indent=2) + "\n")
    true_scores = cohort.mmse[places["train"]].numpy()
    true_scores = true_scores[~np.isnan(true_scores)]
    if len(true_scores) < 2:
        on_event(
            Warned(
                str(config.tables[0]),
                f"no {task.score} of the training subjects is known; none will be estimated",
            )
        )
    scaling = (float(true_scores.mean()), float(true_scores.std() or 1.0)) if len(true_scores) > 1 else _middle_of(task)
    if config.objective == "paper":
        scaling = (0.0, 1.0)  # the published loss is on raw points

    cohort = cohort.where_it_fits(choose_device(config.device))
    material = Material(config, base, task, cohort, places, scaling, fingerprint)
    fitted = fit(material, folder.state, on_event)
    plot_history(folder.private / "plots", fitted.progress.history, fitted.progress.best_epoch)
    on_event(Step("calibrating, and measuring the test subjects"))
    record = gather_record(material, enrolled, fitted, certificate, known_scores=len(true_scores))
    for warning in missing_sets(record.calibration):
        on_event(Warned(str(config.out), warning))
    metrics = measure(
        record,
        cohort,
        places["test"],
        fitted.answers(places["test"]),
        config.out,
        config.seed,
        float(true_scores.mean()) if len(true_scores) else None,
    )
    record = dataclasses.replace(record, metrics=metrics)
    if fitted.state is None:
        folder.make_room()
        save_baseline(config.out, record)
    else:
        if fitted.last is not None:
            write_tensors(folder.private / LAST, fitted.last)
        if fitted.read_outs is not None:
            visits = [cohort.visits[place] for place in places["train"]]
            write_cases(folder.private, TrainingCases.of(fitted.read_outs.numpy(), visits, fingerprint))
        save_adapter(config.out, fitted.state, record, folder.make_room, ask_canary)
    folder.end()
    return _to_result(config, record, fitted.progress.history)


def _middle_of(task: Task) -> tuple[float, float]:
    """Return a mean and a standard deviation for a score that nobody's value is known of: towards its upper end."""
    low, high = task.score_range
    return low + 0.9 * (high - low), 0.1 * (high - low)
