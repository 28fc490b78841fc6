"""Metrics: equal to scikit-learn's, sensible at the edges, intervals over people and not over scans."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from adclip.evaluation.metrics import (
    accuracy,
    auc,
    balanced_accuracy,
    bootstrap_interval,
    brier,
    ece,
    ece_if_perfect,
    macro_f1,
    mae,
    pearson_r,
    summarise,
)

pairs = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40)


def calibrated(count: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn from them."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.ones(classes), size=count)
    return (shares.cumsum(axis=1) < random.random((count, 1))).sum(axis=1).clip(max=classes - 1), shares


@given(pairs)
def test_class_metrics_equal_scikit_learn(rows):
    truth, answer = map(list, zip(*rows, strict=True))
    assert accuracy(truth, answer) == pytest.approx(oracle.accuracy_score(truth, answer))
    assert macro_f1(truth, answer) == pytest.approx(oracle.f1_score(truth, answer, average="macro", zero_division=0))
    recalls = [np.mean([a == t for t, a in rows if t == name]) for name in set(truth)]
    assert balanced_accuracy(truth, answer) == pytest.approx(np.mean(recalls))


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40))
def test_auc_equals_scikit_learn_with_ties(rows):
    cases, scores = map(list, zip(*rows, strict=True))
    assume(len(set(cases)) == 2)
    assert auc(cases, scores) == pytest.approx(oracle.roc_auc_score(cases, scores))
    assert auc(cases, [-score for score in scores]) == pytest.approx(1 - auc(cases, scores))


def test_auc_without_one_of_the_groups_is_undefined():
    assert math.isnan(auc([True, True], [1, 2]))
    assert math.isnan(auc([], []))


def test_brier_and_ece_of_the_best_and_the_worst():
    sure = np.eye(3)
    assert brier([0, 1, 2], sure) == ece([0, 1, 2], sure) == 0
    assert brier([1, 2, 0], sure) == 2
    assert ece([1, 2, 0], sure) == 1
    assert ece([0, 1], [[0.75, 0.25], [0.75, 0.25]]) == pytest.approx(0.25)


def test_ece_is_judged_against_what_perfection_would_show():
    assert ece_if_perfect(calibrated(60)[1]) > 0.05
    assert ece_if_perfect(calibrated(20_000)[1], draws=20) < 0.02
    many_true, many = calibrated(20_000)
    assert ece(many_true, many) == pytest.approx(ece_if_perfect(many, draws=20), abs=0.01)


def test_mmse_metrics():
    assert mae([30, 20], [28, 23]) == 2.5
    assert pearson_r([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert pearson_r([1, 2, 3], [-2, -4, -6]) == pytest.approx(-1)
    assert math.isnan(pearson_r([1, 2, 3], [5, 5, 5]))
    assert math.isnan(mae([], []))


def test_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        values = random.normal(size=60)
        _, low, high = bootstrap_interval(np.mean, values, subjects=[str(n) for n in range(60)], n=300, seed=trial)
        hits += low <= 0 <= high
    assert 87 <= hits <= 100


def test_interval_counts_people_not_scans():
    random = np.random.default_rng(1)
    per_person = random.normal(size=40)
    scans = np.repeat(per_person, 10)
    repeated = bootstrap_interval(np.mean, scans, subjects=[f"s{n // 10}" for n in range(400)], seed=0)
    single = bootstrap_interval(np.mean, per_person, subjects=[f"s{n:02d}" for n in range(40)], seed=0)
    naive = bootstrap_interval(np.mean, scans, subjects=[f"s{n}" for n in range(400)], seed=0)
    assert repeated[2] - repeated[1] == pytest.approx(single[2] - single[1], rel=0.15)
    assert repeated[2] - repeated[1] > 2 * (naive[2] - naive[1])


def test_interval_is_reproducible_and_undefined_where_it_should_be():
    truth, score, who = [True, False, True, False], [4.0, 1.0, 3.0, 2.0], ["a", "b", "c", "d"]
    assert bootstrap_interval(auc, truth, score, subjects=who, seed=5) == bootstrap_interval(
        auc, truth, score, subjects=who, seed=5
    )
    value, low, high = bootstrap_interval(auc, truth, score, subjects=["a"] * 4)
    assert value == 1
    assert math.isnan(low)
    assert math.isnan(high)
    with pytest.raises(ValueError, match="length"):
        bootstrap_interval(auc, truth, score, subjects=["a"])


def test_summary_has_every_number_with_its_interval():
    truth, shares = calibrated(150)
    names = ["CN", "MCI", "AD"]
    mmse = [None if n % 5 == 0 else 20.0 + n % 10 for n in range(150)]
    result = summarise(
        [names[n] for n in truth], shares, names, [f"s{n // 2}" for n in range(150)], mmse,
        [25.0 + n % 3 for n in range(150)], resamples=200,
    )  # fmt: skip
    assert list(result) == [
        "accuracy", "balanced_accuracy", "macro_f1",
        *(f"{what}_{name.lower()}{'_vs_rest' * (what == 'auc')}" for name in names for what in ("sensitivity", "specificity", "auc")),
        "auc_ad_vs_cn",
        "brier", "ece", "ece_if_perfect", "ece_excess", "majority_accuracy", "majority_balanced_accuracy", "mmse_mae", "mmse_r",
    ]  # fmt: skip
    for name, entry in result.items():
        assert set(entry) == {"value", "low", "high", "n"}
        if name != "ece":  # it has none of its own: a perfect model's band, and what is beyond it, stand beside it
            assert entry["low"] <= entry["value"] <= entry["high"], name
    assert result["mmse_mae"]["n"] == 120
    answered = np.asarray(shares).argmax(axis=1)
    for index, name in enumerate(("cn", "mci", "ad")):
        of_class, of_others = result[f"sensitivity_{name}"], result[f"specificity_{name}"]
        case, told = np.asarray(truth) == index, answered == index
        assert of_class["value"] == pytest.approx(oracle.recall_score(case, told)) and of_class["n"] == case.sum()
        assert (
            of_others["value"] == pytest.approx(oracle.recall_score(~case, ~told)) and of_others["n"] == (~case).sum()
        )
    assert result["majority_balanced_accuracy"]["value"] == pytest.approx(1 / 3)
    json.dumps(result, allow_nan=False)


def test_ad_versus_cn_ignores_mci_and_its_probability():
    shares = [[0.4, 0.5, 0.1], [0.1, 0.7, 0.2], [0.3, 0.4, 0.3], [0.02, 0.9, 0.08]]
    result = summarise(["CN", "AD", "CN", "AD"], shares, ["CN", "MCI", "AD"], list("abcd"), resamples=50)
    assert result["auc_ad_vs_cn"]["value"] == 1
    assert result["auc_ad_vs_cn"]["n"] == 4
    both_mci = summarise(["CN", "MCI"], shares[:2], ["CN", "MCI", "AD"], list("ab"), resamples=50)
    assert both_mci["auc_ad_vs_cn"] == {"value": None, "low": None, "high": None, "n": 1}


def test_two_classes_and_a_given_majority():
    result = summarise(["CN", "CN", "AD"], [[0.9, 0.1]] * 3, ["CN", "AD"], list("abc"), majority="AD", resamples=50)
    assert result["majority_accuracy"]["value"] == pytest.approx(1 / 3)


def test_nobody_at_all():
    result = summarise([], np.zeros((0, 3)), ["CN", "MCI", "AD"], [], [], [])
    assert all(entry["value"] is None and entry["n"] == 0 for entry in result.values())
