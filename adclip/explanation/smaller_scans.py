"""A prepared scan with smaller hippocampi, and all else as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.explanation.shrink import REACH_MM, deform
from adclip.imaging.volumes.own_structures import OwnStructure

if TYPE_CHECKING:
    from adclip.imaging.prepare import PreparedScan


@dataclass(frozen=True)
class Smaller:
    """A prepared scan with smaller hippocampi.

    Parameters
    ----------
    factor : float
        What was asked for.
    obtained : float
        Volume of both after over before, measured on the region carried along.
    prepared : PreparedScan
        Image and mask changed, all else as it was.
    moved : ndarray (X, Y, Z), bool
        Voxels that hold what lay elsewhere.
    """

    factor: float
    obtained: float
    prepared: PreparedScan
    moved: NDArray[np.bool_]


def smaller_scans(
    prepared: PreparedScan,
    hippocampi: OwnStructure,
    spacing_mm: Sequence[float],
    factors: Iterable[float],
    reach_mm: float = REACH_MM,
) -> Iterator[Smaller]:
    """Shrink both hippocampi of a prepared scan, each by itself, to every factor; always from the scan as it was.

    Parameters
    ----------
    prepared : PreparedScan
    hippocampi : OwnStructure
        On its grid.
    spacing_mm : sequence of float
        Size of its voxels along X, Y, Z.
    factors : iterable of float
        How many times as large they are to be.
    reach_mm : float
        See `adclip.explanation.shrink.deform`.

    Yields
    ------
    Smaller
        For each factor, in order.

    Raises
    ------
    InputError
        If a factor cannot be reached.
    """
    both = float(sum(side.sum(dtype=np.float64) for side in hippocampi.sides))
    for factor in factors:
        done = deform(hippocampi.sides, spacing_mm, factor, reach_mm)
        after = sum(
            share * float(side.sum(dtype=np.float64))
            for share, side in zip(done.obtained, hippocampi.sides, strict=True)
        )
        image = done.move(prepared.image, prepared.mask)
        mask = np.where(done.moved, done.carry(prepared.mask) > 0.5, prepared.mask)
        yield Smaller(factor, after / both, replace(prepared, image=image, mask=mask), done.moved)
