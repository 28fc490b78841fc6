"""Brains with known truth in template space: the template, deformed by a person's changes, measured and painted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract
from adclip.imaging.anatomy import (
    DRIVER_CODES,
    REGION_CODES,
    FloatArray,
    average_onto,
    driver_fields,
    read_anatomy,
)
from adclip.simulation.fields import apply_affine, draw_misalignment, exponentiate, identity, sample, smooth_noise
from adclip.simulation.paint import Style, draw_style, expose, paint_brain
from adclip.simulation.population import DRIVERS, Person

if TYPE_CHECKING:
    from torch import Tensor

# Subject-specific shape: smooth random velocities, (correlation length mm, standard deviation mm); judged on pictures.
SHAPE_NOISE = ((40.0, 2.5), (18.0, 0.8))
# A unit of velocity changes ln(volume) by less than one, because part of it acts just outside a moving region. Measured
# over 100 people: the first guess is scaled by this, the second by what the first one missed.
RESPONSE = 0.75


@dataclass(frozen=True)
class SimulatedBrain:
    """One person's brain in template space on a contract's grid.

    Parameters
    ----------
    warp : ndarray (3, X, Y, Z)
        Voxel position of the template (on the same grid) that each grid point shows.
    tissue : dict of ndarray (X, Y, Z)
        `t1`, `gray`, `white`, `brain` and each region, warped.
    volumes_mm3 : dict
        Canonical column -> measured volume in the person's own space.
    changed : ndarray (X, Y, Z), bool
        Voxels of the structures that the severity changes.
    """

    warp: FloatArray
    tissue: dict[str, FloatArray]
    volumes_mm3: dict[str, float]
    changed: NDArray[np.bool_]


@lru_cache(maxsize=2)
def _template_stack(contract: InputContract) -> tuple[tuple[str, ...], Any, dict[str, float]]:
    """Template channels on the contract's grid as one tensor (1, C, X, Y, Z), and each region's share of the ICV."""
    import torch

    anatomy = read_anatomy()
    channels: dict[str, FloatArray] = {
        "t1": anatomy.t1,
        "gray": anatomy.gray,
        "white": anatomy.white,
        "brain": anatomy.brain.astype(np.float32),
    }
    channels |= {name: anatomy.region(codes).astype(np.float32) for name, codes in REGION_CODES.items()}
    stack = np.stack([average_onto(channel, anatomy.affine, contract) for channel in channels.values()])
    icv = float(anatomy.brain.sum())
    shares = {name: float(channels[name].sum()) / icv for name in REGION_CODES}
    return tuple(channels), torch.from_numpy(stack)[None], shares


@lru_cache(maxsize=2)
def _driven_stack(contract: InputContract) -> Any:
    """Regions of the drivers on the contract's grid as one tensor (1, C, X, Y, Z), in the order of DRIVER_CODES."""
    import torch

    anatomy = read_anatomy()
    regions = [anatomy.region(codes).astype(np.float32) for codes in DRIVER_CODES.values()]
    return torch.from_numpy(np.stack([average_onto(region, anatomy.affine, contract) for region in regions]))[None]


def deform(
    person: Person,
    contract: InputContract,
    rng: np.random.Generator,
    misalignment: NDArray[np.float64] | None = None,
) -> SimulatedBrain:
    """Give the template this person's shape and measure it.

    Volumes are the sums of the warped label probabilities, in the person's own millimetres: the template brain is scaled
    to the person's ICV.
    """
    import torch

    names, stack, shares = _template_stack(contract)
    fields = {name: torch.from_numpy(field) for name, field in driver_fields(contract).items()}
    wished = {name: wished_change(name, person, shares) for name in fields}
    velocity = torch.zeros((3, *contract.shape_xyz))
    for length_mm, size_mm in SHAPE_NOISE:
        velocity += size_mm * smooth_noise(rng, contract.shape_xyz, length_mm / contract.spacing_mm[0], 3)
    for name, field in fields.items():
        velocity += wished[name] / RESPONSE * field
    missed = _missed_changes(velocity, wished, contract)
    for name, change in missed.items():
        velocity += change / RESPONSE * fields[name]
    voxel = _look_up(velocity, contract)
    enlarged = 1.0
    if misalignment is not None:
        voxel = sample(voxel[None], _misaligned(misalignment, contract))[0]
        enlarged = float(np.linalg.det(np.linalg.inv(misalignment)))
    warped = sample(stack, voxel)[0].numpy()
    tissue = dict(zip(names, warped, strict=True))
    volumes = _measure(tissue, person, contract, enlarged)
    return SimulatedBrain(voxel.numpy(), tissue, volumes, changed_regions(tissue))


def _misaligned(mm_to_mm: NDArray[np.float64], contract: InputContract) -> Tensor:
    """Voxel positions (3, X, Y, Z) of the grid points after an affine in millimetres."""
    matrix = np.linalg.inv(contract.affine_xyz) @ mm_to_mm @ contract.affine_xyz
    return apply_affine(matrix, identity(contract.shape_xyz))


def _look_up(velocity_mm: Tensor, contract: InputContract) -> Tensor:
    """Voxel positions (3, X, Y, Z) of the template that each grid point shows: hence against the flow."""
    import torch

    spacing = torch.tensor(contract.spacing_xyz_mm)[:, None, None, None]
    return identity(contract.shape_xyz) + exponentiate(-velocity_mm, contract) / spacing


def _missed_changes(velocity: Tensor, wished: dict[str, float], contract: InputContract) -> dict[str, float]:
    """How much ln(volume) of each driver's region falls short; measured on every second voxel, which is enough."""
    driven = _driven_stack(contract)
    voxel = _look_up(velocity, contract)[:, ::2, ::2, ::2]
    before = driven[0, :, ::2, ::2, ::2].sum(dim=(1, 2, 3))
    after = sample(driven, voxel)[0].sum(dim=(1, 2, 3))
    reached = (after / before).log().tolist()
    return {name: wished[name] - value for name, value in zip(DRIVER_CODES, reached, strict=True)}


def wished_change(driver: str, person: Person, shares: dict[str, float]) -> float:
    """Return ln(wished volume / template volume) of a driver's region in template space."""
    family = driver.removesuffix("_left").removesuffix("_right")
    change = person.log_change[driver]
    share = DRIVERS[family].share
    if share:
        parts = [value for name, value in shares.items() if name.startswith(family)]
        change += float(np.log(share / sum(parts)))
    return change


def _measure(
    tissue: dict[str, FloatArray], person: Person, contract: InputContract, enlarged: float
) -> dict[str, float]:
    template_icv = float(read_anatomy().brain.sum())
    # mm3 of the person per voxel of the grid: head size is removed in template space, so it comes back here, and what a
    # misalignment added goes
    scale = float(np.prod(contract.spacing_mm)) * person.icv_mm3 / template_icv / enlarged

    def volume(*names: str) -> float:
        return round(sum(float(tissue[name].sum(dtype=np.float64)) for name in names) * scale, 1)

    return {
        "icv_mm3": round(person.icv_mm3, 1),
        "hippocampus_left_mm3": volume("hippocampus_left"),
        "hippocampus_right_mm3": volume("hippocampus_right"),
        "hippocampus_mm3": volume("hippocampus_left", "hippocampus_right"),
        "ventricles_mm3": volume("ventricles"),
        "whole_brain_mm3": volume("gray", "white"),
        "entorhinal_mm3": volume("entorhinal_left", "entorhinal_right"),
        "fusiform_mm3": volume("fusiform_left", "fusiform_right"),
        "middle_temporal_mm3": volume("middle_temporal_left", "middle_temporal_right"),
    }


def changed_regions(tissue: dict[str, FloatArray]) -> NDArray[np.bool_]:
    """Voxels that belong, by more than a half, to the structures that the severity changes."""
    total = np.sum([tissue[name] for name in REGION_CODES], axis=0)
    result: NDArray[np.bool_] = total > 0.5
    return result


def to_derivative(
    brain: SimulatedBrain, style: Style, contract: InputContract, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Paint and normalise a brain as preprocessing would leave it.

    Returns
    -------
    image : ndarray (X, Y, Z), float32
        Values in [0, 1] by the contract's percentiles, 0 outside the mask.
    mask : ndarray (X, Y, Z), bool
        Brain mask with the errors a brain extraction makes: a little too wide or too tight, in patches.
    """
    spacing_mm = contract.spacing_mm[0]
    painted = expose(
        paint_brain(brain.tissue["t1"], brain.tissue["gray"], style, spacing_mm, rng), style, spacing_mm, rng
    )
    edge = smooth_noise(rng, contract.shape_xyz, 12.0 / contract.spacing_mm[0], 1)[0].numpy()
    # the clip keeps the threshold below what the inside of the brain has, so that no holes open there
    mask = brain.tissue["brain"] + 0.12 * np.clip(edge, -2, 2) > rng.uniform(0.35, 0.7)
    low, high = np.percentile(painted[mask], contract.percentiles)
    image = np.clip((painted - low) / (high - low), 0, 1) * mask
    return image.astype(np.float32), mask


def paint_subject(
    person: Person, contract: InputContract, rng: np.random.Generator
) -> tuple[SimulatedBrain, FloatArray, NDArray[np.bool_]]:
    """Simulate one person's derivative: shape, misalignment, contrast, mask; see `deform` and `to_derivative`."""
    brain = deform(person, contract, rng, draw_misalignment(rng))
    image, mask = to_derivative(brain, draw_style(rng), contract, rng)
    return brain, image, mask
