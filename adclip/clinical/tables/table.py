"""Metadata tables -> Visit rows: the files that people have, joined, checked, and explained."""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from adclip.clinical.columns import COLUMNS, to_further
from adclip.clinical.dialects import study_key
from adclip.clinical.dialects.base import DAY
from adclip.clinical.dialects.canonical import SCORE, SOURCE
from adclip.clinical.settings import TableOptions
from adclip.clinical.tables.alteration import Alteration
from adclip.clinical.tables.checks import check_ids, check_mappings, notes_of, say_rows
from adclip.clinical.tables.derive import apply_cdr, complete, only_classes_of
from adclip.clinical.tables.join import join
from adclip.clinical.tables.joined import Joined
from adclip.clinical.tables.likeness import Likeness
from adclip.clinical.tables.mapping import parse_mappings
from adclip.clinical.tables.meanings import Meaning
from adclip.clinical.tables.partial import PartialTable, file_name
from adclip.clinical.tables.plausible import check_people, check_together
from adclip.clinical.tables.scan_names import bare_name, pair_name, scan_identity
from adclip.clinical.tables.sources import read_source
from adclip.clinical.tables.told import derived_meanings, missing_column, told_of_baselines, told_of_files
from adclip.domain import Visit
from adclip.settings.shared import MAX_DAYS
from adclip.task import ALZHEIMER, Task


@dataclass(frozen=True)
class Table:
    """Visits of one or several tables.

    Parameters
    ----------
    rows : list of Visit
        In file order.
    lines : list of int
        Line of the file where each row begins, counted from 1.
    path : Path
        The first table, as the user gave it; `scan` cells are relative to its folder.
    columns : tuple of str
        Canonical columns that the tables have.
    extra : tuple of str
        Names of the columns that were not used.
    hints : tuple of str
        One sentence for each unused column whose name comes close to a canonical one.
    meanings : tuple of Meaning
        What every column of every table was taken for.
    dialects : mapping of str to str
        File name -> kind of table.
    definitions : mapping of str to str
        Canonical volume -> structures that it sums, where the tables' dialects say so.
    notes : tuple of str
        What the user should know: policies in use, repeated rows, rows without a visit.
    told : tuple of (Path, str)
        Every hint and note with the file that it is about.
    task : Task
    days : tuple of float or None
        Days of each row on the study's own clock; empty where no row has any.
    max_days : int
        Largest distance in days at which a row may belong to a scan of another day.
    """

    rows: list[Visit]
    lines: list[int]
    path: Path
    columns: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    meanings: tuple[Meaning, ...] = ()
    dialects: Mapping[str, str] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    told: tuple[tuple[Path, str], ...] = ()
    task: Task = ALZHEIMER
    days: tuple[float | None, ...] = ()
    max_days: int = MAX_DAYS

    @cached_property
    def by_subject(self) -> dict[str, list[int]]:
        """Row indices of each subject id."""
        return _index(self.rows, lambda visit: visit.subject_id or None)

    @cached_property
    def by_file(self) -> dict[str, list[int]]:
        """Row indices of ids that are a file's name, by what its scan goes by: ``anna`` for ``anna_T1``."""
        return _index(self.rows, lambda visit: (bare := bare_name(visit.subject_id)) != visit.subject_id and bare)

    @cached_property
    def likeness(self) -> Likeness:
        """Finds the subject id that comes closest to one that no row has."""
        return Likeness(self.by_subject)

    @cached_property
    def by_study(self) -> dict[tuple[str, str], list[int]]:
        """Row indices by study and subject, for ids that a study is known by, however they are written."""
        row_indices: dict[tuple[str, str], list[int]] = defaultdict(list)
        for name, numbers in self.by_subject.items():
            if key := study_key(name):
                row_indices[key.study, key.subject] += numbers
        return dict(row_indices)

    @cached_property
    def by_scan(self) -> dict[str, list[int]]:
        """Row indices of each scan by the absolute path of its cell, links as written and links followed."""
        row_indices: dict[str, list[int]] = defaultdict(list)
        folder = self.path.parent.absolute()
        for number, visit in enumerate(self.rows):
            if visit.scan:
                path = folder / visit.scan
                for name in {scan_identity(path), scan_identity(Path(os.path.realpath(path)))}:
                    row_indices[name].append(number)
        return dict(row_indices)

    @property
    def scans_of_nobody(self) -> list[Path]:
        """Scans that a table without any subject id names; empty where a row has an id, by which derivatives are joined."""
        folder = self.path.parent.absolute()
        return [] if self.by_subject else [folder / visit.scan for visit in self.rows if visit.scan]

    @cached_property
    def by_scan_name(self) -> dict[str, list[int]]:
        """Row indices of each scan cell that is a plain file name without a folder."""
        return _index(self.rows, lambda visit: visit.scan and os.sep not in visit.scan and pair_name(visit.scan))


def _index(rows: Sequence[Visit], key: Any) -> dict[str, list[int]]:
    index: dict[str, list[int]] = defaultdict(list)
    for number, visit in enumerate(rows):
        if name := key(visit):
            index[name].append(number)
    return dict(index)


def read_table(path: Path, columns: Iterable[str] = (), need: Iterable[str] = ()) -> Table:
    """Read one table; `read_tables` with the default options."""
    return read_tables((Path(path),), TableOptions(columns=tuple(columns)), need)


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Rest the cycle collector: hundreds of thousands of rows hold no cycles, and looking for them takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_no_cycles()
def read_tables(
    paths: Sequence[Path],
    options: TableOptions | None = None,
    need: Iterable[str] = (),
    altered: Alteration | None = None,
) -> Table:
    """Read tables of any known kind and join them.

    Parameters
    ----------
    paths : sequence of Path
        Files (CSV, TSV, JSON, XLSX, FreeSurfer's .stats) or folders (FreeSurfer subjects, AIBL extracts, a BIDS dataset).
    options : TableOptions, optional
        Column mappings, the policy for diagnoses, and how far in time rows may be joined.
    need : iterable of str
        Canonical columns without which the caller cannot work.
    altered : Alteration, optional
        Reads the tables as if they held other answers.

    Returns
    -------
    Table
        Unknown cells are None. Prefixes ``sub-`` and ``ses-`` are removed from ids.

    Raises
    ------
    TableError
        If a file cannot be read, a needed column is absent, two columns mean the same, a cell is not what its column
        holds, rows contradict each other or cannot be told apart. Cells are never quoted, only classed.
    ConfigError
        If a mapping is malformed.
    """
    options = options or TableOptions()
    mappings = parse_mappings(options.columns, options.task)
    tables = [
        table for path in paths for table in read_source(Path(path), mappings, answers=options.answers, altered=altered)
    ]
    check_mappings(tables, mappings, answers=options.answers)
    check_ids(tables)
    joined = join(tables, options.max_days)
    complete(joined.visits, tables)
    check_people(joined.visits)
    of_files = [*told_of_files(tables)]
    hints = tuple(dict.fromkeys(hint for table in tables for hint in table.hints))
    of_joining = [*notes_of(tables, joined, options.max_days)]
    notes = list[str]()
    if options.diagnosis_policy == "cdr" and options.answers:
        notes.append(apply_cdr(joined.visits, tables))
    elif options.answers:
        notes += told_of_baselines(joined.visits)
    columns = _columns(joined.visits, tables)
    for column in need:
        if column not in columns:
            raise missing_column(tables, column, columns)
    home = joined.visits[0].path.parent
    visits, n_outside = only_classes_of(options.task, [_to_visit(visit, home) for visit in joined.visits])
    if n_outside and options.answers:
        notes.append(
            f"{say_rows(n_outside, 'has', 'have')} a diagnosis that is no class of the task {options.task.name}: it is left out"
        )
    notes += check_together(visits, [visit.line for visit in joined.visits])
    return Table(
        rows=visits,
        lines=[visit.line for visit in joined.visits],
        path=joined.visits[0].path,
        columns=columns,
        extra=tuple(name for table in tables for name in table.extra),
        hints=hints,
        meanings=tuple(dict.fromkeys(meaning for table in tables for meaning in table.meanings))
        + derived_meanings(tables, columns),
        dialects={table.name: table.dialect for table in tables},
        definitions=_definitions(tables),
        notes=(
            *(note for _, note in of_files if note not in hints),
            *(
                note if len(tables) == 1 or file_name(path) in note else f"{file_name(path)}: {note}"
                for path, note in of_joining
            ),
            *notes,
        ),
        told=(*of_files, *of_joining, *((joined.visits[0].path, note) for note in notes)),
        task=options.task,
        days=tuple(visit.values.get(DAY) for visit in joined.visits),
        max_days=options.max_days,
    )


def _definitions(tables: Sequence[PartialTable]) -> dict[str, str]:
    """Say what each volume sums; where tables differ, both, each with its table."""
    texts_by_column: dict[str, dict[str, str]] = defaultdict(dict)
    for table in tables:
        for column, text in table.definitions.items():
            if column in table.columns:
                texts_by_column[column].setdefault(text, table.name)
    return {
        column: next(iter(texts)) if len(texts) == 1 else "; ".join(f"{name}: {text}" for text, name in texts.items())
        for column, texts in texts_by_column.items()
    }


def move_scan(scan: str | None, old: Path, new: Path) -> str | None:
    """Return a relative `scan` cell of a table in the folder `old` as it must read in a table in the folder `new`.

    A plain file name that is not there stays: it names a scan wherever that lies.
    """
    if scan is None or Path(scan).is_absolute() or old.absolute() == new.absolute():
        return scan
    target = old.absolute() / scan
    if os.sep not in scan and not target.exists():
        return scan
    return Path(os.path.relpath(target, new.absolute())).as_posix()


def _to_visit(joined: Joined, home: Path) -> Visit:
    told = {"subject_id": "", **joined.answers(), **joined.values}
    fields = {column: value for column, value in told.items() if column in (*COLUMNS, SCORE, SOURCE)}
    if "scan" in fields:
        fields["scan"] = move_scan(fields["scan"], joined.origin["scan"][0].parent, home)
    return Visit(**fields, further_volumes=to_further(joined.values))


def _columns(visits: Sequence[Joined], tables: Sequence[PartialTable]) -> tuple[str, ...]:
    """Return the canonical columns that any table has or that could be derived, in file order."""
    stated = [column for table in tables for column in table.columns if column in COLUMNS]
    computed = {column for visit in visits for column in visit.values if column in COLUMNS}
    return tuple(dict.fromkeys([*stated, *(column for column in COLUMNS if column in computed)]))
