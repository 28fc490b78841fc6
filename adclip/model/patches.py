"""From a volume to patch tokens, with a few convolutions first for towers that must see finer than their patches."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from adclip.model.close_up import CloseUp
from adclip.model.settings import ModelConfig

LAYERS_PER_LEVEL = 6  # of `ConvStem`: twice a convolution, a normalisation and a GELU


class ConvStem(nn.Module):
    """Convolutions that halve the grid once a level.

    A patch that is projected by one linear layer alone keeps what is coarse in it; the border of a small structure is lost
    however many voxels the patch has. Early convolutions keep it (Xiao et al. 2021, arXiv:2106.14881).

    Parameters
    ----------
    channels : tuple of int
        Channels of each level; every one has a convolution of stride 2 and one of stride 1, each with group normalisation and
        GELU.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 1
        for out_channels in channels:
            for source, stride in ((in_channels, 2), (out_channels, 1)):
                layers += [
                    nn.Conv3d(source, out_channels, 3, stride=stride, padding=1, bias=False),
                    nn.GroupNorm(max(out_channels // 8, 1), out_channels),
                    nn.GELU(),
                ]
            in_channels = out_channels
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 1, D, H, W) to (B, channels, D / 2^levels, H / 2^levels, W / 2^levels)."""
        return self.forward_levels(images)[-1]

    def forward_levels(self, images: Tensor) -> list[Tensor]:
        """Return what every level sees, finest first; the last is what `forward` returns."""
        # the layout that CPUs convolve fastest; measured 1.2 to 1.8 times
        features, levels = images.contiguous(memory_format=torch.channels_last_3d), []
        for end in range(LAYERS_PER_LEVEL, len(self.layers) + 1, LAYERS_PER_LEVEL):
            features = self.layers[end - LAYERS_PER_LEVEL : end](features)
            levels.append(features)
        return levels


class PatchEmbedding(nn.Module):
    """Cut a volume into patches, flatten each in the order (d, h, w, channel), project, add positions.

    With a stem, its output is cut instead. Where a closer look is taken, it alone sees what lies there.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.stem = ConvStem(config.stem) if config.stem else None
        self.close_up = CloseUp(config) if config.close_up else None
        d, h, w = (size // 2 ** len(config.stem) for size in config.patch)
        self.cells = (d, h, w)
        voxels = d * h * w * (config.stem[-1] if config.stem else 1)
        # index 1 of a two-part sequence is where M3D-CLIP's file has the projection
        self.patch_embeddings = nn.ModuleList([nn.Identity(), nn.Linear(voxels, config.width)])
        self.position_embeddings = nn.Parameter(torch.empty(1, config.patches, config.width))
        nn.init.trunc_normal_(self.position_embeddings, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 1, D, H, W) to (B, patches, width)."""
        return self.look(images)[0]

    def look(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what `forward` does, and what the closer look found, (B, 2, patches, 9), where one is taken."""
        images = images.to(self.position_embeddings.dtype)
        if self.close_up is None:
            return self.embed(images if self.stem is None else self.stem(images)), None
        rest, shares = self.close_up.blank(images), self.close_up(images)
        tokens = self.embed(rest if self.stem is None else self.stem(rest))
        return tokens + self.close_up.to_tokens(shares), shares

    def embed(self, features: Tensor) -> Tensor:
        """Map what the stem made of scans, or the scans themselves, to (B, patches, width), without the closer look."""
        d, h, w = self.cells
        patches = rearrange(features, "b c (d pd) (h ph) (w pw) -> b (d h w) (pd ph pw c)", pd=d, ph=h, pw=w)
        tokens: Tensor = self.patch_embeddings[1](patches) + self.position_embeddings
        return tokens
