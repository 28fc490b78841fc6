"""What the reader of several tables is told of them, each sentence with the file that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from adclip.clinical.column_names import near_miss
from adclip.clinical.dialects import AUXILIARY, Derived
from adclip.clinical.dialects.base import AGE_AT_BASELINE
from adclip.clinical.dialects.canonical import ANSWERS
from adclip.clinical.tables import errors
from adclip.clinical.tables.joined import Joined
from adclip.clinical.tables.meanings import Meaning
from adclip.clinical.tables.partial import PartialTable
from adclip.clinical.tables.remarks import say_unread
from adclip.errors import TableError


def told_of_files(tables: Sequence[PartialTable]) -> Iterator[tuple[Path, str]]:
    """Yield file and sentence: columns that look misnamed, conversions, odd cells; one for all answers that nobody could read."""
    seen: set[tuple[str, str]] = set()
    for table in tables:
        for sentence in (*table.hints, *table.notes):
            if (table.name, sentence) not in seen:  # the sessions of a BIDS dataset have a file for each subject
                seen.add((table.name, sentence))
                yield table.path, sentence
    unread: dict[tuple[str, str], int] = {}
    for table in tables:
        for column, rows in table.unread.items():
            unread[table.name, column] = unread.get((table.name, column), 0) + rows
    said = say_unread([(*place, rows) for place, rows in unread.items()])
    if said is not None:
        yield tables[0].path, said


def told_of_baselines(visits: Sequence[Joined]) -> Iterator[str]:
    """Yield what should be known of diagnoses and ages that stand for the baseline, or for the healthy alone."""
    impaired = [visit for visit in visits if visit.values.get("cdr_global", 0) > 0]
    diagnosed = any("diagnosis" in visit.values for visit in visits)
    if diagnosed and impaired and not any("diagnosis" in visit.values for visit in impaired):
        where = "the one row" if len(impaired) == 1 else f"any of the {len(impaired)} rows"
        yield (
            f"no diagnosis stands in {where} with a CDR above 0, but in others: clinica 0.12 loses them so when it "
            "converts OASIS-1. `--diagnosis-policy cdr` reads the CDR in their place"
        )

    aged = [visit for visit in visits if "age_years" in visit.values]
    if not aged and any(AGE_AT_BASELINE in visit.values for visit in visits):
        yield (
            "no age: `age_bl` is that at the baseline, and no row says that it is of that session; add the sessions' tables, or, if all "
            "scans are of the baseline, `--column age_years=age_bl`"
        )


def missing_column(tables: Sequence[PartialTable], column: str, columns: Sequence[str]) -> TableError:
    """Return the refusal of tables without a column that is needed, with the file and the column that may hold it."""
    if column == "diagnosis" and "cdr_global" in columns:
        return errors.no_diagnosis_but_cdr(tables[0].path)
    for table in tables:
        for meaning in table.meanings:
            if meaning.column is None and near_miss(meaning.source, (column,)) and meaning.source not in _hinted(table):
                return errors.not_that_column(tables[0].path, column, table.name, meaning.source, meaning.why)
    for table in tables:
        for name in table.extra:
            if near_miss(name, (column,)):
                return errors.likely_column(tables[0].path, column, table.name if len(tables) > 1 else None, name)
    open_names = [name for table in tables for name in table.extra if column not in ANSWERS]
    return TableError.no_column(tables[0].path, column, [*columns, *open_names])


def _hinted(table: PartialTable) -> Iterable[str]:
    """Return the unused columns of which a hint speaks, so that no study has a meaning for them."""
    return [name for name in table.extra if any(f"`{name}`" in hint for hint in table.hints)]


def _own_needs(formula: Derived) -> set[str]:
    """Return what a computation needs that its study's tables alone have, else all that it needs."""
    return set(formula.needs) & AUXILIARY or set(formula.needs)


def derived_meanings(tables: Sequence[PartialTable], columns: Sequence[str]) -> tuple[Meaning, ...]:
    """Return what columns are taken for that no file has: computed ones, and a diagnosis by policy."""
    stated = {meaning.column for table in tables for meaning in table.meanings}
    policy: tuple[Meaning, ...] = ()
    if "diagnosis" in columns and "diagnosis" not in stated:
        source = next(meaning for table in tables for meaning in table.meanings if meaning.column == "cdr_global")
        policy = (
            Meaning(source.table, source.source, "diagnosis", source.unit, "the policy `cdr`: 0 CN, 0.5 MCI, >= 1 AD"),
        )
    return policy + tuple(
        dict.fromkeys(
            Meaning(table.name, " + ".join(name.lstrip("_") for name in formula.needs), formula.column, "", formula.why)
            for table in tables
            for formula in table.derived
            if formula.column in columns and formula.column not in stated and _own_needs(formula) & set(table.columns)
        )
    )
