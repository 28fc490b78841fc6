"""A folder of DICOM files: headers read, one series chosen, its slices put in order and checked. No pixels here.

Names, dates, descriptions and UIDs of a header serve for grouping inside these functions and never leave them.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adclip.domain import FloatArray
from adclip.errors import ScanError
from adclip.imaging.formats.geometry import FEWEST_VOXELS, Geometry, choose_affine, with_facts
from adclip.imaging.formats.names import is_dicom
from adclip.imaging.formats.stored import check_shape

UNEVEN_SHARE = 0.1  # a step between slices may differ from the usual one by this share
_PARALLEL = 1e-3  # |difference| of direction cosines that headers write with few digits
_TAGS = [
    "SOPClassUID", "ImageType", "Modality", "PatientName", "PatientID", "SeriesInstanceUID", "SeriesNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class DicomSeries:
    """The files of one series, and the volume they promise: slices in order, geometry checked."""

    paths: tuple[Path, ...]
    shape: tuple[int, int, int]
    geometry: Geometry


@dataclass(frozen=True)
class _Slice:
    position: FloatArray  # (3,) LPS mm of the first pixel's centre
    orientation: FloatArray  # (6,) direction cosines of a row and of a column
    spacing: tuple[float, float]  # mm between rows, between columns
    size: tuple[int, int]  # rows, columns


def read_series(path: Path, wanted: str | None = None) -> DicomSeries:
    """Read the headers of a DICOM folder, or of one multi-frame file, and choose the series to use.

    Parameters
    ----------
    path : Path
        A folder whose own files are looked at, not its subfolders; or a file that holds a whole volume.
    wanted : str or None
        Series number or SeriesInstanceUID, where the folder holds several series.

    Returns
    -------
    DicomSeries
        Slices in the order of their positions.

    Raises
    ------
    ScanError
        If there is no DICOM image, there are several patients or several series and no choice, the images are not MR,
        or the slices do not make one volume. Each case has its own message, and none repeats what a tag says of a
        person.
    """
    with _quiet():
        return _read_series(path, wanted)


def _read_series(path: Path, wanted: str | None) -> DicomSeries:
    series = _choose(path, _group(path), wanted)
    headers = [header for _, header in series]
    modality = str(headers[0].get("Modality", "MR")).strip().upper()
    if modality not in ("MR", ""):
        raise ScanError.not_mr(path, re.sub(r"[^A-Z]", "", modality)[:8])
    if any(int(header.get("SamplesPerPixel", 1) or 1) != 1 for header in headers):
        raise ScanError.bad_type(path, "colours (RGB)")
    if any("MOSAIC" in str(header.get("ImageType", "")) for header in headers):
        raise ScanError.mixed_slices(path, "place within one mosaic image (a time series)")
    multi = [header for header in headers if int(header.get("NumberOfFrames", 1) or 1) > 1]
    if multi and len(headers) > 1:
        raise ScanError.repeated_slices(path, len(headers) - 1)
    if path.is_file() and not multi:
        raise ScanError.single_dicom(path)
    slices = _frames(path, multi[0]) if multi else [_to_slice(path, header) for header in headers]
    order, affine, shape = _stack(path, slices)
    geometry = choose_affine(
        path, {"header": affine}, [float(size) for size in np.linalg.norm(affine[:3, :3], axis=0)], shape
    )
    files = [file for file, _ in series]
    return DicomSeries(
        paths=tuple(files if multi else [files[index] for index in order]),
        shape=shape,
        geometry=with_facts(geometry, format="DICOM", slices=len(slices)),
    )


# ----------------------------------------------------------------------------------------------- files to series

_Series = list[tuple[Path, Any]]


def _group(path: Path) -> dict[str, _Series]:
    """Return the images of the folder by SeriesInstanceUID, in the order of their series numbers."""
    from pydicom import dcmread

    try:
        files = [path] if path.is_file() else sorted(path.iterdir())
    except PermissionError:
        raise ScanError.unreadable(path) from None
    groups: dict[str, _Series] = defaultdict(list)
    people = set()
    for file in files:
        if not is_dicom(file):
            continue
        try:
            header = dcmread(file, stop_before_pixels=True, specific_tags=_TAGS, force=True)
            values = {name: header.get(name) for name in _TAGS}  # pydicom looks at a value when it is asked for
            if values["Rows"] is None or values["Columns"] is None:
                continue  # reports, presentation states, DICOMDIR
            _ = [int(values[name] or 1) for name in ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel")]
            people.add((_text(header, "PatientID"), _text(header, "PatientName")))
            groups[_text(header, "SeriesInstanceUID")].append((file, header))
        except PermissionError:
            raise ScanError.unreadable(file) from None
        except Exception:  # on damaged files pydicom raises classes of every kind, some its own without a common base
            raise ScanError.damaged_dicom(file) from None
    if not groups:
        raise ScanError.no_dicom(path)
    if len(people) > 1:
        raise ScanError.several_patients(path, len(people))
    return dict(sorted(groups.items(), key=lambda item: (_number(item[1]) or 0, item[0])))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from quoting what it finds odd in a tag."""
    log = logging.getLogger("pydicom")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _choose(path: Path, groups: dict[str, _Series], wanted: str | None) -> _Series:
    if wanted is None:
        if len(groups) > 1:
            raise ScanError.several_series(path, _list(groups.values()))
        return next(iter(groups.values()))
    if wanted in groups:
        return groups[wanted]
    same = [series for series in groups.values() if wanted.isdigit() and _number(series) == int(wanted)]
    if len(same) > 1:
        raise ScanError.same_series_number(path, wanted)
    if not same:
        raise ScanError.no_such_series(path, wanted[:64], _list(groups.values()))
    return same[0]


def _list(groups: Iterable[_Series]) -> str:
    """Series by number, number of slices and matrix: what tells them apart and says nothing of a person."""
    shown = []
    for series in groups:
        header, number = series[0][1], _number(series)
        count = max(len(series), int(header.get("NumberOfFrames", 1) or 1))
        name = "without number" if number is None else f"{number}"
        shown.append(f"{name} ({count} x {int(header.Rows)} x {int(header.Columns)})")
    return ", ".join(shown)


def _number(series: _Series) -> int | None:
    text = _text(series[0][1], "SeriesNumber")
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def _text(header: Any, name: str) -> str:
    value = header.get(name)
    return "" if value is None else str(value).strip()


# ----------------------------------------------------------------------------------------------- slices to a volume


def _to_slice(path: Path, header: Any) -> _Slice:
    return _make_slice(
        path,
        header.get("ImagePositionPatient"),
        header.get("ImageOrientationPatient"),
        header.get("PixelSpacing"),
        header,
    )


def _frames(path: Path, header: Any) -> list[_Slice]:
    """Return the slices of an enhanced multi-frame file; what frames share stands in one place."""
    shared = header.get("SharedFunctionalGroupsSequence")
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        raise ScanError.no_position(path)
    places = [next(iter(shared))] if shared else []

    def find(frame: Any, group: str, name: str) -> Any:
        for place in (frame, *places):
            inner = place.get(group)
            if inner and inner[0].get(name) is not None:
                return inner[0].get(name)
        return None

    return [
        _make_slice(
            path,
            find(frame, "PlanePositionSequence", "ImagePositionPatient"),
            find(frame, "PlaneOrientationSequence", "ImageOrientationPatient"),
            find(frame, "PixelMeasuresSequence", "PixelSpacing"),
            header,
        )
        for frame in frames
    ]


def _make_slice(path: Path, position: Any, orientation: Any, spacing: Any, header: Any) -> _Slice:
    try:
        place = np.array([float(number) for number in position])
        directions = np.array([float(number) for number in orientation])
        rows, columns = (float(number) for number in spacing)
    except (TypeError, ValueError):
        raise ScanError.no_position(path) from None
    if place.shape != (3,) or directions.shape != (6,) or not np.isfinite([*place, *directions, rows, columns]).all():
        raise ScanError.no_position(path)
    return _Slice(place, directions, (rows, columns), (int(header.Rows), int(header.Columns)))


def _stack(path: Path, slices: Sequence[_Slice]) -> tuple[list[int], FloatArray, tuple[int, int, int]]:
    """Return the order along the normal, the affine of (column, row, slice) indices in RAS+ mm, and the shape."""
    first = slices[0]
    if any(one.size != first.size for one in slices):
        raise ScanError.mixed_slices(path, "matrix size")
    if any(np.abs(one.orientation - first.orientation).max() > _PARALLEL for one in slices):
        raise ScanError.mixed_slices(path, "orientation")
    if any(not np.allclose(one.spacing, first.spacing, rtol=1e-3) for one in slices):
        raise ScanError.mixed_slices(path, "pixel size")
    if len(slices) < FEWEST_VOXELS:
        raise ScanError.few_slices(path, len(slices))
    across, down = first.orientation[:3], first.orientation[3:]
    normal = np.cross(across, down)
    positions = np.array([one.position for one in slices])
    along = positions @ normal
    order = [int(index) for index in np.argsort(along, kind="stable")]
    steps = np.diff(along[order])
    usual = _check_steps(path, steps)
    course = (positions[order[-1]] - positions[order[0]]) / (len(slices) - 1)
    if np.linalg.norm(course - normal * (course @ normal)) > UNEVEN_SHARE * usual:
        raise ScanError.mixed_slices(path, "place beside each other (they form a slanted stack)")
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
        raise ScanError.repeated_slices(path, len(steps) - len(moved))
    usual = float(np.median(moved))
    ratios = moved / usual
    whole = np.rint(ratios)
    if np.abs(ratios - whole).max() > UNEVEN_SHARE or whole.min() < 1:
        raise ScanError.uneven_slices(path, float(moved.min()), float(moved.max()))
    missing = int((whole - 1).sum())
    if missing:
        raise ScanError.missing_slices(path, missing)
    return usual
