"""Volumes of brain structures, measured on the scan itself where no table has them.

An estimate, and told as one: every result carries the error that `tests/benchmarks/bench_volumes.py` measured against
DLMUSE on 59 healthy people (`assets/segmenter/accuracy.json`), and which structures its numbers add up. The same people
gave one factor for each structure that brings it to the MUSE scale, on which the norms are: programs draw borders
differently, by a constant share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.brain_volumes import BrainVolumes
from adclip.domain import SEGMENTER, FloatArray
from adclip.errors import WeightsError
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.volumes import medial_temporal
from adclip.imaging.volumes.medial_temporal import networks_version, segment_medial_temporal, sum_structures
from adclip.imaging.volumes.segmenter import BOX, CLASSES, REMEDY, load_segmenter, segment, segmenter_version
from adclip.imaging.volumes.structures import PlacedMap, place_structures

METHOD = SEGMENTER
UNCALIBRATED = "uncalibrated"  # version of volumes that are not on the MUSE scale
FIELDS = (
    "hippocampus_left_mm3", "hippocampus_right_mm3", "hippocampus_mm3",
    "amygdala_left_mm3", "amygdala_right_mm3", "amygdala_mm3",
    "inferior_lateral_ventricle_left_mm3", "inferior_lateral_ventricle_right_mm3", "inferior_lateral_ventricle_mm3",
    "ventricles_mm3", "whole_brain_mm3", "icv_mm3",
)  # fmt: skip
DEFINITIONS: dict[str, str] = {
    "hippocampus_left_mm3": "left hippocampus",
    "hippocampus_right_mm3": "right hippocampus",
    "hippocampus_mm3": "left and right hippocampus",
    "amygdala_left_mm3": "left amygdala",
    "amygdala_right_mm3": "right amygdala",
    "amygdala_mm3": "left and right amygdala",
    "inferior_lateral_ventricle_left_mm3": "left temporal horn with its choroid plexus",
    "inferior_lateral_ventricle_right_mm3": "right temporal horn with its choroid plexus",
    "inferior_lateral_ventricle_mm3": "left and right temporal horn with choroid plexus; part of ventricles_mm3",
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
    amygdala_left_mm3: float
    amygdala_right_mm3: float
    amygdala_mm3: float
    inferior_lateral_ventricle_left_mm3: float
    inferior_lateral_ventricle_right_mm3: float
    inferior_lateral_ventricle_mm3: float
    ventricles_mm3: float
    whole_brain_mm3: float
    icv_mm3: float
    method: str
    version: str

    def to_record(self) -> BrainVolumes:
        """Return the volumes, in tenths of a mm3, as a sidecar keeps them: with what they sum, and their measured error."""
        return BrainVolumes(
            source=f"{self.method} {self.version}",
            mm3={name: round(float(getattr(self, name)), 1) for name in FIELDS},
            definitions=dict(DEFINITIONS),
            measured_error=read_accuracy(),
        )


def measure_volumes(
    head: FloatArray,
    affine: FloatArray,
    mask: NDArray[np.bool_],
    scan_to_mni: FloatArray,
    device: str = "cpu",
    *,
    calibrated: bool = True,
) -> VolumeEstimate:
    """Measure hippocampi, amygdalae, temporal horns, ventricles, brain and intracranial volume of one scan.

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
    calibrated : bool
        Whether the volumes are brought to the MUSE scale by the factors of `read_accuracy`.

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
    The scan is resampled from its own voxels onto two boxes in MNI space, 1.5 mm for the whole brain (`segmenter`) and 1 mm
    for the medial temporal lobes (`medial_temporal`), and the networks' probabilities are summed there: a voxel that is
    half hippocampus counts as half. The sum is divided by the determinant of `scan_to_mni`. Intracranial volume is atlas scaling [1]_ with the brain instead of the head: it follows the size of
    the brain's outline, so that marked atrophy can lower it.

    References
    ----------
    .. [1] Buckner et al. 2004, doi:10.1016/j.neuroimage.2004.06.018.
    """
    return measure_structures(head, affine, mask, scan_to_mni, device, calibrated=calibrated)[0]


def measure_structures(
    head: FloatArray,
    affine: FloatArray,
    mask: NDArray[np.bool_],
    scan_to_mni: FloatArray,
    device: str = "cpu",
    *,
    calibrated: bool = True,
) -> tuple[VolumeEstimate, Mapping[str, PlacedMap]]:
    """Do what `measure_volumes` does, and return beside it where the structures lie: see `structures.place_structures`."""
    with one_thread():
        probability = segment(to_segmenter_box(head, affine, mask, scan_to_mni), device)
        lobes = to_grid(np.where(mask, head, 0), affine, scan_to_mni, medial_temporal.BOX)
        sides = segment_medial_temporal(lobes, device)
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
    fine_mm3 = float(np.prod(medial_temporal.BOX.spacing_mm)) / growth
    volumes_mm3: dict[str, float] = {}
    for name, (left, right) in sum_structures(sides, fine_mm3).items():
        column = name.replace(" ", "_")
        volumes_mm3 |= {f"{column}_left_mm3": left, f"{column}_right_mm3": right, f"{column}_mm3": left + right}
    volumes_mm3["ventricles_mm3"] = sum(sum(by_side[name]) for name in VENTRICLE_CLASSES)
    volumes_mm3["whole_brain_mm3"] = sum(sum(by_side[name]) for name in TISSUE_CLASSES)
    volumes_mm3["icv_mm3"] = float(load_segmenter().record["icv"]["template_mm3"]) / growth
    if calibrated:
        volumes_mm3 = {name: to_muse_scale(name, value) for name, value in volumes_mm3.items()}
        for name in medial_temporal.STRUCTURES:  # sides that end at 0 are still what both sum
            column = name.replace(" ", "_")
            volumes_mm3[f"{column}_mm3"] = volumes_mm3[f"{column}_left_mm3"] + volumes_mm3[f"{column}_right_mm3"]
    version = volumes_version() if calibrated else UNCALIBRATED
    return VolumeEstimate(**volumes_mm3, method=METHOD, version=version), place_structures(probability, sides)


def to_muse_scale(column: str, volume_mm3: float) -> float:
    """Bring a volume, as the networks measure it, to the MUSE scale.

    By the ratio of the means of DLMUSE and the networks over the people of `read_accuracy`; for the temporal horn by a line, because
    a closed horn is not measured as 0; never below 0. One rule serves both sides, as the networks treat them alike.
    """
    rule = read_accuracy()["volumes"][column]["calibration"]
    return max(volume_mm3 * float(rule["factor"]) + float(rule.get("offset_mm3", 0.0)), 0.0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: sums over threads end differently in their last digits, and reports print volumes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def volumes_version() -> str:
    """Return what measures: four digits each of three SHA-256.

    Of the whole-brain network, of the medial temporal ones, and of the factors to the MUSE scale.
    """
    factors = {column: row["calibration"] for column, row in read_accuracy()["volumes"].items()}
    digest = hashlib.sha256(json.dumps(factors, sort_keys=True).encode()).hexdigest()
    return segmenter_version()[:4] + networks_version()[:4] + digest[:4]


def to_segmenter_box(
    head: FloatArray, affine: FloatArray, mask: NDArray[np.bool_], scan_to_mni: FloatArray
) -> FloatArray:
    """Resample the stripped scan onto the segmenter's box, scaled to [0, 1]: shape (104, 128, 112), 0 outside."""
    low, high = (float(value) for value in np.percentile(head[mask], _PERCENTILES))
    scaled = np.where(mask, np.clip((head - low) / max(high - low, 1e-6), 0, 1), 0).astype(np.float32)
    return to_grid(scaled, affine, scan_to_mni, BOX)


def measured_by() -> str:
    """Return how adclip's own volumes name their source: the method and the version of its networks."""
    return f"{METHOD} {volumes_version()}"


@lru_cache(maxsize=1)
def read_accuracy() -> dict[str, Any]:
    """Read the error measured against DLMUSE, written by `tests/benchmarks/bench_volumes.py`.

    Returns
    -------
    dict
        `n`, `reference`, `data`, and for each volume the calibration (factor to the MUSE scale and its n), and of the
        calibrated volumes the mean and standard deviation of the differences (mm3), the median absolute difference (%), and
        Pearson's r with its 95 % interval. Shared between callers; do not change.

    Raises
    ------
    WeightsError
        If the file is absent, or was measured with other networks than those that are installed.
    """
    path = files("adclip") / "assets" / "segmenter" / "accuracy.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError("the volumes' measured error is missing from the installation", REMEDY) from None
    made_with = (str(record["segmenter_sha256"])[:12], str(record.get("medial_temporal_sha256"))[:12])
    if made_with != (segmenter_version(), networks_version()):
        raise WeightsError("the volumes' measured error belongs to other networks than the installed ones", REMEDY)
    return record
