"""One file -> its header, looked at, and its rows as text; of a table with columns for each visit a row for each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from adclip.clinical.dialects import Dialect, Rule, with_program
from adclip.clinical.dialects.ukbiobank import by_instance, is_of_a_visit, is_ukbiobank
from adclip.clinical.tables.header import Header, check_header, to_plain
from adclip.clinical.tables.mapping import ColumnMapping
from adclip.clinical.tables.records import read_records
from adclip.clinical.tables.rules import choose_rules, dialect_of
from adclip.clinical.tables.titles import check_no_title
from adclip.clinical.tables.wanted import answer_names, wanted_names

Records = Iterator[tuple[int, list[str]]]


class KnownTable(NamedTuple):
    """A table of which the header alone was looked at.

    Parameters
    ----------
    dialect : Dialect
        Its kind, with the volumes of a program that stand in it.
    header : Header
        The names of its columns.
    rules : list of Rule
        How columns are read, by their names; what plain words mean, `plain_words` says.
    records : iterator of (int, list of str)
        Lines and cells of its rows.
    """

    dialect: Dialect
    header: Header
    rules: list[Rule]
    records: Records


def recognise_table(path: Path, mappings: Sequence[ColumnMapping] = (), *, answers: bool = True) -> KnownTable:
    """Open a table and say what it is and how its columns are read.

    Parameters
    ----------
    path, mappings, answers
        As `open_table` takes them.

    Raises
    ------
    TableError
        As `open_table`; if the JSON beside the table cannot be read, or two names of adclip's own form mean one column.
    """
    shown, records = open_table(path, mappings, answers=answers)
    if (first := next(records, None)) is not None:
        records = chain([first], records)
    dialect = with_program(dialect_of(path, shown, first[1] if first is not None else ()), shown)
    header = Header.of(shown, dialect)
    return KnownTable(dialect, header, choose_rules(path, dialect, mappings, header), records)


def open_table(
    path: Path, mappings: Sequence[ColumnMapping] = (), *, answers: bool = True
) -> tuple[list[str], Records]:
    """Return the names of a table's columns, as written, and its rows with their lines.

    Parameters
    ----------
    path : Path
        As `read_records` takes it.
    mappings : sequence of ColumnMapping
        Columns that the user named. UK Biobank's columns of a visit stay as they are where one of them is among these.
    answers : bool
        Whether diagnosis and scores are wanted; if not, their names may stand twice.

    Raises
    ------
    TableError
        If the file is no table, or its first line is a title, holds values, or names a column twice.
    """
    names, known = wanted_names(mappings, answers=answers), wanted_names(mappings)
    shown, records = _read(path, names, mappings)
    if not known.intersection(to_plain(shown)):
        check_no_title(path, records, known)
        shown, records = _read(path, names, mappings)
    check_header(path, shown, known, frozenset() if answers else answer_names(mappings))
    return shown, records


def _read(path: Path, names: Collection[str], mappings: Sequence[ColumnMapping]) -> tuple[list[str], Records]:
    records = read_records(path, names)
    _, shown = next(records)
    said = any(is_of_a_visit(mapping.table_column) for mapping in mappings)
    return (shown, records) if said or not is_ukbiobank(shown) else by_instance(shown, records)
