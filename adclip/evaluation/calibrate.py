"""Calibration on subjects that neither trained nor chose the model: who says what, and what is fitted to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adclip.domain import Visit
from adclip.evaluation.fusion import COVERAGE, RoadEvidence, conformal_quantile, fit_road
from adclip.model.calibration import (
    FOUND_VOLUMES,
    SCAN,
    TABLE,
    TABLE_AND_FOUND_VOLUMES,
    TABLE_WITH_VOLUMES,
    Calibration,
)
from adclip.prediction.dataset import Cohort
from adclip.prediction.evidence import log_chances, only_volumes, without_volumes
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.scoring import Reader, score_tokens

Reads = Callable[[Visit], bool]


@dataclass(frozen=True)
class Answers:
    """What a method said of N scans.

    Parameters
    ----------
    report, bare : ndarray (N, K)
        Scores before temperature, with full reports and without.
    mmse : ndarray (N,) or None
        In points.
    person, volumes : ndarray (N, K) or None
        Scores with reports of the person without any volume, and of the volumes alone; where they were asked for.
    """

    report: NDArray[np.float64]
    bare: NDArray[np.float64]
    mmse: NDArray[np.float64] | None
    person: NDArray[np.float64] | None = None
    volumes: NDArray[np.float64] | None = None


@torch.inference_mode()
def answer(
    reader: Reader,
    cohort: Cohort,
    places: Sequence[int],
    mmse_stats: tuple[float, float],
    batch_size: int = 8,
    *,
    in_part: bool = False,
) -> Answers:
    """Score scans of a cohort with full reports, and with `in_part` with parts of them too; no scans give arrays of no rows."""
    if not places:
        nothing = np.zeros((0, len(reader.labels)))
        return Answers(nothing, nothing, None, nothing, nothing)
    wording: dict[str, Callable[[Visit], Visit]] = {"report": lambda visit: visit}
    if in_part:
        wording |= {"person": without_volumes, "volumes": only_volumes}
    scores: dict[str, list[Tensor]] = {name: [] for name in (*wording, "bare", "mmse")}
    for start in range(0, len(places), batch_size):
        batch = list(places[start : start + batch_size])
        image = reader.network.image_tokens(cohort.image_batch(batch, reader.device))
        for name, shorten in wording.items():
            answered = score_tokens(reader, image, [shorten(cohort.visits[place]) for place in batch])
            scores[name].append(answered.report.cpu())
        scores["bare"].append(answered.bare.cpu())
        if answered.mmse is not None:
            scores["mmse"].append(answered.mmse.cpu() * mmse_stats[1] + mmse_stats[0])
    numbers = {name: torch.cat(parts).double().numpy() for name, parts in scores.items() if parts}
    points = np.clip(numbers["mmse"], *reader.task.score_range) if "mmse" in numbers else None
    return Answers(numbers["report"], numbers["bare"], points, numbers.get("person"), numbers.get("volumes"))


def calibrate(
    evidence: Mapping[str, RoadEvidence],
    estimates: NDArray[np.float64] | None,
    true_scores: NDArray[np.float64],
    classes: Sequence[str],
    shares: Sequence[float] | None = None,
) -> Calibration:
    """Fit each road, and the half width of the interval of the score, on subjects that neither trained nor chose the epoch.

    Parameters
    ----------
    evidence : mapping
        Road -> what its sources say of those subjects who have such evidence.
    estimates : ndarray (N,) or None
        Estimated scores of all subjects in points.
    true_scores : ndarray (N,)
        Points, NaN where unknown.
    classes : sequence of str
        K.
    shares : sequence of float (K,), optional
        How common the classes are in the study; without them nothing is fitted for the study as it is.

    Notes
    -----
    The half width is split conformal prediction (Lei et al. 2018): the ceil((n + 1) * 0.9)-th smallest absolute error.
    """
    half_width = None
    if estimates is not None:
        half_width = conformal_quantile(np.abs(estimates - true_scores)[~np.isnan(true_scores)])
    roads = {name: fit_road(of_road, classes, shares) for name, of_road in evidence.items() if len(of_road.truth)}
    return Calibration(len(true_scores), half_width, coverage=COVERAGE, roads=roads)


def gather_evidence(
    answers: Answers,
    visits: Sequence[Visit],
    truth: NDArray[np.int64],
    says_something: Reads,
    baseline: MetadataBaseline,
) -> dict[str, RoadEvidence]:
    """Return what each road's sources say of the calibration subjects, with as much taken away as the road lacks.

    A person with volumes in the row tells also what would be said without them, and with volumes that were found for the scan
    instead: so every road learns from all who can teach it.

    Parameters
    ----------
    answers : Answers
        For N scans, one of each subject.
    visits : sequence of Visit
        Their N rows.
    truth : ndarray (N,)
        Places of their classes.
    says_something : callable
        Tells whether a report of a visit says anything.
    baseline : MetadataBaseline
        The regression on rows.
    """
    labels = baseline.class_order
    evidence = {SCAN: RoadEvidence(truth, scan=answers.bare)}
    person_rows, volume_rows = [without_volumes(visit) for visit in visits], [only_volumes(visit) for visit in visits]

    def add(road: str, takes_part: list[bool], rows: Sequence[Visit] | None, both: NDArray[np.float64] | None) -> None:
        chosen = np.flatnonzero(takes_part)
        if both is None or not len(chosen):
            return
        metadata = None
        if rows is not None:
            metadata = np.array([log_chances(baseline.predict(rows[place]), labels) for place in chosen.tolist()])
        evidence[road] = RoadEvidence(truth[chosen], answers.bare[chosen], metadata, both[chosen])

    has_volumes = [
        baseline.knows_volume_of(visit) and says_something(volume)
        for visit, volume in zip(visits, volume_rows, strict=True)
    ]
    tells_of_person = [baseline.predict(row) is not None and says_something(row) for row in person_rows]
    both_known = [one and other for one, other in zip(has_volumes, tells_of_person, strict=True)]
    add(TABLE, tells_of_person, person_rows, answers.person)
    add(TABLE_WITH_VOLUMES, has_volumes, visits, answers.report)
    add(TABLE_AND_FOUND_VOLUMES, both_known, person_rows, answers.report)
    add(FOUND_VOLUMES, has_volumes, None, answers.volumes)
    return evidence
