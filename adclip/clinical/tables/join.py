"""Rows of several files -> visits: same subject and session, else the nearest date, else one row for the whole person.

The rules, in order:

1. Tables that name sessions (or the `scan`) lay down the visits: one for each subject and session, and for each scan of a
   session, from all of them together. Rows of one scan are one visit, whichever of them names the subject (`lay_down`).
2. A table that knows only dates, or days since entry, is attached to the visit nearest in time, at most `max_days` away; so is
   a table whose sessions have other names than those of the tables before it, if both know dates. Where no table names
   sessions, the first dated one lays down the visits.
3. A table with neither, or with nothing but what is the person's, describes the person. What does not change from visit to
   visit (`PERSON`) goes to every visit of theirs; anything else only to a subject with one visit.

Nothing is overwritten: two different values for one column of one visit are an error that names both lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from adclip.clinical.dialects.base import DAY, OF_THE_PERSON
from adclip.clinical.tables import errors
from adclip.clinical.tables.joined import Joined, Joining
from adclip.clinical.tables.lay_down import Visits
from adclip.clinical.tables.nearest import find_nearest, on_the_day_of
from adclip.clinical.tables.partial import PartialRow, PartialTable
from adclip.clinical.tables.screening import differ_in, with_screening

PERSON = frozenset({"subject_id", "sex", "education_years", "apoe4_count", *OF_THE_PERSON})


def join(tables: Sequence[PartialTable], max_days: int) -> Joining:
    """Join tables by the rules above.

    Parameters
    ----------
    tables : sequence of PartialTable
        One or more.
    max_days : int
        Largest distance in days between a visit and what is attached to it by date.

    Raises
    ------
    TableError
        If values contradict each other, or rows cannot be told apart; with lines.
    """
    result = Joining()
    sessions = [table for table in tables if _names_sessions(table)]
    dated = [table for table in tables if table not in sessions and _has_dates(table)]
    people = [table for table in tables if table not in sessions and table not in dated]
    if len(tables) == 1 and people:
        sessions, people = people, []
    if not sessions and dated:
        sessions, dated = [dated[0]], dated[1:]
    if not sessions and people:
        sessions, people = [people[0]], people[1:]

    visits = Visits(tables)
    for position, table in enumerate(sessions):
        if position and _has_dates(table) and visits.knows_others(table):
            dated.append(table)
            continue
        visits.lay_down(table, result)
    result.visits = visits.all
    of_subject: dict[str, list[Joined]] = defaultdict(list)
    for visit in result.visits:
        of_subject[visit.values.get("subject_id", "")].append(visit)
    for table in dated:
        _attach_by_date(table, of_subject, max_days, result)
    for table in people:
        _attach_to_person(table, of_subject, result)
    _spread(of_subject)
    if len(tables) > 1:
        result.visits = with_screening(result, tables)
    return result


def _names_sessions(table: PartialTable) -> bool:
    if not {*table.columns} - PERSON - {"session_id"}:
        return (
            False  # sex or genotype written at some visit (AIBL's demographics stand at the baseline) are of the person
        )
    return any("session_id" in row.values or "scan" in row.values for row in table.rows)


def _has_dates(table: PartialTable) -> bool:
    return any(DAY in row.values or "visit_date" in row.values for row in table.rows)


# ----------------------------------------------------------------------------------------------- by date


def _attach_by_date(table: PartialTable, of_subject: dict[str, list[Joined]], max_days: int, result: Joining) -> None:
    """Give every visit the nearest row of the table, as a whole."""
    rows: dict[str, list[PartialRow]] = defaultdict(list)
    for row in table.rows:
        if row.values.get("subject_id"):
            rows[row.values["subject_id"]].append(row)
    attached: set[int] = set()
    for subject, subject_rows in rows.items():
        for visit in of_subject.get(subject, ()):
            nearest = find_nearest(table, visit, subject_rows, max_days)
            if nearest is not None:
                attached.add(nearest.line)
                visit.add(table, nearest.line, on_the_day_of(visit, nearest.values), nearest.aside)
    _count_unattached(table, attached, result)


# ----------------------------------------------------------------------------------------------- by person


def _attach_to_person(table: PartialTable, of_subject: dict[str, list[Joined]], result: Joining) -> None:
    attached: set[int] = set()
    first_rows: dict[str, PartialRow] = {}
    for row in table.rows:
        subject = row.values.get("subject_id", "")
        if not subject:  # nobody's row describes nobody in particular
            continue
        first = first_rows.setdefault(subject, row)
        if first is not row:
            if first.values == row.values:
                result.repeated[table.name] = result.repeated.get(table.name, 0) + 1
            elif {*first.values, *row.values} - PERSON - {"session_id"}:
                raise errors.same_subject(table.path, first.line, row.line)
            elif differ_in(first.values, row.values, "education_years"):
                # a study asks again when a person joins its next phase; ADNIMERGE too keeps the first answer
                row = PartialRow(
                    row.line, {**row.values, "education_years": first.values["education_years"]}, row.aside
                )
                result.first_kept[table.name] = result.first_kept.get(table.name, 0) + 1
        visits = of_subject.get(subject, [])
        if not visits:
            continue
        attached.add(row.line)
        values = {column: value for column, value in row.values.items() if column != "session_id"}
        if table.dialect == "BIDS" and all("age_years" in visit.values for visit in visits):
            values.pop("age_years", None)  # the sessions have ages of their own; this is the one at entry
        changing = [column for column in values if column not in PERSON]
        if changing and len(visits) > 1:
            raise errors.which_visit(table.path, row.line, changing[0], len(visits))
        for visit in visits:  # of which visit an answer is, such a row does not say
            visit.add(table, row.line, values, row.aside if len(visits) == 1 else None)
    _count_unattached(table, attached, result)


def _spread(of_subject: dict[str, list[Joined]]) -> None:
    """Give what one visit of several files knows of the person to the person's other visits, where all agree.

    Studies write sex or year of birth at one visit only (AIBL's demographics stand at the baseline).
    """
    for subject, visits in of_subject.items():
        if not subject or len(visits) < 2:
            continue
        for column in PERSON - {"subject_id"}:
            with_value = [visit for visit in visits if column in visit.values]
            if (
                with_value
                and len(with_value) < len(visits)
                and len({visit.values[column] for visit in with_value}) == 1
            ):
                for visit in visits:
                    visit.values.setdefault(column, with_value[0].values[column])
                    visit.origin.setdefault(column, with_value[0].origin[column])


def _count_unattached(table: PartialTable, attached: set[int], result: Joining) -> None:
    n_unattached = sum(row.line not in attached for row in table.rows)
    if n_unattached:
        result.unattached[table.name] = result.unattached.get(table.name, 0) + n_unattached
