"""What becomes of a map: by other methods, with other weights, of rescans; and the network is left as it was."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from explaining import explained_of
from scipy.stats import spearmanr
from tiny import CONFIG, known_of

from adclip.explanation.faithfulness.checks import agreement, ask_rivals, compare_rescans, randomise
from adclip.explanation.faithfulness.curves import HALF, measure_curves, random_orders, ranked
from adclip.explanation.methods import METHODS
from adclip.explanation.relevance import Relevance

INSIDE = np.arange(5, 75)


def some_map(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=CONFIG.token_grid)


def test_agreement_is_of_ranks_where_there_is_brain():
    one, other = some_map(0), some_map(1)
    wanted = spearmanr(one.reshape(-1)[INSIDE], other.reshape(-1)[INSIDE]).statistic
    assert agreement(one, other, INSIDE) == pytest.approx(wanted)
    assert agreement(one, np.exp(3 * one), INSIDE) == pytest.approx(1) == -agreement(one, -one, INSIDE)
    beyond = one.copy().reshape(-1)
    beyond[:5] = 1000
    assert agreement(one, beyond.reshape(one.shape), INSIDE) == pytest.approx(1)


def test_maps_that_say_nothing_agree_with_none():
    one = some_map(0)
    for nothing in (np.zeros_like(one), np.full_like(one, np.nan)):
        assert agreement(one, nothing, INSIDE) == agreement(nothing, one, INSIDE) == 0
    assert agreement(one, one, INSIDE[:2]) == 0


def test_rescans_are_summed_up():
    one = some_map(0)
    found = compare_rescans([one, -one, 2 * one], one, INSIDE)
    assert (found.median, found.least, found.of) == (pytest.approx(1), pytest.approx(-1), 3)


@pytest.fixture
def explained(either, image, reference, cohort):
    return explained_of(either, image, known_of(either, cohort.visits[2]), "AD", reference)


def test_each_other_method_is_a_rival_with_the_same_random_orders(explained):
    method = "grad-eclip"
    per_patch = METHODS[method](explained).per_patch().double().numpy()
    inside = np.flatnonzero(explained.brain_patches().numpy())
    orders = random_orders(inside, 0)
    first = explained.reference_patches
    known = measure_curves(explained, ranked(per_patch, inside), orders, HALF, first, "another")
    rivals = ask_rivals(explained, method, per_patch, inside, orders, known, first)
    assert [rival.method for rival in rivals] == [name for name in METHODS if name != method]
    for rival in rivals:
        found = METHODS[rival.method](explained).per_patch().double().numpy()
        assert rival.agreement == pytest.approx(agreement(per_patch, found, inside))
        curves = measure_curves(explained, ranked(found, inside), orders, HALF, first, "another")
        assert (rival.deletion_gain, rival.insertion_gain) == (curves.deletion_gain, curves.insertion_gain)


def state_of(network) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def test_weights_are_drawn_anew_from_the_answer_down_and_put_back_bit_for_bit(
    either, explained, image, reference, cohort
):
    network, before = explained.network, state_of(explained.network)
    per_patch = METHODS["grad-eclip"](explained).per_patch().double().numpy()
    inside = np.flatnonzero(explained.brain_patches().numpy())
    changed: list[set[str]] = []

    def anew():
        changed.append({name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])})
        for name, weight in network.named_parameters():  # the same values in another order
            assert torch.equal(weight.detach().flatten().sort().values, before[name].flatten().sort().values)
        return explained_of(either, image, explained.evidence, "AD", reference)

    rows = randomise(anew, network, METHODS["grad-eclip"], per_patch, inside, 0)
    assert [row.down_to for row in rows] == ["cross-attention", "projection", "block 2", "block 1", "patch embedding"]
    assert all(names < more for names, more in itertools.pairwise(changed)), "each step keeps what was drawn before it"
    heads = [
        "cross_attention.",
        "mm_vision_proj.",
        "vision_encoder.blocks.1.",
        "vision_encoder.blocks.0.",
        "vision_encoder.patch_embedding.",
    ]
    for place, names in enumerate(changed):
        assert all(name.startswith(tuple(heads[: place + 1])) for name in names)
        assert any(name.startswith(heads[place]) for name in names)
    assert rows[-1].agreement < 0.5 and all(np.isfinite(row.agreement) for row in rows)
    after = state_of(network)
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    again = randomise(anew, network, METHODS["grad-eclip"], per_patch, inside, 0)
    assert again == rows != randomise(anew, network, METHODS["grad-eclip"], per_patch, inside, 1)


@pytest.mark.parametrize("step", [0, 3])
def test_weights_are_put_back_after_an_exception_too(explained, step):
    network, before, calls = explained.network, state_of(explained.network), []

    def fail(_):
        calls.append(1)
        if len(calls) > step:
            raise KeyboardInterrupt
        return Relevance(CONFIG.token_grid, torch.zeros(CONFIG.token_grid))

    with pytest.raises(KeyboardInterrupt):
        randomise(lambda: explained, network, fail, some_map(0), INSIDE, 0)
    after = state_of(network)
    assert len(calls) == step + 1 and all(torch.equal(after[name], weight) for name, weight in before.items())


def test_a_map_that_looks_at_the_scan_alone_survives_other_weights(explained, image):
    """What the check is for: edges of the image, dressed up as an explanation."""
    bright = torch.nn.functional.avg_pool3d(image, 8)[0, 0]
    inside = np.flatnonzero(explained.brain_patches().numpy())
    rows = randomise(
        lambda: explained,
        explained.network,
        lambda _: Relevance(CONFIG.token_grid, bright),
        bright.double().numpy(),
        inside,
        0,
    )
    assert [row.agreement for row in rows] == pytest.approx([1.0] * 5)
