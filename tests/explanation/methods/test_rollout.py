"""Attention rollout: equal to following each token by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from explaining import explained_of, weigh_by
from tiny import CONFIG, PROMPTS

from adclip.explanation.methods import rollout
from adclip.explanation.methods.rollout import attention_rollout
from adclip.model.calibration import Road

FRONT = 2 + PROMPTS.visual_prompts  # CLS, MMSE, prompts


def attention_of(query: torch.Tensor, key: torch.Tensor, heads: int) -> np.ndarray:
    """Softmax with loops over heads and queries, averaged over heads: (Q, N)."""
    width = query.shape[1] // heads
    total = np.zeros((len(query), len(key)))
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for row in range(len(query)):
            scores = np.array([float(query[row, part].double() @ one.double()) for one in key[:, part]]) / np.sqrt(
                width
            )
            weights = np.exp(scores - scores.max())
            total[row] += weights / weights.sum() / heads
    return total


def flow_by_hand(predictor, image: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
    """Follow what each token is made of, block by block; and the final tokens."""
    tower = predictor.reader.network.vision_encoder
    patches, _ = tower.embed(image)
    tokens = torch.cat([tower.cls_token[0], tower.mmse_token[0], tower.prompts[0], patches[0]])
    made_of = np.eye(len(tokens))
    for index, block in enumerate(tower.blocks):
        if 0 < index < len(tower.prompts):
            tokens = torch.cat([tokens[:2], tower.prompts[index], tokens[FRONT:]])
            made_of[2:FRONT] = 0  # new tokens, of no patch
        query, key, _ = block.attn.qkv(block.norm1(tokens)).chunk(3, dim=-1)
        attention = attention_of(query, key, CONFIG.heads)
        np.testing.assert_allclose(attention.sum(1), 1, atol=1e-6)
        made_of = 0.5 * made_of + 0.5 * attention @ made_of
        tokens = block(tokens[None])[0]
    return made_of, tower.norm(tokens)


@torch.no_grad()
def asked_by_hand(predictor, evidence, tokens: torch.Tensor) -> list[np.ndarray]:
    """How much attention candidates pay to each patch, with a report and bare."""
    network, reader = predictor.reader.network, predictor.reader
    cross, states = network.cross_attention, network.mm_vision_proj(torch.cat([tokens[:1], tokens[FRONT:]]))
    (wq, wk, _), (bq, bk, _) = cross.in_proj_weight.chunk(3), cross.in_proj_bias.chunk(3)
    found = []
    for texts in (reader.reports([evidence.completed]), reader.bare()):
        attention = attention_of(texts.cls[0] @ wq.T + bq, states @ wk.T + bk, cross.heads)
        found.append(attention.mean(0)[1:])
    return found


@pytest.mark.parametrize("kind", ["AD", "mmse", "text"])
@torch.no_grad()
def test_the_map_equals_following_each_token(predictor, image, evidence, kind):
    made_of, tokens = flow_by_hand(predictor, image)
    wanted = made_of[1 if kind == "mmse" else 0, FRONT:]
    wanted = wanted / wanted.sum()
    if kind == "AD":
        asked = np.mean(asked_by_hand(predictor, evidence, tokens), axis=0) @ made_of[FRONT:, FRONT:]
        wanted = (wanted + asked / asked.sum()) / 2
    found = attention_rollout(explained_of(predictor, image, evidence, kind))
    np.testing.assert_allclose(found.by_patch.numpy().reshape(-1), wanted, rtol=1e-3, atol=1e-6)
    assert float(found.by_patch.sum()) == pytest.approx(1, abs=1e-5) and float(found.by_patch.min()) >= 0
    assert dict(found.roads) == ({"vision": 0.5, "cross_attention": 0.5} if kind == "AD" else {"vision": 1.0})


def test_attention_of_each_token_adds_up_to_one(predictor, image, evidence):
    tower = predictor.reader.network.vision_encoder
    with torch.no_grad():
        found = rollout._mean_attention(tower.attentions[0], torch.randn(1, 9, CONFIG.width))
    torch.testing.assert_close(found.sum(1), torch.ones(9))
    assert found.min() > 0


def test_what_flowed_into_a_prompt_that_is_replaced_ends_there(predictor, image, evidence):
    """With prompts that are never replaced, the read-out is made of more of the patches."""
    explained = explained_of(predictor, image, evidence, "mmse")
    deep = attention_rollout(explained).by_patch
    tower = predictor.reader.network.vision_encoder
    tower.prompts = torch.nn.Parameter(tower.prompts[:1].detach())  # of the first layer alone
    shallow = attention_rollout(explained_of(predictor, image, evidence, "mmse")).by_patch
    assert float((deep - shallow).abs().max()) > 1e-5


def test_it_hangs_on_no_class_and_on_no_weight_of_a_source(predictor, image, evidence):
    maps = [
        attention_rollout(explained_of(predictor, image, evidence, kind)).by_patch for kind in ("AD", "CN", "AD-CN")
    ]
    weigh_by(predictor, Road(metadata=1.0, both=0.0))
    maps.append(attention_rollout(explained_of(predictor, image, evidence, "AD")).by_patch)
    assert all(torch.equal(maps[0], one) for one in maps)


def test_no_hook_is_left_in_the_network(predictor, image, evidence, monkeypatch):
    explained = explained_of(predictor, image, evidence, "AD")
    attentions = predictor.reader.network.vision_encoder.attentions
    attention_rollout(explained)
    assert not any(attention._forward_hooks for attention in attentions)
    monkeypatch.setattr(rollout, "_mean_attention", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        attention_rollout(explained)
    assert not any(attention._forward_hooks for attention in attentions)
