"""One file -> its rows in canonical columns, before any joining: what it is, what each column means, what was left out."""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.clinical.columns import COLUMNS, MISSING, CellError, near_miss, parse_cell
from adclip.clinical.dialects import AUXILIARY, CANONICAL, DIALECTS, Derived, Dialect, Rule, recognise
from adclip.clinical.dialects.bids import BIDS, subject_of_file, with_sidecar
from adclip.clinical.dialects.canonical import SOURCE, read_dictionary
from adclip.clinical.mapping import Mapping as ColumnMapping
from adclip.clinical.records import read_records
from adclip.errors import TableError

KEYS = frozenset({"subject_id", "session_id", "visit_date", "scan", *AUXILIARY})


@dataclass(frozen=True)
class Meaning:
    """What one column of a file is taken for.

    Parameters
    ----------
    table : str
        Name of the file.
    source : str
        The column's name there; several joined by `` + ``.
    column : str or None
        Canonical column; None if it is not used.
    unit : str
        Of the source.
    why : str
        Why it is read so, or why it is not read.
    """

    table: str
    source: str
    column: str | None
    unit: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"table": self.table, "source": self.source, "column": self.column, "unit": self.unit, "why": self.why}


@dataclass(frozen=True)
class PartialRow:
    """One row: where it begins, and its known values by canonical or auxiliary column."""

    line: int
    values: dict[str, Any]


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


def read_partial(path: Path, mappings: Sequence[ColumnMapping] = ()) -> PartialTable:
    """Read one file.

    Parameters
    ----------
    path : Path
        CSV (comma, semicolon or tab), JSON list of objects, or XLSX with the optional package.
    mappings : sequence of Mapping
        Columns that the user named; those that this file lacks are passed over.

    Raises
    ------
    TableError
        If the file cannot be read, has no known column, two columns mean the same, or a cell is not what its column holds.
        Cells are never quoted, only classed.
    """
    records = read_records(path, _wanted(mappings))
    _, header = next(records)
    names = [name.strip().lower() for name in header]
    _check_header(path, header, names)
    dialect = recognise(names)
    if dialect is BIDS:
        dialect = _with_sidecar(path, dialect)
    rules = _choose_rules(path, dialect, mappings, header, names)
    used = {source for rule in rules for source in rule.sources}
    extra = tuple(name for name in header if name and name.strip().lower() not in used)
    hints = tuple(_hints(extra, dialect, {rule.column for rule in rules}))
    if not any(rule.column != SOURCE for rule in rules):
        raise TableError.no_known_column(path, hints)
    rows = list(_rows(path, records, header, names, dialect, rules))
    if not rows:
        raise TableError.no_rows(path, "the table has a header but no rows")
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
        tuple(_meanings(path, dialect, rules, header, names, hints)),
        extra,
        hints,
        dialect.derived,
        definitions,
    )


def _wanted(mappings: Sequence[ColumnMapping]) -> set[str]:
    """Return all names that any dialect reads: they decide which delimiter fits."""
    known = {source for dialect in DIALECTS for rule in dialect.rules for source in rule.sources}
    return known | {mapping.theirs.lower() for mapping in mappings} - {""}


def _check_header(path: Path, header: Sequence[str], names: Sequence[str]) -> None:
    known = {source for dialect in DIALECTS for rule in dialect.rules for source in rule.sources}
    if any(_is_value(cell) for cell in header) and not known.intersection(names):
        raise TableError.no_header(path)
    seen: dict[str, str] = {}
    for shown, name in zip(header, names, strict=True):
        if name and name in seen:
            raise TableError.named_twice(path, seen[name])
        seen[name] = shown


def _is_value(cell: str) -> bool:
    """Whether a cell of the first row is a number or a date, as no column is called."""
    return re.fullmatch(r"[+-]?\d+([.,]\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", cell.strip()) is not None


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


def _choose_rules(
    path: Path, dialect: Dialect, mappings: Sequence[ColumnMapping], header: Sequence[str], names: Sequence[str]
) -> list[Rule]:
    """Return one rule for each canonical column, in file order: the user's own, the dialect's, then canonical names."""
    present = frozenset(names)
    chosen: dict[str, Rule] = {}
    for mapping in mappings:
        if rule := mapping.rule_for(present):
            chosen[mapping.column] = rule
    mapped = {source for rule in chosen.values() for source in rule.sources}
    rules = dialect.rules if dialect is CANONICAL or not dialect.canonical_names else (*dialect.rules, *CANONICAL.rules)
    taken: dict[str, str] = {}
    for rule in rules:
        if not present.issuperset(rule.sources) or mapped.intersection(rule.sources):
            continue
        if rule.column in chosen:
            # In adclip's own form two names for one column are a mistake; elsewhere the dialect's order decides.
            if dialect is CANONICAL and rule.column in taken and taken[rule.column] != rule.sources[0]:
                both = [header[names.index(name)] for name in (taken[rule.column], rule.sources[0])]
                raise TableError.same_column(path, rule.column, both)
            continue
        chosen[rule.column] = rule
        taken[rule.column] = rule.sources[0]
    return sorted(chosen.values(), key=lambda rule: names.index(rule.sources[0]))


def _rows(
    path: Path,
    records: Iterator[tuple[int, list[str]]],
    header: Sequence[str],
    names: Sequence[str],
    dialect: Dialect,
    rules: Sequence[Rule],
) -> Iterator[PartialRow]:
    unknown = MISSING | dialect.missing
    readers = [(rule.column, tuple(names.index(source) for source in rule.sources), rule.read) for rule in rules]
    theirs = frozenset(rule.column for rule in rules if rule in dialect.rules and rule.column.endswith("_mm3"))
    others = frozenset(rule.column for rule in rules if rule.column.endswith("_mm3")) - theirs
    for line, cells in records:
        if len(cells) != len(header):
            raise TableError.bad_row(path, line, f"{len(cells)} cells, the header has {len(header)}")
        texts = ["" if (text := cell.strip()) in unknown else text for cell in cells]
        values: dict[str, Any] = {}
        for column, positions, read in readers:
            try:
                if read is None:
                    text = texts[positions[0]]
                    value = COLUMNS[column](text) if text else None
                else:
                    value = read(*[texts[position] for position in positions])
            except CellError as error:
                shown = " + ".join(header[position] for position in positions)
                remedy = error.remedy.replace("CANONICAL=YOURS", f"{column}={shown}")
                raise TableError.bad_cell(path, line, shown, error.why, remedy) from None
            if value is not None:
                values[column] = value
        # a volume that the user added to a program's table is not known to be of that program
        if dialect.volumes_source and SOURCE not in values and values.keys() & theirs and not values.keys() & others:
            values[SOURCE] = dialect.volumes_source
        yield PartialRow(line, values)


def _add_source(rows: Sequence[PartialRow], source: str | None) -> None:
    """Give the program that a clean table's dictionary names to the rows that have volumes and do not name one."""
    for row in rows:
        if source and SOURCE not in row.values and any(column.endswith("_mm3") for column in row.values):
            row.values[SOURCE] = source


# ----------------------------------------------------------------------------------------------- what columns mean


def _meanings(
    path: Path,
    dialect: Dialect,
    rules: Sequence[Rule],
    header: Sequence[str],
    names: Sequence[str],
    hints: Sequence[str],
) -> Iterator[Meaning]:
    by_source: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        by_source[rule.sources[0]].append(rule)
    used = {source for rule in rules for source in rule.sources}
    for shown, name in zip(header, names, strict=True):
        for rule in by_source.get(name, ()):
            sources = " + ".join(header[names.index(source)] for source in rule.sources)
            yield Meaning(path.name, sources, rule.column, rule.unit, rule.why)
        if name and name not in used:
            why = dialect.why_not(name) or next((hint for hint in hints if f"`{shown}`" in hint), "not known")
            yield Meaning(path.name, shown, None, "", why)


def _hints(extra: Sequence[str], dialect: Dialect, used: set[str]) -> Iterator[str]:
    open_columns = [column for column in COLUMNS if column not in used]
    for name in extra:
        if dialect.why_not(name) is None and (meant := near_miss(name, open_columns)):
            shown = f'"{meant}={name}"' if " " in name else f"{meant}={name}"
            yield f"column `{name}` is not used; if it holds `{meant}`, add `--column {shown}`"


def closest(name: str, header: Sequence[str]) -> str | None:
    """Return the column of a header that a missing name probably means."""
    return next(iter(difflib.get_close_matches(name, list(header), n=1)), None)
