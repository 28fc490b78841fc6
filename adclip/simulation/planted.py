"""Healthy heads with and without one chosen loss: the same person, anatomy, appearance and noise, and the truth of what changed.

A cohort's velocities reach the whole brain, if by hundredths of a millimetre. Here what a loss moves is faded out round the structure and
before the mid-plane, and mask and levels are those of the head as it was. So voxels elsewhere are the same bit for bit, and whatever differs
between two maps of the two heads is the loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import Diagnosis, FloatArray, InputContract

if TYPE_CHECKING:
    from torch import Tensor

    from adclip.simulation.brains import Brain
    from adclip.simulation.derivative import Derivative
    from adclip.simulation.paint import Style
    from adclip.simulation.population import Person

SIDES = ("left", "right")
LOOK = "mild"
WHOLE_MM, NOWHERE_MM = (
    10.0,
    20.0,
)  # from the structure: how far its loss moves all that it moves in a cohort, and from where nothing
# From the mid-plane of the person's template space, which the grid's own is beside by a misalignment: 1 mm and 1.5 degrees.
STILL_MM, FREE_MM = 4.0, 9.0


@dataclass(frozen=True)
class Loss:
    """A head that lost something.

    Parameters
    ----------
    image : ndarray (X, Y, Z), float32
        As `HealthyHead.image`, and equal to it away from the structure.
    region : ndarray (X, Y, Z), bool
        Where the structure lies, with the loss or without it.
    remaining : float
        Volume after over before, counted on the grid.
    """

    image: FloatArray
    region: NDArray[np.bool_]
    remaining: float


class HealthyHead:
    """One healthy person of a cohort, prepared on a model's grid, who may lose a structure.

    Parameters
    ----------
    person : Person
    contract : InputContract
    seed, index : int
        Of the cohort, and the person's number in it.

    Attributes
    ----------
    person : Person
    image : ndarray (X, Y, Z), float32
        In [0, 1], 0 outside the mask.
    mask : ndarray (X, Y, Z), bool
    """

    def __init__(self, person: Person, contract: InputContract, seed: int, index: int) -> None:
        from adclip.simulation.derivative import source_spacing_mm
        from adclip.simulation.paint import LOOKS, draw_style

        self.person, self._contract = person, contract
        self._seed, self._index, self._step_mm = seed, index, source_spacing_mm(contract)
        self._style: Style = draw_style(self._scan_rng(), LOOKS[LOOK])
        with _one_thread():
            self._brain: Brain = self._grow(person)
            self._derivative: Derivative = self._paint(self._brain, None)
        self.image, self.mask = self._derivative.image, self._derivative.mask

    def lose(self, structure: str, sides: Sequence[str], factor: float) -> Loss:
        """Return the head with `factor` times as much of a structure.

        Parameters
        ----------
        structure : str
            A driver with sides, such as `hippocampus`.
        sides : sequence of str
            `left`, `right` or both.
        factor : float
            Volume after over before, for each side.
        """
        from adclip.simulation.anatomies import TRUTH_CODES
        from adclip.simulation.counting import is_of

        names = [f"{structure}_{side}" for side in sides]
        change = dict(self.person.log_change)
        for name in names:
            change[name] = change.get(name, 0.0) + float(np.log(factor))
        with _one_thread():
            grown = self._grow(replace(self.person, log_change=change))
            weight = self._weight(names, sides)
            shift = weight * (grown.displacement_mm - self._brain.displacement_mm)
            brain = replace(self._brain, displacement_mm=self._brain.displacement_mm + shift)
            image = self._paint(brain, self._derivative).image
            points = self._derivative.points_mm
            codes = tuple(code for name in names for code in TRUTH_CODES[name])
            before, after = (
                is_of(one.labels_in(one.to_source(points)), codes) & self.mask for one in (self._brain, brain)
            )
        return Loss(image, before | after, float(after.sum()) / max(int(before.sum()), 1))

    def _weight(self, names: Sequence[str], sides: Sequence[str]) -> Tensor:
        """Return how much of a change is kept (X, Y, Z) on the grid that deformations live on."""
        import torch
        from scipy.ndimage import distance_transform_edt

        from adclip.simulation.anatomies import SHAPE_GRID, TRUTH_CODES
        from adclip.simulation.brains import grid_points
        from adclip.simulation.counting import is_of

        points = grid_points(SHAPE_GRID)
        codes = tuple(code for name in names for code in TRUTH_CODES[name])
        structure = is_of(self._brain.labels_in(self._brain.to_source(points)), codes)
        distance = distance_transform_edt(~structure, sampling=SHAPE_GRID.spacing_xyz_mm)
        weight = 1 - _rise(distance, WHOLE_MM, NOWHERE_MM)
        if len(sides) == 1:
            outwards = points[0].numpy() * (-1.0 if sides[0] == "left" else 1.0)  # X runs from left to right
            weight *= _rise(outwards, STILL_MM, FREE_MM)
        return torch.from_numpy(weight.astype(np.float32))

    def _grow(self, person: Person) -> Brain:
        from adclip.simulation.brains import grow_brain
        from adclip.simulation.subject import SHAPE

        return grow_brain(person, None, self._step_mm, np.random.default_rng([self._seed, self._index, SHAPE]))

    def _paint(self, brain: Brain, like: Derivative | None) -> Derivative:
        from adclip.simulation.derivative import to_derivative
        from adclip.simulation.paint import LOOKS, draw_style

        rng = self._scan_rng()
        draw_style(rng, LOOKS[LOOK])  # the style came first in this stream, and misalignment and noise after it
        return to_derivative(brain, self._style, self._contract, rng, like)

    def _scan_rng(self) -> np.random.Generator:
        from adclip.simulation.subject import SCAN

        return np.random.default_rng([self._seed, self._index, SCAN, 0])


def healthy_heads(contract: InputContract, count: int, seed: int) -> Iterator[HealthyHead]:
    """Yield the first `count` healthy people of a cohort, made of the template's anatomy, on a model's grid."""
    from adclip.simulation.population import draw_person
    from adclip.simulation.subject import PERSON, name_subject

    index = -1
    for _ in range(count):
        while True:
            index += 1
            person = draw_person(name_subject(index), np.random.default_rng([seed, index, PERSON]))
            if person.diagnosis == Diagnosis.CN:
                break
        yield HealthyHead(person, contract, seed, index)


def _rise(place: NDArray[np.floating], low: float, high: float) -> NDArray[np.floating]:
    """Return 0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((place - low) / (high - low), 0, 1)
    smooth: NDArray[np.floating] = share * share * (3 - 2 * share)
    return smooth


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch sum in one order: another would give other bytes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
