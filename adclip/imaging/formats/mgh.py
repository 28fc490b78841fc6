"""FreeSurfer's MGH and MGZ: one big-endian header of 284 bytes, voxels, and tags that are not read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from adclip.domain import FloatArray
from adclip.imaging.formats import errors
from adclip.imaging.formats.content import describe
from adclip.imaging.formats.geometry import choose_affine, with_facts
from adclip.imaging.formats.stored import StoredImage, check_dtype, check_shape

HEAD_BYTES = 284
# FreeSurfer's MRI_UCHAR, MRI_INT, MRI_FLOAT, MRI_SHORT, MRI_USHRT (mri.h)
_DTYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype(">u1"),
    1: np.dtype(">i4"),
    3: np.dtype(">f4"),
    4: np.dtype(">i2"),
    10: np.dtype(">u2"),
}
_LAYOUT = ">7ih15f"  # version, width, height, depth, frames, type, dof, goodRASFlag, delta[3], Mdc[9], Pxyz_c[3]


def parse_mgh(path: Path, head: bytes, orientation: str | None = None) -> StoredImage:
    """Parse the first bytes of a `.mgh` or `.mgz` file.

    Raises
    ------
    ScanError
        If they are no MGH header, or say something impossible; also where `goodRASFlag` is 0 and `orientation` None.

    Notes
    -----
    Where `goodRASFlag` is 0, FreeSurfer takes voxels of 1 mm and coronal slices (LIA). adclip takes the 1 mm, as the
    sizes in such a header mean nothing, and lets the user say the orientation.
    """
    if known := describe(head):
        raise errors.another_content(path, *known)
    if len(head) < HEAD_BYTES:
        raise errors.not_mgh(path)
    numbers = struct.unpack_from(_LAYOUT, head)
    version, width, height, depth, frames, code, _, good = numbers[:8]
    if version != 1:
        raise errors.not_mgh(path)
    shape = check_shape(path, (width, height, depth, max(frames, 1)))
    if code not in _DTYPES:
        raise errors.bad_type(path, f"of MGH type {code}")
    candidates: dict[str, FloatArray | None] = {}
    delta = np.ones(3)
    if good > 0:
        delta = np.array(numbers[8:11], dtype=np.float64)
        affine = np.eye(4)
        affine[:3, :3] = np.array(numbers[11:20], dtype=np.float64).reshape(3, 3).T * delta
        affine[:3, 3] = np.array(numbers[20:23]) - affine[:3, :3] @ np.array(shape) / 2
        candidates["header"] = affine
    geometry = choose_affine(path, candidates, [float(size) for size in delta], shape, orientation=orientation)
    return StoredImage(
        path=path,
        format="MGH",
        shape=shape,
        dtype=check_dtype(path, _DTYPES[code]),
        offset=HEAD_BYTES,
        geometry=with_facts(geometry, format="MGH"),
        trailer=True,
    )
