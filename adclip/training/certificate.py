"""Proof, before the first step, that nothing of the answer is in the input and nobody stands on two sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as functional

from adclip.clinical.scans.splits import prove_disjoint
from adclip.clinical.tables.people import count_people, person_of
from adclip.domain import InputContract, Visit
from adclip.prediction.dataset import QUANTUM, Cohort
from adclip.training import errors

# Correlation of what two scans have beyond the mean of the cohort, in cells of about 10 mm. The most alike of
# different people: 0.42 among 59 IXI, 0.60 among 200 simulated heads of one template. The same scan again: with noise 0.998 and
# more, gamma 1.15 0.88 and more, 10 % brighter 0.75-0.95, moved by 1-2 mm and turned by 2 degrees 0.77-0.94.
NEAR_DUPLICATE = 0.8
CELL_MM = 10.0
FEWEST = 8  # subjects that make a mean; below, only all but equal scans are told from similar ones, by this plain correlation
NEARLY_EQUAL = 0.9995
ROWS_AT_ONCE = 512


def certify(
    cohort: Cohort,
    parts: Mapping[str, Sequence[int]],
    write_reports: Callable[[Visit], Sequence[str]],
    contract: InputContract,
) -> dict[str, Any]:
    """Check a cohort and its division, and return what was checked as plain JSON types.

    Parameters
    ----------
    cohort : Cohort
    parts : mapping of str to sequence of int
        Part -> places in the cohort.
    write_reports : callable
        Visit -> the candidate reports that the model will read.
    contract : InputContract
        Of the cohort's grid.

    Raises
    ------
    LeakError
        If a person is in two parts under whatever ids, two people have nearly the same scan, or a report changes with the answer.
    """
    prove_disjoint({part: {cohort.visits[place].subject_id for place in places} for part, places in parts.items()})
    alike, pair = most_alike(cohort, contract)
    limit = near_duplicate_limit(cohort)
    if alike > limit:
        raise errors.near_duplicates(*pair, alike)
    labels = sorted({str(visit.diagnosis) for visit in cohort.visits})
    for visit in cohort.visits:
        told = write_reports(visit)
        for diagnosis, points in ((labels[-1], 3.0), (labels[0], 30.0)):
            other = replace(visit, diagnosis=diagnosis, mmse=points, cdr_global=1.0, score=points)
            if write_reports(other) != told:
                raise errors.answer_in_report(visit.subject_id)
    return {
        "subjects": {part: count_people(cohort.visits[p].subject_id for p in places) for part, places in parts.items()},
        "scans": {part: len(places) for part, places in parts.items()},
        "subjects_in_two_parts": 0,
        "largest_correlation_of_two_subjects": None if alike < -1 else round(alike, 4),
        "near_duplicate_above": limit,
        "reports_unchanged_by_diagnosis_and_scores": len(cohort.visits),
    }


def near_duplicate_limit(cohort: Cohort) -> float:
    """Return the correlation above which two scans are taken for one; see NEAR_DUPLICATE."""
    return NEAR_DUPLICATE if count_people(visit.subject_id for visit in cohort.visits) >= FEWEST else NEARLY_EQUAL


def most_alike(cohort: Cohort, contract: InputContract) -> tuple[float, tuple[str, str]]:
    """Return the largest correlation between scans of two subjects, and who they are; -2 where there is one subject."""
    names = [visit.subject_id for visit in cohort.visits]
    cells = [max(round(CELL_MM / mm), 1) for mm in contract.spacing_mm]
    features = torch.stack(
        [
            functional.avg_pool3d(image[None].float() / QUANTUM, cells, ceil_mode=True).flatten()
            for image in cohort.images
        ]
    )
    common = features.mean(0) if count_people(names) >= FEWEST else features.mean(1, keepdim=True)
    features = functional.normalize(features - common, dim=-1)
    people = [person_of(name) for name in names]
    numbers = {one: number for number, one in enumerate(dict.fromkeys(people))}
    person = torch.tensor([numbers[one] for one in people])
    worst, pair = -2.0, ("", "")
    for start in range(0, len(names), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        found = features[rows] @ features.T
        found[person[rows, None] == person[None, :]] = -2.0
        value, place = found.flatten().max(0)
        if float(value) > worst:
            worst = float(value)
            row, column = divmod(int(place), len(names))
            pair = names[start + row], names[column]
    return worst, pair
