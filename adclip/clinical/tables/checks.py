"""What several tables must have in common before they are joined, and what their reader is told of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from adclip.clinical.dialects.canonical import ANSWERS
from adclip.clinical.tables import errors
from adclip.clinical.tables.joined import Joining
from adclip.clinical.tables.mapping import ColumnMapping
from adclip.clinical.tables.partial import PartialTable
from adclip.clinical.tables.people import fold

_SHOWN = 5  # lines in a note


def check_mappings(tables: Sequence[PartialTable], mappings: Sequence[ColumnMapping], *, answers: bool = True) -> None:
    """Refuse a column that the user named and no table has.

    Parameters
    ----------
    tables : sequence of PartialTable
        All of them.
    mappings : sequence of ColumnMapping
        What the user said of columns.
    answers : bool
        Whether diagnosis and scores are wanted; if not, their columns may be absent.

    Raises
    ------
    TableError
        With the name that comes closest.
    """
    for mapping in mappings:
        if mapping.implied or (mapping.column in ANSWERS and not answers):
            continue
        if not any(mapping.column in table.columns and _is_mapped(table, mapping) for table in tables):
            names = {meaning.source: table.name for table in tables for meaning in table.meanings}
            theirs = ":".join((mapping.table_column, *mapping.parts))
            raise errors.no_mapped_column(tables[0].path, mapping.column, theirs, names, len(tables))


def _is_mapped(table: PartialTable, mapping: ColumnMapping) -> bool:
    return any(meaning.column == mapping.column and "--column" in meaning.why for meaning in table.meanings)


def check_ids(tables: Sequence[PartialTable]) -> None:
    """Refuse ids that differ in case or leading zeros alone, and tables that have nobody in common.

    Raises
    ------
    TableError
        One person under two names would straddle a split; a table of other people says nothing of these.
    """
    first_rows: dict[str, tuple[str, Path, int]] = {}
    subjects: list[set[str]] = []
    for table in tables:
        subject_ids: set[str] = set()
        for row in table.rows:
            subject = row.values.get("subject_id")
            if not subject or subject in subject_ids:
                continue
            subject_ids.add(subject)
            first = first_rows.setdefault(fold(subject), (subject, table.path, row.line))
            if first[0] != subject:
                raise errors.similar_ids(first[1], first[2], table.path, row.line)
        subjects.append(subject_ids)
    earlier_ids: set[str] = set()
    for table, subject_ids in zip(tables, subjects, strict=True):
        nobody = len(tables) > 1 and not subject_ids and not any("scan" in row.values for row in table.rows)
        if nobody or (earlier_ids and subject_ids and not earlier_ids & subject_ids):
            raise errors.nothing_joins(tables[0].path, table.path)
        earlier_ids |= subject_ids


def notes_of(tables: Sequence[PartialTable], joined: Joining, max_days: int) -> Iterator[tuple[Path, str]]:
    """Yield what the user should know, each sentence with the file that it is about: tables without ids, repeated rows, rows of no visit."""
    paths = {table.name: table.path for table in reversed(tables)}
    for table in tables:
        if len(table.rows) > 1 and not any("subject_id" in row.values for row in table.rows):
            what = "no subject id" if "subject_id" in table.columns else "no column of subject ids"
            by = "by their `scan` alone" if any("scan" in row.values for row in table.rows) else "to no scan"
            yield (
                table.path,
                f"{what} in {table.name}: its {len(table.rows)} rows are joined {by} "
                "(`--column subject_id=NAME` names the column)",
            )
    for sentence in _say_halves(joined):
        yield joined.visits[0].path, sentence
    for table in tables:
        if table.failed:
            yield table.path, _say_failed(table)
    for name, count in joined.repeated.items():
        yield paths[name], f"rows that repeat another one exactly: {count}; each counts once"
    for name, count in joined.added.items():
        yield paths[name], f"{say_rows(count, 'is a visit', 'are visits')} that the tables before it do not have"
    for name, count in joined.first_kept.items():
        yield (
            paths[name],
            f"{say_rows(count, 'gives', 'give')} other years of education than the person's first row; the first counts",
        )
    for name, count in joined.unattached.items():
        what = say_rows(count, "belongs", "belong")
        yield paths[name], f"{what} to no visit of the other tables (at most {max_days} days apart)"


def say_rows(count: int, one: str, several: str) -> str:
    """Return a number of rows with its verb."""
    return f"1 row {one}" if count == 1 else f"{count} rows {several}"


def _say_halves(joined: Joining) -> Iterator[str]:
    """Yield a sentence where the gyri of one hemisphere alone are known: what is read is of both."""
    for side, other in (("left", "right"), ("right", "left")):
        prefix, lacking = f"_{side}_", f"_{other}_"
        halves = sum(
            any(
                name.startswith(prefix) and name.replace(prefix, lacking, 1) not in visit.values
                for name in visit.values
            )
            for visit in joined.visits
        )
        if halves:
            yield (
                f"{say_rows(halves, 'has', 'have')} gyri of the {side} hemisphere alone: the volumes are of both, so they are not read; "
                "give the other hemisphere's table beside"
            )


def _say_failed(table: PartialTable) -> str:
    shown = ", ".join(map(str, table.failed[:_SHOWN])) + (", ..." if len(table.failed) > _SHOWN else "")
    many = len(table.failed) > 1
    what = f"{len(table.failed)} segmentations" if many else "one segmentation"
    where = f"line{'s' * many} {shown}" if table.path.is_file() else f"number{'s' * many} {shown} in the order of names"
    return f"{what} in {table.path.name} failed: volumes of 0 count as unknown ({where})"
