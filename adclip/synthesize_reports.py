"""The verb behind `adclip synthesize-reports`: metadata rows -> a file of synthetic reports."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from adclip.clinical.reports import candidates, fields_of, render, spans, usable_fields
from adclip.clinical.table import Table, read_table
from adclip.config import SynthesizeReportsConfig
from adclip.domain import RESEARCH_NOTICE, Diagnosis, Report, Visit
from adclip.errors import OutputError, TableError
from adclip.events import Advanced, OnEvent, Started, Step, Warned, ignore
from adclip.paths import atomic_path

TASK = "writing reports"
_COLUMNS = (
    "subject_id", "session_id", "label", "text", "style", "template_version", "fields", "synthetic", "notice",
)  # fmt: skip
_PREVIEWS = 3
_NEEDED = {"train": ("diagnosis",), "candidate": (), "predict": ()}


@dataclass(frozen=True)
class SynthesizeResult:
    """What was written.

    Parameters
    ----------
    out : Path
        The file.
    reports : int
        Number of records in it.
    by_diagnosis : dict of str to int
        Records by the class in their label phrase; empty in mode ``predict``.
    missing : dict of str to int
        Canonical column -> visits whose report says ``Data unavailable`` for it.
    skipped : int
        Visits left out because mode ``train`` needs a diagnosis.
    rows : list of dict
        The first records, as in the file.
    """

    out: Path
    reports: int
    by_diagnosis: dict[str, int]
    missing: dict[str, int]
    skipped: int
    rows: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; counts only, no record of a person."""
        return {
            "out": str(self.out),
            "reports": self.reports,
            "by_diagnosis": dict(self.by_diagnosis),
            "missing": dict(self.missing),
            "skipped": self.skipped,
            "notice": RESEARCH_NOTICE,
        }


def synthesize_reports(config: SynthesizeReportsConfig, on_event: OnEvent = ignore) -> SynthesizeResult:
    """Write a report for every visit of a table.

    Parameters
    ----------
    config : SynthesizeReportsConfig
        Mode ``train`` writes the true class into the label phrase, ``candidate`` writes one report per class with equal
        sentences, ``predict`` writes no label phrase.
    on_event : callable
        Hears of progress, of columns that look misnamed, and of visits left out.

    Returns
    -------
    SynthesizeResult
        Counts and the first records.

    Raises
    ------
    TableError
        If the table is unusable, or nothing is left to write.
    OutputError
        If the file exists and `overwrite` is false.
    """
    if config.out.is_dir():
        raise OutputError(f"{config.out}: is a folder", "give a file name ending in .jsonl or .csv")
    if config.out.exists() and not config.overwrite:
        raise OutputError.exists(config.out)
    if config.out.resolve() == config.table.resolve():
        raise OutputError(f"{config.out}: is the table itself", "choose another --out")
    table = read_table(config.table, config.columns, need=_NEEDED[config.mode])
    for hint in table.hints:
        on_event(Warned(config.table.name, hint))
    visits = _choose_visits(table, config, on_event)
    missing = _count_missing(visits, config, on_event)

    on_event(Started(TASK, len(visits)))
    counts: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    reports = 0
    stride = max(1, len(visits) // 100)
    with (
        atomic_path(config.out) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        write = _csv_writer(stream) if config.out.suffix == ".csv" else _jsonl_writer(stream)
        for done, visit in enumerate(visits, start=1):
            for record in _records(visit, config):
                write(record)
                reports += 1
                if record["label"] is not None:
                    counts[record["label"]] += 1
                if len(rows) < _PREVIEWS:
                    rows.append(record)
            if done % stride == 0 or done == len(visits):
                on_event(Advanced(TASK, done))
    on_event(Step(f"reports written to {config.out.name}: {reports}"))
    by_diagnosis = {str(name): counts[name] for name in Diagnosis if counts[name]}
    return SynthesizeResult(config.out, reports, by_diagnosis, missing, len(table.rows) - len(visits), rows)


def _choose_visits(table: Table, config: SynthesizeReportsConfig, on_event: OnEvent) -> Sequence[Visit]:
    if config.mode != "train":
        return table.rows
    without = [line for visit, line in zip(table.rows, table.lines, strict=True) if visit.diagnosis is None]
    if len(without) == len(table.rows):
        raise TableError.no_rows(config.table, "no row has a diagnosis, which --mode train needs")
    if without:
        shown = ", ".join(map(str, without[:5])) + (", ..." if len(without) > 5 else "")
        on_event(Warned(config.table.name, f"rows without a diagnosis are left out: {len(without)} (lines {shown})"))
    return [visit for visit in table.rows if visit.diagnosis is not None]


def _count_missing(visits: Sequence[Visit], config: SynthesizeReportsConfig, on_event: OnEvent) -> dict[str, int]:
    present: Counter[str] = Counter()
    empty = 0
    for visit in visits:
        usable = usable_fields(visit, config.style)
        present.update(usable)
        empty += not usable
    if empty:
        on_event(
            Warned(
                config.table.name, f"{empty} of {len(visits)} visits have none of the measurements of {config.style}"
            )
        )
    return {column: len(visits) - present[column] for column in fields_of(config.style)}


def _records(visit: Visit, config: SynthesizeReportsConfig) -> Iterator[dict[str, Any]]:
    if config.mode == "candidate":
        reports = candidates(visit, config.style, tuple(Diagnosis))
    else:
        reports = [render(visit, config.style, visit.diagnosis if config.mode == "train" else None)]
    for report in reports:
        yield _to_record(visit, report)


def _to_record(visit: Visit, report: Report) -> dict[str, Any]:
    """Return one record: the report, whose it is, and where each number came from."""
    return {
        "subject_id": visit.subject_id or None,
        "session_id": visit.session_id,
        "label": report.label,
        "text": report.text,
        "style": report.style,
        "template_version": report.template_version,
        "fields": [
            {
                "start": span.start,
                "end": span.end,
                "column": span.column,
                "value": span.value,
                "unit": span.unit,
                "sources": list(span.sources),
                "rule": span.rule,
            }
            for span in spans(visit, report)
        ],
        "synthetic": True,
        "notice": RESEARCH_NOTICE,
    }


def _jsonl_writer(stream: TextIO) -> Any:
    def write(record: dict[str, Any]) -> None:
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    return write


def _csv_writer(stream: TextIO) -> Any:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)

    def write(record: dict[str, Any]) -> None:
        cells = {**record, "fields": json.dumps(record["fields"]), "synthetic": "true"}
        writer.writerow([_safe_cell(cells[name]) for name in _COLUMNS])

    return write


def _safe_cell(value: Any) -> str:
    """Return the text of a cell that no spreadsheet takes for a formula (OWASP, "CSV injection")."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
