"""What an evaluation was made of: model, people, and who fell out on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adclip.domain import Visit
from adclip.evaluation.assess import Assessment
from adclip.evaluation.judgement import first_places


@dataclass(frozen=True)
class Study:
    """What stands beside the numbers.

    Parameters
    ----------
    model : mapping
        `id`, `base`, `sha256`.
    version : str
        Of adclip.
    notice : str
        What every output of the model carries.
    who : str
        Who is counted, in a sentence.
    own : bool
        Whether they are the run's own test people.
    checked : bool
        Whether all whom the run has met were there to compare with, see `adclip.evaluation.participants.Participants`.
    flow : tuple of (str, int)
        What became of scans, rows and people, in order.
    dialects : tuple of str
        Kinds of the tables.
    policy : str
        How diagnoses were read.
    seed : int
    simulated : bool
        Whether every person was simulated.
    preprocessed : bool
        Whether `adclip preprocess` made every scan; a simulated one may never have been raw.
    failures : int
        Scans that could not be read, those of training people included.
    """

    model: Mapping[str, str]
    version: str
    notice: str
    who: str
    own: bool
    checked: bool
    flow: tuple[tuple[str, int], ...] = ()
    dialects: tuple[str, ...] = ()
    policy: str = "table"
    seed: int = 0
    simulated: bool = False
    preprocessed: bool = True
    failures: int = 0


def characteristics(assessment: Assessment) -> tuple[list[str], list[list[str]]]:
    """Return who the people are, by class: head and rows of a table; each person counts with the first scan."""
    judgement, labels = assessment.judgement, assessment.record.labels
    rows = first_places(judgement.subjects)
    of_class = {
        label: [judgement.visits[place] for place in rows if judgement.truth[place] == label] for label in labels
    }
    everyone = [judgement.visits[place] for place in rows]
    columns = [*of_class.values(), everyone]
    table = [
        ["people", *(str(len(visits)) for visits in columns)],
        ["age, years: mean (SD)", *(_mean([v.age_years for v in visits]) for visits in columns)],
        ["women", *(_share([None if v.sex is None else v.sex == "F" for v in visits]) for visits in columns)],
        ["education, years: mean (SD)", *(_mean([v.education_years for v in visits]) for visits in columns)],
        ["APOE e4 carriers", *(_share([None if v.apoe4_count is None else v.apoe4_count > 0 for v in visits]) for visits in columns)],
    ]  # fmt: skip
    task = assessment.record.task
    table.append([f"{task.score}: mean (SD)", *(_mean([task.score_of(v) for v in visits]) for visits in columns)])
    return ["", *labels, "all"], table


def dates_of(visits: Sequence[Visit]) -> str:
    """Return from which to which year the visits were; empty where no date is known."""
    years = sorted({visit.visit_date[:4] for visit in visits if visit.visit_date})
    return f"visits of {years[0]} to {years[-1]}" if years else ""


def _mean(values: Sequence[float | None]) -> str:
    known = np.array([value for value in values if value is not None], dtype=float)
    if not len(known):
        return "–"
    spread = f" ({known.std(ddof=1):.1f})" if len(known) > 1 else ""
    unknown = len(values) - len(known)
    return f"{known.mean():.1f}{spread}" + (f", {unknown} unknown" if unknown else "")


def _share(values: Sequence[bool | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    unknown = len(values) - len(known)
    return f"{100 * sum(known) / len(known):.0f} %" + (f", {unknown} unknown" if unknown else "")
