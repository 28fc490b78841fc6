"""Grad-ECLIP in 3D, for each head of the pass that made the decision and by every road from the patches to the score.

Grad-ECLIP (Zhao et al., ICML 2024, arXiv:2502.18816) weighs each patch's value by the gradient of the score and by a
loosened attention. With cross-attention there are two roads from the patches to the score, and the maps of both are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from adclip.explanation.explained import Explained
from adclip.explanation.relevance import FLAT, Relevance
from adclip.model.attention import AttentionRecord, SelfAttention
from adclip.model.network import CrossAttention, Network
from adclip.prediction.scoring import Records

FLAT_COSINES = 1e-6  # spread of cosines that float32 rounding alone can make


def grad_eclip(explained: Explained) -> Relevance:
    """Explain by Grad-ECLIP, head by head.

    For head h and query row q the relevance of patch i is sum_h lambda_i^h (w^h . v_i^h), with w^h the gradient at the head's output and
    lambda the min-max scaled cosine of query and key over the patches. A sum over N patches, as the closer look makes, is attention with
    equal weights 1 / N over values N times as large; loosened, the weights are 1.
    """
    vision, report, bare = AttentionRecord(), AttentionRecord(), AttentionRecord()
    network = explained.network
    with torch.enable_grad():
        tokens = network.patches_to_tokens(explained.patches, explained.shares, vision)
        number = explained.number(tokens, Records(vision, report, bare))
        roads = [("vision", vision)]
        # candidates with a report and bare ones ask the patches apart; without a report they are the same
        roads += [("cross_attention", record) for record in (report, bare) if record.output is not None]
        outputs = [record.output for _, record in roads if record.output is not None]
        sums = [vision.summed] if vision.summed is not None else []
        # a road that the number gives no weight has no gradient at all
        gradients = torch.autograd.grad(number.sum(), outputs + sums, allow_unused=True, materialize_grads=True)
    maps: dict[str, Tensor] = {}
    by_voxel, is_flat = None, True
    for (name, record), gradient in zip(roads, gradients[: len(outputs)], strict=True):
        if name == "vision":
            first, rows = network.vision_encoder.first_patch, [1 if explained.of_score else 0]
        else:
            first, rows = (
                1,
                list(range(len(explained.predictor.labels))),
            )  # keys are CLS, patches; one query a candidate
        relevance, spread = _of_attention(record, gradient, first, rows)
        maps[name] = maps[name] + relevance if name in maps else relevance
        is_flat = is_flat and spread < FLAT_COSINES
    weight = {name: float(values.abs().sum()) for name, values in maps.items()}
    by_patch = torch.stack(list(maps.values())).sum(0).reshape(explained.grid)
    if vision.summed_parts is not None:
        close_up = network.vision_encoder.patch_embedding.close_up
        assert close_up is not None
        with torch.no_grad():
            probabilities = close_up.tell_apart(explained.image)
            worth = len(vision.summed_parts[0]) * close_up.worth_of_sides(gradients[-1][0].float())
            by_voxel = close_up.to_voxels(probabilities * worth[:, :, None, None, None])
        weight["closer_look"] = float(by_voxel.abs().sum())
        is_flat = is_flat and weight["closer_look"] <= FLAT
    whole = sum(weight.values())
    shares = {name: value / whole if whole > FLAT else 0.0 for name, value in weight.items()}
    return Relevance(explained.grid, by_patch, by_voxel, shares, is_flat)


def grad_eclip_single_head(explained: Explained) -> Relevance:
    """Explain by Grad-ECLIP as it was published: the last attention computed anew with ONE head as wide as all.

    It explains another model than the one that decided, and is here for comparison alone.
    """
    with _one_head(explained.network):
        return grad_eclip(explained)


@contextmanager
def _one_head(network: Network) -> Iterator[None]:
    changed: list[SelfAttention | CrossAttention] = [network.vision_encoder.attentions[-1]]
    if network.cross_attention is not None:
        changed.append(network.cross_attention)
    heads = [item.heads for item in changed]
    try:
        for item in changed:
            item.heads = 1
        yield
    finally:
        for item, count in zip(changed, heads, strict=True):
            item.heads = count


def _of_attention(record: AttentionRecord, gradient: Tensor, first: int, rows: Sequence[int]) -> tuple[Tensor, float]:
    """Return the signed relevance (patches,) of one attention, summed over heads and query rows; and the spread of the cosines."""
    assert record.query is not None and record.key is not None and record.value is not None
    query = record.query[0][:, list(rows)].float()  # (heads, Q, e)
    key, value = record.key[0][:, first:].float(), record.value[0][:, first:].float()  # (heads, P, e)
    cosine = torch.einsum(
        "hqe,hpe->hqp", torch.nn.functional.normalize(query, dim=-1), torch.nn.functional.normalize(key, dim=-1)
    )
    low, high = cosine.amin(-1, keepdim=True), cosine.amax(-1, keepdim=True)
    spread = high - low
    loosened = torch.where(spread > FLAT_COSINES, (cosine - low) / spread.clamp(min=FLAT), torch.zeros_like(cosine))
    pull = torch.einsum("hqe,hpe->hqp", gradient[0][:, list(rows)].float(), value)
    return (loosened * pull).sum(dim=(0, 1)).detach(), float(spread.detach().max())
