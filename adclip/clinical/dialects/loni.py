"""LONI's Image and Data Archive: the table of an image collection, and that of a search; a row for each image.

Columns: those of the archive's collections (`Image Data ID ... Acq Date`) and of its advanced search (`Subject ID ... Study Date`), as
public scripts for ADNI and AIBL read them. The group of both is that of the person's enrolment, on every row.
"""

from __future__ import annotations

import re
from typing import Any

from adclip.clinical.columns import CellError, parse_cell
from adclip.clinical.dialects.base import Dialect, Rule, codes, count_e4, to_date

_SUBJECTS, _DAYS, _IMAGES = ("subject", "subject id"), ("acq date", "study date"), ("image data id", "image id")
_GROUP = (
    "the group in which the person was enrolled, the same at every visit; what was found over time stands in the study's table of "
    "diagnoses (ADNI: ADNIMERGE or DXSUM)"
)
# Beside the forms of the visits themselves these numbers stand by.
_STANDBY = 9


def _to_image(cell: str) -> Any:
    """Read ``I40966`` or ``40966`` as the archive's files and folders write it: I40966."""
    if not cell:
        return None
    match = re.fullmatch(r"I?(\d+)(?:\.0)?", cell, re.IGNORECASE)
    if match is None:
        raise CellError("not an image id of the archive: I and a number")
    return f"I{match[1]}"


def _to_subject(cell: str) -> Any:
    return parse_cell("subject_id", cell.removesuffix(".0"))


LONI = Dialect(
    name="LONI image table",
    signatures=tuple(frozenset({subject, day}) for subject, day in zip(_SUBJECTS, _DAYS, strict=True)),
    rules=(
        *(Rule("subject_id", (name,), "the study's id of the person", read=_to_subject) for name in _SUBJECTS),
        *(Rule("session_id", (name,), "id of the image, which is in the names of the archive's files", read=_to_image)
          for name in _IMAGES),
        *(Rule("visit_date", (name,), "day of the scan", "", to_date) for name in _DAYS),
        Rule("age_years", ("age",), "age at the scan", "years", standby=_STANDBY),
        Rule("sex", ("sex",), "F or M", "", codes("sex", {"F": "F", "M": "M", "Female": "F", "Male": "M", "X": "", "U": ""})),
        Rule("apoe4_count", ("apoe a1", "apoe a2"), "number of 4s in the two alleles", "alleles", count_e4),
        Rule("mmse", ("mmse total score",), "MMSE of this visit", "points", standby=_STANDBY),
        Rule("cdr_global", ("global cdr",), "global CDR of this visit", "points", standby=_STANDBY),
    ),
    unused={
        r"group|research group": _GROUP,
        r"visit": "the archive's own name of the visit; its day is read",
        r"(gd|faq|npi-q|nptau).*|.*total score": "a score close to the diagnosis; no report uses it",
        r"project|phase|modality|description|type|format|downloaded|weight|archive date|imaging protocol|structure|laterality|image type"
        r"|registration|tissue": "about the image or for bookkeeping",
    },
)  # fmt: skip
