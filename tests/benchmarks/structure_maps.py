"""Probability of each structure in MNI space, from whatever networks this build has, and its overlap with DLMUSE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prepared_heads import AMYGDALA, HIPPOCAMPUS, INFERIOR_HORN, Head
from scipy import ndimage

from adclip.imaging.volumes import measure as volumes
from adclip.imaging.volumes.segmenter import BOX, CLASSES, segment

try:
    from adclip.imaging.volumes import medial_temporal
except ImportError:  # builds before the fine networks
    medial_temporal = None  # type: ignore[assignment]

SIDES = ("left", "right")
CODES = {"hippocampus": HIPPOCAMPUS, "amygdala": AMYGDALA, "inferior lateral ventricle": INFERIOR_HORN}


@dataclass(frozen=True)
class Map:
    """Probability on a box of MNI space."""

    probability: NDArray[np.float32]
    affine: NDArray[np.float64]

    def overlap(self, head: Head, truth: NDArray[np.bool_]) -> float:
        """Dice on the scan's own grid: probabilities interpolated there, more than a half counts."""
        assert head.labels_affine is not None
        to_box = np.linalg.inv(self.affine) @ head.scan_to_mni @ head.labels_affine
        there = ndimage.affine_transform(
            self.probability, to_box[:3, :3], to_box[:3, 3], output_shape=truth.shape, order=1
        )
        total = int((there > 0.5).sum() + truth.sum())
        return float(2 * ((there > 0.5) & truth).sum() / total) if total else 1.0


def structure_maps(head: Head) -> dict[str, Map]:
    """Return the medial temporal structures of each side, `hippocampus left` and so on, by the networks that measure them."""
    if medial_temporal is not None:
        return _fine(head)
    probability = segment(volumes.to_segmenter_box(*head.measurable()))
    middle = BOX.shape_xyz[0] // 2
    maps = {}
    for name in CODES:
        if name not in CLASSES:
            continue
        for side, half in zip(SIDES, (np.s_[:middle], np.s_[middle:]), strict=True):
            channel = np.zeros(BOX.shape_xyz, np.float32)
            channel[half] = probability[CLASSES.index(name), half]
            maps[f"{name} {side}"] = Map(channel, BOX.affine_xyz)
    return maps


def _fine(head: Head) -> dict[str, Map]:
    from adclip.imaging.steps.grid import to_grid

    box = medial_temporal.BOX
    inside = np.where(head.mask, head.head, 0)
    right, left = medial_temporal.segment_medial_temporal(to_grid(inside, head.affine, head.scan_to_mni, box))
    maps = {}
    for name in medial_temporal.STRUCTURES:
        place = medial_temporal.CLASSES.index(name)
        for side, found in zip(SIDES, (left[place], right[place]), strict=True):
            channel = np.zeros(box.shape_xyz, np.float32)
            channel[-len(found) :] = found
            maps[f"{name} {side}"] = Map(channel[::-1] if side == "left" else channel, box.affine_xyz)
    return maps


def truth_of(head: Head, name: str) -> NDArray[np.bool_]:
    """DLMUSE's voxels of `hippocampus left` and so on."""
    assert head.labels is not None
    structure, _, side = name.rpartition(" ")
    return np.asarray(head.labels == CODES[structure][SIDES.index(side)])


def raw_volumes(head: Head) -> dict[str, float]:
    """Return every volume as the networks measure it, before any calibration, in mm3."""
    measure: Callable[..., Any] = volumes.measure_volumes
    options = {"calibrated": False} if "calibrated" in measure.__annotations__ else {}
    found = measure(*head.measurable(), **options)
    return {name: float(getattr(found, name)) for name in volumes.FIELDS}
