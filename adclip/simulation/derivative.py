"""A simulated derivative: the brain on a model's grid as preprocessing would leave it, without the raw head in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.simulation.brains import Brain, grid_points
from adclip.simulation.fields import apply_affine, draw_misalignment, sample, smooth_noise
from adclip.simulation.paint import Style, brain_share, expose, paint

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Derivative:
    """One prepared scan with its truth, all of shape (X, Y, Z) on the contract's grid.

    Parameters
    ----------
    image : ndarray, float32
        Values in [0, 1] by the contract's percentiles, 0 outside the mask.
    mask : ndarray, bool
        Brain mask with the errors a brain extraction makes: a little too wide or too tight, in patches.
    changed : ndarray, bool
        Structures that the disease changed.
    points_mm : Tensor (3, X, Y, Z)
        Where each voxel lies in the person's template space: a registration is never perfect.
    misalignment : ndarray (4, 4)
        Millimetres of the contract's grid to those of the person's template space, the same as a map.
    levels : tuple of float
        Painted intensities that became 0 and 1.
    """

    image: FloatArray
    mask: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    points_mm: Tensor
    misalignment: NDArray[np.float64]
    levels: tuple[float, float]


def source_spacing_mm(contract: InputContract) -> float:
    """Grid on which to paint for a contract: a little finer than its own, at least 1 mm."""
    return max(1.0, round(0.8 * min(contract.spacing_mm), 1))


def to_derivative(
    brain: Brain, style: Style, contract: InputContract, rng: np.random.Generator, like: Derivative | None = None
) -> Derivative:
    """Paint a brain on the contract's grid; with the mask and the levels of another scan where it is to be `like` it."""
    import torch

    misalignment = draw_misalignment(rng)
    points = apply_affine(misalignment, grid_points(contract))
    source_mm = brain.to_source(points)
    voxel = apply_affine(np.linalg.inv(brain.tissue.affine), source_mm)
    layers = np.stack([paint(brain.tissue, style, rng), brain_share(brain.tissue, fluid=True)])
    painted, inside = sample(torch.from_numpy(layers)[None], voxel, padding="zeros")[0].numpy()
    exposed = expose(painted, style, contract.spacing_xyz_mm, rng)
    edge = smooth_noise(rng, contract.shape_xyz, 12.0 / contract.spacing_mm[0], 1)[0].numpy()
    # the clip keeps the threshold below what the inside of the brain has, so that no holes open there
    mask = inside + 0.12 * np.clip(edge, -2, 2) > rng.uniform(0.35, 0.7)
    low, high = (float(level) for level in np.percentile(exposed[mask], contract.percentiles))
    if like is not None:
        mask, (low, high) = like.mask, like.levels
    image = np.clip((exposed - low) / (high - low), 0, 1) * mask
    return Derivative(image.astype(np.float32), mask, brain.changed_in(source_mm), points, misalignment, (low, high))
