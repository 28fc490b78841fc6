"""A displacement of a scan's voxels, and what it does to images and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import BoolArray, FloatArray

MARGIN = 12  # voxels round what is interpolated, where a cubic spline has forgotten the edge

Floats = NDArray[np.float64]
Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Deformation:
    """Where each voxel takes its content from.

    Parameters
    ----------
    window : tuple of slice
        The box that everything that moves lies in.
    places : ndarray (3, x, y, z)
        For each voxel of the box the index, in voxels of the box, of its content before.
    moved : ndarray (X, Y, Z), bool
        Voxels whose content comes from elsewhere.
    obtained : tuple of float
        Volume of each region after over before, measured on the region carried along.
    """

    window: Window
    places: Floats
    moved: BoolArray
    obtained: tuple[float, ...]

    def carry(self, share: NDArray[Any]) -> NDArray[np.float32]:
        """Move a mask or a share (X, Y, Z) along, by linear interpolation, so that its sum is a volume; float32."""
        from scipy.ndimage import map_coordinates

        carried = np.array(share, dtype=np.float32)
        inside, box = self.moved[self.window], carried[self.window]
        box[inside] = map_coordinates(box.copy(), self.places[:, inside], order=1, mode="nearest")
        return carried

    def move(self, image: FloatArray, brain: BoolArray | None = None) -> FloatArray:
        """Move an image along, by one cubic interpolation of the image as it was.

        Parameters
        ----------
        image : ndarray (X, Y, Z)
        brain : ndarray (X, Y, Z), bool, optional
            Outside it the image is 0, and stays 0 outside the brain carried along.

        Returns
        -------
        ndarray (X, Y, Z)
            Within the range of the image, of its type; where nothing moved its very bits.
        """
        from scipy.ndimage import map_coordinates, spline_filter

        result = image.copy()
        if not self.moved.any():
            return result
        wide, shift = _widen(self.window, image.shape, MARGIN)
        waves = spline_filter(image[wide].astype(np.float64), order=3)
        inside = self.moved[self.window]
        found = map_coordinates(waves, self.places[:, inside] + shift[:, None], order=3, mode="mirror", prefilter=False)
        found = np.clip(found, float(image.min()), float(image.max()))
        if brain is not None:
            found[self.carry(brain)[self.window][inside] <= 0.5] = 0
        result[self.window][inside] = found
        return result

    def least_jacobian(self) -> float:
        """Return the smallest determinant of the map's derivative over the box, by differences to all eight sides of a voxel."""
        steps = [np.diff(self.places, axis=axis + 1) for axis in range(3)]
        least = np.inf
        for corner in np.ndindex(2, 2, 2):
            columns = []
            for axis in range(3):
                cut: list[slice] = [
                    slice(corner[other], None if corner[other] else -1) if other != axis else slice(None)
                    for other in range(3)
                ]
                columns.append(steps[axis][(slice(None), *cut)])
            matrix = np.stack(columns, axis=1)  # (3 of the place, 3 of the axis, voxels)
            least = min(least, float(np.linalg.det(np.moveaxis(matrix, (0, 1), (-2, -1))).min()))
        return least


def to_window(low: NDArray[Any], high: NDArray[Any]) -> Window:
    """Return the box from its first voxel to before its last."""
    x, y, z = (slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
    return x, y, z


def _widen(window: Window, shape: Sequence[int], margin: int) -> tuple[Window, Floats]:
    """Return a wider box, and how far its first voxel lies before that of the box."""
    low = np.array([max(part.start - margin, 0) for part in window])
    high = np.array([min(part.stop + margin, size) for part, size in zip(window, shape, strict=True)])
    return to_window(low, high), np.array([part.start for part in window], dtype=np.float64) - low
