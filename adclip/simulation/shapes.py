"""What makes a head one person's: a smooth random shape, and how the changes of a brain are followed through it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adclip.simulation.anatomies import SHAPE_GRID, onto_shape_grid, read_head
from adclip.simulation.fields import apply_affine, exponentiate, identity, sample, smooth_noise

if TYPE_CHECKING:
    from torch import Tensor

# Smooth random velocities, (correlation length mm, standard deviation mm); judged on pictures.
SHAPE_NOISE = ((40.0, 2.5), (18.0, 0.8))
RESIZINGS, COARSER = (
    2,
    2,
)  # steps towards the size that a head had, and the voxels of `SHAPE_GRID` between those they are judged by
MARGIN_MM = 12.0  # over which displacements fade to nothing at the faces of SHAPE_GRID


def draw_shape(source: Path | None, rng: np.random.Generator) -> Tensor:
    """Draw the shape of a person's head.

    Left alone, random shifts made the cavity of the skull 2.1 % smaller to 1.5 % larger in eight people. Size is what a registration
    takes away, so the person's template space has none: it is brought back by a velocity from the middle outwards, which fades like all
    others at the faces of the grid.

    Returns
    -------
    Tensor (3, X, Y, Z)
        Displacement on `SHAPE_GRID`, mm: what leads from a point of the person to the source.
    """
    import torch

    velocity = torch.zeros((3, *SHAPE_GRID.shape_xyz))
    for length_mm, size_mm in SHAPE_NOISE:
        velocity += size_mm * smooth_noise(rng, SHAPE_GRID.shape_xyz, length_mm / SHAPE_GRID.spacing_mm[0], 3)
    velocity *= window()
    cavity, outwards = _cavity(source)
    part = (slice(None), *[slice(None, None, COARSER)] * 3)
    step = torch.tensor(SHAPE_GRID.spacing_xyz_mm)[:, None, None, None] * COARSER
    few, coarse_grid = cavity[part][None], identity(tuple(cavity[part].shape[1:]))
    for _ in range(RESIZINGS):
        shifts = exponentiate(-velocity[part], SHAPE_GRID.spacing_xyz_mm, COARSER)
        grown = sample(few, coarse_grid + shifts / step, padding="zeros").sum() / few.sum()
        velocity -= float(torch.log(grown)) / 3 * outwards
    return exponentiate(-velocity, SHAPE_GRID.spacing_xyz_mm)


def follow(shape: Tensor, change: Tensor, box: tuple[slice, slice, slice], steps: tuple[slice, slice, slice]) -> Tensor:
    """Follow a person's shape to the source, and from there what its brain went through.

    Parameters
    ----------
    shape : Tensor (3, X, Y, Z)
        Displacement on `SHAPE_GRID`, mm.
    change : Tensor (3, X', Y', Z')
        Displacement in `box` of `SHAPE_GRID`, mm; nothing moves outside.
    steps : tuple of slice
        Voxels of `SHAPE_GRID` that are asked for.

    Returns
    -------
    Tensor (3, X'', Y'', Z'')
        Both together at `steps`, mm.
    """
    import torch

    region = (slice(None), *steps)
    spacing = torch.tensor(SHAPE_GRID.spacing_xyz_mm)[:, None, None, None]
    low = torch.tensor([float(part.start) for part in box])[:, None, None, None]
    voxel = identity(SHAPE_GRID.shape_xyz)[region] + shape[region] / spacing - low
    return shape[region] + sample(change[None], voxel, padding="zeros")[0]


@lru_cache(maxsize=12)
def _cavity(source: Path | None) -> tuple[Tensor, Tensor]:
    """Share of `SHAPE_GRID` inside the skull (1, X, Y, Z), and the velocity that makes it grow alike everywhere (3, X, Y, Z), mm."""
    import torch

    head = read_head(source)
    share = torch.from_numpy(onto_shape_grid(head, head.intracranial))
    points = apply_affine(SHAPE_GRID.affine_xyz, identity(SHAPE_GRID.shape_xyz))
    middle = (points * share).sum(dim=(1, 2, 3), keepdim=True) / share.sum()
    return share[None], (points - middle) * window()


@lru_cache(maxsize=1)
def window() -> Tensor:
    """1 inside `SHAPE_GRID`, falling to 0 at its faces (X, Y, Z)."""
    import torch

    weights = torch.ones(SHAPE_GRID.shape_xyz)
    for axis, (size, step) in enumerate(zip(SHAPE_GRID.shape_xyz, SHAPE_GRID.spacing_xyz_mm, strict=True)):
        place = torch.arange(size, dtype=torch.float32)
        depth = (torch.minimum(place, size - 1 - place) * step / MARGIN_MM).clamp(max=1.0)
        weights *= (depth * depth * (3 - 2 * depth)).reshape([-1 if a == axis else 1 for a in range(3)])
    return weights
