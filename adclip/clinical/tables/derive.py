"""What visits are told after their tables were joined: computed columns, and diagnoses by a named policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from adclip.clinical import errors
from adclip.clinical.columns import CellError, parse_cell
from adclip.clinical.tables.joined import Joined
from adclip.clinical.tables.partial import PartialTable
from adclip.domain import Diagnosis, Visit
from adclip.errors import TableError
from adclip.task import Task

# Clinical Dementia Rating, global score -> class; a named policy, because the CDR grades severity and is no diagnosis
# (Morris 1993; OASIS-2 has no other sign of MCI).
CDR_POLICY = {0.0: Diagnosis.CN, 0.5: Diagnosis.MCI, 1.0: Diagnosis.AD, 2.0: Diagnosis.AD, 3.0: Diagnosis.AD}


def complete(visits: Iterable[Joined], tables: Sequence[PartialTable]) -> None:
    """Compute what the tables' dialects derive, for visits that have what it needs.

    Parameters
    ----------
    visits : iterable of Joined
        Changed in place.
    tables : sequence of PartialTable
        Whose dialects say what is derived.

    Raises
    ------
    TableError
        If a computed value is not plausible; with the line of the first value it was computed from.
    """
    derived = list(dict.fromkeys(formula for table in tables for formula in table.derived))
    for visit in visits:
        for formula in derived:
            if formula.column in visit.values or not all(column in visit.values for column in formula.needs):
                continue
            if any(column in visit.values for column in formula.absent):
                continue
            value = formula.compute(*(visit.values[column] for column in formula.needs))
            if value is None:
                continue
            place = visit.origin[formula.needs[0]]
            try:
                visit.values[formula.column] = parse_cell(formula.column, _to_text(value))
            except CellError as error:
                needs = " + ".join(name.lstrip("_") for name in formula.needs)
                raise errors.bad_cell(*place, needs, f"{formula.column}: {error.why}", error.remedy) from None
            visit.origin[formula.column] = place


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def apply_cdr(visits: Sequence[Joined], tables: Sequence[PartialTable]) -> str:
    """Fill unknown diagnoses from the global CDR, and say so."""
    if not any("cdr_global" in table.columns for table in tables):
        raise TableError.no_column(tables[0].path, "cdr_global", [name for table in tables for name in table.extra])
    counts: Counter[str] = Counter()
    for visit in visits:
        if "diagnosis" not in visit.values and "cdr_global" in visit.values:
            visit.values["diagnosis"] = CDR_POLICY[visit.values["cdr_global"]]
            visit.origin["diagnosis"] = visit.origin["cdr_global"]
            counts[visit.values["diagnosis"]] += 1
    shown = ", ".join(f"{name} {counts[name]}" for name in Diagnosis)
    return f"diagnosis policy `cdr`: CDR 0, 0.5 and >= 1 read as CN, MCI and AD where no diagnosis stands ({shown})"


def only_classes_of(task: Task, visits: list[Visit]) -> tuple[list[Visit], int]:
    """Leave out diagnoses that are no classes of the task, and count them."""
    allowed = {None, *task.classes}
    restricted = [visit if visit.diagnosis in allowed else replace(visit, diagnosis=None) for visit in visits]
    return restricted, sum(visit.diagnosis not in allowed for visit in visits)
