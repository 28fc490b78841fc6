"""Deletion and insertion: on a made-up number whose answer is known, and equal to their definition on a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from explaining import explained_of
from scipy.stats import t
from tiny import CONFIG, known_of

from adclip.explanation.faithfulness.curves import (
    HALF,
    ORDERS,
    TEN_STEPS,
    measure_curves,
    random_orders,
    ranked,
    to_gain,
)

INSIDE = np.arange(3, 3 + 41)  # patches that are said to hold brain: an odd number of them


@pytest.fixture
def weights():
    return np.random.default_rng(5).permutation(np.linspace(-1, 3, CONFIG.patches))


@pytest.fixture
def made_up(predictor, image, reference, evidence, weights, monkeypatch):
    """A scan whose number is the sum of the weights of those patches that are its own."""
    explained = explained_of(predictor, image, evidence, "AD", reference + 0.1)  # no patch is that of the scan
    by_patch = torch.from_numpy(weights)

    def number(patches, shares):
        return ((patches == explained.patches).all(-1) * by_patch).sum(-1)

    monkeypatch.setattr(explained, "of_patches", number)
    return explained


def order_of(weights: np.ndarray) -> np.ndarray:
    return ranked(weights.reshape(CONFIG.token_grid), INSIDE)


def measured(explained, order, fractions=HALF, orders=None, known=None):
    orders = random_orders(INSIDE, 0) if orders is None else orders
    return measure_curves(explained, order, orders, fractions, explained.reference_patches, "another", known)


def test_the_most_relevant_come_first_and_only_those_with_brain(weights):
    order = order_of(weights)
    assert sorted(order) == INSIDE.tolist() and (np.diff(weights[order]) < 0).all()
    tied = ranked(np.zeros(CONFIG.token_grid), INSIDE)
    assert tied.tolist() == INSIDE.tolist()


@pytest.mark.parametrize("fractions", [HALF, TEN_STEPS, (0.25, 0.5)])
def test_the_curves_are_sums_of_what_is_left(made_up, weights, fractions):
    order, orders = order_of(weights), random_orders(INSIDE, 7)
    found = measured(made_up, order, fractions, orders)
    outside = weights.sum() - weights[INSIDE].sum()
    assert found.fractions == fractions and found.reference == "another"
    for place, fraction in enumerate(fractions):
        count = round(fraction * len(order))
        kept = len(order) - count if fractions == HALF else count  # of an odd number one more than half is kept
        assert found.deletion[place] == pytest.approx(outside + weights[order[count:]].sum())
        assert found.insertion[place] == pytest.approx(outside + weights[order[:kept]].sum())
        for number, one in enumerate(orders):
            assert found.deletion_random[number][place] == pytest.approx(outside + weights[one[count:]].sum())
            inserted = one[::-1][:kept] if fractions == HALF else one[:kept]
            assert found.insertion_random[number][place] == pytest.approx(outside + weights[inserted].sum())


@pytest.mark.parametrize("fractions", [HALF, TEN_STEPS])
def test_no_order_gains_more_than_the_true_one_and_its_reverse_loses(made_up, weights, fractions):
    best = order_of(weights)
    draw = np.random.default_rng(1)
    curves = [
        measured(made_up, order, fractions) for order in (best, best[::-1], *(draw.permutation(best) for _ in range(5)))
    ]
    first, reverse, *others = curves
    for gain in (first.deletion_gain, first.insertion_gain):
        assert gain.estimate > 0 and gain.beats == gain.of == ORDERS and gain.low > 0
    for gain in (reverse.deletion_gain, reverse.insertion_gain):
        assert gain.estimate < 0 and gain.beats == 0 and gain.high < 0
    for other in others:
        assert other.deletion_gain.estimate < first.deletion_gain.estimate
        assert other.insertion_gain.estimate < first.insertion_gain.estimate
        assert other.deletion_gain.low < 0 < other.deletion_gain.high


def test_a_gain_is_in_units_of_the_number(made_up, weights):
    """By hand: random orders less the map's, and the map's less random ones."""
    found = measured(made_up, order_of(weights), TEN_STEPS)
    random = [np.mean(found.deletion_random), np.mean(found.insertion_random)]
    assert found.deletion_gain.estimate == pytest.approx(random[0] - np.mean(found.deletion))
    assert found.insertion_gain.estimate == pytest.approx(np.mean(found.insertion) - random[1])


def test_the_half_of_each_random_order_does_for_both_curves(predictor, image, reference, cohort):
    """On a model: the same as its definition, an order in one curve and its reverse in the other, one pass each."""
    explained = explained_of(predictor, image, known_of(predictor, cohort.visits[2]), "AD", reference)
    inside = np.flatnonzero(explained.brain_patches().numpy())
    for some in (inside, inside[:-1]):  # an even and an odd number
        order, orders = np.random.default_rng(2).permutation(some), random_orders(some, 3)
        found = measure_curves(explained, order, orders, HALF, explained.reference_patches, "another")
        count = round(len(some) / 2)

        def number(replaced) -> float:
            mask = torch.zeros(1, CONFIG.patches, dtype=torch.bool)
            mask[0, torch.from_numpy(replaced.copy())] = True
            return float(explained.replaced(mask))

        deleted = [number(one[:count]) for one in orders]
        inserted = [number(one[::-1][len(some) - count :]) for one in orders]
        assert [row[0] for row in found.deletion_random] == pytest.approx(deleted, abs=1e-5)
        assert [row[0] for row in found.insertion_random] == pytest.approx(inserted, abs=1e-5)
        assert found.deletion[0] == pytest.approx(number(order[:count]), abs=1e-5)
        assert found.insertion[0] == pytest.approx(number(order[len(some) - count :]), abs=1e-5)
        assert found.deletion_gain.estimate == pytest.approx(np.mean(deleted) - found.deletion[0], abs=1e-5)
        assert found.insertion_gain.estimate == pytest.approx(found.insertion[0] - np.mean(inserted), abs=1e-5)


def test_the_other_patches_come_from_the_image_that_is_named(either, image, reference, cohort):
    """From the scan itself nothing changes; from another image it does, and not as from a third."""
    explained = explained_of(either, image, known_of(either, cohort.visits[2]), "AD", reference)
    inside = np.flatnonzero(explained.brain_patches().numpy())
    order, orders = inside[::-1].copy(), random_orders(inside, 0)
    third = cohort.image_batch([4], torch.device("cpu"))
    with torch.no_grad():
        embedded = [either.reader.network.vision_encoder.embed(one) for one in (image, reference, third)]
    own, other, of_third = (measure_curves(explained, order, orders, TEN_STEPS, by, "x") for by in embedded)
    number = float(explained.of_patches(explained.patches, explained.shares).detach())
    assert np.ptp([*own.deletion, *own.insertion, *np.ravel(own.deletion_random)]) < 1e-5
    assert own.deletion[0] == pytest.approx(number, abs=1e-5)
    assert own.deletion_gain.estimate == pytest.approx(0, abs=1e-5) == own.insertion_gain.estimate
    for one in (other, of_third):
        assert np.ptp(one.deletion) > 1e-4
    assert np.abs(np.subtract(other.deletion, of_third.deletion)).max() > 1e-4


def test_rivals_share_the_random_orders(made_up, weights, monkeypatch):
    first = measured(made_up, order_of(weights), TEN_STEPS)
    passes = []
    real = made_up.replaced
    monkeypatch.setattr(made_up, "replaced", lambda masks, by: passes.append(len(masks)) or real(masks, by))
    rival = measured(made_up, order_of(-weights), TEN_STEPS, known=first)
    assert passes == [20]
    assert (rival.deletion_random, rival.insertion_random) == (first.deletion_random, first.insertion_random)
    assert rival == measured(made_up, order_of(-weights), TEN_STEPS)


def test_random_orders_are_random_and_hang_on_the_seed():
    orders = random_orders(INSIDE, 0)
    assert len(orders) == ORDERS and all(sorted(one) == INSIDE.tolist() for one in orders)
    assert len({tuple(one) for one in orders}) == ORDERS
    assert all(not np.array_equal(one, INSIDE) for one in orders)
    assert all(np.array_equal(one, two) for one, two in zip(orders, random_orders(INSIDE, 0), strict=True))
    assert not np.array_equal(orders[0], random_orders(INSIDE, 1)[0])
    places = np.array([[one.tolist().index(patch) for patch in INSIDE] for one in random_orders(INSIDE, 2, 400)])
    assert np.abs(places.mean(0) - 20).max() < 2.5  # each patch stands anywhere alike: 20 +- 0.6


def test_the_interval_of_a_gain_is_one_for_a_further_order():
    """Student's t, as of a mean and one more value; by simulation it holds as many as it says."""
    gains = np.array([1.0, 2.0, 4.0, -0.5])
    found = to_gain(gains)
    half = gains.std(ddof=1) * np.sqrt(1 + 1 / 4) * t.ppf(0.975, 3)
    assert (found.estimate, found.beats, found.of) == (1.625, 3, 4)
    assert (found.low, found.high) == pytest.approx((1.625 - half, 1.625 + half))
    draw = np.random.default_rng(0)
    held = []
    for _ in range(2000):
        values = draw.normal(size=9)
        one = to_gain(values[:8])
        held.append(one.low <= values[8] <= one.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
