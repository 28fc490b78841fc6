"""Where relevance lies, by the regions of the template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract
from adclip.imaging.volumes.anatomy import REGION_CODES, FloatArray, average_onto, read_anatomy


@dataclass(frozen=True)
class RegionShare:
    """How much of a map one region holds.

    Parameters
    ----------
    region : str
    relevance_share : float
        Part of all relevance inside the brain, 0 to 1.
    volume_share : float
        Part of the brain's volume: what a map without preference would give.
    """

    region: str
    relevance_share: float
    volume_share: float

    @property
    def ratio(self) -> float:
        """Relevance over volume: 1 is chance."""
        return self.relevance_share / self.volume_share if self.volume_share else float("nan")


@lru_cache(maxsize=2)
def region_maps(contract: InputContract) -> dict[str, FloatArray]:
    """Each region of the template, and its brain, on the contract's grid (X, Y, Z): share of each voxel."""
    anatomy = read_anatomy()
    maps = {
        name: average_onto(anatomy.region(codes).astype(np.float32), anatomy.affine, contract)
        for name, codes in REGION_CODES.items()
    }
    maps["brain"] = average_onto(anatomy.brain.astype(np.float32), anatomy.affine, contract)
    return maps


@lru_cache(maxsize=2)
def template_image(contract: InputContract) -> FloatArray:
    """Return the template as a preprocessed scan (X, Y, Z) in [0, 1]: an average brain to fill deleted patches with."""
    anatomy = read_anatomy()
    image = average_onto(anatomy.t1, anatomy.affine, contract)
    inside = average_onto(anatomy.brain.astype(np.float32), anatomy.affine, contract) > 0.5
    low, high = np.percentile(image[inside], contract.percentiles)
    result: FloatArray = (np.clip((image - low) / (high - low), 0, 1) * inside).astype(np.float32)
    return result


def share_by_region(heat: NDArray[Any], contract: InputContract) -> list[RegionShare]:
    """Share of a heatmap (X, Y, Z; at least 0) that falls into each region, the largest ratio first."""
    maps = region_maps(contract)
    brain = maps["brain"]
    total, volume = float((heat * brain).sum()), float(brain.sum())
    shares = [
        RegionShare(name, float((heat * region).sum()) / total if total else 0.0, float(region.sum()) / volume)
        for name, region in maps.items()
        if name != "brain"
    ]
    return sorted(shares, key=lambda share: -share.ratio)


def mask_ratio(heat: NDArray[Any], mask: NDArray[np.bool_], brain: NDArray[np.bool_]) -> float:
    """Mean relevance inside a mask over mean relevance in the brain: 1 is chance; NaN for an empty map or mask."""
    whole = float(heat[brain].mean()) if brain.any() else 0.0
    chosen = mask & brain
    return float(heat[chosen].mean()) / whole if whole and chosen.any() else float("nan")
