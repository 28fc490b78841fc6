"""The inner wall of the skull, which no disease and no ageing moves.

The velocity of a driver (`drive`) is a gradient in free space: its source lies inside the head, but it flows on through the skull.
Left so, the cavity lost 0.8 to 2.0 % of its volume from severity 0 to 2.4. Here such a velocity loses the part that
points through the wall, and all of it beyond the wall; it may glide along. A flow that is tangential to a surface maps the inside of
that surface onto itself, however long it flows.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.simulation.anatomies import SHAPE_GRID, onto_shape_grid, read_head

# Depth below the wall, mm: up to the first the whole of the outward part is taken, from the second on nothing. The sulci open
# between them, so the layer is as thin as the grid allows.
HELD_TO_MM, FREE_FROM_MM = 1.5, 7.5
STILL_BEYOND_MM = 5.0  # outside the wall by this much, nothing moves


@lru_cache(maxsize=12)
def wall(path: Path | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Describe the inner wall of a head's skull on `SHAPE_GRID`.

    Returns
    -------
    outward : ndarray (3, X, Y, Z)
        Unit vectors away from the cavity; 0 where no direction is.
    held : ndarray (X, Y, Z)
        Share of the outward part that is taken from a velocity: 1 at the wall, 0 deep inside.
    moving : ndarray (X, Y, Z)
        Share of a velocity that is left at all: 1 inside, 0 well beyond the wall.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    head = read_head(path)
    inside = onto_shape_grid(head, head.intracranial) >= 0.5
    spacing_mm = SHAPE_GRID.spacing_xyz_mm
    depth = distance_transform_edt(inside, sampling=spacing_mm) - distance_transform_edt(~inside, sampling=spacing_mm)
    depth = gaussian_filter(depth.astype(np.float32), 1.0)
    slope = np.stack(np.gradient(depth, *spacing_mm))
    outward = -slope / np.maximum(np.linalg.norm(slope, axis=0), 1e-6)
    held = 1 - _ramp((depth - HELD_TO_MM) / (FREE_FROM_MM - HELD_TO_MM))
    moving = _ramp(1 + depth / STILL_BEYOND_MM)
    return outward.astype(np.float32), held, moving


def keep_inside(velocity: FloatArray, path: Path | None) -> FloatArray:
    """Return a velocity (3, X, Y, Z) on `SHAPE_GRID` without what would move the wall of the head at `path`."""
    outward, held, moving = wall(path)
    through = (velocity * outward).sum(axis=0)
    result: FloatArray = ((velocity - held * through * outward) * moving).astype(np.float32)
    return result


def _ramp(share: NDArray[np.float32]) -> FloatArray:
    """0 below 0, 1 above 1, smooth between."""
    inner = np.clip(share, 0, 1)
    result: FloatArray = (inner * inner * (3 - 2 * inner)).astype(np.float32)
    return result
