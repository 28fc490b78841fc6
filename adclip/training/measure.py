"""The numbers of the test subjects: of the network, and of the baselines that stand beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.clinical.baseline import MetadataBaseline
from adclip.clinical.people import person_of
from adclip.clinical.reports import usable_fields
from adclip.clinical.volumes_baseline import VolumesBaseline
from adclip.domain import Visit
from adclip.metrics import bootstrap_interval, summarise
from adclip.model.record import AdapterRecord
from adclip.paths import write_text
from adclip.task import Task
from adclip.training.calibrate import Answers, to_probabilities
from adclip.training.dataset import Cohort
from adclip.training.plots import plot_answers


def measure(
    record: AdapterRecord,
    cohort: Cohort,
    places: Sequence[int],
    answers: Answers,
    out: Path,
    seed: int,
    usual_score: float | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
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
    metrics, baselines : dict
        Of the network with a report; of the network without, of the metadata alone, of the volumes alone, and of the
        majority class.
    """
    if not places:
        return {}, {}
    labels, calibration = record.labels, record.calibration
    visits = [cohort.visits[place] for place in places]
    truth = [labels[int(cohort.labels[place])] for place in places]
    subjects = [person_of(visit.subject_id) for visit in visits]
    told = [reads_report(visit, record.style, record.task, reports=record.reports) for visit in visits]
    scan = to_probabilities(answers.bare, calibration.scan_only_temperature)
    # as `predict` does it: without a word in the report the answer is that of the scan alone
    full = np.where(np.array(told)[:, None], to_probabilities(answers.report, calibration.temperature), scan)
    mmse = None if record.mmse_mean is None or answers.mmse is None else [float(x) for x in answers.mmse]
    task = record.task
    known = [task.score_of(visit) for visit in visits]
    shares = record.training["counts"]["train"]
    majority = max(shares, key=shares.get)
    metrics = summarise(truth, full, labels, subjects, known, mmse, seed, majority=majority, score_name=task.score_key)
    majority_metrics = {
        name.removeprefix("majority_"): metrics.pop(name) for name in list(metrics) if name.startswith("majority_")
    }
    numbers = [labels.index(name) for name in truth]
    thresholds = [calibration.set_threshold if one else calibration.scan_only_set_threshold for one in told]
    metrics |= _measure_sets(full, numbers, thresholds, subjects, seed)
    if mmse is not None and calibration.mmse_half_width is not None:
        within = [
            None if k is None else float(abs(k - m) <= calibration.mmse_half_width)
            for k, m in zip(known, mmse, strict=True)
        ]
        metrics[f"{task.score_key}_coverage"] = _mean_of(within, subjects, seed)
    if usual_score is not None and f"{task.score_key}_mae" in metrics:
        away = [None if score is None else abs(score - usual_score) for score in known]
        majority_metrics[f"{task.score_key}_mae"] = _mean_of(away, subjects, seed)
    scan_metrics = summarise(truth, scan, labels, subjects, seed=seed, majority=majority)
    baseline = MetadataBaseline.from_dict(record.metadata_baseline or {})
    rows = {"metadata_only": [baseline.predict(visit) for visit in visits]}
    if record.volumes_baseline is not None:
        by_volumes = VolumesBaseline.from_dict(record.volumes_baseline)
        rows["volumes_only"] = [by_volumes.predict_case(cohort.case(place)) for place in places]
    # the regression on metadata sees no scan, so it has no answer from one
    baselines = {} if record.training.get("method") == "metadata" else {"scan_only": _own(scan_metrics)}
    even = {label: 1 / len(labels) for label in labels}
    tables = {kind: [[(row or even)[label] for label in labels] for row in found] for kind, found in rows.items()}
    for kind, table in tables.items():
        if any(row is not None for row in rows[kind]):
            baselines[kind] = _own(summarise(truth, table, labels, subjects, seed=seed, majority=majority))
    baselines["majority"] = majority_metrics
    header = ["subject_id", "session_id", "diagnosis"]
    header += [f"{kind}_{label}" for kind in ("probability", "scan_only", *tables) for label in labels]
    lines = ["\t".join([*header, task.score_key, f"{task.score_key}_estimate"])]
    for row, (visit, score) in enumerate(zip(visits, known, strict=True)):
        numbers_row = [*full[row], *scan[row], *(number for table in tables.values() for number in table[row])]
        cells = [visit.subject_id, visit.session_id or "n/a", truth[row], *(f"{number:.6f}" for number in numbers_row)]
        cells += ["n/a" if score is None else f"{score:g}", f"{mmse[row]:.3f}" if mmse else "n/a"]
        lines.append("\t".join(cells))
    write_text(out / "private" / "predictions_test.tsv", "\n".join(lines) + "\n")
    plot_answers(out / "private" / "plots", task, numbers, full, known, mmse)
    return metrics, baselines


def _own(metrics: dict[str, Any]) -> dict[str, Any]:
    """Leave out the majority class, which is the same for every method."""
    return {name: value for name, value in metrics.items() if not name.startswith("majority_")}


def reads_report(visit: Visit, style: str, task: Task, *, reports: bool = True) -> bool:
    """Tell whether a visit has a column that its report prints."""
    return reports and bool(task.usable(usable_fields(visit, style)))


def _measure_sets(
    probabilities: NDArray[np.float64],
    truth: Sequence[int],
    thresholds: Sequence[float | None],
    subjects: Sequence[str],
    seed: int,
) -> dict[str, dict[str, float | int | None]]:
    """Measure how often a prediction set holds the truth, and how many classes it holds; empty where there are none."""
    if None in thresholds:
        return {}
    limits = np.minimum(np.array(thresholds, dtype=float), probabilities.max(1))  # the likeliest is always in
    inside = probabilities >= limits[:, None]
    hits = inside[np.arange(len(truth)), list(truth)].astype(float)
    return {
        "set_coverage": _mean_of(hits.tolist(), subjects, seed),
        "set_size": _mean_of(inside.sum(1).astype(float).tolist(), subjects, seed),
    }


def _mean_of(values: Sequence[float | None], subjects: Sequence[str], seed: int) -> dict[str, float | int | None]:
    """Return the mean of the values that are known, with its interval over subjects."""
    pairs = [(value, subject) for value, subject in zip(values, subjects, strict=True) if value is not None]
    found = bootstrap_interval(
        lambda x: float(x.mean()) if len(x) else math.nan,
        np.array([value for value, _ in pairs], dtype=float),
        subjects=[subject for _, subject in pairs],
        seed=seed,
    )
    value, low, high = (number if math.isfinite(number) else None for number in found)
    return {"value": value, "low": low, "high": high, "n": len(pairs)}


def count_subjects(cohort: Cohort, places: Sequence[int], labels: Sequence[str]) -> dict[str, int]:
    """Return how many subjects of each diagnosis, at their first scan, are at `places`."""
    first: dict[str, str] = {}
    for place in places:
        first.setdefault(person_of(cohort.visits[place].subject_id), labels[int(cohort.labels[place])])
    found = Counter(first.values())
    return {label: found.get(label, 0) for label in labels}
