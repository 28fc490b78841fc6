"""The shipped norms as curves: centiles of a volume at an age, and how far a value lies from them in standard deviations."""

from __future__ import annotations

import bisect
import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

# The tabulated centiles and their standard normal quantiles.
CENTILES = (5.0, 25.0, 50.0, 75.0, 95.0)
QUANTILES = (-1.6448536269514722, -0.6744897501960817, 0.0, 0.6744897501960817, 1.6448536269514722)
PPM = 1e6  # shares of the intracranial volume are tabulated in parts per million
Curve = Sequence[float]


@dataclass(frozen=True)
class Norm:
    """Centiles of one volume over age.

    Parameters
    ----------
    ages : list of float
        Years, ascending.
    values : list of list of float
        For each age the volume (mm3) or share (ppm of the ICV) at each of `CENTILES`.
    """

    ages: list[float]
    values: list[list[float]]

    def covers(self, age_years: float) -> bool:
        """Whether the norm was made at this age; nothing is extended beyond its ends."""
        return self.ages[0] <= age_years <= self.ages[-1]

    def at(self, age_years: float) -> list[float]:
        """Return the centiles at an age that the norm covers, interpolated linearly."""
        above = min(bisect.bisect_right(self.ages, age_years), len(self.ages) - 1)
        low, high = self.ages[above - 1], self.ages[above]
        share = (age_years - low) / (high - low)
        return [a + share * (b - a) for a, b in zip(self.values[above - 1], self.values[above], strict=True)]


@lru_cache(maxsize=1)
def norms_of_volumes() -> dict[tuple[str, str], Norm]:
    """Read (field, sex) -> centiles of the volume as measured, mm3."""
    return {(field, sex): norm for (field, sex), norm in _read("dlmuse.csv").items()}


@lru_cache(maxsize=1)
def norms_of_shares() -> dict[str, Norm]:
    """Read field -> centiles of the share of the intracranial volume, ppm, both sexes together."""
    return {field: norm for (field, _), norm in _read("dlmuse_share.csv").items()}


def _read(name: str) -> dict[tuple[str, str], Norm]:
    norms: dict[tuple[str, str], Norm] = {}
    text = (files("adclip") / "assets" / "norms" / name).read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        norm = norms.setdefault((row["field"], row.get("sex", "")), Norm([], []))
        norm.ages.append(float(row["age_years"]))
        norm.values.append([float(row[f"centile_{centile:g}"]) for centile in CENTILES])
    return norms


def z_between(curve: Curve, value: float) -> float | None:
    """Return the z of a value between the outermost tabulated centiles, None beyond them.

    Interpolated linearly between neighbouring centiles on the scale of normal quantiles: monotone, and exact at the tabulated
    centiles. In between, that is exact for a normal distribution and within about 0.07 for one as skewed as the ventricles'.
    """
    if not curve[0] <= value <= curve[-1]:
        return None
    above = min(bisect.bisect_right(curve, value), len(curve) - 1)
    share = (value - curve[above - 1]) / (curve[above] - curve[above - 1])
    return QUANTILES[above - 1] + share * (QUANTILES[above] - QUANTILES[above - 1])


def z_with_tails(curve: Curve, value: float, *, skewed: bool) -> float:
    """Return a z that goes on beyond the outermost centiles.

    Parameters
    ----------
    curve : sequence of float
        Centiles at one age.
    value : float
        In the unit of the curve.
    skewed : bool
        Whether the tails are those of a log-normal distribution (ventricles), else of a normal one.

    Notes
    -----
    Each tail belongs to the half-distribution whose scale is the distance from the median to the outermost centile, over its
    quantile 1.645; so z is continuous there. How far an extreme volume lies is thus an extrapolation, not a measured rank.
    """
    inside = z_between(curve, value)
    if inside is not None:
        return inside
    outer, quantile = (curve[0], QUANTILES[0]) if value < curve[0] else (curve[-1], QUANTILES[-1])
    if skewed:
        if value <= 0:
            return -math.inf
        return quantile * (math.log(value) - math.log(curve[2])) / math.log(outer / curve[2])
    return quantile * (value - curve[2]) / (outer - curve[2])
