"""Whether what was read fits together: a person is one person, and parts are not larger than the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from adclip.clinical.tables import errors
from adclip.clinical.tables.joined import Joined
from adclip.clinical.tables.remarks import rows_at
from adclip.domain import Visit
from adclip.errors import TableError

NEVER_CHANGES = ("sex", "apoe4_count")
# Ages are whole years in many tables, and dates are shifted or rounded to months: less than this is no contradiction.
AGE_SLACK_YEARS = 2.0
SUM_SLACK = 0.02  # of the whole hippocampus; tables round, and programs count borders otherwise
PARTS = (
    "whole_brain_mm3", "ventricles_mm3", "hippocampus_mm3", "entorhinal_mm3", "fusiform_mm3", "middle_temporal_mm3",
)  # fmt: skip


def check_people(visits: Sequence[Joined]) -> None:
    """Refuse visits of one subject that cannot be of one person.

    Raises
    ------
    TableError
        If sex or genotype differ, sessions differ in case alone, or ages do not follow the dates; with both lines.
    """
    people: dict[str, list[Joined]] = defaultdict(list)
    for visit in visits:
        if visit.values.get("subject_id"):
            people[visit.values["subject_id"]].append(visit)
    for person_visits in people.values():
        if len(person_visits) > 1:
            _check_person(person_visits)


def _check_person(visits: Sequence[Joined]) -> None:
    for column in NEVER_CHANGES:
        with_value = [visit for visit in visits if column in visit.values]
        for visit in with_value[1:]:
            if visit.values[column] != with_value[0].values[column]:
                raise _conflict(with_value[0], visit, column)
    sessions: dict[str, Joined] = {}
    for visit in visits:
        name = visit.values.get("session_id")
        if name is not None:
            first = sessions.setdefault(name.casefold(), visit)
            if first.values["session_id"] != name:
                raise errors.similar_ids(*_place(first, "session_id"), *_place(visit, "session_id"))
    dated = [visit for visit in visits if {"visit_date", "age_years"} <= visit.values.keys()]
    for visit in dated[1:]:
        first_values, later_values = dated[0].values, visit.values
        years = (
            date.fromisoformat(later_values["visit_date"]) - date.fromisoformat(first_values["visit_date"])
        ).days / 365.25
        if abs(later_values["age_years"] - first_values["age_years"] - years) > AGE_SLACK_YEARS:
            raise _conflict(dated[0], visit, "age_years")


def _conflict(first: Joined, second: Joined, column: str) -> TableError:
    return errors.conflict(*_place(first, column), *_place(second, column), column)


def _place(visit: Joined, column: str) -> tuple[Path, int]:
    return visit.origin.get(column, (visit.path, visit.line))


def check_together(visits: Sequence[Visit], lines: Sequence[int]) -> Iterator[str]:
    """Yield a sentence for each kind of volumes that do not fit together; they are kept, because tables have such rows."""
    lines_by_problem: dict[str, list[int]] = defaultdict(list)
    for visit, line in zip(visits, lines, strict=True):
        total_mm3, left_mm3, right_mm3 = visit.hippocampus_mm3, visit.hippocampus_left_mm3, visit.hippocampus_right_mm3
        if total_mm3 and left_mm3 and right_mm3 and abs(left_mm3 + right_mm3 - total_mm3) > SUM_SLACK * total_mm3:
            lines_by_problem["hippocampus_mm3 is not the sum of left and right"].append(line)
        if visit.icv_mm3:
            for column in PARTS:
                if (getattr(visit, column) or 0) > visit.icv_mm3:
                    lines_by_problem[f"{column} is larger than icv_mm3"].append(line)
    for problem, problem_lines in lines_by_problem.items():
        yield f"implausible: {problem} in {rows_at(problem_lines)}; check the columns and their units"
