"""The smooth fields that make a region grow or shrink.

A region's change is prescribed as a divergence: d is 1 inside the region and negative in the tissue around it, so that
the whole is unchanged. The velocity is the gradient of the solution of Poisson's equation (laplace phi = d), found with
one FFT per region; it is smooth and curl-free. Velocities add up, are exponentiated (`fields.exponentiate`), and so stay
invertible however large the change.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.simulation.anatomies import (
    HORN_PLEXUS_CODES,
    HORNS,
    PLEXUS_CODES,
    SHAPE_GRID,
    TRUTH_CODES,
    Head,
    onto_shape_grid,
    read_head,
)
from adclip.simulation.skull import keep_inside
from adclip.simulation.tissues import CORTEX_CODES, FLUID_CODES

# Which labels a driver of `population.DRIVERS` changes. The parahippocampal gyrus goes with the entorhinal cortex, the inferior
# and superior temporal gyri with the temporal neocortex, the cingulate isthmus and posterior cingulate with the parietal
# cortex: the order in which the disease spreads (Braak & Braak 1991).
DRIVER_CODES: dict[str, tuple[int, ...]] = {
    "hippocampus_left": (17,),
    "hippocampus_right": (53,),
    "amygdala_left": (18,),
    "amygdala_right": (54,),
    "inferior_lateral_ventricle_left": TRUTH_CODES["inferior_lateral_ventricle_left"],
    "inferior_lateral_ventricle_right": TRUTH_CODES["inferior_lateral_ventricle_right"],
    "entorhinal_left": (1006, 1016),
    "entorhinal_right": (2006, 2016),
    "temporal_left": (1007, 1009, 1015, 1030),
    "temporal_right": (2007, 2009, 2015, 2030),
    "parietal_left": (1008, 1010, 1023, 1025, 1029, 1031),
    "parietal_right": (2008, 2010, 2023, 2025, 2029, 2031),
    "frontal_left": (1003, 1027, 1028),
    "frontal_right": (2003, 2027, 2028),
    # without the temporal horns in heads where these have drivers of their own
    "ventricles": (4, 5, 43, 44, 31, 63, *PLEXUS_CODES, *HORN_PLEXUS_CODES),
}
# Regions of so few voxels of `SHAPE_GRID` that every one counts when they are measured.
SMALL_DRIVERS = ("amygdala_left", "amygdala_right", *HORNS)
SMALL_ROOM = 6  # voxels, 15 mm: farther than a small region is moved
SULCI = "sulci"
# Reach of the tissue that gives or takes the room, mm: ventricles take it from the whole brain, a shrinking gyrus gives it
# to what lies around it.
VENTRICLES_REACH_MM, GYRUS_REACH_MM, SULCI_REACH_MM = 30.0, 8.0, 6.0


def driver_codes(path: Path | None) -> dict[str, tuple[int, ...]]:
    """Return the labels that each driver changes in a head: the temporal horns are the ventricles' where they are too small."""
    own = {name for name in HORNS if name in read_head(path).measurable}
    horn_codes = {code for name in own for code in DRIVER_CODES[name]}
    return {
        name: codes if name in own else tuple(code for code in codes if code not in horn_codes)
        for name, codes in DRIVER_CODES.items()
        if name not in HORNS or name in own
    }


@lru_cache(maxsize=12)
def driver_regions(path: Path | None) -> dict[str, FloatArray]:
    """Share of each voxel of `SHAPE_GRID` that the region of a driver fills; without the drivers that the head lacks."""
    head = read_head(path)
    own = {name for name in HORNS if name in head.measurable}
    regions = {name: onto_shape_grid(head, head.region(codes)) for name, codes in driver_codes(path).items()}
    cortex, fluid = _cortex_and_fluid(head)
    if cortex.sum() > 1:
        inner = sum((regions[name] for name in own), regions["ventricles"])
        horns = sum((regions[name] for name in own), np.zeros_like(fluid))  # too thin for a wide blur to cover
        sulci = np.clip(fluid - _blur(inner, 4.0) * 3, 0, 1) * (_blur(horns, 2.5) < 0.02)
        regions[SULCI] = sulci.astype(np.float32)
    return {name: region for name, region in regions.items() if region.sum() > 1}


@lru_cache(maxsize=12)
def driver_fields(source: Path | None) -> dict[str, FloatArray]:
    """Velocity of each driver of a head on `SHAPE_GRID`: mm, shape (3, X, Y, Z), mean divergence 1 inside its region.

    None moves the skull, see `skull`: what a structure gains or loses stays inside.
    """
    head = read_head(source)
    brain = onto_shape_grid(head, head.intracranial)
    fields = {}
    for name, region in driver_regions(source).items():
        if name == SULCI:  # they open where the cortex around them gives way
            cortex = _cortex_and_fluid(head)[0]
            around = (_surroundings(cortex, brain, SULCI_REACH_MM) * (1 - region)).astype(np.float32)
        else:
            around = _surroundings(region, brain, VENTRICLES_REACH_MM if name == "ventricles" else GYRUS_REACH_MM)
        fields[name] = _as_strong(keep_inside(_field(region, around), source), region)
    return fields


@lru_cache(maxsize=12)
def moving_box(source: Path | None) -> tuple[slice, slice, slice]:
    """Return the part of `SHAPE_GRID` outside which no driver moves anything."""
    where = np.nonzero(np.any([np.abs(field).max(axis=0) > 0 for field in driver_fields(source).values()], axis=0))
    x, y, z = (
        slice(max(int(a.min()) - 1, 0), min(int(a.max()) + 2, size))
        for a, size in zip(where, SHAPE_GRID.shape_xyz, strict=True)
    )
    return x, y, z


@lru_cache(maxsize=12)
def driven_stack(path: Path | None) -> Any:
    """Regions of the drivers on `SHAPE_GRID` as one tensor (1, C, X, Y, Z), in the order of `driver_fields`."""
    import torch

    return torch.from_numpy(np.stack(list(driver_regions(path).values())))[None]


@lru_cache(maxsize=12)
def small_box(path: Path | None) -> tuple[slice, slice, slice]:
    """Return the part of `SHAPE_GRID` that holds `SMALL_DRIVERS`, with `SMALL_ROOM` around; empty where the head has none."""
    regions = driver_regions(path)
    mask = np.zeros(SHAPE_GRID.shape_xyz, dtype=bool)
    for name in SMALL_DRIVERS:
        if name in regions:
            mask |= regions[name] > 0.01
    where = np.nonzero(mask)
    if not where[0].size:
        return slice(0), slice(0), slice(0)
    x, y, z = (slice(max(int(a.min()) - SMALL_ROOM, 0), int(a.max()) + 1 + SMALL_ROOM) for a in where)
    return x, y, z


@lru_cache(maxsize=12)
def responses(path: Path | None) -> NDArray[np.float64]:
    """Return how much ln(volume) of each region (row) changes with each driver's velocity (column), for small changes.

    Neighbours tell on each other: what the temporal horn gains, hippocampus and amygdala beside it lose.
    """
    regions, fields = driver_regions(path), driver_fields(path)
    spacing_mm = SHAPE_GRID.spacing_xyz_mm
    log_volume_changes = np.zeros((len(regions), len(fields)))
    for column, field in enumerate(fields.values()):
        divergence = sum(np.gradient(field[axis], spacing_mm[axis], axis=axis) for axis in range(3))
        log_volume_changes[:, column] = [
            float((divergence * region).sum() / region.sum()) for region in regions.values()
        ]
    return log_volume_changes


def _cortex_and_fluid(head: Head) -> tuple[FloatArray, FloatArray]:
    from adclip.imaging.volumes.anatomy import average_onto, read_anatomy

    if head.outside is None:  # the template knows probabilities, and its labels have no CSF in the sulci
        anatomy = read_anatomy()
        brain = average_onto(anatomy.brain.astype(np.float32), anatomy.affine, SHAPE_GRID)
        tissue = average_onto(anatomy.gray + anatomy.white, anatomy.affine, SHAPE_GRID)
        return average_onto(anatomy.gray, anatomy.affine, SHAPE_GRID), np.clip(brain - tissue, 0, 1)
    return onto_shape_grid(head, head.region(CORTEX_CODES)), onto_shape_grid(head, head.region(FLUID_CODES))


def _blur(array: FloatArray, sigma_mm: float) -> FloatArray:
    from scipy.ndimage import gaussian_filter

    result: FloatArray = gaussian_filter(array, [sigma_mm / spacing for spacing in SHAPE_GRID.spacing_xyz_mm])
    return result


def _surroundings(region: FloatArray, brain: FloatArray, reach_mm: float) -> FloatArray:
    near = _blur(region, reach_mm)
    return (near / near.max() * brain * (1 - np.clip(region, 0, 1))).astype(np.float32)


def _field(region: FloatArray, around: FloatArray) -> FloatArray:
    wished = region - around * (region.sum() / around.sum())
    spectrum = np.fft.rfftn(wished)
    shape, spacing_mm = SHAPE_GRID.shape_xyz, SHAPE_GRID.spacing_xyz_mm
    frequencies = [2 * np.pi * np.fft.fftfreq(size, step) for size, step in zip(shape, spacing_mm, strict=True)]
    frequencies[2] = 2 * np.pi * np.fft.rfftfreq(shape[2], spacing_mm[2])
    kx, ky, kz = np.meshgrid(*frequencies, indexing="ij")
    square = kx**2 + ky**2 + kz**2
    square[0, 0, 0] = 1.0
    potential = -spectrum / square
    potential[0, 0, 0] = 0.0
    field = np.stack([np.fft.irfftn(1j * k * potential, shape, axes=(0, 1, 2)) for k in (kx, ky, kz)])
    return field.astype(np.float32)


def _as_strong(field: FloatArray, region: FloatArray) -> FloatArray:
    """Scale a velocity so that its mean divergence inside the region is 1."""
    spacing_mm = SHAPE_GRID.spacing_xyz_mm
    divergence = sum(np.gradient(field[axis], spacing_mm[axis], axis=axis) for axis in range(3))
    inside = float((divergence * region).sum() / region.sum())
    return (field / inside).astype(np.float32)
