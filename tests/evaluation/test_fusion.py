"""How much each source is worth, and what prediction sets promise: against plain references, other libraries and drawn people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crepes import ConformalClassifier
from mapie.classification import SplitConformalClassifier
from scipy.optimize import minimize
from scipy.stats import betabinom, binom
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tiny import LABELS, make_cohort

from adclip.evaluation import fusion
from adclip.evaluation.calibrate import Answers, gather_evidence
from adclip.evaluation.fusion import PENALTY, RoadEvidence, fit_road, fit_temperature, fit_weights
from adclip.model.calibration import (
    FOUND_VOLUMES,
    ROADS,
    SCAN,
    TABLE,
    TABLE_AND_FOUND_VOLUMES,
    TABLE_WITH_VOLUMES,
    Calibration,
    Road,
    likely_coverage,
)
from adclip.model.card_calibration import missing_sets
from adclip.prediction.answer import to_probabilities
from adclip.prediction.evidence import only_volumes, without_volumes
from adclip.prediction.metadata_baseline import PEOPLE_COLUMNS, MetadataBaseline


def signs(truth: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Exact log-likelihoods (N, 3) of one noisy sign whose mean rises by `strength` from class to class."""
    sign = rng.normal(strength * truth, 1)
    return -((sign[:, None] - strength * np.arange(3)) ** 2) / 2


def noise(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scores that look like a source's and say nothing of the class."""
    return signs(rng.permutation(truth), rng, 1.5)


def people(count: int) -> np.ndarray:
    return np.arange(count) % 3


# ------------------------------------------------------------------------------------------------ weights


def loss_by_hand(weights: np.ndarray, tables: list[np.ndarray], truth: np.ndarray) -> float:
    """Cross-entropy with loops, the classes counting alike, and the pull towards equal weights."""
    of_class: dict[int, list[float]] = {}
    for row, label in enumerate(truth.tolist()):
        scores = sum(weight * table[row] for weight, table in zip(weights, tables, strict=True))
        of_class.setdefault(label, []).append(float(np.log(np.exp(scores).sum()) - scores[label]))
    fit = float(np.mean([np.mean(losses) for losses in of_class.values()]))
    return fit + PENALTY / len(truth) * sum((weight - 1 / len(tables)) ** 2 for weight in weights)


@pytest.mark.parametrize("seed", range(3))
def test_the_weights_are_the_best_that_another_search_finds(seed):
    rng = np.random.default_rng(seed)
    truth = np.sort(rng.integers(0, 3, 36))  # not equally common
    tables = [signs(truth, rng, 1.0), signs(truth, rng, 0.4), noise(truth, rng)]
    found = fit_weights(tables, truth)
    searches = [
        minimize(lambda roots: loss_by_hand(roots**2, tables, truth), start, method="Nelder-Mead",
                 options={"maxiter": 4000, "xatol": 1e-6, "fatol": 1e-10})
        for start in (np.full(3, 0.6), np.array([1.0, 0.3, 0.1]))
    ]  # fmt: skip
    best = min(searches, key=lambda search: search.fun)
    assert (found >= 0).all()
    assert loss_by_hand(found, tables, truth) == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(found, best.x**2, atol=0.01)


def test_of_two_classes_and_many_people_they_are_those_of_a_logistic_regression():
    rng = np.random.default_rng(0)
    truth = (rng.random(4000) < 0.3).astype(int)
    odds = [rng.normal(1.2 * truth - 0.6, 1.0), rng.normal(0.5 * truth - 0.25, 1.0)]
    tables = [np.stack([np.zeros(4000), column], axis=1) for column in odds]
    plain = LogisticRegression(C=np.inf, fit_intercept=False, class_weight="balanced")
    plain.fit(np.stack(odds, axis=1), truth)
    np.testing.assert_allclose(fit_weights(tables, truth), plain.coef_[0], atol=0.02)


def test_two_equal_sources_share():
    truth = people(45)
    table = signs(truth, np.random.default_rng(0), 1.0)
    same = fit_weights([table, table], truth)
    assert same[0] == pytest.approx(same[1], abs=1e-4)
    apart, gains = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        one, two = signs(truth, rng, 1.0), signs(truth, rng, 1.0)
        road = fit_road(RoadEvidence(np.tile(truth, 2), *(np.tile(table, (2, 1)) for table in (one, two))), LABELS)
        apart.append((road.scan - road.metadata) / (road.scan + road.metadata))
        new = people(3000)
        tested = RoadEvidence(new, signs(new, rng, 1.0), signs(new, rng, 1.0))
        gains.append(auc(tested.weighed(road), new) - max(auc(tested.scan, new), auc(tested.metadata, new)))
    assert abs(np.mean(apart)) < 0.15, "neither is preferred"
    assert np.mean(gains) > 0.02, "two that agree know more than either"


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    return float(roc_auc_score(truth, to_probabilities(scores, 1.0), multi_class="ovr"))


@pytest.mark.parametrize("count", [30, 45, 60])
@pytest.mark.parametrize("silent", ["scan", "metadata"])
def test_a_source_without_signal_costs_next_to_nothing(count, silent):
    """The mean over many calibrations; the network with a report sees both, and is drowned half by the silent one."""
    lost = []
    for seed in range(24):
        rng = np.random.default_rng([seed, count])

        def draw(truth: np.ndarray, rng: np.random.Generator = rng) -> RoadEvidence:
            loud, quiet = signs(truth, rng, 1.0), noise(truth, rng)
            scan, metadata = (quiet, loud) if silent == "scan" else (loud, quiet)
            return RoadEvidence(truth, 4 * scan, metadata, 3 * (loud + quiet))

        fitted, tested = draw(people(count)), draw(people(3000))
        road = fusion._weights_and_temperature(fitted)  # what is kept of it; the sets have their own tests
        better = tested.metadata if silent == "scan" else tested.scan
        lost.append(auc(better, tested.truth) - auc(tested.weighed(road), tested.truth))
    assert np.mean(lost) < 0.01


def test_the_sum_is_as_sure_as_it_may_be():
    """The ridge draws the weights of few people together; the temperature gives back what that costs."""
    truth = people(60)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        evidence = RoadEvidence(truth, signs(truth, rng, 1.0), signs(truth, rng, 1.0), signs(truth, rng, 1.0))
        road = fit_road(evidence, LABELS)
        weighed = evidence.weighed(road)
        assert fit_temperature(weighed / road.temperature, truth, alike=True) == pytest.approx(1.0, abs=1e-3)


# ------------------------------------------------------------------------------------------------ prediction sets


class Told(ClassifierMixin, BaseEstimator):
    """A classifier whose input is what it answers."""

    def __init__(self) -> None:
        self.classes_, self.is_fitted_ = np.arange(3), True

    def predict_proba(self, table: np.ndarray) -> np.ndarray:
        return table

    def predict(self, table: np.ndarray) -> np.ndarray:
        return table.argmax(1)


@pytest.mark.filterwarnings("ignore:.*less labels than your training dataset")
@pytest.mark.parametrize("counts", [(40, 25, 19), (21, 21, 21), (61, 9, 33)])
def test_thresholds_are_those_of_other_libraries(counts):
    """Each class by itself: split conformal prediction with the score of Sadinle et al., as MAPIE and crepes have it."""
    rng = np.random.default_rng(sum(counts))
    truth = np.repeat(np.arange(3), counts)
    scores, others = signs(truth, rng, 1.2), signs(people(600), rng, 1.2)
    road = fit_road(RoadEvidence(truth, both=scores), LABELS)
    assert not road.cross_fitted
    chances, asked = (
        to_probabilities(table, road.temperature, least=road.least_probability) for table in (scores, others)
    )
    ours = asked >= np.array([road.thresholds[label] for label in LABELS])
    mondrian = ConformalClassifier().fit(1 - chances[np.arange(len(truth)), truth], bins=truth)
    for place, count in enumerate(counts):
        same = np.full(600, place)
        chance_of_more_unlike = mondrian.predict_p(1 - asked[:, [place]], bins=same, smoothing=False)[:, 0]
        np.testing.assert_array_equal(ours[:, place], chance_of_more_unlike > 0.1 + 1e-9)
        if count > 10:  # MAPIE answers from eleven on, though the rank of nine is there
            conformal = SplitConformalClassifier(Told(), confidence_level=0.9, conformity_score="lac", prefit=True)
            conformal.conformalize(chances[truth == place], truth[truth == place])
            _, sets = conformal.predict_set(asked)
            np.testing.assert_array_equal(ours[:, place], sets[:, place, 0])
    assert 0 < ours.mean() < 1


def test_the_person_at_the_threshold_is_in():
    truth = people(90)
    scores = signs(truth, np.random.default_rng(4), 1.0)
    road = fit_road(RoadEvidence(truth, both=scores), LABELS)
    chances = to_probabilities(scores, road.temperature, least=road.least_probability)
    for place, label in enumerate(LABELS):
        own = chances[truth == place, place]
        assert np.sum(own >= road.thresholds[label]) == 28, "ceil(31 * 0.9) of 30"
        assert road.thresholds[label] in own


def coverages(count: int, resamples: int) -> np.ndarray:
    """Share of 300 new people of each class whose class reaches its threshold (resamples, 3), three sources being weighed."""

    def draw(truth: np.ndarray, rng: np.random.Generator) -> RoadEvidence:
        return RoadEvidence(truth, 3 * signs(truth, rng, 0.8), signs(truth, rng, 0.8), noise(truth, rng))

    found = []
    for seed in range(resamples):
        rng = np.random.default_rng([seed, count])
        road = fit_road(draw(people(3 * count), rng), LABELS)
        new = draw(people(900), rng)
        chances = to_probabilities(new.weighed(road), road.temperature, least=road.least_probability)[
            np.arange(900), new.truth
        ]
        limits = np.array([road.thresholds[label] for label in LABELS])[new.truth]
        found.append([np.mean((chances >= limits)[new.truth == place]) for place in range(3)])
    return np.array(found)


def test_each_class_is_covered_as_promised():
    """Over 100 calibrations of 30 people a class: beta-binomial around 90 %, as the card says."""
    count, new = 30, 300
    rank = int(np.ceil((count + 1) * 0.9))
    expected = betabinom(new, rank, count + 1 - rank)
    found = coverages(count, 100)
    low, high = expected.ppf((0.025, 0.975)) / new
    within = ((found >= low) & (found <= high)).sum(0)
    assert (within >= binom(100, 0.95).ppf(0.001)).all(), within
    error = expected.std() / new / np.sqrt(100)
    assert (np.abs(found.mean(0) - expected.mean() / new) < 4 * error).all(), found.mean(0)
    promised = likely_coverage(count, 0.9)
    assert low == pytest.approx(promised[0], abs=0.03) and high == pytest.approx(promised[1], abs=0.03)


def test_few_people_who_are_cross_fitted_are_covered_too():
    """Thresholds by people whom their weights have not seen: over 40 calibrations of 10 people a class, no class falls short."""
    found = coverages(10, 40)
    expected = betabinom(300, 10, 1)  # the ceil(11 * 0.9)-th of 10
    assert (found.mean(0) > expected.mean() / 300 - 4 * expected.std() / 300 / np.sqrt(40)).all(), found.mean(0)


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 9), (0.95, 19)])
def test_a_class_with_too_few_people_takes_the_sets_and_it_is_said(monkeypatch, coverage, least):
    monkeypatch.setattr(fusion, "COVERAGE", coverage)
    rng = np.random.default_rng(0)
    for short in (least - 1, least):
        truth = np.repeat(np.arange(3), (30, short, 25))
        road = fit_road(RoadEvidence(truth, both=signs(truth, rng, 1.0)), LABELS)
        assert road.fitted and road.counts == {"CN": 30, "MCI": short, "AD": 25}
        said = missing_sets(Calibration(len(truth), coverage=coverage, roads={TABLE: road}))
        if short == least:
            assert set(road.thresholds) == set(LABELS) and said == []
        else:
            assert road.thresholds is None
            (words,) = said
            assert f"{100 * coverage:.0f} % needs at least {least} calibration subjects of each class" in words
            assert words.endswith(f"and of MCI there are {short}") and TABLE in words


# ------------------------------------------------------------------------------------------------ who teaches which road


@pytest.fixture(scope="module")
def taught():
    """Four people: all is known of one, nothing of the brain, nothing of the person, and nothing at all."""
    visits = make_cohort(12).visits
    baseline = MetadataBaseline.fit(visits, [str(visit.diagnosis) for visit in visits])
    nothing = without_volumes(only_volumes(visits[3]))
    rows = [visits[0], without_volumes(visits[1]), only_volumes(visits[2]), nothing]
    truth = np.array([0, 1, 2, 0])
    rng = np.random.default_rng(0)
    answers = Answers(*(rng.normal(size=(4, 3)) for _ in range(2)), None, *(rng.normal(size=(4, 3)) for _ in range(2)))

    def says_something(visit) -> bool:
        return any(getattr(visit, name) is not None for name in (*PEOPLE_COLUMNS, "hippocampus_mm3", "ventricles_mm3"))

    return gather_evidence(answers, rows, truth, says_something, baseline), answers, rows, truth, baseline


def test_everybody_teaches_every_road_that_the_row_allows(taught):
    evidence, answers, _, truth, _ = taught
    who = {
        SCAN: [0, 1, 2, 3],
        TABLE: [0, 1],
        TABLE_WITH_VOLUMES: [0, 2],
        TABLE_AND_FOUND_VOLUMES: [0],
        FOUND_VOLUMES: [0, 2],
    }
    both = {TABLE: answers.person, TABLE_WITH_VOLUMES: answers.report, TABLE_AND_FOUND_VOLUMES: answers.report,
            FOUND_VOLUMES: answers.volumes}  # fmt: skip
    assert set(evidence) == set(ROADS)
    for name, of_road in evidence.items():
        assert of_road.truth.tolist() == truth[who[name]].tolist()
        np.testing.assert_array_equal(of_road.scan, answers.bare[who[name]])
        if name == SCAN:
            assert of_road.both is None and of_road.metadata is None
        else:
            np.testing.assert_array_equal(of_road.both, both[name][who[name]])


def test_the_row_says_no_more_than_the_road_knows(taught):
    """Where volumes are found for the scan, the regression on the row is asked without any."""
    evidence, _, rows, _, baseline = taught

    def logs(visit) -> list[float]:
        return [float(np.log(baseline.predict(visit)[label])) for label in LABELS]

    assert evidence[FOUND_VOLUMES].metadata is None
    np.testing.assert_allclose(evidence[TABLE].metadata, [logs(without_volumes(rows[0])), logs(rows[1])])
    np.testing.assert_allclose(evidence[TABLE_WITH_VOLUMES].metadata, [logs(rows[0]), logs(rows[2])])
    np.testing.assert_allclose(evidence[TABLE_AND_FOUND_VOLUMES].metadata, [logs(without_volumes(rows[0]))])


def test_a_road_of_nobody_is_not_there(taught):
    _, answers, rows, truth, baseline = taught
    alone = gather_evidence(answers, [rows[3]] * 4, truth, lambda _visit: False, baseline)
    assert set(alone) == {SCAN}
    no_parts = gather_evidence(replace(answers, person=None, volumes=None), rows, truth, lambda _visit: True, baseline)
    assert set(no_parts) == {SCAN, TABLE_WITH_VOLUMES, TABLE_AND_FOUND_VOLUMES}


@pytest.mark.parametrize(("people", "surest"), [((50, 50, 50), 0.98), ((10, 10, 10), 0.9), ((2, 1, 1), 2 / 3)])
def test_nobody_is_told_more_than_the_calibration_people_can_show(people, surest):
    """Errors that none of n people showed may still happen to 3 in n; with hardly anybody, half of the answer is an even share."""
    counts = dict(zip(("CN", "MCI", "AD"), people, strict=True))
    road = Road(1.0, 0.0, 0.0, counts=counts, fitted=True)
    told = to_probabilities(np.array([[900.0, 0.0, -900.0], [1.0, 0.0, 0.5]]), 1.0, least=road.least_probability)
    assert told[0].max() == pytest.approx(surest) and told.sum(axis=1) == pytest.approx(1.0)
    assert told[1].argsort().tolist() == [1, 2, 0]  # their order stays
    assert replace(road, fitted=False).least_probability == replace(road, counts={}).least_probability == 0.0
