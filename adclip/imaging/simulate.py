"""T1 heads with known truth: the template, deformed by a person's changes and painted with a scanner's contrast."""

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
from adclip.imaging.population import DRIVERS, Person

if TYPE_CHECKING:
    from torch import Tensor

SQUARINGS = 3  # 2^3 steps: velocities of up to about 8 mm move about one millimetre a step
# Subject-specific shape: smooth random velocities, (correlation length mm, standard deviation mm); judged on pictures.
SHAPE_NOISE = ((40.0, 2.5), (18.0, 0.8))
# A unit of velocity changes ln(volume) by less than one, because part of it acts just outside a moving region. Measured
# over 100 people: the first guess is scaled by this, the second by what the first one missed.
RESPONSE = 0.75


@dataclass(frozen=True)
class Style:
    """How a scanner paints: all unitless, on an image whose white matter is about 1.

    Parameters
    ----------
    csf, gray, white : float
        Mean intensities.
    bias : float
        Standard deviation of the smooth multiplicative field.
    noise : float
        Standard deviation of the white noise.
    folding : float
        Standard deviation of the texture that stands for folds the average template has lost.
    blur_mm : float
        Standard deviation of the point spread, mm.
    """

    csf: float
    gray: float
    white: float
    bias: float
    noise: float
    folding: float
    blur_mm: float


def draw_style(rng: np.random.Generator) -> Style:
    """Draw a T1 contrast: CSF < gray < white, from faint to strong."""
    white = 1.0
    gray = float(rng.uniform(0.50, 0.82))
    csf = float(rng.uniform(0.08, 0.6) * gray)
    return Style(
        csf=csf,
        gray=gray,
        white=white,
        bias=float(rng.uniform(0.0, 0.12)),
        noise=float(rng.uniform(0.01, 0.06)),
        folding=float(rng.uniform(0.0, 0.5)),
        blur_mm=float(rng.uniform(0.0, 1.8)),
    )


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


def _identity(contract: InputContract) -> Tensor:
    import torch

    axes = [torch.arange(size, dtype=torch.float32) for size in contract.shape_xyz]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def sample(image: Tensor, voxel: Tensor, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """Sample `image` (1, C, X, Y, Z) at voxel positions (3, X', Y', Z'); see `torch.nn.functional.grid_sample`."""
    import torch
    import torch.nn.functional as functional

    sizes = torch.tensor(image.shape[2:], dtype=torch.float32)
    unit = voxel * (2 / (sizes - 1))[:, None, None, None] - 1
    grid = unit.flip(0).permute(1, 2, 3, 0)[None]  # grid_sample counts the last axis first
    return functional.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=True)


def exponentiate(velocity_mm: Tensor, contract: InputContract) -> Tensor:
    """Flow along a stationary velocity for unit time, by scaling and squaring (Arsigny et al. 2006).

    Parameters
    ----------
    velocity_mm : Tensor (3, X, Y, Z)
        Velocity in mm.

    Returns
    -------
    Tensor (3, X, Y, Z)
        Displacement in mm.
    """
    import torch

    spacing = torch.tensor(contract.spacing_xyz_mm)[:, None, None, None]
    here = _identity(contract)
    step = velocity_mm / spacing / 2**SQUARINGS
    for _ in range(SQUARINGS):
        step = step + sample(step[None], here + step)[0]
    return step * spacing


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_voxels: float, components: int) -> Tensor:
    """Gaussian random fields (components, X, Y, Z) of unit variance, made on a coarse grid and interpolated."""
    import torch
    import torch.nn.functional as functional

    coarse = [max(4, int(np.ceil(size / max(sigma_voxels, 1.0))) + 2) for size in shape]
    seeds = torch.from_numpy(rng.standard_normal((1, components, *coarse)).astype(np.float32))
    field = functional.interpolate(seeds, size=shape, mode="trilinear", align_corners=True)[0]
    return field / field.std()


# How far a good affine registration is off: standard deviations of rotation (degrees), log scale and shift (mm); judged.
MISALIGNMENT = (1.5, 0.015, 1.0)


def draw_misalignment(rng: np.random.Generator, size: tuple[float, float, float] = MISALIGNMENT) -> NDArray[np.float64]:
    """Draw the 4x4 affine (mm to mm, about the origin) that a registration would leave uncorrected."""
    from scipy.spatial.transform import Rotation

    degrees, log_scale, shift_mm = size
    affine = np.eye(4)
    rotation = Rotation.from_euler("xyz", rng.normal(0, degrees, 3), degrees=True).as_matrix()
    affine[:3, :3] = rotation @ np.diag(np.exp(rng.normal(0, log_scale, 3)))
    affine[:3, 3] = rng.normal(0, shift_mm, 3)
    return affine


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
        voxel = sample(voxel[None], _moved(misalignment, contract))[0]
        enlarged = float(np.linalg.det(np.linalg.inv(misalignment)))
    warped = sample(stack, voxel)[0].numpy()
    tissue = dict(zip(names, warped, strict=True))
    volumes = _measure(tissue, person, contract, enlarged)
    return SimulatedBrain(voxel.numpy(), tissue, volumes, changed_regions(tissue))


def _moved(mm_to_mm: NDArray[np.float64], contract: InputContract) -> Tensor:
    """Voxel positions (3, X, Y, Z) of the grid points after an affine in millimetres."""
    import torch

    matrix = np.linalg.inv(contract.affine_xyz) @ mm_to_mm @ contract.affine_xyz
    turned = torch.tensordot(torch.tensor(matrix[:3, :3], dtype=torch.float32), _identity(contract), dims=1)
    return turned + torch.tensor(matrix[:3, 3], dtype=torch.float32)[:, None, None, None]


def _look_up(velocity_mm: Tensor, contract: InputContract) -> Tensor:
    """Voxel positions (3, X, Y, Z) of the template that each grid point shows: hence against the flow."""
    import torch

    spacing = torch.tensor(contract.spacing_xyz_mm)[:, None, None, None]
    return _identity(contract) + exponentiate(-velocity_mm, contract) / spacing


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


def paint(tissue: dict[str, FloatArray], style: Style, contract: InputContract, rng: np.random.Generator) -> FloatArray:
    """Paint a brain on the contract's grid: T1 contrast, folds, blur, bias field, noise; unitless, 0 outside."""
    return paint_arrays(tissue["t1"], tissue["gray"], tissue["brain"], style, contract.spacing_mm[0], rng)


def paint_arrays(
    t1: FloatArray, gray: FloatArray, brain: FloatArray, style: Style, spacing_mm: float, rng: np.random.Generator
) -> FloatArray:
    """Paint from arrays (X, Y, Z) of template intensity, gray-matter probability and brain; see `paint`."""
    import torch
    from scipy.ndimage import gaussian_filter

    # levels of CSF, gray and white matter in the template, as medians over voxels of one tissue
    levels = [0.0, 0.27, 0.65, 0.87, 1.0]
    values = [0.0, style.csf, style.gray, style.white, style.white * 1.08]
    image = np.interp(t1, levels, values).astype(np.float32)
    if style.folding:
        folds = smooth_noise(rng, t1.shape, 4.0 / spacing_mm, 1)[0].numpy()
        image *= 1 + style.folding * 0.5 * np.clip(gray, 0, 1) * np.clip(folds, -2, 2)
    if style.blur_mm:
        image = gaussian_filter(image, style.blur_mm / spacing_mm)
    bias = smooth_noise(rng, t1.shape, 60.0 / spacing_mm, 1)[0]
    image *= torch.exp(style.bias * bias).numpy()
    noise = rng.standard_normal(t1.shape, dtype=np.float32) * style.noise
    result: FloatArray = np.abs(image + noise).astype(np.float32)
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
    painted = paint(brain.tissue, style, contract, rng)
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
