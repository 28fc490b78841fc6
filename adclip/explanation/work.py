"""What `explain` does with each scan: its files, its record, and its section of the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from adclip.domain import ReadOptions, ScanItem
from adclip.errors import AdclipError
from adclip.explanation.explain_one import Explanation, Wish, explain_one
from adclip.explanation.figures import Bar, PageSection
from adclip.imaging.sources.in_turn import try_in_turn
from adclip.prediction.cohort_work import CohortWork, ModelChoice, Told
from adclip.prediction.jobs import Job, added_flags, failed_prediction
from adclip.prediction.record_store import RecordStore

SECTION = "section"  # of the page: what stands in the record beside the explanation, but for the picture


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
        paths = [self._out / name for name in record.get("files", {}).values()]
        return SECTION in record and all(path.is_file() and path.stat().st_size for path in paths)

    def told_of(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the explanation alone."""
        return {name: value for name, value in record.items() if name != SECTION}

    def _explain(self, job: Job, item: ScanItem) -> Mapping[str, Any]:
        """Explain a job by one of its files, the first or another."""
        of_file = replace(job, item=item, flags=(*item.flags, *added_flags(job)))
        explanation, section = explain_one(self.predictor, of_file, self.options, self._wish, self._out)
        return {**explanation.to_dict(), SECTION: _to_json(section)}


def sections(records: Iterable[Mapping[str, Any]], out: Path) -> Iterator[PageSection]:
    """Yield the page's section of every scan that was explained, its picture read when it is needed."""
    for record in records:
        if SECTION in record:
            content = record[SECTION]
            picture = (out / record["files"]["figure"]).read_bytes()
            tables = [
                (caption, header, [[_to_cell(cell) for cell in row] for row in rows])
                for caption, header, rows in content["tables"]
            ]
            words = [(text, relevance) for text, relevance in content.get("words", ())]
            yield PageSection(content["title"], picture, content["facts"], tables, words)


def _to_json(section: PageSection) -> dict[str, Any]:
    """Return a section without its picture in plain JSON types."""
    tables = [
        [caption, list(header), [[vars(cell) if isinstance(cell, Bar) else cell for cell in row] for row in rows]]
        for caption, header, rows in section.tables
    ]
    words = [list(word) for word in section.words]
    return {"title": section.title, "facts": dict(section.facts), "tables": tables, "words": words}


def _to_cell(cell: str | Mapping[str, Any]) -> str | Bar:
    return cell if isinstance(cell, str) else Bar(**cell)
