"""Random changes of a batch of scans on the device: where it lies, how bright it is, how noisy.

Plain batched torch rather than MONAI's transforms: those work on one scan at a time and on the CPU here, which costs more than
the training step of a small model. Flips are off unless asked for: left and right differ in the disease, and in reports.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from adclip.domain import InputContract

ROTATION_DEGREES = 4.0  # standard deviations: what affine registration leaves is smaller, so this is generous
TRANSLATION_MM = 2.0
LOG_ZOOM = 0.03
LOG_GAMMA = 0.15
BRIGHTNESS = 0.05
NOISE = 0.02  # of the intensity range; the largest standard deviation, itself drawn
LOG_BIAS = 0.10
BIAS_NODES = 4  # of the coarse grid from which a smooth field is interpolated


@dataclass(frozen=True)
class Augment:
    """Which changes are made.

    Parameters
    ----------
    contract : InputContract
        Spacing and shape of the scans, so that millimetres are millimetres.
    flip : bool
        Whether left and right may change places.
    strength : float
        Multiplies every standard deviation.
    """

    contract: InputContract
    flip: bool = False
    strength: float = 1.0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Change scans (B, 1, D, H, W) in [0, 1]; outside the brain they stay 0.

        Every draw is made on the CPU from `generator`, so that the same seed gives the same scans on any device.
        """
        images = self._move(images, generator)
        inside = images > 0
        return torch.where(inside, self._shade(images, generator), images).clamp(0, 1)

    def _move(self, images: Tensor, generator: torch.Generator) -> Tensor:
        batch = len(images)
        moves = torch.stack([self._matrix(generator) for _ in range(batch)])
        if self.flip:
            mirrored = torch.rand(batch, generator=generator) < 0.5
            moves[mirrored, :, 0] *= -1  # W is left and right
        grid = functional.affine_grid(moves.to(images.device), list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, align_corners=False)

    def _matrix(self, generator: torch.Generator) -> Tensor:
        """Return a (3, 4) map of coordinates in [-1, 1], axes W, H, D, made in millimetres around the centre."""
        angles = self._draw(generator, 3, ROTATION_DEGREES * torch.pi / 180)
        rotation = torch.eye(3)
        for axis in range(3):
            first_axis, second_axis = (axis + 1) % 3, (axis + 2) % 3
            turn = torch.eye(3)
            turn[first_axis, first_axis] = turn[second_axis, second_axis] = angles[axis].cos()
            turn[first_axis, second_axis], turn[second_axis, first_axis] = -angles[axis].sin(), angles[axis].sin()
            rotation = rotation @ turn
        zoom = torch.diag(self._draw(generator, 3, LOG_ZOOM).exp())
        shift = self._draw(generator, 3, TRANSLATION_MM)
        sizes = [n * mm for n, mm in zip(self.contract.shape, self.contract.spacing_mm, strict=True)]
        half = torch.tensor(sizes[::-1]) / 2
        linear = (rotation @ zoom) * half[None, :] / half[:, None]
        return torch.cat([linear, (shift / half)[:, None]], dim=1)

    def _shade(self, images: Tensor, generator: torch.Generator) -> Tensor:
        batch, device = len(images), images.device
        wide = (batch, 1, 1, 1, 1)
        gamma = self._draw(generator, wide, LOG_GAMMA).exp().to(device)
        gain = (1 + self._draw(generator, wide, BRIGHTNESS)).to(device)
        level = self._draw(generator, wide, BRIGHTNESS).to(device)
        nodes = self._draw(generator, (batch, 1, *(BIAS_NODES,) * 3), LOG_BIAS).to(device)
        bias = functional.interpolate(nodes, size=images.shape[2:], mode="trilinear", align_corners=True).exp()
        noise_level = torch.rand(wide, generator=generator) * NOISE * self.strength
        noise = (torch.randn(images.shape, generator=generator) * noise_level).to(device)
        return images.clamp(min=1e-6) ** gamma * gain * bias + level + noise

    def _draw(self, generator: torch.Generator, shape: int | tuple[int, ...], sd: float) -> Tensor:
        size = (shape,) if isinstance(shape, int) else shape
        # beyond two standard deviations nothing is learned that scans show
        return torch.randn(size, generator=generator).clamp(-2, 2) * sd * self.strength
