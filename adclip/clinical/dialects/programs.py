"""Volume tables of FreeSurfer, SynthSeg and DLMUSE: which structures each canonical volume sums there, said once.

Tables of many people are read by these dialects; `adclip.clinical.tables.segmentations` reads the row of one scan by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from adclip.clinical.columns import parse_cell, read_further
from adclip.clinical.dialects.base import Derived, Dialect, Reader, Rule, number, total
from adclip.clinical.dialects.freesurfer import APARC

FREESURFER, SYNTHSEG, DLMUSE = "FreeSurfer", "SynthSeg", "DLMUSE"

VENTRICLES: dict[str, str] = {
    FREESURFER: "lateral and inferior lateral ventricles, choroid plexus, third and fourth ventricle (aseg)",
    SYNTHSEG: "lateral and inferior lateral ventricles (with choroid plexus), third and fourth ventricle",
    DLMUSE: "lateral and inferior lateral ventricles, third and fourth ventricle (MUSE 4, 11, 49-52)",
}
WHOLE_BRAIN: dict[str, str] = {
    FREESURFER: "BrainSegVolNotVent: brain segmentation without ventricles, as FreeSurfer counts it",
    SYNTHSEG: "all grey and white matter, cerebellum and brain stem; no ventricle, no csf",
    # NiChart's centiles show that 701 exceeds grey and white matter by the brain stem and the ventricles, at every age.
    DLMUSE: "total brain without ventricles (MUSE 701 less 4, 11, 49-52)",
}

_ENDINGS = re.compile(r"(\.nii|\.mgz|\.mgh|\.img|\.hdr)?(\.gz)?$", re.IGNORECASE)
_LONGITUDINAL = re.compile(r"\.long\..+$")  # FreeSurfer's TIMEPOINT.long.TEMPLATE
_BIDS_NAME = re.compile(r"(sub-[A-Za-z0-9]+)(?:_ses-([A-Za-z0-9]+))?(?:_.*)?")
_SIDES = ("left", "right")


def definitions_of(software: str) -> dict[str, str]:
    """Return what `ventricles_mm3` and `whole_brain_mm3` sum in a program's tables."""
    return {"ventricles_mm3": VENTRICLES[software], "whole_brain_mm3": WHOLE_BRAIN[software]}


# ----------------------------------------------------------------------------------------------- names of scans


def stem_of(name: str) -> str:
    """Return a file's name without the endings of image files."""
    return _ENDINGS.sub("", name)


def split_scan_name(name: str) -> tuple[str, str | None]:
    """Return subject and session of a scan's name; any name that is not BIDS's is the subject's as it stands.

    Endings of image files go, and so does what FreeSurfer's longitudinal stream adds:
    ``sub-01_ses-m06.long.sub-01`` is the session m06 of sub-01.
    """
    bare = _LONGITUDINAL.sub("", stem_of(name.rstrip("/")))
    match = _BIDS_NAME.fullmatch(bare)
    return (match[1], match[2]) if match else (bare, None)


def _to_subject(cell: str) -> str | None:
    return parse_cell("subject_id", split_scan_name(cell)[0])


def _to_session(cell: str) -> str | None:
    return parse_cell("session_id", split_scan_name(cell)[1] or "")


def _ids(*names: str) -> Iterable[Rule]:
    """Yield rules for the first column of a program's table; columns that somebody added under their own names win."""
    yield Rule("subject_id", ("subject_id",), "its own name")
    yield Rule("session_id", ("session_id",), "its own name")
    for name in names:
        yield Rule("subject_id", (name,), "`sub-` of the scan's name, else the whole name", read=_to_subject)
        yield Rule("session_id", (name,), "`ses-` of the scan's name, if it has one", read=_to_session)


def _sum(column: str, parts: Iterable[str], why: str) -> Rule:
    parts = tuple(part.lower() for part in parts)
    return Rule(column, parts, why, "mm3", total(column) if len(parts) > 1 else None)


# ----------------------------------------------------------------------------------------------- FreeSurfer

_CHOROID = ("left-choroid-plexus", "right-choroid-plexus")
_ASEG_VENTRICLES = (
    "left-lateral-ventricle", "right-lateral-ventricle", "left-inf-lat-vent", "right-inf-lat-vent", "3rd-ventricle",
    "4th-ventricle", *_CHOROID,
)  # fmt: skip


def _unless_absent(read: Reader, optional: int = 0) -> Reader:
    """Return a reader for which 0 is unknown in all cells but the last `optional` ones.

    asegstats2table and aparcstats2table write 0.0 for a structure that a subject's own file does not list.
    """

    def read_present(*cells: str) -> Any:
        needed = cells[: len(cells) - optional]
        return None if any(re.fullmatch(r"0+\.?0*", cell) for cell in needed) else read(*cells)

    return read_present


def freesurfer_volumes(ending: str = "") -> tuple[Rule, ...]:
    """Return rules for aseg's structures and the gyri of both hemispheres.

    Parameters
    ----------
    ending : str
        What a table adds to aseg's names, ``_volume`` in OASIS-3.
    """
    left, right = f"left-hippocampus{ending}", f"right-hippocampus{ending}"
    rules = [
        Rule("hippocampus_left_mm3", (left,), "aseg 17", "mm3"),
        Rule("hippocampus_right_mm3", (right,), "aseg 53", "mm3"),
        _sum("hippocampus_mm3", (left, right), "left + right"),
        # With fewer columns the sum would be another measure under the same name, so it needs all eight.
        _sum("ventricles_mm3", (name + ending for name in _ASEG_VENTRICLES), VENTRICLES[FREESURFER]),
        *(Rule("icv_mm3", (name,), "FreeSurfer's estimate from the atlas transform, eTIV", "mm3")
          for name in ("estimatedtotalintracranialvol", "etiv", "intracranialvol")),
        *(Rule("whole_brain_mm3", (name,), WHOLE_BRAIN[FREESURFER], "mm3")
          for name in ("brainsegvolnotvent", "brainsegnotvent")),
        *(_sum(column, (f"lh_{gyrus}_volume", f"rh_{gyrus}_volume"), "grey matter, left + right (aparc)")
          for gyrus, column in APARC.items()),
    ]  # fmt: skip
    return tuple(
        Rule(rule.column, rule.sources, rule.why, rule.unit, _zeros(rule)) if rule.column != "icv_mm3" else rule
        for rule in rules
    )


def _zeros(rule: Rule) -> Reader:
    def read_one(cell: str) -> Any:
        return parse_cell(rule.column, cell)

    return _unless_absent(rule.read or read_one, len(_CHOROID) if rule.column == "ventricles_mm3" else 0)


def _halves() -> Iterable[Rule]:
    """Yield rules for one hemisphere's gyri: aparcstats2table writes a file for each, and a total needs both."""
    read = _unless_absent(number(1, 40000, "mm3"))
    for gyrus, column in APARC.items():
        for side, hemisphere in zip(_SIDES, ("lh", "rh"), strict=True):
            why = f"grey matter of the {side} hemisphere; the total needs the other one's table"
            half = f"_{side}_{column}"  # ends in _mm3, so that the row is known to hold volumes
            yield Rule(half, (f"{hemisphere}_{gyrus}_volume",), why, "mm3", read)
            # --parcid-only: the names lack hemisphere and measure, which stand in the first cell alone
            yield Rule(half, (gyrus, f"{hemisphere}.aparc.volume"), why, "mm3", lambda cell, _: read(cell))


def _add(left: float, right: float) -> float:
    return round(left + right, 6)


FREESURFER_TABLE = Dialect(
    name="FreeSurfer asegstats2table / aparcstats2table",
    signatures=(frozenset({"measure:volume"}), frozenset({"lh.aparc.volume"}), frozenset({"rh.aparc.volume"})),
    rules=(*_ids("measure:volume", "lh.aparc.volume", "rh.aparc.volume"), *freesurfer_volumes(), *_halves()),
    derived=tuple(
        Derived(column, (f"_left_{column}", f"_right_{column}"), _add, "left + right, from the two hemispheres' tables")
        for column in APARC.values()
    ),
    volumes_source=FREESURFER,
    definitions=definitions_of(FREESURFER),
    unused={
        r"brainsegvol|brainseg|supratentorial.*|maskvol.*|.*cortexvol|.*whitemattervol|(sub|total).*gray.*":
            "another of FreeSurfer's global measures; the whole brain is BrainSegVolNotVent",
        r"(left|right|lh|rh)[-_].*|.*-ventricle|cc_.*|brain-stem|csf|.*hypointensities|optic-chiasm|.*holes|.*-to-etiv":
            "another structure of FreeSurfer; no report uses it",
    },
)  # fmt: skip

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

SYNTHSEG_TABLE = Dialect(
    name="SynthSeg volumes",
    signatures=(frozenset({"left hippocampus", "right hippocampus"}),),
    rules=(
        *_ids("subject", ""),  # the table of a single scan has no name over its first column
        *(_sum(f"hippocampus_{side}_mm3", (f"{side} hippocampus",), "posterior-weighted volume") for side in _SIDES),
        _sum("hippocampus_mm3", ("left hippocampus", "right hippocampus"), "left + right"),
        _sum("ventricles_mm3", _SYNTHSEG_VENTRICLES, VENTRICLES[SYNTHSEG]),
        _sum("whole_brain_mm3", _SYNTHSEG_BRAIN, WHOLE_BRAIN[SYNTHSEG]),
        _sum("icv_mm3", ("total intracranial",), "SynthSeg's own segmentation, not an estimate from the atlas"),
        *(_sum(column, (f"ctx-lh-{gyrus}", f"ctx-rh-{gyrus}"), "grey matter, left + right (--parc)")
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
_MUSE_PREFIXES = ("", "dl_muse_volume_", "muse_volume_", "muse_", "dl_muse_")


def _without_ventricles(brain: str, *ventricles: str) -> Any:
    inside = total("ventricles_mm3")(*ventricles)
    whole = number(0, float("inf"), "mm3")(brain)
    return None if inside is None or whole is None else parse_cell("whole_brain_mm3", repr(round(whole - inside, 6)))


def _muse_rules(prefix: str) -> Iterable[Rule]:
    def name(code: int) -> str:
        return f"{prefix}{code}"

    for column, codes in _MUSE.items():
        yield _sum(column, map(name, codes), "MUSE " + " + ".join(map(str, codes)))
    for column, code in _MUSE_FURTHER.items():
        yield Rule(column, (name(code),), f"MUSE {code}", "mm3", read_further(column))
    parts = (name(_TOTAL_BRAIN), *map(name, _MUSE["ventricles_mm3"]))
    yield Rule("whole_brain_mm3", parts, WHOLE_BRAIN[DLMUSE], "mm3", _without_ventricles)


DLMUSE_TABLE = Dialect(
    name="DLMUSE volumes",
    signatures=tuple(
        frozenset({"mrid", *(f"{prefix}{code}" for code in codes)})
        for prefix in _MUSE_PREFIXES
        for codes in ((702,), (_TOTAL_BRAIN,), (47, 48))
    ),
    rules=(*_ids("mrid"), *(rule for prefix in _MUSE_PREFIXES for rule in _muse_rules(prefix))),
    volumes_source=DLMUSE,
    definitions=definitions_of(DLMUSE),
    unused={r"(dl_)?(muse_)?(volume_)?\d{1,3}": "another region of MUSE; no report uses it"},
)
