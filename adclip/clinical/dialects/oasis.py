"""OASIS-1, OASIS-2 and OASIS-3: one dialect for each, OASIS-3's with the columns of its several files.

Columns and codes: Marcus et al. 2007 and 2010, LaMontagne et al. 2019, and the fact sheets beside the tables. OASIS-1 and 2
have no sign of MCI but the CDR, so they give no diagnosis: a CDR grades severity, and taking it for one is a policy that
the user must name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from adclip.clinical.columns import CellError, Range, parse_cell
from adclip.clinical.dialects.base import (
    AGE_AT_ENTRY,
    DAY,
    Derived,
    Dialect,
    Reader,
    Rule,
    ScanKey,
    codes,
    count_e4,
    number,
    scaled,
)
from adclip.clinical.dialects.freesurfer_tables import freesurfer_volumes
from adclip.clinical.dialects.programs import FREESURFER, definitions_of

_FRACTION = Range(0.4, 1, "fractions of the intracranial volume")
_DAYS = number(-36525, 36525, "days")

# ----------------------------------------------------------------------------------------------- OASIS-1 and OASIS-2


def _mr_id(study: str, part: int, column: str) -> Reader:
    """Return a reader of ``OAS1_0001_MR1``: the subject before `_MR`, or the session from `MR` on."""

    def read(cell: str) -> Any:
        if not cell:
            return None
        match = re.fullmatch(rf"({study}_\d{{4}})_(MR\d+)", cell, re.IGNORECASE)
        if match is None:
            raise CellError(f"not an MRI id of the form {study}_NNNN_MRn")
        return parse_cell(column, match[part].upper())

    return read


# Folders and files of both studies: OAS1_0061_MR1_mpr-1_anon, OAS2_0001_MR2/RAW/mpr-1.nifti. clinica: sub-OASIS10061_ses-M000,
# where M000 is MR1, the only session that it takes of OASIS-1; sub-OASIS20001_ses-MR2.
_SCAN = re.compile(
    r"(?<![A-Za-z0-9])OAS(?:IS)?([12])_?(\d{4})(?![A-Za-z0-9])(?:_(?:ses-)?(MR\d+|M\d+)(?![A-Za-z0-9]))?", re.IGNORECASE
)


def _scan_key(study: str) -> ScanKey:
    """Return a reader of the names of scans of OASIS-1 or OASIS-2: subject, and session as the table has it."""

    def read(name: str) -> tuple[str, str | None] | None:
        match = _SCAN.search(name)
        if match is None or match[1] != study:
            return None
        session = match[3] and match[3].upper()
        if session and not session.startswith("MR"):
            session = "MR1" if int(session[1:]) == 0 else session
        return f"OAS{study}_{match[2]}", session

    return read


def _brain(nwbv: str, etiv: str) -> Any:
    if not (nwbv and etiv):
        return None
    icv = scaled("icv_mm3", 1e3)(etiv)
    return parse_cell("whole_brain_mm3", repr(round(_FRACTION.parse(nwbv) * icv, 6)))


def _to_oasis_2_subject(mri_id: str, subject_id: str) -> Any:
    """Read the subject from the scan's id, which the table repeats in a column of its own."""
    subject, stated = _mr_id("OAS2", 1, "subject_id")(mri_id), parse_cell("subject_id", subject_id)
    if subject and stated and subject != stated.upper():
        raise CellError("an MRI ID of another subject than Subject ID")
    return subject or stated


_SEX = codes("sex", {"M": "M", "F": "F"})
_SHARED = (
    Rule("sex", ("m/f",), "M or F", "", _SEX),
    Rule("age_years", ("age",), "age at this scan", "years"),
    Rule("mmse", ("mmse",), "MMSE of this visit; empty for young people without a clinical work-up", "points"),
    Rule("cdr_global", ("cdr",), "global CDR of this visit", "points"),
    Rule("icv_mm3", ("etiv",), "eTIV: estimated from the scaling to the atlas; converted", "cm3", scaled("icv_mm3", 1e3)),
    Rule("whole_brain_mm3", ("nwbv", "etiv"), "nWBV x eTIV", "fraction x cm3", _brain),
)  # fmt: skip
_SHARED_UNUSED = {
    r"ses": "socioeconomic status, 1-5; no report uses it",
    r"hand": "handedness; no report uses it",
    r"asf": "atlas scaling factor: says the same as eTIV",
    r"nwbv": "brain volume as a fraction of eTIV; read together with eTIV only",
}
_OASIS = "OASIS"
_DEFINITIONS = {
    "icv_mm3": "eTIV, estimated from the affine scaling to OASIS's atlas (Buckner et al. 2004); not a segmentation",
    "whole_brain_mm3": "nWBV x eTIV: grey and white matter by OASIS's own tissue segmentation of the atlas-masked image; not "
    "comparable with FreeSurfer's",
}

OASIS_1 = Dialect(
    name="OASIS-1",
    signatures=tuple(
        frozenset({"id", "m/f", name}) for name in ("etiv", "nwbv", "asf", "educ", "ses", "hand", "delay")
    ),
    rules=(
        Rule("subject_id", ("id",), "OAS1_NNNN of the scan's id", read=_mr_id("OAS1", 1, "subject_id")),
        Rule("session_id", ("id",), "MRn of the scan's id", read=_mr_id("OAS1", 2, "session_id")),
        *_SHARED,
    ),
    volumes_source=_OASIS,
    definitions=_DEFINITIONS,
    unused={
        r"educ": "a level from 1 (less than high school) to 5 (beyond college), not years; OASIS-1 has no years",
        r"delay": "days between the two scans of people who were scanned twice; they are told apart by MR1 and MR2",
        **_SHARED_UNUSED,
    },
    scan_key=_scan_key("1"),
)

OASIS_2 = Dialect(
    name="OASIS-2",
    signatures=(frozenset({"subject id", "mri id"}),),
    rules=(
        Rule("subject_id", ("mri id", "subject id"), "OAS2_NNNN of the scan's id", read=_to_oasis_2_subject),
        Rule("session_id", ("mri id",), "MRn of the scan's id", read=_mr_id("OAS2", 2, "session_id")),
        Rule(DAY, ("mr delay",), "days since the first scan", "days", _DAYS),
        Rule("education_years", ("educ",), "years of education", "years"),
        *_SHARED,
    ),
    volumes_source=_OASIS,
    definitions=_DEFINITIONS,
    unused={
        r"group": "Nondemented, Demented or Converted over the whole study: no diagnosis of a visit, and none of MCI; "
        "`--diagnosis-policy cdr` reads the CDR of each visit instead",
        r"visit": "number of the visit; the session is MRn of the scan's id",
        **_SHARED_UNUSED,
    },
    scan_key=_scan_key("2"),
)

# ----------------------------------------------------------------------------------------------- OASIS-3


# OAS30001_MR_d0129 and OAS30001_Freesurfer53_d0129; files in them: sub-OAS30001_ses-d0129_T1w (older ones `sess-`). clinica:
# sub-OAS30001_ses-M006, months since entry.
_SCAN_3 = re.compile(
    r"(?<![A-Za-z0-9])(OAS3\d{4})(?![A-Za-z0-9])(?:_(?:MR|Freesurfer\d*|sess?)[_-](d\d{4,5}|M\d+)(?![A-Za-z0-9]))?",
    re.IGNORECASE,
)


def scan_key_3(name: str) -> tuple[str, str | None] | None:
    """Return subject and session of a scan's name: ``d0129``, days since entry, or clinica's ``M006``, months in steps of six."""
    match = _SCAN_3.search(name)
    if match is None:
        return None
    session = match[2]
    return match[1].upper(), session and (session.lower() if session[0] in "dD" else session.upper())


def _session_day(cell: str) -> str | None:
    if not cell:
        return None
    match = re.fullmatch(r".*_d(\d{4,5})", cell)
    if match is None:
        raise CellError("not a session of the form OAS3NNNN_MR_dNNNN")
    return match[1]


def _to_session(cell: str) -> Any:
    day = _session_day(cell)
    return parse_cell("session_id", f"d{day}") if day else None


def _to_day(cell: str) -> Any:
    return _DAYS(_session_day(cell) or "")


def _if_passed(rule: Rule) -> Rule:
    """Return a rule for which the volumes of a session whose quality check was not passed are unknown."""

    def read(*cells: str) -> Any:
        *volumes, status = cells
        if status and not status.lower().startswith("pass"):
            return None
        return rule.read(*volumes) if rule.read else parse_cell(rule.column, volumes[0])

    why = f"{rule.why}; unknown where FS QC Status is not Passed"
    return replace(rule, sources=(*rule.sources, "fs qc status"), why=why, read=read)


def _volumes() -> Iterable[Rule]:
    rules = [
        *freesurfer_volumes("_volume"),
        Rule("hippocampus_mm3", ("total_hippocampus_volume",), "left + right, as OASIS-3 delivers it", "mm3"),
    ]
    return [*map(_if_passed, rules), *rules]


def _age(entry: float, day: float) -> float:
    return round(entry + day / 365.25, 6)


def _as_it_is(age: float) -> float:
    return age


# Beside a scan of another day, the age at entry and the days since then say more than the age at the nearest visit.
_AGE_AT_VISIT = "_age_at_visit"
_SEX_CODES = codes("sex", {"1": "M", "2": "F"})

OASIS_3 = Dialect(
    name="OASIS-3",
    signatures=(
        frozenset({"oasisid"}), frozenset({"subject", "ageatentry"}), frozenset({"subject", "mr_session"}),
    ),
    rules=(
        Rule("subject_id", ("oasisid",), "OASIS-3's id of the person"),
        Rule("subject_id", ("subject",), "OASIS-3's id of the person"),
        Rule("session_id", ("mr_session",), "dNNNN of the MR session: the days since entry", read=_to_session),
        Rule(DAY, ("mr_session",), "dNNNN of the MR session", "days", _to_day),
        Rule(DAY, ("days_to_visit",), "days since entry", "days", _DAYS),
        Rule(DAY, ("oasis_session_label",), "dNNNN of the visit's label", "days", _to_day),
        Rule(_AGE_AT_VISIT, ("age at visit",), "age at this visit", "years", number(0, 120, "years")),
        Rule(AGE_AT_ENTRY, ("ageatentry",), "age at entry", "years", number(0, 120, "years")),
        Rule("sex", ("gender",), "1 = M, 2 = F", "code", _SEX_CODES),
        Rule("education_years", ("educ",), "years of education", "years"),
        Rule("apoe4_count", ("apoe",), "number of 4s in the genotype, such as 34", "alleles", count_e4),
        Rule("mmse", ("mmse",), "MMSE of this visit", "points"),
        Rule("cdr_global", ("cdrtot",), "global CDR of this visit", "points"),
        *_volumes(),
    ),
    derived=(
        Derived("age_years", (AGE_AT_ENTRY, DAY), _age, "age at entry + days since entry / 365.25"),
        Derived("age_years", (_AGE_AT_VISIT,), _as_it_is, "age at the clinical visit, as the age at entry is not known"),
    ),
    volumes_source=FREESURFER,
    definitions=definitions_of(FREESURFER),
    unused={
        # Some are causes of dementia, some stages, some doubts ("uncertain dementia", "0.5 in memory only"), and all but a
        # few are written in more than one way: reading those that look clear would bias what is left out.
        r"dx\d(_code)?": "a clinician's wording or code of one of up to five diagnoses, no standard vocabulary; "
        "`--diagnosis-policy cdr` reads the global CDR instead",
        r"cdrsum|memory|orient|judgment|commun|homehobb|perscare":
            "a box of the CDR, or their sum: scores by which the diagnosis is made; no report uses them",
        r"ageatdeath": "age at death; no matter of a report",
        r"ses|hand|race|ethnic.*|aian|nhpi|asian|aa|white|daddem|momdem|.*dem": "about the person; no report uses it",
        r"version": "FreeSurfer's version; no report uses it",
        r"fs qc status": "verdict of the quality check; serves to leave out volumes that did not pass",
        r"fs_?(id|session).*|.*accession.*|mr_?date|oasis_session_label|subject_accession": "for bookkeeping",
        r"supratentorialvol": "brain without cerebellum and brain stem; not the whole brain",
        r"(left|right|lh|rh)[-_].*|.*_volume|.*_thickness|.*vol": "another structure of FreeSurfer; no report uses it",
        r"centiloid.*|.*centiloid|.*suvr.*": "amyloid in PET; no report uses it",
    },
    scan_key=scan_key_3,
)  # fmt: skip
