"""Where regions lie for a page: their codes in a label image, and where the map is strongest in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.explanation.page.content import Region, Regions

if TYPE_CHECKING:
    from adclip.imaging.volumes.regions import RegionShare

MOSTLY = (
    0.3  # share of a region in a voxel from which the voxel is called by its name; small regions have few full voxels
)


def label_regions(maps: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """Make one label image of the shares of regions.

    Parameters
    ----------
    maps : mapping
        Region -> ndarray (X, Y, Z), its share of each voxel; one called `brain` is no region.

    Returns
    -------
    ndarray of uint8 (X, Y, Z)
        Code of the region with the largest share, 0 where none has `MOSTLY`.
    dict
        Region -> code, from 1.
    """
    names = [name for name in maps if name != "brain"]
    shares = np.stack([np.asarray(maps[name]) for name in names])
    labels = np.where(shares.max(axis=0) >= MOSTLY, shares.argmax(axis=0) + 1, 0).astype(np.uint8)
    return labels, {name: code for code, name in enumerate(names, 1)}


def peaks_mm(
    signed: NDArray[Any], labels: NDArray[Any], codes: Mapping[str, int], contract: InputContract, mni_from_shown: FloatArray
) -> dict[str, tuple[float, float, float]]:  # fmt: skip
    """Return where the map is strongest, of either sign, in each region that has a voxel.

    Parameters
    ----------
    signed, labels : ndarray (X, Y, Z)
        On the model's grid.
    codes : mapping
        Region -> its value in `labels`.
    contract : InputContract
    mni_from_shown : ndarray (4, 4)
        Millimetres of the image shown to MNI millimetres.

    Returns
    -------
    dict
        Region -> (x, y, z), millimetres of the image shown.
    """
    to_shown = np.linalg.inv(mni_from_shown) @ contract.affine_xyz
    found: dict[str, tuple[float, float, float]] = {}
    for name, code in codes.items():
        places = np.argwhere(labels == code)
        if not len(places):
            continue
        strongest = places[int(np.argmax(np.abs(signed[tuple(places.T)])))]
        x, y, z = (float(value) for value in to_shown[:3, :3] @ strongest + to_shown[:3, 3])
        found[name] = (round(x, 2), round(y, 2), round(z, 2))
    return found


def region_table(
    shares: Sequence[RegionShare], codes: Mapping[str, int], peaks: Mapping[str, tuple[float, float, float]]
) -> Regions:
    """Lay out how much of the map each region holds."""
    rows = tuple(
        Region(
            share.region.replace("_", " "),
            (f"{share.relevance_share:.1%}", f"{share.volume_share:.1%}", f"{share.ratio:.2f}"),
            codes.get(share.region),
            peaks.get(share.region),
        )
        for share in shares
    )
    return Regions("Relevance by region (ratio 1 is chance)", ("region", "relevance", "volume", "ratio"), rows)
