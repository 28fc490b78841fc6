"""Where the structures of a scan lie in MNI space, out of what the networks that measure it say."""

from __future__ import annotations

import numpy as np

from adclip.domain import FloatArray, InputContract
from adclip.imaging.volumes import medial_temporal, segmenter

PlacedMap = tuple[FloatArray, FloatArray]  # probabilities (x, y, z), and their affine (4, 4) from voxel to MNI mm
LATERAL = "lateral ventricle"
_LEAST = 0.01  # probabilities below are taken for 0: a softmax is 0 nowhere


def place_structures(whole: FloatArray, lobes: FloatArray) -> dict[str, PlacedMap]:
    """Return the structures of both sides with their places.

    Parameters
    ----------
    whole : ndarray (11, 104, 128, 112)
        What `segmenter.segment` returns.
    lobes : ndarray (2, 9, 48, 64, 56)
        What `medial_temporal.segment_medial_temporal` returns.

    Returns
    -------
    dict
        `hippocampus_left` and so on -> probabilities in [0, 1] and their affine. Hippocampus, amygdala and temporal horn are those
        of the close look at 1 mm; the lateral ventricle is that of the whole brain at 1.5 mm, without the temporal horn.
    """
    placed: dict[str, PlacedMap] = {}
    for name in medial_temporal.STRUCTURES:
        right, left = (_without_dust(lobes[side][medial_temporal.CLASSES.index(name)]) for side in (0, 1))
        key = name.replace(" ", "_")
        placed[f"{key}_left"] = np.ascontiguousarray(left[::-1]), medial_temporal.BOX.affine_xyz
        placed[f"{key}_right"] = right, _from_row(medial_temporal.BOX, -medial_temporal.SIDE)
    ventricle = _without_dust(whole[segmenter.CLASSES.index(LATERAL)])
    middle = ventricle.shape[0] // 2
    key = LATERAL.replace(" ", "_")
    halves = {"left": (ventricle[:middle], 0), "right": (ventricle[middle:], middle)}
    for side, (half, start) in halves.items():
        affine = _from_row(segmenter.BOX, start)
        placed[f"{key}_{side}"] = half * (1 - _fine_on(half.shape, affine, placed, side)), affine
    return placed


def _without_dust(probability: FloatArray) -> FloatArray:
    return np.where(probability < _LEAST, 0, probability).astype(np.float32)


def _from_row(box: InputContract, start: int) -> FloatArray:
    """Return the affine of what is left of a box where the first rows along X are cut off; a negative number counts from the end."""
    affine = box.affine_xyz
    affine[0, 3] += affine[0, 0] * (start if start >= 0 else box.shape_xyz[0] + start)
    return affine


def _fine_on(shape: tuple[int, ...], affine: FloatArray, placed: dict[str, PlacedMap], side: str) -> FloatArray:
    """Return how much of each voxel the structures of the close look have already: the finer network has the last word."""
    from scipy.ndimage import affine_transform

    total = np.zeros(shape, dtype=np.float32)
    for name in medial_temporal.STRUCTURES:
        share, own = placed[f"{name.replace(' ', '_')}_{side}"]
        matrix = np.linalg.inv(own) @ affine
        total += affine_transform(share, matrix[:3, :3], matrix[:3, 3], shape, order=1, mode="grid-constant")
    return np.clip(total, 0, 1)
