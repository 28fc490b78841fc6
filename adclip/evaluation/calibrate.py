"""Calibration on subjects that neither trained nor chose the model, and the numbers of the test subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adclip.model.record import FEW_SUBJECTS, Calibration
from adclip.prediction.answer import to_probabilities
from adclip.prediction.dataset import Cohort
from adclip.prediction.scoring import Reader, score_batch

CROSS_FITS = 5  # parts of the calibration subjects, where they are few
COVERAGE = 0.9  # of the MMSE interval and of the prediction sets


@dataclass(frozen=True)
class Answers:
    """What the network said of N scans: scores (N, K) before temperature, MMSE (N,) in points or None."""

    report: NDArray[np.float64]
    bare: NDArray[np.float64]
    mmse: NDArray[np.float64] | None


@torch.inference_mode()
def answer(
    reader: Reader, cohort: Cohort, places: Sequence[int], mmse_stats: tuple[float, float], batch_size: int = 8
) -> Answers:
    """Score scans of a cohort with full reports; no scans give arrays of no rows."""
    if not places:
        nothing = np.zeros((0, len(reader.labels)))
        return Answers(nothing, nothing, None)
    report, bare, mmse = [], [], []
    for start in range(0, len(places), batch_size):
        batch = list(places[start : start + batch_size])
        images = cohort.image_batch(batch, reader.device)
        scores = score_batch(reader, images, [cohort.visits[place] for place in batch])
        report.append(scores.report.cpu())
        bare.append(scores.bare.cpu())
        if scores.mmse is not None:
            mmse.append(scores.mmse.cpu() * mmse_stats[1] + mmse_stats[0])
    points = np.clip(torch.cat(mmse).double().numpy(), *reader.task.score_range) if mmse else None
    return Answers(torch.cat(report).double().numpy(), torch.cat(bare).double().numpy(), points)


def fit_temperature(
    scores: NDArray[np.float64],
    labels: Sequence[int] | NDArray[np.int64],
    *,
    alike: bool = False,
    shares: Sequence[float] | None = None,
) -> float:
    """Return the divisor of `scores` that minimises the cross-entropy (Guo et al. 2017, arXiv:1706.04599).

    Parameters
    ----------
    scores : ndarray (N, K)
        For classes that are equally common, as training leaves them (logit adjustment).
    labels : sequence of int (N,)
        Class indices.
    alike : bool
        Weigh scans so that the classes that occur count alike: the fit for classes equally common.
    shares : sequence of float (K,), optional
        How common the classes are where the labels come from. Their logarithms, which training took out, are put back into the
        scores first: the fit for a study as it is.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    truth = np.asarray(labels, dtype=int)
    weights = 1 / np.bincount(truth)[truth] if alike else np.ones(len(truth))
    prior = np.zeros(scores.shape[1]) if shares is None else np.log(shares)

    def loss(log_temperature: float) -> float:
        logs = log_softmax((scores + prior) / np.exp(log_temperature), axis=1)[np.arange(len(truth)), truth]
        return -float(np.average(logs, weights=weights))

    best = minimize_scalar(loss, bounds=(np.log(0.1), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def calibrate(
    answers: Answers,
    labels: Tensor,
    mmse: Tensor,
    has_report: Sequence[bool] | None = None,
    shares: Sequence[float] | None = None,
) -> Calibration:
    """Fit the temperatures of both roads, the thresholds of the prediction sets, and the half width of the interval of the score.

    Parameters
    ----------
    answers : Answers
        For the calibration scans.
    labels : Tensor (N,)
        Class indices.
    mmse : Tensor (N,)
        Points, NaN where unknown.
    has_report : sequence of bool (N,), optional
        Whether a report of the scan says anything; by default all do. The others count for `scan_only` alone, as at
        prediction.
    shares : sequence of float (K,), optional
        How common the classes are in the study; without them nothing is fitted for the study as it is.

    Notes
    -----
    Thresholds and half width are split conformal prediction (Lei et al. 2018; sets: Sadinle et al. 2019, LAC): the ceil((n + 1) * 0.9)-th
    smallest nonconformity of the calibration subjects, which is the absolute error of the MMSE, and one minus the probability of
    the true class; None with too few subjects for that. With fewer than `FEW_SUBJECTS` that probability is cross-fitted: a temperature
    fitted on four fifths of the subjects gives it for the last fifth, so that nobody's own answer shapes how well it seems to fit. The
    temperature that is kept is that of all.

    A road whose subjects are of fewer than two classes has nothing of its own: no threshold, and the temperature 1, which leaves the raw
    scores. It takes nothing from the other road either, whose scores have another spread.
    """
    numbers = np.asarray(labels.tolist(), dtype=np.int64)
    half_width = None
    if answers.mmse is not None:
        half_width = conformal_quantile(np.abs(answers.mmse - mmse.double().numpy())[~np.isnan(mmse.numpy())])
    everyone = np.arange(len(numbers))
    with_report = everyone if has_report is None else np.flatnonzero(np.asarray(has_report, dtype=bool))
    scan_only = _fit(answers.bare[everyone], numbers, shares)
    report = _fit(answers.report[with_report], numbers[with_report], shares)
    return Calibration(
        len(numbers),
        report.temperature,
        scan_only.temperature,
        half_width,
        report.threshold,
        scan_only.threshold,
        cross_fitted=scan_only.fitted and (len(with_report) or len(numbers)) < FEW_SUBJECTS,
        report_subjects=len(with_report),
        calibrated=report.fitted,
        scan_only_calibrated=scan_only.fitted,
        study_temperature=report.study_temperature,
        scan_only_study_temperature=scan_only.study_temperature,
    )


@dataclass(frozen=True)
class _Road:
    """What one road - with reports, or scans alone - has of its own."""

    temperature: float = 1.0
    study_temperature: float | None = None
    threshold: float | None = None
    fitted: bool = False


def _fit(scores: NDArray[np.float64], numbers: NDArray[np.int64], shares: Sequence[float] | None) -> _Road:
    """Fit one road to its own scans; nothing where they are of fewer than two classes."""
    if len(np.unique(numbers)) < 2:
        return _Road()
    worst = conformal_quantile(1 - _chances_of_truth(scores, numbers))
    return _Road(
        fit_temperature(scores, numbers, alike=True),
        None if shares is None else fit_temperature(scores, numbers, shares=shares),
        None if worst is None else 1 - worst,
        True,
    )


def _chances_of_truth(scores: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of each subject's true class (N,); cross-fitted where subjects are few."""
    from sklearn.model_selection import KFold

    rows = np.arange(len(numbers))
    if len(numbers) >= FEW_SUBJECTS or len(numbers) < CROSS_FITS:
        return to_probabilities(scores, fit_temperature(scores, numbers, alike=True))[rows, numbers]
    chances = np.empty(len(numbers))
    for fitted_rows, held_out_rows in KFold(CROSS_FITS, shuffle=True, random_state=0).split(rows):
        # of one class alone any temperature can be had: its raw scores are left as they are
        several = len(np.unique(numbers[fitted_rows])) > 1
        temperature = fit_temperature(scores[fitted_rows], numbers[fitted_rows], alike=True) if several else 1.0
        chances[held_out_rows] = to_probabilities(scores[held_out_rows], temperature)[
            np.arange(len(held_out_rows)), numbers[held_out_rows]
        ]
    return chances


def conformal_quantile(nonconformity: NDArray[np.float64]) -> float | None:
    """Return the ceil((n + 1) * COVERAGE)-th smallest value, or None if there are fewer."""
    rank = int(np.ceil((len(nonconformity) + 1) * COVERAGE))
    return float(np.sort(nonconformity)[rank - 1]) if 0 < rank <= len(nonconformity) else None
