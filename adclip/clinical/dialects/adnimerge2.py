"""ADNIMERGE2: the analysis tables of ADNI's package for R - ADSL, a row a person; ADQS and ADRS, a row for each parameter of a visit.

Columns, codes and the making of each: the package's reference pages and vignettes, version 0.1.1. Rows of ADNI are never shipped.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from adclip.clinical.columns import CellError, parse_cell
from adclip.clinical.dialects.base import AGE_AT_ENTRY, ENTRY_DATE, Derived, Dialect, Rule, Tall, codes, number, to_date

_MMSE, _CDR, _DX = "mmscore", "cdglobal", "dx"  # PARAMCD
_READ_DX = codes("diagnosis", {"CN": "CN", "MCI": "MCI", "DEM": "AD", "Dementia": "AD", "AD": "AD"})
_NOW = ("adt",)


def to_ptid(cell: str) -> str | None:
    """Read ``ADNI-011-00002``: study, site and roster number, which PTID writes ``011_S_0002``."""
    if not cell:
        return None
    match = re.fullmatch(r"ADNI-(\d{3})-(\d{1,5})", cell, re.IGNORECASE)
    name = f"{match[1]}_S_{int(match[2]):04d}" if match else cell
    found: str | None = parse_cell("subject_id", name)
    return found


def to_visit(cell: str) -> str | None:
    """Read AVISIT where no date stands beside it: ``bl``, ``sc`` and ``m06`` where it is plain, else the words with dashes."""
    if not cell:
        return None
    plain = cell.strip().casefold()
    if re.search(r"\bbaseline\b|^bl$", plain):
        return "bl"
    if re.search(r"\bscreening\b|^sc$", plain):
        return "sc"
    if match := re.search(r"\bmonths?\s*(\d+)|^m\s*(\d+)$", plain):
        months = int(match[1] or match[2])
    elif match := re.search(r"\byears?\s*(\d+)|^y\s*(\d+)$", plain):
        months = 12 * int(match[1] or match[2])
    else:
        name: str | None = parse_cell("session_id", re.sub(r"[^A-Za-z0-9._]+", "-", cell.strip()).strip("-"))
        return name
    return f"m{months:02d}" if months else "bl"


def _of(code: str, column: str) -> Any:
    """Return a reader of AVAL (or AVALC) that looks at rows of one parameter alone."""

    def read(value: str, parameter: str) -> Any:
        if parameter.casefold() != code or not value:
            return None
        return _READ_DX(value) if column == "diagnosis" else parse_cell(column, value)

    return read


def _age_at(age: float, entry: str, visit: str) -> float:
    return round(age + (date.fromisoformat(visit) - date.fromisoformat(entry)).days / 365.25, 6)


def _as_it_is(value: Any) -> Any:
    return value


def _code_of(value: str, parameter: str) -> Any:
    """Read AVAL of DX where AVALC is not given."""
    if parameter.casefold() != _DX or not value:
        return None
    raise CellError("a number for a diagnosis", "take the column AVALC along, which has CN, MCI and DEM")


_AGE = "age at enrolment (ENRLDT), the same on every row"
# What people keep of the package's tables when they choose columns, without those of answers: DX, AVAL and AVALC
_MARKS = (
    "paramcd", "enrldt", "avisit", "agegr1", "enrlfl", "studyid", "subjid", "siteid", "rid", "visit", "visitnum", "adt", "educ", "age", "sex",
    "origprot", "colprot",
)  # fmt: skip


class _Adnimerge2(Dialect):
    """`USUBJID` is the package's, unless adclip's own `subject_id` stands beside it: then the table is adclip's."""

    def fits(self, names: frozenset[str]) -> bool:
        return "subject_id" not in names and super().fits(names)


ADNIMERGE2 = _Adnimerge2(
    name="ADNIMERGE2",
    signatures=tuple(frozenset({"usubjid", name}) for name in _MARKS),
    rules=(
        Rule("subject_id", ("usubjid",), "ADNI-SITE-NUMBER, as PTID writes it: SITE_S_NUMBER", read=to_ptid),
        Rule("visit_date", _NOW, "date of the assessment", "", to_date),
        Rule("session_id", ("avisit",), "visit by name, as no ADT gives its date", read=to_visit, without=_NOW),
        Rule("session_id", ("visit",), "visit by name, as no ADT gives its date", read=to_visit, without=_NOW),
        Rule(AGE_AT_ENTRY, ("age",), _AGE, "years", number(0, 120, "years")),
        Rule(ENTRY_DATE, ("enrldt",), "date of enrolment", "", to_date),
        Rule("sex", ("sex",), "Male or Female"),
        Rule("education_years", ("educ",), "years of education", "years"),
        Rule("mmse", ("aval", "paramcd"), "AVAL of the rows whose PARAMCD is MMSCORE", "points", _of(_MMSE, "mmse")),
        Rule("cdr_global", ("aval", "paramcd"), "AVAL of the rows whose PARAMCD is CDGLOBAL", "points", _of(_CDR, "cdr_global")),
        Rule("diagnosis", ("avalc", "paramcd"), "AVALC of the rows whose PARAMCD is DX: DEM is AD", "", _of(_DX, "diagnosis")),
        Rule("diagnosis", ("aval", "paramcd"), "AVAL of the rows whose PARAMCD is DX", "code", _code_of),
    ),
    missing=frozenset({"-4", "-1", "-4.0", "-1.0"}),
    derived=(
        Derived("age_years", (AGE_AT_ENTRY, ENTRY_DATE, "visit_date"), _age_at, "AGE + (date of the visit - ENRLDT) / 365.25"),
        Derived("visit_date", (ENTRY_DATE,), _as_it_is, "date of enrolment, as there is no visit", absent=("session_id",)),
        Derived("age_years", (AGE_AT_ENTRY,), _as_it_is, "AGE, which is that at enrolment", absent=("session_id",)),
    ),
    unused={
        r"dx": "the status at BASELINE, repeated on every row; what was found over time stands in ADRS (PARAMCD DX, AVALC)",
        r"base|chg|pchg|basec": "the value at baseline, or the change from it",
        r"avisitn?|visit(num)?|ady|aseq|qsseq|rsseq": "number or name of the visit; its date (ADT) is read",
        r"studyid|subjid|siteid|rid|colprot|origprot|param|paramn|anl01fl|ablfl|.*fl|.*dtf?|.*dtc|arm|actarm|trt[ap]": "for bookkeeping",
        r"ageu|agegr1n?|racen?|ethnic|maristat|bmi(blu)?": "about the person; no report uses it",
        r"amystat": "amyloid status; no report uses it",
    },
    tall=Tall("paramcd", frozenset({_MMSE, _CDR, _DX})),
)  # fmt: skip
