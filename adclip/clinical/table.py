"""Metadata tables -> Visit rows: the files that people have, joined, checked, and explained."""

from __future__ import annotations

import gc
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from adclip.clinical.columns import COLUMNS, near_miss, to_further
from adclip.clinical.derive import apply_cdr, complete
from adclip.clinical.dialects.canonical import SCORE, SOURCE
from adclip.clinical.join import Joined, Joining, join
from adclip.clinical.mapping import Mapping as ColumnMapping
from adclip.clinical.mapping import parse_mappings
from adclip.clinical.partial import Meaning, PartialTable
from adclip.clinical.plausible import check_people, check_together
from adclip.clinical.sources import read_source
from adclip.config import TableOptions
from adclip.domain import Visit
from adclip.errors import TableError
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
    task : Task
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
    task: Task = ALZHEIMER

    @cached_property
    def by_subject(self) -> dict[str, list[int]]:
        """Row indices of each subject id."""
        return _index(self.rows, lambda visit: visit.subject_id or None)

    @cached_property
    def by_scan(self) -> dict[str, list[int]]:
        """Row indices of each absolute scan path."""
        folder = self.path.parent.absolute()
        return _index(self.rows, lambda visit: visit.scan and os.path.normpath(folder / visit.scan))

    @cached_property
    def by_scan_name(self) -> dict[str, list[int]]:
        """Row indices of each scan cell that is a plain file name without a folder."""
        return _index(self.rows, lambda visit: visit.scan if visit.scan and os.sep not in visit.scan else None)


def _index(rows: Sequence[Visit], key: Any) -> dict[str, list[int]]:
    index: dict[str, list[int]] = defaultdict(list)
    for number, visit in enumerate(rows):
        name = key(visit)
        if name:
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
def read_tables(paths: Sequence[Path], options: TableOptions | None = None, need: Iterable[str] = ()) -> Table:
    """Read tables of any known kind and join them.

    Parameters
    ----------
    paths : sequence of Path
        Files (CSV, TSV, JSON, XLSX, FreeSurfer's .stats) or folders (FreeSurfer subjects, AIBL extracts, a BIDS dataset).
    options : TableOptions, optional
        Column mappings, the policy for diagnoses, and how far in time rows may be joined.
    need : iterable of str
        Canonical columns without which the caller cannot work.

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
    tables = [table for path in paths for table in read_source(Path(path), mappings)]
    _check_mappings(tables, mappings)
    _check_ids(tables)
    joined = join(tables, options.max_days)
    complete(joined.visits, tables)
    check_people(joined.visits)
    notes = [*_notes(joined, options.max_days)]
    if options.diagnosis_policy == "cdr":
        notes.append(apply_cdr(joined.visits, tables))
    columns = _columns(joined.visits, tables)
    for column in need:
        if column not in columns:
            raise _missing_column(tables, column, columns)
    home = joined.visits[0].path.parent
    visits, others = _only_classes_of(options.task, [_to_visit(visit, home) for visit in joined.visits])
    if others:
        notes.append(f"{others} rows have a diagnosis that is no class of the task {options.task.name}: it is left out")
    notes += check_together(visits, [visit.line for visit in joined.visits])
    return Table(
        rows=visits,
        lines=[visit.line for visit in joined.visits],
        path=joined.visits[0].path,
        columns=columns,
        extra=tuple(name for table in tables for name in table.extra),
        hints=tuple(dict.fromkeys(hint for table in tables for hint in table.hints)),
        meanings=tuple(meaning for table in tables for meaning in table.meanings) + _derived_meanings(tables, columns),
        dialects={table.path.name: table.dialect for table in tables},
        definitions=_definitions(tables),
        notes=tuple(notes),
        task=options.task,
    )


def _only_classes_of(task: Task, visits: list[Visit]) -> tuple[list[Visit], int]:
    """Leave out diagnoses that are no classes of the task, and count them."""
    known = {None, *task.classes}
    kept = [visit if visit.diagnosis in known else replace(visit, diagnosis=None) for visit in visits]
    return kept, sum(visit.diagnosis not in known for visit in visits)


def _definitions(tables: Sequence[PartialTable]) -> dict[str, str]:
    """Say what each volume sums; where tables differ, both, each with its table."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for table in tables:
        for column, text in table.definitions.items():
            if column in table.columns:
                said[column].setdefault(text, table.path.name)
    return {
        column: next(iter(texts)) if len(texts) == 1 else "; ".join(f"{name}: {text}" for text, name in texts.items())
        for column, texts in said.items()
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
    known = {column: value for column, value in joined.values.items() if column in (*COLUMNS, SCORE, SOURCE)}
    known.setdefault("subject_id", "")
    if "scan" in known:
        known["scan"] = move_scan(known["scan"], joined.origin["scan"][0].parent, home)
    return Visit(**known, further_volumes=to_further(joined.values))


def _columns(visits: Sequence[Joined], tables: Sequence[PartialTable]) -> tuple[str, ...]:
    """Return the canonical columns that any table has or that could be derived, in file order."""
    stated = [column for table in tables for column in table.columns if column in COLUMNS]
    computed = {column for visit in visits for column in visit.values if column in COLUMNS}
    return tuple(dict.fromkeys([*stated, *(column for column in COLUMNS if column in computed)]))


def _derived_meanings(tables: Sequence[PartialTable], columns: Sequence[str]) -> tuple[Meaning, ...]:
    stated = {meaning.column for table in tables for meaning in table.meanings}
    policy: tuple[Meaning, ...] = ()
    if "diagnosis" in columns and "diagnosis" not in stated:
        source = next(meaning for table in tables for meaning in table.meanings if meaning.column == "cdr_global")
        policy = (
            Meaning(source.table, source.source, "diagnosis", source.unit, "the policy `cdr`: 0 CN, 0.5 MCI, >= 1 AD"),
        )
    return policy + tuple(
        Meaning(table.path.name, " + ".join(name.lstrip("_") for name in one.needs), one.column, "", one.why)
        for table in tables
        for one in table.derived
        if one.column in columns and one.column not in stated and set(one.needs) & set(table.columns)
    )


# ----------------------------------------------------------------------------------------------- checks


def _check_mappings(tables: Sequence[PartialTable], mappings: Sequence[ColumnMapping]) -> None:
    for mapping in mappings:
        if not mapping.implied and not any(
            mapping.column in table.columns and _is_mapped(table, mapping) for table in tables
        ):
            names = [meaning.source for table in tables for meaning in table.meanings]
            raise TableError.no_mapped_column(tables[0].path, mapping.column, mapping.theirs, names)


def _is_mapped(table: PartialTable, mapping: ColumnMapping) -> bool:
    return any(meaning.column == mapping.column and "--column" in meaning.why for meaning in table.meanings)


def _check_ids(tables: Sequence[PartialTable]) -> None:
    """Refuse ids that differ in case or leading zeros alone: one person under two names would straddle a split."""
    seen: dict[str, tuple[str, Path, int]] = {}
    subjects: list[set[str]] = []
    for table in tables:
        here: set[str] = set()
        for row in table.rows:
            subject = row.values.get("subject_id")
            if not subject or subject in here:
                continue
            here.add(subject)
            first = seen.setdefault(_folded(subject), (subject, table.path, row.line))
            if first[0] != subject:
                raise TableError.similar_ids(first[1], first[2], table.path, row.line)
        subjects.append(here)
    known: set[str] = set()
    for table, here in zip(tables, subjects, strict=True):
        nobody = len(tables) > 1 and not here and not any("scan" in row.values for row in table.rows)
        if nobody or (known and here and not known & here):
            raise TableError.nothing_joins(tables[0].path, table.path)
        known |= here


def _folded(subject: str) -> str:
    return re.sub(r"\d+", lambda digits: str(int(digits.group())), subject.casefold())


def _notes(joined: Joining, max_days: int) -> Iterable[str]:
    if joined.nobodys:
        lines = ", ".join(map(str, joined.nobodys[:5])) + (", ..." if len(joined.nobodys) > 5 else "")
        yield f"rows without subject id: {len(joined.nobodys)} (lines {lines}); each stands for a person of its own"
    if joined.repeated:
        yield f"rows that repeat another one exactly: {joined.repeated}; each counts once"
    for name, count in joined.added.items():
        yield f"{name}: {count} rows are visits that the tables before it do not have"
    for name, count in joined.unattached.items():
        yield f"{name}: {count} rows belong to no visit of the other tables (at most {max_days} days apart)"


def _missing_column(tables: Sequence[PartialTable], column: str, columns: Sequence[str]) -> TableError:
    extra = [name for table in tables for name in table.extra]
    likely = next((name for name in extra if near_miss(name, (column,))), None)
    if column == "diagnosis" and "cdr_global" in columns:
        return TableError.no_diagnosis_but_cdr(tables[0].path)
    return TableError.no_column(tables[0].path, column, [*columns, *extra], likely)
