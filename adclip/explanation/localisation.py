"""How well a map finds what is known to have changed: share of relevance, pointing game, area under the curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR_MM = 15.0  # about the width of one patch of the builtin model


@dataclass(frozen=True)
class Localisation:
    """How one map lies to one known region.

    Parameters
    ----------
    energy_share : float
        Part of all positive relevance in the brain that lies in the region, 0 to 1.
    volume_share : float
        The region's part of the brain: what a map without preference would give.
    near_share : float
        Part of the positive relevance within `NEAR_MM` of the region.
    near_volume_share : float
        Part of the brain that lies there.
    pointing : float
        1 where the peak lies in the region, else 0 (Zhang et al. 2018, arXiv:1608.00507).
    auc : float
        Chance that a voxel of the region has more relevance than another of the brain; ties count half.
    own_side : float
        Part of the positive relevance in the brain that lies on the region's side; NaN for a region with both.
    """

    energy_share: float
    volume_share: float
    near_share: float
    near_volume_share: float
    pointing: float
    auc: float
    own_side: float

    @property
    def ratio(self) -> float:
        """Share of the relevance over share of the volume: 1 is chance."""
        return self.energy_share / self.volume_share


def localise(
    signed: NDArray[np.floating],
    region: NDArray[np.bool_],
    brain: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> Localisation | None:
    """Compare a map with a region.

    Parameters
    ----------
    signed : ndarray (D, H, W)
        Relevance on the model's grid; W runs from the person's right to left.
    region, brain : ndarray of bool (D, H, W)
    spacing_mm : tuple of float

    Returns
    -------
    Localisation or None
        None where the region has no voxel in the brain, or is all of it.
    """
    from scipy.ndimage import distance_transform_edt
    from scipy.stats import rankdata

    region = region & brain
    count, whole = int(region.sum()), int(brain.sum())
    if not count or count == whole:
        return None
    positive = np.clip(np.asarray(signed, dtype=np.float64), 0, None) * brain
    total = float(positive.sum())
    near = (distance_transform_edt(~region, sampling=spacing_mm) <= NEAR_MM) & brain
    ranks = rankdata(np.asarray(signed)[brain])
    inside = region[brain]
    auc = (float(ranks[inside].sum()) - count * (count + 1) / 2) / (count * (whole - count))
    half = signed.shape[2] // 2
    right, left = region[:, :, :half].sum(), region[:, :, half:].sum()
    own_side = float("nan")
    if total and not (right and left):
        own = positive[:, :, :half] if right else positive[:, :, half:]
        own_side = float(own.sum()) / total
    peak = np.unravel_index(int(np.argmax(np.where(brain, signed, -np.inf))), signed.shape)
    return Localisation(
        float(positive[region].sum()) / total if total else 0.0,
        count / whole,
        float(positive[near].sum()) / total if total else 0.0,
        float(near.sum()) / whole,
        float(region[peak]) if total else 0.0,
        auc,
        own_side,
    )
