"""The medial temporal norm score: how much less tissue than healthy people of the same age, in one number.

It looks at what Alzheimer's disease takes first, hippocampus and amygdala, and at the inferior lateral ventricle that opens
beside them; the choice of these three against norms over the lifespan is that of Coupe et al. [1]_. Their score asks whether a
brain lies nearer to curves of healthy people or of patients; this one knows curves of healthy people alone. Curves, formula
and constants are adclip's own, so the numbers are not theirs:

    Z_s = (z_left + z_right) / sqrt(2 + 2 r_s)                       each structure s
    score = sum(d_s Z_s) / sqrt(sum(d_s d_t R_st))                   over the known structures s, t

z is the place of a side's volume among its norms (`adclip.clinical.norms.norm_tables.z_with_tails`), d is -1 for hippocampus and amygdala and
+1 for the ventricle, r and R are correlations among healthy people. The weights are equal, so nothing is fitted to patients. The
score has mean 0 and standard deviation 1 in people like those of the norms, and grows with loss without an end.

References
----------
.. [1] Coupe, Manjon, Mansencal, Tourdias, Catheline, Planche 2022, Human Brain Mapping, doi:10.1002/hbm.25850.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from adclip.clinical.norms.norm_tables import PPM, QUANTILES, z_with_tails
from adclip.clinical.norms.norms import (
    NORM_ID,
    SHARE_NORM_ID,
    NoStanding,
    Standing,
    find_curve,
    scale_of,
    share_standing,
    standing,
    to_norm_scale,
    to_standing,
)
from adclip.domain import SEGMENTER

SCORE_ID = "medial-temporal-norm-score-1"
ICV = "icv_mm3"
SHARE, AS_MEASURED = "share of icv", "as measured"
HIPPOCAMPUS, AMYGDALA, VENTRICLE = "hippocampus", "amygdala", "inferior_lateral_ventricle"
DIRECTION = {HIPPOCAMPUS: -1.0, AMYGDALA: -1.0, VENTRICLE: 1.0}
# Correlations of z, of 35 healthy people of 40-70 years (IXI, DLMUSE; `tests/benchmarks/bench_norms.py`), rounded: with so few people
# each is known to about +-0.25. Of left with right, for shares of the ICV and for volumes as measured ...
_SIDES = {
    SHARE: {HIPPOCAMPUS: 0.6, AMYGDALA: 0.45, VENTRICLE: 0.45},
    AS_MEASURED: {HIPPOCAMPUS: 0.8, AMYGDALA: 0.55, VENTRICLE: 0.55},
}
# ... and of hippocampus with amygdala (0.53 and 0.71). Those with the ventricle (0.02 to 0.12) do not differ from 0.
_HIPPOCAMPUS_WITH_AMYGDALA = 0.6


@dataclass(frozen=True)
class NormScore:
    """The medial temporal norm score of one scan.

    Parameters
    ----------
    value : float
        Standard deviations of healthy people; above 0 is less tissue than the median for age, 1.64 as little as in 5 % of them.
    parts : mapping of str to float
        Structure -> Z of both its sides, small volumes below 0.
    basis : str
        `share of icv` or `as measured`.
    norm_id : str
        Of the norms.
    bridged : bool
        Whether adclip's own segmenter measured the volumes, so that a calibration stands between them and the norms.
    """

    value: float
    parts: Mapping[str, float]
    basis: str
    norm_id: str
    bridged: bool


@dataclass(frozen=True)
class NoScore:
    """Why there is no score.

    Parameters
    ----------
    reason : str
        `no_hippocampus` (both sides are needed), `no_structure` (one that was asked for is unknown), `no_icv`, or a reason
        of `NoStanding`.
    """

    reason: str


def sides_of(structure: str) -> tuple[str, str]:
    """Return the volumes of the left and the right side of a structure."""
    return f"{structure}_left_mm3", f"{structure}_right_mm3"


def structures_in(volumes: Mapping[str, float]) -> tuple[str, ...]:
    """Return the structures of the score of which both sides are known."""
    return tuple(
        structure for structure in DIRECTION if all(_is_known(side, volumes.get(side)) for side in sides_of(structure))
    )


def medial_temporal_score(
    volumes: Mapping[str, float],
    age_years: float | None,
    sex: str | None,
    source: str | None,
    structures: Collection[str] | None = None,
    basis: str | None = None,
) -> NormScore | NoScore:
    """Compute the medial temporal norm score of volumes that one program measured on one scan.

    Parameters
    ----------
    volumes : mapping of str to float
        `hippocampus_left_mm3` and `hippocampus_right_mm3`; if known, the same of `amygdala` and `inferior_lateral_ventricle`, and
        `icv_mm3`. Others are not looked at.
    age_years : float or None
        Age at the scan, years; without it, or outside 40-93 (males as measured 40-92), there is no score.
    sex : str or None
        F or M. Needed for the basis `as measured` alone: norms of shares are of both sexes together.
    source : str or None
        Program that measured all of them: `DLMUSE` or `adclip segmenter VERSION`.
    structures : collection of str, optional
        Exactly those to use; by default all that are known.
    basis : str, optional
        `share of icv` or `as measured`; by default the first where the intracranial volume is known.

    Returns
    -------
    NormScore or NoScore

    Notes
    -----
    Between the 5th and the 95th centile z is the tabulated rank; beyond, it follows the tail of a normal distribution, for the
    ventricle of a log-normal one. A temporal horn below its 5th centile counts as the 5th: how few voxels a closed horn is given
    says nothing of tissue.
    """
    measured = structures_in(volumes)
    if HIPPOCAMPUS not in measured:
        return NoScore("no_hippocampus")
    used = measured if structures is None else tuple(structure for structure in DIRECTION if structure in structures)
    if not set(used) <= set(measured):
        return NoScore("no_structure")
    has_icv = _is_known(ICV, volumes.get(ICV))
    basis = basis or (SHARE if has_icv else AS_MEASURED)
    if basis == SHARE and not has_icv:
        return NoScore("no_icv")
    parts: dict[str, float] = {}
    for structure in used:
        z = _of_both(structure, volumes, age_years, sex, source, basis)
        if isinstance(z, NoStanding):
            return NoScore(z.reason)
        parts[structure] = z
    value = sum(DIRECTION[structure] * z for structure, z in parts.items()) / _spread(used)
    return NormScore(
        value, parts, basis, SHARE_NORM_ID if basis == SHARE else NORM_ID, scale_of(source) == SEGMENTER
    )  # fmt: skip


def standings(
    volumes: Mapping[str, float], age_years: float | None, sex: str | None, source: str | None
) -> dict[str, Standing | NoStanding]:
    """Rank all volumes of one scan as measured: each side, the ventricles, and both sides together.

    Parameters
    ----------
    volumes, age_years, sex, source
        As for `medial_temporal_score`.

    Returns
    -------
    dict of str to Standing or NoStanding
        One for each of the volumes that is known. `hippocampus_mm3`, `amygdala_mm3` and `inferior_lateral_ventricle_mm3` are ranked by
        the mean z of their sides, over the spread that such a mean has among healthy people; they need both sides.
    """
    return _rank_all(volumes, age_years, sex, source, AS_MEASURED)


def share_standings(
    volumes: Mapping[str, float], age_years: float | None, source: str | None
) -> dict[str, Standing | NoStanding]:
    """Rank the shares of the intracranial volume of all volumes of one scan, as `standings` does the volumes."""
    return _rank_all(volumes, age_years, None, source, SHARE)


def _rank_all(
    volumes: Mapping[str, float], age_years: float | None, sex: str | None, source: str | None, basis: str
) -> dict[str, Standing | NoStanding]:
    sums = {f"{structure}_mm3": structure for structure in structures_in(volumes)}
    share = basis == SHARE
    standings: dict[str, Standing | NoStanding] = {}
    for field, value in volumes.items():
        if not field.endswith("_mm3") or not _is_known(field, value):
            continue
        if field in sums:
            z = _of_both(sums[field], volumes, age_years, sex, source, basis)
            standings[field] = z if isinstance(z, NoStanding) else to_standing(z, age_years, sex, source, share=share)
        elif share:
            standings[field] = share_standing(field, value, volumes.get(ICV), age_years, source)
        else:
            standings[field] = standing(field, value, age_years, sex, source)
    return standings


def _of_both(
    structure: str,
    volumes: Mapping[str, float],
    age_years: float | None,
    sex: str | None,
    source: str | None,
    basis: str,
) -> float | NoStanding:
    """Return the z of both sides of a structure together."""
    total = 0.0
    for side in sides_of(structure):
        curve = find_curve(side, age_years, sex, source, share=basis == SHARE)
        if isinstance(curve, NoStanding):
            return curve
        value = to_norm_scale(side, volumes[side], source)
        if basis == SHARE:
            if not _is_known(ICV, volumes.get(ICV)):
                return NoStanding("no_icv")
            value *= PPM / volumes[ICV]
        z = z_with_tails(curve, value, skewed=structure == VENTRICLE)
        total += max(z, QUANTILES[0]) if structure == VENTRICLE else z
    return total / math.sqrt(2 + 2 * _SIDES[basis][structure])


def _spread(structures: Iterable[str]) -> float:
    """Return the standard deviation of the signed sum of some structures' Z among healthy people."""
    used = tuple(structures)
    has_both = HIPPOCAMPUS in used and AMYGDALA in used
    return math.sqrt(len(used) + 2 * _HIPPOCAMPUS_WITH_AMYGDALA * has_both)


def _is_known(field: str, value: float | None) -> bool:
    """Whether there is a volume; a closed temporal horn has none, and any other structure of 0 was not found."""
    return value is not None and math.isfinite(value) and (value > 0 or (value == 0 and field.startswith(VENTRICLE)))
