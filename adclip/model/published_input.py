"""The input of arXiv:2509.07613 as its fragments have it: a cube, z-scored as a whole, on positions learned for another grid.

A volume of 128 x 128 x 128 voxels has as many patches of 4 x 16 x 16 as one of 32 x 256 x 256, but in a grid of 32 x 8 x 8
rather than 8 x 16 x 16. So the position table fits by number, and nearly every patch gets the position of another place.
Kept for comparison alone.
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor

from adclip.model.settings import ModelConfig


def published_grid(config: ModelConfig) -> tuple[int, int, int]:
    """Return the token grid of a cube with as many patches as the model has.

    Where no cube has, the first two axes of the model's grid change places, which is the same mistake: for the builtin model
    12 x 10 x 10 rather than 10 x 12 x 10.
    """
    voxels = config.patches * config.patch[0] * config.patch[1] * config.patch[2]
    side = round(voxels ** (1 / 3))
    if side**3 == voxels and not any(side % part for part in config.patch):
        d, h, w = (side // part for part in config.patch)
        return d, h, w
    d, h, w = config.token_grid
    return h, d, w


def as_published(images: Tensor, grid: tuple[int, int, int], patch: tuple[int, int, int]) -> Tensor:
    """Resample scans (B, 1, D, H, W) in the same box to `grid` patches, and z-score each as a whole, background included."""
    size = [count * part for count, part in zip(grid, patch, strict=True)]
    cubes = functional.interpolate(images.float(), size=size, mode="trilinear", align_corners=False)
    mean, sd = cubes.mean(dim=(1, 2, 3, 4), keepdim=True), cubes.std(dim=(1, 2, 3, 4), keepdim=True)
    return (cubes - mean) / sd.clamp(min=1e-6)
