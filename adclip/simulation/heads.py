"""Raw simulated heads: the deformed brain in a person's own pose and size, inside CSF, skull and scalp.

The soft tissue around the brain is schematic: shells at fixed distances from the template brain, a face and a neck. It is
there so that brain extraction and registration have real work to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract
from adclip.imaging.anatomy import FloatArray, read_anatomy
from adclip.simulation.brains import SimulatedBrain, deform
from adclip.simulation.fields import apply_affine, draw_misalignment, identity, sample, smooth_noise
from adclip.simulation.paint import Style, expose, paint_brain
from adclip.simulation.population import Person

if TYPE_CHECKING:
    from torch import Tensor

POSE = (6.0, 0.0, 6.0)  # rotation (degrees) and shift (mm) in the scanner, standard deviations; judged
# Field of view in template millimetres: the brain with room for scalp, face and neck.
FIELD_OF_VIEW_MM = ((-98.0, 98.0), (-134.0, 112.0), (-130.0, 108.0))
# Distance from the brain in mm at which each shell ends, and its intensity relative to white matter; judged on scans.
SHELLS = ((2.0, 0.15), (4.0, 0.06), (6.0, 0.30), (8.0, 0.06), (14.0, 0.85))
GRAY_LEVELS = 700.0  # what white matter becomes in the int16 file (arbitrary unit)
ORIENTATIONS = ("RAS", "LAS", "PSR", "LIA", "RPI")  # how the axes of the file may run


@dataclass(frozen=True)
class RawHead:
    """A head as a scanner would store it.

    Parameters
    ----------
    array : ndarray (I, J, K), int16
        Intensities (arbitrary unit), in the order of `orientation`.
    affine : ndarray (4, 4)
        Voxel to scanner millimetres.
    brain : SimulatedBrain
        The truth, in template space.
    orientation : str
        Axis codes of the file.
    """

    array: NDArray[np.int16]
    affine: NDArray[np.float64]
    brain: SimulatedBrain
    orientation: str


@lru_cache(maxsize=1)
def _surroundings() -> tuple[FloatArray, NDArray[np.float64]]:
    """Distance in mm from the brain (negative inside face and neck mark soft tissue), on a 2 mm template-space grid."""
    from scipy.ndimage import affine_transform, distance_transform_edt

    anatomy = read_anatomy()
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [low - 20 for low, _ in FIELD_OF_VIEW_MM]
    shape = tuple(int((high - low + 40) / 2) + 1 for low, high in FIELD_OF_VIEW_MM)
    matrix = np.linalg.inv(anatomy.affine) @ affine
    brain = affine_transform(anatomy.brain.astype(np.uint8), matrix[:3, :3], matrix[:3, 3], shape, order=0)
    distance = distance_transform_edt(brain == 0, sampling=2.0).astype(np.float32)
    x, y, z = np.meshgrid(*(affine[a, 3] + 2.0 * np.arange(shape[a]) for a in range(3)), indexing="ij")
    neck = ((x / 58) ** 2 + ((y + 38) / 66) ** 2 < 1) & (z < -45)
    face = (x / 62) ** 2 + ((y - 38) / 58) ** 2 + ((z + 72) / 62) ** 2 < 1
    soft = (neck | face) & (distance > SHELLS[3][0])
    depth = distance_transform_edt(soft, sampling=2.0).astype(np.float32)
    # soft tissue is kept as minus its depth below the skin; everything else as the distance from the brain
    return np.where(soft, -depth - 1, distance).astype(np.float32), affine


def simulate_head(
    person: Person, style: Style, contract: InputContract, spacing_mm: float, rng: np.random.Generator
) -> RawHead:
    """Simulate a raw scan.

    Parameters
    ----------
    person : Person
        Whose head.
    style : Style
        The scanner's contrast.
    contract : InputContract
        Grid on which the deformation is computed and measured.
    spacing_mm : float
        Isotropic voxel size.
    rng : Generator
        Consumed in a fixed order.
    """
    import torch

    anatomy = read_anatomy()
    brain = deform(person, contract, rng)
    size = (person.icv_mm3 / float(anatomy.brain.sum())) ** (1 / 3)
    pose = draw_misalignment(rng, POSE) @ np.diag([size, size, size, 1.0])  # template mm to scanner mm
    shape, affine = _field_of_view(size, spacing_mm)
    to_template = np.linalg.inv(pose) @ affine  # voxel to template mm
    template_mm = apply_affine(to_template, identity(shape))

    shown = torch.from_numpy(brain.warp)[None]  # where in the template, as voxels of the contract's grid
    at_contract = apply_affine(np.linalg.inv(contract.affine_xyz), template_mm)
    moved_mm = apply_affine(contract.affine_xyz, sample(shown, at_contract)[0])
    inside = _inside(at_contract, contract.shape_xyz)
    moved_mm = torch.where(inside, moved_mm, template_mm)
    del at_contract, inside

    at_template = apply_affine(np.linalg.inv(anatomy.affine), moved_mm)
    stack = torch.from_numpy(np.stack([anatomy.t1, anatomy.gray, anatomy.brain.astype(np.float32)]))[None]
    t1, gray, head_brain = sample(stack, at_template, padding="zeros")[0].numpy()
    distance, coarse_affine = _surroundings()
    nearby = sample(
        torch.from_numpy(distance)[None, None], apply_affine(np.linalg.inv(coarse_affine), moved_mm), "nearest"
    )
    del moved_mm, at_template
    image = paint_brain(t1, gray, style, spacing_mm, rng)
    outside = _paint_outside(nearby[0, 0].numpy(), style, rng, spacing_mm)
    image = (image * head_brain + outside * (1 - head_brain)).astype(np.float32)
    magnitude = expose(image, style, spacing_mm, rng) * GRAY_LEVELS
    array = np.clip(np.round(magnitude), 0, 32767).astype(np.int16)
    orientation = str(rng.choice(ORIENTATIONS))
    return RawHead(*_store(array, affine, orientation), brain, orientation)


def _paint_outside(nearby: FloatArray, style: Style, rng: np.random.Generator, spacing_mm: float) -> FloatArray:
    texture = smooth_noise(rng, nearby.shape, 10.0 / spacing_mm, 1)[0].numpy()
    painted = np.zeros_like(nearby)
    start = 0.0
    for end, level in SHELLS:
        value = style.csf if start == 0.0 else level * style.white
        painted[(nearby >= start) & (nearby < end)] = value
        start = end
    muscle = nearby < 0
    painted[muscle] = (0.55 * style.gray + 0.12 * texture[muscle]).clip(0.05)
    painted[muscle & (nearby > -6)] = 0.85 * style.white  # fat under the skin
    return painted


def _field_of_view(size: float, spacing_mm: float) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [low * size for low, _ in FIELD_OF_VIEW_MM]
    x, y, z = (int(np.ceil((high - low) * size / spacing_mm)) for low, high in FIELD_OF_VIEW_MM)
    return (x, y, z), affine


def _inside(voxel: Tensor, shape: tuple[int, ...]) -> Tensor:
    import torch

    limits = torch.tensor(shape, dtype=torch.float32)[:, None, None, None] - 1
    return ((voxel >= 0) & (voxel <= limits)).all(dim=0, keepdim=True)


def _store(
    array: NDArray[np.int16], affine: NDArray[np.float64], orientation: str
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Reorder a RAS+ array and its affine to the axis codes `orientation`; the head stays where it is."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(tuple(orientation)))
    stored: NDArray[np.int16] = np.ascontiguousarray(apply_orientation(array, change))
    return stored, affine @ inv_ornt_aff(change, array.shape)
