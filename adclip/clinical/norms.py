"""Where a volume stands among cognitively normal people of the same age and sex, measured by the same program.

The norms are NiChart's centiles of DLMUSE volumes (`assets/norms/NOTICE.txt`, `examples/norms`). They cover what NiChart measures
exactly as adclip's columns do: each hippocampus (MUSE 47, 48), and the ventricles (MUSE 509, which is 4, 11, 49-52). Left out are

- the whole brain: NiChart's `TotalBrain` (MUSE 701) holds the ventricles, `whole_brain_mm3` does not, and as one grows while the
  other shrinks, the centile of their sum says little of either;
- sums of both sides (hippocampus, entorhinal, fusiform, middle temporal): the centiles of a sum need the correlation of the
  sides, which no published table gives.

They are of volumes as measured, not adjusted for head size.
"""

from __future__ import annotations

import bisect
import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from statistics import NormalDist

# Programs differ by up to a third in the same structure, so norms speak of their own program's volumes only.
_TABLES = {"DLMUSE": "dlmuse.csv"}
_NORMAL = NormalDist()
NORM_ID = "NiChart-DLMUSE-1"
# Standard normal quantiles of the tabulated centiles 5, 25, 50, 75 and 95.
_CENTILES = (5.0, 25.0, 50.0, 75.0, 95.0)
_Z = (-1.6448536269514722, -0.6744897501960817, 0.0, 0.6744897501960817, 1.6448536269514722)


@dataclass(frozen=True)
class Standing:
    """A volume among its norms.

    Parameters
    ----------
    z : float
        The centile as a quantile of the standard normal distribution; not a distance from a mean, because ventricles are
        skewed.
    centile : float
        0 to 100; the outermost tabulated one where the volume lies beyond it.
    beyond : bool
        Whether the volume lies below the 5th or above the 95th centile; how far is not known.
    norm_id, group : str
        Which norms, and whose: ``females of 71.3 years``.
    """

    z: float
    centile: float
    beyond: bool
    norm_id: str
    group: str


@dataclass(frozen=True)
class NoStanding:
    """Why there is no standing.

    Parameters
    ----------
    reason : str
        `no_norms_for_field`, `no_software`, `no_norms_for_software`, `no_age`, `no_sex` or `outside_age`.
    """

    reason: str


@dataclass(frozen=True)
class _Norm:
    ages: list[float]
    values: list[list[float]]


@lru_cache(maxsize=1)
def _read_norms() -> dict[tuple[str, str, str], _Norm]:
    """Read the tables: (software, field, sex) -> centiles by age."""
    found: dict[tuple[str, str, str], _Norm] = {}
    for software, name in _TABLES.items():
        text = (files("adclip") / "assets" / "norms" / name).read_text(encoding="utf-8")
        for row in csv.DictReader(text.splitlines()):
            norm = found.setdefault((software, row["field"], row["sex"]), _Norm([], []))
            norm.ages.append(float(row["age_years"]))
            norm.values.append([float(row[f"centile_{centile:g}"]) for centile in _CENTILES])
    return found


@lru_cache(maxsize=1)
def fields_with_norms() -> frozenset[str]:
    """Return the canonical volumes that any norms speak of."""
    return frozenset(field for _, field, _ in _read_norms())


def standing(
    field: str, value_mm3: float, age_years: float | None, sex: str | None, software: str | None
) -> Standing | NoStanding:
    """Find where a volume stands.

    Parameters
    ----------
    field : str
        Canonical volume, such as `hippocampus_left_mm3`.
    value_mm3 : float
        The volume, mm3.
    age_years : float or None
        Age at the scan, years. Norms are not extended beyond the ages they were made at (females 40-93, males 40-92).
    sex : str or None
        F or M; anything else counts as unknown.
    software : str or None
        Program that measured the volume (`Visit.volumes_source`).

    Returns
    -------
    Standing or NoStanding

    Notes
    -----
    Centiles are interpolated linearly between ages two years apart (error below 0.2 %, see examples/norms), and the volume
    between neighbouring centiles linearly on the scale of normal quantiles: monotone, and exact at the tabulated centiles.
    In between, that is exact for a normal distribution and within about 0.07 of z for one as skewed as the ventricles'.

    References
    ----------
    .. [1] NiChart project, centiles of DLMUSE volumes of cognitively normal people (iSTAGING); `assets/norms/NOTICE.txt`.
    """
    if field not in fields_with_norms():
        return NoStanding("no_norms_for_field")
    if software is None:
        return NoStanding("no_software")
    if software not in _TABLES:
        return NoStanding("no_norms_for_software")
    if age_years is None:
        return NoStanding("no_age")
    norm = _read_norms().get((software, field, sex or ""))
    if norm is None:
        return NoStanding("no_sex")
    if not norm.ages[0] <= age_years <= norm.ages[-1]:
        return NoStanding("outside_age")
    curve = _at_age(norm, age_years)
    group = f"{'females' if sex == 'F' else 'males'} of {age_years:g} years"
    if value_mm3 < curve[0]:
        return Standing(_Z[0], _CENTILES[0], True, NORM_ID, group)
    if value_mm3 > curve[-1]:
        return Standing(_Z[-1], _CENTILES[-1], True, NORM_ID, group)
    above = min(bisect.bisect_right(curve, value_mm3), len(curve) - 1)
    share = (value_mm3 - curve[above - 1]) / (curve[above] - curve[above - 1])
    z = _Z[above - 1] + share * (_Z[above] - _Z[above - 1])
    return Standing(z, _to_centile(z), False, NORM_ID, group)


def _at_age(norm: _Norm, age: float) -> list[float]:
    above = min(bisect.bisect_right(norm.ages, age), len(norm.ages) - 1)
    share = (age - norm.ages[above - 1]) / (norm.ages[above] - norm.ages[above - 1])
    return [one + share * (two - one) for one, two in zip(norm.values[above - 1], norm.values[above], strict=True)]


def _to_centile(z: float) -> float:
    return 100 * _NORMAL.cdf(z)
