"""NACC: the Uniform Data Set, one row a visit, and the volumes of its MRI tables (mixed protocols and SCAN).

Columns and codes: the Researcher's Data Dictionaries of NACC (UDS version 3, Imaging Data) and the code of `nacc-attribute-deriver`,
which makes the derived variables. Rows of NACC are never shipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from adclip.clinical.columns import CellError, parse_cell, to_number
from adclip.clinical.dialects.base import Dialect, Reader, Rule, codes, folded_code, scaled, to_date, total
from adclip.clinical.dialects.missing import unless_missing
from adclip.domain import Diagnosis

# Volumes are in cm3. NACC writes eights for "not applicable" and nines for "missing", as many as the field holds; fewer than three
# behind the point may be somebody's volume.
_NO_VOLUME = (
    *(f"{digit * before}.{digit * after}" for digit in "89" for before in (1, 2, 3, 4) for after in (3, 4)),
    "-4", "-9999", "0", "88", "8888", "99", "9999",
)  # fmt: skip
# 88: not calculated, an item is missing; 95 to 98: physical, cognitive or other reason, refusal
_NO_SCORE = ("88", "95", "96", "97", "98", "99")
_UNKNOWN_DAY = frozenset({"88", "99", "8888", "9999"})
_NO_YEARS = ("99", "88", "999", "888", "9999")
_CAUSES = frozenset(map(folded_code, ("0", "1", "8", "9")))
_APOE = {"1": "0", "2": "1", "3": "0", "4": "2", "5": "1", "6": "0", "9": ""}  # e3e3, e3e4, e3e2, e4e4, e4e2, e2e2


def _plain(column: str) -> Reader:
    return lambda cell: parse_cell(column, cell)


_READ_STATUS = codes("diagnosis", {"1": "CN", "2": "", "3": "MCI", "4": "AD", "8": "", "9": ""})


def _to_diagnosis(status: str, cause: str) -> Diagnosis | None:
    """Read NACCUDSD with NACCALZD: dementia counts as AD only where Alzheimer's disease is named as a cause of it."""
    state: Diagnosis | None = _READ_STATUS(status)
    if cause and folded_code(cause) not in _CAUSES:
        raise CellError("a code other than 0, 1, 8")
    return None if state is Diagnosis.AD and folded_code(cause or "0") != folded_code("1") else state


def _to_diagnosis_alone(status: str) -> Diagnosis | None:
    return _to_diagnosis(status, "")


def _to_day(year: str, month: str, day: str) -> str | None:
    parts = [part.split(".")[0] for part in (year, month, day)]
    if not all(parts) or not _UNKNOWN_DAY.isdisjoint(parts):
        return None
    try:
        return date(*map(int, parts)).isoformat()
    except ValueError:
        raise CellError("year, month and day that are no date") from None


def _to_mm3(cell: str) -> float | None:
    return round(to_number(cell) * 1e3, 6) if cell else None


def _cm3(column: str, *names: str, why: str) -> Rule:
    """Return a rule for a volume in cm3, the sum where it has several names."""
    if len(names) == 1:
        return Rule(column, names, why, "cm3", unless_missing(_NO_VOLUME, scaled(column, 1e3)))
    read_part = unless_missing(_NO_VOLUME, _to_mm3)

    def read(*cells: str) -> Any:
        parts = [read_part(cell) for cell in cells]
        return None if None in parts else total(column)(*map(repr, parts))

    return Rule(column, names, why, "cm3", read)


def _volumes() -> Iterable[Rule]:
    lab = "UC Davis's IDeA Lab"
    yield _cm3("icv_mm3", "cerebrumtcv", why=f"total cranial volume, {lab}")
    yield _cm3("icv_mm3", "naccicv", why=f"grey and white matter, white matter lesions and CSF, {lab}")
    yield _cm3("whole_brain_mm3", "naccbrnv", why=f"grey and white matter with lesions, {lab}")
    for side in ("left", "right"):
        yield _cm3(f"hippocampus_{side}_mm3", f"{side[0]}hippo", why=f"{side} hippocampus, {lab}")
    yield _cm3("hippocampus_mm3", "hippocampus", why=f"both hippocampi, {lab}")
    yield _cm3("hippocampus_mm3", "hippovol", why=f"both hippocampi, {lab}")
    yield _cm3("entorhinal_mm3", "lent", "rent", why=f"left + right, {lab}")
    yield _cm3("fusiform_mm3", "lfus", "rfus", why=f"left + right, {lab}")


_WHY_DIAGNOSIS = (
    "NACCUDSD: 1 = CN, 3 = MCI, 4 (dementia) = AD where NACCALZD names Alzheimer's disease as a cause; impaired but not MCI, and other "
    "dementias, are no class"
)
_WHY_ALONE = "NACCUDSD: 1 = CN, 3 = MCI; dementia is no class without NACCALZD, which says whether it is Alzheimer's"

NACC = Dialect(
    name="NACC",
    signatures=(frozenset({"naccid"}),),
    rules=(
        Rule("subject_id", ("naccid",), "NACC's id of the person"),
        Rule("session_id", ("naccvnum",), "number of the UDS visit"),
        Rule("visit_date", ("visityr", "visitmo", "visitday"), "date of the UDS visit", "", _to_day),
        Rule("visit_date", ("scandt",), "date of the MRI", "", to_date),
        Rule("visit_date", ("mriyr", "mrimo", "mridy"), "date of the MRI", "", _to_day),
        Rule("age_years", ("naccage",), "age at this visit; 888 and 999 are unknown", "years",
             unless_missing(("888", "999"), _plain("age_years"))),
        Rule("sex", ("sex",), "1 = M, 2 = F", "code", codes("sex", {"1": "M", "2": "F", "8": "", "9": ""})),
        Rule("education_years", ("educ",), "years of education; 99 is unknown", "years",
             unless_missing(_NO_YEARS, _plain("education_years"))),
        Rule("apoe4_count", ("naccne4s",), "number of e4 alleles; 9 is unknown", "alleles",
             unless_missing(("9",), _plain("apoe4_count"))),
        Rule("apoe4_count", ("naccapoe",), "1 = e3e3, 2 = e3e4, 3 = e3e2, 4 = e4e4, 5 = e4e2, 6 = e2e2; 9 is unknown", "code",
             codes("apoe4_count", _APOE)),
        Rule("mmse", ("naccmmse",), "MMSE of this visit; 88 and 95 to 98 say why there is none", "points",
             unless_missing(_NO_SCORE, _plain("mmse"))),
        Rule("mmse", ("mmse",), "MMSE of this visit; 88 and 95 to 98 say why there is none", "points",
             unless_missing(_NO_SCORE, _plain("mmse"))),
        Rule("cdr_global", ("cdrglob",), "global CDR of this visit", "points"),
        Rule("diagnosis", ("naccudsd", "naccalzd"), _WHY_DIAGNOSIS, "code", _to_diagnosis),
        Rule("diagnosis", ("naccudsd",), _WHY_ALONE, "code", _to_diagnosis_alone),
        *_volumes(),
    ),
    missing=frozenset({"-4", "-4.0", "-4.4", "-4.4000001", "."}),
    volumes_source="UC Davis (NACC)",
    definitions={"whole_brain_mm3": "grey and white matter with white matter lesions; no CSF (NACCBRNV)"},
    unused={
        r"cdrsum|memory|orient|judgment|commun|homehobb|perscare|mmselan|mmse(loc|orda|orlo)|naccmoca|mocatots|craft.*|logi.*|memunits":
            "a score by which the diagnosis is made, or part of one; no report uses it",
        r"nacc(etpr|alzp|lbde|lbdp|mcil|tmci|ppa.*|fad.*|mod|norm)|normcog|demented|impnomci|mciamem|mciaplus|mcinon[12]|dxmethod|probad|possad|alzdis.*":
            "another of NACC's diagnostic variables; the class comes from NACCUDSD and NACCALZD",
        r"naccageb|birth(mo|yr)": "age at the first visit, or date of birth; NACCAGE is the age at each visit",
        r"naccadc|packet|formver|naccavst|naccnvst|naccdays|naccfdys|naccmnum|mri[a-z0-9]+|naccm(rfi|ria|rdy|vol)|naccnift|project|source":
            "for bookkeeping",
        r"race|hispanic|handed|maristat|naccniher|naccnihr|primlang|residenc|naccliv.*": "about the person; no report uses it",
        r"([lr]?[a-z]{2,8}(m|mm)?|cer[a-z]+|[a-z]+(gry|wht|csf|vol))": "another variable; no report uses it",
    },
)  # fmt: skip
