"""A head that lies otherwise than its header says: how far it is turned, found by looking at it from several sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, Volume
from adclip.imaging.steps.brain import SkullStripper
from adclip.imaging.steps.register import CONVINCING, fit_upright
from adclip.imaging.steps.rotations import about, nearest_rotation
from adclip.imaging.steps.view import look_at

# Of the head against the header's upright. 59 IXI heads lie within 28 degrees and are looked at once; beyond, the mask suffers:
# of one of them, IXI226-HH-1618, tilted by 45 degrees forwards and backwards, it was 1.3 and 1.9 times as large (2026-11-30).
TILTED_DEG = 30.0
STEP_DEG = (
    40.0  # of the sides from which a head is looked at; brain extraction copes with 25 degrees to either side of each
)
LEAST_LEAD = 0.1  # by which another side must fit better than the header's own
_LEAST_SHARE = 1e-3  # of the voxels: less is no brain


def tilt_degrees(scan_to_mni: FloatArray) -> float:
    """Return the angle between a head and the header's upright, 0 to 180 degrees."""
    rotation = nearest_rotation(scan_to_mni[:3, :3])
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def find_turn(volume: Volume, stripper: SkullStripper, correlation: float) -> FloatArray | None:
    """Look at a head from six more sides, until one of them shows a brain where the template has one.

    Parameters
    ----------
    volume : Volume
        RAS+ scan, background at 0.
    stripper : SkullStripper
        Finds the brain in each view.
    correlation : float
        How well the brain fits that was found from the header's own side, -1 to 1.

    Returns
    -------
    ndarray of shape (3, 3) or None
        From the scan's millimetres to those in which the head stands upright; None where no side fits clearly better.

    Notes
    -----
    Each side costs a brain extraction, so this is for scans that would be refused otherwise. Nodding is tried first: it is
    the commonest way to lie wrongly.
    """
    best: FloatArray | None = None
    best_correlation = correlation + LEAST_LEAD
    for axis in (0, 2, 1):
        for degrees in (-STEP_DEG, STEP_DEG):
            side = about(axis, degrees)
            found, rotation = _fit(volume, side, look_for_brain(volume, stripper, side))
            if found > best_correlation:
                best, best_correlation = rotation @ side, found
            if best_correlation >= CONVINCING and best is not None:
                return best
    return best


def look_for_brain(volume: Volume, stripper: SkullStripper, rotation: FloatArray | None = None) -> NDArray[np.bool_]:
    """Return the brain mask on the scan's own voxels, found in the view that `look_at` gives."""
    view = look_at(volume, rotation)
    return view.to_scan(stripper(view.volume))


def turned(affine: FloatArray, rotation: FloatArray | None) -> FloatArray:
    """Return an affine (4, 4) into the millimetres that `rotation` (3, 3) leads to."""
    if rotation is None:
        return affine
    full = np.eye(4)
    full[:3, :3] = rotation
    return np.asarray(full @ affine)


def _fit(volume: Volume, side: FloatArray, mask: NDArray[np.bool_]) -> tuple[float, FloatArray]:
    from scipy import ndimage

    if mask.mean() < _LEAST_SHARE:
        return -1.0, np.eye(3)
    (window,) = ndimage.find_objects(mask.astype(np.uint8))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in window])
    return fit_upright(volume.array[window], turned(affine, side), mask[window])
