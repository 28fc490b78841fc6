"""The original architecture of M3D-CLIP, written plainly from its description: slow, small, and shared with nobody.

Functions of a state dict with the original names; no module of adclip, transformers or MONAI is used.
"""

from __future__ import annotations

import torch
from torch import Tensor

State = dict[str, Tensor]


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


def linear(x: Tensor, state: State, name: str) -> Tensor:
    y = x @ state[f"{name}.weight"].T
    bias = state.get(f"{name}.bias")
    return y if bias is None else y + bias


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """One head after the other; `mask` (B, N) is True where one may look."""
    width = q.shape[-1] // heads
    results = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / width**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], float("-inf"))
        results.append(scores.softmax(-1) @ v[..., part])
    return torch.cat(results, -1)


def patches_of(images: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """Cut (B, 1, D, H, W) patch by patch; token index (iD * H' + iH) * W' + iW, each flattened in the order d, h, w."""
    pd, ph, pw = patch
    _, _, depth, height, width = images.shape
    cubes = []
    for i in range(depth // pd):
        for j in range(height // ph):
            for k in range(width // pw):
                cube = images[:, 0, i * pd : (i + 1) * pd, j * ph : (j + 1) * ph, k * pw : (k + 1) * pw]
                cubes.append(cube.flatten(1))
    return torch.stack(cubes, 1)


def vision_tokens(state: State, images: Tensor, patch: tuple[int, int, int], heads: int) -> Tensor:
    """Final tokens (B, 1 + patches, width): CLS first, which has no position."""
    own = {name.removeprefix("vision_encoder."): value for name, value in state.items()}
    x = linear(patches_of(images, patch), own, "patch_embedding.patch_embeddings.1")
    x = x + own["patch_embedding.position_embeddings"]
    x = torch.cat([own["cls_token"].expand(len(images), -1, -1), x], 1)
    depth = 1 + max(int(name.split(".")[1]) for name in own if name.startswith("blocks."))
    for number in range(depth):
        block = f"blocks.{number}."
        normed = layer_norm(x, own[block + "norm1.weight"], own[block + "norm1.bias"], 1e-5)
        q, k, v = linear(normed, own, block + "attn.qkv").chunk(3, -1)
        x = x + linear(attend(q, k, v, heads), own, block + "attn.out_proj")
        normed = layer_norm(x, own[block + "norm2.weight"], own[block + "norm2.bias"], 1e-5)
        x = x + linear(gelu(linear(normed, own, block + "mlp.linear1")), own, block + "mlp.linear2")
    return layer_norm(x, own["norm.weight"], own["norm.bias"], 1e-5)


def text_states(state: State, ids: Tensor, mask: Tensor, heads: int) -> Tensor:
    """BERT's last hidden state (T, L, width); post-norm blocks, positions 0, 1, 2, ..., one segment."""
    own = {name.removeprefix("language_encoder."): value for name, value in state.items()}
    x = own["embeddings.word_embeddings.weight"][ids]
    x = x + own["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = x + own["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(x, own["embeddings.LayerNorm.weight"], own["embeddings.LayerNorm.bias"], 1e-12)
    depth = 1 + max(int(name.split(".")[2]) for name in own if name.startswith("encoder.layer."))
    for number in range(depth):
        layer = f"encoder.layer.{number}."
        q, k, v = (linear(x, own, f"{layer}attention.self.{part}") for part in ("query", "key", "value"))
        mixed = linear(attend(q, k, v, heads, mask), own, layer + "attention.output.dense")
        norm = layer + "attention.output.LayerNorm."
        x = layer_norm(x + mixed, own[norm + "weight"], own[norm + "bias"], 1e-12)
        hidden = gelu(linear(x, own, layer + "intermediate.dense"))
        norm = layer + "output.LayerNorm."
        x = x + linear(hidden, own, layer + "output.dense")
        x = layer_norm(x, own[norm + "weight"], own[norm + "bias"], 1e-12)
    return x


def embed(tokens: Tensor, state: State, projection: str) -> Tensor:
    """Project all tokens, scale each to length 1, take the first."""
    projected = linear(tokens, state, projection)
    return (projected / projected.norm(dim=-1, keepdim=True))[:, 0]
