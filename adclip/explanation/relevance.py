"""What a method says: how much each part of the scan adds to the explained number, by patch and by voxel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

FLAT = 1e-12
FINE_FWHM_MM = 6.0  # of the Gaussian over what is known by voxel: single voxels of a gradient mean nothing
FWHM_IN_SD = 2.354820045  # 2 sqrt(2 ln 2)


@dataclass(frozen=True)
class Relevance:
    """Signed relevance of one scan.

    Parameters
    ----------
    grid : tuple of int
        Patches along D, H, W.
    by_patch : Tensor (D', H', W') or None
        Relevance that is known by patch alone.
    by_voxel : Tensor (D, H, W) or None
        Relevance that is known by voxel, of the same unit, beside that by patch.
    roads : mapping
        Share of the absolute relevance by road from the patches to the number, where a method tells roads apart.
    is_flat : bool
        Whether the method finds nothing at all.
    """

    grid: tuple[int, int, int]
    by_patch: Tensor | None
    by_voxel: Tensor | None = None
    roads: Mapping[str, float] = field(default_factory=dict)
    is_flat: bool = False

    def per_patch(self) -> Tensor:
        """Return the relevance of each patch (D', H', W'), its voxels summed up."""
        total = torch.zeros(self.grid)
        if self.by_patch is not None:
            total = total + self.by_patch.float().cpu()
        if self.by_voxel is not None:
            total = total + sum_patches(self.by_voxel.float().cpu(), self.grid)
        return total

    def per_voxel(self, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Tensor:
        """Return the relevance of each voxel of a grid (D, H, W).

        What is known by patch is interpolated between their centres; what is known by voxel is smoothed (`FINE_FWHM_MM`). Both keep their sum
        but for what the borders take.
        """
        total = torch.zeros(shape)
        if self.by_patch is not None:
            voxels = torch.tensor(shape).prod() / torch.tensor(self.grid).prod()
            total = total + enlarge(self.by_patch.float().cpu() / voxels, shape)
        if self.by_voxel is not None:
            total = total + smooth(self.by_voxel.float().cpu(), spacing_mm)
        return total


def sum_patches(voxels: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Sum voxels (D, H, W) up in patches (D', H', W'), each voxel in the one that holds its centre."""
    members = []
    for size, count in zip(voxels.shape, grid, strict=True):
        patch = ((torch.arange(size) + 0.5) * count / size).floor()
        members.append((patch[:, None] == torch.arange(count)).to(voxels))
    summed: Tensor = torch.einsum("dhw,dx,hy,wz->xyz", voxels, *members)
    return summed


def enlarge(by_patch: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Interpolate values of patches to voxels of `shape`, trilinear between patch centres, constant beyond the outer ones."""
    wide: Tensor = interpolate(by_patch[None, None], size=shape, mode="trilinear", align_corners=False)[0, 0]
    return wide


def enlarge_patches(by_patch: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return what `enlarge` does, of an array."""
    wide: NDArray[np.float32] = enlarge(torch.from_numpy(by_patch).float(), shape).numpy()
    return wide


def smooth(voxels: Tensor, spacing_mm: tuple[float, float, float], fwhm_mm: float = FINE_FWHM_MM) -> Tensor:
    """Smooth voxels (D, H, W) by a Gaussian of `fwhm_mm`, axis by axis; beyond the border lies nothing."""
    result = voxels[None, None]
    for axis, spacing in enumerate(spacing_mm):
        sd = fwhm_mm / FWHM_IN_SD / spacing
        reach = max(round(4 * sd), 1)
        place = torch.arange(-reach, reach + 1, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (place / sd) ** 2)
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = len(kernel)
        sides = [0, 0, 0, 0, 0, 0]
        sides[2 * (2 - axis)] = sides[2 * (2 - axis) + 1] = reach
        result = torch.nn.functional.conv3d(pad(result, sides), (kernel / kernel.sum()).reshape(shape))
    smoothed: Tensor = result[0, 0]
    return smoothed


def scaled(values: Tensor) -> tuple[Tensor, bool]:
    """Return values over their largest, and whether there is none above 0: then all are 0."""
    peak = float(values.clamp(min=0).max())
    return (values / peak, False) if peak > FLAT else (torch.zeros_like(values), True)
