"""From tissue to intensity: one person's borders of grey and white matter, and a contrast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adclip.domain import FloatArray
from adclip.simulation.anatomies import HeadMap
from adclip.simulation.fields import smooth_noise
from adclip.simulation.tissues import AIR_HOUNSFIELD, FOLDED, TISSUES, to_levels

# How borders become one person's own: the average's log odds are sharpened and shifted by noise; judged beside real scans.
FOLD_LENGTH_MM, FOLD_SHARPNESS, FOLD_SIZE = 3.5, 2.0, 1.3
TEXTURE_LENGTH_MM = 4.0
OTHER_TEXTURE, OTHER_SD, DARK_AS_BONE = 0.2, 0.15, 0.25  # of tissues outside the brain that label maps bring
FAT_STREAKS = 1.8  # standard deviations of the texture above which muscle is fat


@dataclass(frozen=True)
class Look:
    """Ranges that a scan's appearance is drawn from; intensities relative to white matter.

    Parameters
    ----------
    gray, csf : tuple of float
        Lowest and highest level of cortex and of CSF.
    level_sd : float
        Standard deviation of every other tissue's level around its usual place.
    bias : tuple of float
        Standard deviation of ln of the smooth multiplicative field.
    noise : tuple of float
        Standard deviation of the noise in each channel of the receiver.
    blur_mm : tuple of float
        Standard deviation of the point spread, mm.
    motion : float
        Share of scans with motion.
    thickness : float
        Greatest slice thickness over the in-plane voxel size.
    """

    gray: tuple[float, float]
    csf: tuple[float, float]
    level_sd: float
    bias: tuple[float, float]
    noise: tuple[float, float]
    blur_mm: tuple[float, float]
    motion: float
    thickness: float


# Judged on 62 scans of three scanners, whose grey level is 0.6 to 0.75 and whose CSF level is 0.15 to 0.4 of white matter:
# mild lies inside what they show, wild far outside.
LOOKS = {
    "mild": Look((0.58, 0.70), (0.15, 0.35), 0.02, (0.0, 0.08), (0.008, 0.03), (0.0, 0.5), 0.0, 1.0),
    "medium": Look((0.54, 0.76), (0.10, 0.42), 0.04, (0.0, 0.12), (0.008, 0.045), (0.0, 0.9), 0.15, 1.5),
    "wild": Look((0.48, 0.84), (0.05, 0.60), 0.08, (0.0, 0.20), (0.008, 0.07), (0.0, 1.8), 0.30, 3.0),
}


@dataclass(frozen=True)
class Style:
    """How one scan looks: intensities relative to white matter, or HU for CT.

    Parameters
    ----------
    levels : dict
        Tissue -> mean intensity.
    air : float
        Intensity of air.
    texture : float
        Factor on the inner variation of tissues.
    bias, noise, blur_mm : float
        As in `Look`; noise of CT in HU.
    motion_mm : float
        Standard deviation of the head's shifts between lines of k-space, mm; 0 for a still head.
    ct : bool
        Whether levels are HU: then there is no bias field, and noise is not Rician.
    """

    levels: dict[str, float]
    air: float = 0.0
    texture: float = 1.0
    bias: float = 0.0
    noise: float = 0.0
    blur_mm: float = 0.0
    motion_mm: float = 0.0
    ct: bool = False


def draw_style(rng: np.random.Generator, look: Look, gray: float | None = None, csf: float | None = None) -> Style:
    """Draw a T1 style; with `gray` and `csf` given (a scanner's), the scan's own lie close to them."""

    def level(scanner_level: float | None, span: tuple[float, float]) -> float:
        drawn = rng.uniform(*span)
        near = scanner_level + 0.1 * (drawn - np.mean(span)) if scanner_level is not None else drawn
        return float(np.clip(near, *span))

    cortex, fluid = level(gray, look.gray), level(csf, look.csf)
    levels = to_levels(cortex, min(fluid, 0.8 * cortex))
    for name, tissue in TISSUES.items():
        shift = rng.normal(0, look.level_sd)
        if name not in FOLDED and tissue.codes:
            levels[name] += shift
        elif not tissue.codes:
            levels[name] *= float(np.exp(4 * shift))
    moved = rng.random() < look.motion
    return Style(
        levels=levels,
        texture=float(rng.uniform(0.5, 1.5)),
        bias=float(rng.uniform(*look.bias)),
        noise=float(rng.uniform(*look.noise)),
        blur_mm=float(rng.uniform(*look.blur_mm)),
        motion_mm=float(rng.uniform(0.2, 0.8)) if moved else 0.0,
    )


def draw_ct_style(rng: np.random.Generator) -> Style:
    """Draw a CT-like style: Hounsfield units, little between grey and white matter, bright bone."""
    levels = {name: tissue.hounsfield + float(rng.normal(0, 1)) for name, tissue in TISSUES.items()}
    return Style(
        levels, AIR_HOUNSFIELD, 1.0, 0.0, float(rng.uniform(3, 12)), float(rng.uniform(0.3, 1.0)), 0.0, ct=True
    )


def to_own_borders(head: HeadMap, rng: np.random.Generator) -> HeadMap:
    """Turn the average's blurred cortex into crisp folds of one person's own; other heads have theirs already."""
    import torch

    if not head.folded:
        return head
    places = [head.tissues.index(name) for name in FOLDED]
    inside = np.nonzero(head.shares[places].any(axis=0))
    box: Any = (places, *(slice(int(axis.min()), int(axis.max()) + 1) for axis in inside))
    shares = torch.from_numpy(head.shares[box].astype(np.float32) / 255)
    total = shares.sum(dim=0, keepdim=True)
    noise = smooth_noise(rng, tuple(shares.shape[1:]), FOLD_LENGTH_MM / head.spacing_mm, len(places))
    odds = FOLD_SHARPNESS * torch.log(shares / total.clamp(min=1e-3) + 0.02) + FOLD_SIZE * noise
    own = torch.softmax(odds, dim=0) * total
    result = head.shares.copy()
    result[box] = (own * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return replace(head, shares=result)


def paint(head: HeadMap, style: Style, rng: np.random.Generator) -> FloatArray:
    """Paint a head.

    Returns
    -------
    ndarray (X, Y, Z), float32
        On the grid of `head`, before blur, bias and noise.
    """
    shape = head.shares.shape[1:]
    texture = smooth_noise(rng, shape, TEXTURE_LENGTH_MM / head.spacing_mm, 1)[0].numpy()
    flat, rough = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for name, share in zip(head.tissues, head.shares, strict=True):
        level = style.levels[name] if name in style.levels else _other_level(head.levels[name], style, rng)
        part = share.astype(np.float32)
        flat += np.float32((level - style.air) / 255) * part
        if not style.ct:
            inner = TISSUES[name].texture if name in TISSUES else OTHER_TEXTURE
            rough += np.float32(style.texture * inner * level / 255) * part
    image = flat + rough * np.clip(texture, -2.5, 2.5)
    if "muscle" in head.tissues and "fat" in style.levels:  # fat between the muscles
        share = head.shares[head.tissues.index("muscle")]
        streaks = (share > 127) & (texture > FAT_STREAKS)
        image[streaks] = style.levels["fat"] - style.air
    result: FloatArray = np.maximum(image, 0.0) + np.float32(style.air)
    return result


def _other_level(level: float, style: Style, rng: np.random.Generator) -> float:
    """Level of a tissue that only label maps have: in T1 around its own, in CT bone where T1 is dark."""
    if style.ct:
        return TISSUES["bone" if level < DARK_AS_BONE else "muscle"].hounsfield
    return level * float(np.exp(rng.normal(0, OTHER_SD)))


def expose(
    image: FloatArray, style: Style, spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> FloatArray:
    """Return what the scanner stores: blur, motion, bias field and the noise of a magnitude image [1]_.

    References
    ----------
    .. [1] Gudbjartsson & Patz, The Rician distribution of noisy MRI data, Magn. Reson. Med. 1995.
    """
    import torch
    from scipy.ndimage import gaussian_filter

    if style.blur_mm:
        image = gaussian_filter(image, [style.blur_mm / step for step in spacing_mm])
    if style.motion_mm:
        image = _move(image, style.motion_mm, spacing_mm, rng)
    if style.ct:
        return image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(style.noise)
    bias = smooth_noise(rng, image.shape, 60.0 / min(spacing_mm), 1)[0]
    image = image * torch.exp(style.bias * bias).numpy()
    real = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(style.noise)
    imaginary = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(style.noise)
    return np.hypot(real, imaginary).astype(np.float32)


def _move(
    image: FloatArray, motion_mm: float, spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> FloatArray:
    """Shift the head along the second axis between a few groups of k-space lines: edges ring, as after real motion."""
    size = image.shape[1]
    lines = np.fft.rfftfreq(size).astype(np.float32)  # cycles per voxel
    breaks = np.sort(rng.choice(np.arange(3, max(len(lines), 5)), size=2, replace=False))
    shifts = np.concatenate([[0.0], rng.normal(0, motion_mm / spacing_mm[1], 2)])
    shift = shifts[np.searchsorted(breaks, np.arange(len(lines)), side="right")]
    spectrum = np.fft.rfft(image, axis=1)
    spectrum *= np.exp(-2j * np.pi * lines * shift).astype(np.complex64)[None, :, None]
    moved: FloatArray = np.abs(np.fft.irfft(spectrum, size, axis=1)).astype(np.float32)
    return moved


def brain_share(head: HeadMap, *, fluid: bool) -> FloatArray:
    """Return how much of each voxel is brain, with or without the CSF inside the skull.

    With it, this is the share inside the skull: neither the dark gap that the template's drawn skull leaves around it nor the spinal canal.
    """
    if fluid:
        return head.inside.astype(np.float32) / np.float32(255)
    places = [index for index in head.brain if head.tissues[index] != "csf"]
    total = np.zeros(head.shares.shape[1:], dtype=np.uint16)
    for index in places:
        total += head.shares[index]
    return (np.minimum(total, 255) / np.float32(255)).astype(np.float32)
