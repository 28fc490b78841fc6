"""The numbers of the test subjects: of the network, and of the baselines that stand beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adclip.clinical.tables.people import person_of
from adclip.domain import FloatArray
from adclip.evaluation.calibrate import Answers
from adclip.evaluation.judgement import MODEL, Judgement, first_places, judge, predictions_to_tsv
from adclip.evaluation.metrics import Judged, compare, summarise, summarise_mean
from adclip.evaluation.plots import plot_answers
from adclip.model.record import LESS, AdapterRecord
from adclip.prediction.dataset import Cohort
from adclip.runtime.paths import write_text

MAJORITY = "majority_"  # begins the names of the numbers of always answering the commonest class


def measure_everyone(
    record: AdapterRecord, judgement: Judgement, majority: str, seed: int, usual_score: float | None = None
) -> dict[str, Any]:
    """Return every number of the model, of whoever stands beside it, and of the model less them.

    Parameters
    ----------
    record : AdapterRecord
        For classes and task, prediction sets and the interval of the score.
    judgement : Judgement
        Of one scan or more.
    majority : str
        Class that the majority baseline always answers.
    seed : int
        Of the intervals.
    usual_score : float, optional
        Score in points that a model would answer that knows nothing.

    Returns
    -------
    dict
        As `measure`.
    """
    labels, task, subjects = record.labels, record.task, judgement.subjects
    everyone, full, mmse, true_scores = judgement.everyone, judgement.full, judgement.mmse, judgement.true_scores
    metrics: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for group, judged in everyone.items():
        scores = (true_scores, mmse) if group == MODEL else (None, None)
        numbers_of_group = summarise(
            judgement.truth, judged.equal, labels, subjects, scores[0], scores[1], seed, majority=majority,
            score_name=task.score_key, as_in_study=judged.study,
        )  # fmt: skip
        own = {name: value for name, value in numbers_of_group.items() if not name.startswith(MAJORITY)}
        if group == MODEL:
            metrics, groups["majority"] = (
                own,
                {n.removeprefix(MAJORITY): numbers_of_group[n] for n in numbers_of_group if n not in own},
            )
        else:
            groups[group] = own
    metrics |= _measure_sets(full.equal, judgement.numbers.tolist(), judgement.thresholds, labels, subjects, seed)
    half_width = record.calibration.mmse_half_width
    if mmse is not None and half_width is not None:
        within = [
            None if k is None else float(abs(k - m) <= half_width) for k, m in zip(true_scores, mmse, strict=True)
        ]
        metrics[f"{task.score_key}_coverage"] = summarise_mean(within, subjects, seed=seed)
    if usual_score is not None and f"{task.score_key}_mae" in metrics:
        usual_errors = [None if score is None else abs(score - usual_score) for score in true_scores]
        groups["majority"][f"{task.score_key}_mae"] = summarise_mean(usual_errors, subjects, None, seed)
    scans = len(judgement.truth)
    usual = np.tile(np.eye(len(labels))[labels.index(majority)], (scans, 1))
    rivals = everyone | {
        "majority": Judged(usual, usual, np.full(scans, np.nan if usual_score is None else usual_score))
    }
    order = [group for group in (*everyone, "majority") if group != MODEL]
    for group in order:
        metrics |= {f"{group}.{name}": value for name, value in groups[group].items()}
    for group in order:
        differences = compare(
            full, rivals[group], judgement.numbers, labels, subjects, judgement.points, seed,
            names=tuple(groups[group]), score_name=task.score_key,
        )  # fmt: skip
        metrics |= {f"{LESS}{group}.{name}": value for name, value in differences.items()}
    return metrics


def measure(
    record: AdapterRecord,
    cohort: Cohort,
    places: Sequence[int],
    answers: Answers,
    out: Path,
    seed: int,
    usual_score: float | None = None,
) -> dict[str, Any]:
    """Measure the test subjects; write `private/predictions_test.tsv` and `private/plots/`.

    Parameters
    ----------
    record : AdapterRecord
    cohort : Cohort
    places : sequence of int
        Of the test scans.
    answers : Answers
        For them.
    out : Path
        The RUN folder.
    seed : int
        Of the intervals.
    usual_score : float, optional
        Mean score of the training scans in points: what a model that knows nothing would answer.

    Returns
    -------
    dict
        `METRIC` of the network with a report; `GROUP.METRIC` of the network without, of the metadata alone, of the volumes
        alone, and of the majority class; `less_GROUP.METRIC`, the first less that.
    """
    if not places:
        return {}
    judgement = judge(record, cohort, places, answers)
    metrics = measure_everyone(record, judgement, commonest_in_training(record), seed, usual_score)
    write_text(out / "private" / "predictions_test.tsv", predictions_to_tsv(record, judgement))
    full = judgement.full
    plot_answers(
        out / "private" / "plots", record.task, judgement.numbers.tolist(), full.equal, full.study,
        judgement.true_scores, judgement.mmse,
    )  # fmt: skip
    return metrics


def commonest_in_training(record: AdapterRecord) -> str:
    """Return the class that most training subjects had."""
    trained_on = record.training.counts["train"]
    return max(trained_on, key=lambda label: trained_on[label])


def _measure_sets(
    probabilities: FloatArray,
    truth: Sequence[int],
    thresholds: Sequence[Mapping[str, float] | None],
    labels: Sequence[str],
    subjects: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Measure how often a prediction set holds the truth, and how many classes it holds; empty where there are none."""
    of_classes = [None if row is None else [row[label] for label in labels] for row in thresholds]
    if None in of_classes:
        return {}
    limits = np.minimum(
        np.array(of_classes, dtype=float), probabilities.max(1, keepdims=True)
    )  # the likeliest is always in
    inside = probabilities >= limits
    hits = inside[np.arange(len(truth)), list(truth)].astype(float)
    of_class = {}
    for number, label in enumerate(labels):  # that is where the promise is made
        rows = [row for row, true in enumerate(truth) if true == number]
        covered = summarise_mean([float(hits[row]) for row in rows], [subjects[row] for row in rows], seed=seed)
        of_class[f"set_coverage_{label.lower()}"] = covered
    return {
        "set_coverage": summarise_mean(hits.tolist(), subjects, seed=seed),
        **of_class,
        "set_size": summarise_mean(inside.sum(1).tolist(), subjects, (1.0, float(inside.shape[1])), seed),
    }


def count_subjects(cohort: Cohort, places: Sequence[int], labels: Sequence[str]) -> dict[str, int]:
    """Return how many subjects of each diagnosis, at their first scan, are at `places`."""
    first = first_places([person_of(cohort.visits[place].subject_id) for place in places])
    subjects = Counter(labels[int(cohort.labels[places[number]])] for number in first)
    return {label: subjects.get(label, 0) for label in labels}


def shares_of(cohort: Cohort, places: Sequence[int], labels: Sequence[str]) -> dict[str, float]:
    """Return the share of each class among the scans at `places`, as the training objective counts them."""
    scans = Counter(int(cohort.labels[place]) for place in places)
    return {label: scans[index] / len(places) for index, label in enumerate(labels)}
