"""ADNI: ADNIMERGE.csv, one row for each visit, and the registry table of diagnoses in its three generations.

Columns and codes: ADNI's data dictionary as clinica 0.12 and published scripts read it. Rows of ADNI are never shipped.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from adclip.clinical.columns import CellError, Range, parse_cell, to_number
from adclip.clinical.dialects.base import BIRTH_MONTH, BIRTH_YEAR, Derived, Dialect, Rule, codes, count_e4, to_date
from adclip.clinical.dialects.canonical import SOURCE
from adclip.domain import Diagnosis

# What ADNIMERGE and TADPOLE call the classes. SMC (significant memory concern) is a group of normal performance; EMCI and
# LMCI are early and late MCI; NL is ADNI1's word for normal. ADNI enrols for Alzheimer's disease and its tables write
# "Dementia"; clinica and the published method take it for AD.
_STATES = {
    "cn": Diagnosis.CN, "nl": Diagnosis.CN, "smc": Diagnosis.CN,
    "mci": Diagnosis.MCI, "emci": Diagnosis.MCI, "lmci": Diagnosis.MCI,
    "ad": Diagnosis.AD, "dementia": Diagnosis.AD,
}  # fmt: skip
_BASELINE = frozenset({"bl", "sc", "scmri"})  # VISCODE of the visits at which the baseline was determined
_YEARS = Range(-1, 40, "years")  # since baseline; screening comes shortly before it

# DXSUM: what the code says of this visit, the state after the arrow.
_DXCURREN = {"1": "CN", "2": "MCI", "3": "AD"}
_DXCHANGE = {**_DXCURREN, "4": "MCI", "5": "AD", "6": "AD", "7": "CN", "8": "MCI", "9": "CN"}
_READ_SEX = codes("sex", {"1": "M", "2": "F", "Male": "M", "Female": "F"})
_READ_DXCURREN, READ_DXCHANGE = codes("diagnosis", _DXCURREN), codes("diagnosis", _DXCHANGE)
# also the words, for tables to which somebody added a column of this name
_READ_DIAGNOSIS = codes("diagnosis", {**_DXCURREN, "CN": "CN", "MCI": "MCI", "AD": "AD", "Dementia": "AD"})


def to_state(cell: str) -> Diagnosis | None:
    """Read DX: a state, or ``MCI to Dementia``, of which the last is the state at this visit."""
    if not cell:
        return None
    states = re.split(r"\s+to\s+", cell.lower())
    if len(states) > 2 or any(state not in _STATES for state in states):
        raise CellError(
            "a diagnosis other than CN, NL, SMC, MCI, EMCI, LMCI, Dementia, AD, or a change from one of them to another"
        )
    return _STATES[states[-1]]


def _to_state_or_baseline(dx: str, dx_bl: str, viscode: str) -> Diagnosis | None:
    return to_state(dx) or _to_baseline_state(dx_bl, viscode)


def _to_baseline_state(dx_bl: str, viscode: str) -> Diagnosis | None:
    return to_state(dx_bl) if viscode.lower() in _BASELINE else None


def _age_by_years(age: str, years: str) -> float | None:
    return _age(age, _YEARS.parse(years)) if age and years else None


def _age_by_years_or_code(age: str, years: str, viscode: str) -> float | None:
    return _age_by_years(age, years) if years else _age_at_baseline(age, viscode)


def _age_by_dates(age: str, now: str, baseline: str) -> float | None:
    today, first = to_date(now), to_date(baseline)
    if not age or today is None or first is None:
        return None
    days = (date.fromisoformat(today) - date.fromisoformat(first)).days
    return _age(age, _YEARS.parse(repr(days / 365.25)))


def _age_at_baseline(age: str, viscode: str) -> float | None:
    return _age(age, 0.0) if age and viscode.lower() in _BASELINE else None


def _age(baseline: str, years: float) -> float:
    age: float = parse_cell("age_years", baseline)
    at_visit: float = parse_cell("age_years", repr(round(age + years, 6)))
    return at_visit


def _to_registry_state(*cells: str) -> Diagnosis | None:
    """Read DXCURREN (ADNI1), DXCHANGE (ADNIGO, 2) and DIAGNOSIS (ADNI3), of which a row fills its own study's one."""
    readers = (_READ_DXCURREN, READ_DXCHANGE, _READ_DIAGNOSIS)
    diagnoses = {read(cell) for cell, read in zip(cells, readers, strict=True) if cell}
    if len(diagnoses) > 1:
        raise CellError("codes that contradict each other", "keep the one of the visit's own study")
    return next(iter(diagnoses), None)


def _of_registry(ptgender: str, _: str) -> Any:
    return _READ_SEX(ptgender)


# What the forms of a visit are known by, in the order in which their dates count where ADNIMERGE gives none.
_FORMS = (
    ("diagnosis", "diagnosis"), ("diagnosis", "dxchange"), ("diagnosis", "dxcurren"), ("MMSE", "mmscore"), ("CDR", "cdglobal"),
)  # fmt: skip


def _to_session(viscode2: str, viscode: str) -> Any:
    return parse_cell("session_id", viscode2 or viscode)


def to_birth_month(cell: str) -> str | None:
    """Read ``05/1931``, PTDOB since 2024, or a whole date; ``/1931`` has no month, and PTDOBYY or AIBL's rule reads the year."""
    if not cell:
        return None
    if match := re.fullmatch(r"(\d{1,2})/(?:\d{1,2}/)?(\d{4})", cell):
        return _month_of(match[2], match[1])
    if match := re.fullmatch(r"(\d{4})-(\d{1,2})(?:-\d{1,2})?", cell):
        return _month_of(match[1], match[2])
    raise CellError("not a month of birth in the form MM/YYYY")


def _month_of(year: str, month: str) -> str | None:
    if not year or not month:
        return None
    born, in_month = _to_birth_year(year), to_number(month)
    if born is None or not (in_month.is_integer() and 1 <= in_month <= 12):
        raise CellError("a month of birth outside 1 to 12")
    return f"{born}-{int(in_month):02d}"


def _to_birth_year(cell: str) -> int | None:
    if not cell:
        return None
    year = to_number(cell)
    if not (year.is_integer() and 1890 <= year <= date.today().year):
        raise CellError("a year of birth outside 1890 to today")
    return int(year)


def _age_by_month(visit: str, born: str) -> float:
    """Return the age of somebody born in the middle of a month."""
    year, month = map(int, born.split("-"))
    return round((date.fromisoformat(visit) - date(year, month, 15)).days / 365.25, 2)


def _age_by_year(visit: str, born: int) -> float:
    return float(int(visit[:4]) - born)


def _to_source(fsversion: str) -> str | None:
    """Return `simulation` for tables of simulated people, None for those that UCSF measured."""
    return "simulation" if fsversion.casefold() == "simulation" else None


_SESSION = "visit code; the baseline is `bl`"
_DX = "diagnosis at this visit: NL and SMC are CN, EMCI and LMCI are MCI, Dementia is AD; of `MCI to Dementia` the last"
_REGISTRY = "ADNI1's DXCURREN, ADNIGO and 2's DXCHANGE (4-9 are changes: the state arrived at), ADNI3's DIAGNOSIS"
_UCSF = "measured by UCSF with FreeSurfer, left + right"

# Columns that only ADNI's tables have beside the roster number and a visit code, which AIBL's have as well.
_MARKS = (
    "phase", "colprot", "origprot", "age", "pteducat", "ptethcat", "ptraccat", "ptmarry", "apoe4", "years_bl", "month_bl",
    "examdate_bl", "fsversion", "imageuid", "icv", "ventricles", "hippocampus", "wholebrain", "entorhinal", "fusiform", "midtemp",
)  # fmt: skip


class _Adni(Dialect):
    """`RID`, `VISCODE` and `PTGENDER` are ADNI's, unless a column of AIBL's demographics stands beside them."""

    def fits(self, names: frozenset[str]) -> bool:
        if super().fits(names):
            return True
        return {"rid", "viscode", "ptgender"} <= names and not names & {"ptdob", "siteid"}


def _respell(name: str) -> str:
    """Return ``dx_bl`` for ``dx.bl``: ADNI's package for R writes a point where the CSV has an underscore."""
    return re.sub(r"\.bl$", "_bl", name)


# ----------------------------------------------------------------------------------------------- names of scans

# A session that is a day or an image is no visit code: adclip calls the scans of LONI's tree so.
# LONI: ADNI_011_S_0002_MR_MPRAGE_br_raw_..., in ADNI/011_S_0002/...; clinica: sub-ADNI011S0002_ses-M006_T1w; others, as BIDS
# allows no `_` in a label, and adclip's own derivatives: sub-011S0002
_SITE_ID = re.compile(
    r"(?<![A-Za-z0-9])(\d{3})_S_(\d{4,5})(?![A-Za-z0-9])(?:_ses-(?!\d{4}-?\d\d-?\d\d|[IS]\d+(?![A-Za-z0-9]))([A-Za-z0-9]+))?",
    re.IGNORECASE,
)
_CLINICA_ID = re.compile(
    r"(?<![A-Za-z0-9])(?:ADNI)?(\d{3})S(\d{4,5})(?![A-Za-z0-9])(?:_ses-(?!\d{4}-?\d\d-?\d\d|[IS]\d+(?![A-Za-z0-9]))([A-Za-z0-9]+))?",
    re.IGNORECASE,
)


def scan_key(name: str) -> tuple[str, str | None] | None:
    """Return PTID and VISCODE of a scan's name: LONI's, which has no visit, or clinica's, which counts months."""
    match = _SITE_ID.search(name) or _CLINICA_ID.search(name)
    return (f"{match[1]}_S_{match[2]}", match[3] and to_viscode(match[3])) if match else None


def to_viscode(session: str) -> str:
    """Return ``bl`` and ``m06`` for clinica's sessions ``M000`` (``M00``) and ``M006``; others in lower case."""
    match = re.fullmatch(r"M(\d+)", session, re.IGNORECASE)
    if match is None:
        return session.lower()
    return f"m{int(match[1]):02d}" if int(match[1]) else "bl"


ADNIMERGE = _Adni(
    name="ADNIMERGE",
    signatures=(
        *(frozenset({"ptid", name}) for name in ("rid", "viscode", "viscode2", "examdate", "ptgender")),
        *(frozenset({"rid", "viscode", name}) for name in _MARKS),
        frozenset({"rid", "viscode2"}),
    ),
    rules=(
        Rule("subject_id", ("ptid",), "ADNI's id of the person, SITE_S_NUMBER"),
        Rule("subject_id", ("rid",), "ADNI's roster number"),
        Rule("session_id", ("viscode2", "viscode"), "visit code as ADNIMERGE writes it; VISCODE where it is empty", "",
             _to_session),
        Rule("session_id", ("viscode2",), "visit code as ADNIMERGE writes it"),
        Rule("session_id", ("viscode",), _SESSION),
        # Each form of a visit is filled in on a day of its own. ADNIMERGE's EXAMDATE is the visit's.
        *(Rule("visit_date", (day,), f"date of the {form}: the visit's, if no table before it in rank gives one", "", to_date,
               (beside,), ("age", "dx", "dx_bl"), standby=rank)
          for rank, (form, beside) in enumerate(_FORMS, start=1) for day in ("examdate", "visdate")),
        Rule("visit_date", ("examdate",), "date of the visit", "", to_date),
        Rule("age_years", ("age", "years_bl", "viscode"), "AGE is the age at baseline; AGE + Years_bl", "years",
             _age_by_years_or_code),
        Rule("age_years", ("age", "years_bl"), "AGE is the age at baseline; AGE + Years_bl", "years", _age_by_years),
        Rule("age_years", ("age", "examdate", "examdate_bl"),
             "AGE is the age at baseline; AGE + (EXAMDATE - EXAMDATE_bl)", "years", _age_by_dates),
        Rule("age_years", ("age", "viscode"), "AGE is the age at baseline: read on rows bl and sc only", "years",
             _age_at_baseline),
        Rule("sex", ("ptgender", "viscode2"), "the registry's code: 1 = M, 2 = F", "code", _of_registry),
        Rule("sex", ("ptgender", "phase"), "the registry's code: 1 = M, 2 = F", "code", _of_registry),
        *(Rule("sex", ("ptgender",), "the registry's code: 1 = M, 2 = F", "code", _READ_SEX, (name,)) for name in ("ptdob", "ptdobyy")),
        Rule("sex", ("ptgender",), "Male or Female"),
        Rule(BIRTH_MONTH, ("ptdob",), "month and year of birth", "", to_birth_month),
        Rule(BIRTH_MONTH, ("ptdobmm", "ptdobyy"), "month and year of birth", "", lambda month, year: _month_of(year, month)),
        Rule(BIRTH_YEAR, ("ptdobyy",), "year of birth", "years", _to_birth_year),
        Rule("education_years", ("pteducat",), "years of education", "years"),
        Rule("apoe4_count", ("apoe4",), "number of e4 alleles", "alleles"),
        Rule("apoe4_count", ("apgen1", "apgen2"), "number of 4s in the two alleles", "alleles", count_e4),
        Rule("apoe4_count", ("genotype",), "number of 4s in the genotype, such as 3/4", "alleles", count_e4),
        Rule("mmse", ("mmse",), "MMSE of this visit", "points"),
        Rule("mmse", ("mmscore",), "MMSE of this visit, as the registry has it", "points"),
        Rule("cdr_global", ("cdglobal",), "global CDR of this visit, as the registry has it", "points"),
        Rule("diagnosis", ("dx", "dx_bl", "viscode"), f"{_DX}; on rows bl and sc without it, DX_bl", "",
             _to_state_or_baseline),
        Rule("diagnosis", ("dx",), _DX, "", to_state),
        Rule("diagnosis", ("dxcurren", "dxchange", "diagnosis"), _REGISTRY, "code", _to_registry_state),
        Rule("diagnosis", ("dxcurren", "dxchange"), _REGISTRY, "code", lambda *cells: _to_registry_state(*cells, "")),
        Rule("diagnosis", ("dxchange",), _REGISTRY, "code", READ_DXCHANGE),
        Rule("diagnosis", ("diagnosis",), _REGISTRY, "code", _READ_DIAGNOSIS),
        Rule("diagnosis", ("dx_bl", "viscode"), "diagnosis at baseline: read on rows bl and sc only", "",
             _to_baseline_state),
        Rule(SOURCE, ("fsversion",), "tells tables of `adclip simulate` from measured ones", "", _to_source),
        Rule("icv_mm3", ("icv",), "FreeSurfer's estimated total intracranial volume (UCSF)", "mm3"),
        Rule("hippocampus_mm3", ("hippocampus",), _UCSF, "mm3"),
        Rule("ventricles_mm3", ("ventricles",), f"{_UCSF}; lateral and inferior lateral ventricles only", "mm3"),
        Rule("whole_brain_mm3", ("wholebrain",), "measured by UCSF with FreeSurfer", "mm3"),
        Rule("entorhinal_mm3", ("entorhinal",), _UCSF, "mm3"),
        Rule("fusiform_mm3", ("fusiform",), _UCSF, "mm3"),
        Rule("middle_temporal_mm3", ("midtemp",), _UCSF, "mm3"),
    ),
    derived=(
        Derived("age_years", ("visit_date", BIRTH_MONTH), _age_by_month, "date of the visit - month of birth: exact to a month"),
        Derived("age_years", ("visit_date", BIRTH_YEAR), _age_by_year, "year of the visit - year of birth: exact to a year"),
    ),
    missing=frozenset({"-1", "-4", "-1.0", "-4.0"}),  # confirmed missing; not applicable or passively missing
    # A name of its own: UCSF's sums of FreeSurfer's structures are not those of aseg (the ventricles are two, not ten).
    volumes_source="FreeSurfer (UCSF)",
    definitions={
        # TADPOLE's script makeD4.py names the regions that the ADNIMERGE package adds up: ST30SV, ST37SV, ST89SV, ST96SV.
        "ventricles_mm3": "lateral and inferior lateral ventricles, both sides; no third and fourth ventricle (ADNIMERGE)",
        "whole_brain_mm3": "UCSF's whole brain as ADNIMERGE delivers it; the structures are not documented there",
    },
    unused={
        r"cdrsb(_bl)?": "CDR sum of boxes: a score by which the diagnosis is made; no report uses it",
        r"(adas.*|adasq4|moca|faq|mmse_bl|ldeltotal|digitscor|trabscor|ravlt_.*|mpacc.*|ecog.*)":
            "a cognitive or functional score close to the diagnosis; no report uses it",
        r"abeta(_bl)?": "cerebrospinal fluid amyloid, pg/mL, censored values keep their sign; no report uses it",
        r"(tau|ptau)(_bl)?": "cerebrospinal fluid tau, pg/mL, censored values keep their sign; no report uses it",
        r"(fdg|pib|av45|fbb)(_bl)?": "uptake in PET; no report uses it",
        r"dx_bl": "diagnosis at baseline, the same on every row; read only on rows bl and sc whose DX is empty",
        r"(ventricles|hippocampus|wholebrain|entorhinal|fusiform|midtemp|icv)_bl":
            "the volume at baseline, repeated on every row; the visit's own column is read",
        r"age": "age at baseline; the age at a visit needs Years_bl, or EXAMDATE and EXAMDATE_bl, or VISCODE beside it",
        r"years_bl|month_bl|month|m|examdate_bl": "time since baseline; serves to compute the age, if anything",
        r"fldstreng(_bl)?|fsversion(_bl)?|imageuid(_bl)?": "about the scan, not the person; no report uses it",
        r"ptethcat|ptraccat|ptmarry|pthand|ptdob(mm|dd)?": "about the person, and no matter of a report",
        r"visdate": "date of a form whose content is the person's or that no report uses",
        r"dx[a-z0-9]+|dxmdes|cd(memory|orient|judge|commun|home|care)|cdrsb": "a part of the diagnosis or of the CDR; no report uses it",
        r"mm[a-z0-9]+|word.*|worldscore|done|ndreason|source|ap(testdt|volume|receive|ambtemp|resamp|usable)": "an item of a test, or about the sample; no report uses it",
        r"rid|colprot|origprot|site|siteid|phase|update_stamp|userdate2?|id": "for ADNI's own bookkeeping",
    },
    scan_key=scan_key,
    respell=_respell,
)  # fmt: skip
