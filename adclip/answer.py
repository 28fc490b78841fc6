"""What the network said of one scan, and how it becomes probabilities, a set of classes and a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from adclip.domain import Prediction

STATUS_OF_VERDICT = {"pass": "ok", "warn": "caution", "fail": "refer"}
# What makes a reader careful whatever the quality of the scan.
CAUTION_FLAGS = frozenset({"volumes_of_other_software", "row_of_other_subject", "scan_and_metadata_disagree",
                           "unlike_training_scans"})  # fmt: skip


def with_flags(prediction: Prediction, flags: Iterable[str]) -> Prediction:
    """Return a prediction with more flags; one of `CAUTION_FLAGS` turns `ok` into `caution`."""
    every = tuple(dict.fromkeys((*prediction.flags, *flags)))
    careful = prediction.status == "ok" and not CAUTION_FLAGS.isdisjoint(every)
    return replace(prediction, flags=every, status="caution" if careful else prediction.status)


@dataclass(frozen=True)
class Answer:
    """What the network said of one scan.

    Parameters
    ----------
    scores, bare : dict
        Class -> score before temperature, as decided (with a report where one could be written) and without a report.
    mmse_points : float or None
        Before clipping.
    used_report : bool
    report : str or None
        The sentences that all candidates share.
    distance : float or None
        From the training scans, see `adclip.model.gate`.
    """

    scores: dict[str, float]
    bare: dict[str, float]
    mmse_points: float | None
    used_report: bool
    report: str | None
    distance: float | None = None


def to_probabilities(scores: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Softmax of named scores over temperature."""
    import numpy as np

    values = np.array(list(scores.values()), dtype=np.float64) / temperature
    weights = np.exp(values - values.max())
    return {name: float(weight) for name, weight in zip(scores, weights / weights.sum(), strict=True)}


def to_prediction_set(probabilities: Mapping[str, float], threshold: float | None) -> tuple[str, ...] | None:
    """Return the classes at least as probable as the threshold, the likeliest in any case; None without a threshold."""
    if threshold is None:
        return None
    first = likeliest(probabilities)
    return tuple(label for label, share in probabilities.items() if share >= threshold or label == first)


def likeliest(probabilities: Mapping[str, float]) -> str:
    """Return the most probable class."""
    return max(probabilities, key=lambda label: probabilities[label])
