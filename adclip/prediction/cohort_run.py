"""A cohort from its scans to their records: shared out, told as it goes, and gone on with where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adclip.domain import ScanItem
from adclip.errors import EXIT_MISSING, AdclipError
from adclip.prediction.cohort_work import CohortWork, Done, Numbered
from adclip.prediction.jobs import Job
from adclip.prediction.record_store import RecordStore
from adclip.runtime.cohort import run_each
from adclip.runtime.events import Advanced, Failed, OnEvent, Produced, Started, Warned
from adclip.runtime.machine import choose_workers
from adclip.runtime.paths import legible

PREPARED_EACH = 100  # so many prepared scans are worth the seconds in which another process loads torch and the model
GB_RAW, GB_PREPARED = 1.6, 0.8  # of memory for one process, which sets how many are started
# Prepared scans through the network at once. On a CPU nothing is won by more (docs/benchmarks.md); no GPU was measured.
BATCHES = {"cpu": 1, "cuda": 8, "mps": 1}


@dataclass
class Tally:
    """What a run has come to so far.

    Parameters
    ----------
    failed, kept : int
        Scans.
    errors : list of AdclipError
        Of the first failed scan, and the first that is missing on this machine.
    """

    failed: int = 0
    kept: int = 0
    errors: list[AdclipError] = field(default_factory=list)

    def enter(self, done: Done) -> None:
        """Count one scan."""
        self.kept += done.kept
        if done.error is not None:
            self.failed += 1
            if not self.errors or (done.error.exit_code == EXIT_MISSING and len(self.errors) == 1):
                self.errors.append(done.error)

    def worst(self) -> AdclipError:
        """Return the error to end with where no scan could be done: what is missing on this machine, else the first."""
        return next((error for error in self.errors if error.exit_code == EXIT_MISSING), self.errors[0])


def share_out(jobs: Sequence[Job], workers: int, device: str) -> int:
    """Return how many processes should share the work.

    Parameters
    ----------
    jobs : sequence of Job
        What is to be done.
    workers : int
        What the user asked for; 0 leaves the choice to the machine: one process on a GPU, which is quicker than all cores,
        and of prepared scans as many as there is work for.
    device : str
        Type of the device, `cpu`, `cuda` or `mps`.
    """
    raw = sum(not job.item.preprocessed for job in jobs)
    prepared = len(jobs) - raw
    if workers:
        return max(min(workers, len(jobs)), 1)
    if device != "cpu" and not raw:
        return 1
    return choose_workers(0, raw + prepared // PREPARED_EACH, GB_RAW if raw else GB_PREPARED)


def run_cohort(work: CohortWork, jobs: Sequence[Job], workers: int, batch: int, on_event: OnEvent) -> Iterator[Done]:
    """Do every scan, and yield what became of each as it comes.

    Parameters
    ----------
    work : CohortWork
    jobs : sequence of Job
        This run's share of the cohort.
    workers : int
        Processes.
    batch : int
        Prepared scans that go through the network together. Raw ones take seconds each and go one by one, so that a record is
        on disk when its scan is done.
    on_event : callable
        Hears of records, failures, files that were tried in turn, and progress.

    Yields
    ------
    Done
        In the order of the scans with one worker, else as they are done. The record of a failed scan is not on disk yet.

    Raises
    ------
    AdclipError
        If the model cannot be loaded, or something is missing that every scan would miss.
    OSError
        If the disk is full.
    """
    task = f"{work.verb}ing"
    on_event(Started(task, len(jobs)))
    for count, done in enumerate(_each(work, jobs, workers, batch), 1):
        item = jobs[done.place].item
        for path, text in done.told:
            on_event(Warned(path, text))
        if done.error is not None:
            on_event(Failed(legible(item.path), done.error.problem, done.error.remedy))
        on_event(Produced(work.told_of(done.record)))
        on_event(Advanced(task, count, item.path.name))
        yield done


def _each(work: CohortWork, jobs: Sequence[Job], workers: int, batch: int) -> Iterator[Done]:
    numbered = [Numbered(place, job) for place, job in enumerate(jobs)]
    groups: list[list[Numbered]] = list(_group(numbered, batch))
    while groups:
        alone: list[list[Numbered]] = []
        for outcome in run_each(work, groups, workers):
            group = groups[outcome.index]
            if isinstance(outcome.value, AdclipError):
                raise outcome.value
            if outcome.value is not None:
                yield from outcome.value
            elif len(group) > 1:  # one of them ended the process, or filled its memory: which, will be seen
                alone += [[one] for one in group]
            else:
                yield work.fail(group[0], outcome.error)
        groups = alone


def _group(numbered: Sequence[Numbered], batch: int) -> Iterator[list[Numbered]]:
    """Put neighbours together as long as they are prepared already."""
    group: list[Numbered] = []
    for one in numbered:
        if group and (len(group) >= batch or not one.job.item.preprocessed or not group[-1].job.item.preprocessed):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


class Failures:
    """Records of failed scans, which wait for the first that is done: a run that can do nothing leaves no folder behind.

    Parameters
    ----------
    store : RecordStore or None
        Where they are written; None keeps none.
    at_once : bool
        Whether they are written in any case.
    """

    def __init__(self, store: RecordStore | None, *, at_once: bool) -> None:
        self._store, self._at_once = store, at_once
        self._waiting: list[tuple[ScanItem, Mapping[str, Any]]] = []

    def enter(self, item: ScanItem, done: Done) -> None:
        """Take note of what became of a scan."""
        self._at_once = self._at_once or done.error is None
        if self._store is None:
            return
        if done.error is not None:
            self._waiting.append((item, done.record))
        if self._at_once:
            for failed, record in self._waiting:
                self._store.write(failed, record, None)
            self._waiting.clear()

    @property
    def is_anything_done(self) -> bool:
        """Whether anything is to stay on disk."""
        return self._at_once
