"""The 3D image tower: a pre-norm ViT with M3D-CLIP's parameter names, deep prompts and an MMSE token."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from adclip.model.attention import AttentionRecord, SelfAttention
from adclip.model.patches import PatchEmbedding
from adclip.model.prompts import new_tokens, unallocated
from adclip.model.published_input import as_published, published_grid
from adclip.model.settings import ModelConfig, PromptConfig

TOKENS_AT_ONCE = 512  # measured on two cores: 7 % faster in bfloat16 than all at once, and 0.09 GB less in float32


@dataclass(frozen=True)
class VisionStates:
    """Final states of the image tower.

    Parameters
    ----------
    cls : Tensor (B, width)
    mmse : Tensor (B, width) or None
        None when the tower has no MMSE token.
    patches : Tensor (B, patches, width) or None
        In token order (iD * H' + iH) * W' + iW; None when nobody asked for them.
    """

    cls: Tensor
    mmse: Tensor | None
    patches: Tensor | None


class FeedForward(nn.Module):
    """Two linear layers with the exact (erf) GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, width) to the same shape.

        Without gradients a CPU takes the tokens piece by piece: the hidden states of a piece fit its cache.
        """
        large = tokens.shape[1] > 2 * TOKENS_AT_ONCE
        if tokens.requires_grad or tokens.device.type != "cpu" or not large:
            return self._hidden_and_back(tokens)
        return torch.cat([self._hidden_and_back(piece) for piece in tokens.split(TOKENS_AT_ONCE, dim=1)], dim=1)

    def _hidden_and_back(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.linear2(functional.gelu(self.linear1(tokens)))
        return result


class TransformerBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attn = SelfAttention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = FeedForward(config.width, config.mlp_width)

    def forward(self, tokens: Tensor, record: AttentionRecord | None = None, rows: int | None = None) -> Tensor:
        """Map (B, N, width) to the same shape, or to (B, rows, width): the first `rows` tokens alone."""
        tokens = tokens[:, :rows] + self.attn(self.norm1(tokens), record, rows)
        result: Tensor = tokens + self.mlp(self.norm2(tokens))
        return result


class VisionTower(nn.Module):
    """3D ViT whose token order is CLS, MMSE, prompts, patches.

    Only CLS and patches have a meaning in the base; the positions belong to the patches alone. The blocks compute in the
    type of their weights, bfloat16 say; tokens of ours stay in float32 and are converted on their way in, so that their
    gradients are summed over a batch in float32.

    Attributes
    ----------
    checkpointing : bool
        Whether a block's activations are computed again during backward instead of kept: about a tenth of the memory for
        a third more time.
    published : bool
        Whether scans are changed as arXiv:2509.07613 has them, see `adclip.model.published_input`.
    token_grid : tuple of int
        Patches along D, H, W.
    """

    def __init__(self, config: ModelConfig, prompts: PromptConfig | None, *, empty: bool = False) -> None:
        super().__init__()
        self.checkpointing, self.patch = False, config.patch
        with unallocated(empty):
            self.patch_embedding = PatchEmbedding(config)
            self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.depth))
            self.norm = nn.LayerNorm(config.width)
        if prompts and prompts.lora_rank:
            for attention in (module for module in self.modules() if isinstance(module, SelfAttention)):
                attention.add_low_rank(prompts.lora_rank)
        self.cls_token = new_tokens(1, 1, config.width)
        self.mmse_token = new_tokens(1, 1, config.width) if prompts and prompts.mmse_token else None
        depth = 0
        if prompts and prompts.visual_prompts:
            depth = config.depth if prompts.prompt_depth is None else min(prompts.prompt_depth, config.depth)
        self.prompts = new_tokens(depth, prompts.visual_prompts, config.width) if depth and prompts else None
        self.published = prompts is not None and prompts.published_input
        self.token_grid = published_grid(config) if self.published else config.token_grid

    def forward(
        self, images: Tensor, record: AttentionRecord | None = None, *, with_patches: bool = True
    ) -> VisionStates:
        """Encode scans.

        Parameters
        ----------
        images : Tensor (B, 1, D, H, W)
            Values in [0, 1].
        record : AttentionRecord, optional
            Filled from the last block's attention; nothing before it then gets a gradient.
        with_patches : bool
            Whether the patches' final states are wanted; without them the last block computes its read-out tokens alone.
        """
        patches, shares = self.embed(images)
        return self.encode(patches, record, with_patches=with_patches, shares=shares)

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turn scans (B, 1, D, H, W) into what `encode` takes: embedded patches, and what the closer look found."""
        if self.published:
            images = as_published(images, self.token_grid, self.patch)
        found: tuple[Tensor, Tensor | None] = self.patch_embedding.look(images)
        return found

    def encode(
        self,
        patches: Tensor,
        record: AttentionRecord | None = None,
        *,
        with_patches: bool = True,
        shares: Tensor | None = None,
    ) -> VisionStates:
        """Encode embedded patches (B, patches, width), with what the closer look found (B, 2, patches, 9); see `forward`."""
        batch, kind = patches.shape[0], patches.dtype
        front = [self.cls_token.expand(batch, -1, -1)]
        if self.mmse_token is not None:
            front.append(self.mmse_token.expand(batch, -1, -1))
        first_prompt = len(front)
        first_patch = first_prompt
        if self.prompts is not None:
            front.append(self.prompts[0].expand(batch, -1, -1))
            first_patch += self.prompts.shape[1]
        tokens = torch.cat([*(token.to(kind) for token in front), patches], dim=1)
        again = self.checkpointing and torch.is_grad_enabled()
        for index, block in enumerate(self.blocks):
            if self.prompts is not None and 0 < index < self.prompts.shape[0]:
                fresh = self.prompts[index].expand(batch, -1, -1).to(kind)
                tokens = torch.cat([tokens[:, :first_prompt], fresh, tokens[:, first_patch:]], dim=1)
            if index == len(self.blocks) - 1:
                tokens = block(tokens, record, None if with_patches else first_prompt)
            elif again and record is None:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                with torch.no_grad() if record is not None else nullcontext():
                    tokens = block(tokens)
        tokens = self.norm(tokens).float()
        patch_states = tokens[:, first_patch:] if with_patches else None
        read_out = tokens[:, :first_prompt]
        if shares is not None:
            read_out = read_out + self._summed(shares, record)[:, None]
        return VisionStates(read_out[:, 0], read_out[:, 1] if self.mmse_token is not None else None, patch_states)

    def _summed(self, shares: Tensor, record: AttentionRecord | None) -> Tensor:
        """Return what the read-out tokens get of the closer look, (B, width), and keep it for explaining."""
        close_up = self.patch_embedding.close_up
        assert close_up is not None
        summed = close_up.sum_up(shares)
        if record is not None:
            if not summed.requires_grad:
                summed.requires_grad_()
            record.summed, record.summed_parts = summed, close_up.parts_of_sum(shares).detach()
        return summed

    @property
    def attentions(self) -> list[SelfAttention]:
        """The attention of each block, first to last."""
        return [block.attn for block in self.blocks if isinstance(block, TransformerBlock)]

    @property
    def first_patch(self) -> int:
        """Index of the first patch in the token sequence."""
        prompts = self.prompts.shape[1] if self.prompts is not None else 0
        return 1 + (self.mmse_token is not None) + prompts
