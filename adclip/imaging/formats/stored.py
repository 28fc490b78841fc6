"""What every format's header comes down to: where the voxels lie, what they are, and their geometry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adclip.imaging.formats import errors
from adclip.imaging.formats.geometry import Geometry
from adclip.imaging.formats.stream import VOXEL_CAP

SCALING_IGNORED = "scaling_ignored"  # flag: slope or intercept of the header is no number


@dataclass(frozen=True)
class StoredImage:
    """A header that has been compared with sense, before its voxels are read.

    Parameters
    ----------
    path : Path
        The file that holds the voxels.
    format : str
        `NIfTI-1`, `NIfTI-2`, `NIfTI pair`, `Analyze 7.5` or `MGH`.
    shape : tuple of int
        Voxels along the stored axes I, J, K.
    dtype : numpy dtype
        Numbers on disk, with byte order.
    offset : int
        Bytes before the first voxel.
    geometry : Geometry
        Which affine is used, and why.
    slope, intercept : float
        Value = stored * slope + intercept.
    trailer : bool
        Whether the format has bytes behind the voxels (MGH), so that they are nothing to wonder about.
    place : mapping
        As in `SourceGrid`.
    """

    path: Path
    format: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    geometry: Geometry
    slope: float = 1.0
    intercept: float = 0.0
    trailer: bool = False
    place: Mapping[str, Any] = field(default_factory=dict)


def check_shape(path: Path, sizes: Sequence[int]) -> tuple[int, int, int]:
    """Return the 3D shape; trailing axes of length 1 do not count.

    Raises
    ------
    ScanError
        If the image is not 3D or has more voxels than VOXEL_CAP.
    """
    shape = tuple(int(size) for size in sizes)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 2:
        raise errors.not_3d(path, shape)
    voxels = math.prod(shape)
    if voxels > VOXEL_CAP:
        raise errors.too_large(path, voxels, VOXEL_CAP)
    return (shape[0], shape[1], shape[2])


def check_dtype(path: Path, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype of plain real numbers; raises ScanError for colours, complex and exotic ones."""
    if dtype.fields is not None:
        raise errors.bad_type(path, "colours (RGB)")
    if dtype.kind == "c":
        raise errors.bad_type(path, "complex")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise errors.bad_type(path, f"of type {dtype}")
    return dtype


def check_scaling(slope: float, intercept: float) -> tuple[float, float, tuple[str, ...]]:
    """Return the scaling to apply, and the flag `scaling_ignored` where the header asks for one that is no number.

    A slope of 0 means none (nifti1.h); numbers that are not finite are taken for none as well, which is said.
    """
    if slope == 0:
        return 1.0, 0.0, ()
    if not np.isfinite(slope):
        return 1.0, 0.0, (SCALING_IGNORED,)
    if not np.isfinite(intercept):
        return float(slope), 0.0, (SCALING_IGNORED,)
    return float(slope), float(intercept), ()
