"""What the network said of one scan, and how it becomes probabilities, a set of classes and a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import Prediction
from adclip.model.calibration import SCAN
from adclip.prediction.prevalence import likeliest
from adclip.prediction.reasons import MEANINGS, NO_DETAIL, OF_VERDICT, OK, meanings_of, more_careful

if TYPE_CHECKING:
    from adclip.model.calibration import Calibration

# The answer's own road was fitted to nobody: probabilities are those of the raw scores.
NOT_CALIBRATED = "not_calibrated"
# It was fitted, to too few people of some class for a set that holds the truth as often as is promised.
NO_PREDICTION_SET = "no_prediction_set"
WHY_NO_SET = {
    NOT_CALIBRATED: "the model was not calibrated for such answers",
    NO_PREDICTION_SET: "the model had too few calibration subjects of a class, see Calibration in its README.md",
}


def with_flags(prediction: Prediction, flags: Iterable[str]) -> Prediction:
    """Return a prediction with more flags, as careful as they make it, and why.

    Parameters
    ----------
    prediction : Prediction
    flags : mapping or iterable of str
        Flags; in a mapping each with what is known of this scan, put into its sentence.
    """
    details = flags if isinstance(flags, Mapping) else dict.fromkeys(flags, NO_DETAIL)
    status, reasons = prediction.status, list(prediction.reasons)
    for flag, meaning in meanings_of(name for name in details if name not in prediction.flags).items():
        if meaning.status != OK:
            status = more_careful(status, meaning.status)
            reasons.append(meaning.about(details[flag]))
    return replace(
        prediction, flags=tuple(dict.fromkeys((*prediction.flags, *details))), status=status, reasons=tuple(reasons)
    )


def with_verdict(prediction: Prediction, verdict: str | None, crossed: Sequence[str]) -> Prediction:
    """Return a prediction as careful as the verdict of the quality check makes it, and why: which thresholds were crossed."""
    if (flag := OF_VERDICT.get(verdict or "")) is None:
        return prediction
    meaning = MEANINGS[flag]
    reason = meaning.about(", ".join(crossed))
    status = more_careful(prediction.status, meaning.status)
    return replace(prediction, status=status, reasons=(*prediction.reasons, reason))


@dataclass(frozen=True)
class Answer:
    """What the network said of one scan.

    Parameters
    ----------
    scores, bare : dict
        Class -> score before temperature, as decided (all sources weighed) and of the scan alone.
    road : str
        What the answer rests on, one of `adclip.model.calibration.ROADS`. On that of the scan a report is no part of it.
    mmse_points : float or None
        Before clipping.
    distance : float or None
        From the training scans, see `adclip.model.gate`.
    embedding : ndarray (E,), float32, or None
        Of the scan, L2-normalised, before the cross-attention.
    """

    scores: dict[str, float]
    bare: dict[str, float]
    road: str
    mmse_points: float | None
    distance: float | None = None
    embedding: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @property
    def used_report(self) -> bool:
        """Whether what the report says took part in the answer."""
        return self.road != SCAN


@dataclass(frozen=True)
class CalibratedAnswer:
    """An answer as a person gets it.

    Parameters
    ----------
    probabilities, scan_only : dict
        Class -> probability for classes equally common, of the answer's own road and of the scan alone.
    prediction_set : tuple of str or None
        None where the answer's own road has no thresholds, which the flags explain.
    flags : tuple of str
        What makes the numbers doubtful.
    """

    probabilities: dict[str, float]
    scan_only: dict[str, float]
    prediction_set: tuple[str, ...] | None
    flags: tuple[str, ...]


def calibrated(answer: Answer, calibration: Calibration) -> CalibratedAnswer:
    """Apply what the calibration subjects taught for the answer's own road.

    A road that they taught nothing about borrows nothing from the others: its probabilities are those of the raw scores, which
    `not_calibrated` says, and it has no prediction set. Nor has one whose subjects are too few of a class, see `no_prediction_set`.
    """
    alone, road = calibration.road(SCAN), calibration.road(answer.road)
    scan_only = name_probabilities(answer.bare, alone.temperature, alone.least_probability)
    probabilities = scan_only
    if answer.road != SCAN:
        probabilities = name_probabilities(answer.scores, road.temperature, road.least_probability)
    flags: tuple[str, ...] = () if road.fitted else (NOT_CALIBRATED,)
    if road.fitted and road.thresholds is None:
        flags = (NO_PREDICTION_SET,)
    if answer.distance is not None and calibration.gate_limit and answer.distance > calibration.gate_limit:
        flags = ("unlike_training_scans", *flags)
    prediction_set = to_prediction_set(probabilities, road.thresholds if road.fitted else None)
    return CalibratedAnswer(probabilities, scan_only, prediction_set, flags)


def name_probabilities(scores: Mapping[str, float], temperature: float, least: float = 0.0) -> dict[str, float]:
    """Return what `to_probabilities` makes of named scores."""
    row = np.array([list(scores.values())], dtype=np.float64)
    return dict(zip(scores, to_probabilities(row, temperature, least=least)[0].tolist(), strict=True))


def to_probabilities(
    scores: NDArray[np.float64], temperature: float, shares: Sequence[float] | None = None, *, least: float = 0.0
) -> NDArray[np.float64]:
    """Softmax of scores (N, K) over temperature, for classes equally common; for a study's `shares` (K,) their logarithms are added.

    They are added before dividing, so that which class is the likeliest does not hang on the temperature. Of every probability the same part
    goes into an even share for all, so that none is smaller than `least` (below 1 / K) and their order stays.
    """
    prior = 0.0 if shares is None else np.log(shares)
    values = (scores + prior) / temperature
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    chances = weights / weights.sum(axis=1, keepdims=True)
    result: NDArray[np.float64] = least + (1 - chances.shape[1] * least) * chances
    return result


def to_prediction_set(
    probabilities: Mapping[str, float], thresholds: Mapping[str, float] | None
) -> tuple[str, ...] | None:
    """Return the classes at least as probable as their thresholds, the likeliest in any case; None without thresholds."""
    if thresholds is None:
        return None
    first = likeliest(probabilities)
    return tuple(label for label, share in probabilities.items() if share >= thresholds[label] or label == first)
