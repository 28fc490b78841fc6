"""The verb behind `adclip synthesize-reports`: metadata tables -> checked visits, a clean table, synthetic reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adclip.clinical.columns import COLUMNS
from adclip.clinical.reports import fields_of, usable_fields
from adclip.clinical.reports.report_file import Written, write_reports
from adclip.clinical.settings import SynthesizeReportsConfig
from adclip.clinical.tables.canonical import dictionary_path, write_canonical
from adclip.clinical.tables.people import count_people
from adclip.clinical.tables.table import Table, read_tables
from adclip.domain import RESEARCH_NOTICE, Visit
from adclip.errors import OutputError, TableError
from adclip.runtime.events import OnEvent, Step, Warned, ignore
from adclip.runtime.paths import check_place


@dataclass(frozen=True)
class ColumnSummary:
    """One canonical column of the joined tables: where it came from, and how many visits know it."""

    column: str
    origin: str
    known: int
    missing: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


@dataclass(frozen=True)
class SynthesizeResult:
    """What was read and written.

    Parameters
    ----------
    out, canonical : Path or None
        The files written.
    table : Table
        The visits, and what every column was taken for.
    columns : tuple of ColumnSummary
        Canonical columns of the tables.
    reports : int
        Number of records in `out`.
    by_diagnosis : dict of str to int
        Records by the class in their label phrase; visits by diagnosis where no reports were written.
    missing : dict of str to int
        Canonical column -> visits whose report cannot say it.
    flagged : dict of str to int
        Flag -> reports that carry it, such as a standing left out for lack of norms.
    skipped : int
        Visits left out because mode ``train`` needs a diagnosis.
    rows : list of dict
        The first records, as in the file.
    """

    out: Path | None
    canonical: Path | None
    table: Table
    columns: tuple[ColumnSummary, ...]
    reports: int
    by_diagnosis: dict[str, int]
    missing: dict[str, int]
    flagged: dict[str, int]
    skipped: int
    rows: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; counts only, no record of a person."""
        return {
            "out": None if self.out is None else str(self.out),
            "canonical": None if self.canonical is None else str(self.canonical),
            "tables": dict(self.table.dialects),
            "visits": len(self.table.rows),
            "subjects": count_people(visit.subject_id for visit in self.table.rows if visit.subject_id),
            "reports": self.reports,
            "by_diagnosis": dict(self.by_diagnosis),
            "missing": dict(self.missing),
            "flagged": dict(self.flagged),
            "skipped": self.skipped,
            "columns": [column.to_dict() for column in self.columns],
            "definitions": dict(self.table.definitions),
            "notes": list(self.table.notes),
            "notice": RESEARCH_NOTICE,
        }


def synthesize_reports(config: SynthesizeReportsConfig, on_event: OnEvent = ignore) -> SynthesizeResult:
    """Read and check tables; write the clean table and a report for every visit, where asked for.

    Parameters
    ----------
    config : SynthesizeReportsConfig
        Mode ``train`` writes the true class into the label phrase, ``candidate`` writes one report per class with equal
        sentences, ``predict`` writes no label phrase. Without `out` and `canonical` the tables are only checked.
    on_event : callable
        Hears of progress, of columns that look misnamed, of policies in use, and of visits left out.

    Returns
    -------
    SynthesizeResult
        Counts and the first records.

    Raises
    ------
    TableError
        If a table is unusable, or nothing is left to write. Nothing is written then.
    OutputError
        If a file exists and `overwrite` is false.
    """
    options = config.table_options
    _check_outputs(config)
    writes = config.out is not None
    table = read_tables(config.tables, options, need=("diagnosis",) if writes and config.mode == "train" else ())
    for place, sentence in table.told:
        on_event(Warned(place.name, sentence))
    visits = _choose_visits(table, config, on_event) if writes else table.rows
    missing = _count_missing(visits, config, table, on_event) if writes else {}
    written = write_reports(config.out, visits, config, table.task, on_event) if config.out is not None else Written()
    if config.canonical is not None:
        write_canonical(config.canonical, table)
        on_event(Step(f"clean table written to {config.canonical.name}: {len(table.rows)} visits"))
    counts = (
        written.labels
        if writes and config.mode != "predict"
        else Counter(str(v.diagnosis) for v in visits if v.diagnosis)
    )
    return SynthesizeResult(
        config.out,
        config.canonical,
        table,
        _summarise(table),
        written.reports,
        {name: counts[name] for name in table.task.classes if counts[name]}
        if config.mode != "predict" or not writes
        else {},
        missing,
        dict(written.flags),
        len(table.rows) - len(visits),
        written.first,
    )


def _check_outputs(config: SynthesizeReportsConfig) -> None:
    """Refuse, before anything is read, what would be written over an input, an earlier result or each other."""
    outputs = [] if config.out is None else [config.out]
    if config.canonical is not None:
        outputs += [config.canonical, dictionary_path(config.canonical)]
    resolved: set[Path] = set()
    for out in outputs:
        _check_out(out, config)
        if out.resolve() in resolved:
            raise OutputError(f"{out}: would be written twice", "give --out and --write-canonical different names")
        resolved.add(out.resolve())
        check_place(out)


def _check_out(out: Path, config: SynthesizeReportsConfig) -> None:
    if out.is_dir():
        raise OutputError(f"{out}: is a folder", "give the name of a file")
    if any(out.resolve() == table.resolve() for table in config.tables):
        raise OutputError(f"{out}: is one of the tables", "choose another name")
    if out.exists() and not config.overwrite:
        raise OutputError.exists(out)


def _summarise(table: Table) -> tuple[ColumnSummary, ...]:
    origins: dict[str, list[str]] = {}
    for meaning in table.meanings:
        if meaning.column in COLUMNS:
            origins.setdefault(str(meaning.column), []).append(
                f"{meaning.source} ({meaning.table})" if len(table.dialects) > 1 else meaning.source
            )
    known_counts = Counter(
        column for visit in table.rows for column in table.columns if getattr(visit, column) not in (None, "")
    )
    return tuple(
        ColumnSummary(column, ", ".join(dict.fromkeys(origins.get(column, ("computed",)))), known_counts[column],
                      len(table.rows) - known_counts[column])
        for column in COLUMNS
        if column in table.columns
    )  # fmt: skip


def _choose_visits(table: Table, config: SynthesizeReportsConfig, on_event: OnEvent) -> Sequence[Visit]:
    if config.mode != "train":
        return table.rows
    without = [line for visit, line in zip(table.rows, table.lines, strict=True) if visit.diagnosis is None]
    if len(without) == len(table.rows):
        raise TableError.no_rows(table.path, "no row has a diagnosis, which --mode train needs")
    if without:
        shown = ", ".join(map(str, without[:5])) + (", ..." if len(without) > 5 else "")
        on_event(Warned(table.path.name, f"rows without a diagnosis are left out: {len(without)} (lines {shown})"))
    return [visit for visit in table.rows if visit.diagnosis is not None]


def _count_missing(
    visits: Sequence[Visit], config: SynthesizeReportsConfig, table: Table, on_event: OnEvent
) -> dict[str, int]:
    present: Counter[str] = Counter()
    empty = 0
    for visit in visits:
        usable = table.task.usable(usable_fields(visit, config.style))
        present.update(usable)
        empty += not usable
    if empty:
        on_event(
            Warned(table.path.name, f"{empty} of {len(visits)} visits have none of the measurements of {config.style}")
        )
    return {column: len(visits) - present[column] for column in table.task.usable(fields_of(config.style))}
