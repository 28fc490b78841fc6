"""What `explain` does with each scan: its files, its page among them, and its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from adclip.domain import ReadOptions, ScanItem
from adclip.errors import AdclipError
from adclip.explanation.explain_one import Wish, explain_one
from adclip.explanation.page.index import PAGE_KIND, SECTION
from adclip.explanation.record import Explanation
from adclip.imaging.sources.in_turn import try_in_turn
from adclip.prediction.cohort_work import CohortWork, ModelChoice, Told
from adclip.prediction.jobs import Job, added_flags, failed_prediction
from adclip.prediction.record_store import RecordStore


class ExplainWork(CohortWork):
    """Explain scans, or keep the explanations that are there; see `CohortWork`.

    Parameters
    ----------
    choice, options, store, anew
        As there.
    wish : Wish
        What is to be explained.
    """

    verb = "explain"

    def __init__(
        self, choice: ModelChoice, options: ReadOptions, store: RecordStore, *, anew: bool, wish: Wish
    ) -> None:
        super().__init__(choice, options, store, anew=anew)
        self._wish, self._out = wish, store.out

    def answer(self, job: Job, told: Told) -> Mapping[str, Any]:
        """Write the files of one scan, and return its record."""
        return try_in_turn(job.item, partial(self._explain, job), told)

    def failed(self, job: Job, error: AdclipError) -> Mapping[str, Any]:
        """Return the record of a scan that failed."""
        failed = failed_prediction(job.item, error)
        return Explanation(
            failed.scan, failed.subject_id, failed.session_id, "failed", error=failed.error, hint=failed.hint
        ).to_dict()

    def still_holds(self, record: Mapping[str, Any]) -> bool:
        """Whether every file of an explanation is there and not empty."""
        files = record.get("files", {})
        paths = [self._out / name for name in files.values()]
        return (
            SECTION in record and PAGE_KIND in files and all(path.is_file() and path.stat().st_size for path in paths)
        )

    def told_of(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the explanation alone."""
        return {name: value for name, value in record.items() if name != SECTION}

    def _explain(self, job: Job, item: ScanItem) -> Mapping[str, Any]:
        """Explain a job by one of its files, the first or another."""
        of_file = replace(job, item=item, flags=(*item.flags, *added_flags(job)))
        explanation, section = explain_one(self.predictor, of_file, self.options, self._wish, self._out)
        return {**explanation.to_dict(), SECTION: section.to_dict()}
