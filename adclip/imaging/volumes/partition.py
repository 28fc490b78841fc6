"""The brain in parts: which share of each voxel of a grid belongs to which region, so that all parts together are the whole.

Regions are those of the Desikan-Killiany label map [1]_ in template space, where the affine map puts them. Structures that were
found in the scan itself take the place of the template's.

References
----------
.. [1] Desikan et al., An automated labeling system for subdividing the human cerebral cortex, NeuroImage 2006,
   doi:10.1016/j.neuroimage.2006.01.021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.volumes.anatomy import read_anatomy

SIDES = ("left", "right")
TEMPLATE, THIS_SCAN = "template", "this scan"
REST = "rest_of_brain"
# number of a parcel: + 1000 on the left, + 2000 on the right; 4 is the corpus callosum, which has codes of its own
PARCELS: dict[int, str] = {
    1: "banks_superior_temporal_sulcus", 2: "caudal_anterior_cingulate", 3: "caudal_middle_frontal", 5: "cuneus", 6: "entorhinal",
    7: "fusiform", 8: "inferior_parietal", 9: "inferior_temporal", 10: "isthmus_cingulate", 11: "lateral_occipital",
    12: "lateral_orbitofrontal", 13: "lingual", 14: "medial_orbitofrontal", 15: "middle_temporal", 16: "parahippocampal",
    17: "paracentral", 18: "pars_opercularis", 19: "pars_orbitalis", 20: "pars_triangularis", 21: "pericalcarine",
    22: "postcentral", 23: "posterior_cingulate", 24: "precentral", 25: "precuneus", 26: "rostral_anterior_cingulate",
    27: "rostral_middle_frontal", 28: "superior_frontal", 29: "superior_parietal", 30: "superior_temporal", 31: "supramarginal",
    32: "frontal_pole", 33: "temporal_pole", 34: "transverse_temporal", 35: "insula",
}  # fmt: skip
# FreeSurfer codes of the left and the right; a code on both sides is divided at the mid-plane
_PAIRED: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "hippocampus": ((17,), (53,)),
    "amygdala": ((18,), (54,)),
    "lateral_ventricle": ((4, 31), (43, 63)),  # with the choroid plexus inside
    "inferior_lateral_ventricle": ((5,), (44,)),
    "deep_grey": ((10, 11, 12, 13, 26, 28), (49, 50, 51, 52, 58, 60)),  # thalamus to accumbens, ventral diencephalon
    "cerebellum": ((7, 8), (46, 47)),
    "white_matter": ((2, 77), (41, 77)),  # 77: white matter that is dark in T1
}
_MIDDLE: dict[str, tuple[int, ...]] = {
    "corpus_callosum": (251, 252, 253, 254, 255), "third_ventricle": (14,), "fourth_ventricle": (15,), "brain_stem": (16,),
}  # fmt: skip
_FINE_MM = 0.5  # half of the template's voxels: a model voxel of 2 mm then holds a quarter, a half and a quarter of three of them


@dataclass(frozen=True)
class Region:
    """One part of the brain.

    Parameters
    ----------
    name : str
        Without its side.
    side : str or None
        `left`, `right`, or None of a part in the middle.
    source : str
        `template`, or `this scan` where a network found it there.
    """

    name: str
    side: str | None
    source: str = TEMPLATE

    @property
    def key(self) -> str:
        """Name with the side, such as `hippocampus_left`."""
        return self.name if self.side is None else f"{self.name}_{self.side}"


@dataclass(frozen=True)
class Partition:
    """Every voxel of a grid, divided among regions.

    Parameters
    ----------
    regions : tuple of Region
        In the order of the rows.
    shares : scipy.sparse.csr_array (regions, voxels)
        0 to 1; voxels in C order of (X, Y, Z). Each column sums to 1.
    """

    regions: tuple[Region, ...]
    shares: Any

    def sum_over(self, array: NDArray[Any]) -> NDArray[np.float64]:
        """Return the sum of an array (X, Y, Z) in each region, fractions of voxels counting as such."""
        result: NDArray[np.float64] = self.shares @ np.asarray(array, dtype=np.float64).reshape(-1)
        return result

    def labels(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return for each voxel (X, Y, Z) the number, from 1, of the region that has most of it."""
        most, owner = np.zeros(self.shares.shape[1]), np.zeros(self.shares.shape[1], np.uint8)
        for place in range(len(self.regions)):
            start, stop = self.shares.indptr[place], self.shares.indptr[place + 1]
            voxels, shares = self.shares.indices[start:stop], self.shares.data[start:stop]
            more = shares > most[voxels]
            most[voxels[more]], owner[voxels[more]] = shares[more], place + 1
        return owner.reshape(shape)

    def voxels_of(self, place: int, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return flat indices of a region's voxels in a mask (X, Y, Z): those that are its own by half or more, else all it touches."""
        start, stop = self.shares.indptr[place], self.shares.indptr[place + 1]
        voxels, shares = self.shares.indices[start:stop], self.shares.data[start:stop]
        inside = mask.reshape(-1)[voxels] & (shares > 0)
        own = inside & (shares >= 0.5)
        result: NDArray[np.int64] = voxels[own if own.any() else inside]
        return result


def partition(
    contract: InputContract, structures: Mapping[str, tuple[FloatArray, FloatArray]] | None = None
) -> Partition:
    """Divide the voxels of a model's grid among the regions.

    Parameters
    ----------
    contract : InputContract
        The grid.
    structures : mapping, optional
        Structures found in the scan itself: `Region.key` -> probabilities (X, Y, Z) and their affine (4, 4), voxel to MNI mm. Their
        probabilities at one place must not sum to more than 1.

    Returns
    -------
    Partition
        Rows of every region, also of one that has no voxel.

    Notes
    -----
    Where the template has a structure and the scan has not, the nearest other label of the template is taken.
    """
    from scipy import sparse

    structures = structures or {}
    template = _template_partition(contract, frozenset(structures))
    if not structures:
        return template
    own = {key: onto_grid(*placed, contract).reshape(-1) for key, placed in structures.items()}
    whole: NDArray[np.float64] = np.stack(list(own.values())).sum(axis=0, dtype=np.float64)
    # rounding may take a sum beyond 1
    own = {key: np.clip(share, 0, 1) / np.maximum(whole, 1) for key, share in own.items()}
    left_over = np.clip(1 - whole, 0, 1)
    places = {region.key: place for place, region in enumerate(template.regions)}
    rows, columns, values = [], [], []
    for key, share in own.items():
        voxels = np.flatnonzero(share)
        rows.append(np.full(len(voxels), places[key]))
        columns.append(voxels)
        values.append(share[voxels].astype(np.float64))
    added = sparse.coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=template.shares.shape
    )
    regions = tuple(replace(one, source=THIS_SCAN) if one.key in own else one for one in template.regions)
    return Partition(regions, (template.shares.multiply(left_over[None, :]) + added).tocsr())


def onto_grid(share: FloatArray, affine: FloatArray, contract: InputContract) -> FloatArray:
    """Average a map in MNI space over the voxels of a grid.

    Parameters
    ----------
    share : ndarray (X, Y, Z)
        0 far from what it shows.
    affine : ndarray (4, 4)
        Voxel to MNI mm, along the axes of the space.
    contract : InputContract

    Returns
    -------
    ndarray of shape `contract.shape_xyz`, float32
    """
    result = np.zeros(contract.shape_xyz, dtype=np.float32)
    used = np.argwhere(share > 0)
    if not len(used):
        return result
    low_mm = affine[:3, :3] @ (used.min(axis=0) - 1) + affine[:3, 3]
    high_mm = affine[:3, :3] @ (used.max(axis=0) + 1) + affine[:3, 3]
    to_voxel = np.linalg.inv(contract.affine_xyz)
    low = np.floor(to_voxel[:3, :3] @ low_mm + to_voxel[:3, 3]).astype(int).clip(0, np.array(result.shape) - 1)
    high = np.ceil(to_voxel[:3, :3] @ high_mm + to_voxel[:3, 3]).astype(int).clip(0, np.array(result.shape) - 1)
    first, last = (contract.affine_xyz[:3, :3] @ corner + contract.affine_xyz[:3, 3] for corner in (low, high))
    x, y, z = (int(size) for size in high - low + 1)
    center = (first + last) / 2
    box = replace(contract, shape=(z, y, x), center_mm=(float(center[0]), float(center[1]), float(center[2])))
    window = tuple(slice(int(start), int(stop) + 1) for start, stop in zip(low, high, strict=True))
    result[window] = to_grid(share, affine, np.eye(4), box)
    return result


@lru_cache(maxsize=4)
def _template_partition(contract: InputContract, without: frozenset[str]) -> Partition:
    """Divide the grid by the template alone; the structures `without` give their place to what lies next to them."""
    from scipy import sparse

    regions, tables = _read_regions()
    labels, affine = read_anatomy().labels, read_anatomy().affine
    gone = [place for place, region in enumerate(regions) if region.key in without]
    if gone:
        labels = _give_away(labels, np.flatnonzero(np.isin(tables["left"], gone) | np.isin(tables["right"], gone)))
    counts = [max(math.ceil(spacing / _FINE_MM - 1e-6), 1) for spacing in contract.spacing_xyz_mm]
    indices, mm = [], []
    for axis, (size, spacing, count) in enumerate(
        zip(contract.shape_xyz, contract.spacing_xyz_mm, counts, strict=True)
    ):
        # points inside a voxel, evenly about its middle
        points = contract.affine_xyz[axis, 3] + spacing * ((np.arange(size * count) + 0.5) / count - 0.5)
        mm.append(points)
        indices.append(
            np.rint((points - affine[axis, 3]) / affine[axis, axis]).astype(int).clip(-1, labels.shape[axis])
        )
    labels = np.pad(labels, 1)  # no label outside
    x_count, y_count, z_count = counts
    x_size, y_size, z_size = contract.shape_xyz
    in_slab = np.add.outer(np.arange(y_size * y_count) // y_count * z_size, np.arange(z_size * z_count) // z_count)
    part, slab_size = 1 / math.prod(counts), y_size * z_size
    slabs = []
    for x in range(x_size):  # one at a time: all points at once would need a gigabyte
        points_of = slice(x * x_count, (x + 1) * x_count)
        found = labels[np.ix_(indices[0][points_of] + 1, indices[1] + 1, indices[2] + 1)]
        region = np.where((mm[0][points_of] < 0)[:, None, None], tables["left"][found], tables["right"][found])
        points_in = np.bincount(
            (region.astype(np.int64) * slab_size + in_slab).reshape(-1), minlength=len(regions) * slab_size
        )
        slabs.append(sparse.csr_array(points_in.reshape(len(regions), slab_size) * part))
    return Partition(regions, sparse.hstack(slabs, format="csr"))


@lru_cache(maxsize=1)
def _read_regions() -> tuple[tuple[Region, ...], dict[str, NDArray[np.int16]]]:
    """Return the regions, and for each side of the mid-plane a table from label to place among them."""
    paired = {name: dict(zip(SIDES, codes, strict=True)) for name, codes in _PAIRED.items()}
    paired |= {name: {"left": (1000 + number,), "right": (2000 + number,)} for number, name in PARCELS.items()}
    regions: list[Region] = []
    tables = {side: np.full(4096, -1, dtype=np.int16) for side in SIDES}
    for name, codes in paired.items():
        for side in SIDES:
            for code in codes[side]:
                # a label keeps its side where the affine map puts it beyond the mid-plane
                shared = code in codes["left"] and code in codes["right"]
                for table in [tables[side]] if shared else tables.values():
                    table[code] = len(regions)
            regions.append(Region(name, side))
    for name, middle in _MIDDLE.items():
        for table in tables.values():
            table[list(middle)] = len(regions)
        regions.append(Region(name, None))
    for side in SIDES:
        tables[side][tables[side] < 0] = len(regions)
        regions.append(Region(REST, side))
    return tuple(regions), tables


def _give_away(labels: NDArray[np.int16], codes: NDArray[np.int64]) -> NDArray[np.int16]:
    """Return the labels with those of `codes` replaced by the nearest other one."""
    from scipy.ndimage import distance_transform_edt

    gone = np.isin(labels, codes)
    used = np.argwhere(gone)
    low, high = np.maximum(used.min(axis=0) - 8, 0), used.max(axis=0) + 9
    window = tuple(slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
    nearest = distance_transform_edt(gone[window], return_distances=False, return_indices=True)
    result = labels.copy()
    result[window] = labels[window][tuple(nearest)]
    return result
