"""What a regression says of a row with gaps: the mean over what may stand there, against drawing it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from tiny import LABELS

from adclip.domain import Visit
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.missing_columns import covariance_of, given_known, mean_softmax

DRAWS = 200_000
COVARIANCE = np.array([[1.0, 0.6, -0.3, 0.2], [0.6, 1.0, -0.5, 0.1], [-0.3, -0.5, 1.0, 0.0], [0.2, 0.1, 0.0, 1.0]])


def drawn(covariance: np.ndarray, values: np.ndarray, is_known: np.ndarray) -> np.ndarray:
    """Rows (DRAWS, F) of a normal with this covariance, given the known values: by regression residuals of free draws."""
    free = np.random.default_rng(0).multivariate_normal(np.zeros(len(values)), covariance, DRAWS)
    slopes, *_ = np.linalg.lstsq(free[:, is_known], free[:, ~is_known], rcond=None)
    rows = np.tile(values, (DRAWS, 1))
    rows[:, ~is_known] = values[is_known] @ slopes + free[:, ~is_known] - free[:, is_known] @ slopes
    return rows


@pytest.mark.parametrize("known", [(0,), (1, 2), (0, 2, 3)])
def test_the_missing_columns_are_normal_given_the_known_ones(known):
    values, is_known = np.array([1.5, -1.0, 0.7, -2.0]), np.isin(np.arange(4), known)
    rows = drawn(COVARIANCE, values, is_known)
    mean, spread = given_known(COVARIANCE, values, is_known)
    np.testing.assert_allclose(mean, rows.mean(0), atol=0.01)
    np.testing.assert_allclose(spread, np.cov(rows[:, ~is_known].T).reshape(spread.shape), atol=0.01)
    np.testing.assert_array_equal(mean[is_known], values[is_known])


@pytest.mark.parametrize(
    "scores", [[0.0, 0.0], [1.5, -1.0], [0.2, 0.1, -0.5], [3.0, 0.0, -3.0]], ids=lambda scores: f"{scores}"
)
@pytest.mark.parametrize("size", [0.0, 0.3, 1.5])
def test_the_mean_of_the_softmax_is_that_of_draws(scores, size):
    rng = np.random.default_rng(1)
    root = rng.normal(0, 1, (len(scores), len(scores)))
    covariance = size * root @ root.T / len(scores)
    draws = rng.multivariate_normal(scores, covariance, DRAWS)
    found = mean_softmax(np.array(scores), covariance)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, softmax(draws, axis=1).mean(0), atol=3e-3)
    if not size:
        np.testing.assert_allclose(found, softmax(scores), atol=1e-12)


def test_what_all_scores_share_changes_nothing():
    covariance = np.full((3, 3), 50.0) + np.diag([1.0, 0.5, 0.2])
    np.testing.assert_allclose(
        mean_softmax(np.array([0.3, 0.0, -1.0]), covariance),
        mean_softmax(np.array([0.3, 0.0, -1.0]), covariance - 50.0), atol=1e-9,
    )  # fmt: skip


def people(count: int, classes: int, rng: np.random.Generator) -> tuple[list[Visit], list[str]]:
    """Rows in which the hippocampus shrinks with age and class, the commonest class being the first."""
    labels = rng.choice(classes, count, p=np.array([0.6, 0.25, 0.15][:classes]) / sum([0.6, 0.25, 0.15][:classes]))
    ages = rng.normal(70 + 2 * labels, 8)
    volumes = 7000 - 40 * (ages - 70) - 500 * labels + rng.normal(0, 400, count)
    visits = [Visit(age_years=float(age), sex="FM"[number % 2], hippocampus_mm3=float(volume), icv_mm3=1.4e6)
              for number, (age, volume) in enumerate(zip(ages, volumes, strict=True))]  # fmt: skip
    return visits, [LABELS[label] for label in labels]


@pytest.fixture(scope="module", params=[2, 3], ids=["two classes", "three classes"])
def fitted(request):
    visits, labels = people(600, request.param, np.random.default_rng(3))
    return MetadataBaseline.fit(visits, labels, LABELS[: request.param]), visits


def standardised(baseline: MetadataBaseline, visit: Visit) -> np.ndarray:
    cells = {"age_years": visit.age_years, "sex": None if visit.sex is None else float(visit.sex == "M"),
             "hippocampus_mm3": None if visit.hippocampus_mm3 is None else visit.hippocampus_mm3 / visit.icv_mm3}  # fmt: skip
    values = np.array([np.nan if cells[name] is None else cells[name] for name in baseline.columns])
    return (values - baseline.means) / baseline.scales


def by_hand(baseline: MetadataBaseline, rows: np.ndarray) -> np.ndarray:
    """In the study first, where the columns come from, then for classes equally common."""
    shares = np.array(baseline.shares)
    scores = rows @ np.array(baseline.coefficients).T + np.array(baseline.intercepts) + np.log(shares)
    chances = softmax(scores, axis=1).mean(0) / shares
    return chances / chances.sum()


def test_with_all_known_it_is_the_plain_softmax(fitted):
    baseline, visits = fitted
    for visit in visits[:5]:
        row = standardised(baseline, visit)
        wanted = softmax(np.array(baseline.coefficients) @ row + np.array(baseline.intercepts))
        np.testing.assert_allclose(list(baseline.predict(visit).values()), wanted, atol=1e-9)
        np.testing.assert_allclose(by_hand(baseline, row[None]), wanted, atol=1e-9)


@pytest.mark.parametrize(
    "missing", [("hippocampus_mm3",), ("age_years",), ("sex", "hippocampus_mm3"), ("age_years", "sex")]
)
def test_with_gaps_it_is_the_mean_over_what_they_may_be(fitted, missing):
    baseline, visits = fitted
    for visit in (visits[0], replace(visits[1], age_years=88.0, hippocampus_mm3=5000.0)):
        visit = replace(visit, **dict.fromkeys(missing))
        values = standardised(baseline, visit)
        rows = drawn(np.array(baseline.covariance), np.nan_to_num(values), np.isfinite(values))
        np.testing.assert_allclose(list(baseline.predict(visit).values()), by_hand(baseline, rows), atol=4e-3)


def test_an_old_age_alone_is_not_a_large_hippocampus_for_that_age(fitted):
    """With the median in its place the hippocampus of an old person would be unusually large, and the answer healthier for it."""
    baseline, _ = fitted
    old = Visit(age_years=88.0, sex="F")
    median = replace(baseline, covariance=None, shares=None)
    assert baseline.predict(old)["CN"] < median.predict(old)["CN"] - 0.02


def test_the_mean_over_everybody_is_what_everybody_is_on_average(fitted):
    """Of all at one age and sex the answer without their volumes is near the mean of their answers with them, in the study's shares."""
    baseline, _ = fitted
    classes = len(baseline.class_order)
    visits, _ = people(60_000, classes, np.random.default_rng(9))
    near = [visit for visit in visits if abs(visit.age_years - 74) < 1 and visit.sex == "F"]
    shares = np.array(baseline.shares)

    def in_study(chances: dict[str, float]) -> np.ndarray:
        weighed = np.array(list(chances.values())) * shares
        return weighed / weighed.sum()

    each = np.mean([in_study(baseline.predict(visit)) for visit in near], axis=0)
    unknown = in_study(baseline.predict(Visit(age_years=74.0, sex="F")))
    np.testing.assert_allclose(unknown, each, atol=0.03)


def test_one_column_has_nothing_to_average_over():
    visits, labels = people(90, 3, np.random.default_rng(5))
    baseline = MetadataBaseline.fit(visits, labels, LABELS, usable=("age_years",))
    assert baseline.columns == ("age_years",) and np.shape(baseline.covariance) == (1, 1)
    found = baseline.predict(Visit(age_years=80.0, hippocampus_mm3=5000.0, icv_mm3=1.4e6))
    score = np.array(baseline.coefficients)[:, 0] * (80 - baseline.means[0]) / baseline.scales[0]
    np.testing.assert_allclose(list(found.values()), softmax(score + np.array(baseline.intercepts)), atol=1e-9)
    assert baseline.predict(Visit(sex="F")) is None


def test_columns_that_say_the_same_can_be_told_apart_all_the_same():
    column = np.random.default_rng(0).normal(size=200)
    covariance = covariance_of(np.stack([column, column, -column], axis=1))
    mean, spread = given_known(covariance, np.array([1.0, 0.0, 0.0]), np.array([True, False, False]))
    assert np.isfinite(mean).all() and mean[1] == pytest.approx(-mean[2], rel=1e-6)
    assert 0.9 < mean[1] <= 1 and (np.linalg.eigvalsh(spread) > -1e-9).all()


def test_it_comes_back_from_the_record(fitted):
    baseline, _ = fitted
    again = MetadataBaseline.from_dict(baseline.to_dict())
    assert again == baseline and again.predict(Visit(age_years=60.0)) == baseline.predict(Visit(age_years=60.0))
