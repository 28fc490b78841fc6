"""What is true of scans, beside what the model says of them and what others say who stand beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adclip.clinical.reports import usable_fields
from adclip.clinical.tables.people import person_of
from adclip.domain import FloatArray, Visit
from adclip.evaluation.calibrate import Answers
from adclip.evaluation.metrics import Judged, put_back
from adclip.model.calibration import SCAN, Road
from adclip.model.record import AdapterRecord
from adclip.prediction.answer import to_probabilities
from adclip.prediction.dataset import Cohort
from adclip.prediction.evidence import Evidence, find_evidence, log_chances, weigh
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.volumes_baseline import VolumesBaseline
from adclip.task import Task

MODEL = "model"  # among those whose answers are judged


@dataclass(frozen=True)
class Judgement:
    """What is true of N scans, and what the model and whoever stands beside it say of them.

    Parameters
    ----------
    visits : tuple of Visit
        The rows of the scans.
    truth : tuple of str
        Class names.
    numbers : ndarray of int (N,)
        Their places in the order of classes.
    subjects : tuple of str
        Who each scan belongs to, as `person_of` says it.
    true_scores : tuple of float or None
        Known auxiliary score, points.
    mmse : tuple of float or None
        Its estimate of each scan; None for a model that estimates none.
    everyone : dict
        `MODEL` and the names of those beside it -> their answers.
    scan : Judged
        What the scan alone says, whether it counts as somebody of its own or not.
    thresholds : tuple of mapping or None
        Class -> smallest probability with which it is in the prediction set, by the road of each answer; None where that has no set.
    """

    visits: tuple[Visit, ...]
    truth: tuple[str, ...]
    numbers: NDArray[np.int64]
    subjects: tuple[str, ...]
    true_scores: tuple[float | None, ...]
    mmse: tuple[float, ...] | None
    everyone: dict[str, Judged]
    scan: Judged
    thresholds: tuple[Mapping[str, float] | None, ...]

    @property
    def full(self) -> Judged:
        """What the model says of a scan and its report."""
        return self.everyone[MODEL]

    @property
    def points(self) -> FloatArray:
        """Known auxiliary scores (N,), NaN where unknown."""
        return np.array([np.nan if score is None else score for score in self.true_scores], dtype=float)


def first_places(subjects: Sequence[str]) -> list[int]:
    """Return the place of the first scan of each person, in the order in which people come.

    Examples
    --------
    >>> first_places(["a", "a", "b", "a"])
    [0, 2]
    """
    first: dict[str, int] = {}
    for place, person in enumerate(subjects):
        first.setdefault(person, place)
    return list(first.values())


def predictions_to_tsv(record: AdapterRecord, judgement: Judgement) -> str:
    """Return what was said of each scan and what is true, as the text of a table of individuals."""
    labels, key, mmse = record.labels, record.task.score_key, judgement.mmse
    everyone = judgement.everyone | {"scan_only": judgement.scan}
    tables = {"probability": judgement.full.equal, "study": judgement.full.study}
    tables |= {kind: everyone[kind].equal for kind in everyone if kind != MODEL}
    header = ["subject_id", "session_id", "diagnosis"]
    header += [f"{kind}_{label}" for kind in tables for label in labels]
    lines = ["\t".join([*header, key, f"{key}_estimate"])]
    for row, (visit, score) in enumerate(zip(judgement.visits, judgement.true_scores, strict=True)):
        cells = [visit.subject_id, visit.session_id or "n/a", judgement.truth[row]]
        cells += [f"{number:.6f}" for table in tables.values() for number in table[row]]
        cells += ["n/a" if score is None else f"{score:g}", f"{mmse[row]:.3f}" if mmse else "n/a"]
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def judge(
    record: AdapterRecord,
    cohort: Cohort,
    places: Sequence[int],
    answers: Answers,
    told: Sequence[Visit] | None = None,
) -> Judgement:
    """Put the answers for scans beside what is true of them, and beside what the metadata and the volumes alone say.

    Parameters
    ----------
    record : AdapterRecord
    cohort : Cohort
    places : sequence of int
        Of the scans.
    answers : Answers
        For them.
    told : sequence of Visit, optional
        What their reports were written from, where that is more than the rows of the cohort.
    """
    labels, calibration, task = record.labels, record.calibration, record.task
    visits = [cohort.visits[place] for place in places]
    evidence = _evidence_of(record, visits, told or visits)
    everyone = answers_of(record, cohort, places, answers, evidence)
    scan = everyone["scan_only"]
    if record.training.method == "metadata":
        del everyone["scan_only"]  # the regression on metadata sees no scan, so it has no answer from one
    roads = [calibration.road(known.road) for known in evidence]
    thresholds = [road.thresholds if road.fitted else None for road in roads]
    has_score = record.mmse_mean is not None and answers.mmse is not None
    return Judgement(
        tuple(visits),
        tuple(labels[int(cohort.labels[place])] for place in places),
        np.array([int(cohort.labels[place]) for place in places], dtype=np.int64),
        tuple(person_of(visit.subject_id) for visit in visits),
        tuple(task.score_of(visit) for visit in visits),
        tuple(float(x) for x in answers.mmse) if has_score and answers.mmse is not None else None,
        everyone,
        scan,
        tuple(thresholds),
    )


def answers_of(
    record: AdapterRecord,
    cohort: Cohort,
    places: Sequence[int],
    answers: Answers,
    evidence: Sequence[Evidence] | None = None,
) -> dict[str, Judged]:
    """Return the answers of the model and of whoever stands beside it, for classes equally common and as in the study.

    Parameters
    ----------
    record : AdapterRecord
    cohort : Cohort
    places : sequence of int
        Of N scans.
    answers : Answers
        For them.
    evidence : sequence of Evidence, optional
        What the answers rest on (N), where that is known already.

    Returns
    -------
    dict
        `MODEL`, `scan_only`, `metadata_only` and `volumes_only`, the last two where there are any.

    Notes
    -----
    Training takes the study's shares out of the scores, of the network and of the regressions alike. Judged by the study's own people such
    answers would look badly calibrated for that reason alone, so there the shares are put back.
    """
    calibration, labels = record.calibration, record.labels
    visits = [cohort.visits[place] for place in places]
    evidence = evidence or _evidence_of(record, visits, visits)
    shares = record.shares or (1 / len(labels),) * len(labels)
    mmse = None if record.mmse_mean is None else answers.mmse
    metadata = np.array([log_chances(known.metadata_only, labels) for known in evidence])
    full, full_study = np.empty_like(answers.bare), np.empty_like(answers.bare)
    for name in {known.road for known in evidence}:
        chosen, road = np.array([known.road == name for known in evidence]), calibration.road(name)
        scores = weigh(road, answers.bare[chosen], metadata[chosen], answers.report[chosen])
        full[chosen], full_study[chosen] = _probabilities(road, scores, shares)
    judged = {
        MODEL: Judged(full, full_study, mmse),
        "scan_only": Judged(*_probabilities(calibration.road(SCAN), answers.bare, shares)),
    }
    rows: dict[str, Sequence[Mapping[str, float] | None]] = {
        "metadata_only": [known.metadata_only for known in evidence]
    }
    if record.volumes_baseline is not None:
        by_volumes = VolumesBaseline.from_dict(record.volumes_baseline.content)
        rows["volumes_only"] = [by_volumes.predict_case(cohort.case(place)) for place in places]
    even = dict.fromkeys(labels, 1 / len(labels))
    for kind, answered in rows.items():
        if any(row is not None for row in answered):
            table = np.array([[(row or even)[label] for label in labels] for row in answered])
            judged[kind] = Judged(table, put_back(table, shares))
    return judged


def _evidence_of(record: AdapterRecord, rows: Sequence[Visit], told: Sequence[Visit]) -> list[Evidence]:
    """Return what the answers of scans with these rows rest on, as `predict` finds it."""
    stored = record.metadata_baseline
    baseline = None if stored is None else MetadataBaseline.from_dict(stored.content)

    def find(row: Visit, completed: Visit) -> Evidence:
        has_report = reads_report(completed, record.style, record.task, reports=record.reports)
        return find_evidence(row, completed, baseline, has_report=has_report)

    return [find(row, completed) for row, completed in zip(rows, told, strict=True)]


def _probabilities(road: Road, scores: NDArray[np.float64], shares: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Return probabilities (N, K) for classes equally common, and as common as in the study."""
    study_temperature = road.study_temperature or road.temperature
    least = road.least_probability
    return (
        to_probabilities(scores, road.temperature, least=least),
        to_probabilities(scores, study_temperature, shares, least=least),
    )


def reads_report(visit: Visit, style: str, task: Task, *, reports: bool = True) -> bool:
    """Tell whether a visit has a column that its report prints."""
    return reports and bool(task.usable(usable_fields(visit, style)))
