"""Whether probabilities and prediction sets keep what they promise, among simulated people whom no model has seen. Run by hand:

    adclip simulate --out others --subjects 400 --seed 11 --preprocessed --no-measured
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_calibration.py others out [--model builtin] [--resamples 100]

- The model as it is, asked with all that the table knows, with less and less of it, and with the scan alone: cross-entropy (classes alike); the
  expected calibration error as in this cohort, beside what a perfect model would show on these very answers (95 % of cohorts); how many of
  each class have their class in the set, with the share that so many calibration people promise.
- The cohort parted at random again and again, half to calibrate on and half new: weights, temperature and thresholds are fitted to the one half by
  what the network says of them, and each class of the other half is counted. Of one class with n calibration people and m new ones the count is
  beta-binomial; told is in how many resamples it lies between the 2.5th and 97.5th percentile of that, and the mean beside the expected one.

The network's scores are kept in `out`, so that a second run takes seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_fusion import Tokens, answers, read
from scipy.stats import betabinom

from adclip.domain import Visit
from adclip.evaluation.calibrate import Answers, gather_evidence
from adclip.evaluation.fusion import COVERAGE, RoadEvidence, fit_road
from adclip.evaluation.metrics.reliability import ece, perfect_band, put_back
from adclip.model.calibration import Road
from adclip.prediction.answer import to_probabilities
from adclip.prediction.evidence import find_evidence, log_chances, only_volumes, weigh, without_volumes
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.predictor import Predictor

Shorten = Callable[[Visit], Visit]
LESS: dict[str, Shorten] = {
    "all columns": lambda visit: visit,
    "no volumes": without_volumes,
    "no volumes, no APOE": lambda visit: replace(without_volumes(visit), apoe4_count=None),
    "age and sex": lambda visit: replace(without_volumes(visit), apoe4_count=None, education_years=None),
    "age": lambda visit: replace(without_volumes(visit), apoe4_count=None, education_years=None, sex=None),
    "scan alone": lambda visit: Visit(subject_id=visit.subject_id),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--resamples", type=int, default=100)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    predictor = Predictor.from_checkpoint(options.model, "cpu")
    baseline = MetadataBaseline.from_dict(predictor.record.metadata_baseline.content)
    data = read(predictor, options.cohort, options.cohort / "table.csv")
    visits, truth = list(data.visits), data.labels.numpy()
    said = scores_of(predictor, options.cohort, visits, options.out)
    print(f"{len(visits)} people: {np.bincount(truth).tolist()}")
    for name, shorten in LESS.items():
        tell_as_it_is(predictor, baseline, name, [shorten(visit) for visit in visits], said, truth)
    parts = Answers(said["all columns"], said["bare"], None, said["no volumes"], said["only volumes"])
    says = lambda visit: bool(predictor.reader.fields(visit))  # noqa: E731
    for road, evidence in gather_evidence(parts, visits, truth, says, baseline).items():
        tell_resampled(road, evidence, options.resamples)


def scores_of(predictor: Predictor, cohort: Path, visits: list[Visit], folder: Path) -> dict[str, np.ndarray]:
    """The network's scores (N, K) with each wording and without a report; kept."""
    kept = folder / f"{predictor.identity['sha256'][:12]}-{cohort.name}.npz"
    if not kept.is_file():
        tokens = Tokens(predictor, cohort)
        tables: dict[str, np.ndarray] = {}
        for name, shorten in (LESS | {"only volumes": only_volumes}).items():
            found = answers(predictor, tokens, visits, {"report": shorten})
            tables |= {name: found.report, "bare": found.bare}
        np.savez(kept, **tables)
    return dict(np.load(kept))


def tell_as_it_is(
    predictor: Predictor,
    baseline: MetadataBaseline,
    name: str,
    rows: list[Visit],
    said: dict[str, np.ndarray],
    truth: np.ndarray,
) -> None:
    """Print how far one wording's answers keep their promise."""
    labels, calibration = predictor.record.labels, predictor.record.calibration
    chances, limits = np.empty_like(said["bare"]), np.empty_like(said["bare"])
    roads = []
    for place, row in enumerate(rows):
        told = find_evidence(row, row, baseline, has_report=bool(predictor.reader.fields(row)))
        road = calibration.road(told.road)
        roads.append(told.road)
        metadata = np.array([log_chances(told.metadata_only, labels)])
        score = weigh(road, said["bare"][[place]], metadata, said[name][[place]])
        chances[place] = to_probabilities(score, road.temperature, least=road.least_probability)[0]
        limits[place] = [(road.thresholds or {}).get(label, np.nan) for label in labels]
    shares = np.bincount(truth, minlength=len(labels)) / len(truth)
    here = put_back(chances, shares)
    band = perfect_band(here)
    rows_of = np.arange(len(truth))
    weights = 1 / np.bincount(truth)[truth]
    entropy = -np.average(np.log(chances[rows_of, truth]), weights=weights)
    covered = chances[rows_of, truth] >= limits[rows_of, truth]
    road = calibration.road(max(set(roads), key=roads.count))
    told = ", ".join(cover_of(road, label, covered[truth == place]) for place, label in enumerate(labels))
    print(f"{name:20s} [{', '.join(sorted(set(roads)))}] cross-entropy {entropy:.3f}; ECE {ece(truth, here):.3f}, "
          f"perfect {band.mean:.3f} ({band.low:.3f} to {band.high:.3f}); in the set: {told}")  # fmt: skip


def expected(calibrated: int, new: int) -> betabinom:
    """How many of `new` people have their class in the set, over draws of the calibration people."""
    rank = int(np.ceil((calibrated + 1) * COVERAGE))
    return betabinom(new, rank, calibrated + 1 - rank)


def cover_of(road: Road, label: str, covered: np.ndarray) -> str:
    low, high = expected(road.counts[label], len(covered)).ppf((0.025, 0.975)) / len(covered)
    return f"{label} {covered.mean():.2f} ({low:.2f} to {high:.2f} promised)"


def tell_resampled(name: str, evidence: RoadEvidence, resamples: int) -> None:
    """Part the people again and again, and print how often each class was covered as often as promised."""
    classes = [str(place) for place in range(3)]
    inside, means, promised = np.zeros(3, int), [], []
    for seed in range(resamples):
        order = np.random.default_rng(seed).permutation(len(evidence.truth))
        half = len(order) // 2
        fitted_to, new = evidence.chosen(order[:half]), evidence.chosen(order[half:])
        road = fit_road(fitted_to, classes)
        chances = to_probabilities(new.weighed(road), road.temperature, least=road.least_probability)
        own = chances[np.arange(len(new.truth)), new.truth]
        limits = np.array([road.thresholds[label] for label in classes])[new.truth]
        for place in range(3):
            covered = own[new.truth == place] >= limits[new.truth == place]
            law = expected(int((fitted_to.truth == place).sum()), len(covered))
            low, high = law.ppf((0.025, 0.975))
            inside[place] += low <= covered.sum() <= high
            means.append(covered.mean())
            promised.append(law.mean() / len(covered))
    told = [float(np.mean(numbers)) for numbers in np.array(means).reshape(-1, 3).T]
    asked = [float(np.mean(numbers)) for numbers in np.array(promised).reshape(-1, 3).T]
    print(f"resampled, {name}: inside {inside.tolist()} of {resamples}; "
          f"mean coverage {np.round(told, 3).tolist()}, expected {np.round(asked, 3).tolist()}")  # fmt: skip


if __name__ == "__main__":
    main()
