"""Grad-ECLIP: equal to the formula written with loops, for each head and by every road; with one head only where that is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from explaining import PHRASE, WEIGHED, explained_of, weigh_by
from tiny import CONFIG

from adclip.explanation.attribution import attribute
from adclip.explanation.explained import Explained
from adclip.explanation.methods.grad_eclip import grad_eclip, grad_eclip_single_head
from adclip.explanation.target import class_target
from adclip.model.attention import AttentionRecord
from adclip.model.calibration import Road
from adclip.prediction.scoring import Records


@torch.no_grad()
def plain_relevance(record, gradient, first, rows):
    """Grad-ECLIP with loops: heads, then query rows, then patches."""
    heads, tokens = record.key.shape[1:3]
    total = np.zeros(tokens - first)
    for head in range(heads):
        for row in rows:
            query = record.query[0, head, row].double()
            cosines = [float(functional.cosine_similarity(query, record.key[0, head, i].double(), 0))
                       for i in range(first, tokens)]  # fmt: skip
            low, high = min(cosines), max(cosines)
            for place, cosine in enumerate(cosines):
                pull = gradient[0, head, row].double() @ record.value[0, head, first + place].double()
                total[place] += (cosine - low) / (high - low) * float(pull)
    return total


def by_hand(predictor, image, evidence, number_of: Callable, row: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sum the loops over every road: the tower, the cross-attention of either kind of candidates; and the closer look apart."""
    vision, report, bare = AttentionRecord(), AttentionRecord(), AttentionRecord()
    scores = predictor.score(image, evidence, Records(vision, report, bare))
    roads = [
        (vision, predictor.reader.network.vision_encoder.first_patch, [row]),
        (report, 1, [0, 1, 2]),
        (bare, 1, [0, 1, 2]),
    ]
    roads = [road for road in roads if road[0].output is not None]
    sums = [vision.summed] if vision.summed is not None else []
    gradients = torch.autograd.grad(
        number_of(scores), [road[0].output for road in roads] + sums, allow_unused=True, materialize_grads=True
    )
    total = sum(
        plain_relevance(record, gradient, first, rows)
        for (record, first, rows), gradient in zip(roads, gradients, strict=False)
    )
    looked = np.zeros(CONFIG.patches)
    if sums:
        close_up = predictor.reader.network.vision_encoder.patch_embedding.close_up
        right, left = 10 * close_up(image)[0].double()
        for place in range(CONFIG.patches):
            features = torch.cat([right[place] + left[place], right[place] - left[place]])
            worth = close_up.gather.weight.double() @ features @ gradients[-1][0].double()
            looked[place] = CONFIG.patches * float(worth.detach())
    return total, looked


def number_of(road: Road = WEIGHED, against: int | None = None) -> Callable:
    """What explains AD, by hand: the row moves it, but no patch does so by the row."""

    def number(scores):
        def own(table):
            return table[0, 2] - (table[0, :2].mean() if against is None else table[0, against])

        return road.scan * own(scores.bare) + road.both * own(scores.report)

    return number


def close(found: torch.Tensor, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found.double().numpy().reshape(-1), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_the_map_equals_the_formula(predictor, image, evidence):
    wanted, _ = by_hand(predictor, image, evidence, number_of())
    close(grad_eclip(explained_of(predictor, image, evidence, "AD")).per_patch(), wanted)
    wanted, _ = by_hand(predictor, image, evidence, number_of(against=0))
    close(grad_eclip(explained_of(predictor, image, evidence, "AD-CN")).per_patch(), wanted)


@pytest.mark.parametrize(
    "road", [Road(scan=0.7, both=0.0), Road(both=1.3), Road(0.4, 2.0, 0.6)], ids=["scan", "both", "all"]
)
def test_what_is_explained_is_the_weighed_score(predictor, image, evidence, road):
    """A source that the answer does not weigh explains nothing of it, and the row has no patches."""
    weigh_by(predictor, road)
    explained = explained_of(predictor, image, evidence, "AD")
    wanted, _ = by_hand(predictor, image, evidence, number_of(road))
    close(grad_eclip(explained).per_patch(), wanted)
    assert not attribute(explained, "grad-eclip").flags


def test_the_score_is_asked_for_by_its_own_row(predictor, image, evidence):
    """The read-out of the MMSE is the second token, and no text takes part in it."""
    wanted, _ = by_hand(predictor, image, evidence, lambda scores: scores.mmse[0], row=1)
    close(grad_eclip(explained_of(predictor, image, evidence, "mmse")).per_patch(), wanted)
    by_cls, _ = by_hand(predictor, image, evidence, lambda scores: scores.mmse[0], row=0)
    assert np.abs(by_cls - wanted).max() > 0.01 * np.abs(wanted).max()


def test_a_phrase_is_asked_for_before_the_cross_attention(predictor, image, evidence):
    phrase = predictor.reader.encode([PHRASE], 1).cls[0, 0]
    wanted, _ = by_hand(
        predictor, image, evidence, lambda scores: functional.cosine_similarity(scores.image.cls[0], phrase, 0)
    )
    found = grad_eclip(explained_of(predictor, image, evidence, "text"))
    close(found.per_patch(), wanted)
    assert dict(found.roads) == {"vision": pytest.approx(1)}


@pytest.mark.parametrize("kind", ["AD", "mmse"])
def test_the_sums_of_the_closer_look_are_a_road_too(closer_predictor, image, evidence, kind):
    number, row = (number_of(), 0) if kind == "AD" else (lambda scores: scores.mmse[0], 1)
    wanted, looked = by_hand(closer_predictor, image, evidence, number, row)
    found = grad_eclip(explained_of(closer_predictor, image, evidence, kind))
    close(found.per_patch(), wanted + looked)
    close(found.by_patch, wanted)
    assert found.by_voxel is not None and float(found.by_voxel.sum()) == pytest.approx(looked.sum(), rel=1e-3, abs=1e-4)
    assert set(found.roads) == {"vision", "closer_look"} | ({"cross_attention"} if kind == "AD" else set())
    assert found.roads["closer_look"] > 0.01 and sum(found.roads.values()) == pytest.approx(1)


@pytest.mark.parametrize("constant", ["zero", "equal"])
def test_equal_cosines_give_a_flat_map_and_say_so(predictor, image, evidence, constant):
    network = predictor.reader.network
    with torch.no_grad():
        width = CONFIG.width
        network.cross_attention.in_proj_weight[width : 2 * width] = 0
        network.cross_attention.in_proj_bias[width : 2 * width] = 0.0 if constant == "zero" else torch.randn(width)
        block = network.vision_encoder.blocks[-1]
        if constant == "zero":
            block.attn.qkv.weight[width : 2 * width] = 0
        else:  # every token becomes the same before the last attention; its qkv has no bias
            block.norm1.weight.zero_()
            block.norm1.bias.copy_(torch.randn(width))
    found = attribute(explained_of(predictor, image, evidence, "AD"), "grad-eclip")
    assert found.flags == ("flat_map",)
    assert not found.signed.any() and set(found.roads.values()) == {0.0}


def heads_of(predictor) -> list[int]:
    network = predictor.reader.network
    return [*(attention.heads for attention in network.vision_encoder.attentions), network.cross_attention.heads]


def test_with_one_head_another_model_is_explained_and_the_network_is_left_as_it_was(predictor, image, evidence):
    before, scores = heads_of(predictor), explained_of(predictor, image, evidence, "AD").answer.scores
    explained = explained_of(predictor, image, evidence, "AD")
    found = grad_eclip_single_head(explained)
    assert heads_of(predictor) == before == [CONFIG.heads, CONFIG.heads, CONFIG.fusion_heads]
    assert explained_of(predictor, image, evidence, "AD").answer.scores == scores == explained.answer.scores
    of_all = grad_eclip(explained)
    assert float((found.per_patch() - of_all.per_patch()).abs().max()) > 0.05 * float(of_all.per_patch().abs().max())
    network = predictor.reader.network
    network.vision_encoder.attentions[-1].heads = network.cross_attention.heads = 1
    wanted, _ = by_hand(predictor, image, evidence, number_of())
    close(found.per_patch(), wanted)


def test_after_an_exception_the_heads_are_as_they_were_too(predictor, image, evidence, monkeypatch):
    explained, before = explained_of(predictor, image, evidence, "AD"), heads_of(predictor)
    seen = []

    def fail(*_):
        seen.append(heads_of(predictor))
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Explained, "number", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        grad_eclip_single_head(explained)
    assert seen == [[CONFIG.heads, 1, 1]] and heads_of(predictor) == before


def test_the_map_is_the_same_for_a_target_that_is_named_and_one_that_is_predicted(predictor, image, evidence):
    predicted = explained_of(predictor, image, evidence)
    named = Explained(predictor, image, evidence, class_target(predicted.target.name))
    torch.testing.assert_close(grad_eclip(predicted).per_patch(), grad_eclip(named).per_patch(), rtol=0, atol=0)
