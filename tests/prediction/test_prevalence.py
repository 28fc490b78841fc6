"""Shares of the classes: what is understood, and what they do to probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adclip.domain import Prediction
from adclip.errors import ConfigError
from adclip.prediction.prevalence import at_prevalence, check_prevalence, parse_prevalence, shift
from adclip.prediction.telling import Telling

LABELS = ("CN", "MCI", "AD")
EQUAL = {"CN": 0.2, "MCI": 0.3, "AD": 0.5}
positive = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)


def to_shares(weights):
    return {label: weight / sum(weights) for label, weight in zip(LABELS, weights, strict=True)}


@given(positive, positive)
def test_the_odds_of_two_classes_are_multiplied_by_the_odds_of_their_shares(one, other):
    probabilities, shares = to_shares(one), to_shares(other)
    found = shift(probabilities, shares)
    assert sum(found.values()) == pytest.approx(1)
    for label in ("MCI", "AD"):
        odds = probabilities[label] / probabilities["CN"] * shares[label] / shares["CN"]
        assert found[label] / found["CN"] == pytest.approx(odds)


@given(positive)
def test_equal_shares_change_nothing_and_shifts_add_up(weights):
    probabilities = to_shares(weights)
    assert shift(probabilities, dict.fromkeys(LABELS, 1 / 3)) == pytest.approx(probabilities)
    there = {"CN": 0.6, "MCI": 0.3, "AD": 0.1}
    back = {label: 1 / share for label, share in there.items()}
    assert shift(shift(probabilities, there), back) == pytest.approx(probabilities)


def test_what_shifts_is_what_a_reweighted_population_shows():
    """Two normal scores: of those near one value the share of each class is what Bayes' rule says for the shares of people."""
    import numpy as np

    draw = np.random.default_rng(0)
    people = {"CN": 60_000, "AD": 20_000}
    values = {"CN": draw.normal(0, 1, people["CN"]), "AD": draw.normal(1, 1, people["AD"])}
    near = {label: np.sum(np.abs(column - 0.7) < 0.1) for label, column in values.items()}
    density = {label: math.exp(-((0.7 - mean) ** 2) / 2) for label, mean in (("CN", 0), ("AD", 1))}
    equal = {label: value / sum(density.values()) for label, value in density.items()}
    found = shift(equal, {"CN": 0.75, "AD": 0.25})
    assert found["AD"] == pytest.approx(near["AD"] / sum(near.values()), abs=0.015)  # 0.005 is one standard error


def test_every_source_shifts_and_the_set_does_not():
    alone = {"CN": 0.4, "MCI": 0.3, "AD": 0.3}
    told = Prediction(
        "x.nii", "ok", diagnosis="AD", probabilities=EQUAL, prediction_set=("AD",), scan_only=alone, metadata_only=EQUAL,
        volumes_only=None,
    )  # fmt: skip
    shares = {"CN": 0.8, "MCI": 0.15, "AD": 0.05}
    found = at_prevalence(told, shares)
    assert found.probabilities == shift(EQUAL, shares) == found.metadata_only
    assert found.scan_only == shift(alone, shares) and found.volumes_only is None
    assert (found.diagnosis, found.prediction_set) == ("CN", ("AD",))
    assert found.to_dict()["prevalence"] == shares and found.to_dict()["probabilities_equal"] == EQUAL
    assert told.to_dict()["prevalence"] is None and told.to_dict()["probabilities_equal"] is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("CN=.6,MCI=.3,AD=.2", "sum to 1.1"), ("CN=60,MCI=30,AD=10", "sum to 100"), ("CN=1.2,MCI=-.3,AD=.1", "MCI"),
        ("CN=.6,MCI=.4", None), ("CN=60%,MCI=40%", None), ("CN=60%,MCI=30%", "sum to 0.9"), ("CN=%,MCI=1", "CLASS=SHARE"),
        ("CN=.5,CN=.5", "twice"), ("CN", "CLASS=SHARE"), ("CN=a,MCI=.3", "CLASS=SHARE"),
        ("CN=nan,MCI=1", "CLASS=SHARE"), ("", "CLASS=SHARE"), ("=1", "CLASS=SHARE"), ("CN=inf", "CLASS=SHARE"),
    ],
)  # fmt: skip
def test_what_is_no_shares_is_refused_with_a_cure(text, problem):
    if problem is None:  # the form is right, and whether a class is missing depends on the model
        assert parse_prevalence(text) == {"CN": 0.6, "MCI": 0.4}
        return
    with pytest.raises(ConfigError, match=problem) as raised:
        Telling(prevalence=text)
    assert raised.value.exit_code == 2 and raised.value.problem.startswith("--prevalence") and raised.value.remedy


def test_percent_are_told_how_to_be_written():
    with pytest.raises(ConfigError) as raised:
        parse_prevalence("CN=60,MCI=30,AD=10")
    cure = raised.value.remedy.rpartition(" ")[2]
    assert parse_prevalence(cure) == pytest.approx({"CN": 0.6, "MCI": 0.3, "AD": 0.1})
    with pytest.raises(ConfigError) as raised:
        parse_prevalence("CN=.6,MCI=.3,AD=.2")
    assert "%" not in raised.value.remedy


@pytest.mark.parametrize(
    ("shares", "problem"),
    [
        ({"CN": 0.6, "MCI": 0.4}, "no share for AD"), ({"CN": 0.6, "MCI": 0.3, "EMCI": 0.1}, "EMCI"),
        ({"CN": 0.6, "MCI": 0.6, "AD": -0.2}, "AD"), ({"CN": 0.6, "MCI": 0.3, "AD": math.nan}, "AD"),
        ({"CN": 0.6, "MCI": 0.3, "AD": 0.2}, "sum to 1.1"),
    ],
)  # fmt: skip
def test_shares_fit_the_classes_of_the_model(shares, problem):
    with pytest.raises(ConfigError, match=problem) as raised:
        check_prevalence(shares, LABELS)
    assert raised.value.remedy


def test_shares_are_rounded_as_people_write_them():
    third = {"CN": 0.33, "MCI": 0.33, "AD": 0.33}
    assert check_prevalence(dict(reversed(third.items())), LABELS) == third
    assert check_prevalence({"a": 0, "b": 1}, ("b", "a")) == {"b": 1.0, "a": 0.0}
    assert shift({"b": 0.1, "a": 0.9}, {"b": 1.0, "a": 0.0}) == {"b": 1.0, "a": 0.0}
