"""Fields on a grid: positions, sampling, flows along velocities, smooth noise, small affines. Torch, for speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

SQUARINGS = 4  # 2^4 steps: velocities of up to about 8 mm move half a millimetre a step
# How far a good affine registration is off: standard deviations of rotation (degrees), log scale and shift (mm); judged.
MISALIGNMENT = (1.5, 0.015, 1.0)


def identity(shape: tuple[int, ...]) -> Tensor:
    """Return the voxel positions (3, X, Y, Z) of a grid."""
    import torch

    axes = [torch.arange(size, dtype=torch.float32) for size in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def apply_affine(matrix: FloatArray, points: Tensor) -> Tensor:
    """Apply a 4x4 affine to points (3, X, Y, Z)."""
    import torch

    linear = torch.tensor(matrix[:3, :3], dtype=torch.float32)
    shift = torch.tensor(matrix[:3, 3], dtype=torch.float32)[:, None, None, None]
    return torch.tensordot(linear, points, dims=1) + shift


def sample(image: Tensor, voxel: Tensor, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """Sample `image` (1, C, X, Y, Z) at voxel positions (3, X', Y', Z'); see `torch.nn.functional.grid_sample`."""
    import torch
    import torch.nn.functional as functional

    sizes = torch.tensor(image.shape[2:], dtype=torch.float32)
    unit = voxel * (2 / (sizes - 1))[:, None, None, None] - 1
    grid = unit.flip(0).permute(1, 2, 3, 0)[None]  # grid_sample counts the last axis first
    return functional.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=True)


def exponentiate(velocity_mm: Tensor, spacing_xyz_mm: tuple[float, float, float], every: int = 1) -> Tensor:
    """Flow along a stationary velocity for unit time, by scaling and squaring (Arsigny et al. 2006).

    Parameters
    ----------
    velocity_mm : Tensor (3, X, Y, Z)
        Velocity in mm.
    spacing_xyz_mm : tuple of float
        Of the grid that the velocity was taken from.
    every : int
        Voxels of that grid from one of the velocity's to the next.

    Returns
    -------
    Tensor (3, X, Y, Z)
        Displacement in mm.
    """
    import torch
    import torch.nn.functional as functional

    shape = tuple(velocity_mm.shape[1:])
    # `sample` spelt out: kept in the order and unit that grid_sample asks for, nothing is turned about at each squaring
    unit_mm = torch.tensor(spacing_xyz_mm)[:, None, None, None] * every * _half_sizes(shape)
    identity_grid = (identity(shape) / _half_sizes(shape) - 1).flip(0)
    step = (velocity_mm / unit_mm / 2**SQUARINGS).flip(0)
    for _ in range(SQUARINGS):
        grid = (identity_grid + step).permute(1, 2, 3, 0)[None]
        step = step + functional.grid_sample(step[None], grid, padding_mode="border", align_corners=True)[0]
    return step.flip(0) * unit_mm


def _half_sizes(shape: tuple[int, ...]) -> Tensor:
    """Half the voxels from the first to the last along each axis: the unit that grid_sample counts in."""
    import torch

    return (torch.tensor(shape, dtype=torch.float32) - 1)[:, None, None, None] / 2


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_voxels: float, components: int) -> Tensor:
    """Gaussian random fields (components, X, Y, Z) of unit variance, made on a coarse grid and interpolated."""
    import torch
    import torch.nn.functional as functional

    coarse = [max(4, int(np.ceil(size / max(sigma_voxels, 1.0))) + 2) for size in shape]
    seeds = torch.from_numpy(rng.standard_normal((1, components, *coarse)).astype(np.float32))
    field = functional.interpolate(seeds, size=shape, mode="trilinear", align_corners=True)[0]
    return field / field.std()


def draw_misalignment(rng: np.random.Generator, size: tuple[float, float, float] = MISALIGNMENT) -> NDArray[np.float64]:
    """Draw the 4x4 affine (mm to mm, about the origin) that a registration would leave uncorrected."""
    from scipy.spatial.transform import Rotation

    degrees, log_scale, shift_mm = size
    affine = np.eye(4)
    rotation = Rotation.from_euler("xyz", rng.normal(0, degrees, 3), degrees=True).as_matrix()
    affine[:3, :3] = rotation @ np.diag(np.exp(rng.normal(0, log_scale, 3)))
    affine[:3, 3] = rng.normal(0, shift_mm, 3)
    return affine
