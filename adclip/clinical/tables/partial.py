"""One file -> its rows in canonical columns, before any joining: what it is, what each column means, what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.clinical import errors as clinical_errors
from adclip.clinical.columns import COLUMNS, MISSING, CellError, CommaNumberError, parse_cell
from adclip.clinical.dialects import CANONICAL, Derived, Dialect, Rule, Tall
from adclip.clinical.dialects.bids import subject_of_file
from adclip.clinical.dialects.canonical import ANSWERS, SOURCE, read_dictionary
from adclip.clinical.tables import errors
from adclip.clinical.tables.alteration import Alteration, places_of_answers
from adclip.clinical.tables.cures import cure
from adclip.clinical.tables.decimal_commas import FREE_OF_COMMAS, NOTE, comma_places, with_points
from adclip.clinical.tables.failed_rows import find_failed
from adclip.clinical.tables.header import Header, to_plain
from adclip.clinical.tables.mapping import ColumnMapping
from adclip.clinical.tables.meanings import Meaning, hints_of, meanings_of
from adclip.clinical.tables.opening import open_table, recognise_table
from adclip.clinical.tables.plain_words import with_plain_words
from adclip.clinical.tables.records import delimiter_of
from adclip.clinical.tables.remarks import WATCHED, Remarks, say_days_for_ids
from adclip.clinical.tables.rules import notes_of_mappings
from adclip.clinical.tables.structure_rows import check_rows
from adclip.clinical.tables.tall import is_tall, one_row_a_visit, only_read
from adclip.clinical.tables.wanted import wanted_names
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
    notes : tuple of str
        What the user must be told of it: conversions, codes, odd cells.
    unread : mapping of str to int
        Column of an answer, as written -> cells of it that could not be read and were not needed.
    standby : mapping of str to int
        Canonical column -> `Rule.standby`, where it is not 0.
    failed : tuple of int
        Lines of the rows whose volumes are all 0: their segmentation failed, and they are read as unknown.
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
    notes: tuple[str, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    standby: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Of the file, for people; one for all sessions' tables of a BIDS dataset, which has one for each subject."""
        return file_name(self.path)


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
    try:
        return _read(path, mappings, altered, answers=answers, commas=False)
    except CommaNumberError:  # the first of them; whether all are of decimals, the whole table says
        return _read(path, mappings, altered, answers=answers, commas=True)


def _read(
    path: Path, mappings: Sequence[ColumnMapping], altered: Alteration | None, *, answers: bool, commas: bool
) -> PartialTable:
    """Read one file; with `commas` numbers may have a comma for the decimal point, else the first such cell is raised."""
    dialect, header, rules, records = recognise_table(path, mappings, answers=answers)
    shown, names = header.shown, wanted_names(mappings, answers=answers)
    rules = with_plain_words(path, dialect, rules, header, names)
    used = header.places(rules)
    extra = tuple(name for place, name in enumerate(shown) if name and place not in used)
    hints = tuple(hints_of(path, extra, dialect, {rule.column for rule in rules}))
    said_ids = any(mapping.column == "subject_id" and not mapping.implied for mapping in mappings)
    records = check_rows(path, shown, records, said_ids=said_ids)
    if not any(rule.column != SOURCE for rule in rules):
        raise errors.no_known_column(path, hints)
    if altered is not None:
        records = altered(path, records, shown, places_of_answers(header, rules, mappings))
    comma_columns = frozenset[int]()
    if commas and delimiter_of(path, names) in FREE_OF_COMMAS:
        comma_columns = comma_places(open_table(path, mappings, answers=answers)[1], header, rules)
    if comma_columns:
        records = with_points(records, comma_columns)
    remarks, failed = Remarks(), list[int]()
    lines = only_read(records, header, dialect.tall)
    read = _rows(path, lines, header, dialect, rules, remarks, failed, answers=answers, commas=commas)
    rows = one_row_a_visit(path, read) if is_tall(header, dialect.tall) else list(read)
    if not rows:
        raise _no_rows(path, header, dialect.tall)
    _check_named(path, rows)
    definitions = dialect.definitions
    if dialect is CANONICAL:
        source, definitions = read_dictionary(path)
        _add_source(rows, source)
    if (subject := subject_of_file(path)) and not any(rule.column == "subject_id" for rule in rules):
        for row in rows:  # BIDS: sub-01_sessions.tsv names the subject in its own name only
            row.values["subject_id"] = parse_cell("subject_id", subject)
    unread = [why for name, why in dialect.unread.items() if name in to_plain(extra)]
    noted = [rule.note for rule in rules if rule.note and (answers or rule.column not in ANSWERS)]
    odd_ids = say_days_for_ids((row.values.get("subject_id", ""), row.line) for row in rows)
    asked = notes_of_mappings(dialect, mappings, header, ANSWERS) if answers else ()
    return PartialTable(
        path,
        dialect.name,
        rows,
        tuple(rule.column for rule in rules),
        tuple(meanings_of(file_name(path), dialect, rules, header, hints)),
        extra,
        hints,
        dialect.derived,
        definitions,
        (*unread, *noted, *asked, *remarks.sentences(), *odd_ids, *([NOTE] if comma_columns else ())),
        {shown: len(lines) for shown, lines in remarks.unread.items()},
        {rule.column: rule.standby for rule in rules if rule.standby},
        tuple(failed),
    )


def file_name(path: Path) -> str:
    """Return the name of a table's file for people; ``sub-*_sessions.tsv`` for the one that a BIDS dataset has for each subject."""
    return f"sub-*_{path.name.partition('_')[2]}" if subject_of_file(path) else path.name


def _no_rows(path: Path, header: Header, tall: Tall | None) -> TableError:
    if tall is None or not is_tall(header, tall):
        return TableError.no_rows(path, "the table has a header but no rows")
    shown = ", ".join(sorted(code.upper() for code in tall.read))
    return TableError.no_rows(path, f"no row of a parameter that is read ({tall.code.upper()} of {shown})")


def _check_named(path: Path, rows: Sequence[PartialRow]) -> None:
    """Refuse rows of nobody among named ones: they would count as one more person, or as anybody."""
    blank = next((row.line for row in rows if "subject_id" not in row.values), None)
    if blank is not None and any("subject_id" in row.values for row in rows):
        raise TableError.blank_id(path, blank)


def _rows(
    path: Path,
    records: Iterator[tuple[int, list[str]]],
    header: Header,
    dialect: Dialect,
    rules: Sequence[Rule],
    remarks: Remarks,
    failed: list[int],
    *,
    answers: bool,
    commas: bool,
) -> Iterator[PartialRow]:
    """Yield the rows, and enter in `failed` the lines of those whose segmentation failed."""
    unknown = MISSING | dialect.missing
    readers = [(rule, tuple(header.place(source) for source in rule.sources)) for rule in rules]
    program_volumes = frozenset(rule.column for rule in rules if rule in dialect.rules and rule.column.endswith("_mm3"))
    added_volumes = frozenset(rule.column for rule in rules if rule.column.endswith("_mm3")) - program_volumes
    empty_if_failed = find_failed(dialect, rules, header)
    for line, cells in records:
        if len(cells) != len(header.shown):
            raise TableError.bad_row(path, line, f"{len(cells)} cells, the header has {len(header.shown)}")
        texts = ["" if (text := cell.strip()) in unknown else text for cell in cells]
        if empty_if_failed(texts):
            failed.append(line)
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
                shown = header.show(rule)
                if target is aside:
                    remarks.unread[shown].append(line)
                    continue
                if isinstance(error, CommaNumberError) and not commas:
                    raise
                behind = [other for _, other in records if len(other) == len(header.shown)]
                others = [other[places[0]] for other in behind]
                beside = {
                    header.show(one): (one, [row[spots[0]] for row in (cells, *behind)])
                    for one, spots in readers
                    if one is not rule
                    and one.column in COLUMNS
                    and len(spots) == 1
                    and (answers or one.column not in ANSWERS)
                }
                remedy = cure(rule, shown, texts[places[0]], error, others, beside)
                raise clinical_errors.bad_cell(path, line, shown, error.why, remedy) from None
            if value is not None:
                target[rule.column] = value
                if target is values and rule.column in WATCHED:
                    remarks.look_at(rule.column, header.show(rule), [texts[place] for place in places], value, line)
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
