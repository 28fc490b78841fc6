"""One scale for all scans, whatever program rescaled them: background at 0, tissue above it.

Scanners paint air black and no unit means anything. Programs then shift and stretch the values: z-scores, [-1, 1], a
constant added for an unsigned type. Bias correction takes logarithms and local contrast is measured against white
matter, so both need the true zero; it is looked for once, here, in a way that a rescaling a * x + b (a > 0) moves along.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray

# Share of one exact value among the outer faces. Cut-out brains and heads whose air was set to a constant: 0.85 to 0.96
# (IXI, OASIS-1). Rounded Rayleigh noise has 0.56 at most, where its SD is one grey level, and loses a grey level then.
CONSTANT_SHARE = 0.5
INSIDE_SHARE = 0.2  # suffices where tissue lies on both sides of that value, as air and rounded noise never do
INSIDE_DEPTH = 0.05  # of the range: tissue this far below the background is no ringing of an interpolation
LOWEST = 0.1  # percentile taken for black where nothing is constant: 0.045 SD of noise in air, single voxels left out
TISSUE = (1.0, 99.0)  # percentiles between which the range is measured
TARGET = 512.0  # the range lands in [512, 1024)
MOST_EXPONENT = 100.0  # keeps products within float32
FAINTEST = 2.0**-10  # tissue at or below black, where 0 means background
_VOXELS = 1_000_000  # looked at for percentiles


@dataclass(frozen=True)
class IntensityLevel:
    """How values of the file became the values that every later step sees: `(value - zero) * scale`.

    Parameters
    ----------
    zero : float
        Value of the file that became 0.
    scale : float
        A power of two, so that a scan whose zero is right loses no digit.
    background : str
        `constant`: one exact value surrounds the head, and is `zero`. `inside`: one exact value surrounds it, but tissue
        lies below (z-scores of the brain with 0 outside); tissue starts at `zero` and the surroundings are 0. `none`:
        nothing is constant, `zero` is the darkest there is.
    """

    zero: float
    scale: float
    background: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"zero": self.zero, "scale": self.scale, "background": self.background}

    def to_file(self, value: float) -> float:
        """Return the value of the file that a levelled value came from."""
        return value / self.scale + self.zero


def level(array: FloatArray) -> tuple[FloatArray, IntensityLevel]:
    """Move the background to 0 and stretch the range to that of a usual scan.

    Parameters
    ----------
    array : ndarray of shape (X, Y, Z), float32
        Values of the file, RAS+ so that the answer does not depend on the order in the file; not all equal.

    Returns
    -------
    levelled : ndarray of shape (X, Y, Z), float32
    how : IntensityLevel
    """
    edge, share = _edge_value(array)
    step = max(1, round((array.size / _VOXELS) ** (1 / 3)))
    sample = array[::step, ::step, ::step].ravel()
    tissue = sample[sample != edge] if share >= INSIDE_SHARE else sample
    if not len(tissue):
        tissue = sample
    low, high = (float(value) for value in np.percentile(tissue, TISSUE))
    background, zero = "none", float(np.percentile(sample, LOWEST, method="lower"))
    if share >= INSIDE_SHARE and edge - low > INSIDE_DEPTH * (high - low):
        background, zero = "inside", float(np.percentile(tissue, LOWEST, method="lower"))
    elif share >= CONSTANT_SHARE:
        background, zero = "constant", edge
    if not high > zero:  # a few voxels in a sea of background
        high = float(array.max())
    exponent = math.log2(TARGET) - math.floor(math.log2(high - zero)) if high > zero else 0.0
    scale = 2.0 ** min(max(exponent, -MOST_EXPONENT), MOST_EXPONENT)
    how = IntensityLevel(zero=zero, scale=scale, background=background)
    if background == "inside":
        outside = _surroundings(array == np.float32(edge))
        levelled = np.maximum((array - np.float32(zero)) * np.float32(scale), np.float32(FAINTEST))
        levelled[outside] = 0
        return levelled, how
    if (zero, scale) == (0.0, 1.0):
        return array, how
    return (array - np.float32(zero)) * np.float32(scale), how


def _edge_value(array: FloatArray) -> tuple[float, float]:
    """Return the commonest exact value of the six outer faces, and its share of them."""
    faces = np.concatenate([np.take(array, place, axis).ravel() for axis in range(3) for place in (0, -1)])
    values, counts = np.unique(faces, return_counts=True)
    return float(values[counts.argmax()]), float(counts.max() / counts.sum())


def _surroundings(equal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep what is connected with the outer faces: a brain may hold the value of the background as well."""
    from scipy import ndimage

    labels, count = ndimage.label(equal)
    reaches_edge = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        for place in (0, -1):
            reaches_edge[np.take(labels, place, axis)] = True
    reaches_edge[0] = False
    return np.asarray(reaches_edge[labels])
