"""How much each source of an answer is worth: fitted on calibration subjects, with few numbers and towards equal weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adclip.model.calibration import FEW_SUBJECTS, Road
from adclip.prediction.answer import to_probabilities
from adclip.prediction.evidence import weigh

CROSS_FITS = 5  # parts of the calibration subjects, where they are few
COVERAGE = 0.9  # of the MMSE interval and of the prediction sets
PENALTY = 4.0  # of the ridge, over subjects
HARDEST, SOFTEST = 0.1, 20.0  # temperatures


@dataclass(frozen=True)
class RoadEvidence:
    """What the sources of one road say of N subjects.

    Parameters
    ----------
    truth : ndarray (N,)
        Places of their classes.
    scan, metadata, both : ndarray (N, K) or None
        Scores of the scan alone, log-probabilities by the row alone, scores of both together.
    """

    truth: NDArray[np.int64]
    scan: NDArray[np.float64] | None = None
    metadata: NDArray[np.float64] | None = None
    both: NDArray[np.float64] | None = None

    @property
    def sources(self) -> dict[str, NDArray[np.float64]]:
        """Those that there are, by name."""
        tables = {"scan": self.scan, "metadata": self.metadata, "both": self.both}
        return {name: table for name, table in tables.items() if table is not None}

    def chosen(self, rows: NDArray[np.int64]) -> RoadEvidence:
        """Return the evidence of some subjects."""
        return RoadEvidence(self.truth[rows], **{name: table[rows] for name, table in self.sources.items()})

    def weighed(self, road: Road) -> NDArray[np.float64]:
        """Return the answer's scores (N, K) before temperature."""
        sources = self.sources
        nothing = np.zeros_like(next(iter(sources.values())))
        return weigh(road, *(sources.get(name, nothing) for name in ("scan", "metadata", "both")))


def fit_road(evidence: RoadEvidence, classes: Sequence[str], shares: Sequence[float] | None = None) -> Road:
    """Fit multipliers, temperatures and thresholds of one road.

    Parameters
    ----------
    evidence : RoadEvidence
        Of N subjects.
    classes : sequence of str
        K.
    shares : sequence of float (K,), optional
        How common the classes are in the study; without them nothing is fitted for the study as it is.

    Notes
    -----
    Thresholds are class-conditional split conformal prediction with the score of Sadinle et al. 2019 (LAC; classes apart: Vovk 2012,
    Mondrian): for each class the ceil((n + 1) * 0.9)-th smallest of one minus the probability of the true class among its n subjects.
    Of fewer than 9 there is none. With fewer than `FEW_SUBJECTS` in all that probability is cross-fitted: weights and temperature of
    four fifths of the subjects give it for the last fifth, so that nobody's own answer shapes how well it seems to fit. What is kept is
    fitted on all.

    A road whose subjects are of fewer than two classes has nothing of its own, and leaves the raw scores.
    """
    counts = dict(zip(classes, np.bincount(evidence.truth, minlength=len(classes)).tolist(), strict=True))
    if len(np.unique(evidence.truth)) < 2:
        return _raw(evidence, counts)
    road = replace(_weights_and_temperature(evidence), counts=counts, fitted=True)
    if shares is not None:
        road = replace(road, study_temperature=fit_temperature(evidence.weighed(road), evidence.truth, shares=shares))
    few = CROSS_FITS <= len(evidence.truth) < FEW_SUBJECTS
    # less the probability ranks people as one minus it does, and gives the threshold back to the last bit
    nonconformity = -_chances_of_truth(evidence, road, cross_fit=few)
    worst = {name: conformal_quantile(nonconformity[evidence.truth == number]) for number, name in enumerate(classes)}
    thresholds = {name: -value for name, value in worst.items() if value is not None}
    return replace(road, thresholds=thresholds if len(thresholds) == len(classes) else None, cross_fitted=few)


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

    truth = np.asarray(labels, dtype=int)
    weights = _alike(truth) if alike else np.ones(len(truth))
    prior = np.zeros(scores.shape[1]) if shares is None else np.log(shares)

    def loss(log_temperature: float) -> float:
        return _cross_entropy((scores + prior) / np.exp(log_temperature), truth, weights)

    best = minimize_scalar(loss, bounds=(np.log(HARDEST), np.log(SOFTEST)), method="bounded")
    return float(np.exp(best.x))


def fit_weights(calibrated_sources: Sequence[NDArray[np.float64]], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights (S,), at least 0, with which sources predict the classes best: stacking with a ridge towards equal weights.

    Parameters
    ----------
    calibrated_sources : sequence of ndarray (N, K)
        Scores of S sources over their own temperatures: a source without signal has next to none left.
    truth : ndarray (N,)
        Places of the classes, which count alike.

    Notes
    -----
    Stacking of log-probabilities (Wolpert 1992; weights at least 0: Breiman 1996). S numbers are fitted; the penalty is worth `PENALTY`
    subjects.
    """
    from scipy.optimize import minimize

    table = np.stack(calibrated_sources)
    equal = np.full(len(table), 1 / len(table))
    weights = _alike(truth)

    def loss(shares: NDArray[np.float64]) -> float:
        fit = _cross_entropy(np.tensordot(shares, table, 1), truth, weights)
        return fit + PENALTY / len(truth) * float(((shares - equal) ** 2).sum())

    best: NDArray[np.float64] = minimize(loss, equal, bounds=[(0, None)] * len(table), method="L-BFGS-B").x
    return best if best.sum() > 0 else equal


def conformal_quantile(nonconformity: NDArray[np.float64]) -> float | None:
    """Return the ceil((n + 1) * COVERAGE)-th smallest value, or None if there are fewer."""
    rank = int(np.ceil((len(nonconformity) + 1) * COVERAGE))
    return float(np.sort(nonconformity)[rank - 1]) if 0 < rank <= len(nonconformity) else None


def _raw(evidence: RoadEvidence, counts: dict[str, int]) -> Road:
    """Return a road that leaves the scores as they are: of both together where there are any, else of the scan."""
    if evidence.both is not None:
        return Road(counts=counts)
    return Road(scan=1.0, both=0.0, counts=counts)


def _weights_and_temperature(evidence: RoadEvidence) -> Road:
    sources = evidence.sources
    own = {name: fit_temperature(table, evidence.truth, alike=True) for name, table in sources.items()}
    if len(sources) == 1:  # the scores stay as the network gave them
        (name,) = sources
        return _road({name: 1.0}, own[name])
    weights = fit_weights([table / own[name] for name, table in sources.items()], evidence.truth)
    multipliers = {name: float(weight) / own[name] for name, weight in zip(sources, weights, strict=True)}
    road = _road(multipliers)
    # the ridge makes weights too small together; how sure the sum may be is one number, which the subjects can tell
    return replace(road, temperature=fit_temperature(evidence.weighed(road), evidence.truth, alike=True))


def _road(multipliers: Mapping[str, float], temperature: float = 1.0) -> Road:
    scan, metadata, both = (multipliers.get(name, 0.0) for name in ("scan", "metadata", "both"))
    return Road(scan, metadata, both, temperature)


def _chances_of_truth(evidence: RoadEvidence, road: Road, *, cross_fit: bool) -> NDArray[np.float64]:
    """Return the probability of each subject's true class (N,)."""
    rows = np.arange(len(evidence.truth))
    if not cross_fit:
        table = to_probabilities(evidence.weighed(road), road.temperature, least=road.least_probability)
        return table[rows, evidence.truth]
    chances = np.empty(len(rows))
    fold_of = np.empty(len(rows), dtype=int)
    for number in np.unique(evidence.truth):  # a class of fewer people than folds is spread as far as it goes
        members = np.flatnonzero(evidence.truth == number)
        fold_of[np.random.default_rng(int(number)).permutation(members)] = np.arange(len(members)) % CROSS_FITS
    for fold in range(CROSS_FITS):
        seen, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        if not len(held_out):
            continue
        part = evidence.chosen(seen)
        # of one class alone any temperature can be had: its raw scores are left as they are
        fitted = _weights_and_temperature(part) if len(np.unique(part.truth)) > 1 else _raw(part, {})
        left_out = evidence.chosen(held_out)
        table = to_probabilities(left_out.weighed(fitted), fitted.temperature, least=road.least_probability)
        chances[held_out] = table[np.arange(len(held_out)), left_out.truth]
    return chances


def _alike(truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights (N,) by which the classes that occur count alike."""
    weights: NDArray[np.float64] = 1 / np.bincount(truth)[truth]
    return weights


def _cross_entropy(scores: NDArray[np.float64], truth: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    from scipy.special import log_softmax

    return -float(np.average(log_softmax(scores, axis=1)[np.arange(len(truth)), truth], weights=weights))
