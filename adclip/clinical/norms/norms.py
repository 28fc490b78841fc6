"""Where a volume stands among cognitively normal people of the same age and sex, on the scale of one program.

The norms are NiChart's centiles of DLMUSE volumes (`assets/norms/NOTICE.txt`, `examples/norms`). They cover what NiChart measures
exactly as adclip's columns do: each hippocampus (MUSE 47, 48), amygdala (31, 32) and inferior lateral ventricle (49, 50), and
the ventricles (MUSE 509, which is 4, 11, 49-52). Left out are

- the whole brain: NiChart's `TotalBrain` (MUSE 701) holds the ventricles, `whole_brain_mm3` does not, and as one grows while the
  other shrinks, the centile of their sum says little of either;
- sums of both sides of a gyrus (entorhinal, fusiform, middle temporal): the centiles of a sum need the correlation of the
  sides, which no published table gives. For hippocampus, amygdala and inferior lateral ventricle it was measured, see
  `adclip.clinical.norms.normative_score`.

`standing` ranks a volume as measured, by sex; `share_standing` ranks its share of the intracranial volume, both sexes together.
Volumes of adclip's own segmenter are on DLMUSE's scale by a calibration on 59 people of IXI: they are ranked over that bridge,
and `Standing.bridged` says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from adclip.clinical.norms.norm_tables import CENTILES, PPM, QUANTILES, norms_of_shares, norms_of_volumes, z_between
from adclip.domain import SEGMENTER

# Programs differ by up to a third in the same structure, so norms speak of their own program's volumes only.
DLMUSE = "DLMUSE"
# Segmenters from before the calibration: their hippocampus was a quarter larger than DLMUSE's (docs/reference/volumes.md).
_NOT_CALIBRATED = frozenset({f"{SEGMENTER} 968d0ae78409"})
# What a bridged amygdala is divided by. DLMUSE's amygdala in 35 healthy people of IXI (40-70 years, one scanner) is smaller than
# the published median for age and head: geometric mean of the ratio 0.890 (standard error 0.016) left, 0.866 (0.014) right. Hippocampi
# (0.995, 0.996; 0.012) are not, nor are inferior lateral ventricles (1.11, 0.96; 0.13). `tests/benchmarks/bench_norms.py`.
_BRIDGE = {"amygdala_left_mm3": 0.89, "amygdala_right_mm3": 0.87}
NORM_ID, SHARE_NORM_ID = "NiChart-DLMUSE-1", "NiChart-DLMUSE-ICV-1"
_NORMAL = NormalDist()


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
    bridged : bool
        Whether another program than that of the norms measured the volume and a calibration stands between.
    """

    z: float
    centile: float
    beyond: bool
    norm_id: str
    group: str
    bridged: bool = False


@dataclass(frozen=True)
class NoStanding:
    """Why there is no standing.

    Parameters
    ----------
    reason : str
        `no_norms_for_field`, `no_software`, `no_norms_for_software`, `no_age`, `no_sex`, `no_icv` or `outside_age`.
    """

    reason: str


@lru_cache(maxsize=1)
def fields_with_norms() -> frozenset[str]:
    """Return the volumes that the norms speak of."""
    return frozenset(field for field, _ in norms_of_volumes())


def scale_of(software: str | None) -> str | None:
    """Return which program's scale a volume is on, `DLMUSE` or `adclip segmenter`; None where no norms fit.

    An estimate that does not name its segmenter's version may be from before the calibration, and fits none.
    """
    if software == DLMUSE:
        return DLMUSE
    if software is None or software in _NOT_CALIBRATED or not software.startswith(f"{SEGMENTER} "):
        return None
    return SEGMENTER


def to_norm_scale(field: str, value_mm3: float, software: str | None) -> float:
    """Return a volume as the people of the norms would have it, mm3; changed for a bridged amygdala alone."""
    return value_mm3 / _BRIDGE.get(field, 1.0) if scale_of(software) == SEGMENTER else value_mm3


def find_curve(
    field: str, age_years: float | None, sex: str | None, software: str | None, *, share: bool = False
) -> list[float] | NoStanding:
    """Find the centiles that fit a field, a person and a program, or say why there are none.

    Parameters
    ----------
    field, age_years, sex, software
        As for `standing`.
    share : bool
        Whether the share of the intracranial volume is asked for, in ppm; the sex then plays no part.
    """
    if field not in fields_with_norms():
        return NoStanding("no_norms_for_field")
    if software is None:
        return NoStanding("no_software")
    if scale_of(software) is None:
        return NoStanding("no_norms_for_software")
    if age_years is None:
        return NoStanding("no_age")
    norm = norms_of_shares()[field] if share else norms_of_volumes().get((field, sex or ""))
    if norm is None:
        return NoStanding("no_sex")
    return norm.at(age_years) if norm.covers(age_years) else NoStanding("outside_age")


def standing(
    field: str, value_mm3: float, age_years: float | None, sex: str | None, software: str | None
) -> Standing | NoStanding:
    """Find where a volume stands.

    Parameters
    ----------
    field : str
        A volume, such as `hippocampus_left_mm3`.
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
    Centiles are interpolated linearly between ages two or four years apart (error of the volume below 0.2 %, of inferior
    lateral ventricles below 4.4 %, which is 0.05 of z; see examples/norms), and the volume between neighbouring centiles as
    `z_between` says. The published curves of the inferior lateral ventricles are normal distributions with negative 5th
    centiles; the norms hold the log-normal ones of the same mean and standard deviation.

    References
    ----------
    .. [1] NiChart project, centiles of DLMUSE volumes of cognitively normal people (iSTAGING); `assets/norms/NOTICE.txt`.
    """
    curve = find_curve(field, age_years, sex, software)
    if isinstance(curve, NoStanding):
        return curve
    return to_standing(_rank(curve, to_norm_scale(field, value_mm3, software)), age_years, sex, software)


def share_standing(
    field: str, value_mm3: float, icv_mm3: float | None, age_years: float | None, software: str | None
) -> Standing | NoStanding:
    """Find where a volume's share of the intracranial volume stands, among people of both sexes and the same age (40-93).

    Parameters
    ----------
    field : str
        A volume, such as `hippocampus_left_mm3`.
    value_mm3, icv_mm3 : float, float or None
        The volume and the intracranial volume, mm3, of one program.
    age_years : float or None
        Age at the scan, years.
    software : str or None
        Program that measured both.

    Notes
    -----
    NiChart publishes volumes scaled to one reference head, without its size; that was found as 1,431,660 mm3 (quartiles over
    regions and ages 1,428,101 and 1,436,011; `examples/norms`), so shares are known to 0.3 %, which is 0.04 of z for a hippocampus.
    """
    curve = find_curve(field, age_years, None, software, share=True)
    if isinstance(curve, NoStanding):
        return curve
    if not icv_mm3:
        return NoStanding("no_icv")
    z = _rank(curve, PPM * to_norm_scale(field, value_mm3, software) / icv_mm3)
    return to_standing(z, age_years, None, software, share=True)


def _rank(curve: list[float], value: float) -> float:
    """Return the z of a value; infinite beyond the outermost tabulated centiles."""
    z = z_between(curve, value)
    return z if z is not None else -math.inf if value < curve[0] else math.inf


def to_standing(
    z: float, age_years: float | None, sex: str | None, software: str | None, *, share: bool = False
) -> Standing:
    """Return what may be said of a z: beyond the outermost tabulated centiles only that it is there."""
    people = "people" if share else "females" if sex == "F" else "males"
    reference = (
        SHARE_NORM_ID if share else NORM_ID,
        f"{people} of {age_years:g} years",
        scale_of(software) == SEGMENTER,
    )
    if QUANTILES[0] <= z <= QUANTILES[-1]:
        return Standing(z, 100 * _NORMAL.cdf(z), False, *reference)
    end = 0 if z < 0 else -1
    return Standing(QUANTILES[end], CENTILES[end], True, *reference)
