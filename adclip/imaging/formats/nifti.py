"""NIfTI-1 and NIfTI-2, single files and pairs, and Analyze 7.5: headers, believed only where they make sense."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

from adclip.domain import FloatArray
from adclip.errors import ScanError
from adclip.imaging.formats import errors
from adclip.imaging.formats.content import NIFTI, describe
from adclip.imaging.formats.geometry import Geometry, choose_affine, with_facts, with_flags
from adclip.imaging.formats.names import pair_of
from adclip.imaging.formats.stored import StoredImage, check_dtype, check_scaling, check_shape
from adclip.imaging.formats.stream import VOXEL_CAP, open_source

HEAD_BYTES = 540  # the longer of both headers
# where NIfTI-1 and NIfTI-2 say where the voxels lie, beside the sizes in pixdim
PLACE_FIELDS = (
    "sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
    "qoffset_z",
)  # fmt: skip
_KINDS = {348: "NIfTI-1", 540: "NIfTI-2"}


def parse_single(path: Path, head: bytes, orientation: str | None = None) -> StoredImage:
    """Parse the first bytes of a `.nii` or `.nii.gz` file.

    Raises
    ------
    ScanError
        If they are no single-file NIfTI header, or say something impossible.
    """
    kind, magic = _find_kind(head)
    if kind is None or magic[:3] not in (b"n+1", b"n+2"):
        raise _say_what_it_is(path, head)
    return _parse(path, path, head, kind, kind, orientation)


def parse_pair(path: Path, orientation: str | None = None) -> StoredImage:
    """Parse the header of a pair, of which `path` is either file; `path` of the result holds the voxels.

    Raises
    ------
    ScanError
        If one file is missing, the header is neither NIfTI nor Analyze, or it says something impossible.
    """
    header_path, voxel_path = pair_of(path)
    for file in (header_path, voxel_path):
        if not file.is_file():
            raise errors.half_a_pair(path, file.name)
    with open_source(header_path) as source:
        head = source.read(HEAD_BYTES)
    kind, magic = _find_kind(head)
    if kind is not None and magic[:3] in (b"ni1", b"ni2"):
        return _parse(path, voxel_path, head, kind, f"{kind} pair", orientation)
    if len(head) >= 348 and 348 in _first_number(head):
        return _parse_analyze(path, voxel_path, head, orientation)
    raise _say_what_it_is(header_path, head)


def _say_what_it_is(path: Path, head: bytes) -> ScanError:
    """Return the error of a file that does not begin as a NIfTI file does: a damaged header is told from something else."""
    kind, magic = _find_kind(head)
    if kind is not None and magic[:3] in (b"ni1", b"ni2"):
        return errors.header_of_pair(path)
    known = describe(head)
    if known is not None and known[0] != NIFTI:
        return errors.another_content(path, *known)
    if len(head) < 348:
        return errors.damaged_header(path, f"the file ends after {len(head)} of its 348 bytes")
    if known is not None:
        first = struct.unpack("<i", head[:4])[0]
        return errors.damaged_header(
            path, f"it begins with the number {first}, where its length of 348 or 540 should be"
        )
    if kind is not None:
        return errors.damaged_header(path, "the word `n+1` is missing by which NIfTI is known")
    return errors.not_nifti(path)


def _first_number(head: bytes) -> set[int]:
    return {struct.unpack(order + "i", head[:4])[0] for order in "<>"}


def _find_kind(head: bytes) -> tuple[str | None, bytes]:
    if len(head) < 348:
        return None, b""
    kind = next((name for size, name in _KINDS.items() if size in _first_number(head)), None)
    return kind, head[344:348] if kind == "NIfTI-1" else head[4:8]


def _parse(
    path: Path, voxel_path: Path, head: bytes, kind: str, format_name: str, orientation: str | None
) -> StoredImage:
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    try:
        if kind == "NIfTI-1":
            header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(head[:348]), check=False)
        else:
            header = nibabel.Nifti2Header.from_fileobj(io.BytesIO(head), check=False)
    except (HeaderDataError, ValueError):
        raise errors.damaged_header(path, "it cannot be parsed") from None
    shape, dtype = _shape_and_dtype(path, header)
    offset = header["vox_offset"]
    if not np.isfinite(offset) or not 0 <= offset <= VOXEL_CAP:
        raise errors.damaged_header(path, f"it lets the voxels begin at byte {offset:g}")
    single = voxel_path == path and format_name == kind
    slope, intercept, scaling_flags = check_scaling(float(header["scl_slope"]), float(header["scl_inter"]))
    candidates: dict[str, FloatArray | None] = {}
    if header["sform_code"] > 0:
        candidates["sform"] = np.asarray(header.get_sform(), dtype=np.float64)
    if header["qform_code"] > 0:
        candidates["qform"] = _get_qform(header)
    geometry = choose_affine(
        path,
        candidates,
        [float(size) for size in header["pixdim"][1:4]],
        shape,
        orientation=orientation,
        unit=int(header["xyzt_units"]) & 7,
    )
    codes = {f"{name}_code": int(header[f"{name}_code"]) for name in ("sform", "qform")}
    return StoredImage(
        path=voxel_path,
        format=format_name,
        shape=shape,
        dtype=dtype,
        offset=max(int(offset), int(header["sizeof_hdr"])) if single else int(offset),
        geometry=with_flags(with_facts(geometry, format=format_name, **codes), scaling_flags),
        slope=slope,
        intercept=intercept,
        place=_place_of(header, geometry),
    )


def _place_of(header: Any, geometry: Geometry) -> dict[str, Any]:
    """Return the numbers of a header that place its voxels, for a map on the same ones; none where the user's word counts instead."""
    if geometry.facts["affine_from"] == "declared":
        return {}
    place = {name: np.asarray(header[name], dtype=np.float64).tolist() for name in PLACE_FIELDS}
    place["pixdim"] = [float(size) for size in header["pixdim"][:4]]
    for name in ("sform", "qform"):
        if f"{name}_invalid" in geometry.flags:  # a reader that believes it would have no place at all
            place[f"{name}_code"] = 0
    return place


def _parse_analyze(path: Path, voxel_path: Path, head: bytes, orientation: str | None) -> StoredImage:
    """Parse an Analyze 7.5 header; its orientation byte is filled so differently by programs that it says nothing."""
    from nibabel.spatialimages import HeaderDataError
    from nibabel.spm99analyze import Spm99AnalyzeHeader

    try:
        header = Spm99AnalyzeHeader.from_fileobj(io.BytesIO(head[:348]), check=False)
    except (HeaderDataError, ValueError):
        raise errors.damaged_header(path, "it cannot be parsed") from None
    shape, dtype = _shape_and_dtype(path, header)
    offset = header["vox_offset"]
    if not np.isfinite(offset) or not 0 <= offset <= VOXEL_CAP:
        raise errors.damaged_header(path, f"it lets the voxels begin at byte {offset:g}")
    slope, _, scaling_flags = check_scaling(float(header["scl_slope"]), 0.0)  # SPM's use of a field that others leave 0
    geometry: Geometry = choose_affine(
        path, {}, [float(size) for size in header["pixdim"][1:4]], shape, orientation=orientation
    )
    return StoredImage(
        path=voxel_path,
        format="Analyze 7.5",
        shape=shape,
        dtype=dtype,
        offset=int(offset),
        geometry=with_flags(with_facts(geometry, format="Analyze 7.5"), scaling_flags),
        slope=slope,
    )


def _shape_and_dtype(path: Path, header: Any) -> tuple[tuple[int, int, int], np.dtype[Any]]:
    from nibabel.spatialimages import HeaderDataError

    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise errors.damaged_header(path, "its number of axes is none of 1 to 7")
    if min(lengths := [int(length) for length in header["dim"][1 : axes + 1]]) < 0:
        raise errors.damaged_header(path, f"it says that an axis has {min(lengths)} voxels")
    shape = check_shape(path, header["dim"][1 : axes + 1])
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        code = int(header["datatype"])
        raise errors.damaged_header(path, f"its data type, number {code}, is none that exists") from None
    return shape, check_dtype(path, dtype)


def _get_qform(header: Any) -> FloatArray | None:
    """Return the qform, or None where the quaternion is no rotation or a size is not positive."""
    from nibabel.spatialimages import HeaderDataError

    header = header.copy()
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1  # nifti1.h: 0 and anything strange mean 1
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError):
        return None
