"""Scans on disk: every format brought to one form, with each check that can be made before heavy work; NIfTI written.

The formats stand in `adclip/imaging/formats/`. A header is believed only after it has been compared with the file, and
a gzip stream only after its checksum has been.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from adclip.domain import FloatArray, ReadOptions, SourceGrid, Volume
from adclip.errors import ScanError
from adclip.imaging.formats import mgh, nifti
from adclip.imaging.formats.geometry import parse_orientation
from adclip.imaging.formats.names import kind_of, pair_of
from adclip.imaging.formats.stored import StoredImage
from adclip.imaging.formats.stream import SourceStream, open_source
from adclip.imaging.formats.values import check_values, to_float
from adclip.imaging.sources.find import find_scans
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import write_bytes

__all__ = [
    "check_scan", "file_sha256", "find_scans", "read_volume", "read_voxels", "scan_sha256", "to_source_order",
    "write_nifti",
]  # fmt: skip

SCANNER, MNI = 1, 4  # NIFTI_XFORM_SCANNER_ANAT, NIFTI_XFORM_MNI_152
INT16_MAX = 32767

_DEFAULT = ReadOptions()
_SCL_SLOPE_OFFSET = 112  # nifti1.h: float scl_slope


def read_volume(path: Path, options: ReadOptions = _DEFAULT) -> Volume:
    """Read one T1 scan and bring it to RAS+ order.

    Parameters
    ----------
    path : Path
        `.nii`, `.nii.gz`, `.mgh`, `.mgz`, either file of a pair `.hdr`/`.img` (NIfTI or Analyze 7.5), or a folder of
        DICOM files.
    options : ReadOptions
        What the user declares: the orientation of a file that has none, the series of a DICOM folder.

    Returns
    -------
    Volume
        float32 intensities in RAS+ order (arbitrary unit), affine in mm, the grid as stored, and how the geometry was
        decided (`flags`, `facts`; see docs/reference/inputs.md).

    Raises
    ------
    ScanError
        If the file is missing, damaged or cut short, is not one 3D image of finite real numbers, looks like a mask, a
        label map, CT or noise, or has no trustworthy geometry. Each case has its own message.
    ConfigError
        If an option is impossible.
    """
    kind = _kind(path, options)
    if kind == "dicom":
        return _read_dicom(path, options)
    image, stored, extra = _read_file(path, kind, options)
    flags = (*image.geometry.flags, *(("extra_bytes",) if extra else ()))
    return _to_volume(path, image, stored, flags, image.geometry.facts, is_mr=options.modality is not None)


def check_scan(path: Path, options: ReadOptions = _DEFAULT) -> None:
    """Check a scan by its header alone, in milliseconds: what a cohort's first pass can find without reading voxels.

    Raises
    ------
    ScanError
        As `read_volume`, for everything but damage behind the header and the meaning of the values.
    ConfigError
        If an option is impossible.
    """
    kind = _kind(path, options)
    if kind == "dicom":
        from adclip.imaging.formats.dicom import read_series

        read_series(path, options.series)
        return
    if kind == "pair":
        image = nifti.parse_pair(path, options.orientation)
        with open_source(image.path) as source:
            source.check_size(image.offset, image.shape, image.dtype)
        return
    with open_source(path) as source:
        image, _ = _parse(path, kind, source, options)
        source.check_size(image.offset, image.shape, image.dtype)


def read_voxels(path: Path) -> tuple[FloatArray, FloatArray]:
    """Read a NIfTI or MGH file in the stored order and without looking at what the values mean: masks, maps, labels.

    Returns
    -------
    array : ndarray of shape (I, J, K), float32
        Scaled values.
    affine : ndarray of shape (4, 4)
        Voxel index to millimetres.

    Raises
    ------
    ScanError
        If the file is missing, damaged or not 3D.
    """
    if not path.is_file():
        raise ScanError.missing(path)
    image, stored, _ = _read_file(path, _kind(path, _DEFAULT), _DEFAULT)
    return to_float(stored, image.slope, image.intercept), image.geometry.affine


def to_source_order(array_xyz: NDArray[Any], volume: Volume) -> NDArray[Any]:
    """Bring an array from the RAS+ order of `volume` back to the axis order and directions of its file.

    Parameters
    ----------
    array_xyz : ndarray of shape (X, Y, Z)
        On the grid of `volume.array`.
    volume : Volume
        The scan the grid belongs to.

    Returns
    -------
    ndarray of shape (I, J, K)
        On `volume.source`.
    """
    import nibabel
    from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

    stored = nibabel.io_orientation(volume.source.affine)
    back = ornt_transform(axcodes2ornt("RAS"), stored)
    return np.ascontiguousarray(apply_orientation(array_xyz, back))


def write_nifti(
    path: Path,
    array: NDArray[Any],
    affine: FloatArray,
    dtype: DTypeLike = np.float32,
    *,
    space_code: int = SCANNER,
    place: Mapping[str, Any] | None = None,
) -> None:
    """Write a NIfTI-1 file, whole or not at all; the same numbers give the same bytes.

    Parameters
    ----------
    path : Path
        `.nii` or `.nii.gz`.
    array : ndarray of shape (I, J, K)
        Values. With `dtype` int16 and floating values they must lie in [0, 1] and are kept as k/32767.
    affine : ndarray of shape (4, 4)
        Voxel index to millimetres.
    dtype : numpy dtype
        Type on disk.
    space_code : int
        What the millimetres mean: SCANNER (1) or MNI (4).
    place : mapping, optional
        `SourceGrid.place` of a scan on whose voxels the values lie: both forms, their codes and the voxel sizes are written as they
        stand there, so that every program puts the map where it puts the scan. `affine` and `space_code` count where it is empty.

    Notes
    -----
    Free-text header fields stay empty, so nothing of the source file can travel along. gzip level 1 costs about 8 % of
    size and saves three quarters of the time; the time stamp in its header is 0.
    """
    import nibabel

    scaled = np.dtype(dtype) == np.int16 and np.issubdtype(array.dtype, np.floating)
    stored = np.asarray(np.rint(array * INT16_MAX) if scaled else array, dtype=dtype)
    if place:
        # with an affine of its own nibabel would write a form that it finds equal only in its own arithmetic
        image = nibabel.Nifti1Image(stored, None)
        for name, value in place.items():
            if name == "pixdim":
                image.header["pixdim"][:4] = value
            else:
                image.header[name] = value
    else:
        image = nibabel.Nifti1Image(stored, affine)
        image.set_sform(affine, code=space_code)
        image.set_qform(affine, code=space_code)
    image.header.set_xyzt_units("mm")
    data = bytearray(image.to_bytes())
    if scaled:
        struct.pack_into("<f", data, _SCL_SLOPE_OFFSET, 1.0 / INT16_MAX)
    write_bytes(path, gzip.compress(bytes(data), compresslevel=1, mtime=0) if path.suffix == ".gz" else bytes(data))


def scan_sha256(path: Path, options: ReadOptions = _DEFAULT) -> str:
    """Return the SHA-256 of what `read_volume` would read, as 64 hex digits.

    Notes
    -----
    Of a single file its bytes; of a pair the header's and then the voxels'; of a DICOM folder the files of the chosen
    series, in an order that does not depend on their names. Declared options are part of the settings, not of this.

    Raises
    ------
    ScanError
        If a file is missing, or a DICOM folder has no series to choose.
    """
    kind = _kind(path, options)
    if kind == "pair":
        parts = [file_sha256(file) for file in pair_of(path) if file.is_file()]
    elif kind == "dicom":
        from adclip.imaging.formats.dicom import read_series

        parts = sorted(file_sha256(file) for file in read_series(path, options.series).paths)
    else:
        return file_sha256(path)
    return hashlib.sha256("".join(parts).encode("ascii")).hexdigest()


# ----------------------------------------------------------------------------------------------- one form for all


def _kind(path: Path, options: ReadOptions) -> str:
    """Return the format by name; raises ScanError for a path that is none, and ConfigError for a bad option."""
    if options.orientation is not None:
        parse_orientation(options.orientation)
    return kind_of(path)


def _parse(path: Path, kind: str, source: SourceStream, options: ReadOptions) -> tuple[StoredImage, bytes]:
    if kind == "mgh":
        head = source.read(mgh.HEAD_BYTES)
        return mgh.parse_mgh(path, head, options.orientation), head
    head = source.read(nifti.HEAD_BYTES)
    return nifti.parse_single(path, head, options.orientation), head


def _read_file(path: Path, kind: str, options: ReadOptions) -> tuple[StoredImage, NDArray[Any], int]:
    """Return header, stored numbers of shape (I, J, K), and how many bytes follow that should not be there."""
    if kind == "pair":
        image, head = nifti.parse_pair(path, options.orientation), b""
        with open_source(image.path) as source:
            stored, extra = source.read_array(image.offset, image.shape, image.dtype)
    else:
        with open_source(path) as source:
            image, head = _parse(path, kind, source, options)
            stored, extra = source.read_array(image.offset, image.shape, image.dtype, head)
    return image, stored, 0 if image.trailer else extra


def _read_dicom(path: Path, options: ReadOptions) -> Volume:
    from adclip.imaging.formats.convert import convert_series
    from adclip.imaging.formats.dicom import read_series
    from adclip.imaging.formats.pixels import read_pixels, reads_here

    series = read_series(path, options.series)
    image, stored = read_pixels(path, series) if reads_here(path, series) else convert_series(path, series)
    flags = list(series.geometry.flags)
    if options.orientation is not None:
        flags.append("orientation_option_ignored")
    # Of another modality the folder was refused by its headers.
    return _to_volume(path, image, stored, tuple(flags), series.geometry.facts, is_mr=True)


def _to_volume(
    path: Path,
    image: StoredImage,
    stored: NDArray[Any],
    flags: tuple[str, ...],
    facts: Mapping[str, Any],
    *,
    is_mr: bool,
) -> Volume:
    import nibabel
    from nibabel.orientations import apply_orientation, inv_ornt_aff

    affine = image.geometry.affine
    orientation = nibabel.io_orientation(affine)
    array = to_float(apply_orientation(stored, orientation), image.slope, image.intercept)
    check_values(path, array, stored, is_mr=is_mr)
    return Volume(
        array=array,
        affine=affine @ inv_ornt_aff(orientation, image.shape),
        source=SourceGrid(shape=image.shape, affine=affine, place=image.place),
        flags=flags,
        facts=dict(facts),
    )
