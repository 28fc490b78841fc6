"""The numbers of the test subjects: of the network, and of the baselines that stand beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adclip.clinical.baseline import MetadataBaseline
from adclip.metrics import bootstrap_interval, mae, summarise
from adclip.model.record import AdapterRecord
from adclip.paths import write_text
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
        Of the network with a report; of the network without, of the metadata alone, and of the majority class.
    """
    if not places:
        return {}, {}
    labels, calibration = record.labels, record.calibration
    visits = [cohort.visits[place] for place in places]
    truth = [labels[int(cohort.labels[place])] for place in places]
    subjects = [visit.subject_id for visit in visits]
    full = to_probabilities(answers.report, calibration.temperature)
    scan = to_probabilities(answers.bare, calibration.scan_only_temperature)
    mmse = None if record.mmse_mean is None or answers.mmse is None else [float(x) for x in answers.mmse]
    task = record.task
    known = [task.score_of(visit) for visit in visits]
    shares = record.training["counts"]["train"]
    majority = max(shares, key=shares.get)
    metrics = summarise(truth, full, labels, subjects, known, mmse, seed, majority=majority, score_name=task.score_key)
    majority_metrics = {
        name.removeprefix("majority_"): metrics.pop(name) for name in list(metrics) if name.startswith("majority_")
    }
    if usual_score is not None and f"{task.score_key}_mae" in metrics:
        majority_metrics[f"{task.score_key}_mae"] = _error_of(usual_score, known, subjects, seed)
    scan_metrics = summarise(truth, scan, labels, subjects, seed=seed, majority=majority)
    baseline = MetadataBaseline.from_dict(record.metadata_baseline or {})
    plain = [baseline.predict(visit) for visit in visits]
    baselines = {"scan_only": _own(scan_metrics)}
    even = {label: 1 / len(labels) for label in labels}
    table = [[(row or even)[label] for label in labels] for row in plain]
    if any(row is not None for row in plain):
        baselines["metadata_only"] = _own(summarise(truth, table, labels, subjects, seed=seed, majority=majority))
    baselines["majority"] = majority_metrics
    header = ["subject_id", "session_id", "diagnosis"]
    header += [f"{kind}_{label}" for kind in ("probability", "scan_only", "metadata_only") for label in labels]
    lines = ["\t".join([*header, task.score_key, f"{task.score_key}_estimate"])]
    for row, (visit, score) in enumerate(zip(visits, known, strict=True)):
        numbers_row = [*full[row], *scan[row], *table[row]]
        cells = [visit.subject_id, visit.session_id or "n/a", truth[row], *(f"{number:.6f}" for number in numbers_row)]
        cells += ["n/a" if score is None else f"{score:g}", f"{mmse[row]:.3f}" if mmse else "n/a"]
        lines.append("\t".join(cells))
    write_text(out / "private" / "predictions_test.tsv", "\n".join(lines) + "\n")
    plot_answers(out / "private" / "plots", task, [labels.index(name) for name in truth], full, known, mmse)
    return metrics, baselines


def _own(metrics: dict[str, Any]) -> dict[str, Any]:
    """Leave out the majority class, which is the same for every method."""
    return {name: value for name, value in metrics.items() if not name.startswith("majority_")}


def _error_of(
    answer: float, known: Sequence[float | None], subjects: Sequence[str], seed: int
) -> dict[str, float | int | None]:
    """Measure what the same answer to everybody would be off by, in points."""
    pairs = [(score, subject) for score, subject in zip(known, subjects, strict=True) if score is not None]
    wanted = np.array([score for score, _ in pairs])
    owners = [subject for _, subject in pairs]
    found = bootstrap_interval(mae, wanted, np.full(len(wanted), answer), subjects=owners, seed=seed)
    value, low, high = (number if math.isfinite(number) else None for number in found)
    return {"value": value, "low": low, "high": high, "n": len(wanted)}


def count_subjects(cohort: Cohort, places: Sequence[int], labels: Sequence[str]) -> dict[str, int]:
    """Return how many subjects of each diagnosis, at their first scan, are at `places`."""
    first: dict[str, str] = {}
    for place in places:
        first.setdefault(cohort.visits[place].subject_id, labels[int(cohort.labels[place])])
    found = Counter(first.values())
    return {label: found.get(label, 0) for label in labels}
