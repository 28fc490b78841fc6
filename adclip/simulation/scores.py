"""Cognitive scores and CSF markers: all of them follow the severity, each with noise of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# MMSE = 33.87 - 4.31 exp(0.372 s) + noise, rounded and cut at 30: with the severities of `groups.SEVERITY` it gives the
# published means and standard deviations (Qiu et al. 2022) to 0.05 points.
MMSE_CURVE = (33.87, 4.31, 0.372)
MMSE_NOISE, MMSE_LASTING = 1.04, 0.7  # standard deviation at s = 0; share of its variance that stays with a person
MMSE_NOISE_PER_SEVERITY = 0.06
# Correlation of a person's lasting noise with what a brain shows beyond its severity: reserve and other pathology touch both. It
# grows from the first severity to the second: who is hardly ill makes up for a frail brain, who is ill no longer can. Set so that MMSE
# and hippocampal volume correlate by about 0.3 within each group, which is aimed at and taken from no single study. The severity
# itself gives 0.20 in CN, 0.28 in MCI and 0.16 in AD.
SHARED_BETWEEN, SHARED = (1.0, 2.4), (0.15, 0.62)
# ADAS-Cog 13 and CDR sum of boxes: rough means of ADNI's groups (9, 16, 30 and 0, 1.5, 4.5 points); judged.
ADAS13_CURVE, ADAS13_NOISE = (9.0, 8.5), 4.0
BOXES_NOISE = 0.5
# CSF by Elecsys, pg/mL: means fall or rise with s within ADNI's range; judged. A puncture is had by some.
PUNCTURED = 0.6
ABETA, ABETA_NOISE = (1450.0, -330.0), 420.0
TAU, TAU_NOISE = (235.0, 45.0), 85.0
PTAU_SHARE = 0.093


@dataclass(frozen=True)
class VisitScores:
    """What a visit measures of mind and CSF.

    Parameters
    ----------
    mmse : int
        Points, 0-30.
    cdr_global : float
        0, 0.5, 1 or 2.
    cdr_sum_of_boxes, adas13 : float
        Points.
    abeta, tau, ptau : float or None
        pg/mL, before the assay's limits; None without puncture.
    """

    mmse: int
    cdr_global: float
    cdr_sum_of_boxes: float
    adas13: float
    abeta: float | None
    tau: float | None
    ptau: float | None


@dataclass(frozen=True)
class ScoreNoise:
    """What stays with a person, in standard deviations: a bent for tests, what the brain shows beyond its severity, and CSF."""

    mmse: float
    adas13: float
    frailty: float
    punctured: bool
    abeta: float
    tau: float


def draw_score_noise(rng: np.random.Generator, frailty: float) -> ScoreNoise:
    """Draw a person's lasting part, in standard deviations.

    `frailty` is what the brain shows beyond its severity, in standard deviations; it lowers the scores.
    """
    mmse, adas13 = rng.normal(size=2)
    punctured = bool(rng.random() < PUNCTURED)
    return ScoreNoise(float(mmse), float(adas13), frailty, punctured, float(rng.normal()), float(rng.normal()))


def mmse_at(severity: float) -> float:
    """Return the MMSE that a severity means, points, before noise and ceiling."""
    top, drop, speed = MMSE_CURVE
    return top - drop * float(np.exp(speed * severity))


def to_scores(severity: float, diagnosis: str, noise: ScoreNoise, rng: np.random.Generator) -> VisitScores:
    """Draw the scores of one visit."""
    ill = max(severity, 0.0)
    lasting, passing = np.sqrt(MMSE_LASTING), np.sqrt(1 - MMSE_LASTING)
    shared = float(np.interp(severity, SHARED_BETWEEN, SHARED))
    own = np.sqrt(1 - shared**2)
    bent_mmse, bent_adas = own * noise.mmse - shared * noise.frailty, own * noise.adas13 + shared * noise.frailty
    spread = MMSE_NOISE + MMSE_NOISE_PER_SEVERITY * ill
    mmse = mmse_at(severity) + spread * (lasting * bent_mmse + passing * rng.normal())
    adas = ADAS13_CURVE[0] + ADAS13_CURVE[1] * ill + ADAS13_NOISE * (lasting * bent_adas + passing * rng.normal())
    boxes = {"CN": 0.0, "MCI": 0.5}.get(diagnosis, 2.0) + max(severity - 0.4, 0.0) * 1.2 + BOXES_NOISE * rng.normal()
    boxes = (
        max(0.0 if diagnosis == "CN" else 0.5, round(2 * boxes) / 2)
        if diagnosis != "CN"
        else max(0.0, min(0.5, round(2 * (boxes - 0.5)) / 2))
    )
    rated = 0.0 if diagnosis == "CN" else 0.5 if diagnosis == "MCI" or boxes < 4.5 else 1.0 if boxes < 9.5 else 2.0
    abeta = ABETA[0] + ABETA[1] * severity + ABETA_NOISE * noise.abeta
    tau = TAU[0] + TAU[1] * severity + TAU_NOISE * noise.tau
    csf = (max(abeta, 120.0), max(tau, 60.0)) if noise.punctured else (None, None)
    return VisitScores(
        mmse=int(np.clip(round(mmse), 0, 30)),
        cdr_global=rated,
        cdr_sum_of_boxes=float(boxes),
        adas13=round(float(np.clip(adas, 0, 85)), 1),
        abeta=round(csf[0], 1) if csf[0] is not None else None,
        tau=round(csf[1], 1) if csf[1] is not None else None,
        ptau=round(csf[1] * PTAU_SHARE, 2) if csf[1] is not None else None,
    )
