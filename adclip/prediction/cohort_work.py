"""What `predict` and `explain` do with each scan of a cohort, in whatever process: look for its record, else make and keep it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from adclip.domain import ReadOptions, ScanItem
from adclip.errors import AdclipError
from adclip.imaging.sources.source import Stamp, check_unchanged, stamp_of
from adclip.prediction.fingerprints import fingerprint
from adclip.prediction.jobs import Job
from adclip.prediction.record_store import RecordStore
from adclip.prediction.telling import Telling
from adclip.runtime.cohort import Outcome, attempt

if TYPE_CHECKING:
    from adclip.prediction.predictor import Predictor


@dataclass(frozen=True)
class Numbered:
    """A scan of a cohort with its place among those that are done now."""

    place: int
    job: Job


@dataclass(frozen=True)
class Done:
    """What became of one scan.

    Parameters
    ----------
    place : int
        As in `Numbered`.
    record : mapping
        Plain JSON types, without the fingerprint.
    error : AdclipError or None
        Why it failed.
    kept : bool
        Whether an earlier run had done it.
    told : tuple of (path, text)
        What the user should know of its files.
    """

    place: int
    record: Mapping[str, Any]
    error: AdclipError | None = None
    kept: bool = False
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ModelChoice:
    """Which model answers, and how: the settings of `Predictor.from_checkpoint`."""

    model: str
    device: str
    precision: str
    volumes: bool
    telling: Telling = Telling()  # noqa: RUF009  it is frozen, so it may be shared
    seed: int = 0

    @property
    def device_type(self) -> str:
        """`cpu`, `cuda` or `mps`; torch is asked only where it is not the user's word.

        Raises
        ------
        DeviceError
            If there is no such device.
        """
        if self.device == "cpu":
            return "cpu"
        from adclip.model.device import choose_device

        return choose_device(self.device).type

    @property
    def precision_used(self) -> str:
        """What `auto` stands for on this machine: another precision gives other numbers."""
        if self.precision != "auto" or self.device_type == "cpu":
            return "fp32" if self.precision == "auto" else self.precision
        from adclip.model.device import DTYPES, choose_device, choose_dtype

        dtype = choose_dtype(self.precision, choose_device(self.device))
        return next(name for name, each in DTYPES.items() if each == dtype)


class Told:
    """What the user should know of the files of a scan: kept, as the process that shows it may be another."""

    def __init__(self) -> None:
        self._said: list[tuple[str, str]] = []

    def __call__(self, item: ScanItem, text: str) -> None:
        """Remember a sentence on a file."""
        self._said.append((str(item.path), text))

    @property
    def said(self) -> tuple[tuple[str, str], ...]:
        """Each file with what was said of it."""
        return tuple(self._said)


@dataclass(frozen=True)
class _Mark:
    """The fingerprint of a scan, and the state of its files when it was taken."""

    fingerprint: str
    stamp: Stamp


@dataclass(frozen=True)
class Answered:
    """A record, and what was told of the files that it was made of."""

    record: Mapping[str, Any]
    told: tuple[tuple[str, str], ...] = ()


class CohortWork(ABC):
    """Answer scans, or keep the answers that are there.

    Parameters
    ----------
    choice : ModelChoice
        The model is loaded when the first scan needs it, once a process.
    options : ReadOptions
        How raw scans are read.
    store : RecordStore or None
        Where records are kept; None keeps none.
    anew : bool
        Whether records that are there are made again.

    Notes
    -----
    Called with a few scans it returns what became of each, in their order. It is pickled into the processes that share a cohort.
    """

    verb = ""

    def __init__(self, choice: ModelChoice, options: ReadOptions, store: RecordStore | None, *, anew: bool) -> None:
        self.choice, self.options, self.store, self._anew = choice, options, store, anew
        self._predictor: Predictor | None = None

    def __call__(self, batch: Sequence[Numbered]) -> list[Done] | AdclipError:
        """Do a few scans; an error instead of them is that of a model that cannot be loaded."""
        marks: dict[int, _Mark | None] = {}
        finished: dict[int, Done] = {}
        for numbered in batch:
            looked = attempt(self._look, numbered.place, numbered.job)
            if looked.value is None:
                finished[numbered.place] = self.fail(numbered, looked.error)
                continue
            marks[numbered.place], earlier = looked.value
            if earlier is not None:
                finished[numbered.place] = Done(numbered.place, earlier, kept=True)
        to_do = [numbered for numbered in batch if numbered.place not in finished]
        if to_do and self._predictor is None:
            try:
                self._predictor = self._load()
            except AdclipError as error:
                return error
        for numbered, outcome in zip(to_do, self.answer_several(to_do), strict=True):
            finished[numbered.place] = self._keep(numbered, outcome, marks[numbered.place])
        return [finished[numbered.place] for numbered in batch]

    def _load(self) -> Predictor:
        from adclip.prediction.predictor import Predictor

        choice = self.choice
        return Predictor.from_checkpoint(
            choice.model, choice.device, choice.precision, choice.volumes, choice.telling, choice.seed
        )

    @property
    def predictor(self) -> Predictor:
        """The loaded model."""
        assert self._predictor is not None
        return self._predictor

    @abstractmethod
    def answer(self, job: Job, told: Told) -> Mapping[str, Any]:
        """Return the record of one scan; `told` takes what the user should know of its files."""

    @abstractmethod
    def failed(self, job: Job, error: AdclipError) -> Mapping[str, Any]:
        """Return the record of a scan that failed."""

    def told_of(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what of a record is shown to the user."""
        return record

    def still_holds(self, record: Mapping[str, Any]) -> bool:
        """Whether the files that a record names are there."""
        return True

    def fail(self, numbered: Numbered, error: AdclipError | None) -> Done:
        """Return what became of a scan that failed."""
        assert error is not None
        return Done(numbered.place, self.failed(numbered.job, error), error)

    def answer_several(self, batch: Sequence[Numbered]) -> Iterator[Outcome[Answered]]:
        """Yield what became of each of several scans, in their order."""
        for numbered in batch:
            yield attempt(self._answer_one, numbered.place, numbered.job)

    def _look(self, job: Job) -> tuple[_Mark | None, dict[str, Any] | None]:
        """Return a scan's fingerprint, and its record if an earlier run did it."""
        if self.store is None:
            return None, None
        stamp = stamp_of(job.item.path)
        mark = fingerprint(self.store.run, job, self.options, volumes=self.choice.volumes)
        earlier = None if self._anew else self.store.find(job.item, mark)
        return _Mark(mark, stamp), earlier if earlier is not None and self.still_holds(earlier) else None

    def _answer_one(self, job: Job) -> Answered:
        told = Told()
        return Answered(self.answer(job, told), told.said)

    def _keep(self, numbered: Numbered, outcome: Outcome[Answered], mark: _Mark | None) -> Done:
        item = numbered.job.item
        if outcome.value is None:
            return self.fail(numbered, outcome.error)
        if self.store is not None and mark is not None:
            unchanged = attempt(partial(check_unchanged, item.path), numbered.place, mark.stamp)
            if unchanged.error is not None:  # the fingerprint is that of other bytes
                return self.fail(numbered, unchanged.error)
            self.store.write(item, outcome.value.record, mark.fingerprint)
        return Done(numbered.place, outcome.value.record, told=outcome.value.told)
