"""How much of a map lies where a change was planted: heads with and without one known loss, every method, what knows nothing beside it.

A map explains the whole number of a head against the healthy reference. So relevance also lies where that head differs otherwise, and some
lies in the region without any loss; the map of the same head before tells how much. Two more maps isolate what was planted: the map of the
changed head less that of the head before, in the number's own unit, and, where a method starts from a reference image, the map of the
changed head with the head before for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.explanation.explained import Explained
from adclip.explanation.localisation import Localisation, localise
from adclip.explanation.methods import FROM_REFERENCE, METHODS
from adclip.explanation.references import reference_image
from adclip.explanation.relevance import smooth
from adclip.explanation.selftest_record import IMAGE, RANDOM
from adclip.explanation.target import Target
from adclip.imaging.steps.grid import to_model_order

if TYPE_CHECKING:
    from torch import Tensor

    from adclip.prediction.predictor import Predictor

OF_UNCHANGED, OF_MAP, OF_REFERENCE = ", map of the head before", ", change of the map", ", unchanged head as reference"
SLOW = ("integrated-gradients", "smoothgrad")  # sixteen passes back and forth
SLOWEST = ("occlusion",)  # a pass for each patch


@dataclass(frozen=True)
class Heads:
    """How many heads of a kind methods explain.

    Parameters
    ----------
    every : int
        Heads in all.
    slow, slowest : int
        The first of them, for methods that need many passes, and for those that need one a patch.
    """

    every: int = 12
    slow: int = 4
    slowest: int = 2

    def methods_of(self, place: int, methods: Sequence[str]) -> tuple[str, ...]:
        """Return the methods that explain the head at `place`."""
        return tuple(
            name
            for name in methods
            if place < (self.slow if name in SLOW else self.slowest if name in SLOWEST else self.every)
        )


@dataclass(frozen=True)
class PlantedChange:
    """What was planted in a head.

    Parameters
    ----------
    planted : str
        In words.
    side : str or None
        `left`, `right`, or None for both.
    image : ndarray (X, Y, Z), float32
        The changed head.
    region : ndarray (X, Y, Z), bool
        Where the structure lies, before or after.
    remaining : float
        Its volume after over before.
    """

    planted: str
    side: str | None
    image: FloatArray
    region: NDArray[np.bool_]
    remaining: float


@dataclass(frozen=True)
class PlantedHead:
    """A head on a model's grid, and changed versions of it.

    Parameters
    ----------
    name : str
    age_years : float or None
        Which healthy people it is held against.
    image : ndarray (X, Y, Z), float32
    mask : ndarray (X, Y, Z), bool
    changes : tuple of PlantedChange
        The first is what the slowest methods explain.
    """

    name: str
    age_years: float | None
    image: FloatArray
    mask: NDArray[np.bool_]
    changes: tuple[PlantedChange, ...]


@dataclass(frozen=True)
class Found:
    """How one map lies to one planted change.

    Parameters
    ----------
    head, method, planted : str
    side : str or None
    where : Localisation
    """

    head: str
    method: str
    planted: str
    side: str | None
    where: Localisation


@dataclass(frozen=True)
class Moved:
    """What one planted change did to the volume and to the explained number of one head."""

    head: str
    planted: str
    remaining: float
    moved: float


def measure_head(
    predictor: Predictor, head: PlantedHead, methods: Sequence[str], target: Target, seed: int
) -> tuple[list[Found], list[Moved]]:
    """Make and measure all maps of one head and its changed versions; the answer rests on the scan alone.

    Parameters
    ----------
    predictor : Predictor
    head : PlantedHead
    methods : sequence of str
        Keys of `METHODS`.
    target : Target
        The same for every version, not the class that is predicted for it.
    seed : int
        Draws the maps that know nothing.

    Returns
    -------
    found : list of Found
        None of a change that lies outside the mask.
    moved : list of Moved
    """
    import torch

    contract = predictor.record.model.contract
    brain = to_model_order(head.mask)
    healthy = to_tensor(predictor, reference_image(contract, head.age_years))
    unchanged = explain_image(predictor, to_tensor(predictor, head.image), target, healthy)
    before = {name: _map_of(unchanged, name) for name in methods}
    draw = torch.Generator().manual_seed(seed)
    found: list[Found] = []
    moved: list[Moved] = []

    def enter(maps: Mapping[str, Tensor], change: PlantedChange, variant: str = "") -> None:
        region = to_model_order(change.region)
        for method, signed in maps.items():
            where = localise(signed.numpy(), region, brain, contract.spacing_mm)
            if where is not None:
                found.append(Found(head.name, method, change.planted + variant, change.side, where))

    for place, change in enumerate(head.changes):
        image = to_tensor(predictor, change.image)
        changed = explain_image(predictor, image, target, healthy)
        used = [name for name in methods if not place or name not in SLOWEST]
        after = {name: _map_of(changed, name) for name in used}
        difference = (image - unchanged.image)[0, 0].abs().cpu()
        blind = smooth(torch.randn(contract.shape, generator=draw), contract.spacing_mm)
        enter({**after, RANDOM: blind, IMAGE: smooth(difference, contract.spacing_mm)}, change)
        enter({name: before[name] for name in used}, change, OF_UNCHANGED)
        enter({name: after[name] - before[name] for name in used}, change, OF_MAP)
        against = explain_image(predictor, image, target, unchanged.image)
        enter(
            {name: _map_of(against, name) for name in used if name in FROM_REFERENCE and name not in SLOWEST},
            change,
            OF_REFERENCE,
        )
        moved.append(Moved(head.name, change.planted, change.remaining, _number(changed) - _number(unchanged)))
    return found, moved


def to_tensor(predictor: Predictor, image: FloatArray) -> Tensor:
    """Return an image (X, Y, Z) as the network takes it, (1, 1, D, H, W)."""
    import torch

    return torch.from_numpy(to_model_order(image).copy()).float()[None, None].to(predictor.device)


def explain_image(predictor: Predictor, image: Tensor, target: Target, reference: Tensor) -> Explained:
    """Return what is to be explained of an image (1, 1, D, H, W) by the scan alone."""
    return Explained(predictor, image, predictor.evidence_of(None, None), target, reference)


def _map_of(explained: Explained, method: str) -> Tensor:
    """Return the signed map (D, H, W) in the number's own unit: maps of two heads can be taken from each other."""
    contract = explained.predictor.record.model.contract
    return METHODS[method](explained).per_voxel(contract.shape, contract.spacing_mm).detach()


def _number(explained: Explained) -> float:
    import torch

    with torch.no_grad():
        return float(explained.of_patches(explained.patches, explained.shares)[0])
