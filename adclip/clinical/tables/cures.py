"""The next step for a cell that its column refuses: a declaration that runs in the same command, where there is one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import chain

from adclip.clinical.columns import CellError
from adclip.clinical.dialects import Rule
from adclip.clinical.dialects.missing import usual_code
from adclip.clinical.tables.words import EXAMPLE, EXAMPLE_OF_NUMBERS, suggest


def cure(rule: Rule, shown: str, cell: str, error: CellError, others: Iterable[str]) -> str:
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

    Returns
    -------
    str
        Empty where nothing better is known than to correct the cell.
    """
    single = len(rule.sources) == 1 and not rule.column.startswith("_")
    if single and (code := usual_code(cell)) is not None and not set(code) & set(",=:"):
        return f"if it means unknown, declare it: `--column {declaration(f'{rule.column}={shown}:{code}=')}`"
    if single and rule.column == "visit_date" and rule.read is None:
        said = declaration(f"visit_date={shown}:DMY")
        return f"write year-month-day, or say in which order the days stand: `--column {said}`, or `:MDY`, or `:YMD`"
    if single and rule.column == "diagnosis" and rule.read is None:
        words = suggest(chain([cell], others))
        ask = "if that is what they mean, say so" if words else "say what the words mean, for example"
        example = EXAMPLE_OF_NUMBERS if cell[:1].isdigit() else EXAMPLE
        said = declaration(f"diagnosis={shown}:{words or example}")
        return f"{ask}: `--column {said}`; `WORD=` leaves the rows of a word without a diagnosis"
    if len(rule.sources) > 1 and "--column" in error.remedy:  # it takes one column only
        return f"write the cells in the unit of {rule.column}, or leave them empty if unknown"
    return error.remedy.replace("CANONICAL=YOURS", f"{rule.column}={shown}")


def declaration(text: str) -> str:
    """Return a value of `--column` as a shell takes it."""
    return text if shlex.quote(text) == text or not set(text) & set(" '\"*?$&;()<>|") else f'"{text}"'
