"""One file -> its rows in canonical columns, before any joining: what it is, what each column means, what was left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.clinical import errors as clinical_errors
from adclip.clinical.columns import COLUMNS, MISSING, CellError, parse_cell
from adclip.clinical.dialects import CANONICAL, DIALECTS, Derived, Dialect, Rule, recognise
from adclip.clinical.dialects.bids import BIDS, subject_of_file, with_sidecar
from adclip.clinical.dialects.canonical import ANSWERS, SOURCE, read_dictionary
from adclip.clinical.tables import errors
from adclip.clinical.tables.alteration import Alteration, places_of_answers
from adclip.clinical.tables.header import Header, to_plain
from adclip.clinical.tables.mapping import ColumnMapping
from adclip.clinical.tables.meanings import Meaning, hints_of, meanings_of
from adclip.clinical.tables.records import read_records
from adclip.errors import TableError


@dataclass(frozen=True)
class PartialRow:
    """One row.

    Parameters
    ----------
    line : int
        Where it begins, counted from 1.
    values : dict
        Its known values by canonical or auxiliary column.
    aside : dict
        Answers (`ANSWERS`) of a table that is read without them: as far as they can be read, for show only.
    """

    line: int
    values: dict[str, Any]
    aside: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PartialTable:
    """The rows of one file.

    Parameters
    ----------
    path : Path
        As the user gave it.
    dialect : str
        Its kind, for people.
    rows : sequence of PartialRow
        In file order.
    columns : tuple of str
        Canonical and auxiliary columns that it has, in file order.
    meanings : tuple of Meaning
        One for each column of the file.
    extra : tuple of str
        Names of the columns that were not used.
    hints : tuple of str
        One sentence for each unused column whose name comes close to a canonical one.
    derived : tuple of Derived
        What its dialect computes after joining.
    definitions : mapping of str to str
        Canonical volume -> the structures that it sums.
    """

    path: Path
    dialect: str
    rows: Sequence[PartialRow]
    columns: tuple[str, ...]
    meanings: tuple[Meaning, ...] = ()
    extra: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    derived: tuple[Derived, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)


def read_partial(
    path: Path,
    mappings: Sequence[ColumnMapping] = (),
    *,
    answers: bool = True,
    altered: Alteration | None = None,
) -> PartialTable:
    """Read one file.

    Parameters
    ----------
    path : Path
        CSV (comma, semicolon or tab), JSON list of objects, or XLSX with the optional package.
    mappings : sequence of Mapping
        Columns that the user named; those that this file lacks are passed over.
    answers : bool
        Whether diagnosis and scores are wanted. If not, nothing in their columns is an error and none of them takes part in a
        join; what can be read of them stands in `PartialRow.aside`.
    altered : Alteration, optional
        Changes the cells of answers before anything is read from them.

    Raises
    ------
    TableError
        If the file cannot be read, has no known column, two columns mean the same, a cell is not what its column holds, or
        some rows name a subject and others do not. Cells are never quoted, only classed.
    """
    records = read_records(path, _wanted(mappings, answers=answers))
    _, shown = next(records)
    ignored = frozenset() if answers else _answer_sources(mappings)
    _check_header(path, shown, ignored)
    dialect = recognise(shown)
    header = Header.of(shown, dialect)
    if dialect is BIDS:
        dialect = _with_sidecar(path, dialect)
    rules = _choose_rules(path, dialect, mappings, header)
    used = header.places(rules)
    extra = tuple(name for place, name in enumerate(shown) if name and place not in used)
    hints = tuple(hints_of(extra, dialect, {rule.column for rule in rules}))
    if not any(rule.column != SOURCE for rule in rules):
        raise errors.no_known_column(path, hints)
    if altered is not None:
        records = altered(path, records, shown, places_of_answers(header, rules, mappings))
    rows = list(_rows(path, records, header, dialect, rules, answers=answers))
    if not rows:
        raise TableError.no_rows(path, "the table has a header but no rows")
    _check_named(path, rows)
    definitions = dialect.definitions
    if dialect is CANONICAL:
        source, definitions = read_dictionary(path)
        _add_source(rows, source)
    if (subject := subject_of_file(path)) and not any(rule.column == "subject_id" for rule in rules):
        for row in rows:  # BIDS: sub-01_sessions.tsv names the subject in its own name only
            row.values["subject_id"] = parse_cell("subject_id", subject)
    return PartialTable(
        path,
        dialect.name,
        rows,
        tuple(rule.column for rule in rules),
        tuple(meanings_of(path, dialect, rules, header, hints)),
        extra,
        hints,
        dialect.derived,
        definitions,
    )


def _wanted(mappings: Sequence[ColumnMapping], *, answers: bool) -> set[str]:
    """Return all names that any dialect reads: they decide which delimiter fits, and which cells of JSON must be values."""
    names = {source for dialect in DIALECTS for rule in dialect.rules for source in rule.sources}
    names |= {mapping.table_column.lower() for mapping in mappings}
    return names - {""} - (frozenset() if answers else _answer_sources(mappings))


def _answer_sources(mappings: Sequence[ColumnMapping]) -> frozenset[str]:
    """Return the names of the columns from which answers alone are read."""
    rules = [rule for dialect in DIALECTS for rule in dialect.rules]
    read = {source for rule in rules if rule.column in ANSWERS for source in rule.sources}
    read |= {mapping.table_column.lower() for mapping in mappings if mapping.column in ANSWERS}
    input_sources = {source for rule in rules if rule.column not in ANSWERS for source in rule.sources}
    return frozenset(
        read - input_sources - {mapping.table_column.lower() for mapping in mappings if mapping.column not in ANSWERS}
    )


def _check_header(path: Path, shown: Sequence[str], ignored: frozenset[str]) -> None:
    source_names = {source for dialect in DIALECTS for rule in dialect.rules for source in rule.sources}
    names = to_plain(shown)
    if any(_is_value(cell) for cell in shown) and not source_names.intersection(names):
        raise errors.no_header(path)
    written_names: dict[str, str] = {}
    for written, name in zip(shown, names, strict=True):
        if name and name in written_names and name not in ignored:
            raise clinical_errors.named_twice(path, written_names[name])
        written_names[name] = written


def _is_value(cell: str) -> bool:
    """Whether a cell of the first row is a number or a date, as no column is called."""
    return re.fullmatch(r"[+-]?\d+([.,]\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", cell.strip()) is not None


def _check_named(path: Path, rows: Sequence[PartialRow]) -> None:
    """Refuse rows of nobody among named ones: they would count as one more person, or as anybody."""
    blank = next((row.line for row in rows if "subject_id" not in row.values), None)
    if blank is not None and any("subject_id" in row.values for row in rows):
        raise TableError.blank_id(path, blank)


def _with_sidecar(path: Path, dialect: Dialect) -> Dialect:
    """Add what FILE.json says of the codes of FILE.tsv (BIDS: a column's `Levels`)."""
    sidecar = path.with_suffix(".json")
    if path.suffix == ".json" or not sidecar.is_file():
        return dialect
    try:
        data = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise TableError.unreadable(
            sidecar, "it should describe the columns of the table beside it, and is no JSON"
        ) from None
    return with_sidecar(dialect, data) if isinstance(data, dict) else dialect


def _choose_rules(path: Path, dialect: Dialect, mappings: Sequence[ColumnMapping], header: Header) -> list[Rule]:
    """Return one rule for each canonical column, in file order: the user's own, the dialect's, then canonical names."""
    present = header.names
    chosen: dict[str, Rule] = {}
    for mapping in mappings:
        if rule := mapping.rule_for(present):
            chosen[mapping.column] = rule
    mapped = header.places(chosen.values())
    rules = dialect.rules if dialect is CANONICAL or not dialect.canonical_names else (*dialect.rules, *CANONICAL.rules)
    source_of: dict[str, str] = {}
    for rule in rules:
        if not present.issuperset((*rule.sources, *rule.beside)) or mapped & header.places((rule,)):
            continue
        if rule.column in chosen:
            # In adclip's own form two names for one column are a mistake; elsewhere the dialect's order decides.
            if dialect is CANONICAL and rule.column in source_of and source_of[rule.column] != rule.sources[0]:
                duplicates = [header.shown[header.place(name)] for name in (source_of[rule.column], rule.sources[0])]
                raise errors.same_column(path, rule.column, duplicates)
            continue
        chosen[rule.column] = rule
        source_of[rule.column] = rule.sources[0]
    return sorted(chosen.values(), key=lambda rule: header.place(rule.sources[0]))


def _rows(
    path: Path,
    records: Iterator[tuple[int, list[str]]],
    header: Header,
    dialect: Dialect,
    rules: Sequence[Rule],
    *,
    answers: bool,
) -> Iterator[PartialRow]:
    unknown = MISSING | dialect.missing
    readers = [(rule, tuple(header.place(source) for source in rule.sources)) for rule in rules]
    program_volumes = frozenset(rule.column for rule in rules if rule in dialect.rules and rule.column.endswith("_mm3"))
    added_volumes = frozenset(rule.column for rule in rules if rule.column.endswith("_mm3")) - program_volumes
    for line, cells in records:
        if len(cells) != len(header.shown):
            raise TableError.bad_row(path, line, f"{len(cells)} cells, the header has {len(header.shown)}")
        texts = ["" if (text := cell.strip()) in unknown else text for cell in cells]
        values: dict[str, Any] = {}
        aside: dict[str, Any] = {}
        for rule, places in readers:
            target = values if answers or rule.column not in ANSWERS else aside
            try:
                if rule.read is None:
                    text = texts[places[0]]
                    value = COLUMNS[rule.column](text) if text else None
                else:
                    value = rule.read(*[texts[place] for place in places])
            except CellError as error:
                if target is aside:
                    continue
                shown = header.show(rule)
                remedy = error.remedy.replace("CANONICAL=YOURS", f"{rule.column}={shown}")
                raise clinical_errors.bad_cell(path, line, shown, error.why, remedy) from None
            if value is not None:
                target[rule.column] = value
        # a volume that the user added to a program's table is not known to be of that program
        if (
            dialect.volumes_source
            and SOURCE not in values
            and values.keys() & program_volumes
            and not values.keys() & added_volumes
        ):
            values[SOURCE] = dialect.volumes_source
        yield PartialRow(line, values, aside)


def _add_source(rows: Sequence[PartialRow], source: str | None) -> None:
    """Give the program that a clean table's dictionary names to the rows that have volumes and do not name one."""
    for row in rows:
        if source and SOURCE not in row.values and any(column.endswith("_mm3") for column in row.values):
            row.values[SOURCE] = source
