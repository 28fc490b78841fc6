"""What a NIfTI header says, believed only where it makes sense: kind, shape, number type, geometry."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

from adclip.domain import FloatArray
from adclip.errors import ScanError

VOXEL_CAP = 512**3  # eight times a FreeSurfer volume of 256^3; nothing clinical is larger

_HEADER_BYTES = {348: "nifti1", 540: "nifti2"}


def parse_header(path: Path, head: bytes) -> Any:
    """Return nibabel's header of the first bytes of a file.

    Raises
    ------
    ScanError
        If they are no NIfTI-1 or NIfTI-2 single-file header.
    """
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    if len(head) < 348:
        raise ScanError.not_nifti(path)
    sizes = {struct.unpack(order + "i", head[:4])[0] for order in "<>"}
    kind = next((name for size, name in _HEADER_BYTES.items() if size in sizes), None)
    magic = head[344:348] if kind == "nifti1" else head[4:8]
    if kind is None or magic[:3] not in (b"n+1", b"n+2"):
        raise ScanError.not_nifti(path)
    try:
        if kind == "nifti1":
            return nibabel.Nifti1Header.from_fileobj(io.BytesIO(head[:348]), check=False)
        return nibabel.Nifti2Header.from_fileobj(io.BytesIO(head), check=False)
    except (HeaderDataError, ValueError):
        raise ScanError.not_nifti(path) from None


def check_header(path: Path, header: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the 3D shape and the stored dtype.

    Raises
    ------
    ScanError
        If the image is not 3D (trailing axes of length 1 do not count), too large, or not of real numbers.
    """
    from nibabel.spatialimages import HeaderDataError

    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise ScanError.not_nifti(path)
    shape = tuple(int(size) for size in header["dim"][1 : axes + 1])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 2:
        raise ScanError.not_3d(path, shape)
    voxels = int(np.prod(shape, dtype=np.int64))
    if voxels > VOXEL_CAP:
        raise ScanError.too_large(path, voxels, VOXEL_CAP)
    try:
        dtype = header.get_data_dtype()
    except HeaderDataError:
        raise ScanError.bad_type(path, "of an unknown kind") from None
    if dtype.fields is not None:
        raise ScanError.bad_type(path, "colours (RGB)")
    if dtype.kind == "c":
        raise ScanError.bad_type(path, "complex")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ScanError.bad_type(path, f"of type {dtype}")
    return shape, dtype


def read_affine(path: Path, header: Any) -> FloatArray:
    """Return voxel-to-mm (4, 4); the sform wins over the qform, as in nibabel, FSL and ITK-SNAP.

    Raises
    ------
    ScanError
        If there is none, it is singular or sheared, or the two disagree about left and right.
    """
    from nibabel.spatialimages import HeaderDataError

    candidates: dict[str, FloatArray] = {}
    if header["sform_code"] > 0:
        candidates["sform"] = np.asarray(header.get_sform(), dtype=np.float64)
    if header["qform_code"] > 0:
        try:
            candidates["qform"] = np.asarray(header.get_qform(), dtype=np.float64)
        except HeaderDataError:
            if not candidates:
                raise ScanError.bad_affine(path, "the qform is not a rotation") from None
    if not candidates:
        raise ScanError.bad_affine(path, "neither sform nor qform is set, so left and right are unknown")
    affine = next(iter(candidates.values()))
    if not np.isfinite(affine).all():
        raise ScanError.bad_affine(path, "it holds NaN or infinite numbers")
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if sizes.min() == 0 or abs(np.linalg.det(affine[:3, :3] / sizes)) < 0.5:
        raise ScanError.bad_affine(path, "it is singular or strongly sheared")
    hands = {bool(np.linalg.det(one[:3, :3]) > 0) for one in candidates.values() if np.isfinite(one).all()}
    if len(hands) > 1:
        raise ScanError.bad_affine(path, "sform and qform contradict each other about left and right")
    return affine
