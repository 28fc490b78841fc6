"""Raw simulated heads: a person's brain in its own pose and size inside the rest of the head, as a scanner stores it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.simulation.acquisition import GREY_LEVELS, Scanner, Slab, draw_slab, in_file_order
from adclip.simulation.anatomies import HeadMap, head_map
from adclip.simulation.brains import Brain, head_size
from adclip.simulation.fields import apply_affine, draw_misalignment, identity, sample, smooth_noise
from adclip.simulation.paint import Style, brain_share, expose, paint
from adclip.simulation.population import Person

if TYPE_CHECKING:
    from torch import Tensor

POSE = (6.0, 0.0, 5.0)  # rotation (degrees) and shift (mm) in the scanner, standard deviations; judged
# Shape of skull and face: smooth shifts of this size (mm) and reach, growing to full size this far from the brain.
OUTSIDE_SIZE_MM, OUTSIDE_LENGTH_MM, OUTSIDE_AFTER_MM = 2.5, 45.0, 15.0
DISTANCE_GRID_MM = 4.0
# Defacing removes what lies before and below this slanting plane, template mm; behind the frontal lobes' underside.
FACE_FROM_Y_MM, FACE_BELOW_Z_MM, FACE_SLOPE = 30.0, -22.0, 0.35


@dataclass(frozen=True)
class RawHead:
    """A head as a scanner would store it.

    Parameters
    ----------
    array : ndarray (I, J, K), int16
        Intensities (arbitrary unit; HU for CT), in the order of the scanner's axes.
    affine : ndarray (4, 4)
        Voxel to scanner millimetres.
    changed : ndarray (I, J, K), bool
        Structures that the disease changed, on the same voxels.
    brain : ndarray (I, J, K), bool
        Brain with the CSF inside the skull, on the same voxels.
    to_template : ndarray (4, 4)
        Scanner millimetres to those of template space.
    """

    array: NDArray[np.int16]
    affine: NDArray[np.float64]
    changed: NDArray[np.bool_]
    brain: NDArray[np.bool_]
    to_template: FloatArray


def source_spacing_mm(spacing_mm: float) -> float:
    """Grid on which to paint for a voxel size: a little finer, at least 1 mm."""
    return max(1.0, round(0.8 * spacing_mm, 1))


def simulate_head(
    person: Person,
    brain: Brain,
    style: Style,
    scanner: Scanner,
    spacing_mm: float,
    rng: np.random.Generator,
    *,
    thickness_mm: float | None = None,
    defaced: bool = False,
    stripped: bool = False,
) -> RawHead:
    """Simulate a raw scan in one interpolation from the painted source.

    Parameters
    ----------
    person, brain : Person, Brain
        Whose head.
    style : Style
        Contrast, noise and other marks of this scan.
    scanner : Scanner
        Orientation, field of view, slices.
    spacing_mm : float
        In-plane voxel size.
    rng : Generator
        The scan's own; consumed in a fixed order.
    thickness_mm : float or None
        Slice thickness, None for the scanner's.
    defaced, stripped : bool
        Whether the face, or all but the brain, is removed after the scan.
    """
    import torch

    size = head_size(person, brain)
    pose = draw_misalignment(rng, POSE) @ np.diag([size, size, size, 1.0])  # template mm to scanner mm
    slab = draw_slab(scanner, spacing_mm, rng, thickness_mm)
    template_mm = apply_affine(np.linalg.inv(pose) @ slab.affine, identity(slab.shape))
    source_mm = brain.to_source(template_mm)
    source_mm += _outside_shape(brain, source_mm, rng)
    layers = [
        _through_slices(paint(brain.tissue, style, rng), brain.tissue, slab, scanner),
        brain_share(brain.tissue, fluid=True),
    ]
    voxel = apply_affine(np.linalg.inv(brain.tissue.affine), source_mm)
    # air lies outside the painted box as well: levels are counted from that of air while sampling
    layers[0] -= style.air
    sampled = sample(torch.from_numpy(np.stack(layers))[None], voxel, padding="zeros")[0].numpy()
    scan = expose(sampled[0] + style.air, style, slab.spacing_mm, rng)
    if defaced:
        scan[_face(source_mm)] = style.air
    inside = sampled[1] >= 0.5
    if stripped:
        scan[~inside] = style.air
    factor = 1.0 if style.ct else float(rng.uniform(*GREY_LEVELS))
    lowest = -1024 if style.ct else 0
    array = np.clip(np.round(scan * factor), lowest, 32767).astype(np.int16)
    changed = brain.changed_in(source_mm)
    stored, affine = in_file_order(array, slab.affine, scanner.axes)
    changed, inside = (
        in_file_order(mask.astype(np.int16), slab.affine, scanner.axes)[0] > 0 for mask in (changed, inside)
    )
    return RawHead(stored, affine, changed, inside, np.linalg.inv(pose))


def _through_slices(image: FloatArray, tissue: HeadMap, slab: Slab, scanner: Scanner) -> FloatArray:
    """Average over a slice's thickness: a Gaussian whose width at half maximum is the thickness."""
    from scipy.ndimage import gaussian_filter1d

    thickness = slab.spacing_mm[scanner.slice_axis]
    if thickness < 1.3 * tissue.spacing_mm:
        return image
    sigma = thickness / 2.355 / tissue.spacing_mm
    result: FloatArray = gaussian_filter1d(image, sigma, axis=scanner.slice_axis)
    return result


def _face(source_mm: Tensor) -> NDArray[np.bool_]:
    y, z = source_mm[1].numpy(), source_mm[2].numpy()
    face: NDArray[np.bool_] = (y > FACE_FROM_Y_MM) & (z < FACE_BELOW_Z_MM + FACE_SLOPE * (y - FACE_FROM_Y_MM) - 4)
    return face


@lru_cache(maxsize=4)
def _far_from_brain(source: Path | None) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """0 at the brain and 1 from `OUTSIDE_AFTER_MM` on, on a coarse grid, and that grid's affine."""
    from scipy.ndimage import distance_transform_edt

    coarse = head_map(source, DISTANCE_GRID_MM)
    distance = distance_transform_edt(brain_share(coarse, fluid=True) < 0.2, sampling=DISTANCE_GRID_MM)
    return np.clip(distance / OUTSIDE_AFTER_MM, 0, 1).astype(np.float32), coarse.affine


def _outside_shape(brain: Brain, source_mm: Tensor, rng: np.random.Generator) -> Tensor:
    """Shifts (3, X, Y, Z) in mm of the source that give skull and face a shape of their own and leave what is inside alone."""
    import torch

    far, affine = _far_from_brain(brain.source)
    noise = smooth_noise(rng, far.shape, OUTSIDE_LENGTH_MM / DISTANCE_GRID_MM, 3)
    shift = OUTSIDE_SIZE_MM * noise * torch.from_numpy(far)
    return sample(shift[None], apply_affine(np.linalg.inv(affine), source_mm))[0]
