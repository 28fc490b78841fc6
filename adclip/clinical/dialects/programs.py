"""Programs that measure volumes: which structures each canonical volume sums there, said once; tables of SynthSeg, DLMUSE and hippodeep.

Tables of many people are read by these dialects; `adclip.clinical.tables.segmentations` reads the row of one scan by the same rules.
Those that FreeSurfer's tools make stand in `freesurfer_tables.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from adclip.clinical.columns import parse_cell, read_further
from adclip.clinical.dialects.base import Dialect, Rule, number, total
from adclip.clinical.dialects.freesurfer import APARC

FREESURFER, FASTSURFER, SAMSEG = "FreeSurfer", "FastSurfer", "SAMSEG"
SYNTHSEG, DLMUSE, HIPPODEEP = "SynthSeg", "DLMUSE", "hippodeep"

VENTRICLES: dict[str, str] = {
    FREESURFER: "lateral and inferior lateral ventricles, choroid plexus, third and fourth ventricle (aseg)",
    FASTSURFER: "lateral and inferior lateral ventricles, choroid plexus, third and fourth ventricle (FastSurfer's aseg)",
    SAMSEG: "lateral and inferior lateral ventricles, choroid plexus, third and fourth ventricle (SAMSEG's probabilities)",
    SYNTHSEG: "lateral and inferior lateral ventricles (with choroid plexus), third and fourth ventricle",
    DLMUSE: "lateral and inferior lateral ventricles, third and fourth ventricle (MUSE 4, 11, 49-52)",
}
WHOLE_BRAIN: dict[str, str] = {
    FREESURFER: "BrainSegVolNotVent: brain segmentation without ventricles, as FreeSurfer counts it",
    FASTSURFER: "BrainSegVolNotVent: brain segmentation without ventricles, of FastSurfer's segmentation",
    SYNTHSEG: "all grey and white matter, cerebellum and brain stem; no ventricle, no csf",
    # NiChart's centiles show that 701 exceeds grey and white matter by the brain stem and the ventricles, at every age.
    DLMUSE: "total brain without ventricles (MUSE 701 less 4, 11, 49-52)",
}

_ENDINGS = re.compile(r"(\.nii|\.mgz|\.mgh|\.img|\.hdr)?(\.gz)?$", re.IGNORECASE)
_LONGITUDINAL = re.compile(r"\.long\..+$")  # FreeSurfer's TIMEPOINT.long.TEMPLATE
_BIDS_NAME = re.compile(r"(sub-[A-Za-z0-9]+)(?:_ses-([A-Za-z0-9]+))?(?:_.*)?")
_SIDES = ("left", "right")
_FURTHER_DEFINITIONS: dict[str, dict[str, str]] = {
    SAMSEG: {"icv_mm3": "sbTIV: the sum of SAMSEG's structures inside the skull; not an estimate from the atlas"},
    HIPPODEEP: {"icv_mm3": "hippodeep's own brain mask, which it calls eTIV"},
}
# What people call the column of a program's table that names the scan, where they have given it another name than the program's.
OTHER_IDS = (
    "mrid", "id", "subjectid", "subject id", "subject", "participant", "participantid", "participant id", "patient_id", "patient id",
    "patientid", "scan_id", "scanid", "scan id", "image_id", "imageid", "image", "filename", "file_name", "file", "name", "case",
)  # fmt: skip


def definitions_of(software: str) -> dict[str, str]:
    """Return what `ventricles_mm3` and `whole_brain_mm3` sum in a program's tables, and any volume of another kind than usual."""
    sums = {"ventricles_mm3": VENTRICLES, "whole_brain_mm3": WHOLE_BRAIN}
    stated = {column: texts[software] for column, texts in sums.items() if software in texts}
    return stated | _FURTHER_DEFINITIONS.get(software, {})


# ----------------------------------------------------------------------------------------------- names of scans


def stem_of(name: str) -> str:
    """Return a file's name without the endings of image files."""
    return _ENDINGS.sub("", name)


def split_scan_name(name: str) -> tuple[str, str | None]:
    """Return subject and session of a scan's name; any name that is not BIDS's is the subject's as it stands.

    Endings of image files go, and so does what FreeSurfer's longitudinal stream adds:
    ``sub-01_ses-m06.long.sub-01`` is the session m06 of sub-01. Of a path the last name counts, of ``sub-01/stats/aseg.stats`` the
    subject's folder.
    """
    folders, _, last = name.rstrip("/").rpartition("/")
    if folders and last.endswith(".stats"):  # SUBJECT/stats/aseg.stats: the table is called so for everybody
        last = folders.removesuffix("/stats").rpartition("/")[2]
    bare = _LONGITUDINAL.sub("", stem_of(last))
    match = _BIDS_NAME.fullmatch(bare)
    return (match[1], match[2]) if match else (bare, None)


def _to_subject(cell: str) -> str | None:
    return parse_cell("subject_id", split_scan_name(cell)[0])


def _to_session(cell: str) -> str | None:
    return parse_cell("session_id", split_scan_name(cell)[1] or "")


def ids(*names: str) -> Iterable[Rule]:
    """Yield rules for the first column of a program's table; columns that somebody added under their own names win."""
    yield Rule("subject_id", ("subject_id",), "its own name, or `sub-` of a scan's name", read=_to_subject)
    yield Rule("session_id", ("session_id",), "its own name")
    yield Rule("session_id", ("subject_id",), "`ses-` of the scan's name, if it has one", read=_to_session)
    for name in names:
        yield Rule("subject_id", (name,), "`sub-` of the scan's name, else the whole name", read=_to_subject)
        yield Rule("session_id", (name,), "`ses-` of the scan's name, if it has one", read=_to_session)


def sum_rule(column: str, parts: Iterable[str], why: str) -> Rule:
    """Return the rule of a volume that is the sum of several columns, or one column in the canonical unit."""
    parts = tuple(part.lower() for part in parts)
    return Rule(column, parts, why, "mm3", total(column) if len(parts) > 1 else None)


# ----------------------------------------------------------------------------------------------- SynthSeg

_SYNTHSEG_SIDES = (
    "cerebral white matter", "cerebral cortex", "cerebellum white matter", "cerebellum cortex", "thalamus", "caudate",
    "putamen", "pallidum", "hippocampus", "amygdala", "accumbens area", "ventral DC",
)  # fmt: skip
_SYNTHSEG_VENTRICLES = (
    *(f"{side} {name}" for side in _SIDES for name in ("lateral ventricle", "inferior lateral ventricle")),
    "3rd ventricle", "4th ventricle",
)  # fmt: skip
_SYNTHSEG_BRAIN = (*(f"{side} {name}" for side in _SIDES for name in _SYNTHSEG_SIDES), "brain-stem")

# Names that SynthSeg alone has beside the hippocampi: with them `left_hippocampus` is its own, as a database writes it.
_SYNTHSEG_MARKS = frozenset({"total_intracranial", *(f"{side}_inferior_lateral_ventricle" for side in _SIDES)})
# The written names of MUSE's regions (BrainCOLOR's), whose hippocampi are called as SynthSeg's are.
_OF_BRAINCOLOR = frozenset(
    f"{side} {name}" for side in _SIDES
    for name in ("inf lat vent", "thalamus proper", "cerebellum exterior", "basal forebrain")
)  # fmt: skip


class _SynthSeg(Dialect):
    """SynthSeg's names with blanks, or with `_` where one of its own tells it; no table of BrainCOLOR's regions."""

    def spell(self, names: Sequence[str]) -> list[str]:
        if not _SYNTHSEG_MARKS & set(names):
            return super().spell(names)
        return super().spell([name if (own := _with_blanks(name)) in names else own for name in names])

    def fits(self, names: frozenset[str]) -> bool:
        return super().fits(names) and not names & _OF_BRAINCOLOR


def _with_blanks(name: str) -> str:
    """Return ``left hippocampus`` for ``left_hippocampus``, ``ctx-lh-entorhinal`` for ``ctx_lh_entorhinal``."""
    hyphenated = re.fullmatch(r"ctx_([lr]h)_(\w+)|(brain)_(stem)", name)
    if hyphenated is None:
        return name.replace("_", " ") if re.match(r"(left|right|total|3rd|4th)_", name) else name
    hemisphere, gyrus, brain, stem = hyphenated.groups()
    return f"ctx-{hemisphere}-{gyrus}" if gyrus else f"{brain}-{stem}"


SYNTHSEG_TABLE = _SynthSeg(
    name="SynthSeg volumes",
    signatures=(frozenset({"left hippocampus", "right hippocampus"}),),
    rules=(
        # The table of a single scan has no name over its first column; nor has one that pandas wrote with its row numbers.
        *ids("subject", *OTHER_IDS, ""),
        *(sum_rule(f"hippocampus_{side}_mm3", (f"{side} hippocampus",), "posterior-weighted volume") for side in _SIDES),
        sum_rule("hippocampus_mm3", ("left hippocampus", "right hippocampus"), "left + right"),
        sum_rule("ventricles_mm3", _SYNTHSEG_VENTRICLES, VENTRICLES[SYNTHSEG]),
        sum_rule("whole_brain_mm3", _SYNTHSEG_BRAIN, WHOLE_BRAIN[SYNTHSEG]),
        sum_rule("icv_mm3", ("total intracranial",), "SynthSeg's own segmentation, not an estimate from the atlas"),
        *(sum_rule(column, (f"ctx-lh-{gyrus}", f"ctx-rh-{gyrus}"), "grey matter, left + right (--parc)")
          for gyrus, column in APARC.items()),
    ),
    volumes_source=SYNTHSEG,
    definitions=definitions_of(SYNTHSEG),
    unused={
        r"(left|right) .*|csf|ctx-[lr]h-.*|.*ventricle|brain-stem": "another structure of SynthSeg; no report uses it",
    },
)  # fmt: skip

# ----------------------------------------------------------------------------------------------- DLMUSE

# MUSE region codes (NiChart's dictionary)
_MUSE: dict[str, tuple[int, ...]] = {
    "hippocampus_left_mm3": (48,),
    "hippocampus_right_mm3": (47,),
    "hippocampus_mm3": (47, 48),
    "ventricles_mm3": (4, 11, 49, 50, 51, 52),
    "icv_mm3": (702,),
    "entorhinal_mm3": (116, 117),
    "fusiform_mm3": (122, 123),
    "middle_temporal_mm3": (154, 155),
}
_MUSE_FURTHER = {
    "amygdala_left_mm3": 32,
    "amygdala_right_mm3": 31,
    "inferior_lateral_ventricle_left_mm3": 50,
    "inferior_lateral_ventricle_right_mm3": 49,
}
_TOTAL_BRAIN = 701
_MUSE_PREFIXES = ("", "dl_muse_volume_", "muse_volume_", "muse_", "dl_muse_", "dlmuse_volume_", "dlmuse_")


def _without_ventricles(brain: str, *ventricles: str) -> Any:
    inside = total("ventricles_mm3")(*ventricles)
    whole = number(0, float("inf"), "mm3")(brain)
    return None if inside is None or whole is None else parse_cell("whole_brain_mm3", repr(round(whole - inside, 6)))


def _muse_rules(prefix: str) -> Iterable[Rule]:
    def name(code: int) -> str:
        return f"{prefix}{code}"

    for column, codes in _MUSE.items():
        yield sum_rule(column, map(name, codes), "MUSE " + " + ".join(map(str, codes)))
    for column, code in _MUSE_FURTHER.items():
        yield Rule(column, (name(code),), f"MUSE {code}", "mm3", read_further(column))
    parts = (name(_TOTAL_BRAIN), *map(name, _MUSE["ventricles_mm3"]))
    yield Rule("whole_brain_mm3", parts, WHOLE_BRAIN[DLMUSE], "mm3", _without_ventricles)


def _without_point(name: str) -> str:
    """Return ``702`` for ``702.0``, which pandas makes of a code that it takes for a number."""
    return re.sub(r"(?<=\d)\.0$", "", name) if re.fullmatch(r"[a-z_]*\d{1,3}\.0", name) else name


DLMUSE_TABLE = Dialect(
    name="DLMUSE volumes",
    signatures=tuple(
        frozenset({*beside, *(f"{prefix}{code}" for code in codes)})
        for prefix in _MUSE_PREFIXES
        # bare numbers say less: without MRID they must be the hippocampi and the whole
        for beside, codes in (
            *((("mrid",), codes) for codes in ((702,), (_TOTAL_BRAIN,), (47, 48))),
            *(
                ((), codes)
                for codes in (
                    ((702,), (_TOTAL_BRAIN,), (47, 48)) if prefix else ((47, 48, 702), (47, 48, _TOTAL_BRAIN))
                )
            ),
        )
    ),
    rules=(*ids("mrid", *OTHER_IDS), *(rule for prefix in _MUSE_PREFIXES for rule in _muse_rules(prefix))),
    volumes_source=DLMUSE,
    definitions=definitions_of(DLMUSE),
    unused={r"(dl_?)?(muse_)?(volume_)?\d{1,3}(\.0)?": "another region of MUSE; no report uses it"},
    respell=_without_point,
)

# ----------------------------------------------------------------------------------------------- hippodeep

_HIPPODEEP = {"left": "hippol", "right": "hippor"}

HIPPODEEP_TABLE = Dialect(
    name="hippodeep volumes",
    signatures=(frozenset(_HIPPODEEP.values()),),
    rules=(
        *ids("filename", *OTHER_IDS, ""),
        *(Rule(f"hippocampus_{side}_mm3", (name,), "hippodeep's mask", "mm3") for side, name in _HIPPODEEP.items()),
        sum_rule("hippocampus_mm3", _HIPPODEEP.values(), "left + right"),
        Rule("icv_mm3", ("etiv",), _FURTHER_DEFINITIONS[HIPPODEEP]["icv_mm3"], "mm3"),
    ),
    volumes_source=HIPPODEEP,
    definitions=definitions_of(HIPPODEEP),
)
