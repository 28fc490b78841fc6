"""Names that other tables give to the canonical columns: what an unknown one probably means, and which unit it names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from adclip.clinical.columns import COLUMNS

# Names that other tables use. Only ever suggested: a name says nothing of units and codes.
_ELSEWHERE = {
    "age": "age_years", "sex_code": "sex", "gender": "sex", "ptgender": "sex", "m/f": "sex", "educ": "education_years",
    "education": "education_years", "pteducat": "education_years", "apoe4": "apoe4_count", "apoe": "apoe4_count",
    "dx": "diagnosis", "group": "diagnosis", "label": "diagnosis", "mmscore": "mmse", "mmse_total": "mmse",
    "cdr": "cdr_global", "cdglobal": "cdr_global", "cdrtot": "cdr_global", "icv": "icv_mm3", "etiv": "icv_mm3",
    "hippocampus": "hippocampus_mm3", "hippocampal volume": "hippocampus_mm3", "ventricles": "ventricles_mm3",
    "wholebrain": "whole_brain_mm3", "entorhinal": "entorhinal_mm3", "fusiform": "fusiform_mm3",
    "midtemp": "middle_temporal_mm3", "subject": "subject_id", "ptid": "subject_id", "rid": "subject_id",
    "id": "subject_id", "subject id": "subject_id", "mri id": "scan", "session": "session_id", "viscode": "session_id",
    "visit": "session_id", "examdate": "visit_date", "filename": "scan", "file": "scan", "path": "scan",
    "code": "subject_id", "patient": "subject_id", "patient id": "subject_id", "date": "visit_date",
    "scan date": "visit_date", "tiv": "icv_mm3", "eid": "subject_id",
    # other languages
    **dict.fromkeys(("name", "proband", "probandin", "pseudonym", "sujet", "sujeto", "paciente", "paziente", "soggetto"), "subject_id"),
    **dict.fromkeys(("alter", "\u00e2ge", "edad", "et\u00e0", "leeftijd", "idade"), "age_years"),
    **dict.fromkeys(("geschlecht", "sexe", "sexo", "sesso", "geslacht"), "sex"),
    **dict.fromkeys(("bildungsjahre", "ausbildungsjahre"), "education_years"),
    **dict.fromkeys(("datum", "untersuchungsdatum", "fecha"), "visit_date"),
    **dict.fromkeys(("diagnose", "diagnostic", "diagnosi", "diagn\u00f3stico"), "diagnosis"),
}  # fmt: skip


_UNIT_OF_NAME = re.compile(r"[\s_.(\[-]+(ml|cm3|cc|mm3|months|days|years)[)\]]?$", re.IGNORECASE)
_HIPPOCAMPUS = re.compile(r"hipp(?:o(?:c(?:amp(?:us|al)?)?)?)?")
_SIDE_WORDS = re.compile(r"(?<![a-z])(?:(l|lh|left)|r|rh|right)(?![a-z])")


def unit_in_name(name: str) -> str:
    """Return the unit of `UNITS` that a column's name ends in, as in ``hippocampus_ml``; empty where it names none."""
    match = _UNIT_OF_NAME.search(name.strip())
    return {"cc": "cm3"}.get(match[1].lower(), match[1].lower()) if match else ""


def near_miss(name: str, columns: Iterable[str] = tuple(COLUMNS)) -> str | None:
    """Return the canonical column of `columns` that an unknown column name probably means, or None."""
    columns = tuple(columns)
    folded = name.strip().lower()
    for spelled in (folded, _UNIT_OF_NAME.sub("", folded)):
        if (meant := _ELSEWHERE.get(spelled, _hippocampus_of(name))) is not None:
            return meant if meant in columns else None
        close = difflib.get_close_matches(re.sub(r"[\s/-]+", "_", spelled), columns, n=1, cutoff=0.8)
        if close:
            return close[0]
    return None


def _hippocampus_of(name: str) -> str | None:
    """Return the column of a hippocampus of one side by a name such as ``HippL``, ``lhHippo`` or ``Left_Hippocampus_Volume``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _UNIT_OF_NAME.sub("", name.strip()))
    if len(rest := _HIPPOCAMPUS.split(words.lower())) != 2:  # the word once: one part before it, one behind
        return None
    sides = {"left" if match[1] else "right" for match in _SIDE_WORDS.finditer(" ".join(rest).replace("_", " "))}
    others = _SIDE_WORDS.sub(" ", " ".join(rest).replace("_", " "))
    return (
        f"hippocampus_{sides.pop()}_mm3"
        if len(sides) == 1 and not re.search(r"[a-uw-z]{4,}", others.replace("volume", ""))
        else None
    )
