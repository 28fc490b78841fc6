"""From one label map to one training pair: a painted, degraded scan of one hemisphere and its classes.

After SynthSeg (Billot et al. 2023, doi:10.1016/j.media.2023.102789), kept to T1-like contrast and to what remains of a
scan after adclip's own steps: stripped, bias-corrected, aligned, resampled once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from heads import FIELD_STEP, Head
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from adclip.imaging.volumes.segmenter import place_channels

Pair = tuple[NDArray[np.float32], NDArray[np.int64]]


class Painter:
    """Draws training pairs.

    Parameters
    ----------
    meta : Path
        Folder with SynthSeg's T1 intensity priors.
    """

    def __init__(self, meta: Path) -> None:
        self._means = np.load(meta / "prior_means_t1.npy")
        self._stds = np.load(meta / "prior_stds_t1.npy")
        self._points = place_channels().reshape(3, -1).astype(np.float64) * 100  # MNI mm of the right half box
        self._shape = place_channels().shape[1:]

    def draw(self, head: Head, rng: np.random.Generator) -> Pair:
        """Return intensities (56, 128, 112) in [0, 1] and classes of one randomly deformed, randomly painted side."""
        voxels = self._place(head, rng)
        low = np.maximum(np.floor(voxels.reshape(3, -1).min(axis=1)).astype(int) - 4, 0)
        high = np.minimum(np.ceil(voxels.reshape(3, -1).max(axis=1)).astype(int) + 5, head.classes.shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        voxels = voxels - low[:, None, None, None]
        labels = _sample(head.classes[window].astype(np.float32), voxels, "nearest").astype(np.int64)
        scan, scale = self._scan(head.paint[window], head.outside_mm[window], rng)
        at_scan = (voxels + 0.5) * scale[:, None, None, None] - 0.5
        return _sample(scan, at_scan, "bilinear"), labels

    def _place(self, head: Head, rng: np.random.Generator) -> NDArray[np.float32]:
        """Voxel of `head` that each point of the half box shows: another pose, another shape, more or less atrophy."""
        points = self._points.copy()
        if rng.random() < 0.5:
            points[0] *= -1
        angles, scales = rng.normal(0, 0.045, 3), np.exp(rng.normal(0, 0.045, 3))
        shear = np.eye(3) + np.triu(rng.normal(0, 0.02, (3, 3)), 1)
        matrix = _rotation(angles) @ np.diag(scales) @ shear
        center = np.array([0.0, -17.0, 5.0])
        points = matrix @ (points - center[:, None]) + (center + rng.normal(0, 2.0, 3))[:, None]
        moved = points.reshape(3, *self._shape)
        for spacing, size in ((40, rng.uniform(0, 4.5)), (20, rng.uniform(0, 1.6))):
            coarse = rng.normal(0, size, (1, 3, *(int(n * 1.5 // spacing) + 2 for n in self._shape)))
            moved = moved + _enlarge(coarse, self._shape)
        to_voxel = np.linalg.inv(head.to_mni @ head.affine)
        voxels = np.einsum("ij,jxyz->ixyz", to_voxel[:3, :3], moved) + to_voxel[:3, 3][:, None, None, None]
        voxels = voxels.astype(np.float32)
        ventricle, hippocampus = rng.uniform(-0.5, 0.6), rng.uniform(-0.45, 0.35)
        grown = ventricle * head.fields[0] + hippocampus * head.fields[1]
        shift = np.stack([_sample(axis, voxels / FIELD_STEP, "bilinear") for axis in grown])
        return voxels - shift

    def _scan(
        self, paint: NDArray[np.uint8], outside_mm: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Paint the anatomy at 1 mm, then be a scanner: returns voxels and how many of them lie in one millimetre."""
        means = np.maximum(self._means[0] + 1.3 * self._means[1] * rng.normal(size=self._means.shape[1]), 0)
        stds = np.maximum(self._stds[0] + self._stds[1] * rng.normal(size=self._stds.shape[1]), 0) * rng.uniform(
            0.1, 0.9
        )
        texture = torch.randn(paint.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**31)))).numpy()
        image = np.maximum(means.astype(np.float32)[paint] + stds.astype(np.float32)[paint] * texture, 0)
        kind = rng.random()
        sizes = np.ones(3) if kind < 0.35 else np.full(3, rng.uniform(1.0, 2.2))
        if kind > 0.8:
            sizes[rng.integers(3)] = rng.uniform(1.5, 3.5)
        sigma = np.sqrt((0.42 * sizes) ** 2 + rng.uniform(0, 0.6) ** 2 - 0.09)
        image = ndimage.gaussian_filter(image, sigma, truncate=2.5)
        shape = [max(8, round(n / size)) for n, size in zip(paint.shape, sizes, strict=True)]
        image, outside = _enlarge(np.stack([image, outside_mm])[None], shape)
        bias = _enlarge(rng.normal(0, rng.uniform(0, 0.12), (1, 1, 4, 4, 4)), shape)[0]
        image = image * np.exp(bias)
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**31)))).numpy()
        image = np.abs(image + noise * rng.uniform(0, 0.06) * means.max())
        edge = _enlarge(rng.normal(0, rng.uniform(0.2, 1.5), (1, 1, *(n // 10 + 2 for n in shape))), shape)[0]
        mask = outside < rng.uniform(0.0, 3.0) + edge
        if rng.random() < 0.2:  # masks made of tissue, with the sulci cut out
            mask &= image > 0.25 * means.max()
        bottom, top = np.percentile(image[mask], (0.5, 99.5))
        image = np.clip((image - bottom) / max(top - bottom, 1e-6), 0, 1) ** np.exp(rng.normal(0, 0.15))
        scale = np.array(shape) / np.array(paint.shape)
        return np.where(mask, image * rng.uniform(0.92, 1.02), 0).astype(np.float32), scale


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[one, two], [one, two]] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def _enlarge(array: NDArray[np.generic], shape: tuple[int, ...] | list[int]) -> NDArray[np.float32]:
    tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return functional.interpolate(tensor, size=tuple(shape), mode="trilinear", align_corners=False)[0].numpy()


def _sample(array: NDArray[np.float32], voxels: NDArray[np.generic], mode: str) -> NDArray[np.float32]:
    """Read `array` at voxel coordinates (3, X, Y, Z); 0 outside."""
    size = np.array(array.shape, dtype=np.float32)[:, None, None, None]
    grid = ((voxels + 0.5) * 2 / size - 1).astype(np.float32)
    grid = torch.from_numpy(np.ascontiguousarray(np.moveaxis(grid[::-1], 0, -1)))[None]
    source = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None, None]
    return functional.grid_sample(source, grid, mode=mode, align_corners=False)[0, 0].numpy()
