"""MP2RAGE's uniform image: a good T1 head in air that is nothing but noise.

The image is a ratio of two signals (Marques et al. 2010, doi:10.1016/j.neuroimage.2009.10.002), and where there is no signal the ratio of
two noises takes any value between its ends. Such air looks like a damaged file, and no brain extraction was taught on it.
"""

from __future__ import annotations

import numpy as np

from adclip.domain import FloatArray

BLOCKS = 10  # along each axis: 1.5 to 3 cm, which is air or head
_LOOKED_AT = 10  # voxels of each block along each axis: the correlation of white noise is then below 0.15
HEAD_CORRELATION, NOISE_CORRELATION = (
    0.5,
    0.2,
)  # of neighbours; tissue of three real heads 0.8 and more, white noise 0.1 at most
HEAD_SHARE, NOISE_SHARE = 0.05, 0.1  # of all blocks
FILLS = 0.15  # SD of the air, as a share of the image's range: even noise has 0.29, the dark air of other scans 0.05
MIDDLE = (0.35, 0.65)  # where between darkest and brightest the air's mean lies


def is_uni(values: FloatArray) -> bool:
    """Tell whether an image is a head in air whose noise fills the whole range of values.

    Parameters
    ----------
    values : ndarray of shape (X, Y, Z), float32
        Finite values in any unit.
    """
    low, high = (float(value) for value in np.percentile(values[::2, ::2, ::2], (0.1, 99.9)))
    if not high > low:
        return False
    head_blocks, noise_means = 0, []
    few = slice(_LOOKED_AT)
    blocks = [
        block[few, few, few]
        for slab in np.array_split(values, BLOCKS, axis=0)
        for row in np.array_split(slab, BLOCKS, axis=1)
        for block in np.array_split(row, BLOCKS, axis=2)
    ]
    for block in blocks:
        correlation = _correlate(block)
        head_blocks += correlation >= HEAD_CORRELATION
        if abs(correlation) <= NOISE_CORRELATION and float(block.std()) >= FILLS * (high - low):
            noise_means.append(float(block.mean()))
    if head_blocks < HEAD_SHARE * len(blocks) or len(noise_means) < NOISE_SHARE * len(blocks):
        return False
    return MIDDLE[0] <= (float(np.median(noise_means)) - low) / (high - low) <= MIDDLE[1]


def _correlate(block: FloatArray) -> float:
    """Return the correlation of neighbours from front to back; 0 where nothing varies."""
    before, after = (part.astype(np.float64).ravel() for part in (block[:, :-1], block[:, 1:]))
    if before.size < 2:
        return 0.0
    before, after = before - before.mean(), after - after.mean()
    scale = float(np.sqrt((before @ before) * (after @ after)))
    return float(before @ after) / scale if scale > 0 else 0.0
