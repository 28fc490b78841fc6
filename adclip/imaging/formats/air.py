"""Air that holds noise over the whole range of values: what a quotient of two images has around the head.

MP2RAGE's UNI image (Marques et al. 2010, doi:10.1016/j.neuroimage.2009.10.002) divides one inversion by the other. Where there is no
signal the quotient is chance: any value between the darkest and the brightest, from voxel to voxel. Maps computed voxel by
voxel look the same there. A magnitude image is dark in air, whatever its noise.
"""

from __future__ import annotations

import numpy as np

from adclip.domain import FloatArray

# Measured on 13 real scans (IXI, Trio, OASIS-1), on one of them with noise of up to 30 % of its brightest tissue, and on quotients
# painted from two: shares of noise at most 0.04 against at least 0.2, with tissue.
BLOCK = 6  # voxels along an edge: 216 tell white noise from an image, and fit into the air round any head
# Squared difference of neighbours over twice the variance: 1 for white noise, 0.5 once it is interpolated by half a voxel.
ROUGH, SMOOTH = 0.6, 0.35
WIDE, NARROW = 0.14, 0.25  # SD of the values over their range: a uniform spread has 0.29
MIDDLE = (0.3, 0.7)  # mean of the noise in the range: a quotient's lies in its middle, that of a magnitude near black
BRIGHT = 0.2  # mean of tissue in the range, at least
NOISE_SHARE = 0.1  # of all blocks; around any head far more is air
TISSUE_SHARE = 0.05
_RANGE = (1.0, 99.0)
_MOST_BLOCKS = 4000


def has_noise_of_full_range(values: FloatArray) -> bool:
    """Tell a head in noise of the full range from a plain image, and from mere noise.

    Parameters
    ----------
    values : ndarray of shape (X, Y, Z), float32
        Finite, any unit.

    Returns
    -------
    bool
        True where at least a tenth of the blocks is white noise over the whole range and a twentieth is smooth tissue.

    Notes
    -----
    At most 4,000 blocks are looked at. Pure noise has no tissue and is False; so is a stripped or
    masked quotient, which is fit for use.
    """
    blocks = _blocks(values)
    low, high = np.percentile(blocks, _RANGE)
    if not high > low:
        return False
    flat = blocks.reshape(len(blocks), -1)
    spread = flat.std(axis=1) / (high - low)
    variance = np.maximum(flat.var(axis=1), 1e-12 * (high - low) ** 2)
    differences = [np.square(np.diff(blocks, axis=axis)).mean(axis=(1, 2, 3)) for axis in (1, 2, 3)]
    roughness = np.min(differences, axis=0) / (2 * variance)
    mean = (flat.mean(axis=1) - low) / (high - low)
    noise = (roughness > ROUGH) & (spread > WIDE) & (mean > MIDDLE[0]) & (mean < MIDDLE[1])
    tissue = (roughness < SMOOTH) & (spread < NARROW) & (mean > BRIGHT)
    return bool(noise.mean() >= NOISE_SHARE and tissue.mean() >= TISSUE_SHARE)


def _blocks(values: FloatArray) -> FloatArray:
    """Return evenly chosen cubes of `BLOCK` voxels, shape (N, BLOCK, BLOCK, BLOCK), float64."""
    counts = [size // BLOCK for size in values.shape]
    whole = values[tuple(slice(0, count * BLOCK) for count in counts)]
    x, y, z = counts
    cubes = whole.reshape(x, BLOCK, y, BLOCK, z, BLOCK)
    places = np.unique(np.linspace(0, x * y * z - 1, min(_MOST_BLOCKS, x * y * z)).astype(np.int64))
    first, second, third = np.unravel_index(places, (x, y, z))
    return np.asarray(cubes[first, :, second, :, third, :], dtype=np.float64)
