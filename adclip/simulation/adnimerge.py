"""A simulated cohort as an ADNIMERGE-like table: its columns, codes and censored values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from adclip.domain import Visit
from adclip.simulation.visits import VisitRecord

# Limits of the Elecsys assays in ADNIMERGE, pg/mL: beyond them the table holds text such as `>1700`.
ASSAY_LIMITS = {"ABETA": (200.0, 1700.0), "TAU": (80.0, 1300.0), "PTAU": (8.0, 120.0)}
VOLUMES = {
    "Ventricles": "ventricles_mm3", "Hippocampus": "hippocampus_mm3", "WholeBrain": "whole_brain_mm3",
    "Entorhinal": "entorhinal_mm3", "Fusiform": "fusiform_mm3", "MidTemp": "middle_temporal_mm3", "ICV": "icv_mm3",
}  # fmt: skip
AT_BASELINE = ("CDRSB", "ADAS13", "MMSE", *VOLUMES, "ABETA", "TAU", "PTAU")
LATE_FROM = 0.9  # severity from which MCI is called late, as its groups at baseline are
VERSION = "Simulation"  # what stands where ADNI names its FreeSurfer

HEADER = (
    "RID", "COLPROT", "ORIGPROT", "PTID", "SITE", "VISCODE", "EXAMDATE", "DX_bl", "AGE", "PTGENDER", "PTEDUCAT", "APOE4",
    "ABETA", "TAU", "PTAU", "CDRSB", "ADAS13", "MMSE", "FLDSTRENG", "FSVERSION", *VOLUMES, "DX", "EXAMDATE_bl",
    *(f"{name}_bl" for name in AT_BASELINE), "FLDSTRENG_bl", "FSVERSION_bl", "Years_bl", "Month_bl", "Month", "M",
)  # fmt: skip


def to_adnimerge(records: Sequence[VisitRecord], visits: Sequence[Visit]) -> list[list[str]]:
    """Return header and rows.

    Parameters
    ----------
    records : sequence of VisitRecord
        Visits in order; the first of a subject is the baseline.
    visits : sequence of Visit
        The same visits with what is missing left out.

    Notes
    -----
    As in ADNIMERGE, AGE and everything that ends in `_bl` are of the baseline and stand on each row of a subject; DX is of
    the visit, `Dementia` for AD; DX_bl tells early from late MCI. SITE is the number of the simulated site; PTID is the
    subject id that the scans carry.
    """
    rows = [list(HEADER)]
    baseline: dict[str, str] = {}
    for record, visit in zip(records, visits, strict=True):
        person, scores = record.person, record.person.scores
        row: dict[str, Any] = {
            "RID": record.number, "COLPROT": "SIM", "ORIGPROT": "SIM", "PTID": person.subject_id,
            "SITE": int(record.site.lstrip("S")), "VISCODE": f"m{person.months:02d}" if person.months else "bl",
            "EXAMDATE": person.exam_date, "AGE": person.baseline_age_years,
            "PTGENDER": {"F": "Female", "M": "Male"}[person.sex], "PTEDUCAT": visit.education_years,
            "APOE4": visit.apoe4_count, "CDRSB": scores.cdr_sum_of_boxes, "ADAS13": scores.adas13, "MMSE": visit.mmse,
            "FLDSTRENG": f"{record.field_strength_t:g} Tesla MRI", "FSVERSION": VERSION,
            "DX": {"AD": "Dementia"}.get(person.diagnosis, person.diagnosis),
            "Month": person.months, "M": person.months, "Month_bl": person.months,
        }  # fmt: skip
        row |= {
            name: visit_value for name, column in VOLUMES.items() if (visit_value := getattr(visit, column)) is not None
        }
        for name, value in (("ABETA", scores.abeta), ("TAU", scores.tau), ("PTAU", scores.ptau)):
            row[name] = _censor(name, value)
        if not person.months:
            baseline = {f"{name}_bl": to_cell(row.get(name)) for name in (*AT_BASELINE, "FLDSTRENG", "FSVERSION")}
            stage = "LMCI" if person.severity >= LATE_FROM else "EMCI"
            baseline |= {
                "DX_bl": {"MCI": stage}.get(person.diagnosis, person.diagnosis),
                "EXAMDATE_bl": person.exam_date,
            }
        days = (date.fromisoformat(person.exam_date) - date.fromisoformat(baseline["EXAMDATE_bl"])).days
        row["Years_bl"] = round(days / 365.25, 4)
        rows.append([baseline.get(name, to_cell(row.get(name))) for name in HEADER])
    return rows


def _censor(name: str, value: float | None) -> str:
    if value is None:
        return ""
    low, high = ASSAY_LIMITS[name]
    return f"<{low:g}" if value < low else f">{high:g}" if value > high else to_cell(value)


def to_cell(value: Any) -> str:
    """Return a value as the tables of the simulator write it; nothing where it is not known."""
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
