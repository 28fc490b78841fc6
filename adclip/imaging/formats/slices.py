"""Slices of a DICOM series to one volume: each with its place, put in order along their normal, and checked."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from adclip.domain import FloatArray
from adclip.imaging.formats import dicom_errors
from adclip.imaging.formats.geometry import FEWEST_VOXELS
from adclip.imaging.formats.stored import check_scaling, check_shape

UNEVEN_SHARE = 0.1  # a step between slices may differ from the usual one by this share
_PARALLEL = 1e-3  # |difference| of direction cosines that headers write with few digits
# Of Philips: who filled the block of private tags, the scale slope in it, and where an enhanced file has them by frame.
PHILIPS_CREATOR, PHILIPS_SCALE, _PHILIPS_FRAME = 0x20050010, 0x2005100E, 0x2005140F
_SCALING = "PixelValueTransformationSequence"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Slice:
    """Where one image lies."""

    position: FloatArray  # (3,) LPS mm of the first pixel's centre
    orientation: FloatArray  # (6,) direction cosines of a row and of a column
    spacing: tuple[float, float]  # mm between rows, between columns
    size: tuple[int, int]  # rows, columns
    file: Path
    frame: int = 0  # within the file, from 0
    slope: float = 1.0  # value = stored * slope + intercept
    intercept: float = 0.0


def to_slice(path: Path, file: Path, header: Any) -> Slice:
    """Return the place of a file that holds one slice; raises ScanError where the header does not say."""
    place = _make_slice(
        path,
        header.get("ImagePositionPatient"),
        header.get("ImageOrientationPatient"),
        header.get("PixelSpacing"),
        header,
        file,
    )
    slope, intercept = _to_scaling(header.get("RescaleSlope"), header.get("RescaleIntercept"), _scale_slope(header))
    return replace(place, slope=slope, intercept=intercept)


def frames(path: Path, file: Path, header: Any) -> list[Slice]:
    """Return the slices of an enhanced file; what frames share stands in one place.

    Raises
    ------
    ScanError
        If a frame does not say where it lies, or there are more or fewer of them than the header counts.
    """
    shared = header.get("SharedFunctionalGroupsSequence")
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        raise dicom_errors.no_position(path)
    if len(frames) != int(header.get("NumberOfFrames", 1) or 1):
        raise dicom_errors.damaged_dicom(file)
    places = [next(iter(shared))] if shared else []

    def find(frame: Any, group: str, name: str) -> Any:
        for place in (frame, *places):
            inner = place.get(group)
            if inner and inner[0].get(name) is not None:
                return inner[0].get(name)
        return None

    slices = []
    for index, frame in enumerate(frames):
        place = _make_slice(
            path,
            find(frame, "PlanePositionSequence", "ImagePositionPatient"),
            find(frame, "PlaneOrientationSequence", "ImageOrientationPatient"),
            find(frame, "PixelMeasuresSequence", "PixelSpacing"),
            header,
            file,
        )
        scales = (find(frame, _SCALING, name) for name in ("RescaleSlope", "RescaleIntercept"))
        slope, intercept = (
            value if value is not None else header.get(name)
            for value, name in zip(scales, ("RescaleSlope", "RescaleIntercept"), strict=True)
        )
        private = next(iter(frame.get(_PHILIPS_FRAME) or ()), None) if _PHILIPS_FRAME in frame else None
        private_slope = _scale_slope(header) if private is None else _scale_slope(private)
        slope, intercept = _to_scaling(slope, intercept, private_slope)
        slices.append(replace(place, frame=index, slope=slope, intercept=intercept))
    return slices


def _make_slice(path: Path, position: Any, orientation: Any, spacing: Any, header: Any, file: Path) -> Slice:
    try:
        place = np.array([float(number) for number in position])
        directions = np.array([float(number) for number in orientation])
        rows, columns = (float(number) for number in spacing)
    except (TypeError, ValueError):
        raise dicom_errors.no_position(path) from None
    if place.shape != (3,) or directions.shape != (6,) or not np.isfinite([*place, *directions, rows, columns]).all():
        raise dicom_errors.no_position(path)
    return Slice(place, directions, (rows, columns), (int(header.Rows), int(header.Columns)), file)


def _to_scaling(slope: Any, intercept: Any, scale_slope: float | None) -> tuple[float, float]:
    """Return what a stored number is multiplied with, and what is added.

    Philips keeps a second factor, by which values of several images can be compared (Chenevert et al. 2014,
    doi:10.1016/j.tranon.2014.02.013): value = (stored * slope + intercept) / (slope * scale slope). dcm2niix does the same.
    """
    slope, intercept, _ = check_scaling(
        1.0 if slope in (None, "") else float(slope), 0.0 if intercept in (None, "") else float(intercept)
    )
    if scale_slope is None:
        return slope, intercept
    return 1 / scale_slope, intercept / (slope * scale_slope)


def _scale_slope(dataset: Any) -> float | None:
    """Return Philips' own factor; None where there is none."""
    if not str(dataset.get(PHILIPS_CREATOR, "")).strip() or PHILIPS_SCALE not in dataset:
        return None
    if "Philips MR Imaging DD" not in str(dataset[PHILIPS_CREATOR].value):
        return None
    value = dataset[PHILIPS_SCALE].value
    if isinstance(value, bytes) and len(value) == 4:  # the type is not written in the file
        (value,) = struct.unpack("<f", value)
    return float(value) if isinstance(value, int | float) and np.isfinite(value) and value > 0 else None


def stack(path: Path, slices: Sequence[Slice]) -> tuple[list[int], FloatArray, tuple[int, int, int]]:
    """Return the order along the normal, the affine of (column, row, slice) indices in RAS+ mm, and the shape."""
    first = slices[0]
    if any(image_slice.size != first.size for image_slice in slices):
        raise dicom_errors.mixed_slices(path, "matrix size")
    if any(np.abs(image_slice.orientation - first.orientation).max() > _PARALLEL for image_slice in slices):
        raise dicom_errors.mixed_slices(path, "orientation")
    if any(not np.allclose(image_slice.spacing, first.spacing, rtol=1e-3) for image_slice in slices):
        raise dicom_errors.mixed_slices(path, "pixel size")
    if len(slices) < FEWEST_VOXELS:
        raise dicom_errors.few_slices(path, len(slices))
    across, down = first.orientation[:3], first.orientation[3:]
    normal = np.cross(across, down)
    positions = np.array([image_slice.position for image_slice in slices])
    along = positions @ normal
    order = [int(index) for index in np.argsort(along, kind="stable")]
    steps = np.diff(along[order])
    usual = _check_steps(path, steps)
    course = (positions[order[-1]] - positions[order[0]]) / (len(slices) - 1)
    if np.linalg.norm(course - normal * (course @ normal)) > UNEVEN_SHARE * usual:
        raise dicom_errors.mixed_slices(path, "place beside each other (they form a slanted stack)")
    affine = np.eye(4)
    affine[:3, 0] = _LPS_TO_RAS @ (across * first.spacing[1])
    affine[:3, 1] = _LPS_TO_RAS @ (down * first.spacing[0])
    affine[:3, 2] = _LPS_TO_RAS @ course
    affine[:3, 3] = _LPS_TO_RAS @ positions[order[0]]
    return order, affine, check_shape(path, (first.size[1], first.size[0], len(slices)))


def _check_steps(path: Path, steps: FloatArray) -> float:
    """Return the usual step between slices in mm; raises ScanError where steps are zero, multiple or uneven."""
    moved = steps[steps > 1e-3]
    if len(moved) < len(steps):
        raise dicom_errors.repeated_slices(path, len(steps) - len(moved))
    usual = float(np.median(moved))
    ratios = moved / usual
    whole = np.rint(ratios)
    if np.abs(ratios - whole).max() > UNEVEN_SHARE or whole.min() < 1:
        raise dicom_errors.uneven_slices(path, float(moved.min()), float(moved.max()))
    missing = int((whole - 1).sum())
    if missing:
        raise dicom_errors.missing_slices(path, missing)
    return usual
