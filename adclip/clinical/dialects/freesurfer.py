"""FreeSurfer's own tables of volumes: aseg.stats of versions 4 to 7, and lh and rh aparc.stats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adclip.clinical import errors
from adclip.clinical.columns import CellError, parse_cell, to_number
from adclip.errors import TableError

# FreeSurfer's colour table: segment ids of aseg
_ASEG: dict[str, tuple[int, ...]] = {"hippocampus_left_mm3": (17,), "hippocampus_right_mm3": (53,)}
_ASEG_VENTRICLES = (4, 43, 5, 44, 14, 15)
_ASEG_CHOROID = (31, 63)  # absent from the table where there is none
APARC = {"entorhinal": "entorhinal_mm3", "fusiform": "fusiform_mm3", "middletemporal": "middle_temporal_mm3"}
# The same gyri as voxels, where a table counts the cortex with the rest: FastSurfer's aseg+DKT.stats, aparc+aseg by mri_segstats
_CORTEX = {"entorhinal_mm3": (1006, 2006), "fusiform_mm3": (1007, 2007), "middle_temporal_mm3": (1015, 2015)}
# Parcellations of a subject in the order of choice; DKTatlas40 is FreeSurfer 5's name for DKTatlas, `.mapped` FastSurfer's
PARCELLATIONS = ("aparc", "aparc.DKTatlas.mapped", "aparc.DKTatlas", "aparc.DKTatlas40")
# Measure names of FreeSurfer 5.x, 6 and 7; 4.x and 5.0 call the same estimate IntraCranialVol
_ICV_MEASURES = ("EstimatedTotalIntraCranialVol", "IntraCranialVol")


def subject_of(path: Path) -> str:
    """Return the `subjectname` that a .stats file gives, or an empty text."""
    for _, tokens in lines_of(path):
        if tokens[:2] == ["#", "subjectname"] and len(tokens) > 2:
            return tokens[2]
    return ""


def lines_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and words of every line; raise TableError where there is no such text."""
    if not path.exists():
        raise TableError.missing_file(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise TableError.unreadable(path, "it is not text") from None
    for number, line in enumerate(text.splitlines(), start=1):
        yield number, line.split()


def read_aseg(path: Path) -> dict[str, float]:
    """Read hippocampi, ventricles, brain and intracranial volume from aseg.stats.

    Returns
    -------
    dict of str to float
        Canonical columns to mm3; only what the file holds whole.

    Raises
    ------
    TableError
        If the file is absent, is no aseg.stats, or a value is no volume in mm3; with its line.
    """
    measures: dict[str, tuple[int, float]] = {}
    segments: dict[int, tuple[int, float]] = {}
    columns = ["Index", "SegId", "NVoxels", "Volume_mm3", "StructName"]  # as in every version from 4 to 7
    for line, tokens in lines_of(path):
        if tokens[:2] == ["#", "Measure"]:
            parts = [part.strip() for part in " ".join(tokens[2:]).split(",")]
            if len(parts) >= 4 and parts[-1] == "mm^3":
                measures[parts[0]] = (line, to_volume(path, line, parts[0], parts[-2]))
            elif parts[0] in (*_ICV_MEASURES, "BrainSegNotVent"):
                raise errors.bad_cell(path, line, parts[0], "no volume in mm^3")
        elif tokens[:2] == ["#", "ColHeaders"]:
            columns = tokens[2:]
        elif tokens and tokens[0] != "#":
            if len(tokens) < 5 or "SegId" not in columns or "Volume_mm3" not in columns:
                raise TableError.bad_row(path, line, "not a row of aseg.stats")
            segment = to_volume(path, line, "SegId", tokens[columns.index("SegId")])
            segments[int(segment)] = (line, to_volume(path, line, "Volume_mm3", tokens[columns.index("Volume_mm3")]))
    if not segments:
        raise TableError.unreadable(path, "no segment in it; the file is cut off or is no aseg.stats")
    volumes_mm3: dict[str, float] = {}
    for column, codes in {**_ASEG, **_CORTEX}.items():
        # what is counted as 0 was not found; `--empty` lists every structure
        if all(segments.get(code, (0, 0.0))[1] for code in codes):
            volumes_mm3[column] = check_volume(
                path, segments[codes[0]][0], column, sum(segments[code][1] for code in codes)
            )
    if all(code in segments for code in _ASEG_VENTRICLES):
        total = sum(segments[code][1] for code in (*_ASEG_VENTRICLES, *_ASEG_CHOROID) if code in segments)
        if total:
            volumes_mm3["ventricles_mm3"] = check_volume(
                path, segments[_ASEG_VENTRICLES[0]][0], "ventricles_mm3", total
            )
    for name in _ICV_MEASURES:
        if measures.get(name, (0, 0.0))[1] and "icv_mm3" not in volumes_mm3:
            volumes_mm3["icv_mm3"] = check_volume(path, measures[name][0], "icv_mm3", measures[name][1])
    if measures.get("BrainSegNotVent", (0, 0.0))[1]:
        line, value = measures["BrainSegNotVent"]
        volumes_mm3["whole_brain_mm3"] = check_volume(path, line, "whole_brain_mm3", value)
    return with_both_hippocampi(volumes_mm3)


def _read_hemisphere(path: Path) -> dict[str, tuple[int, float]]:
    """Read one hemisphere's gyri, with their lines, under their canonical names: half of what those names mean."""
    columns: list[str] = []
    volumes_mm3: dict[str, tuple[int, float]] = {}
    for line, tokens in lines_of(path):
        if tokens[:2] == ["#", "ColHeaders"]:
            columns = tokens[2:]
        elif tokens and tokens[0] in APARC:
            if "GrayVol" not in columns or len(tokens) != len(columns):
                raise TableError.bad_row(path, line, "not a row of aparc.stats")
            volumes_mm3[APARC[tokens[0]]] = line, to_volume(path, line, "GrayVol", tokens[columns.index("GrayVol")])
    if not volumes_mm3:
        raise TableError.unreadable(path, "no gyrus in it; the file is cut off or is no aparc.stats")
    return volumes_mm3


def read_both_hemispheres(folder: Path) -> dict[str, float]:
    """Add up lh.aparc.stats and rh.aparc.stats of a folder, else those of the DKT atlas; nothing where there are no two."""
    both = ([folder / f"{side}h.{name}.stats" for side in "lr"] for name in PARCELLATIONS)
    pair = next((pair for pair in both if all(file.is_file() for file in pair)), None)
    return _add_hemispheres(*pair) if pair else {}


def _add_hemispheres(left: Path, right: Path) -> dict[str, float]:
    left_gyri, right_gyri = _read_hemisphere(left), _read_hemisphere(right)
    return {
        column: check_volume(left, line, column, volume + right_gyri[column][1])
        for column, (line, volume) in left_gyri.items()
        if column in right_gyri
    }


def with_both_hippocampi(volumes_mm3: dict[str, float]) -> dict[str, float]:
    """Add `hippocampus_mm3` where both sides are known."""
    if "hippocampus_left_mm3" in volumes_mm3 and "hippocampus_right_mm3" in volumes_mm3:
        volumes_mm3["hippocampus_mm3"] = volumes_mm3["hippocampus_left_mm3"] + volumes_mm3["hippocampus_right_mm3"]
    return volumes_mm3


def to_volume(path: Path, line: int, column: str, text: str) -> float:
    """Read a number that is not negative, or say in which line and column it is not."""
    try:
        value = to_number(text)
    except CellError:
        raise errors.bad_cell(path, line, column, "not a number") from None
    if value < 0:
        raise errors.bad_cell(path, line, column, "not a volume")
    return value


def check_volume(path: Path, line: int, column: str, value: float) -> float:
    """Refuse what no adult brain has: other units, or another table."""
    try:
        parse_cell(column, repr(value))
    except CellError as error:
        raise errors.bad_cell(path, line, column, error.why, error.remedy) from None
    return value


def read_aparc(path: Path) -> dict[str, float]:
    """Read both hemispheres' gyri, asked for one of lh.aparc.stats and rh.aparc.stats, or of those of the DKT atlas.

    Raises
    ------
    TableError
        If the other hemisphere's table is not beside it: half of a gyrus must not pass for the whole.
    """
    _read_hemisphere(path)
    left, right = (path.with_name(f"{side}h.{path.name[3:]}") for side in "lr")
    if path.name[3:].removesuffix(".stats") in PARCELLATIONS and left.is_file() and right.is_file():
        return _add_hemispheres(left, right)
    raise TableError.unreadable(
        path, f"one hemisphere only, and volumes here are of both; put {left.name} and {right.name} side by side"
    )
