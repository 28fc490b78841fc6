"""Volumes and masks by counting labels: where a deformation puts them, voxel by voxel, none of them shared or smoothed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.simulation.anatomies import SHAPE_GRID, Head, HeadMap, onto_shape_grid, read_head
from adclip.simulation.fields import apply_affine
from adclip.simulation.paint import brain_share
from adclip.simulation.tissues import FLUID_CODES, is_intracranial

if TYPE_CHECKING:
    from torch import Tensor

FINER = (
    2  # voxels of counting along an edge of one of `SHAPE_GRID`: 1.25 mm in template space, about 1.1 mm of most heads
)
FINE_MM3 = float(np.prod(SHAPE_GRID.spacing_mm)) / FINER**3
ROOM = 5  # voxels of `SHAPE_GRID` around a cavity: 12.5 mm, more than a deformation carries the skull


def labels_at(source_mm: Tensor, head: Head, path: Path | None) -> Tensor:
    """Return the FreeSurfer code (X, Y, Z) of the voxel nearest to points (3, X, Y, Z) of a head, mm; 0 outside of it."""
    return _nearest(_rimmed_labels(path), apply_affine(np.linalg.inv(head.affine), source_mm))


def is_of(labels: Tensor, codes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Say which of `labels` (X, Y, Z) carry one of `codes`."""
    table = np.zeros(max(int(labels.max()), *codes, 0) + 1, dtype=bool)
    table[list(codes)] = True
    mask: NDArray[np.bool_] = table[labels.numpy()]
    return mask


def fine_voxels(displacement_mm: Tensor, head: Head, path: Path | None) -> Tensor:
    """Return where the points that are counted lie in a head's labels.

    Parameters
    ----------
    displacement_mm : Tensor (3, X, Y, Z)
        On `SHAPE_GRID`: what to add to a point of the person's template space to find it in the source.
    head : Head
        The source, read from `path`.

    Returns
    -------
    Tensor (3, X', Y', Z')
        Voxels of `head.labels`, for every point of a grid `FINER` than `SHAPE_GRID` around the cavity of the skull.
    """
    import torch
    import torch.nn.functional as functional

    box = _cavity_box(path)
    axes = [torch.arange(size, dtype=torch.float32)[part] for size, part in zip(SHAPE_GRID.shape_xyz, box, strict=True)]
    points = apply_affine(SHAPE_GRID.affine_xyz, torch.stack(torch.meshgrid(*axes, indexing="ij")))
    coarse = apply_affine(np.linalg.inv(head.affine), points + displacement_mm[:, box[0], box[1], box[2]])
    return functional.interpolate(coarse[None], scale_factor=FINER, mode="trilinear", align_corners=False)[0]


def count_labels(voxels: Tensor, path: Path | None) -> NDArray[np.float64]:
    """Return the mm3 of template space that each FreeSurfer code (codes,) fills, given `fine_voxels`."""
    labels = _rimmed_labels(path)
    counts = np.bincount(_nearest(labels, voxels).numpy().ravel(), minlength=int(labels.max()) + 1)
    return np.asarray(counts * FINE_MM3, dtype=np.float64)


def own_labels(head: Head) -> NDArray[np.float64]:
    """Return the mm3 of template space that each code fills in a head as it was read."""
    counts = np.bincount(head.labels.ravel(), minlength=int(head.labels.max()) + 1)
    return np.asarray(counts * abs(float(np.linalg.det(head.affine[:3, :3]))), dtype=np.float64)


def volume_of(counted: NDArray[np.float64], codes: tuple[int, ...]) -> float:
    """Return the mm3 of all `codes` together."""
    return float(sum(counted[code] for code in codes if code < counted.size))


def intracranial_volume(counted: NDArray[np.float64]) -> float:
    """Return the mm3 inside the skull: every label that is brain or fluid, named or not."""
    return float(counted[is_intracranial(np.arange(counted.size))].sum())


def brain_volume(counted: NDArray[np.float64], voxels: Tensor, head: Head, tissue: HeadMap) -> float:
    """Return the mm3 of brain without fluid, given `count_labels` and `fine_voxels`.

    The labels of the template do not tell its fluid from its folds. There the painted tissues are counted: their shares, at the
    nearest voxel.
    """
    import torch

    if not tissue.folded:
        return intracranial_volume(counted) - volume_of(counted, FLUID_CODES)
    solid = brain_share(tissue, fluid=False) * (brain_share(tissue, fluid=True) >= 0.5)
    tissue_voxels = apply_affine(np.linalg.inv(tissue.affine) @ head.affine, voxels)
    return float(_nearest(torch.from_numpy(np.pad(solid, 1)), tissue_voxels).sum(dtype=torch.float64)) * FINE_MM3


@lru_cache(maxsize=12)
def _cavity_box(path: Path | None) -> tuple[slice, slice, slice]:
    """Return the part of `SHAPE_GRID` that holds what lies inside the skull, with `ROOM` around."""
    head = read_head(path)
    where = np.nonzero(onto_shape_grid(head, head.intracranial) > 0.01)
    x, y, z = (slice(max(int(a.min()) - ROOM, 0), int(a.max()) + 1 + ROOM) for a in where)
    return x, y, z


@lru_cache(maxsize=12)
def _rimmed_labels(path: Path | None) -> Tensor:
    """Labels of a head in a rim of 0, one voxel wide: what lies outside is taken from there."""
    import torch

    return torch.from_numpy(np.pad(read_head(path).labels, 1))


def _nearest(rimmed: Tensor, voxel: Tensor) -> Tensor:
    import torch

    place = torch.zeros(voxel.shape[1:], dtype=torch.int32)
    for axis, size in enumerate(rimmed.shape):
        place *= size
        place += (voxel[axis] + 1).clamp_(0, size - 1).round_().to(torch.int32)
    return rimmed.reshape(-1).index_select(0, place.reshape(-1)).reshape(place.shape)
