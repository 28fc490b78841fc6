"""Rows of segmentations that failed: zeros where volumes should stand say that nothing was found, not that nothing is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adclip.clinical.columns import CellError, to_number
from adclip.clinical.dialects import Dialect, Rule
from adclip.clinical.tables.header import Header

_ICV = "icv_mm3"
_FEWEST = 2  # zeros of a table that no program wrote: a single one is a slip


def find_failed(dialect: Dialect, rules: Sequence[Rule], header: Header) -> Callable[[list[str]], bool]:
    """Return a function that empties the volumes of a row whose structures are all 0, and says whether it did.

    Parameters
    ----------
    dialect : Dialect
        Of the table. A row of a program's table is taken for failed by one zero, of any other table by two.
    rules : sequence of Rule
        How its columns are read.
    header : Header
        Where they stand.

    Returns
    -------
    callable
        Takes the cells of a row and changes them in place. The intracranial volume, which some programs take from elsewhere, is
        emptied only if it is 0 as well. A structure of 0 beside others that are not stays as it is, for the column to judge.
    """
    structures = sorted({place for rule in rules if _is_structure(rule) for place in header.places((rule,))})
    intracranial = {place for rule in rules if rule.column == _ICV for place in header.places((rule,))}
    structures = [place for place in structures if place not in intracranial]
    fewest = 1 if dialect.volumes_source else _FEWEST

    def empty(cells: list[str]) -> bool:
        numbers = {place: number for place in structures if (number := _number(cells[place])) is not None}
        zeros_of_all = {place for place in intracranial if _number(cells[place]) == 0}
        if len(numbers) + len(zeros_of_all) < fewest or not numbers or any(numbers.values()):
            return False
        for place in (*numbers, *zeros_of_all):
            cells[place] = ""
        return True

    return empty


def _is_structure(rule: Rule) -> bool:
    return rule.column.endswith("_mm3") and rule.column != _ICV


def _number(cell: str) -> float | None:
    try:
        return to_number(cell) if cell else None
    except CellError:
        return None
