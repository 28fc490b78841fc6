"""The next step for a cell that its column refuses: a declaration that runs in the same command, where there is one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from adclip.clinical.columns import COLUMNS, MISSING, CellError, NoClassError
from adclip.clinical.dialects import Rule
from adclip.clinical.dialects.missing import usual_code
from adclip.clinical.tables.dates import SERIAL, is_counted, order_of
from adclip.clinical.tables.declared import declaration
from adclip.clinical.tables.words import EXAMPLE, EXAMPLE_OF_NUMBERS, suggest

_MOST_CODES = 8  # in one hint
_DIGIT, _SEVERAL = re.compile(r"-\d(\.0+)?"), 2


def cure(
    rule: Rule,
    shown: str,
    cell: str,
    error: CellError,
    others: Iterable[str],
    beside: Mapping[str, tuple[Rule, Sequence[str]]] | None = None,
) -> str:
    """Return the next step.

    Parameters
    ----------
    rule : Rule
        By which the cell was read.
    shown : str
        Name of its column as written.
    cell : str
        What stands there. It is repeated only where it is a usual code for unknown, which says nothing of a person; a common word
        for a class only where several rows hold it.
    error : CellError
        What is wrong with it.
    others : iterable of str
        The column's cells in the rows behind it.
    beside : mapping, optional
        Name of another column -> its rule and its cells in this row and those behind: usual codes for unknown that it refuses as
        well are declared in the same step.

    Returns
    -------
    str
        Empty where nothing better is known than to correct the cell.
    """
    single = len(rule.sources) == 1 and not rule.column.startswith("_")
    known_id = rule.column == "subject_id"  # a row of nobody among named ones is refused in any case
    if single and not known_id and (code := usual_code(cell)) is not None and not set(code) & set(",=:"):
        codes = [(rule, shown, [code, *_further_codes(rule, code, others)])]
        codes += [(other, name, _further_codes(other, "", cells)) for name, (other, cells) in (beside or {}).items()]
        said = " ".join(
            f"--column {declaration(f'{one.column}={name}:' + ','.join(f'{code}=' for code in listed))}"
            for one, name, listed in codes
            if listed
        )
        return f"if it means unknown, declare it: `{said}`"
    if single and not error.remedy and re.fullmatch(r"-\d+(\.0+)?", cell):
        others = list(others)
        if (
            _DIGIT.fullmatch(cell) and others.count(cell) + 1 >= _SEVERAL
        ):  # ADNI's -4 and -1; in one row it may be a slip
            return f"if it means unknown, declare it: `--column {declaration(f'{rule.column}={shown}:{cell}=')}`"
        said = declaration(f"{rule.column}={shown}:CODE=")
        return f"if negative numbers mean unknown, declare each: `--column {said}` with the number for CODE"
    if single and rule.column == "visit_date" and is_counted(cell):
        said = declaration(f"visit_date={shown}:{SERIAL}")
        return f"it may be a day as spreadsheets count them; if so, declare it: `--column {said}`"
    if single and rule.column == "visit_date" and rule.read is None:
        order = order_of(chain([cell], others))
        said = declaration(f"visit_date={shown}:{order or 'DMY'}")
        if order is not None:
            return f"write year-month-day, or say in which order the days stand: `--column {said}`"
        return f"write year-month-day, or say in which order the days stand: `--column {said}`, or `:MDY`, or `:YMD`"
    if single and rule.column == "diagnosis" and (rule.read is None or isinstance(error, NoClassError)):
        words = suggest(chain([cell], others))
        ask = "if that is what they mean, say so" if words else "say what the words mean, for example"
        example = EXAMPLE_OF_NUMBERS if cell[:1].isdigit() else EXAMPLE
        said = declaration(f"diagnosis={shown}:{words or example}")
        return f"{ask}: `--column {said}`; `WORD=` leaves the rows of a word without a diagnosis"
    if len(rule.sources) > 1 and "--column" in error.remedy:  # it takes one column only
        return f"write the cells in the unit of {rule.column}, or leave them empty if unknown"

    remedy = error.remedy
    if rule.column == "sex" and "0" in {
        cell,
        *(other.strip() for other in others),
    }:  # the example must know the column's codes
        remedy = remedy.replace(":1=M,2=F`", ":0=F,1=M`, or the other way round")

    def named(match: re.Match[str]) -> str:
        return f"`--column {declaration(f'{rule.column}={shown}{match[1]}')}`"

    return re.sub(rf"`--column (?:CANONICAL|{rule.column})=YOURS([^`]*)`", named, remedy)


def _further_codes(rule: Rule, first: str, others: Iterable[str]) -> list[str]:
    """Return the usual codes for unknown that the column refuses in the rows behind, so that one declaration is enough."""
    found = dict.fromkeys(cell.strip() for cell in others) if rule.column != "subject_id" else {}
    return [cell for cell in found if cell != first and _is_refused_code(rule, cell)][:_MOST_CODES]


def _is_refused_code(rule: Rule, cell: str) -> bool:
    if cell in MISSING or usual_code(cell) is None or set(cell) & set(",=:"):
        return False
    try:
        _ = rule.read(cell) if rule.read else COLUMNS[rule.column](cell)
    except CellError:
        return True
    return False
