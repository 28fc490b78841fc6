"""Scans painted from label grids while the builtin learns: T1-like and less T1-like contrasts, many resolutions, noise, masks.

After SynthSeg (Billot et al. 2023, doi:10.1016/j.media.2023.102789), with its T1 intensity priors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from make_label_bank import NAMES, PAINT, SPACING_MM
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from adclip.config import SMALL
from adclip.imaging.steps.grid import to_model_order

BRAIN = [NAMES.index(name) for name in NAMES[1:19]]


class Painter:
    """Paints the people of the bank.

    Parameters
    ----------
    meta : Path
        Folder with SynthSeg's T1 intensity priors.
    """

    def __init__(self, meta: Path) -> None:
        codes = np.load(meta / "generation_labels.npy").tolist()
        classes = np.load(meta / "generation_classes_contrast_specific.npy").tolist()
        prior_of = dict(zip(codes, classes, strict=True))
        rows = [next((prior_of[code] for code in members if code in prior_of), 0) for members in PAINT.values()]
        self._means = np.load(meta / "prior_means_t1.npy")[:, rows]
        self._stds = np.load(meta / "prior_stds_t1.npy")[:, rows]

    def paint(
        self, codes: NDArray[np.uint8], depth: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return one scan (D, H, W) as preprocessing leaves it: in [0, 1], 0 outside a brain mask that is a little wrong."""
        means, stds = self._levels(rng)
        smooth = _enlarge(rng.normal(0, 1, (1, 1, *(n // 2 + 2 for n in codes.shape))), codes.shape)[0]
        fine = _noise(codes.shape, rng)
        image = means[codes] + stds[codes] * (0.6 * fine + np.float32(rng.uniform(0, 1)) * smooth)
        image = np.maximum(image, 0)
        image = self._acquire(image, float(means[BRAIN].max()), rng)
        edge = _enlarge(rng.normal(0, rng.uniform(0.2, 1.0), (1, 1, *(n // 6 + 2 for n in codes.shape))), codes.shape)[
            0
        ]
        # never below 0: a brain extraction is wrong at the edge, it leaves no holes
        mask = 0.1 * depth.astype(np.float32) <= np.maximum(rng.uniform(0.0, 3.5) + edge, 0)
        low, high = np.percentile(image[mask][::7], SMALL.contract.percentiles)
        image = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1) ** np.float32(np.exp(rng.normal(0, 0.15)))
        return to_model_order(np.where(mask, image, 0).astype(np.float32))

    def _levels(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each class: three of four scans like T1, the others in any order that T1 can have."""
        count = len(NAMES)
        kind = rng.random()
        wide = 1.0 if kind < 0.45 else 1.8
        shared = rng.normal(size=count)
        for name in ("lateral_ventricle", "horn"):  # mostly as bright as other fluid
            shared[NAMES.index(name)] = shared[NAMES.index("csf")] + rng.normal(0, 0.3)
        means = np.maximum(self._means[0] + wide * self._means[1] * shared, 0)
        stds = np.maximum(self._stds[0] + self._stds[1] * rng.normal(size=count), 0) * rng.uniform(0.05, 0.6)
        at = {name: NAMES.index(name) for name in NAMES}
        if kind > 0.78:
            fluid, gap, step = rng.uniform(0, 60), rng.uniform(15, 90), rng.uniform(10, 70)
            for name in ("csf", "lateral_ventricle", "horn"):
                means[at[name]] = fluid + rng.normal(0, 3)
            for name in ("cortex", "caudate", "hippocampus", "amygdala", "cerebellar_gray"):
                means[at[name]] = fluid + gap + step * rng.normal(0, 0.1)
            for name in ("white", "cerebellar_white", "brainstem"):
                means[at[name]] = fluid + gap + step * rng.normal(1, 0.1)
            for name in ("putamen", "pallidum", "thalamus", "ventral_dc", "lesion"):
                means[at[name]] = fluid + gap + step * rng.uniform(-0.1, 1.0)
            means[at["choroid_plexus"]] = fluid + gap * rng.uniform(0, 1)
        spread = abs(means[at["white"]] - means[at["cortex"]]) + 5
        for name in ("hippocampus", "amygdala", "caudate"):  # one class in the priors, not equally bright in people
            means[at[name]] = means[at["cortex"]] + spread * rng.normal(0.05, 0.12)
        means[0] = 0
        return np.maximum(means, 0).astype(np.float32), stds.astype(np.float32)

    def _acquire(self, image: NDArray[np.float32], top: float, rng: np.random.Generator) -> NDArray[np.float32]:
        """Blur of the voxel size, thick slices, motion, bias field and the noise of a magnitude image."""
        kind = rng.random()
        sizes = np.full(3, rng.uniform(0.8, 1.4) if kind < 0.4 else rng.uniform(1.4, 2.4))
        if kind > 0.75:
            sizes[rng.integers(3)] = rng.uniform(1.5, 3.2)
        sigma = np.sqrt((0.4 * sizes) ** 2 + rng.uniform(0, 0.7) ** 2) / SPACING_MM
        image = ndimage.gaussian_filter(image, sigma, truncate=2.5)
        if rng.random() < 0.15:
            image = image + rng.uniform(0.1, 0.5) * ndimage.shift(image, rng.normal(0, 0.5, 3), order=1, mode="nearest")
        bias = _enlarge(rng.normal(0, rng.uniform(0, 0.2), (1, 1, 4, 4, 4)), image.shape)[0]
        image = image * np.exp(bias)
        noise = np.float32(rng.uniform(0, 0.06) * top)
        image = np.hypot(image + noise * _noise(image.shape, rng), noise * _noise(image.shape, rng))
        # noise of larger voxels is smooth on this grid
        soft = np.maximum(0.35 * sizes / SPACING_MM - 0.3, 0) + 0.15
        return np.asarray(ndimage.gaussian_filter(image, soft, truncate=2.5), dtype=np.float32)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return np.asarray(torch.randn(shape, generator=generator).numpy())


def _enlarge(array: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.float32]:
    tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return np.asarray(functional.interpolate(tensor, size=shape, mode="trilinear", align_corners=True)[0].numpy())
