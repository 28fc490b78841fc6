"""Brains with known truth in template space: a head deformed by a person's changes, and measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract
from adclip.simulation.anatomies import (
    HORNS,
    SHAPE_GRID,
    TRUTH_CODES,
    Head,
    HeadMap,
    head_map,
    read_head,
)
from adclip.simulation.counting import (
    brain_volume,
    count_labels,
    fine_voxels,
    intracranial_volume,
    is_of,
    labels_at,
    own_labels,
    volume_of,
)
from adclip.simulation.drive import (
    DRIVER_CODES,
    SMALL_DRIVERS,
    SULCI,
    driven_stack,
    driver_codes,
    driver_fields,
    moving_box,
    responses,
    small_box,
)
from adclip.simulation.fields import apply_affine, exponentiate, identity, sample
from adclip.simulation.paint import to_own_borders
from adclip.simulation.population import DRIVERS, Person
from adclip.simulation.scale import MUSE_PER_LABEL, SULCI_OF_WHOLE_HEADS, family_of, muse_per_label, to_label_icv
from adclip.simulation.shapes import draw_shape, follow

if TYPE_CHECKING:
    from torch import Tensor

# A unit of velocity changes ln(volume) by less than one, because part of it acts just outside a moving region. Measured
# over 100 people; for the thin temporal horns on eight people of one label map. Every step is scaled by this.
RESPONSE, HORN_RESPONSE = 0.8, 0.65
CORRECTIONS = 2
# A map with hardly any sulci cannot be given an old head's: at 1.6 hippocampi missed their wishes by 0.2, at 0.85 by less than 0.05,
# and no table tells of the sulci.
LARGEST_SULCI_CHANGE = 0.85
LARGEST_CHANGE = 3.0  # ln, 20 times: more is out of reach, and trying would only bend the neighbours
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

    def labels_in(self, source_mm: Tensor) -> Tensor:
        """FreeSurfer code (X, Y, Z) at points (3, X, Y, Z) of the source, mm, as `to_source` gives them; 0 where none is."""
        return labels_at(source_mm, read_head(self.source), self.source)

    def changed_in(self, source_mm: Tensor) -> NDArray[np.bool_]:
        """Points (3, X, Y, Z) of the source, mm, whose label belongs to a structure that the disease changed."""
        codes = tuple(code for name in self.changed for code in TRUTH_CODES[name])
        return is_of(self.labels_in(source_mm), codes)


def grow_brain(person: Person, source: Path | None, spacing_mm: float, rng: np.random.Generator) -> Brain:
    """Give a head this person's shape and measure it.

    A point of the person is first taken back along the person's own shape, then along what ageing and disease did to it: that
    flow lives in the source and leaves its skull where it is (`skull`), so the person's skull is the same at every severity.

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
    Volumes, the intracranial one included, are counted on the deformed labels at the very end (`counting`), in the person's own
    millimetres: the source is scaled to the ICV that is wished for. They are on the MUSE scale, see `adclip.simulation.scale`.
    """
    import torch

    head = read_head(source)
    box = moving_box(source)
    fields = {name: torch.from_numpy(field[(slice(None), *box)]) for name, field in driver_fields(source).items()}
    own = _own_volumes(source)
    wished = {name: wished_change(name, person, own, head) for name in fields}
    shape = draw_shape(source, rng)
    velocity = torch.zeros_like(next(iter(fields.values())))
    response = np.array([HORN_RESPONSE if name in HORNS else RESPONSE for name in fields])
    missed = np.array(list(wished.values()))
    for turn in range(1 + CORRECTIONS):
        steps = np.linalg.solve(responses(source), missed / response)
        for step, field in zip(steps, fields.values(), strict=True):
            velocity += float(step) * field
        change = exponentiate(
            -velocity, SHAPE_GRID.spacing_xyz_mm
        )  # against the flow: where a point's tissue comes from
        if turn < CORRECTIONS:
            missed = _missed_changes(source, shape, change, wished)
    displacement = follow(shape, change, box, (slice(None),) * 3)
    tissue = to_own_borders(head_map(source, spacing_mm), rng)
    brain = Brain(source, displacement, tissue, {}, changed_regions(person, head.measurable))
    brain.volumes_mm3.update(_measure(brain, person, head))
    return brain


@lru_cache(maxsize=12)
def _own_volumes(source: Path | None) -> dict[str, float]:
    """Return the mm3 of each driver's region in a head as it is: counted, but for the sulci that only shares know."""
    head = read_head(source)
    counted = own_labels(head)
    shares = dict(zip(driver_fields(source), driven_stack(source)[0].sum(dim=(1, 2, 3)).tolist(), strict=True))
    voxel_mm3 = float(np.prod(SHAPE_GRID.spacing_mm))
    return {
        name: share * voxel_mm3 if name == SULCI else volume_of(counted, driver_codes(source)[name])
        for name, share in shares.items()
    }


def wished_change(driver: str, person: Person, own_mm3: dict[str, float], head: Head) -> float:
    """Return ln(wished label volume / the source's label volume) of a driver's region in template space."""
    family = family_of(driver)
    change = person.log_change.get(driver, 0.0)
    share = DRIVERS[family].share
    if share:  # of both sides together, on the MUSE scale
        target = (share / 2 if driver != family else share) / muse_per_label(family) * MUSE_PER_LABEL["icv"]
        if driver == SULCI and head.outside is not None:
            target = SULCI_OF_WHOLE_HEADS
        change += float(np.log(target / (own_mm3[driver] / head.icv_mm3)))
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
    regions = [
        name for name, own in TRUTH_CODES.items() if name in measurable and len(codes & set(own)) >= len(own) / 2
    ]
    return tuple(name for name in regions if name not in HORNS or "ventricles" not in regions)


def _missed_changes(
    source: Path | None, shape: Tensor, change: Tensor, wished: dict[str, float]
) -> NDArray[np.float64]:
    """How much ln(volume) of each driver's region falls short.

    Judged by shares on every second voxel, which is enough but for `SMALL_DRIVERS`; what is told is counted on labels.
    """
    import torch

    driven, box = driven_stack(source), moving_box(source)
    spacing = torch.tensor(SHAPE_GRID.spacing_xyz_mm)[:, None, None, None]
    voxel_grid = identity(SHAPE_GRID.shape_xyz)

    def shares(places: list[int], steps: tuple[slice, slice, slice]) -> Tensor:
        voxel = voxel_grid[(slice(None), *steps)] + follow(shape, change, box, steps) / spacing
        return sample(driven[:, places], voxel)[0].sum(dim=(1, 2, 3))

    second = (slice(None, None, 2),) * 3
    before = driven[0][(slice(None), *second)].sum(dim=(1, 2, 3))
    after = shares(list(range(len(wished))), second)
    reached = dict(zip(wished, (after / before).log().tolist(), strict=True))
    small = {name: place for place, name in enumerate(wished) if name in SMALL_DRIVERS}
    if small:
        places = list(small.values())
        ratio = shares(places, small_box(source)) / driven[0, places].sum(dim=(1, 2, 3))
        reached |= dict(zip(small, ratio.clamp(min=1e-3).log().tolist(), strict=True))
    return np.array([wished[name] - reached[name] for name in wished])


def grid_points(contract: InputContract) -> Tensor:
    """Return the template positions (3, X, Y, Z) of a grid's voxels, mm."""
    return apply_affine(contract.affine_xyz, identity(contract.shape_xyz))


def _measure(brain: Brain, person: Person, head: Head) -> dict[str, float]:
    voxels = fine_voxels(brain.displacement_mm, head, brain.source)
    counted = count_labels(voxels, brain.source)
    template_mm3 = {name: volume_of(counted, codes) for name, codes in TRUTH_CODES.items() if name in head.measurable}
    template_mm3["whole_brain"] = brain_volume(counted, voxels, head, brain.tissue)
    template_mm3["icv"] = intracranial_volume(counted)
    for name in ("hippocampus", "amygdala", "inferior_lateral_ventricle", "entorhinal", "fusiform", "middle_temporal"):
        sides = [template_mm3[key] for key in (f"{name}_left", f"{name}_right") if key in template_mm3]
        if len(sides) == 2:
            template_mm3[name] = sum(sides)
    own = head_size(person, brain) ** 3  # head size is removed in template space, so it comes back here
    volumes = {f"{name}_mm3": round(value * own * muse_per_label(name), 1) for name, value in template_mm3.items()}
    return {"icv_mm3": volumes.pop("icv_mm3")} | volumes
