"""Planes of MNI space through a scan and a map on it, with pixels as fine as the scan's finest voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray

NEIGHBOURS_MM = 16.0  # from the planes through the peak to those beside them
WINDOW = (1.0, 99.7)  # percentiles of the brain's intensities that become 0 and 1
_FINEST_MM, _COARSEST_MM = 0.5, 2.0  # of a pixel
_ROOM_MM = 4.0  # around the brain


@dataclass(frozen=True)
class Cut:
    """One plane: picture in [0, 1], brain, map and region as rows of columns, and (left, right, bottom, top) in mm."""

    picture: FloatArray
    brain: NDArray[np.bool_]
    heat: FloatArray
    outline: FloatArray | None
    extent: tuple[float, float, float, float]


class View:
    """A scan and a map as planes of MNI space; `low`, `high` and `peak_mm` are corners of the brain and the map's peak."""

    def __init__(
        self, scan: NDArray[Any], mask: NDArray[np.bool_], to_mni: FloatArray, heat: FloatArray, heat_affine: FloatArray,
        outline: NDArray[np.bool_] | None,
    ) -> None:  # fmt: skip
        # what lies outside is left out before it is interpolated: it must not shine in at the edge
        self._scan, self._mask, self._heat = np.where(mask, scan, 0).astype(np.float32), mask.astype(np.float32), heat
        self._outline = None if outline is None else outline.astype(np.float32)
        self._from_mni, self._to_heat = np.linalg.inv(to_mni), np.linalg.inv(heat_affine)
        self.voxel_mm = np.linalg.norm(to_mni[:3, :3], axis=0)
        self._pixel = float(np.clip(self.voxel_mm.min(), _FINEST_MM, _COARSEST_MM))
        some = np.argwhere(mask[::3, ::3, ::3]) * 3
        corners = (some if len(some) else np.array([[0, 0, 0], mask.shape])) @ to_mni[:3, :3].T + to_mni[:3, 3]
        room = _ROOM_MM + self.voxel_mm.max()
        self.low, self.high = corners.min(axis=0) - room, corners.max(axis=0) + room
        inside = scan[mask] if mask.any() else scan.reshape(-1)
        self._dark, self._bright = (
            float(value) for value in np.percentile(inside[:: max(len(inside) // 200_000, 1)], WINDOW)
        )
        if heat.any():
            # what speaks for the target comes first, as on the page; where nothing does, what speaks most against it
            strongest = heat if heat.max() > 0 else -heat
            index = np.array(np.unravel_index(int(np.argmax(strongest)), heat.shape))
            self.peak_mm = np.clip(heat_affine[:3, :3] @ index + heat_affine[:3, 3], self.low, self.high)
        else:
            self.peak_mm = corners.mean(axis=0)

    def places(self, axis: int) -> tuple[float, float, float]:
        """Return where the planes lie: through the peak, below and above it, all of them in the brain."""
        middle = float(self.peak_mm[axis])
        low, high = float(self.low[axis]) + 3 * _ROOM_MM, float(self.high[axis]) - 3 * _ROOM_MM
        return (
            middle,
            min(max(middle - NEIGHBOURS_MM, low), middle - 2),
            max(min(middle + NEIGHBOURS_MM, high), middle + 2),
        )

    def cut(self, axis: int, place_mm: float) -> Cut:
        """Sample one plane."""
        from scipy.ndimage import map_coordinates

        across, up = (other for other in range(3) if other != axis)
        counts = [max(int((self.high[one] - self.low[one]) / self._pixel), 2) for one in (across, up)]
        steps = [
            self.low[one] + (np.arange(count) + 0.5) * (self.high[one] - self.low[one]) / count
            for one, count in zip((across, up), counts, strict=True)
        ]
        points = np.empty((3, counts[1], counts[0]))
        points[axis], points[across], points[up] = place_mm, steps[0][None, :], steps[1][:, None]

        def sample(array: NDArray[Any], matrix: FloatArray) -> FloatArray:
            index = np.tensordot(matrix[:3, :3], points, 1) + matrix[:3, 3, None, None]
            result: FloatArray = map_coordinates(array, index, np.float32, order=1, mode="grid-constant")
            return result

        share = sample(self._mask, self._from_mni)
        brain = share > 0.5
        scaled = (sample(self._scan, self._from_mni) / np.maximum(share, 0.5) - self._dark) / max(
            self._bright - self._dark, 1e-6
        )
        return Cut(
            np.where(brain, np.clip(scaled, 0, 1), 0),
            brain,
            np.where(brain, sample(self._heat, self._to_heat), 0),
            None if self._outline is None else sample(self._outline, self._to_heat),
            (float(self.low[across]), float(self.high[across]), float(self.low[up]), float(self.high[up])),
        )
