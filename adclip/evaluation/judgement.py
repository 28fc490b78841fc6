"""What is true of scans, beside what the model says of them and what others say who stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, Visit
from adclip.evaluation.metrics import Judged
from adclip.model.record import AdapterRecord

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
