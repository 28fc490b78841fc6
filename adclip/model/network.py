"""Both towers, the projections, the cross-attention inside one scan-report pair, class scores and the MMSE head."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from einops import rearrange
from torch import Tensor, nn

from adclip.errors import CheckpointError
from adclip.model.attention import AttentionRecord
from adclip.model.prompts import new_tokens
from adclip.model.settings import LAST_TEXT_TOKEN, ModelConfig, PromptConfig
from adclip.model.text import TokenBatch, build_bert, encode_words
from adclip.model.vision import VisionTower

TEMPERATURE = 0.07  # CLIP, Radford et al. 2021, arXiv:2103.00020, sec. 2.5
LARGEST_SCALE = 100.0  # same section
IMAGE_FROM_TEXT = 0.01  # share of MHA(I<-T) in the image embedding, arXiv:2509.07613
TEXT_FROM_IMAGE = 1.0  # share of MHA(T<-I) in the text embedding


@dataclass(frozen=True)
class ImageTokens:
    """A batch of scans in the shared space, before L2.

    Parameters
    ----------
    cls : Tensor (B, E)
    patches : Tensor (B, patches, E) or None
        None in a network without cross-attention, which has no use for them.
    mmse : Tensor (B,) or None
        z-scored MMSE, from the vision tower alone.
    """

    cls: Tensor
    patches: Tensor | None
    mmse: Tensor | None


@dataclass(frozen=True)
class TextTokens:
    """Candidate texts of a batch of scans in the shared space, before L2.

    Parameters
    ----------
    tokens : Tensor (B, K, L, E)
        [CLS] first. B may be 1: the same candidates for every scan.
    word_mask : Tensor (B, K, L), bool
        Where the cross-attention may look.
    """

    tokens: Tensor
    word_mask: Tensor

    @property
    def cls(self) -> Tensor:
        """Read-out tokens (B, K, E)."""
        return self.tokens[:, :, 0]

    def to(self, device: torch.device) -> TextTokens:
        """Return a copy on `device`."""
        return TextTokens(self.tokens.to(device), self.word_mask.to(device))

    def expand(self, batch: int) -> TextTokens:
        """Repeat shared candidates for `batch` scans, without a copy."""
        return TextTokens(self.tokens.expand(batch, -1, -1, -1), self.word_mask.expand(batch, -1, -1))


class CrossAttention(nn.Module):
    """`nn.MultiheadAttention` by parameter names and result, with the inner tensors within reach."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        # A fresh adapter starts as the base model: what the attention adds is zero until it is learned.
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, query: Tensor, keys: Tensor, mask: Tensor | None = None, record: AttentionRecord | None = None
    ) -> Tensor:
        """Attend from `query` (B, Q, E) to `keys` (B, N, E), where `mask` (B, N) is true; returns (B, Q, E)."""
        wq, wk, wv = self.in_proj_weight.chunk(3)
        bq, bk, bv = self.in_proj_bias.chunk(3)
        q, k, v = (
            rearrange(functional.linear(x, w, b), "b n (h e) -> b h n e", h=self.heads)
            for x, w, b in ((query, wq, bq), (keys, wk, bk), (keys, wv, bv))
        )
        allowed = None if mask is None else mask[:, None, None, :]
        output = functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        if record is not None:
            record.keep(q, k, v, output)
        result: Tensor = self.out_proj(rearrange(output, "b h n e -> b n (h e)"))
        return result


class Network(nn.Module):
    """The adapted vision-language model; with `prompts=None` it is the base model alone.

    Parameter names are a file format: those of the base are M3D-CLIP's, those of the adapter are told by `is_adapter`.
    The network never decides about gradients.
    """

    def __init__(
        self,
        config: ModelConfig,
        prompts: PromptConfig | None,
        *,
        empty: bool = False,
        text_tower: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.prompt_config = prompts
        self.vision_encoder = VisionTower(config, prompts, empty=empty)
        # Called for the text tower when the first text comes; a scan without a report may never need it.
        self._late_text_tower = text_tower
        self.language_encoder: nn.Module | None = None
        if text_tower is None and config.text_depth:
            self.language_encoder = build_bert(config, empty=empty)
        self.mm_vision_proj = nn.Linear(config.width, config.embedding)
        self.mm_language_proj = nn.Linear(config.text_width, config.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))
        self.text_prompts: nn.Parameter | None = None
        self.cross_attention: CrossAttention | None = None
        self.mmse_head: nn.Sequential | None = None
        if prompts and prompts.text_prompts:
            self.text_prompts = new_tokens(prompts.text_prompts, config.text_width)
        if prompts and prompts.cross_attention:
            self.cross_attention = CrossAttention(config.embedding, config.fusion_heads)
        if prompts and prompts.mmse_token:
            half = config.width // 2
            self.mmse_head = nn.Sequential(nn.Linear(config.width, half), nn.ReLU(), nn.Linear(half, 1))

    @property
    def scale(self) -> Tensor:
        """Multiplier of the cosine: exp(logit_scale), kept within [1, 100]; the logit scale itself where so configured."""
        if self.prompt_config is not None and self.prompt_config.raw_scale:
            return self.logit_scale
        return self.logit_scale.exp().clamp(1.0, LARGEST_SCALE)

    @property
    def text_tower(self) -> nn.Module:
        """The text tower, loaded now if it was left for later.

        Raises
        ------
        CheckpointError
            If the base has none.
        """
        if self.language_encoder is None:
            if self._late_text_tower is None:
                raise CheckpointError.no_text_tower()
            with torch.inference_mode(
                False
            ):  # whoever reads the first report, gradients can go through the tower later
                self.language_encoder = self._late_text_tower().to(self.logit_scale.device)
            self._late_text_tower = None
        return self.language_encoder

    @property
    def text_limit(self) -> int:
        """Tokens that a text may have: with prompts before [CLS] they take positions of their own."""
        prompts = self.prompt_config
        prompt_tokens = prompts.text_prompts if prompts is not None and prompts.prompts_before_cls else 0
        return min(LAST_TEXT_TOKEN, self.config.text_positions - prompt_tokens)

    def checkpoint_activations(self) -> None:
        """Compute activations again during backward instead of keeping them, in both towers."""
        self.vision_encoder.checkpointing = True
        tower: Any = self.text_tower
        enable = getattr(tower, "activation_checkpointing_enable", None) or tower.gradient_checkpointing_enable
        enable({"use_reentrant": False})  # the second name is that of transformers before 5.20
        self.text_tower.train()  # transformers checkpoints in training mode only; this BERT has no dropout

    def compile_blocks(self) -> None:
        """Compile each block of the image tower in place; names and results stay."""
        for block in self.vision_encoder.blocks:
            block.compile()

    def image_tokens(self, images: Tensor, record: AttentionRecord | None = None) -> ImageTokens:
        """Encode and project scans (B, 1, D, H, W) with values in [0, 1]."""
        patches, shares = self.vision_encoder.embed(images)
        return self.patches_to_tokens(patches, shares, record)

    def patches_to_tokens(
        self, patches: Tensor, shares: Tensor | None = None, record: AttentionRecord | None = None
    ) -> ImageTokens:
        """Encode and project scans whose patches are embedded already, see `VisionTower.embed` and `VisionTower.encode`."""
        states = self.vision_encoder.encode(
            patches, record, with_patches=self.cross_attention is not None, shares=shares
        )
        mmse = None
        if self.mmse_head is not None and states.mmse is not None:
            mmse = self.mmse_head(states.mmse)[:, 0]
        projected = None if states.patches is None else self.mm_vision_proj(states.patches)
        return ImageTokens(self.mm_vision_proj(states.cls), projected, mmse)

    def text_tokens(self, batch: TokenBatch, candidates: int, *, mask_prompts: bool = False) -> TextTokens:
        """Encode and project texts given scan by scan: `candidates` texts of the first scan, of the second, ..."""
        first = self.prompt_config is not None and self.prompt_config.prompts_before_cls
        states = encode_words(self.text_tower, batch, self.text_prompts, mask_prompts=mask_prompts, prompts_first=first)
        tokens = rearrange(self.mm_language_proj(states), "(b k) l e -> b k l e", k=candidates)
        return TextTokens(tokens, rearrange(batch.word_mask, "(b k) l -> b k l", k=candidates))

    def encode_image(self, images: Tensor) -> Tensor:
        """Return L2-normalised image embeddings (B, E) before cross-attention."""
        states = self.vision_encoder(images, with_patches=False)
        return functional.normalize(self.mm_vision_proj(states.cls), dim=-1)

    def encode_text(self, batch: TokenBatch) -> Tensor:
        """Return L2-normalised text embeddings (T, E) before cross-attention."""
        return functional.normalize(self.text_tokens(batch, 1).cls[:, 0], dim=-1)

    def score(self, image: ImageTokens, text: TextTokens, record: AttentionRecord | None = None) -> Tensor:
        """Score every candidate of every scan: scale * cos(image', text'), (B, K); see `fuse`."""
        image_side, text_side = self.fuse(image, text, record)
        return self.scale * (image_side * text_side).sum(-1)

    def fuse(
        self, image: ImageTokens, text: TextTokens, record: AttentionRecord | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let each scan and each of its candidates attend to each other, inside that pair and never across the batch.

        Parameters
        ----------
        image : ImageTokens
            B scans.
        text : TextTokens
            K candidates for each scan (B may be 1: shared).
        record : AttentionRecord, optional
            Filled from the road MHA(T<-I).

        Returns
        -------
        image, text : Tensor (B, K, E)
            L2-normalised.
        """
        batch = image.cls.shape[0]
        text = text.expand(batch)
        image_side = image.cls[:, None]
        text_side = text.cls
        if self.cross_attention is not None and image.patches is not None:
            image_states = torch.cat([image.cls[:, None], image.patches], dim=1)
            candidates = text.tokens.shape[1]
            from_image = self.cross_attention(text.cls, image_states, record=record)
            queries = image.cls[:, None].expand(-1, candidates, -1)
            from_text = self.cross_attention(
                rearrange(queries, "b k e -> (b k) 1 e"),
                rearrange(text.tokens, "b k l e -> (b k) l e"),
                rearrange(text.word_mask, "b k l -> (b k) l"),
            )
            image_side = image_side + IMAGE_FROM_TEXT * rearrange(from_text, "(b k) 1 e -> b k e", k=candidates)
            text_side = text_side + TEXT_FROM_IMAGE * from_image
        image_side, text_side = functional.normalize(image_side, dim=-1), functional.normalize(text_side, dim=-1)
        return image_side.expand_as(text_side), text_side
