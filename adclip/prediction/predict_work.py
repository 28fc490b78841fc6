"""What `predict` does with each scan: the record of its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from adclip.domain import ReadOptions, ScanItem
from adclip.errors import AdclipError
from adclip.imaging.sources.in_turn import try_in_turn
from adclip.prediction.answer import with_flags
from adclip.prediction.beside import answer_together
from adclip.prediction.cohort_work import Answered, CohortWork, ModelChoice, Numbered, Told
from adclip.prediction.jobs import Job, added_flags, failed_prediction
from adclip.prediction.record_store import RecordStore
from adclip.runtime.cohort import Outcome, attempt
from adclip.task import Task

if TYPE_CHECKING:
    from adclip.domain import Prediction
    from adclip.imaging.prepare import PreparedScan


class PredictWork(CohortWork):
    """Predict scans, or keep the predictions that are there; see `CohortWork`.

    Parameters
    ----------
    choice, options, store, anew
        As there.
    task : Task
        Of the model, for the records of scans that fail.
    """

    verb = "predict"

    def __init__(
        self, choice: ModelChoice, options: ReadOptions, store: RecordStore | None, *, anew: bool, task: Task
    ) -> None:
        super().__init__(choice, options, store, anew=anew)
        self._task = task

    def answer(self, job: Job, told: Told) -> Mapping[str, Any]:
        """Return the record of one scan."""
        read = partial(self.predictor, meta=job.visit, options=self.options)
        return _to_record(job, try_in_turn(job.item, read, told))

    def failed(self, job: Job, error: AdclipError) -> Mapping[str, Any]:
        """Return the record of a scan that failed."""
        return failed_prediction(job.item, error, self._task).to_dict()

    def answer_several(self, batch: Sequence[Numbered]) -> Iterator[Outcome[Answered]]:
        """Yield what became of several scans, in their order; good ones go through the network together."""
        if len(batch) < 2:
            yield from super().answer_several(batch)
            return
        read = [attempt(self._prepare, one.place, one.job) for one in batch]
        good = [index for index, outcome in enumerate(read) if outcome.value is not None]
        together = attempt(self._answer_all, 0, [(batch[index].job, read[index].value) for index in good])
        if together.value is None:  # whichever of them it was, the others are done all the same
            yield from super().answer_several(batch)
            return
        records = dict(zip(good, together.value, strict=True))
        for index, outcome in enumerate(read):
            value = Answered(records[index], outcome.value[2].said) if outcome.value is not None else None
            yield Outcome(outcome.index, value, outcome.error, outcome.seconds)

    def _prepare(self, job: Job) -> tuple[ScanItem, PreparedScan, Told]:
        told = Told()

        def read(item: ScanItem) -> tuple[ScanItem, PreparedScan, Told]:
            return item, self.predictor.prepare(item, self.options), told

        return try_in_turn(job.item, read, told)

    def _answer_all(self, read: Sequence[tuple[Job, Any]]) -> list[Mapping[str, Any]]:
        prepared = [scan for _, (_, scan, _) in read]
        evidence = [self.predictor.evidence(scan, job.visit) for job, (_, scan, _) in read]
        answers = answer_together(self.predictor, prepared, evidence)
        return [
            _to_record(job, self.predictor.to_prediction(item, scan, known, answer))
            for (job, (item, scan, _)), known, answer in zip(read, evidence, answers, strict=True)
        ]


def _to_record(job: Job, prediction: Prediction) -> Mapping[str, Any]:
    return with_flags(prediction, added_flags(job)).to_dict()
