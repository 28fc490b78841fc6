"""Where a structure of the medial temporal lobe lies in a scan that is prepared already, by the networks that measure volumes.

Preprocessing keeps the volumes and not the maps that were summed, and a derivative may have no volumes at all. The networks need about a second
on the model's grid, so the maps are made anew where they are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.volumes import medial_temporal
from adclip.imaging.volumes.medial_temporal import CLASSES, SIDE, STRUCTURES, segment_medial_temporal

OF_TEMPLATE = "hippocampus_of_template"
LEAST_MM3 = 1000.0  # of one hippocampus, in the template's space: a third of a small one; less was not found but missed
HALF = 0.5


@dataclass(frozen=True)
class OwnStructure:
    """One structure of one scan on the model's grid.

    Parameters
    ----------
    left, right : ndarray (X, Y, Z), float32
        Share of each voxel that it fills, 0 to 1.
    flags : tuple of str
        `hippocampus_of_template` where it was not found on both sides, and the template's place stands in for it.
    """

    left: NDArray[np.float32]
    right: NDArray[np.float32]
    flags: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Left, right."""
        return self.left, self.right


def find_structure(
    image: FloatArray, contract: InputContract, name: str = "hippocampus", device: str = "cpu"
) -> OwnStructure:
    """Find a structure in a prepared scan.

    Parameters
    ----------
    image : ndarray of shape `contract.shape_xyz`
        Brain intensities in [0, 1], 0 outside the brain.
    contract : InputContract
        Its grid.
    name : str
        One of `adclip.imaging.volumes.medial_temporal.STRUCTURES`. Only for the hippocampus the template stands in.
    device : str
        Where torch computes.

    Returns
    -------
    OwnStructure

    Raises
    ------
    WeightsError
        If the shipped weights are absent or altered.

    Notes
    -----
    The image is interpolated onto the networks' box at 1 mm, from a grid that may be coarser than the scan's own; what is found is a
    little less exact than what `measure_volumes` sums (docs/benchmarks.md). Of each side the largest piece counts, with what
    lies within a voxel of it.
    """
    place, box = CLASSES.index(name), medial_temporal.BOX
    assert name in STRUCTURES
    lobes = to_grid(image, contract.affine_xyz, np.eye(4), box)
    right, left = (_largest_piece(side[place]) for side in segment_medial_temporal(lobes, device))
    if name == "hippocampus" and min(float(right.sum()), float(left.sum())) < LEAST_MM3:  # the box has voxels of 1 mm3
        return _of_template(contract)
    sides = []
    for found, mirrored in ((left, True), (right, False)):
        wide = np.zeros(box.shape_xyz, np.float32)
        wide[-SIDE:] = found
        there = wide[::-1] if mirrored else wide
        sides.append(np.clip(to_grid(there, box.affine_xyz, np.eye(4), contract), 0, 1))
    return OwnStructure(sides[0], sides[1])


def _of_template(contract: InputContract) -> OwnStructure:
    from adclip.imaging.volumes.regions import region_maps

    maps = region_maps(contract)
    left, right = (np.asarray(maps[f"hippocampus_{side}"], dtype=np.float32) for side in ("left", "right"))
    return OwnStructure(left, right, (OF_TEMPLATE,))


def _largest_piece(probability: FloatArray) -> NDArray[np.float32]:
    """Keep the largest piece that is more likely than not, and its rim."""
    from scipy.ndimage import binary_dilation, label

    pieces, count = label(probability >= HALF)
    if not count:
        return np.zeros(probability.shape, np.float32)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    near = binary_dilation(largest, np.ones((3, 3, 3), bool))
    return np.where(near, probability, 0).astype(np.float32)
