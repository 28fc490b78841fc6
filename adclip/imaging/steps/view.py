"""How the head is shown to the brain extraction: upright as far as the header knows, and without what surrounds it.

A network that finds brains is taught on heads that stand upright and fill their box. A grid turned against the body, wide margins of
air, zeros or noise, and fields that reach down to the chest show it something else, and it answers with another mask. The scan itself
stays as it is: the mask is carried back onto its own voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, SourceGrid, Volume

# A scanner's planner tilts slices by some degrees, and brain extraction does not mind: a scan within both bounds is shown as it is,
# voxel by voxel. 59 IXI heads leave up to 36 mm around them, one Trio head 28 mm.
OBLIQUE_DEG = 8.0
SPARE_MM = 45.0
MARGIN_MM = 15.0  # kept around the head where the rest is cut off
HEIGHT_MM = (
    230.0  # from the vertex to the chin of a large head (Young 1993, US head anthropometry: up to 255 along the slant)
)
WIDEST_MM = 180.0  # below the vertex: nose, ears and back of the head lie above, shoulders below
FINEST_MM = 1.0  # of a turned view: brain extraction looks at no finer detail
# Above it voxels are interpolated by cubic splines. Of one head of 2 mm (IXI226-HH-1618, three of bench_views' oblique grids, 2026-11-30)
# the mask's volume then differed by 0.1 to 0.3 % from the plain scan's, with linear ones by 0.1 to 0.9 %. A head of 1 mm needs none:
# the bound itself lies between the two by choice.
COARSE_MM = 1.3
_BLOCK_MM = 4.0  # blocks that are looked at for the head: noise averages out, a skull does not
_OF_OTSU = 0.5  # scalp and marrow lie at about half the tissue's mean, noise in air far below
_BRIGHTEST = 99.5  # percentile of blocks where the scale ends: vessels and fat do not count


@dataclass(frozen=True)
class View:
    """A scan as it is shown to the brain extraction.

    Parameters
    ----------
    volume : Volume
        What is shown, RAS+.
    to_scan : callable
        Carries a mask of the shown shape (bool) onto the voxels of the scan (X, Y, Z).
    facts : mapping
        What was done to the scan, in plain JSON types; empty where it is shown as it is.
    """

    volume: Volume
    to_scan: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
    facts: dict[str, Any]


def look_at(volume: Volume, rotation: FloatArray | None = None) -> View:
    """Show a scan upright and cut to its head.

    Parameters
    ----------
    volume : Volume
        RAS+ scan, background at 0 (see `level`).
    rotation : ndarray of shape (3, 3), optional
        From the scan's millimetres to those in which the head stands upright, where the header is wrong about that.

    Returns
    -------
    View
        The scan itself, with the identity as way back, where its grid lies along the body and little surrounds the head.

    Notes
    -----
    A turned view has cubic voxels, interpolated once; only the mask comes back from it, the intensities do not.
    """
    turn = np.eye(3) if rotation is None else rotation
    linear = turn @ volume.affine[:3, :3]
    turned = rotation is not None or _angle_to_axes(linear) > OBLIQUE_DEG
    if turned:
        return _turned_view(volume, turn)
    return _cut_view(volume)


def head_extent_mm(volume: Volume) -> FloatArray:
    """Return how long the head is along the three axes of the scan, in mm; what lies far below the vertex is left out."""
    low, high = _head_box(volume.array, volume.affine)
    return np.asarray((high - low) * np.linalg.norm(volume.affine[:3, :3], axis=0))


def _cut_view(volume: Volume) -> View:
    low, high = _head_box(volume.array, volume.affine)
    sizes = np.linalg.norm(volume.affine[:3, :3], axis=0)
    shape = np.array(volume.array.shape)
    start = np.where(low * sizes > SPARE_MM, np.floor(low - MARGIN_MM / sizes), 0).astype(int)
    stop = np.where((shape - high) * sizes > SPARE_MM, np.ceil(high + MARGIN_MM / sizes), shape).astype(int)
    if not start.any() and (stop == shape).all():
        return View(volume, lambda mask: mask, {})
    window = tuple(slice(int(first), int(last)) for first, last in zip(start, stop, strict=True))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start

    def to_scan(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        whole = np.zeros(volume.array.shape, dtype=bool)
        whole[window] = mask
        return whole

    cut_mm = [[round(float(low * size), 1), round(float((count - high) * size), 1)]
              for low, high, count, size in zip(start, stop, shape, sizes, strict=True)]  # fmt: skip
    shown = _with(volume, np.ascontiguousarray(volume.array[window]), affine)
    return View(shown, to_scan, {"cut_off_mm": cut_mm})


def _turned_view(volume: Volume, turn: FloatArray) -> View:
    """Resample onto axes along the body, first coarsely to find the head, then its box alone."""
    from scipy import ndimage

    sizes = np.linalg.norm(volume.affine[:3, :3], axis=0)
    upright = np.eye(4)
    upright[:3, :3] = turn
    to_upright = upright @ volume.affine
    low_mm, high_mm = _corners(to_upright, volume.array.shape)
    blocks = np.maximum(1, np.round(_BLOCK_MM / sizes)).astype(int)
    # Means first: points 4 mm apart would pick single voxels, and their noise.
    smooth = ndimage.uniform_filter(volume.array, tuple(blocks)) if blocks.max() > 1 else volume.array
    coarse, coarse_affine = _resample(smooth, to_upright, low_mm, high_mm, _BLOCK_MM)
    low, high = _head_box(coarse, coarse_affine)
    head_low = np.maximum(coarse_affine[:3, 3] + (low - 0.5) * _BLOCK_MM - MARGIN_MM, low_mm)
    head_high = np.minimum(coarse_affine[:3, 3] + (high - 0.5) * _BLOCK_MM + MARGIN_MM, high_mm)
    spacing = max(float(sizes.min()), FINEST_MM)
    array, affine = _resample(volume.array, to_upright, head_low, head_high, spacing, 3 if spacing > COARSE_MM else 1)

    def to_scan(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        matrix = np.linalg.inv(affine) @ to_upright
        share = ndimage.affine_transform(
            mask.astype(np.float32), matrix[:3, :3], matrix[:3, 3],
            output_shape=volume.array.shape, output=np.float32, order=1, mode="constant", prefilter=False,
        )  # fmt: skip
        return np.asarray(share > 0.5)

    facts = {"turned_deg": round(_angle_to_axes(to_upright[:3, :3]), 1), "spacing_mm": round(spacing, 3)}
    return View(_with(volume, array, affine), to_scan, facts)


def _head_box(array: FloatArray, affine: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First voxel of the head along each axis, and the one after its last; the whole array where no head stands out.

    Axes lie about along the body, the third one upwards. The head begins at its vertex and ends `HEIGHT_MM` below; how wide
    it is counts above the shoulders only.
    """
    from scipy import ndimage

    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    blocks = np.maximum(1, np.round(_BLOCK_MM / sizes)).astype(int)
    means = _block_means(array, blocks)
    level = _otsu(np.clip(means, 0, np.percentile(means, _BRIGHTEST)))
    labels, count = ndimage.label(means > _OF_OTSU * level)
    whole = np.zeros(3, dtype=np.int64), np.array(array.shape, dtype=np.int64)
    if not count:
        return whole
    head = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    step_mm = blocks * sizes
    filled = np.flatnonzero(head.any(axis=(0, 1)))
    top = int(filled[-1]) + 1
    bottom = max(int(filled[0]), top - int(np.ceil(HEIGHT_MM / step_mm[2])))
    wide = head[:, :, max(0, top - int(np.ceil(WIDEST_MM / step_mm[2]))) : top]
    low, high = np.array([0, 0, bottom]), np.array([0, 0, top])
    for axis in (0, 1):
        used = np.flatnonzero(wide.any(axis=(1 - axis, 2)))
        low[axis], high[axis] = used[0], used[-1] + 1
    return low * blocks, np.minimum(high * blocks, whole[1])


def _block_means(array: FloatArray, blocks: NDArray[np.int64]) -> FloatArray:
    """Means of whole blocks; what remains at the far faces is filled up with its edge."""
    spread = [(0, -size % int(block)) for size, block in zip(array.shape, blocks, strict=True)]
    padded = np.pad(array, spread, mode="edge") if any(after for _, after in spread) else array
    x, y, z = (int(block) for block in blocks)
    a, b, c = (size // block for size, block in zip(padded.shape, (x, y, z), strict=True))
    return np.asarray(padded.reshape(a, x, b, y, c, z).mean(axis=(1, 3, 5), dtype=np.float32))


def _otsu(values: FloatArray) -> float:
    """Threshold between dark and bright that leaves the least variance within each (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts).astype(np.float64)
    sums = np.cumsum(counts * centres)
    between = (sums[-1] * below / below[-1] - sums) ** 2 / np.maximum(below * (below[-1] - below), 1)
    return float(centres[between.argmax()])


def _resample(
    array: FloatArray, to_mm: FloatArray, low_mm: FloatArray, high_mm: FloatArray, spacing: float, order: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Return the box between two corners on cubic voxels, and its affine; 0 outside the scan."""
    from scipy import ndimage

    shape = tuple(int(count) for count in np.maximum(np.ceil((high_mm - low_mm) / spacing), 2))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (low_mm + high_mm) / 2 - spacing * (np.array(shape) - 1) / 2
    matrix = np.linalg.inv(to_mm) @ affine
    values = ndimage.affine_transform(
        array, matrix[:3, :3], matrix[:3, 3],
        output_shape=shape, output=np.float32, order=order, mode="constant", prefilter=order > 1,
    )  # fmt: skip
    return np.maximum(values, 0) if order > 1 and float(array.min()) >= 0 else np.asarray(values), affine


def _corners(affine: FloatArray, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Smallest box along the axes of the millimetres that holds the whole grid."""
    ends = np.array([(-0.5, size - 0.5) for size in shape])
    points = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]
    return points.min(axis=0), points.max(axis=0)


def _angle_to_axes(linear: FloatArray) -> float:
    """Largest angle between a column and the nearest axis, in degrees."""
    directions = np.abs(linear / np.linalg.norm(linear, axis=0)).max(axis=0)
    return float(np.degrees(np.arccos(np.clip(directions, 0, 1))).max())


def _with(volume: Volume, array: FloatArray, affine: FloatArray) -> Volume:
    return Volume(array, affine, SourceGrid(array.shape, affine), volume.flags, volume.facts)
