"""Numbers with a comma for the decimal point, as spreadsheets of half the world write them: read where all of a table's say so."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from adclip.clinical.dialects import Rule
from adclip.clinical.dialects.canonical import ANSWERS
from adclip.clinical.tables.header import Header

FREE_OF_COMMAS = (";", "\t")  # delimiters of tables that spreadsheets with decimal commas write
NOTE = "its numbers have a comma for the decimal point, and are read so"

_POINT = re.compile(r"[+-]?\d*\.\d+")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # 1,344 may be 1344

Records = Iterable[tuple[int, Sequence[str]]]


def comma_places(records: Records, header: Header, rules: Sequence[Rule]) -> frozenset[int]:
    """Return the columns whose commas are those of decimals; empty where the table leaves it open or contradicts it.

    Parameters
    ----------
    records : iterable of (int, sequence of str)
        The rows without the header.
    header : Header
    rules : sequence of Rule
        What is read of the table; only columns of numbers count.

    Notes
    -----
    All columns of inputs decide together: one number at least must have a comma that can be no separator of thousands, and none a
    point. A column of answers decides for itself alone, so that what is read of the inputs never depends on the answers.
    """
    inputs = _number_places(rule for rule in rules if rule.column not in ANSWERS)
    answers = _number_places(rule for rule in rules if rule.column in ANSWERS)
    places = {name: header.place(name) for name in (*inputs, *answers)}
    decimal: set[int] = set()
    pointed: set[int] = set()
    for _, cells in records:
        for place in places.values():
            cell = cells[place].strip() if place < len(cells) else ""
            if _POINT.fullmatch(cell):
                pointed.add(place)
            elif _COMMA.fullmatch(cell) and not _THOUSANDS.fullmatch(cell):
                decimal.add(place)
    of_inputs = {places[name] for name in inputs}
    found = of_inputs if of_inputs & decimal and not of_inputs & pointed else set()
    of_answers = {places[name] for name in answers}
    return frozenset((found | (of_answers if found else of_answers & decimal)) - pointed)


def _number_places(rules: Iterable[Rule]) -> list[str]:
    return [name for rule in rules if rule.unit and rule.unit != "code" for name in rule.sources]


def with_points(records: Iterable[tuple[int, list[str]]], places: Collection[int]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with a point for the comma in the cells of some columns that are such numbers."""
    for line, cells in records:
        yield (
            line,
            [
                cell.replace(",", ".") if place in places and _COMMA.fullmatch(cell.strip()) else cell
                for place, cell in enumerate(cells)
            ],
        )
