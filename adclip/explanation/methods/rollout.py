"""Attention rollout: where attention flows from, layer by layer, whatever is asked of it (Abnar and Zuidema 2020, arXiv:2005.00928)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adclip.explanation.explained import Explained
from adclip.explanation.relevance import FLAT, Relevance
from adclip.model.attention import AttentionRecord, SelfAttention
from adclip.prediction.scoring import Records

IDENTITY = 0.5  # share of a token that the residual connection carries on


def attention_rollout(explained: Explained) -> Relevance:
    """Explain by attention rollout.

    Every layer's attention is averaged over its heads, mixed with the identity for the residual connection, and multiplied up. What a deep
    prompt is replaced with comes from no patch, so what flowed into it ends there. With cross-attention the candidates' own attention to
    the patches is followed down the same layers, and both roads count alike. The closer look is no attention and stays unseen. Relevance is
    never below 0 and hangs on no class: what it marks is where the model looks, not what it makes of it.
    """
    network, tower = explained.network, explained.network.vision_encoder
    flow: Tensor | None = None
    prompts = slice(tower.first_patch - (tower.prompts.shape[1] if tower.prompts is not None else 0), tower.first_patch)
    layer = 0

    def follow(module: SelfAttention, inputs: tuple[Any, ...], _: Tensor) -> None:
        nonlocal flow, layer
        attention = IDENTITY * _mean_attention(module, inputs[0])
        attention.diagonal().add_(1 - IDENTITY)
        if flow is None:
            flow = attention
        else:
            if tower.prompts is not None and layer < tower.prompts.shape[0]:
                flow[prompts] = 0
            flow = attention @ flow
        layer += 1

    hooks = [attention.register_forward_hook(follow) for attention in tower.attentions]
    report, bare = AttentionRecord(), AttentionRecord()
    try:
        with torch.no_grad():
            explained.number(
                network.patches_to_tokens(explained.patches, explained.shares), Records(None, report, bare)
            )
    finally:
        for hook in hooks:
            hook.remove()
    assert flow is not None
    row = 1 if explained.of_score else 0
    maps = {"vision": flow[row, tower.first_patch :]}
    asked = [_asked_of_patches(record) for record in (report, bare) if record.output is not None]
    if asked:
        maps["cross_attention"] = torch.stack(asked).mean(0) @ flow[tower.first_patch :, tower.first_patch :]
    whole = {name: float(values.sum()) for name, values in maps.items()}
    total = torch.stack([values / max(whole[name], FLAT) for name, values in maps.items()]).mean(0)
    shares = {name: 1 / len(maps) for name in maps}
    return Relevance(explained.grid, total.reshape(explained.grid), None, shares, bool(total.max() <= FLAT))


def _mean_attention(module: SelfAttention, tokens: Tensor) -> Tensor:
    """Return the attention (N, N) of one scan's tokens, averaged over heads."""
    mixed = module.qkv(tokens)
    if module.qkv_update is not None:
        mixed = mixed + module.qkv_update(tokens)
    count, width = tokens.shape[1], tokens.shape[2]
    query, key, _ = mixed[0].float().reshape(count, 3, module.heads, width // module.heads).unbind(1)
    total = torch.zeros(count, count, device=tokens.device)
    for head in range(module.heads):
        total += torch.softmax(query[:, head] @ key[:, head].T * (width // module.heads) ** -0.5, dim=-1)
    return total / module.heads


def _asked_of_patches(record: AttentionRecord) -> Tensor:
    """Return how much attention candidates pay to each patch (patches,), averaged over heads and candidates."""
    assert record.query is not None and record.key is not None
    query, key = record.query[0].float(), record.key[0].float()
    weights = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)
    return weights.mean(dim=(0, 1))[1:]
