"""What the voxels themselves say: finite, an image, and an image of the right sort. No import beyond NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.imaging.formats import errors as formats_errors
from adclip.imaging.formats.air import has_noise_of_full_range

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
SPIKE = 100.0  # times the usual range beyond it; vessels and fat of 62 T1 scans stay within once of it
SPIKES_SHARE = 1e-4  # of all voxels; more are an image of their own
_USUAL = (0.1, 99.9)
_SAMPLE = 1_000_000
# Fills of programs for "nothing here" end near 3.4e38. What no image reaches, and what the rest of an image stays below where it does
ABSURD, USUAL_SIZE = 1e30, 1e20
_FULL = float(np.finfo(np.float32).max)


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


def check_values(path: Path, values: FloatArray, stored: NDArray[Any], *, is_mr: bool = False) -> None:
    """Refuse what is no T1 image.

    Parameters
    ----------
    path : Path
        The file, for errors.
    values : ndarray of shape (X, Y, Z), float32
        Scaled, in RAS+ order, so that the answer does not depend on the order in the file.
    stored : ndarray of shape (I, J, K)
        As on disk.
    is_mr : bool
        Whether the file, or the user, says that this is MR, so that large negative values are none of CT.

    Raises
    ------
    ScanError
        If voxels are not finite, single ones far beyond all others, all equal, a mask, a label map, CT, noise, noise over the
        whole range in air, or wrapped around.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):  # one NaN makes both NaN
        bad = int(values.size - np.isfinite(values).sum())
        if stored.dtype.kind in "iu" or np.isfinite(stored).all():
            finite = np.nan_to_num(values)
            # one of 1e300 in a file of 64-bit numbers
            _check_spikes(path, finite, stored, float(finite.min()), float(finite.max()))
            raise formats_errors.overflow(path)
        raise formats_errors.not_finite(path, bad, values.size)
    if low == high:
        raise formats_errors.constant(path)
    _check_spikes(path, values, stored, low, high)
    _check_fill(path, values, stored, low, high)
    sample = values[values.shape[0] // 8 :: max(1, values.shape[0] // _PLANES)]
    if low <= -_WRAP_FROM and high >= _WRAP_FROM and stored.dtype.kind == "i" and stored.dtype.itemsize == 2:
        jumps = np.abs(np.diff(sample, axis=2)) > _WRAP_JUMP
        if int(jumps.sum()) >= _WRAP_PAIRS and low >= -32768 and high <= 32767:
            raise formats_errors.wrapped(path)
    below = float((sample <= CT_AIR).mean())
    if not is_mr and low <= 2 * CT_AIR and high > -CT_AIR and below > CT_AIR_SHARE:
        raise formats_errors.ct_like(path, below, low)
    if has_noise_of_full_range(values):
        raise formats_errors.noise_of_full_range(path)
    _check_texture(path, values, sample)


def _check_spikes(path: Path, values: FloatArray, stored: NDArray[Any], lowest: float, highest: float) -> None:
    """Refuse single voxels far beyond the range of all others: they would decide every sum that is made of the scan."""
    step = max(1, round((values.size / _SAMPLE) ** (1 / 3)))
    usual = np.percentile(values[::step, ::step, ::step], _USUAL).astype(np.float64)
    low, high = float(usual[0]), float(usual[1])
    room = SPIKE * (high - low)
    if room <= 0 or (highest <= high + room and lowest >= low - room):
        return
    count = int(((values > high + room) | (values < low - room)).sum())
    if count > SPIKES_SHARE * values.size:
        return
    # Scaling keeps the order, so the one furthest out is so in the file as well, whose indices a user sees in a viewer.
    middle = float(np.median(stored[::step, ::step, ::step]))
    far = np.abs(stored.astype(np.float64) - middle)
    place = tuple(int(index) for index in np.unravel_index(int(far.argmax()), stored.shape))
    extreme = highest if highest > high + room else lowest
    value = extreme if abs(extreme) < _FULL else float(stored[place])  # beyond 32 bits only the file itself knows it
    limit = max(abs(high + room), abs(low - room))  # between what is usual and what is not: vessels stay
    raise formats_errors.spikes(path, count, place, value, (low, high), limit)


def _check_fill(path: Path, values: FloatArray, stored: NDArray[Any], lowest: float, highest: float) -> None:
    """Refuse an image parts of which hold a number that no image reaches, however many voxels they are."""
    if max(highest, -lowest) < ABSURD:
        return
    beyond = np.abs(values) >= ABSURD
    others = values[~beyond & (values != 0)]
    if not len(others) or float(np.median(np.abs(others))) > USUAL_SIZE:
        return  # all of it is as large: a unit of its own
    far = np.abs(stored.astype(np.float64))
    place = tuple(int(index) for index in np.unravel_index(int(far.argmax()), stored.shape))
    value = highest if highest >= ABSURD else lowest
    limits = float(others.min()), float(others.max())
    raise formats_errors.fill(path, int(beyond.sum()), place, value, limits, ABSURD)


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
        raise formats_errors.noise(path)


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
