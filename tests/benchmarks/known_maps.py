"""Real brains moved by a known affine onto a new voxel grid, with a bias field and noise on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from real_scans import Brain
from scipy import ndimage

ANGLE_DEG = 20.0  # about each of the three axes, uniform
SCALE = (0.85, 1.15)  # along each axis, log-uniform
SHIFT_MM = 20.0  # along each axis, uniform
BIAS = 0.25  # standard deviation of the logarithm of the field inside the brain
NOISE = 0.03  # of the white matter's intensity, Rician
MARGIN_MM = 12.0  # around the moved brain


@dataclass(frozen=True)
class Moved:
    """A moved brain and the map that moved it: old scan mm to new scan mm, (4, 4)."""

    brain: Brain
    old_to_new: NDArray[np.float64]


def draw_map(rng: np.random.Generator, center_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale, then turn, about the brain's centre; then shift."""
    linear = np.diag(np.exp(rng.uniform(*np.log(SCALE), size=3)))
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-ANGLE_DEG, ANGLE_DEG, size=3))):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[one, two], [one, two]] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        linear = turn @ linear
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = center_mm + rng.uniform(-SHIFT_MM, SHIFT_MM, size=3) - linear @ center_mm
    return matrix


def move(head: Brain, rng: np.random.Generator, keep_head: bool = False) -> Moved:
    """Resample intensities (cubic) and mask (linear, one half) onto a new upright grid of the same voxel size.

    Parameters
    ----------
    head : Brain
        Whole field of view.
    rng : Generator
        Draws map, bias field and noise.
    keep_head : bool
        Cover the whole moved field of view, for brain extraction; else only the brain.
    """
    center = (head.affine @ np.append(np.argwhere(head.mask).mean(axis=0), 1.0))[:3]
    old_to_new = draw_map(rng, center)
    corners = old_to_new @ (_box(head) if keep_head else head.corners_mm())
    margin = 0.0 if keep_head else MARGIN_MM
    low, high = corners[:3].min(axis=1) - margin, corners[:3].max(axis=1) + margin
    sizes = np.array(head.sizes_mm)
    shape = tuple(int(count) for count in np.ceil((high - low) / sizes))
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = low + rng.uniform(0, 1, size=3) * sizes
    matrix = np.linalg.inv(old_to_new @ head.affine) @ affine
    array, share = (
        ndimage.affine_transform(
            values.astype(np.float32), matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=order, mode="constant"
        )
        for values, order in ((head.array, 3), (head.mask, 1))
    )
    mask = share > 0.5
    field = _field(rng, shape)
    field = np.exp(BIAS * (field - field[mask].mean()) / field[mask].std())
    white = float(np.percentile(array[mask], 95))
    noise = NOISE * white * rng.standard_normal((2, *shape))
    array = np.hypot(np.maximum(array, 0) * field + noise[0], noise[1]).astype(np.float32)
    return Moved(Brain(array, affine, mask), old_to_new)


def _box(head: Brain) -> NDArray[np.float64]:
    """Corners of the field of view in scan mm, homogeneous, shape (4, 8)."""
    corners = [[(one >> axis & 1) * (size - 1) for axis, size in enumerate(head.array.shape)] + [1] for one in range(8)]
    return np.asarray(head.affine @ np.array(corners, dtype=float).T)


def _field(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Polynomial of order 3 over the grid, the shape of a surface coil's drift."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij", sparse=True)
    terms = [(a, b, c) for a in range(4) for b in range(4) for c in range(4) if 0 < a + b + c <= 3]
    return np.asarray(sum(rng.normal() * x**a * y**b * z**c for a, b, c in terms))
