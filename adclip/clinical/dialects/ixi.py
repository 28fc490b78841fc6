"""IXI: one row for each person, and names of scans that hold the number, the hospital and the hospital's own number.

Columns and codes: the spreadsheet of brain-development.org, https://brain-development.org/ixi-dataset/.
"""

from __future__ import annotations

import re

from adclip.clinical.columns import CellError
from adclip.clinical.dialects.base import Dialect, Rule, codes, to_date

# IXI012-HH-1211-T1.nii.gz: person 12, Hammersmith Hospital
_SCAN = re.compile(r"(?<![A-Za-z0-9])IXI(\d{3})(?:-[A-Za-z]+-\d{4})?(?![A-Za-z0-9])", re.IGNORECASE)


def scan_key(name: str) -> tuple[str, str | None] | None:
    """Return the person of a scan's name; every person was scanned once."""
    match = _SCAN.search(name)
    return (f"IXI{match[1]}", None) if match else None


def _to_subject(cell: str) -> str | None:
    if not cell:
        return None
    match = re.fullmatch(r"(?:IXI)?0*(\d{1,3})(?:\.0)?", cell, re.IGNORECASE)
    if match is None:
        raise CellError("not an IXI number of up to three digits")
    return f"IXI{int(match[1]):03d}"


IXI = Dialect(
    name="IXI",
    signatures=(frozenset({"ixi_id"}),),
    rules=(
        Rule("subject_id", ("ixi_id",), "IXI's number of the person, as in the names of the scans", read=_to_subject),
        Rule("visit_date", ("study_date",), "date of the scan", "", to_date),
        Rule("age_years", ("age",), "age at the scan", "years"),
        Rule("sex", ("sex_id (1=m, 2=f)",), "1 = M, 2 = F, as the column's name says", "code", codes("sex", {"1": "M", "2": "F"})),
    ),
    unused={
        r"height|weight|ethnic_id|marital_id|occupation_id|dob|date_avail": "about the person or the study; no report uses it",
        r"qualification_id": "a level from 1 to 5, not years of education",
    },
    scan_key=scan_key,
)  # fmt: skip
