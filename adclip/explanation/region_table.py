"""Where relevance lies, region by region, beside how large each region is: the numbers, and the file that holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.imaging.volumes.partition import SIDES, Partition, Region, partition

_MILLION = 1_000_000


@dataclass(frozen=True)
class RegionRow:
    """What a map and the measuring say of one region. None is what is not known, or has no meaning.

    Parameters
    ----------
    region : Region
    relevance_share : float or None
        Part of the positive relevance in the brain, 0 to 1; all rows sum to 1, or are 0 for a map without any. None where no voxel of the
        brain mask belongs to the region.
    volume_share : float
        Part of the brain mask: what a map without preference would give. All rows sum to 1.
    ratio : float or None
        The first over the second: 1 is chance.
    absolute_share : float or None
        Part of the sum of absolute signed values.
    mean_signed : float or None
        Mean of the signed map over the region, in its unit.
    peak : float or None
        The signed value furthest from 0.
    peak_mm : tuple of float or None
        Its place: x, y, z in MNI mm. None where the map is 0 all over the region.
    relevance_asymmetry : float or None
        (left - right) / (left + right) of the positive relevance, -1 to 1; the same in both rows.
    mm3 : float or None
        The volume that was measured, in mm3 of the scan.
    centile : float or None
        Of that volume among healthy people of this age and sex, 0 to 100.
    centile_beyond : bool
        Whether it lies beyond the tabulated centiles, of which `centile` then is the outermost.
    volume_asymmetry : float or None
        (left - right) / (left + right) of the volumes.
    """

    region: Region
    relevance_share: float | None
    volume_share: float
    ratio: float | None
    absolute_share: float | None
    mean_signed: float | None
    peak: float | None
    peak_mm: tuple[float, float, float] | None
    relevance_asymmetry: float | None
    mm3: float | None
    centile: float | None
    centile_beyond: bool
    volume_asymmetry: float | None


def region_table(
    signed: NDArray[Any],
    mask: NDArray[np.bool_],
    contract: InputContract,
    *,
    positive: NDArray[Any] | None = None,
    structures: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
    volumes: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[RegionRow]:
    """Divide a map among the regions of the brain.

    Parameters
    ----------
    signed : ndarray (X, Y, Z)
        Relevance, in any unit, on the contract's grid; what lies outside the mask does not count.
    mask : ndarray (X, Y, Z), bool
        Brain.
    contract : InputContract
        The grid.
    positive : ndarray (X, Y, Z), optional
        The map whose shares are told, at least 0; by default the positive part of `signed`.
    structures : mapping, optional
        `PreparedScan.structures`: structures found in this scan, which take the place of the template's.
    volumes : mapping, optional
        `Prediction.volumes`: column -> `mm3`, `centile` and so on.

    Returns
    -------
    list of RegionRow
        One for every region, the most relevant first, regions of equal relevance in the order of the atlas.
    """
    parts = partition(contract, structures)
    signed = np.where(mask, np.nan_to_num(signed), 0)
    relevance = np.clip(signed, 0, None) if positive is None else np.where(mask, np.clip(positive, 0, None), 0)
    size = parts.sum_over(mask)
    relevance_shares = _shares(parts.sum_over(relevance))
    absolute_shares = _shares(parts.sum_over(np.abs(signed)))
    volume_shares = _shares(size)
    totals = parts.sum_over(signed)
    lopsided = _asymmetries(parts, relevance_shares)
    rows = []
    for place, region in enumerate(parts.regions):
        measured = _measured(region, volumes or {})
        if size[place] <= 0:
            rows.append(RegionRow(region, None, 0.0, None, None, None, None, None, None, *measured))
            continue
        share, volume = float(relevance_shares[place]), float(volume_shares[place])
        peak, peak_mm = _peak(parts, place, signed, mask, contract)
        rows.append(
            RegionRow(
                region,
                share,
                volume,
                share / volume if relevance_shares.any() and volume else None,
                float(absolute_shares[place]),
                float(totals[place] / size[place]),
                peak,
                peak_mm,
                lopsided.get(region.name),
                *measured,
            )
        )
    return sorted(rows, key=lambda row: -(row.relevance_share or 0.0))


def to_tsv(rows: Sequence[RegionRow]) -> str:
    """Write the rows as a table: shares in millionths that sum to 1 exactly, `n/a` where nothing is known."""
    columns = {
        "region": [row.region.key for row in rows],
        "relevance_share": _exact([row.relevance_share for row in rows]),
        "volume_share": _exact([row.volume_share for row in rows]),
        "ratio_to_chance": [cell(row.ratio, ".4f") for row in rows],
        "side": [row.region.side or "n/a" for row in rows],
        "source": [row.region.source for row in rows],
        "absolute_share": _exact([row.absolute_share for row in rows]),
        "mean_signed": [cell(row.mean_signed, ".6g") for row in rows],
        "peak": [cell(row.peak, ".6g") for row in rows],
        **{
            f"peak_{axis}_mm": [cell(row.peak_mm and row.peak_mm[place], ".1f") for row in rows]
            for place, axis in enumerate("xyz")
        },
        "relevance_asymmetry": [cell(row.relevance_asymmetry, ".4f") for row in rows],
        "volume_mm3": [cell(row.mm3, ".1f") for row in rows],
        "centile": [cell(row.centile, ".3f") for row in rows],
        "volume_asymmetry": [cell(row.volume_asymmetry, ".4f") for row in rows],
    }
    lines = ["\t".join(columns), *("\t".join(cells) for cells in zip(*columns.values(), strict=True))]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------ numbers


def _shares(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    total = sums.sum()
    return sums / total if total > 0 else np.zeros_like(sums)


def _asymmetries(parts: Partition, shares: NDArray[np.float64]) -> dict[str, float]:
    by_side: dict[str, dict[str, float]] = {}
    for region, share in zip(parts.regions, shares, strict=True):
        if region.side is not None:
            by_side.setdefault(region.name, {})[region.side] = float(share)
    return {
        name: (sides["left"] - sides["right"]) / (sides["left"] + sides["right"])
        for name, sides in by_side.items()
        if sum(sides.values()) > 0
    }


def _peak(
    parts: Partition, place: int, signed: NDArray[Any], mask: NDArray[np.bool_], contract: InputContract
) -> tuple[float, tuple[float, float, float] | None]:
    """Return the value furthest from 0 among the region's voxels in the brain, and its place in mm."""
    voxels = parts.voxels_of(place, mask)
    values = signed.reshape(-1)[voxels]
    best = int(np.argmax(np.abs(values)))
    if values[best] == 0:
        return 0.0, None
    index = np.unravel_index(int(voxels[best]), signed.shape)
    x, y, z = (float(value) for value in contract.affine_xyz[:3, :3] @ np.array(index) + contract.affine_xyz[:3, 3])
    return float(values[best]), (x, y, z)


def _measured(
    region: Region, volumes: Mapping[str, Mapping[str, Any]]
) -> tuple[float | None, float | None, bool, float | None]:
    """Return mm3, centile, whether that lies beyond the tables, and asymmetry, as far as they were measured."""
    facts = volumes.get(f"{region.key}_mm3", {})
    left, right = (volumes.get(f"{region.name}_{side}_mm3", {}).get("mm3") for side in SIDES)
    asymmetry = None
    if left is not None and right is not None and left + right > 0:
        asymmetry = (left - right) / (left + right)
    return facts.get("mm3"), facts.get("centile"), bool(facts.get("centile_beyond")), asymmetry


# ------------------------------------------------------------------------------------------------ cells


def _exact(rows_shares: Sequence[float | None]) -> list[str]:
    """Write shares in millionths so that they sum to 1 as printed: what rounding leaves goes to those it took most from."""
    parts = [(share or 0.0) * _MILLION for share in rows_shares]
    whole = [math.floor(part) for part in parts]
    missing = round(sum(parts)) - sum(whole)
    for place in sorted(range(len(parts)), key=lambda place: (whole[place] - parts[place], place))[:missing]:
        whole[place] += 1
    return [
        "n/a" if share is None else f"{part / _MILLION:.6f}" for share, part in zip(rows_shares, whole, strict=True)
    ]


def cell(value: float | None, form: str) -> str:
    """Write a number as `format` does, `n/a` where it is not known."""
    return "n/a" if value is None else format(value, form)
