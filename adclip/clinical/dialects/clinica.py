"""BIDS as clinica 0.12 makes it of ADNI, AIBL and OASIS: its names, and what they mean in each study.

Names and codes: the converters and specifications in clinica's wheel. Which study it is stands in the subjects' names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from adclip.clinical.columns import parse_cell
from adclip.clinical.dialects.adni import ADNIMERGE, to_viscode
from adclip.clinical.dialects.base import AGE_AT_BASELINE, Derived, Dialect, Rule, count_e4, number, to_date

_SUBJECTS: Mapping[str, re.Pattern[str]] = {
    "ADNI": re.compile(r"ADNI\d{3}S\d{4,5}"),
    "AIBL": re.compile(r"AIBL\d+"),
    "OASIS-1": re.compile(r"OASIS1\d{4}"),
    "OASIS-2": re.compile(r"OAS(IS)?2\d{4}"),
    "OASIS-3": re.compile(r"OAS3\d{4}"),
}
_MARKS = frozenset({"examination_date", "mms", "age_bl", "apoe_gen1", "adni_rid", "alternative_id_1"})
_BASELINE_ALONE = "; it counts for the baseline session alone"


def study_of(subject: str) -> str | None:
    """Return the study of a subject that clinica has named, None for any other name.

    Examples
    --------
    >>> study_of("sub-OASIS10007"), study_of("sub-01")
    ('OASIS-1', None)
    """
    bare = subject.strip().removeprefix("sub-")
    return next((study for study, pattern in _SUBJECTS.items() if pattern.fullmatch(bare)), None)


def is_clinicas(names: Iterable[str]) -> bool:
    """Whether columns are named as clinica alone names them, in lower case."""
    return not _MARKS.isdisjoint(names)


def _day(cell: str) -> str | None:
    return to_date(cell.split("T")[0].split(" ")[0])


def _age_at_baseline(age: float, session: str) -> float | None:
    return age if to_viscode(session) == "bl" or session.upper() == "MR1" else None


def _as_it_is(value: Any) -> Any:
    return value


def _count(cell: str) -> Any:
    return parse_cell("apoe4_count", cell)


_VOLUMES = {
    "icv_mm3": "adni_icv", "hippocampus_mm3": "adni_hippocampus_vol", "ventricles_mm3": "adni_ventricles_vol",
    "whole_brain_mm3": "adni_brain_vol", "entorhinal_mm3": "adni_entorhinal_vol", "fusiform_mm3": "adni_fusiform_vol",
    "middle_temporal_mm3": "adni_midtemp_vol",
}  # fmt: skip
_EVERY_STUDY = (
    Rule("visit_date", ("examination_date",), "date of the examination", "", _day),
    Rule("mmse", ("mms",), "MMSE of this visit; clinica calls it MMS", "points"),
    Rule("apoe4_count", ("apoe_gen1", "apoe_gen2"), "number of 4s in the two alleles", "alleles", count_e4),
    Rule(AGE_AT_BASELINE, ("age_bl",), f"age at the baseline{_BASELINE_ALONE}", "years", number(0, 120, "years")),
)
_YEARS = "years of education, as the study gives them"
_OF_STUDY: Mapping[str, tuple[Rule, ...]] = {
    "ADNI": (
        Rule("education_years", ("education_level",), f"{_YEARS} (PTEDUCAT)", "years"),
        Rule("apoe4_count", ("apoe4",), "number of e4 alleles (APOE4)", "alleles", _count),
        *(Rule(column, (name,), "ADNIMERGE's volume, measured by UCSF with FreeSurfer", "mm3") for column, name in _VOLUMES.items()),
    ),
    "OASIS-2": (
        Rule("education_years", ("education",), f"{_YEARS} (EDUC)", "years"),
        Rule("cdr_global", ("cdr",), "global CDR of this visit", "points"),
    ),
    "OASIS-3": (
        Rule("education_years", ("education",), f"{_YEARS} (EDUC)", "years"),
        Rule("cdr_global", ("cdr",), "global CDR of this visit (CDRTOT)", "points"),
    ),
}  # fmt: skip
_UNUSED = {
    r"diagnosis_(bl|sc)": "the diagnosis at the baseline, the same for every session; that of a session stands in the sessions' tables",
    r"(mmse|cdr|mms)_bl": "a score at the baseline, the same for every session",
    r"alternative_id_\d|rid|adni_rid|original_study|site|group|date": "for the study's own bookkeeping",
    r"date_of_birth": "date of birth; the age at each session stands in the sessions' tables",
    r"laterality|handedness|marital_status|socioeconomic_status|race|ethnic_.*|pt(marry|.*cat)": "about the person; no report uses it",
    r"sumbox|cdr_.*|commun|homehobb|judgment|memory|orient|perscare|dx1":
        "a part of the CDR or a clinician's wording; no report uses it",
    r"adni_.*|a_stat|tau_stat|e?cog.*|comp_.*|fci_.*|npiq?_.*|moca_.*|medhist_.*|vitals_.*|.*_examdate|gds_.*|neurobat_.*|modhach_.*":
        "another measure of ADNI; no report uses it",
    r"etiv|nwbv|asf": "OASIS's own volumes, in its table's units; no report uses them from here",
}  # fmt: skip
_OASIS_1_UNUSED = {
    r"education_level": "a level from 1 (less than high school) to 5 (beyond college), not years; OASIS-1 has no years",
    r"cdr": "the CDR of the scan, which the sessions' table has as cdr_global",
}


def of_clinica(dialect: Dialect, study: str) -> Dialect:
    """Return BIDS's dialect with clinica's names, as they are meant in a study.

    Parameters
    ----------
    dialect : Dialect
        `BIDS`, with what a sidecar declares.
    study : str
        From `study_of`; empty where it is not known: then only names are read that mean the same in every study.
    """
    derived = [Derived("age_years", (AGE_AT_BASELINE, "session_id"), _age_at_baseline, f"age_bl{_BASELINE_ALONE}")]
    if study == "OASIS-1":  # everybody was scanned at one visit
        derived.append(Derived("age_years", (AGE_AT_BASELINE,), _as_it_is, "age_bl", absent=("session_id",)))
    others = {name: why for name, why in dialect.unused.items() if name not in ("education", "apoe4")}
    measured = study == "ADNI"
    return replace(
        dialect,
        rules=(*_OF_STUDY.get(study, ()), *_EVERY_STUDY, *dialect.rules),
        derived=(*dialect.derived, *derived),
        unused={**(_OASIS_1_UNUSED if study == "OASIS-1" else {}), **_UNUSED, **others},
        volumes_source=ADNIMERGE.volumes_source if measured else dialect.volumes_source,
        definitions=ADNIMERGE.definitions if measured else dialect.definitions,
    )
