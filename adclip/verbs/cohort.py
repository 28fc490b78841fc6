"""What `predict` and `explain` share: from the inputs to the scans of this run, and through all of them to their records."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adclip.domain import ReadOptions, ScanItem
from adclip.model.record import AdapterRecord
from adclip.prediction.cohort_run import BATCHES, Failures, Tally, run_cohort, share_out
from adclip.prediction.cohort_work import CohortWork, Done, ModelChoice
from adclip.prediction.fingerprints import RunIdentity, hash_recipe, identify_model
from adclip.prediction.jobs import Job, check_scans, find_jobs, tell_notes
from adclip.prediction.record_store import RecordStore
from adclip.prediction.telling import Telling
from adclip.runtime.events import OnEvent, Step, Warned
from adclip.runtime.shards import choose_shard, take_shard
from adclip.verbs.settings import ExplainConfig, PredictConfig

Config = PredictConfig | ExplainConfig


@dataclass(frozen=True)
class Scans:
    """The scans of a cohort and this run's share of them.

    Parameters
    ----------
    every : list of Job
        All of them, in the order found.
    jobs : list of Job
        Those of this shard.
    is_shard : bool
        Whether another run may do the others.
    """

    every: list[Job]
    jobs: list[Job]
    is_shard: bool

    @property
    def items(self) -> list[ScanItem]:
        """All scans of the cohort."""
        return [job.item for job in self.every]


def read_options(config: Config) -> ReadOptions:
    """Return how raw scans are read."""
    return ReadOptions(config.orientation, config.series, config.modality)


def model_choice(config: Config) -> ModelChoice:
    """Return which model answers, and how."""
    return ModelChoice(config.model, config.device, config.precision, config.volumes, config.telling, config.seed)


def gather(config: Config, record: AdapterRecord, on_event: OnEvent) -> Scans:
    """Find the scans, join them with their rows, and take this run's share; a lone scan is read at once.

    Raises
    ------
    AdclipError
        If there is no scan, a table is unusable, or the lone scan is.
    """
    if config.columns and not config.metas:
        on_event(Warned("--column", "there is no table that it could speak of: give one with --meta"))
    tables = replace(config.table_options, task=record.task, answers=False)
    every = find_jobs(config.inputs, config.metas, tables, config.subject, on_event, config.name_pattern)
    shard = choose_shard(config.shard, len(every), on_event)
    jobs = take_shard(every, shard)
    tell_notes(jobs, on_event)
    check_scans(jobs, read_options(config))
    return Scans(every, jobs, shard is not None)


def open_store(
    config: Config,
    record: AdapterRecord,
    scans: Scans,
    kind: str,
    results: tuple[str, ...],
    settings: Mapping[str, Any],
) -> RecordStore:
    """Return the store of records in `--out`, after a look at whose folder that is.

    Parameters
    ----------
    config : PredictConfig or ExplainConfig
        With an `out`.
    record : AdapterRecord
        Of the model.
    scans : Scans
    kind : str
        Ends the names of records.
    results : tuple of str
        Files that are made of all records.
    settings : mapping
        Further settings that change an answer, by flag.

    Raises
    ------
    OutputError
        If the folder cannot be used, or holds what this run would lose.
    """
    assert config.out is not None
    choice = model_choice(config)
    every = {
        "--orientation": config.orientation, "--series": config.series, "--modality": config.modality,
        "--volumes": config.volumes, "--precision": choice.precision_used, "--seed": config.seed, **_said(config.telling),
        **settings,
    }  # fmt: skip
    recipe = hash_recipe(record.model.contract, volumes=config.volumes)
    verb = "predict" if isinstance(config, PredictConfig) else "explain"
    run = RunIdentity(verb, identify_model(config.model), every, recipe)
    store = RecordStore(config.out, kind, run, results)
    store.check(scans.items, overwrite=config.overwrite)
    return store


def _said(telling: Telling) -> dict[str, Any]:
    """Return how answers are told, by flag."""
    values = {field.name: getattr(telling, field.name) for field in dataclasses.fields(telling)}
    return {
        f"--{name.replace('_', '-')}": list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }


def work_through(
    work: CohortWork,
    scans: Scans,
    config: Config,
    on_event: OnEvent,
    listen: Callable[[Done], None] = lambda done: None,
) -> Tally:
    """Do this run's scans, in one process or several.

    Parameters
    ----------
    work : CohortWork
    scans : Scans
    config : PredictConfig or ExplainConfig
    on_event : callable
    listen : callable
        Hears what became of each scan, as it comes.

    Raises
    ------
    AdclipError
        If every scan failed: what is missing on this machine, else the first error. A folder that is new and no shard's is not
        there then.
    """
    store, jobs = work.store, scans.jobs
    in_any_case = store is None or scans.is_shard or store.out.is_dir()
    if store is not None:
        store.begin(scans.items, overwrite=config.overwrite)
    tally, failures = Tally(), Failures(store, at_once=in_any_case)
    device = work.choice.device_type
    workers = share_out(jobs, config.workers, device)
    for done in run_cohort(work, jobs, workers, BATCHES[device], on_event):
        tally.enter(done)
        failures.enter(jobs[done.place].item, done)
        listen(done)
    if store is not None and jobs and not failures.is_anything_done:
        store.leave()
    if jobs and tally.failed == len(jobs):
        raise tally.worst()
    if tally.kept:
        on_event(Step(f"{tally.kept} of {len(jobs)} scans were done by an earlier run"))
    return tally


def tell_rest(config: Config, written: int, scans: Sequence[Job], on_event: OnEvent) -> None:
    """Say how much of the cohort the files in `--out` hold as long as that is not all."""
    if written < len(scans):
        on_event(Step(f"{config.out} holds {written} of {len(scans)} scans so far; the other shards add theirs"))
