"""Volumes of brain structures, measured on the scan itself where no table has them.

An estimate, and told as one: every result carries the error that `tests/benchmarks/bench_volumes.py` measured against
DLMUSE on 59 healthy people (`assets/segmenter/accuracy.json`), and which structures its numbers add up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import SEGMENTER, FloatArray
from adclip.errors import WeightsError
from adclip.imaging.grid import to_grid
from adclip.imaging.segmenter import BOX, CLASSES, REMEDY, load_segmenter, segment, segmenter_version

METHOD = SEGMENTER
FIELDS = (
    "hippocampus_left_mm3", "hippocampus_right_mm3", "hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3", "icv_mm3",
)  # fmt: skip
DEFINITIONS: dict[str, str] = {
    "hippocampus_left_mm3": "left hippocampus",
    "hippocampus_right_mm3": "right hippocampus",
    "hippocampus_mm3": "left and right hippocampus",
    "ventricles_mm3": "lateral ventricles with inferior horns and choroid plexus, third and fourth ventricle",
    "whole_brain_mm3": "grey and white matter of cerebrum and cerebellum, deep nuclei, brain stem; no ventricle, no csf",
    "icv_mm3": "intracranial volume by atlas scaling: the template's volume over the determinant of the affine map",
}
VENTRICLE_CLASSES = ("lateral ventricle", "third and fourth ventricle")
TISSUE_CLASSES = (
    "grey matter", "white matter", "hippocampus", "amygdala", "deep grey matter", "cerebellum", "brain stem",
)  # fmt: skip
_PERCENTILES = (0.5, 99.5)  # of the brain's intensities, as in training (examples/segmenter/synthesis.py)


@dataclass(frozen=True)
class VolumeEstimate:
    """Volumes of one scan in its own cubic millimetres; `DEFINITIONS` says what each sums."""

    hippocampus_left_mm3: float
    hippocampus_right_mm3: float
    hippocampus_mm3: float
    ventricles_mm3: float
    whole_brain_mm3: float
    icv_mm3: float
    method: str
    version: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: the volumes, what they sum, and their measured error."""
        return {
            "method": self.method,
            "version": self.version,
            "volumes": {name: round(float(getattr(self, name)), 1) for name in FIELDS},
            "definitions": dict(DEFINITIONS),
            "measured_error": read_accuracy(),
        }


def measure_volumes(
    head: FloatArray, affine: FloatArray, mask: NDArray[np.bool_], scan_to_mni: FloatArray, device: str = "cpu"
) -> VolumeEstimate:
    """Measure hippocampi, ventricles, brain and intracranial volume of one scan.

    Parameters
    ----------
    head : ndarray of shape (X, Y, Z), float32
        Bias-corrected intensities, RAS+, arbitrary unit.
    affine : ndarray of shape (4, 4)
        Voxel index to scan millimetres.
    mask : ndarray of shape (X, Y, Z), bool
        Brain.
    scan_to_mni : ndarray of shape (4, 4)
        Scan millimetres to MNI millimetres, as `register_affine` finds it.
    device : str
        Where torch computes.

    Returns
    -------
    VolumeEstimate
        In cubic millimetres of the scan.

    Raises
    ------
    WeightsError
        If the shipped weights are absent or altered.

    Notes
    -----
    The scan is resampled once, from its own voxels, onto a 1.5 mm box in MNI space, and the segmenter's probabilities
    are summed there: a voxel that is half hippocampus counts as half. The sum is divided by the determinant of
    `scan_to_mni`. Intracranial volume is atlas scaling [1]_ with the brain instead of the head: it follows the size of
    the brain's outline, so that marked atrophy can lower it.

    References
    ----------
    .. [1] Buckner et al. 2004, doi:10.1016/j.neuroimage.2004.06.018.
    """
    probability = segment(to_segmenter_box(head, affine, mask, scan_to_mni), device)
    growth = abs(float(np.linalg.det(scan_to_mni[:3, :3])))
    voxel_mm3 = float(np.prod(BOX.spacing_mm)) / growth
    middle = BOX.shape_xyz[0] // 2
    by_side = {
        name: (
            float(probability[number, :middle].sum(dtype=np.float64)) * voxel_mm3,
            float(probability[number, middle:].sum(dtype=np.float64)) * voxel_mm3,
        )
        for number, name in enumerate(CLASSES)
    }
    left, right = by_side["hippocampus"]
    segmenter = load_segmenter()
    return VolumeEstimate(
        hippocampus_left_mm3=left,
        hippocampus_right_mm3=right,
        hippocampus_mm3=left + right,
        ventricles_mm3=sum(sum(by_side[name]) for name in VENTRICLE_CLASSES),
        whole_brain_mm3=sum(sum(by_side[name]) for name in TISSUE_CLASSES),
        icv_mm3=float(segmenter.record["icv"]["template_mm3"]) / growth,
        method=METHOD,
        version=segmenter.version,
    )


def to_segmenter_box(
    head: FloatArray, affine: FloatArray, mask: NDArray[np.bool_], scan_to_mni: FloatArray
) -> FloatArray:
    """Resample the stripped scan onto the segmenter's box, scaled to [0, 1]: shape (104, 128, 112), 0 outside."""
    low, high = (float(value) for value in np.percentile(head[mask], _PERCENTILES))
    scaled = np.where(mask, np.clip((head - low) / max(high - low, 1e-6), 0, 1), 0).astype(np.float32)
    return to_grid(scaled, affine, scan_to_mni, BOX)


def measured_by() -> str:
    """Return how adclip's own volumes name their source: the method and the segmenter's version."""
    return f"{METHOD} {segmenter_version()}"


@lru_cache(maxsize=1)
def read_accuracy() -> dict[str, Any]:
    """Read the error measured against DLMUSE, written by `tests/benchmarks/bench_volumes.py`.

    Returns
    -------
    dict
        `n`, `reference`, `data`, and for each volume the mean and standard deviation of the differences (mm3), the
        median absolute difference (%), and Pearson's r with its 95 % interval. Shared between callers; do not change.

    Raises
    ------
    WeightsError
        If the file is absent.
    """
    path = files("adclip") / "assets" / "segmenter" / "accuracy.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError("the volumes' measured error is missing from the installation", REMEDY) from None
    return record
