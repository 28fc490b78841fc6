"""Tables of one scan that FreeSurfer, FastSurfer and SAMSEG write: which program wrote one, and what volumes it holds.

Forms: mri_segstats and FastSurfer's segstats.py write rows of a segmentation (`aseg.stats`, `aseg+DKT.VINN.stats`), SAMSEG writes
`# Measure NAME, VOLUME, mm^3` (`samseg.stats`, `sbtiv.stats`), a CSV of structures (`samseg.csv`) and a file in FreeSurfer's form
whose eTIV is its own sum (`samseg.fs.stats`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adclip.clinical.dialects.freesurfer import (
    check_volume,
    lines_of,
    read_aparc,
    read_aseg,
    read_both_hemispheres,
    to_volume,
    with_both_hippocampi,
)
from adclip.clinical.dialects.programs import FASTSURFER, FREESURFER, SAMSEG, definitions_of
from adclip.errors import TableError

# The tables of a scan in the order of choice. FastSurfer's full run writes FreeSurfer's aseg.stats as well, with the eTIV that its
# own tables lack; its first version had another name for what `aseg+DKT.stats` holds.
_TABLES = (
    "aseg.stats", "aseg+DKT.VINN.stats", "aseg+DKT.stats", "aseg.VINN.stats", "aparc.DKTatlas+aseg.deep.volume.stats",
    "samseg.fs.stats", "samseg.stats", "samseg.csv",
)  # fmt: skip
_FASTSURFER_NAME = re.compile(r"\+DKT|VINN|\.deep\.", re.IGNORECASE)
# What no other program segments: SAMSEG models the whole head.
SAMSEG_ALONE = frozenset({"skull", "soft-nonbrain-tissue", "soft", "fluid-inside-eyes"})
_INTRACRANIAL = "Intra-Cranial"
_HEADER_LINES = 400  # of a table that are looked through for the program; the longest has 170 lines
_VENTRICLES = (
    "Left-Lateral-Ventricle", "Right-Lateral-Ventricle", "Left-Inf-Lat-Vent", "Right-Inf-Lat-Vent", "3rd-Ventricle",
    "4th-Ventricle",
)  # fmt: skip
_CHOROID = ("Left-choroid-plexus", "Right-choroid-plexus")
_HIPPOCAMPI = {"hippocampus_left_mm3": "Left-Hippocampus", "hippocampus_right_mm3": "Right-Hippocampus"}


@dataclass(frozen=True)
class ScanVolumes:
    """Volumes of one scan out of a program's own table.

    Parameters
    ----------
    program : str
        `FreeSurfer`, `FastSurfer` or `SAMSEG`.
    volumes : mapping of str to float
        Canonical columns, mm3; only what the table holds.
    definitions : mapping of str to str
        What some of them sum there.
    """

    program: str
    volumes: Mapping[str, float]
    definitions: Mapping[str, str]


def is_samseg_csv(path: Path) -> bool:
    """Whether a table is SAMSEG's CSV of one scan, by its header ``ROI,volume_mm3,...``."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.readline(200).decode("utf-8-sig", "replace").strip().lower().startswith("roi,volume_mm3")


def table_of(folder: Path) -> Path | None:
    """Return the table of one scan to read in a folder, None where no program has left any."""
    return next((path for name in _TABLES if (path := folder / name).is_file()), None)


def read_stats(path: Path) -> ScanVolumes:
    """Read one table of one scan.

    Parameters
    ----------
    path : Path
        ``aseg.stats`` and its like (the lh and rh aparc.stats beside it are read too), one ``aparc.stats``, or a table of SAMSEG's.

    Raises
    ------
    TableError
        If the file is absent, is none of these, or a value is no volume in mm3; with its line.
    """
    if path.suffix.lower() == ".csv" or _is_list_of_measures(path):
        return ScanVolumes(SAMSEG, _read_samseg(path), definitions_of(SAMSEG))
    program = program_of(path)
    if re.match(r"[lr]h\.", path.name):
        return ScanVolumes(program, read_aparc(path), definitions_of(program))
    # What stands in the table itself counts more than its neighbours: FastSurfer counts the gyri's voxels in its own.
    volumes = {**read_both_hemispheres(path.parent), **read_aseg(path)}
    return ScanVolumes(program, volumes, definitions_of(program))


def program_of(path: Path) -> str:
    """Return the program that wrote a table: by what it says, by its name, by the files beside it; FreeSurfer if nothing speaks against it.

    FastSurfer's ``aseg.stats`` is written by FreeSurfer's own mri_segstats, of FastSurfer's segmentation: the files beside it tell.
    """
    if path.name.startswith(("samseg", "sbtiv")):
        return SAMSEG
    for number, tokens in lines_of(path):
        if tokens[:2] == ["#", "FastSurfer_version"] or tokens[:3] == ["#", "generating_program", "segstats.py"]:
            return FASTSURFER
        if len(tokens) > 4 and tokens[0] != "#" and tokens[4].lower() in SAMSEG_ALONE:
            return SAMSEG
        if number > _HEADER_LINES:
            break
    if _FASTSURFER_NAME.search(path.name) or ".mapped." in path.name or _is_of_fastsurfer(path.parent):
        return FASTSURFER
    return FREESURFER


def _is_of_fastsurfer(stats: Path) -> bool:
    """Whether a `stats` folder is one that FastSurfer filled."""
    beside = any(
        _FASTSURFER_NAME.search(file.name) or ".mapped." in file.name
        for file in stats.glob("*.stats")
        if file.is_file()
    )
    return beside or (stats.name == "stats" and (stats.parent / "scripts" / "deep-seg.log").is_file())


def _is_list_of_measures(path: Path) -> bool:
    """Whether a table has SAMSEG's lines ``# Measure NAME, VOLUME, mm^3`` alone: three parts, where FreeSurfer's have five."""
    lines = [" ".join(tokens).split(",") for _, tokens in lines_of(path) if tokens]
    return bool(lines) and all(len(parts) == 3 and parts[0].startswith("# Measure") for parts in lines)


def _read_samseg(path: Path) -> dict[str, float]:
    """Read the structures of samseg.stats, sbtiv.stats or samseg.csv; the intracranial volume may stand in sbtiv.stats beside it."""
    counted = {name: (line, to_volume(path, line, name, text)) for line, name, text in _samseg_lines(path)}
    if not counted:
        raise TableError.unreadable(path, "no structure in it; the file is cut off")
    beside = path.with_name("sbtiv.stats")
    volumes: dict[str, float] = {}
    if _INTRACRANIAL in counted:
        volumes["icv_mm3"] = check_volume(path, counted[_INTRACRANIAL][0], "icv_mm3", counted[_INTRACRANIAL][1])
    elif beside != path and beside.is_file():
        volumes |= _read_samseg(beside)
    for column, name in _HIPPOCAMPI.items():
        if name in counted:
            volumes[column] = check_volume(path, counted[name][0], column, counted[name][1])
    if all(name in counted for name in _VENTRICLES):
        total = sum(counted[name][1] for name in (*_VENTRICLES, *_CHOROID) if name in counted)
        volumes["ventricles_mm3"] = check_volume(path, counted[_VENTRICLES[0]][0], "ventricles_mm3", total)
    return with_both_hippocampi(volumes)


def _samseg_lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, structure and volume as text."""
    csv = path.suffix.lower() == ".csv"
    for line, tokens in lines_of(path):
        parts = [part.strip() for part in " ".join(tokens).removeprefix("# Measure ").split(",")]
        if not tokens or (csv and parts[0].lower().lstrip("\ufeff") == "roi"):
            continue
        if len(parts) < 2 or (not csv and parts[-1] != "mm^3"):
            raise TableError.bad_row(path, line, "no structure with a volume in mm^3")
        yield line, parts[0], parts[1]
