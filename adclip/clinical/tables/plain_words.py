"""Plain words for columns - `Age`, `Education`, `PTID` - in tables of no study: read where the column's own cells bear them out.

In a study's table such a word has the study's meaning: `AGE` of ADNIMERGE is the age at the baseline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from adclip.clinical.columns import MISSING, CellError, parse_cell, to_number
from adclip.clinical.dialects import CANONICAL, PROGRAMS, Dialect, Rule
from adclip.clinical.tables.declared import declaration
from adclip.clinical.tables.header import Header
from adclip.clinical.tables.records import read_records

_ADULT_YEARS, _OLDEST = 18, 115
# Levels of education go to 8 or 9 (ISCED 2011, its 9 unknown), and somebody of a group of adults has finished a school of 12 years.
_SCHOOL_YEARS, _MOST_YEARS = 12, 30


def open_words(dialect: Dialect, rules: Sequence[Rule], header: Header) -> dict[str, str]:
    """Return the plain words among a table's names that no rule reads -> the columns that they may mean, if their cells bear them out.

    Parameters
    ----------
    dialect : Dialect
        Its kind. Only adclip's own form and tables of programs leave plain words open.
    rules : sequence of Rule
        What is read of it already.
    header : Header
    """
    if dialect is not CANONICAL and dialect not in PROGRAMS:
        return {}
    taken, used = {rule.column for rule in rules}, header.places(rules)
    return {
        word: column
        for word, column in (("ptid", "subject_id"), ("age", "age_years"), ("education", "education_years"))
        if word in header.names and column not in taken and header.place(word) not in used
    }


def with_plain_words(
    path: Path, dialect: Dialect, rules: list[Rule], header: Header, names: Collection[str]
) -> list[Rule]:
    """Return the rules of a table and those of its plain words, in file order.

    Parameters
    ----------
    path : Path
        The file; it is read once more where a plain word is in question.
    dialect, header
        As `open_words` takes them.
    rules : list of Rule
        What is read of it already: nothing of that is changed.
    names : collection of str
        As `read_records` takes them.
    """
    words = open_words(dialect, rules, header)
    if not words:
        return rules
    columns: dict[str, list[str]] = {word: [] for word in words}
    for cells in _rows_of(path, names):
        for word, known in columns.items():
            if (place := header.place(word)) < len(cells) and (cell := cells[place].strip()) not in MISSING:
                known.append(cell)
    added = [
        _rule(word, column, header.shown[header.place(word)])
        for word, column in words.items()
        if columns[word] and _bears_out(column, columns[word])
    ]
    return sorted((*rules, *added), key=lambda rule: header.place(rule.sources[0]))


def _rows_of(path: Path, names: Collection[str]) -> Iterator[list[str]]:
    records = read_records(path, names)
    next(records)
    return (cells for _, cells in records)


def _rule(word: str, column: str, shown: str) -> Rule:
    if column == "subject_id":
        return Rule(column, (word,), "the id of the person, as ADNI and others call it")
    said = declaration(f"{column}={shown}:months")
    note = f"`{shown}` is read as `{column}`: all its numbers are plausible years. If they are something else, declare it, such as `--column {said}`"
    return Rule(column, (word,), "a plain word, with numbers that are plausible years", "years", note=note)


def _bears_out(column: str, cells: Iterable[str]) -> bool:
    try:
        if column == "subject_id":
            return all(parse_cell(column, cell) for cell in cells)
        numbers = [to_number(cell.replace(",", ".")) for cell in cells]
    except CellError:
        return False
    if column == "age_years":
        return all(_ADULT_YEARS <= number <= _OLDEST for number in numbers)
    return all(0 <= number <= _MOST_YEARS for number in numbers) and max(numbers) >= _SCHOOL_YEARS
