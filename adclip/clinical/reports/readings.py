"""What a visit supplies to a report: every field with its value, its source columns and the rule that made it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

from adclip.clinical.norms.norms import NoStanding, standing
from adclip.clinical.reports.sentences import decimals_of
from adclip.domain import Visit

# Where a total is unknown it may be the sum of parts, if every part is known: total -> (parts, name of the rule).
SUMS = {"hippocampus_mm3": (("hippocampus_left_mm3", "hippocampus_right_mm3"), "left + right")}
BIOMARKERS = (
    "hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3", "entorhinal_mm3", "fusiform_mm3", "middle_temporal_mm3",
)  # fmt: skip
PERSON = ("age_years", "sex", "education_years", "apoe4_count")
BRIDGED = "bridged_norms"  # adclip's own volumes are ranked among DLMUSE's, to whose scale they were calibrated
HIPPOCAMPUS_SIDES = ("hippocampus_left_mm3", "hippocampus_right_mm3")
_UNITS = {"age_years": "years", "education_years": "years", "apoe4_count": "alleles", "sex": ""}
CLINICAL_FIELDS = (*PERSON, "icv_mm3", "hippocampus_mm3", *HIPPOCAMPUS_SIDES, *BIOMARKERS[1:])


class FieldReading(NamedTuple):
    """One field: a number or a sex, the columns it was read from, and how."""

    value: float | str
    sources: tuple[str, ...]
    rule: str = "as given"
    unit: str = ""


def measure(visit: Visit, column: str, keep: frozenset[str] | None = None) -> FieldReading | None:
    """Return a column of the visit, a total from its parts where it is unknown; None if unknown or dropped by `keep`."""
    if keep is not None and column not in keep:
        return None
    value = _known(visit, column)
    if value is not None:
        return FieldReading(value, (column,), unit=_UNITS.get(column, "mm3"))
    if column in SUMS:
        parts, rule = SUMS[column]
        measured = [_known(visit, part) for part in parts]
        if all(part is not None for part in measured):
            return FieldReading(math.fsum(float(part) for part in measured if part is not None), parts, rule, "mm3")
    return None


def _known(visit: Visit, column: str) -> float | str | None:
    value = getattr(visit, column)
    if value is None or column == "sex":
        return value
    lowest_allowed = value >= 0 if column in PERSON else value > 0
    return float(value) if lowest_allowed and value < math.inf else None


def clinical_readings(visit: Visit, keep: frozenset[str] | None) -> tuple[dict[str, FieldReading], tuple[str, ...]]:
    """Return every field that the full-sentence styles can print, in no order, and what had to be left out.

    Returns
    -------
    readings : dict of str to FieldReading
        Canonical columns, and derived fields: ``<structure>_percent_icv`` (%), ``hippocampus_left_smaller_percent`` or
        ``..._right_...`` (% of the mean of both sides), ``<structure>_z``, ``<structure>_centile``, or beyond the norms'
        outermost centiles ``<structure>_below_centile`` and ``<structure>_above_centile``.
    flags : tuple of str
        Why a standing for age and sex is missing although the volume is known, reasons of `adclip.clinical.norms.norms`; and
        `bridged_norms` where one is there over a bridge.
    """
    readings: dict[str, FieldReading] = {}
    if keep is not None:
        visit = _without(visit, keep)
    for column in CLINICAL_FIELDS:
        reading = measure(visit, column)
        if reading is not None:
            readings[column] = reading
    icv = readings.get("icv_mm3")
    if icv is not None:
        for column in BIOMARKERS:
            if column in readings:
                name = column.removesuffix("_mm3")
                share = 100 * float(readings[column].value) / float(icv.value)
                readings[f"{name}_percent_icv"] = FieldReading(
                    share, (*readings[column].sources, "icv_mm3"), f"100 * {name} / icv", "%"
                )
    left, right = (readings.get(side) for side in HIPPOCAMPUS_SIDES)
    if left is not None and right is not None:
        left_mm3, right_mm3 = float(left.value), float(right.value)
        name = "hippocampus_left_smaller_percent" if left_mm3 <= right_mm3 else "hippocampus_right_smaller_percent"
        difference = 200 * abs(left_mm3 - right_mm3) / (left_mm3 + right_mm3)
        readings[name] = FieldReading(difference, HIPPOCAMPUS_SIDES, "100 * |left - right| / mean", "%")
    return readings, _add_standings(readings, visit)


def _without(visit: Visit, keep: frozenset[str]) -> Visit:
    """Return the visit as if what is dropped had never been measured; without the hippocampus its sides are gone too."""
    dropped = {column for column in CLINICAL_FIELDS if column not in keep}
    if "hippocampus_mm3" in dropped:
        dropped |= {*HIPPOCAMPUS_SIDES}
    unknown: dict[str, Any] = dict.fromkeys(dropped)
    return replace(visit, **unknown)


def _add_standings(readings: dict[str, FieldReading], visit: Visit) -> tuple[str, ...]:
    """Add z and centiles, and return the flags that they or their absence deserve."""
    flags: dict[str, None] = {}
    age, sex = readings.get("age_years"), readings.get("sex")
    for column in (*HIPPOCAMPUS_SIDES, *BIOMARKERS[1:]):
        if column not in readings:
            continue
        where = standing(column, float(readings[column].value), None if age is None else float(age.value),
                         None if sex is None else str(sex.value), visit.volumes_source)  # fmt: skip
        if isinstance(where, NoStanding):
            if where.reason != "no_norms_for_field":
                flags[where.reason] = None
            continue
        name, sources = column.removesuffix("_mm3"), (*readings[column].sources, "age_years", "sex")
        rule = f"norms {where.norm_id}, {where.group}{', bridged' if where.bridged else ''}"
        if where.bridged:
            flags[BRIDGED] = None
        if where.beyond:
            side = "below" if where.z < 0 else "above"
            readings[f"{name}_{side}_centile"] = FieldReading(where.centile, sources, rule, "centile")
        else:
            readings[f"{name}_z"] = FieldReading(where.z, sources, rule, "standard deviations")
            readings[f"{name}_centile"] = FieldReading(where.centile, sources, rule, "centile")
    return tuple(flags)


def rounded(name: str, value: float | str) -> float | str:
    """Return a value at the precision it is printed with."""
    return value if isinstance(value, str) else float(f"{value:.{decimals_of(name)}f}") + 0.0
