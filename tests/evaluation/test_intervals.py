"""Intervals with few people: never of no length, never without their estimate, and as often right as they say."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from adclip.evaluation.metrics import Judged, bootstrap_interval, compare, put_back, summarise, summarise_mean
from adclip.evaluation.metrics.intervals import auc_interval, effective_number, mean_interval
from adclip.evaluation.metrics.resampling import studentised_interval

NAMES = ["CN", "MCI", "AD"]
MIX = (0.7, 0.2, 0.1)
PEOPLE = [f"s{n:02d}" for n in range(12)]


def load_bench():
    path = Path(__file__).parents[1] / "benchmarks" / "bench_intervals.py"
    spec = importlib.util.spec_from_file_location("bench_intervals", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench():
    return load_bench()


def told(truth, answer, sure=0.8):
    """Probabilities that give `sure` to the answered class."""
    shares = np.full((len(truth), 3), (1 - sure) / 2)
    shares[np.arange(len(truth)), answer] = sure
    return [NAMES[k] for k in truth], shares


def test_a_perfect_auc_of_twelve_people_may_be_less_in_others():
    truth = np.repeat([0, 1, 2], 4)
    names, shares = told(truth, truth)
    found = summarise(names, shares, NAMES, PEOPLE)
    for name in ("auc_ad_vs_cn", "auc_cn_vs_rest", "auc_mci_vs_rest", "auc_ad_vs_rest"):
        assert found[name]["value"] == found[name]["high"] == 1
        assert 0.3 < found[name]["low"] < 0.9, name
    assert found["auc_ad_vs_cn"]["low"] < found["auc_ad_vs_rest"]["low"], "eight people tell less than twelve"
    flipped = auc_interval([1] * 6 + [0] * 6, [0.0] * 6 + [1.0] * 6, PEOPLE)
    mended = auc_interval([1] * 6 + [0] * 6, [1.0] * 6 + [0.0] * 6, PEOPLE)
    assert flipped == pytest.approx((0.0, 0.0, 1 - mended[1]), abs=1e-6)


def test_a_share_has_the_interval_of_clopper_and_pearson():
    truth = np.arange(12) % 3
    for wrong in (0, 1, 5, 12):
        answer = np.where(np.arange(12) < wrong, (truth + 1) % 3, truth)
        found = summarise(*told(truth, answer), NAMES, PEOPLE)["accuracy"]
        exact = binomtest(12 - wrong, 12).proportion_ci(method="exact")
        assert (found["low"], found["high"]) == pytest.approx((exact.low, exact.high))


def test_the_bound_of_any_bounded_values_is_the_exact_one_for_shares():
    """The same numbers by the general road: one value a hair off sends them there."""
    values = [1.0] * 9 + [0.0] * 2 + [1e-9]
    exact = binomtest(9, 12).proportion_ci(method="exact")
    assert mean_interval(values, PEOPLE)[1:] == pytest.approx((exact.low, exact.high), abs=0.02)


def test_a_class_that_is_always_missed_or_always_found_is_not_certain():
    truth = np.repeat([0, 2], 6)
    found = summarise(*told(truth, np.zeros(12, dtype=int)), NAMES, PEOPLE)["balanced_accuracy"]
    assert found["value"] == 0.5
    assert 0.1 < found["low"] < 0.35 and 0.65 < found["high"] < 0.9
    all_right = summarise(*told(truth, truth), NAMES, PEOPLE)["balanced_accuracy"]
    assert all_right["value"] == all_right["high"] == 1 and all_right["low"] < 0.8


def test_scans_of_one_person_are_not_people():
    truth = np.arange(12) % 3
    answer = np.where(np.arange(12) < 4, (truth + 1) % 3, truth)
    once = summarise(*told(truth, answer), NAMES, PEOPLE)
    thrice = summarise(*told(np.repeat(truth, 3), np.repeat(answer, 3)), NAMES, np.repeat(PEOPLE, 3).tolist())
    others = summarise(*told(np.repeat(truth, 3), np.repeat(answer, 3)), NAMES, [f"s{n:02d}" for n in range(36)])
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "auc_ad_vs_cn", "brier", "ece_if_perfect"):
        length = {key: one[name]["high"] - one[name]["low"] for key, one in (("once", once), ("thrice", thrice))}
        assert length["thrice"] == pytest.approx(length["once"], rel=0.06), name
        assert others[name]["high"] - others[name]["low"] < 0.8 * length["thrice"], name
    assert effective_number(["a"] * 10 + list("bcdef")) == pytest.approx(15**2 / 105)


def test_where_nothing_varies_it_is_said_in_a_word():
    found = summarise(["CN"] * 6 + ["AD"] * 6, [[1, 0, 0]] * 6 + [[0, 0, 1]] * 6, NAMES, PEOPLE,
                      list(range(12)), list(range(12)))  # fmt: skip
    for name in ("mmse_mae", "mmse_r", "ece_excess"):
        assert found[name]["low"] is None and found[name]["note"] == "all resamples agree", name
    assert found["brier"]["low"] == 0 and found["brier"]["high"] > 0.3, "of Brier's score the range is known"
    alone = summarise_mean([3.0], ["a"], None)
    assert (alone["value"], alone["low"], alone["note"]) == (3.0, None, "too few subjects")
    same = bootstrap_interval(np.mean, np.ones(12), subjects=PEOPLE)
    assert same[0] == 1 and math.isnan(same[1]) and math.isnan(same[2])


def test_resamples_within_classes_keep_the_classes():
    truth = np.array([0] * 10 + [1] * 2)
    seen = set()

    def count(of):
        seen.add(int(of.sum()))
        return float(of.mean())

    bootstrap_interval(count, truth, subjects=PEOPLE, n=50, strata=truth)
    assert max(seen - {1}) == 2 and 0 not in seen, "a jackknife leaves one out, a resample none"
    assert math.isnan(bootstrap_interval(np.mean, truth, subjects=PEOPLE, strata=[0] * 11 + [1])[1])


@pytest.mark.parametrize("seed", range(6))
def test_every_interval_holds_its_estimate(seed, bench):
    people = bench.draw(12 + 8 * seed, MIX, 0.2 + seed / 2, 1 + seed % 2, np.random.default_rng(seed))
    found = summarise([NAMES[k] for k in people.truth], people.equal, NAMES, people.subjects, list(people.mmse),
                      list(people.estimate), seed, as_in_study=people.study)  # fmt: skip
    one, other = (
        Judged(people.equal, people.study, people.estimate),
        Judged(people.rival, people.rival, people.mmse + 1),
    )
    less = compare(one, other, people.truth, NAMES, people.subjects, people.mmse, seed)
    for name, number in [*found.items(), *less.items()]:
        assert number["low"] is None or number["low"] <= number["value"] <= number["high"], name
        assert number["low"] is None or name.startswith("majority_b") or number["low"] < number["high"], name
    assert {"accuracy", "balanced_accuracy", "macro_f1", "auc_ad_vs_cn", "brier", "mmse_mae"} <= set(less)
    for name in ("balanced_accuracy", "macro_f1", "auc_mci_vs_rest", "accuracy", "brier"):
        theirs = summarise([NAMES[k] for k in people.truth], people.rival, NAMES, people.subjects, resamples=10)
        assert less[name]["value"] == pytest.approx(found[name]["value"] - theirs[name]["value"]), name


def test_two_perfect_methods_may_differ_in_others():
    truth = np.repeat([0, 1, 2], 4)
    shares = np.eye(3)[truth]
    found = compare(Judged(shares, shares), Judged(shares, shares), truth, NAMES, PEOPLE)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "auc_ad_vs_cn", "brier"):
        assert found[name]["value"] == 0 and found[name]["low"] < -0.1 < 0.1 < found[name]["high"], name


def test_a_perfect_scorer_is_calibrated_where_the_classes_are_not_equally_common():
    """Judged by people of another mix than its answers are for, it would seem badly calibrated."""
    rng = np.random.default_rng(0)
    truth = rng.choice(3, size=20_000, p=MIX)
    sign = rng.normal(1.2 * truth, 1)  # one axis, along which the classes follow each other
    equal = np.exp(-((sign[:, None] - 1.2 * np.arange(3)) ** 2) / 2)
    equal /= equal.sum(axis=1, keepdims=True)
    names, who = [NAMES[k] for k in truth], [f"s{n}" for n in range(len(truth))]
    found = summarise(names, equal, NAMES, who, as_in_study=put_back(equal, MIX))
    plain = summarise(names, equal, NAMES, who)
    assert plain["ece"]["value"] > 0.05 and plain["ece_excess"]["low"] > 0.04
    assert found["ece"]["value"] < 0.015 and found["ece_equal"]["value"] < 0.03
    for name in ("ece_excess", "ece_equal_excess"):
        assert found[name]["low"] <= 0 <= found[name]["high"], name
    assert found["brier"]["value"] < plain["brier"]["value"] and found["accuracy"]["value"] > plain["accuracy"]["value"]
    assert found["balanced_accuracy"] == plain["balanced_accuracy"]


def test_shares_are_put_back_by_bayes_rule():
    assert put_back([[0.5, 0.25, 0.25]], [2, 1, 1])[0] == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    assert put_back([[0.0, 0.0, 1.0]], [1, 1, 0])[0].tolist() == [0, 0, 1], "sure of what does not occur: left as it is"


def test_a_mean_without_bounds_covers_skewed_errors():
    random, held = np.random.default_rng(3), []
    for trial in range(200):
        _, low, high = studentised_interval(random.exponential(size=12), PEOPLE, 300, trial)
        held.append(low <= 1 <= high)
    assert np.mean(held) >= 0.91  # percentiles hold it in 86 of 100


@pytest.mark.parametrize(("count", "mix"), [(12, "equal"), (30, "0.7/0.2/0.1")])
def test_intervals_hold_the_truth_as_often_as_they_say(bench, count, mix):
    """A short form of tests/benchmarks/bench_intervals.py, whose table stands in docs/explanation/decisions.md."""
    trials = 60
    for pairs in (False, True):
        found = bench.coverage(count, bench.MIXES[mix], 1.5, trials, pairs=pairs, resamples=200)
        assert len(found) >= 5
        for name, (share, length) in found.items():
            assert share >= 0.95 - 2.5 * math.sqrt(0.95 * 0.05 / trials), (name, share)
            assert length < 2.5, name


def test_a_difference_below_zero_is_a_smaller_error() -> None:
    """Who is three points off has an error three points larger: of the other way round the worse model would be told as better."""
    known = np.linspace(18, 29, len(PEOPLE))
    shares = np.full((len(PEOPLE), 3), 1 / 3)
    wobble = np.where(np.arange(len(PEOPLE)) % 2, 0.4, 0.6)
    near, far = (Judged(shares, shares, known + away * wobble) for away in (1, 7))
    truth = np.arange(len(PEOPLE)) % 3
    less = compare(near, far, truth, NAMES, PEOPLE, known)["mmse_mae"]
    assert less["value"] == pytest.approx(-6 * wobble.mean()) and less["low"] <= less["value"] <= less["high"] < 0
