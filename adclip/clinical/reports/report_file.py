"""A file of reports: one record each, traced to the columns of its visit."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from adclip.clinical.reports import Span, fields_of, traced, usable_fields
from adclip.clinical.settings import SynthesizeReportsConfig
from adclip.domain import RESEARCH_NOTICE, Report, Visit
from adclip.runtime.events import Advanced, OnEvent, Started, Step
from adclip.runtime.paths import atomic_path
from adclip.runtime.spreadsheets import escape_cell
from adclip.task import Task

TASK = "writing reports"
_COLUMNS = (
    "subject_id", "session_id", "label", "text", "style", "template_version", "fields", "missing", "flags", "synthetic",
    "notice",
)  # fmt: skip
_PREVIEWS = 3


@dataclass(frozen=True)
class ReportRecord:
    """One line of a file of reports.

    Parameters
    ----------
    subject_id, session_id : str or None
        Whose visit it is.
    label : str or None
        Class named in the label phrase; None where the phrase is left out.
    text : str
        The words the text tower reads.
    style, template_version : str
        Which template wrote it.
    fields : tuple of Span
        Every printed value and where it came from.
    missing : tuple of str
        Columns that the report could have said and the visit cannot supply.
    flags : tuple of str
        What was left out and why.
    synthetic : bool
        Always true: no physician wrote it.
    """

    subject_id: str | None
    session_id: str | None
    label: str | None
    text: str
    style: str
    template_version: str
    fields: tuple[Span, ...]
    missing: tuple[str, ...]
    flags: tuple[str, ...]
    synthetic: bool = True
    notice: str = RESEARCH_NOTICE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types in the order of the file."""
        fields = [span._asdict() | {"sources": list(span.sources)} for span in self.fields]
        return {**vars(self), "fields": fields, "missing": list(self.missing), "flags": list(self.flags)}


@dataclass
class Written:
    """What stands in a file of reports: their number, the labels and flags among them, and the first ones."""

    reports: int = 0

    def __post_init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.first: list[dict[str, Any]] = []


def write_reports(
    out: Path, visits: Sequence[Visit], config: SynthesizeReportsConfig, task: Task, on_event: OnEvent
) -> Written:
    """Write one record for each report of each visit, as JSON lines or CSV by the ending of `out`, whole or not at all."""
    on_event(Started(TASK, len(visits)))
    written = Written()
    stride = max(1, len(visits) // 100)
    with (
        atomic_path(out) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        write = _csv_writer(stream) if out.suffix == ".csv" else _jsonl_writer(stream)
        for done, visit in enumerate(visits, start=1):
            for record in _records(visit, config, task, phrasing_of(config.seed, visit, done)):
                write(record)
                written.reports += 1
                written.flags.update(record["flags"])
                if record["label"] is not None:
                    written.labels[record["label"]] += 1
                if len(written.first) < _PREVIEWS:
                    written.first.append(record)
            if done % stride == 0 or done == len(visits):
                on_event(Advanced(TASK, done))
    on_event(Step(f"reports written to {out.name}: {written.reports}"))
    return written


def phrasing_of(seed: int | None, visit: Visit, number: int) -> int:
    """Return the wording of a visit's report: 0, the canonical one, without a seed.

    It follows from whose visit it is, not from its place, which the diagnoses of other rows could shift; only a row without
    any id goes by its number.
    """
    if seed is None:
        return 0
    named = (visit.subject_id, visit.session_id or "", visit.visit_date or "", visit.scan or "")
    identity = "\0".join(named) if any(named) else str(number)
    digest = hashlib.sha256(f"{seed} {identity}".encode()).digest()
    return 1 + int.from_bytes(digest[:4], "big")


def _records(visit: Visit, config: SynthesizeReportsConfig, task: Task, phrasing: int) -> Iterator[dict[str, Any]]:
    if config.mode == "candidate":
        labels: tuple[str | None, ...] = task.classes
    else:
        labels = (visit.diagnosis if config.mode == "train" else None,)
    for label in labels:
        traces = traced(visit, config.style, label, task.keep(fields_of(config.style)), phrasing, task.phrases)
        yield _to_record(visit, *traces, _missing(visit, config.style, task))


def _missing(visit: Visit, style: str, task: Task) -> list[str]:
    """Return the columns that a report of this task could say and the visit cannot supply: for people, since no text may tell."""
    supplied = {*usable_fields(visit, style)}
    return [column for column in task.usable(fields_of(style)) if column not in supplied]


def _to_record(visit: Visit, report: Report, spans: Sequence[Span], missing: list[str]) -> dict[str, Any]:
    """Return one record: the report, whose it is, where each number came from, and what there was none of."""
    record = ReportRecord(
        subject_id=visit.subject_id or None,
        session_id=visit.session_id,
        label=report.label,
        text=report.text,
        style=report.style,
        template_version=report.template_version,
        fields=tuple(spans),
        missing=tuple(missing),
        flags=report.flags,
    )
    return record.to_dict()


def _jsonl_writer(stream: TextIO) -> Any:
    def write(record: dict[str, Any]) -> None:
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    return write


def _csv_writer(stream: TextIO) -> Any:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)

    def write(record: dict[str, Any]) -> None:
        cells = {
            **record,
            "fields": json.dumps(record["fields"]),
            "missing": ";".join(record["missing"]),
            "flags": ";".join(record["flags"]),
            "synthetic": "true",
        }
        writer.writerow([escape_cell("" if cells[name] is None else str(cells[name])) for name in _COLUMNS])

    return write
