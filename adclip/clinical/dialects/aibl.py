"""AIBL: several files by RID and VISCODE; one dialect whose rules cover them all, as each file has some of the columns.

Columns and codes: the specifications of clinica 0.12. Rows of AIBL are never shipped.
"""

from __future__ import annotations

import re
from datetime import date

from adclip.clinical.columns import CellError
from adclip.clinical.dialects.adni import READ_DXCHANGE, to_viscode
from adclip.clinical.dialects.base import BIRTH_YEAR, Derived, Dialect, Rule, codes, count_e4, to_date

# EXAMDATE stands in several files and may differ by days: the date of the MMSE is the visit's, that of the others serves
# where there is none.
_DATE_OF_CDR, _DATE_OF_TESTS = "_date_of_cdr", "_date_of_tests"


def _to_birth_year(cell: str) -> int | None:
    """Read ``/1934``: AIBL gives no more than the year."""
    if not cell:
        return None
    match = re.fullmatch(r"/?(\d{4})", cell)
    if match is None:
        raise CellError("not a year of birth in the form /YYYY")
    year = int(match[1])
    if not 1890 <= year <= date.today().year:
        raise CellError("a year of birth outside 1890 to today")
    return year


def _age(visit_date: str, birth_year: int) -> float:
    return float(int(visit_date[:4]) - birth_year)


def _same(visit_date: str) -> str:
    return visit_date


_RID, _VISIT = "rid", "viscode"

# LONI: AIBL_7_MR_MPRAGE_..., in AIBL/7/...; clinica: sub-AIBL7_ses-M018_T1w
_SCAN = re.compile(
    r"(?<![A-Za-z0-9])AIBL[_/]?(\d+)(?![A-Za-z0-9])(?:_ses-(?!\d{4}-?\d\d-?\d\d|[IS]\d+(?![A-Za-z0-9]))([A-Za-z0-9]+))?",
    re.IGNORECASE,
)


def scan_key(name: str) -> tuple[str, str | None] | None:
    """Return RID and VISCODE of a scan's name: LONI's, which has no visit, or clinica's, which counts months."""
    match = _SCAN.search(name)
    return (str(int(match[1])), match[2] and to_viscode(match[2])) if match else None


AIBL = Dialect(
    name="AIBL",
    signatures=(frozenset({_RID, "ptdob"}), frozenset({_RID, "apgen1", "apgen2"}), frozenset({_RID, _VISIT})),
    rules=(
        Rule("subject_id", (_RID,), "AIBL's number of the person"),
        # ADNI's registry tables have the same columns and codes, and a translated visit code beside the raw one.
        Rule("session_id", ("viscode2",), "visit code, translated"),
        Rule("session_id", (_VISIT,), "visit code: bl, m18, m36, m54"),
        # a date beside the year of birth is a visit's in any case: somebody has merged the files, with scores or without
        Rule("visit_date", ("examdate",), "date of the visit", "", to_date, ("ptdob",)),
        Rule("visit_date", ("examdate",), "date of the MMSE", "", to_date, ("mmscore",)),
        Rule(_DATE_OF_CDR, ("examdate",), "date of the CDR: the visit's, if no MMSE gives one", "", to_date, ("cdglobal",)),
        Rule(_DATE_OF_TESTS, ("examdate",), "date of the tests: the visit's, if no MMSE gives one", "", to_date, ("ldeltotal",)),
        Rule("sex", ("ptgender",), "1 = M, 2 = F", "code", codes("sex", {"1": "M", "2": "F"})),
        Rule(BIRTH_YEAR, ("ptdob",), "year of birth, /YYYY; no day and no month are given", "", _to_birth_year),
        Rule("apoe4_count", ("apgen1", "apgen2"), "number of 4s in the two alleles", "alleles", count_e4),
        Rule("mmse", ("mmscore",), "MMSE of this visit", "points"),
        Rule("cdr_global", ("cdglobal",), "global CDR of this visit", "points"),
        # clinica takes any other code for unknown. None is documented, so here one is an error that says how to declare it.
        Rule("diagnosis", ("dxcurren",), "1 = CN, 2 = MCI, 3 = AD", "code",
             codes("diagnosis", {"1": "CN", "2": "MCI", "3": "AD"})),
        Rule("diagnosis", ("dxchange",), "codes of ADNI's registry, whose tables have the same columns", "code", READ_DXCHANGE),
    ),
    missing=frozenset({"-4", "-4.0"}),
    derived=(
        Derived("visit_date", (_DATE_OF_CDR,), _same, "date of the CDR, as no MMSE gives one"),
        Derived("visit_date", (_DATE_OF_TESTS,), _same, "date of the tests, as neither MMSE nor CDR gives one"),
        Derived("age_years", ("visit_date", BIRTH_YEAR), _age,
                "year of the visit - year of birth: exact to a year, as AIBL gives no day of birth"),
    ),
    unused={
        r"cdrsb|cdmemory|cdorient|cdjudge|cdcommun|cdhome|cdcare":
            "a box of the CDR: a score by which the diagnosis is made; no report uses it",
        r"limmtotal|ldeltotal": "a memory score close to the diagnosis; no report uses it",
        r"mm[a-z]+": "an item of the MMSE; its total is read",
        r"examdate": "a date that no clinical score of this file needs; the visit's date comes from the MMSE's file",
        r"siteid|userdate2?|id|examdate2?|phase": "for the study's own bookkeeping",
        r"ap(testdt|volume|vial|genotype|receive|ambtemp|resamp|usable)|.*blood.*": "about the sample, not the person",
        r"mh[a-z0-9]+|rct\d+|bat\d+|hmt\d+|axt\d+": "medical history or laboratory; no report uses it",
    },
    scan_key=scan_key,
)  # fmt: skip
