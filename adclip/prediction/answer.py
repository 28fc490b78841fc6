"""What the network said of one scan, and how it becomes probabilities, a set of classes and a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import Prediction

if TYPE_CHECKING:
    from adclip.model.record import Calibration

STATUS_OF_VERDICT = {"pass": "ok", "warn": "caution", "fail": "refer"}
# The road of the answer, with a report or without, has no temperature of its own: probabilities are those of the raw scores.
NOT_CALIBRATED = "not_calibrated"
# What makes a reader careful whatever the quality of the scan.
CAUTION_FLAGS = frozenset({"volumes_of_other_software", "row_of_other_subject", "scan_and_metadata_disagree",
                           "unlike_training_scans", "contrast_agent", "constant_answers"})  # fmt: skip


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


@dataclass(frozen=True)
class CalibratedAnswer:
    """An answer as a person gets it.

    Parameters
    ----------
    probabilities, scan_only : dict
        Class -> probability for classes equally common, of the answer's own road and of the scan alone.
    prediction_set : tuple of str or None
        None where the answer's own road has no threshold.
    flags : tuple of str
        What makes the numbers doubtful.
    """

    probabilities: dict[str, float]
    scan_only: dict[str, float]
    prediction_set: tuple[str, ...] | None
    flags: tuple[str, ...]


def calibrated(answer: Answer, calibration: Calibration) -> CalibratedAnswer:
    """Apply what the calibration subjects taught for the answer's own road: with a report, or the scan alone.

    A road that they taught nothing about borrows nothing from the other: its probabilities are those of the raw scores, which
    `not_calibrated` says, and it has no prediction set.
    """
    scan_only = name_probabilities(answer.bare, calibration.scan_only_temperature)
    probabilities, threshold = scan_only, calibration.scan_only_set_threshold
    if answer.used_report:
        probabilities = name_probabilities(answer.scores, calibration.temperature)
        threshold = calibration.set_threshold
    fitted = calibration.is_fitted(with_report=answer.used_report)
    flags: tuple[str, ...] = () if fitted else (NOT_CALIBRATED,)
    if answer.distance is not None and calibration.gate_limit and answer.distance > calibration.gate_limit:
        flags = ("unlike_training_scans", *flags)
    prediction_set = to_prediction_set(probabilities, threshold if fitted else None)
    return CalibratedAnswer(probabilities, scan_only, prediction_set, flags)


def name_probabilities(scores: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Softmax of named scores over temperature."""
    row = np.array([list(scores.values())], dtype=np.float64)
    return dict(zip(scores, to_probabilities(row, temperature)[0].tolist(), strict=True))


def to_probabilities(
    scores: NDArray[np.float64], temperature: float, shares: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Softmax of scores (N, K) over temperature, for classes equally common; for a study's `shares` (K,) their logarithms are added.

    They are added before dividing, so that which class is the likeliest does not hang on the temperature.
    """
    prior = 0.0 if shares is None else np.log(shares)
    values = (scores + prior) / temperature
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return result


def to_prediction_set(probabilities: Mapping[str, float], threshold: float | None) -> tuple[str, ...] | None:
    """Return the classes at least as probable as the threshold, the likeliest in any case; None without a threshold."""
    if threshold is None:
        return None
    first = likeliest(probabilities)
    return tuple(label for label, share in probabilities.items() if share >= threshold or label == first)


def likeliest(probabilities: Mapping[str, float]) -> str:
    """Return the most probable class."""
    return max(probabilities, key=lambda label: probabilities[label])
