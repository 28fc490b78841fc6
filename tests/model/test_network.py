"""The network against what it says it is: sizes, plain references, and the rules for prompts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as functional
from tiny import CONFIG, CONTRACT, PROMPTS, fresh_network, make_reader
from torch import Tensor, nn

from adclip.config import M3D_CLIP, PromptConfig
from adclip.errors import InputError
from adclip.model.attention import AttentionRecord, SelfAttention, attend_in_pieces
from adclip.model.network import LARGEST_SCALE, CrossAttention, Network
from adclip.model.patches import PatchEmbedding
from adclip.model.prompts import count_trainable, is_adapter
from adclip.model.text import TokenBatch, encode_words, tokenize
from adclip.model.vision import VisionTower

TEXTS = ["A photo of NC", "A photo of AD: Hippocampal Vol: 5210.00, Ventricular size: 61230.00"]


def make_images(count: int = 2) -> Tensor:
    return torch.rand((count, 1, *CONTRACT.shape), generator=torch.Generator().manual_seed(1))


def make_batch() -> TokenBatch:
    return tokenize(TEXTS, make_reader().tokenizer)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ size


def test_the_base_has_the_parameters_of_m3d_clip():
    with torch.device("meta"):
        network = Network(M3D_CLIP, None)
    assert sum(parameter.numel() for parameter in network.parameters()) == 198_052_609
    assert len(network.vision_encoder.blocks) == 12
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
    assert shapes["vision_encoder.patch_embedding.position_embeddings"] == (1, 2048, 768)
    assert shapes["vision_encoder.patch_embedding.patch_embeddings.1.weight"] == (768, 1024)
    assert shapes["vision_encoder.blocks.11.attn.qkv.weight"] == (2304, 768)
    assert "vision_encoder.blocks.0.attn.qkv.bias" not in shapes
    assert shapes["language_encoder.pooler.dense.weight"] == (768, 768)
    assert shapes["logit_scale"] == ()


def test_the_adapter_of_the_paper_has_4_048_130_parameters():
    with torch.device("meta"):
        network = Network(M3D_CLIP, PromptConfig())
    assert count_trainable(network)[0] == 4_048_130
    tokens = [p.numel() for n, p in network.named_parameters() if is_adapter(n) and ("token" in n or "prompts" in n)]
    assert sum(tokens) == 208_896


@pytest.mark.parametrize(
    ("changed", "gone"),
    [
        ({"visual_prompts": 0}, "vision_encoder.prompts"),
        ({"text_prompts": 0}, "text_prompts"),
        ({"mmse_token": False}, "mmse"),
        ({"cross_attention": False}, "cross_attention"),
    ],
)
def test_every_part_can_be_left_out(changed, gone):
    network = fresh_network(replace(PROMPTS, **changed))
    assert not [name for name, _ in network.named_parameters() if gone in name]
    image = network.image_tokens(make_images())
    assert network.score(image, network.text_tokens(make_batch(), 2)).shape == (2, 2)
    assert (image.mmse is None) == ("mmse_token" in changed)


def test_prompt_depth_counts_leading_blocks():
    assert fresh_network(replace(PROMPTS, prompt_depth=1)).vision_encoder.prompts.shape == (1, 3, 32)
    assert fresh_network(replace(PROMPTS, prompt_depth=9)).vision_encoder.prompts.shape == (2, 3, 32)


# ------------------------------------------------------------------------------------------------ the image tower


def plain_tower(tower: VisionTower, images: Tensor) -> Tensor:
    """The tower of method.md, head by head and with loops; returns (B, 1 + 1 + patches, width)."""
    weights = dict(tower.named_parameters())
    _, h, w = CONFIG.token_grid
    pd, ph, pw = CONFIG.patch
    embedded = []
    for place in range(CONFIG.patches):
        i, j, k = place // (h * w), place // w % h, place % w
        cube = images[:, 0, i * pd : (i + 1) * pd, j * ph : (j + 1) * ph, k * pw : (k + 1) * pw].flatten(1)
        linear = tower.patch_embedding.patch_embeddings[1]
        embedded.append(cube @ linear.weight.T + linear.bias + tower.patch_embedding.position_embeddings[0, place])
    patches = torch.stack(embedded, 1)
    batch = len(images)
    cls, mmse = (weights[name].expand(batch, -1, -1) for name in ("cls_token", "mmse_token"))
    tokens = torch.cat([cls, mmse, weights["prompts"][0].expand(batch, -1, -1), patches], 1)
    count, width = weights["prompts"].shape[1], CONFIG.width // CONFIG.heads
    for number, block in enumerate(tower.blocks):
        if number:
            tokens = torch.cat(
                [tokens[:, :2], weights["prompts"][number].expand(batch, -1, -1), tokens[:, 2 + count :]], 1
            )
        normed = functional.layer_norm(tokens, (CONFIG.width,), block.norm1.weight, block.norm1.bias, 1e-5)
        mixed = normed @ block.attn.qkv.weight.T
        heads = []
        for head in range(CONFIG.heads):
            q, k, v = (mixed[..., part * CONFIG.width + head * width :][..., :width] for part in range(3))
            heads.append((q @ k.transpose(1, 2) / width**0.5).softmax(-1) @ v)
        tokens = tokens + torch.cat(heads, -1) @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
        normed = functional.layer_norm(tokens, (CONFIG.width,), block.norm2.weight, block.norm2.bias, 1e-5)
        hidden = normed @ block.mlp.linear1.weight.T + block.mlp.linear1.bias
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        tokens = tokens + hidden @ block.mlp.linear2.weight.T + block.mlp.linear2.bias
    tokens = functional.layer_norm(tokens, (CONFIG.width,), tower.norm.weight, tower.norm.bias, 1e-5)
    return torch.cat([tokens[:, :2], tokens[:, 2 + count :]], 1)


@torch.no_grad()
def test_the_tower_equals_a_plain_one():
    tower = fresh_network().vision_encoder
    for parameter in tower.parameters():  # no norm or bias may hide at its neutral start
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    found = tower(make_images())
    together = torch.cat([found.cls[:, None], found.mmse[:, None], found.patches], 1)
    torch.testing.assert_close(together, plain_tower(tower, make_images()), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("prompts", [None, PROMPTS, replace(PROMPTS, mmse_token=False)])
def test_the_read_out_is_the_same_without_the_patches(prompts):
    tower = fresh_network(prompts).vision_encoder
    whole, alone = tower(make_images()), tower(make_images(), with_patches=False)
    assert alone.patches is None
    torch.testing.assert_close(alone.cls, whole.cls, rtol=1e-5, atol=1e-5)
    if whole.mmse is not None:
        torch.testing.assert_close(alone.mmse, whole.mmse, rtol=1e-5, atol=1e-5)


def test_the_first_patch_stands_where_it_says():
    for prompts in (None, PROMPTS, replace(PROMPTS, mmse_token=False), replace(PROMPTS, visual_prompts=0)):
        tower, record = fresh_network(prompts).vision_encoder, AttentionRecord()
        tower(make_images(1), record)
        assert record.key.shape[2] == tower.first_patch + CONFIG.patches


@torch.no_grad()
def test_token_order_is_depth_then_height_then_width():
    embedding = PatchEmbedding(CONFIG)
    nn.init.zeros_(embedding.position_embeddings)
    images = torch.zeros((2, 1, *CONTRACT.shape))
    images[1, 0, 17, 9, 25] = 1.0  # patch (2, 1, 3) of 4 x 5 x 4
    moved = (embedding(images)[1] != embedding(images)[0]).any(-1)
    assert moved.nonzero().flatten().tolist() == [(2 * 5 + 1) * 4 + 3]


@torch.no_grad()
@pytest.mark.parametrize("tokens", [(5, 5), (3, 1500), (1500, 1500)])
def test_attention_in_pieces_is_attention(tokens):
    """More keys than a piece has rows, so that several pieces and a short last one take part."""
    shapes = ((2, 3, tokens[0], 16), (2, 3, tokens[1], 16), (2, 3, tokens[1], 16))
    query, key, value = (
        torch.randn(shape, generator=torch.Generator().manual_seed(i)) for i, shape in enumerate(shapes)
    )
    wanted = functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(attend_in_pieces(query, key, value), wanted, rtol=1e-4, atol=1e-5)
    low = attend_in_pieces(query.bfloat16(), key.bfloat16(), value.bfloat16()).float()
    assert float((low - wanted).norm() / wanted.norm()) < 0.02


@torch.no_grad()
def test_self_attention_equals_torch():
    ours, theirs = SelfAttention(32, 4).eval(), nn.MultiheadAttention(32, 4, batch_first=True).eval()
    theirs.in_proj_weight.copy_(ours.qkv.weight)
    nn.init.zeros_(theirs.in_proj_bias)
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    tokens = torch.randn(2, 7, 32)
    torch.testing.assert_close(ours(tokens), theirs(tokens, tokens, tokens)[0], rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------------------ cross-attention


@torch.no_grad()
def test_cross_attention_equals_torch_with_its_own_weights():
    ours, theirs = CrossAttention(32, 4), nn.MultiheadAttention(32, 4, batch_first=True)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    ours.load_state_dict(theirs.state_dict())
    query, keys = torch.randn(2, 3, 32), torch.randn(2, 9, 32)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[0, 5:] = False
    wanted = theirs(query, keys, keys, key_padding_mask=~mask)[0]
    torch.testing.assert_close(ours(query, keys, mask), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours(query, keys), theirs(query, keys, keys)[0], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_fresh_cross_attention_adds_nothing():
    assert not CrossAttention(32, 4)(torch.randn(1, 2, 32), torch.randn(1, 5, 32)).any()


@torch.no_grad()
def test_the_score_is_a_cosine_of_one_pair_and_never_crosses_the_batch():
    network = fresh_network()
    image = network.image_tokens(make_images(2))
    text = network.text_tokens(make_batch(), 2)
    together = network.score(image, text)
    assert float(together.abs().max()) <= float(network.scale) + 1e-4
    for place in range(2):
        alone = network.score(network.image_tokens(make_images(2)[place : place + 1]), text)
        torch.testing.assert_close(alone[0], together[place], rtol=1e-4, atol=1e-4)
    one = network.text_tokens(tokenize(TEXTS[1:], make_reader().tokenizer), 1)
    torch.testing.assert_close(network.score(image, one)[:, 0], together[:, 1], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_score_equals_the_formula():
    network = fresh_network()
    theirs = nn.MultiheadAttention(32, 4, batch_first=True).eval()
    theirs.load_state_dict(network.cross_attention.state_dict())
    image = network.image_tokens(make_images(1))
    text = network.text_tokens(tokenize(TEXTS[:1], make_reader().tokenizer), 1)
    seen = torch.cat([image.cls[:, None], image.patches], 1)
    words = text.tokens[:, 0, :-1]  # all but [SEP]
    queries = image.cls[:, None], text.tokens[:, 0, :1]
    left = queries[0] + 0.01 * theirs(queries[0], words, words)[0]
    right = queries[1] + 1.0 * theirs(queries[1], seen, seen)[0]
    wanted = network.logit_scale.exp() * functional.cosine_similarity(left[0, 0], right[0, 0], dim=0)
    torch.testing.assert_close(network.score(image, text)[0, 0], wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_scale_stays_within_its_limits():
    network = fresh_network()
    for value, wanted in ((-3.0, 1.0), (9.0, LARGEST_SCALE), (2.0, 7.389056)):
        network.logit_scale.fill_(value)
        assert float(network.scale) == pytest.approx(wanted)


@torch.no_grad()
def test_the_mmse_never_sees_text():
    network, images = fresh_network(), make_images(1)
    before = network.image_tokens(images).mmse
    network.text_prompts.add_(1.0)
    network.mm_language_proj.weight.add_(1.0)
    assert torch.equal(network.image_tokens(images).mmse, before)


# ------------------------------------------------------------------------------------------------ the text tower


@torch.no_grad()
def test_masked_prompts_leave_the_text_as_it_was():
    with_prompts = fresh_network()
    plain = fresh_network(replace(PROMPTS, text_prompts=0))
    plain.language_encoder.load_state_dict(with_prompts.language_encoder.state_dict())
    plain.mm_language_proj.load_state_dict(with_prompts.mm_language_proj.state_dict())
    batch = make_batch()
    one, two = with_prompts.text_tokens(batch, 1, mask_prompts=True), plain.text_tokens(batch, 1)
    shown = two.word_mask[..., None]
    torch.testing.assert_close(one.tokens * shown, two.tokens * shown, rtol=0, atol=1e-6)
    seen = with_prompts.text_tokens(batch, 1)
    assert float((seen.cls - two.cls).abs().max()) > 1e-4


@torch.no_grad()
def test_prompts_stand_between_cls_and_words_and_words_keep_their_positions():
    network, batch = fresh_network(), make_batch()
    asked = {}

    def keep(_module, _args, kwargs):
        asked.update(kwargs)

    handle = network.language_encoder.register_forward_pre_hook(keep, with_kwargs=True)
    states = encode_words(network.language_encoder, batch, network.text_prompts)
    handle.remove()
    length = batch.ids.shape[1]
    assert asked["position_ids"][0].tolist() == [0, 0, 0, 0, 0, *range(1, length)]
    embedded = network.language_encoder.embeddings.word_embeddings(batch.ids)
    assert torch.equal(asked["inputs_embeds"][:, 0], embedded[:, 0])
    assert torch.equal(asked["inputs_embeds"][0, 1:5], network.text_prompts)
    assert torch.equal(asked["inputs_embeds"][:, 5:], embedded[:, 1:])
    assert asked["attention_mask"][0].tolist() == [1] * 5 + batch.mask[0, 1:].long().tolist()
    assert states.shape == (2, length, 32)


@torch.no_grad()
def test_padding_does_not_change_a_text():
    network, tokenizer = fresh_network(), make_reader().tokenizer
    alone = network.encode_text(tokenize(TEXTS[:1], tokenizer))
    torch.testing.assert_close(network.encode_text(make_batch())[:1], alone, rtol=0, atol=1e-5)


def test_words_are_all_but_padding_and_the_closing_token():
    batch = make_batch()
    assert batch.mask[0].sum() == batch.word_mask[0].sum() + 1
    assert batch.ids[0, 0] == 2 and batch.ids[0, batch.mask[0].sum() - 1] == 3  # [CLS] and [SEP] of vocab.txt
    assert not batch.ids[0][~batch.mask[0]].any()


def test_a_long_text_is_refused_rather_than_cut():
    with pytest.raises(InputError, match="tokens"):
        tokenize(["hippocampus " * 600], make_reader().tokenizer)


def test_no_number_of_a_report_is_unknown_to_the_vocabulary():
    unknown = make_reader().tokenizer.token_to_id("[UNK]")
    assert unknown not in make_batch().ids
