"""Scans on disk: NIfTI read with every check that can be made before heavy work, and written so that bytes repeat.

nibabel parses the header and knows the orientations. The bytes are read here, because nibabel never verifies the CRC of
a gzip stream, and because a header must be believed only after it has been compared with the file.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from adclip.domain import FloatArray, SourceGrid, Volume
from adclip.errors import ScanError
from adclip.imaging.find import find_scans, is_nifti_name
from adclip.imaging.header import VOXEL_CAP, check_header, parse_header, read_affine
from adclip.paths import write_bytes

__all__ = ["file_sha256", "find_scans", "read_volume", "read_voxels", "to_source_order", "write_nifti"]

VOXEL_MM = (0.2, 8.0)  # 7 T research heads reach 0.25 mm; above 8 mm a hippocampus is one voxel
FEWEST_VOXELS = 16  # along any axis: below, it is a localiser or a slab
FIELD_OF_VIEW_MM = 60.0  # shorter than any adult brain along any axis
CT_AIR = -200.0  # Hounsfield units: air is -1000, fat -100; T1 magnitudes have no large negatives
CT_AIR_SHARE = 0.1
FLAT_SHARE = 0.7  # equal neighbours in the foreground: uint8 T1 below 0.2, label maps above 0.8 (IXI, SynthSeg, DLMUSE)
FEWEST_VALUES = 8
SCANNER, MNI = 1, 4  # NIFTI_XFORM_SCANNER_ANAT, NIFTI_XFORM_MNI_152
INT16_MAX = 32767

_CHUNK = 1 << 22
_SCL_SLOPE_OFFSET = 112  # nifti1.h: float scl_slope


def read_volume(path: Path) -> Volume:
    """Read one T1 scan and bring it to RAS+ order.

    Parameters
    ----------
    path : Path
        `.nii` or `.nii.gz`.

    Returns
    -------
    Volume
        float32 intensities in RAS+ order (arbitrary unit), affine in mm, and the grid as stored.

    Raises
    ------
    ScanError
        If the file is missing, damaged or cut short, is not one 3D image of finite real numbers, looks like a label map
        or a CT, or has no trustworthy geometry. Each case has its own message.
    """
    import nibabel
    from nibabel.orientations import apply_orientation, inv_ornt_aff

    if not path.exists():
        raise ScanError.missing(path)
    if path.is_dir() or not is_nifti_name(path.name):
        raise ScanError.unknown_kind(path)
    if path.stat().st_size == 0:
        raise ScanError.empty_file(path)
    header, stored = _read_stored(path)
    affine = read_affine(path, header)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not all(VOXEL_MM[0] <= size <= VOXEL_MM[1] for size in sizes):
        raise ScanError.bad_voxel_size(path, tuple(float(size) for size in sizes))
    extent = tuple(float(size * count) for size, count in zip(sizes, stored.shape, strict=True))
    if min(stored.shape) < FEWEST_VOXELS or min(extent) < FIELD_OF_VIEW_MM:
        raise ScanError.too_small(path, cast(tuple[int, ...], stored.shape), extent)

    values = _to_float(header, stored)
    _check_values(path, values)
    source = SourceGrid(shape=cast(tuple[int, int, int], values.shape), affine=affine)
    orientation = nibabel.io_orientation(affine)
    array = np.ascontiguousarray(apply_orientation(values, orientation))
    return Volume(array=array, affine=affine @ inv_ornt_aff(orientation, values.shape), source=source)


def read_voxels(path: Path) -> tuple[FloatArray, FloatArray]:
    """Read a NIfTI file that adclip wrote, in the stored order and without looking at what the values mean.

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
    header, stored = _read_stored(path)
    return _to_float(header, stored), read_affine(path, header)


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
    path: Path, array: NDArray[Any], affine: FloatArray, dtype: DTypeLike = np.float32, *, space_code: int = SCANNER
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

    Notes
    -----
    Free-text header fields stay empty, so nothing of the source file can travel along. gzip level 1 costs about 8 % of
    size and saves three quarters of the time; the time stamp in its header is 0.
    """
    import nibabel

    scaled = np.dtype(dtype) == np.int16 and np.issubdtype(array.dtype, np.floating)
    stored = np.rint(array * INT16_MAX) if scaled else array
    image = nibabel.Nifti1Image(np.asarray(stored, dtype=dtype), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=space_code)
    image.set_qform(affine, code=space_code)
    data = bytearray(image.to_bytes())
    if scaled:
        struct.pack_into("<f", data, _SCL_SLOPE_OFFSET, 1.0 / INT16_MAX)
    write_bytes(path, gzip.compress(bytes(data), compresslevel=1, mtime=0) if path.suffix == ".gz" else bytes(data))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ----------------------------------------------------------------------------------------------- bytes and header


def _read_stored(path: Path) -> tuple[Any, NDArray[Any]]:
    """Return the header and the stored numbers, shape (I, J, K), before any scaling."""
    try:
        opened = path.open("rb")
    except PermissionError:
        raise ScanError.unreadable(path) from None
    with opened as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not zipped and path.suffix.lower() == ".gz":
            raise ScanError.not_gzip(path)
        if not zipped:
            return _read_stream(path, raw, plain_size=path.stat().st_size)
        stream = _open_gzip(raw)
        try:
            return _read_stream(path, stream, plain_size=None)
        except EOFError:
            raise ScanError.damaged_gzip(path, "it ends too early") from None
        except (OSError, zlib.error, ValueError) as error:
            if isinstance(error, ScanError):
                raise
            raise ScanError.damaged_gzip(path, "its checksum or content is wrong") from None
        except Exception as error:
            if type(error).__name__ != "IsalError":  # isal's own class exists only where isal is installed
                raise
            raise ScanError.damaged_gzip(path, "its content is wrong") from None


def _open_gzip(raw: BinaryIO) -> BinaryIO:
    try:
        from isal import igzip  # four times faster, optional
    except ImportError:
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))
    return cast(BinaryIO, igzip.IGzipFile(fileobj=raw, mode="rb"))


def _read_stream(path: Path, stream: BinaryIO, plain_size: int | None) -> tuple[Any, NDArray[Any]]:
    """Parse the header, compare it with the file, and only then allocate and read the voxels."""
    head = _read_exactly(stream, 540)
    header = parse_header(path, head)
    shape, dtype = check_header(path, header)
    offset = max(int(header["vox_offset"]), int(header["sizeof_hdr"]))
    wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if plain_size is not None and plain_size < offset + wanted:
        raise ScanError.truncated(path, wanted, max(plain_size - offset, 0))

    if offset < len(head):
        first = head[offset:]
    else:
        skip = offset - len(head)
        if skip > VOXEL_CAP:
            raise ScanError.not_nifti(path)
        _read_exactly(stream, skip)
        first = b""
    voxels = bytearray(wanted)
    filled = min(len(first), wanted)
    voxels[:filled] = first[:filled]
    view = memoryview(voxels)
    while filled < wanted:
        count = stream.readinto(view[filled : filled + _CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise ScanError.truncated(path, wanted, filled)
        filled += count
    if plain_size is None:
        _read_to_end(path, stream)
    return header, np.frombuffer(voxels, dtype=dtype).reshape(shape, order="F")


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    """Read up to `count` bytes; fewer only at the end."""
    parts = []
    while count > 0 and (part := stream.read(min(count, _CHUNK))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _read_to_end(path: Path, stream: BinaryIO) -> None:
    """Read what follows the voxels, so that the gzip trailer is reached and its CRC compared."""
    extra = 0
    while part := stream.read(_CHUNK):
        extra += len(part)
        if extra > VOXEL_CAP:
            raise ScanError.damaged_gzip(path, "far more data than the header announces")


# ----------------------------------------------------------------------------------------------- values


def _to_float(header: Any, stored: NDArray[Any]) -> FloatArray:
    slope, intercept = (float(header[name]) for name in ("scl_slope", "scl_inter"))
    if not np.isfinite(slope) or slope == 0:  # nifti1.h: a slope of 0 means no scaling
        slope, intercept = 1.0, 0.0
    if not np.isfinite(intercept):
        intercept = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        if (slope, intercept) == (1.0, 0.0):
            return stored.astype(np.float32)
        # In float64 first, so that the result is the one a float copy of the same scan would hold.
        return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _check_values(path: Path, values: FloatArray) -> None:
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise ScanError.not_finite(path, bad)
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise ScanError.constant(path)
    sample = values[:, :, values.shape[2] // 8 :: 4]
    if low <= 2 * CT_AIR and float((sample <= CT_AIR).mean()) > CT_AIR_SHARE and high > -CT_AIR:
        raise ScanError.ct_like(path)
    distinct, counts = np.unique(sample, return_counts=True)
    background = distinct[counts.argmax()]
    left, right = sample[:-1], sample[1:]
    inside = (left != background) & (right != background)
    flat = float((left == right)[inside].mean()) if inside.any() else 1.0
    if len(distinct) < FEWEST_VALUES or flat > FLAT_SHARE:
        raise ScanError.label_map(path, len(distinct))
