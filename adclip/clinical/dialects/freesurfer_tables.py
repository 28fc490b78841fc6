"""Tables of many people that asegstats2table and aparcstats2table make of FreeSurfer's, FastSurfer's and SAMSEG's results."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from adclip.clinical.columns import parse_cell
from adclip.clinical.dialects.base import Derived, Dialect, Reader, Rule, number
from adclip.clinical.dialects.freesurfer import APARC
from adclip.clinical.dialects.programs import (
    FASTSURFER,
    FREESURFER,
    OTHER_IDS,
    SAMSEG,
    VENTRICLES,
    WHOLE_BRAIN,
    definitions_of,
    ids,
    sum_rule,
)
from adclip.clinical.dialects.stats_files import SAMSEG_ALONE

MEASURE = "measure:volume"  # the first cell of asegstats2table
# The first cell of aparcstats2table names hemisphere, atlas and measure. DKTatlas40 is FreeSurfer 5's name, `.mapped` FastSurfer's.
_ATLASES = ("aparc", "aparc.dktatlas", "aparc.dktatlas40")
_MAPPED = "aparc.dktatlas.mapped"
_HEMISPHERES = {"left": "lh", "right": "rh"}
_CHOROID = ("left-choroid-plexus", "right-choroid-plexus")
_VENTRICLE_NAMES = (
    "left-lateral-ventricle", "right-lateral-ventricle", "left-inf-lat-vent", "right-inf-lat-vent", "3rd-ventricle",
    "4th-ventricle", *_CHOROID,
)  # fmt: skip
_HIPPOCAMPI = frozenset({"left-hippocampus", "right-hippocampus"})
_INTRACRANIAL = {
    FREESURFER: (("estimatedtotalintracranialvol", "etiv", "intracranialvol"), "FreeSurfer's estimate from the atlas transform, eTIV"),
    FASTSURFER: (("estimatedtotalintracranialvol", "etiv"), "FreeSurfer's estimate from the atlas transform, eTIV"),
    SAMSEG: (("intra-cranial", "estimatedtotalintracranialvol", "etiv"), "sbTIV: the sum of SAMSEG's own structures"),
}  # fmt: skip


def _unless_absent(read: Reader, optional: int = 0) -> Reader:
    """Return a reader for which 0 is unknown in all cells but the last `optional` ones.

    asegstats2table and aparcstats2table write 0.0 for a structure that a subject's own file does not list.
    """

    def read_present(*cells: str) -> Any:
        needed = cells[: len(cells) - optional]
        return None if any(re.fullmatch(r"0+\.?0*", cell) for cell in needed) else read(*cells)

    return read_present


def freesurfer_volumes(ending: str = "", program: str = FREESURFER) -> tuple[Rule, ...]:
    """Return rules for aseg's structures and the gyri of both hemispheres.

    Parameters
    ----------
    ending : str
        What a table adds to aseg's names, ``_volume`` in OASIS-3.
    program : str
        Which of the programs that use aseg's names measured them.
    """
    left, right = f"left-hippocampus{ending}", f"right-hippocampus{ending}"
    names, why = _INTRACRANIAL[program]
    rules = [
        Rule("hippocampus_left_mm3", (left,), "aseg 17", "mm3"),
        Rule("hippocampus_right_mm3", (right,), "aseg 53", "mm3"),
        sum_rule("hippocampus_mm3", (left, right), "left + right"),
        # With fewer columns the sum would be another measure under the same name, so it needs all eight.
        sum_rule("ventricles_mm3", (name + ending for name in _VENTRICLE_NAMES), VENTRICLES[program]),
        *(Rule("icv_mm3", (name,), why, "mm3") for name in names),
        *(Rule("whole_brain_mm3", (name,), WHOLE_BRAIN[program], "mm3")
          for name in ("brainsegvolnotvent", "brainsegnotvent") if program in WHOLE_BRAIN),
        *(sum_rule(column, (f"lh_{gyrus}_volume", f"rh_{gyrus}_volume"), "grey matter, left + right (aparc)")
          for gyrus, column in APARC.items()),
        *(sum_rule(column, (f"ctx-lh-{gyrus}", f"ctx-rh-{gyrus}"), "voxels of the gyrus, left + right")
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


def _half_name(side: str, column: str) -> str:
    return f"_{side}_{column}"  # ends in _mm3, so that the row is known to hold volumes


def _halves(atlases: Iterable[str]) -> Iterable[Rule]:
    """Yield rules for one hemisphere's gyri: aparcstats2table writes a file for each, and a total needs both."""
    read = _unless_absent(number(1, 40000, "mm3"))
    atlases = tuple(atlases)
    for gyrus, column in APARC.items():
        for side, hemisphere in _HEMISPHERES.items():
            why = f"grey matter of the {side} hemisphere; the total needs the other one's table"
            half = _half_name(side, column)
            yield Rule(half, (f"{hemisphere}_{gyrus}_volume",), why, "mm3", read)
            for atlas in atlases:
                # --parcid-only: the names lack hemisphere and measure, which stand in the first cell alone
                yield Rule(half, (gyrus, f"{hemisphere}.{atlas}.volume"), why, "mm3", lambda cell, _: read(cell))


def _add(left: float, right: float) -> float:
    return round(left + right, 6)


_BOTH_HALVES = tuple(
    Derived(column, (_half_name("left", column), _half_name("right", column)), _add, "left + right, from the two hemispheres' tables")
    for column in APARC.values()
)  # fmt: skip
_UNUSED = {
    r"brainsegvol|brainseg|supratentorial.*|maskvol.*|mask|.*cortexvol|.*whitemattervol|(sub|total).*gray.*":
        "another of FreeSurfer's global measures; the whole brain is BrainSegVolNotVent",
    r"(left|right|lh|rh|ctx)[-_].*|.*-ventricle|cc_.*|brain-stem|csf|.*hypointensities|optic-chiasm|.*holes|.*-to-etiv|skull|soft.*"
    r"|fluid-inside-eyes|air|unknown": "another structure of FreeSurfer's lists; no report uses it",
}  # fmt: skip


def _first_cells(atlases: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{hemisphere}.{atlas}.volume" for atlas in atlases for hemisphere in _HEMISPHERES.values())


def _respell(name: str) -> str:
    """Return ``left-hippocampus`` for ``left_hippocampus`` and ``3rd-ventricle`` for ``3rd.ventricle``, as databases write names."""
    return re.sub(
        r"^((?:left|right)[-_.].*|[34](?:rd|th)[-_.]ventricle)$", lambda match: re.sub(r"[_.]", "-", match[1]), name
    )


class _FastSurfer(Dialect):
    """FastSurfer segments the DKT atlas's gyri with the rest, and neither the banks of a sulcus nor the optic chiasm."""

    def fits(self, names: frozenset[str]) -> bool:
        return super().fits(names) and not names & {"ctx-lh-bankssts", "optic-chiasm", "left-vessel"}


def _table(kind: type[Dialect], program: str, name: str, signatures: Iterable[frozenset[str]], first: tuple[str, ...],
           atlases: tuple[str, ...]) -> Dialect:  # fmt: skip
    return kind(
        name=name,
        signatures=tuple(signatures),
        rules=(*ids(MEASURE, *first, *OTHER_IDS), *freesurfer_volumes(program=program), *_halves(atlases)),
        derived=_BOTH_HALVES,
        volumes_source=program,
        definitions=definitions_of(program),
        unused=_UNUSED,
        respell=_respell,
    )


FREESURFER_TABLE = _table(
    Dialect, FREESURFER, "FreeSurfer asegstats2table / aparcstats2table",
    (*(frozenset({name}) for name in (MEASURE, *_first_cells(_ATLASES))),
     *(_HIPPOCAMPI | {name} for name in ("estimatedtotalintracranialvol", "etiv", "brainsegvolnotvent", "brainsegvol"))),
    _first_cells(_ATLASES), _ATLASES,
)  # fmt: skip
FASTSURFER_TABLE = _table(
    _FastSurfer, FASTSURFER, "FastSurfer's segmentation by asegstats2table",
    (_HIPPOCAMPI | {"ctx-lh-entorhinal"}, *(frozenset({name}) for name in _first_cells((_MAPPED,)))),
    _first_cells((_MAPPED,)), (_MAPPED,),
)  # fmt: skip
SAMSEG_TABLE = _table(
    Dialect, SAMSEG, "SAMSEG by asegstats2table",
    (_HIPPOCAMPI | {"intra-cranial"}, *(_HIPPOCAMPI | {name} for name in sorted(SAMSEG_ALONE))),
    (), (),
)  # fmt: skip
