"""Pixels of a DICOM series as its headers describe them: every frame at its own place, in its own scaling.

pydicom decodes what is not compressed, or compressed without loss by a codec that is installed; dcm2niix (`convert.py`) is
asked for the rest. Where frames are scaled differently or stored out of order only the way here is right.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.errors import MissingPackageError
from adclip.imaging import errors as imaging_errors
from adclip.imaging.formats import dicom_errors, errors
from adclip.imaging.formats.dicom import DicomSeries, plain_syntax, quiet
from adclip.imaging.formats.slices import Slice
from adclip.imaging.formats.stored import StoredImage, check_dtype

# Transfer syntaxes (PS3.6, A) whose decoded numbers do not depend on who decodes them.
LOSSLESS = frozenset({
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2",  # not compressed
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS
    "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202",  # JPEG 2000
})  # fmt: skip
# What dcm2niix decodes: not compressed, RLE, JPEG with and without loss, JPEG-LS and JPEG 2000.
OF_DCM2NIIX = frozenset({
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91)),
})  # fmt: skip
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def reads_here(path: Path, series: DicomSeries) -> bool:
    """Tell whether a series is read here, or left to dcm2niix.

    Raises
    ------
    MissingPackageError
        If it must be read here, because dcm2niix would mix up its frames or their scaling, and no codec for it is installed.
    """
    missing = sorted(syntax for syntax in series.syntaxes if not _has_decoder(syntax))
    if not missing and series.syntaxes <= LOSSLESS:
        return True
    files = [image_slice.file for image_slice in series.slices]
    frames = [image_slice.frame for image_slice in series.slices]
    mixed = len({(image_slice.slope, image_slice.intercept) for image_slice in series.slices}) > 1
    shuffled = len(set(files)) < len(files) and frames not in (sorted(frames), sorted(frames, reverse=True))
    if not mixed and not shuffled:
        return False
    if missing:
        raise MissingPackageError(
            *dicom_errors.no_decoder(path, _name(missing[0]), "scaling" if mixed else "order").args
        )
    return True


def read_pixels(path: Path, series: DicomSeries) -> tuple[StoredImage, NDArray[Any]]:
    """Read the pixels of a series.

    Parameters
    ----------
    path : Path
        The folder or file that the series comes from.
    series : DicomSeries
        One for which `reads_here` is true.

    Returns
    -------
    image : StoredImage
        On the grid that dcm2niix would write: columns, rows from the last to the first, slices along their normal.
    stored : ndarray of shape (columns, rows, slices)
        As stored where all frames share one scaling, which `image` then names; float32 of scaled values where not.

    Raises
    ------
    ScanError
        If pixels are absent, cut short or cannot be decoded: it names the file, and the frame where there are several.
    """
    places: dict[Path, list[int]] = defaultdict(list)
    for index, image_slice in enumerate(series.slices):
        places[image_slice.file].append(index)
    planes: list[NDArray[Any]] = [np.empty(0)] * len(series.slices)
    scalings = {(image_slice.slope, image_slice.intercept) for image_slice in series.slices}
    with quiet():
        for file, indices in places.items():
            dataset = _open(file)
            if not _pixel_bytes(dataset):
                find_bare(series)
            decoded = _decode(file, dataset, [series.slices[index] for index in indices])
            for index, plane in zip(indices, decoded, strict=True):
                image_slice = series.slices[index]
                planes[index] = (
                    plane if len(scalings) == 1 else _scaled(plane, image_slice.slope, image_slice.intercept)
                )
    stored = np.stack(planes).transpose(2, 1, 0)[:, ::-1, :]
    slope, intercept = next(iter(scalings)) if len(scalings) == 1 else (1.0, 0.0)
    upwards = np.diag([1.0, -1.0, 1.0, 1.0])
    upwards[1, 3] = series.shape[1] - 1
    # float32, as a NIfTI header would hold it
    affine = (series.geometry.affine @ upwards).astype(np.float32).astype(np.float64)
    image = StoredImage(
        path=path,
        format="DICOM",
        shape=series.shape,
        dtype=check_dtype(path, stored.dtype),
        offset=0,
        geometry=replace(series.geometry, affine=affine),
        slope=slope,
        intercept=intercept,
    )
    return image, stored


def find_bare(series: DicomSeries) -> None:
    """Look for files without pixels; those that have some may be damaged all the same.

    Raises
    ------
    ScanError
        If there are any: it names the first and counts the others.
    """
    with quiet():
        bare = [file for file in series.paths if not _pixel_bytes(_open(file))]
    if bare:
        raise dicom_errors.no_pixels(bare[0], len(bare), len(series.paths))


def codec_name(series: DicomSeries) -> str:
    """Return what the first of the series' transfer syntaxes is called."""
    return _name(min(series.syntaxes, default=""))


def is_well_known(series: DicomSeries) -> bool:
    """Tell whether dcm2niix knows the compressions of a series, so that the files are to blame if it fails."""
    return series.syntaxes <= OF_DCM2NIIX


def _has_decoder(syntax: str) -> bool:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    try:
        return bool(get_decoder(UID(syntax)).is_available)
    except NotImplementedError:
        return False


def _name(syntax: str) -> str:
    """Return the name of a registered syntax; of a private one nothing, as it may say whose it is."""
    from pydicom.uid import UID, UID_dictionary

    uid = UID(syntax)
    # `JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])` fills a line
    return str(uid.name).partition(" (")[0].partition(",")[0] if uid in UID_dictionary else "a private compression"


def _decode(file: Path, dataset: Any, slices: list[Slice]) -> list[NDArray[Any]]:
    _check_length(file, dataset)
    name = _name(str(dataset.file_meta.TransferSyntaxUID))
    try:
        array = dataset.pixel_array
    except Exception:  # each codec raises classes of its own
        raise dicom_errors.broken_pixels(file, name, _first_broken(dataset, slices)) from None
    frames = array[None] if array.ndim == 2 else array
    if frames.ndim != 3:
        raise errors.bad_type(file, "colours (RGB)")
    if any(image_slice.frame >= len(frames) for image_slice in slices):
        raise dicom_errors.broken_pixels(file, name, len(frames) + 1)
    return [frames[image_slice.frame] for image_slice in slices]


def _first_broken(dataset: Any, slices: list[Slice]) -> int | None:
    """Return the number of the first frame that cannot be decoded, from 1; None of a file with one frame."""
    from pydicom.pixels import pixel_array

    if len(slices) == 1:
        return None
    for frame in sorted(image_slice.frame for image_slice in slices):
        try:
            pixel_array(dataset, index=frame)
        except Exception:  # see `_decode`
            return frame + 1
    return None


def _open(file: Path) -> Any:
    from pydicom import dcmread

    try:
        dataset = dcmread(file, force=True)
        if (
            dataset.file_meta.get("TransferSyntaxUID") is None
        ):  # a data set without meta data: as it was found to be written
            dataset.file_meta.TransferSyntaxUID = plain_syntax(*dataset.original_encoding)
        _ = [dataset.get(name) for name in _PIXELS]  # pydicom looks at a value when it is asked for
    except PermissionError:
        raise imaging_errors.unreadable(file) from None
    except Exception:  # see `dicom._group`
        raise dicom_errors.damaged_dicom(file) from None
    return dataset


def _pixel_bytes(dataset: Any) -> int:
    return max(len(dataset.get(name) or b"") for name in _PIXELS)


def _check_length(file: Path, dataset: Any) -> None:
    """Compare the pixels with what the header promises, where they are not compressed."""
    from pydicom.pixels.utils import get_expected_length

    if dataset.file_meta.TransferSyntaxUID.is_encapsulated or "PixelData" not in dataset:
        return
    available_bytes, expected_bytes = _pixel_bytes(dataset), int(get_expected_length(dataset))
    if available_bytes < expected_bytes:
        raise dicom_errors.cut_pixels(file, available_bytes, expected_bytes)


def _scaled(plane: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    return (plane.astype(np.float64) * slope + intercept).astype(np.float32)
