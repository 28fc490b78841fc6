"""Attention of the image tower, with the inner tensors within reach of whoever explains an answer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as functional
from einops import rearrange
from torch import Tensor, nn

from adclip.model.prompts import new_tokens

SCORES_AT_ONCE = 1 << 20  # 2 MB of bfloat16: measured best among 0.5 to 50 MB


@dataclass
class AttentionRecord:
    """What one attention computed, kept for explaining.

    Parameters
    ----------
    query, key, value : Tensor (B, heads, N, head width)
        Keys and values may have another N than the queries.
    output : Tensor (B, heads, N, head width)
        Before the output projection; carries a gradient.
    summed, summed_parts : Tensor (B, width), (B, patches, width)
        What read-out tokens got beside the attention, with a gradient, and each patch's part in it; None without a closer look.
    """

    query: Tensor | None = None
    key: Tensor | None = None
    value: Tensor | None = None
    output: Tensor | None = None
    summed: Tensor | None = None
    summed_parts: Tensor | None = None

    def keep(self, query: Tensor, key: Tensor, value: Tensor, output: Tensor) -> None:
        """Store the tensors and make `output` ready for a gradient, also when nothing before it has one."""
        if not output.requires_grad:
            output.requires_grad_()
        self.query, self.key, self.value, self.output = query, key, value, output


class LowRank(nn.Module):
    """A learned update of a frozen linear layer, of low rank; adds nothing until it is trained (LoRA).

    Hu et al. 2021, arXiv:2106.09685; its scale alpha / rank is 1 here.
    """

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.lora_down = new_tokens(rank, inputs)
        self.lora_up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, inputs) to (B, N, outputs), in the type of the tokens."""
        down, up = self.lora_down.to(tokens.dtype), self.lora_up.to(tokens.dtype)
        return functional.linear(functional.linear(tokens, down), up)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one bias-free qkv projection, split as (3, heads, head width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width)
        self.qkv_update: LowRank | None = None
        self.out_update: LowRank | None = None

    def add_low_rank(self, rank: int) -> None:
        """Let both projections learn an update."""
        width = self.out_proj.out_features
        self.qkv_update, self.out_update = LowRank(width, 3 * width, rank), LowRank(width, width, rank)

    def forward(self, tokens: Tensor, record: AttentionRecord | None = None, rows: int | None = None) -> Tensor:
        """Map (B, N, width) to the same shape, or to (B, rows, width) for the first `rows` queries alone."""
        if rows is None or self.qkv_update is not None:
            mixed = self.qkv(tokens)
            if self.qkv_update is not None:
                mixed = mixed + self.qkv_update(tokens)
            query, key, value = rearrange(mixed, "b n (three h e) -> three b h n e", three=3, h=self.heads)
            query = query[:, :, :rows]
        else:
            width = tokens.shape[-1]
            weights = self.qkv.weight
            first = functional.linear(tokens[:, :rows], weights[:width])
            key_value = functional.linear(tokens, weights[width:])
            query = rearrange(first, "b n (h e) -> b h n e", h=self.heads)
            key, value = rearrange(key_value, "b n (two h e) -> two b h n e", two=2, h=self.heads)
        # the same road for predicting and explaining, which asks for a gradient at `output` alone
        if query.dtype == torch.bfloat16 and query.device.type == "cpu" and not query.requires_grad:
            output = attend_in_pieces(query, key, value)
        else:
            output = functional.scaled_dot_product_attention(query, key, value)
        if record is not None:
            record.keep(query, key, value, output)
        together = rearrange(output, "b h n e -> b n (h e)")
        projected: Tensor = self.out_proj(together)
        return projected if self.out_update is None else projected + self.out_update(together)


def attend_in_pieces(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend (B, heads, N, e) in bfloat16 on a CPU, a few queries of one head at a time.

    PyTorch's fused kernel gains nothing from bfloat16 there. Plain products do, as long as the scores of a piece stay in
    the core's cache: 51 against 85 ms for 2,049 tokens and 12 heads of 64 on two cores, and no more memory.
    """
    output = torch.empty_like(query)
    query = query * query.shape[-1] ** -0.5
    keys = key.transpose(-1, -2).contiguous()
    value = value.contiguous()
    rows = max(SCORES_AT_ONCE // key.shape[2], 1)
    for place in product(range(query.shape[0]), range(query.shape[1])):
        for start in range(0, query.shape[2], rows):
            weights = torch.softmax(query[place][start : start + rows] @ keys[place], dim=-1)
            output[place][start : start + rows] = weights @ value[place]
    return output
