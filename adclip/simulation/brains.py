"""Brains with known truth in template space: a head deformed by a person's changes, and measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.simulation.anatomies import HORNS, SHAPE_GRID, TRUTH_CODES, Head, HeadMap, head_map, read_head, region_stack
from adclip.simulation.drive import (
    DRIVER_CODES,
    SMALL_DRIVERS,
    SULCI,
    driven_stack,
    driver_fields,
    responses,
    small_box,
)
from adclip.simulation.fields import apply_affine, exponentiate, identity, sample, smooth_noise
from adclip.simulation.paint import brain_share, to_own_borders
from adclip.simulation.population import DRIVERS, Person
from adclip.simulation.scale import MUSE_PER_LABEL, SULCI_OF_WHOLE_HEADS, family_of, muse_per_label, to_label_icv

if TYPE_CHECKING:
    from torch import Tensor

# Subject-specific shape: smooth random velocities, (correlation length mm, standard deviation mm); judged on pictures.
SHAPE_NOISE = ((40.0, 2.5), (18.0, 0.8))
# A unit of velocity changes ln(volume) by less than one, because part of it acts just outside a moving region. Measured
# over 100 people; for the thin temporal horns on eight people of one label map. Every step is scaled by this.
RESPONSE, HORN_RESPONSE = 0.75, 0.5
CORRECTIONS = 3
# A map with hardly any sulci cannot be given an old head's: at 1.6 hippocampi missed their wishes by 0.2, at 0.85 by less than 0.05,
# and no table tells of the sulci.
LARGEST_SULCI_CHANGE = 0.85
LARGEST_CHANGE = 3.0  # ln, 20 times: more is out of reach, and trying would only bend the neighbours
MARGIN_MM = 12.0  # over which displacements fade to nothing at the faces of SHAPE_GRID
CHANGED_BY = 0.05  # ln of the volume that the disease must have changed for a structure to be in the mask


@dataclass(frozen=True)
class Brain:
    """One person's brain at one visit.

    Parameters
    ----------
    source : Path or None
        Label map that it was made of; None for the template.
    displacement_mm : Tensor (3, X, Y, Z)
        On `SHAPE_GRID`: what to add to a point of the person's template space to find it in the source.
    tissue : HeadMap
        The source's tissues with this person's own folds.
    volumes_mm3 : dict
        Canonical columns and more -> measured volume in the person's own space.
    changed : tuple of str
        Regions of `TRUTH_CODES` that the disease changed.
    """

    source: Path | None
    displacement_mm: Tensor
    tissue: HeadMap
    volumes_mm3: dict[str, float]
    changed: tuple[str, ...]

    def to_source(self, points_mm: Tensor) -> Tensor:
        """Map points (3, ...) of the person's template space to the source, both in mm."""
        voxel = apply_affine(np.linalg.inv(SHAPE_GRID.affine_xyz), points_mm)
        return points_mm + sample(self.displacement_mm[None], voxel, padding="zeros")[0]

    def regions_at(self, points_mm: Tensor) -> dict[str, FloatArray]:
        """Share of every measurable region at points (3, X, Y, Z) of the person's template space, mm."""
        names, stack = region_stack(self.source)
        voxel = apply_affine(np.linalg.inv(SHAPE_GRID.affine_xyz), self.to_source(points_mm))
        return dict(zip(names, sample(stack, voxel, padding="zeros")[0].numpy(), strict=True))

    def changed_at(self, points_mm: Tensor) -> NDArray[np.bool_]:
        """Voxels that belong, by more than a half, to the structures that the disease changed."""
        regions = self.regions_at(points_mm)
        shares = [regions[name] for name in self.changed]
        total = np.sum(shares, axis=0) if shares else np.zeros(points_mm.shape[1:], dtype=np.float32)
        result: NDArray[np.bool_] = total > 0.5
        return result


def grow_brain(person: Person, source: Path | None, spacing_mm: float, rng: np.random.Generator) -> Brain:
    """Give a head this person's shape and measure it.

    Parameters
    ----------
    person : Person
        Whose volumes are wished for.
    source : Path or None
        Label map, or None for the template.
    spacing_mm : float
        Grid of the tissues, mm; the shape does not depend on it.
    rng : Generator
        The person's own, the same at each visit: shape and folds stay.

    Notes
    -----
    Volumes are sums of warped label shares in the person's own millimetres: the source is scaled to the person's ICV. They are
    on the MUSE scale, see `adclip.simulation.scale`.
    """
    import torch

    head = read_head(source)
    fields = {name: torch.from_numpy(field) for name, field in driver_fields(source).items()}
    own = dict(zip(fields, driven_stack(source)[0].sum(dim=(1, 2, 3)).tolist(), strict=True))
    wished = {name: wished_change(name, person, own, head) for name in fields}
    velocity = torch.zeros((3, *SHAPE_GRID.shape_xyz))
    for length_mm, size_mm in SHAPE_NOISE:
        velocity += size_mm * smooth_noise(rng, SHAPE_GRID.shape_xyz, length_mm / SHAPE_GRID.spacing_mm[0], 3)
    window = _window()
    response = np.array([HORN_RESPONSE if name in HORNS else RESPONSE for name in fields])
    for turn in range(1 + CORRECTIONS):
        missed = _missed_changes(source, velocity * window, wished) if turn else np.array(list(wished.values()))
        steps = np.linalg.solve(responses(source), missed / response)
        for step, field in zip(steps, fields.values(), strict=True):
            velocity += float(step) * field
    displacement = exponentiate(-velocity * window, SHAPE_GRID)  # against the flow: where a point's tissue comes from
    tissue = to_own_borders(head_map(source, spacing_mm), rng)
    brain = Brain(source, displacement, tissue, {}, changed_regions(person, head.measurable))
    brain.volumes_mm3.update(_measure(brain, person, head.icv_mm3))
    return brain


def wished_change(driver: str, person: Person, own_voxels: dict[str, float], head: Head) -> float:
    """Return ln(wished label volume / the source's label volume) of a driver's region in template space."""
    family = family_of(driver)
    change = person.log_change.get(driver, 0.0)
    share = DRIVERS[family].share
    if share:  # of both sides together, on the MUSE scale
        own_mm3 = own_voxels[driver] * float(np.prod(SHAPE_GRID.spacing_mm))
        target = (share / 2 if driver != family else share) / muse_per_label(family) * MUSE_PER_LABEL["icv"]
        if driver == SULCI and head.outside is not None:
            target = SULCI_OF_WHOLE_HEADS
        change += float(np.log(target / (own_mm3 / head.icv_mm3)))
    largest = LARGEST_SULCI_CHANGE if driver == SULCI else LARGEST_CHANGE
    return float(np.clip(change, -largest, largest))


def head_size(person: Person, brain: Brain) -> float:
    """Return the length of a person's millimetres in template space's: what the source is enlarged by."""
    size: float = (to_label_icv(person.icv_mm3) / read_head(brain.source).icv_mm3) ** (1 / 3)
    return size


def changed_regions(person: Person, measurable: frozenset[str]) -> tuple[str, ...]:
    """Name the regions whose volume the disease changed by more than `CHANGED_BY`; no voxel is in two of them."""
    moved = {name for name, change in person.disease_change.items() if abs(change) >= CHANGED_BY}
    codes = {code for name in moved for code in DRIVER_CODES.get(name, ())}
    # half of the codes: temporal horns alone do not make all ventricles changed
    found = [name for name, own in TRUTH_CODES.items() if name in measurable and len(codes & set(own)) >= len(own) / 2]
    return tuple(name for name in found if name not in HORNS or "ventricles" not in found)


def _window() -> Tensor:
    """1 inside `SHAPE_GRID`, falling to 0 at its faces (X, Y, Z)."""
    import torch

    window = torch.ones(SHAPE_GRID.shape_xyz)
    for axis, (size, step) in enumerate(zip(SHAPE_GRID.shape_xyz, SHAPE_GRID.spacing_xyz_mm, strict=True)):
        place = torch.arange(size, dtype=torch.float32)
        depth = (torch.minimum(place, size - 1 - place) * step / MARGIN_MM).clamp(max=1.0)
        window *= (depth * depth * (3 - 2 * depth)).reshape([-1 if a == axis else 1 for a in range(3)])
    return window


def _missed_changes(source: Path | None, velocity: Tensor, wished: dict[str, float]) -> NDArray[np.float64]:
    """How much ln(volume) of each driver's region falls short.

    Measured on every second voxel, which is enough but for `SMALL_DRIVERS`.
    """
    import torch

    driven = driven_stack(source)
    spacing = torch.tensor(SHAPE_GRID.spacing_xyz_mm)[:, None, None, None]
    voxel = identity(SHAPE_GRID.shape_xyz) + exponentiate(-velocity, SHAPE_GRID) / spacing
    before = driven[0, :, ::2, ::2, ::2].sum(dim=(1, 2, 3))
    after = sample(driven, voxel[:, ::2, ::2, ::2])[0].sum(dim=(1, 2, 3))
    reached = dict(zip(wished, (after / before).log().tolist(), strict=True))
    small = {name: place for place, name in enumerate(wished) if name in SMALL_DRIVERS}
    if small:
        places = list(small.values())
        box = small_box(source)
        after = sample(driven[:, places], voxel[:, box[0], box[1], box[2]])[0].sum(dim=(1, 2, 3))
        before = driven[0, places].sum(dim=(1, 2, 3))
        reached |= dict(zip(small, (after / before).clamp(min=1e-3).log().tolist(), strict=True))
    return np.array([wished[name] - reached[name] for name in wished])


def grid_points(contract: InputContract) -> Tensor:
    """Return the template positions (3, X, Y, Z) of a grid's voxels, mm."""
    return apply_affine(contract.affine_xyz, identity(contract.shape_xyz))


def _measure(brain: Brain, person: Person, source_icv_mm3: float) -> dict[str, float]:
    import torch

    points = grid_points(SHAPE_GRID)
    # mm3 of the person per voxel: head size is removed in template space, so it comes back here
    scale = float(np.prod(SHAPE_GRID.spacing_mm)) * to_label_icv(person.icv_mm3) / source_icv_mm3
    found = {name: float(share.sum(dtype=np.float64)) for name, share in brain.regions_at(points).items()}
    parenchyma = torch.from_numpy(brain_share(brain.tissue, fluid=False))[None, None]
    voxel = apply_affine(np.linalg.inv(brain.tissue.affine), brain.to_source(points))
    found["whole_brain"] = float(sample(parenchyma, voxel, padding="zeros").sum(dtype=torch.float64))
    for name in ("hippocampus", "amygdala", "inferior_lateral_ventricle", "entorhinal", "fusiform", "middle_temporal"):
        sides = [found[key] for key in (f"{name}_left", f"{name}_right") if key in found]
        if len(sides) == 2:
            found[name] = sum(sides)
    volumes = {f"{name}_mm3": round(value * scale * muse_per_label(name), 1) for name, value in found.items()}
    return {"icv_mm3": round(person.icv_mm3, 1)} | volumes
