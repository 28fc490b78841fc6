"""What a scanner makes of an anatomy: T1 contrast, folds, blur, bias field and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adclip.domain import FloatArray
from adclip.simulation.fields import smooth_noise

# Levels of CSF, gray and white matter in the template: medians over voxels of more than 90 % of one tissue.
TEMPLATE_LEVELS = (0.27, 0.65, 0.87)


@dataclass(frozen=True)
class Style:
    """How a scanner paints: all unitless, on an image whose white matter is about 1.

    Parameters
    ----------
    csf, gray, white : float
        Mean intensities.
    bias : float
        Standard deviation of the smooth multiplicative field.
    noise : float
        Standard deviation of the white noise.
    folding : float
        Standard deviation of the texture that stands for folds the average template has lost.
    blur_mm : float
        Standard deviation of the point spread, mm.
    """

    csf: float
    gray: float
    white: float
    bias: float
    noise: float
    folding: float
    blur_mm: float


def draw_style(rng: np.random.Generator) -> Style:
    """Draw a T1 contrast: CSF < gray < white, from faint to strong."""
    white = 1.0
    gray = float(rng.uniform(0.50, 0.82))
    csf = float(rng.uniform(0.08, 0.6) * gray)
    return Style(
        csf=csf,
        gray=gray,
        white=white,
        bias=float(rng.uniform(0.0, 0.12)),
        noise=float(rng.uniform(0.01, 0.06)),
        folding=float(rng.uniform(0.0, 0.5)),
        blur_mm=float(rng.uniform(0.0, 1.8)),
    )


def paint_brain(
    t1: FloatArray, gray: FloatArray, style: Style, spacing_mm: float, rng: np.random.Generator
) -> FloatArray:
    """Paint a brain before blur, bias and noise.

    Parameters
    ----------
    t1 : ndarray (X, Y, Z)
        Template intensity in [0, 1]; 0 outside the brain.
    gray : ndarray (X, Y, Z)
        Gray-matter probability.
    style : Style
    spacing_mm : float
        Voxel size, for the size of the folds.
    rng : Generator
    """
    levels = [0.0, *TEMPLATE_LEVELS, 1.0]
    image = np.interp(t1, levels, [0.0, style.csf, style.gray, style.white, style.white * 1.08]).astype(np.float32)
    if style.folding:
        folds = smooth_noise(rng, t1.shape, 4.0 / spacing_mm, 1)[0].numpy()
        image *= 1 + style.folding * 0.5 * np.clip(gray, 0, 1) * np.clip(folds, -2, 2)
    return image


def expose(image: FloatArray, style: Style, spacing_mm: float, rng: np.random.Generator) -> FloatArray:
    """Blur an image, shade it by a bias field and add the Rician noise of a magnitude image (Gudbjartsson & Patz 1995)."""
    import torch
    from scipy.ndimage import gaussian_filter

    if style.blur_mm:
        image = gaussian_filter(image, style.blur_mm / spacing_mm)
    bias = smooth_noise(rng, image.shape, 60.0 / spacing_mm, 1)[0]
    image = image * torch.exp(style.bias * bias).numpy()
    real = image + rng.standard_normal(image.shape, dtype=np.float32) * style.noise
    imaginary = rng.standard_normal(image.shape, dtype=np.float32) * style.noise
    return np.hypot(real, imaginary).astype(np.float32)
