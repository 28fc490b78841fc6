"""Agreement, net benefit and differences between groups: equal to what books and hands compute."""

from __future__ import annotations

import math

import numpy as np
import pytest

from adclip.evaluation.metrics import compare_groups, icc_interval, net_benefit

# Shrout & Fleiss 1979, table 2: six targets, four judges; ICC(1,1) is .17 there
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_icc_is_that_of_the_paper():
    value, low, high = icc_interval(JUDGES)
    assert value == pytest.approx(0.166, abs=0.001)
    assert (low, high) == pytest.approx((-0.133, 0.723), abs=0.001)  # R's psych::ICC


def test_icc_of_pairs_is_that_of_the_analysis_of_variance():
    """For pairs ICC(1,1) is (MSB - MSW) / (MSB + MSW); the mean squares are scipy's F and the pooled variance."""
    from scipy.stats import f_oneway

    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(30, 1)) + 0.4 * rng.normal(size=(30, 2))
    ratio = f_oneway(*pairs).statistic
    assert icc_interval(pairs)[0] == pytest.approx((ratio - 1) / (ratio + 1))


def test_icc_at_the_edges():
    assert all(map(math.isnan, icc_interval([[1.0, 2.0]])))
    assert all(map(math.isnan, icc_interval(np.ones((5, 2)))))
    value, low, high = icc_interval([[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]])
    assert value == 1 and math.isnan(low) and math.isnan(high)


def test_icc_interval_holds_the_truth_in_95_of_100_studies():
    rng, truth, held = np.random.default_rng(1), 0.8, 0
    for _ in range(400):
        people = math.sqrt(truth) * rng.normal(size=(25, 1)) + math.sqrt(1 - truth) * rng.normal(size=(25, 2))
        _, low, high = icc_interval(people)
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98


def test_net_benefit_by_hand():
    cases, stated = [True, True, False, False, False], [0.9, 0.3, 0.6, 0.2, 0.1]
    # from .5 on: one case found, one false alarm, odds 1; from .25 on: two found, one false alarm, odds 1/3
    assert net_benefit(cases, stated, [0.5, 0.25]) == pytest.approx([0.0, 2 / 5 - 1 / 5 / 3])


def test_acting_on_everybody_and_on_nobody():
    cases, limits = np.array([True] * 3 + [False] * 7), np.array([0.1, 0.3, 0.6])
    assert net_benefit(cases, np.ones(10), limits) == pytest.approx(0.3 - 0.7 * limits / (1 - limits))
    assert net_benefit(cases, np.zeros(10), limits) == pytest.approx([0, 0, 0])
    assert np.isnan(net_benefit([], [], limits)).all()


def test_groups_are_compared_by_arms_whose_squares_add_up():
    assert compare_groups((0.8, 0.7, 0.88), (0.6, 0.55, 0.72)) == pytest.approx(
        (0.2, 0.2 - math.hypot(0.1, 0.12), 0.2 + math.hypot(0.08, 0.05))
    )
    assert math.isnan(compare_groups((math.nan,) * 3, (0.6, 0.5, 0.7))[0])
