"""What the voxels themselves say: finite, an image, and an image of the right sort. No import beyond NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.imaging.formats import errors as formats_errors
from adclip.imaging.formats.mp2rage import is_uni

CT_AIR = -200.0  # Hounsfield units: air is -1000, fat -100; T1 magnitudes have no large negatives
CT_AIR_SHARE = 0.1
FEWEST_VALUES = 8
# Equal neighbours in the foreground. 62 T1 scans (IXI uint8, OASIS-1, Trio): 0.04 to 0.17; 69 label maps (DLMUSE,
# SynthSeg): 0.76 to 0.89.
FLAT_SHARE = 0.5
# Correlation of neighbouring foreground voxels. The same 62 scans: 0.82 and more; painted noise: below 0.01, and 0.26
# after a blur of half a voxel.
LEAST_CORRELATION = 0.4
_WRAP_FROM, _WRAP_JUMP, _WRAP_PAIRS = 30000, 60000, 10  # int16 ends at 32767
_PLANES = 24  # sagittal planes looked at for the texture: a million voxels of a 1 mm scan
_SLAB = 16


def to_float(stored: NDArray[Any], slope: float, intercept: float) -> FloatArray:
    """Scale stored numbers of shape (X, Y, Z), in any memory order, to contiguous float32.

    Notes
    -----
    Scaled in float64 first, slab by slab, so that the result is the one a float copy of the same scan would hold and no
    second volume is needed.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if (slope, intercept) == (1.0, 0.0):
            return stored.astype(np.float32, order="C")
        if stored.dtype.kind in "iu" and stored.dtype.itemsize == 1:  # 256 products instead of millions
            codes = np.arange(256, dtype=np.uint8).view(stored.dtype.newbyteorder("="))
            table = (codes.astype(np.float64) * slope + intercept).astype(np.float32)
            return np.asarray(table[np.ascontiguousarray(stored).view(np.uint8)])
        result = np.empty(stored.shape, dtype=np.float32)
        slowest = int(np.argmax(np.abs(stored.strides)))
        source, target = np.moveaxis(stored, slowest, 0), np.moveaxis(result, slowest, 0)
        for start in range(0, source.shape[0], _SLAB):
            part = source[start : start + _SLAB].astype(np.float64)
            part *= slope
            part += intercept
            target[start : start + _SLAB] = part
        return result


def check_values(path: Path, values: FloatArray, stored: NDArray[Any]) -> None:
    """Refuse what is no T1 image.

    Parameters
    ----------
    path : Path
        The file, for errors.
    values : ndarray of shape (X, Y, Z), float32
        Scaled, in RAS+ order, so that the answer does not depend on the order in the file.
    stored : ndarray of shape (I, J, K)
        As on disk.

    Raises
    ------
    ScanError
        If voxels are not finite, all equal, a mask, a label map, CT, noise, or wrapped around.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):  # one NaN makes both NaN
        bad = int(values.size - np.isfinite(values).sum())
        if stored.dtype.kind in "iu" or np.isfinite(stored).all():
            raise formats_errors.overflow(path)
        raise formats_errors.not_finite(path, bad)
    if low == high:
        raise formats_errors.constant(path)
    sample = values[values.shape[0] // 8 :: max(1, values.shape[0] // _PLANES)]
    if low <= -_WRAP_FROM and high >= _WRAP_FROM and stored.dtype.kind == "i" and stored.dtype.itemsize == 2:
        jumps = np.abs(np.diff(sample, axis=2)) > _WRAP_JUMP
        if int(jumps.sum()) >= _WRAP_PAIRS and low >= -32768 and high <= 32767:
            raise formats_errors.wrapped(path)
    if low <= 2 * CT_AIR and high > -CT_AIR and float((sample <= CT_AIR).mean()) > CT_AIR_SHARE:
        raise formats_errors.ct_like(path)
    _check_texture(path, values, sample)


def _check_texture(path: Path, values: FloatArray, sample: FloatArray) -> None:
    step = max(1, round((sample.size / 2**16) ** 0.5))
    distinct, counts = np.unique(sample[:, ::step, ::step], return_counts=True)
    if len(distinct) <= 2 and _is_mask(values):
        raise formats_errors.mask(path)
    background = distinct[counts.argmax()]
    flat: list[float] = []
    correlation: list[float] = []
    for before, after in ((sample[:, :-1], sample[:, 1:]), (sample[:, :, :-1], sample[:, :, 1:])):
        inside = (before != background) & (after != background)
        first, second = before[inside], after[inside]
        flat.append(float((first == second).mean()) if len(first) else 1.0)
        correlation.append(_correlate(first, second))
    if len(distinct) < FEWEST_VALUES or max(flat) > FLAT_SHARE:
        raise formats_errors.label_map(path, len(distinct))
    if max(correlation) < LEAST_CORRELATION:
        raise formats_errors.uni(path) if is_uni(values) else formats_errors.noise(path)


def _is_mask(values: FloatArray) -> bool:
    low, high = values.min(), values.max()
    return bool(((values == low) | (values == high)).all())


def _correlate(first: FloatArray, second: FloatArray) -> float:
    if len(first) < 2:
        return 0.0
    x = first.astype(np.float64) - first.mean(dtype=np.float64)
    y = second.astype(np.float64) - second.mean(dtype=np.float64)
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else 1.0
