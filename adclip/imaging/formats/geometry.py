"""Voxel to millimetres: which matrix of a header is believed. The table stands in docs/reference/inputs.md."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from adclip.domain import FloatArray
from adclip.errors import ConfigError
from adclip.imaging.formats import errors as formats_errors

CORNER_MM = 1.0  # sform and qform further apart at any corner disagree; float32 quaternions err by less than 0.01
# |cosine| between voxel axes: 0.006 and 15 degrees off a right angle. SimpleITK 2.5.7 reads 0.005 degrees and refuses 0.01; what
# 32-bit numbers make of a rotation stays below 1e-6.
SLIGHT_SHEAR, STRONG_SHEAR = 1e-4, 0.26
SIZE_SHARE = 0.01  # by which voxel sizes of sform, qform and pixdim may differ: 3 % of every volume
VOXEL_MM = (0.2, 8.0)  # 7 T research heads reach 0.25 mm; above 8 mm a hippocampus is one voxel
FEWEST_VOXELS = 16  # along any axis: below, it is a localiser or a slab
FIELD_OF_VIEW_MM = 60.0  # shorter than any adult brain along any axis
_UNITS = {1: "metres", 3: "micrometres"}  # NIFTI_UNITS_METER, NIFTI_UNITS_MICRON
_ABSURD_MM = 1e9  # a thousand kilometres, or a kilometre in micrometres
_PAIRS = ("LR", "PA", "IS")


@dataclass(frozen=True)
class Geometry:
    """An affine (4, 4) in RAS+ mm, what is to be known of it (`flags`), and how it was chosen (`facts`)."""

    affine: FloatArray
    flags: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def parse_orientation(text: str) -> str:
    """Return an orientation such as `LAS` in capitals.

    Raises
    ------
    ConfigError
        If it does not name each of the three directions once.
    """
    codes = text.strip().upper()
    if len(codes) != 3 or not all(any(code in pair for code in codes) for pair in _PAIRS):
        raise ConfigError.bad_value(
            "--orientation",
            f"`{text[:16]}` does not name three directions",
            "give one of L/R, P/A and I/S for each stored axis, such as RAS or LPI: where its index grows to",
        )
    return codes


def choose_affine(
    path: Path,
    candidates: Mapping[str, FloatArray | None],
    sizes: Sequence[float],
    shape: tuple[int, int, int],
    *,
    orientation: str | None = None,
    unit: int = 2,
) -> Geometry:
    """Decide which matrix of a header is used.

    Parameters
    ----------
    path : Path
        The file, for errors.
    candidates : mapping
        By name (`sform`, `qform`, `header`), in order of preference, the matrices that the header declares valid; None
        for one that is declared and cannot be computed.
    sizes : sequence of float
        Voxel sizes that the header states beside the matrices, in mm.
    shape : tuple of int
        Voxels along the stored axes.
    orientation : str or None
        What the user declares.
    unit : int
        NIfTI's code of the spatial unit.

    Returns
    -------
    Geometry
        Never without directions.

    Raises
    ------
    ScanError
        If no matrix is usable, two contradict each other, or the voxel sizes or extent cannot be those of a head.
    ConfigError
        If `orientation` is no orientation.
    """
    declared = parse_orientation(orientation) if orientation else None
    flags: list[str] = []
    facts: dict[str, Any] = {}
    if not candidates:
        if declared is None:
            raise formats_errors.no_orientation(path)
        affine, used = _declared_affine(declared, sizes, shape), "declared"
        flags.append("orientation_declared")
    else:
        used, affine = _choose_valid(path, candidates, shape, flags, facts)
        if _is_placeholder(affine):
            if declared is None:
                flags.append("orientation_doubtful")
            else:
                affine, used = _declared_affine(declared, np.linalg.norm(affine[:3, :3], axis=0), shape), "declared"
                flags.append("orientation_declared")
        elif declared is not None and declared != _codes(affine):
            flags.append("orientation_option_ignored")
    with np.errstate(over="ignore"):
        voxel_mm = np.linalg.norm(affine[:3, :3], axis=0)
    _check_extent(path, voxel_mm, shape, unit)
    if unit in _UNITS:
        flags.append("units_doubtful")
    stated = np.abs(np.asarray(sizes, dtype=np.float64))
    if not np.allclose(stated, voxel_mm, rtol=SIZE_SHARE, atol=0):
        flags.append("pixdim_disagrees")
        facts["pixdim_mm"] = [round(float(size), 4) if np.isfinite(size) else None for size in stated]
    if _shear(affine) > SLIGHT_SHEAR:
        flags.append("sheared")
    facts = {
        "affine_from": used,
        "stored_orientation": _codes(affine),
        "obliquity_deg": _obliquity(affine),
        "shape": list(shape),
        "voxel_mm": [round(float(size), 4) for size in voxel_mm],
        **facts,
    }
    return Geometry(affine=affine, flags=tuple(flags), facts=facts)


def with_facts(geometry: Geometry, **facts: Any) -> Geometry:
    """Return the same geometry with further facts, or others in the place of those of the same name."""
    return replace(geometry, facts={**geometry.facts, **facts})


def with_flags(geometry: Geometry, flags: tuple[str, ...]) -> Geometry:
    """Return the same geometry with further flags behind its own."""
    return replace(geometry, flags=(*geometry.flags, *flags))


def corner_distance(first: FloatArray, second: FloatArray, shape: tuple[int, int, int]) -> float:
    """Largest distance in mm between where two affines put the corner voxels of one grid."""
    corners = np.array([(*index, 1) for index in itertools.product(*((0, size - 1) for size in shape))], dtype=float)
    return float(np.linalg.norm((corners @ (first - second).T)[:, :3], axis=1).max())


# ----------------------------------------------------------------------------------------------- the table


def _choose_valid(
    path: Path,
    candidates: Mapping[str, FloatArray | None],
    shape: tuple[int, int, int],
    flags: list[str],
    facts: dict[str, Any],
) -> tuple[str, FloatArray]:
    faults = {name: _find_fault(matrix) for name, matrix in candidates.items()}
    valid = {name: matrix for name, matrix in candidates.items() if matrix is not None and not faults[name]}
    if not valid:
        raise formats_errors.bad_affine(path, "; ".join(f"{name}: {fault}" for name, fault in faults.items()))
    flags.extend(f"{name}_invalid" for name, fault in faults.items() if fault)
    (used, affine), *alternatives = valid.items()
    for name, alternative in alternatives:
        if _codes(np.linalg.solve(_directions(affine), _directions(alternative))) != "RAS":
            raise formats_errors.contradicting_directions(
                path, {used: _codes(affine), name: _codes(alternative)}, _angle_between(affine, alternative)
            )
        sizes, other_sizes = (np.linalg.norm(matrix[:3, :3], axis=0) for matrix in (affine, alternative))
        if not np.allclose(sizes, other_sizes, rtol=SIZE_SHARE, atol=0):
            raise formats_errors.contradicting_sizes(path, {used: sizes, name: other_sizes})
        distance = corner_distance(affine, alternative, shape)
        facts[f"{used}_{name}_mm"] = round(distance, 3)
        if distance > CORNER_MM:
            flags.append(f"{used}_{name}_disagree")
    return used, affine


def _find_fault(matrix: FloatArray | None) -> str:
    if matrix is None:
        return "it is no rotation"
    if not np.abs(matrix).max() < _ABSURD_MM:  # NaN compares as false
        return "it holds NaN, infinite or absurdly large numbers"
    sizes = np.linalg.norm(matrix[:3, :3], axis=0)
    if sizes.min() <= 0 or abs(np.linalg.det(matrix[:3, :3] / sizes)) < 1e-3:
        return "it is singular"
    if _shear(matrix) > STRONG_SHEAR:
        return "it is strongly sheared"
    return ""


def _check_extent(path: Path, sizes: FloatArray, shape: tuple[int, int, int], unit: int) -> None:
    low, high = VOXEL_MM
    if not all(low <= size <= high for size in sizes):
        hint = f"the header says its unit is {_UNITS[unit]}" if unit in _UNITS else ""
        for name, factor in (("metres", 1000.0), ("micrometres", 0.001)):
            if not hint and all(low <= size * factor <= high for size in sizes):
                hint = f"they would fit in {name}"
        raise formats_errors.bad_voxel_size(path, tuple(float(size) for size in sizes), hint)
    extent = tuple(float(size * count) for size, count in zip(sizes, shape, strict=True))
    if min(shape) < FEWEST_VOXELS or min(extent) < FIELD_OF_VIEW_MM:
        raise formats_errors.too_small(path, shape, extent)


# ----------------------------------------------------------------------------------------------- matrices


def _directions(affine: FloatArray) -> FloatArray:
    return np.asarray(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))


def _shear(affine: FloatArray) -> float:
    directions = _directions(affine)
    return float(np.abs(directions.T @ directions - np.eye(3)).max())


def _angle_between(first: FloatArray, second: FloatArray) -> float:
    """Largest angle between the same voxel axis in two affines, in degrees."""
    cosines = (_directions(first) * _directions(second)).sum(axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())


def _is_placeholder(affine: FloatArray) -> bool:
    """Tell whether an affine is sizes alone, its origin in the first voxel: no scanner writes that."""
    return bool(
        np.allclose(affine[:3, 3], 0, atol=1e-6) and np.allclose(np.abs(_directions(affine)), np.eye(3), atol=1e-6)
    )


def _codes(affine: FloatArray) -> str:
    from nibabel.orientations import aff2axcodes

    full = np.eye(4)
    full[:3, :3] = affine[:3, :3]
    return "".join(str(code) for code in aff2axcodes(full))


def _obliquity(affine: FloatArray) -> float:
    """Largest angle between a voxel axis and the nearest axis of the body, in degrees."""
    best = np.abs(_directions(affine)).max(axis=0)
    return round(float(np.degrees(np.arccos(np.clip(best, 0, 1))).max()), 2)


def _declared_affine(codes: str, sizes: Sequence[float] | FloatArray, shape: tuple[int, int, int]) -> FloatArray:
    """Axes along the body as declared, the middle of the volume at 0 mm."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (code, size) in enumerate(zip(codes, sizes, strict=True)):
        row = next(row for row, pair in enumerate(_PAIRS) if code in pair)
        affine[row, column] = abs(float(size)) * (1 if _PAIRS[row][1] == code else -1)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine
