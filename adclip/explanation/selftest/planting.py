"""A known loss in a real head: one hippocampus of a prepared scan made smaller, and nothing else touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract
from adclip.explanation.errors import no_region
from adclip.explanation.selftest.measure import PlantedChange
from adclip.explanation.shrink import REACH_MM, shrink
from adclip.imaging.volumes.own_structures import OF_TEMPLATE, find_structure

if TYPE_CHECKING:
    from adclip.imaging.prepare import PreparedScan

PLANTED = "one-sided loss of hippocampus, injected into the given scans"
HALF = 0.5  # of a voxel


def plant_in(
    prepared: PreparedScan, contract: InputContract, side: str, factor: float, device: str = "cpu"
) -> PlantedChange:
    """Make one hippocampus of a prepared scan smaller.

    Parameters
    ----------
    prepared : PreparedScan
    contract : InputContract
        Its grid.
    side : str
        `left` or `right`.
    factor : float
        Volume after over before.
    device : str
        Where the hippocampus is looked for.

    Returns
    -------
    PlantedChange
        Its image is the scan's bit for bit where nothing moved, so on the whole of the other side.

    Raises
    ------
    InputError
        If no hippocampus is found, or the factor cannot be reached.
    """
    hippocampus = find_structure(prepared.image, contract, device=device)
    if OF_TEMPLATE in hippocampus.flags:
        raise no_region("the networks find no hippocampus in this scan")
    before: NDArray[np.float32] = hippocampus.left if side == "left" else hippocampus.right
    reach_mm = max(REACH_MM, 2 * max(contract.spacing_mm))  # a coarse grid cannot hold a narrow rim
    done = shrink(prepared.image, before, contract.spacing_xyz_mm, factor, reach_mm, prepared.mask)
    remaining = float(done.region_after.sum() / before.sum())
    return PlantedChange(PLANTED, side, done.image, np.maximum(before, done.region_after) >= HALF, remaining)
