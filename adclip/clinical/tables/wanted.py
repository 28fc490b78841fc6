"""Names of columns that somebody reads: they tell a header from a row of values, and which delimiter fits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from adclip.clinical.dialects import DIALECTS
from adclip.clinical.dialects.canonical import ANSWERS
from adclip.clinical.tables.mapping import ColumnMapping

_KEPT = 16  # answers: a dataset has a table for each subject, and for all of them the user says the same of columns


def wanted_names(mappings: Sequence[ColumnMapping], *, answers: bool = True) -> frozenset[str]:
    """Return all names, in lower case, that any dialect or the user reads; without `answers`, none of answers alone."""
    return _wanted(tuple(mappings), answers)


def answer_names(mappings: Sequence[ColumnMapping]) -> frozenset[str]:
    """Return the names of the columns from which answers alone are read."""
    return _of_answers(tuple(mappings))


@lru_cache(maxsize=_KEPT)
def _wanted(mappings: tuple[ColumnMapping, ...], answers: bool) -> frozenset[str]:
    names = {source for dialect in DIALECTS for rule in dialect.rules for source in rule.sources}
    names |= {mapping.table_column.lower() for mapping in mappings}
    return frozenset(names - {""} - (frozenset() if answers else _of_answers(mappings)))


@lru_cache(maxsize=_KEPT)
def _of_answers(mappings: tuple[ColumnMapping, ...]) -> frozenset[str]:
    rules = [rule for dialect in DIALECTS for rule in dialect.rules]
    read = {source for rule in rules if rule.column in ANSWERS for source in rule.sources}
    read |= {mapping.table_column.lower() for mapping in mappings if mapping.column in ANSWERS}
    input_sources = {source for rule in rules if rule.column not in ANSWERS for source in rule.sources}
    return frozenset(
        read - input_sources - {mapping.table_column.lower() for mapping in mappings if mapping.column not in ANSWERS}
    )
