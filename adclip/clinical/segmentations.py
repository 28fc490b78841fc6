"""Volume tables that other software left beside a scan: FreeSurfer, SynthSeg, DLMUSE.

Each reader returns canonical columns in mm3 and nothing that the file does not hold. What `ventricles_mm3` and
`whole_brain_mm3` sum differs between programs; `VENTRICLES` and `WHOLE_BRAIN` say it, and the caller should pass it on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adclip.clinical.freesurfer import (
    APARC,
    check_volume,
    read_aparc,
    read_aseg,
    read_both_hemispheres,
    subject_of,
    to_volume,
    with_both_hippocampi,
)
from adclip.clinical.records import read_records
from adclip.errors import TableError

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

_SYNTHSEG_SIDES = (
    "cerebral white matter", "cerebral cortex", "cerebellum white matter", "cerebellum cortex", "thalamus", "caudate",
    "putamen", "pallidum", "hippocampus", "amygdala", "accumbens area", "ventral DC",
)  # fmt: skip
_SIDES = ("left", "right")
_SYNTHSEG: dict[str, tuple[str, ...]] = {
    "hippocampus_left_mm3": ("left hippocampus",),
    "hippocampus_right_mm3": ("right hippocampus",),
    "ventricles_mm3": (
        *(f"{side} {name}" for side in _SIDES for name in ("lateral ventricle", "inferior lateral ventricle")),
        "3rd ventricle", "4th ventricle",
    ),
    "whole_brain_mm3": (*(f"{side} {name}" for side in _SIDES for name in _SYNTHSEG_SIDES), "brain-stem"),
    "icv_mm3": ("total intracranial",),
    **{column: (f"ctx-lh-{name}", f"ctx-rh-{name}") for name, column in APARC.items()},
}  # fmt: skip

# MUSE region codes (NiChart's dictionary)
_MUSE: dict[str, tuple[int, ...]] = {
    "hippocampus_left_mm3": (48,),
    "hippocampus_right_mm3": (47,),
    "ventricles_mm3": (4, 11, 49, 50, 51, 52),
    "whole_brain_mm3": (701,),  # less the ventricles, see `_read_csv`
    "icv_mm3": (702,),
    "entorhinal_mm3": (116, 117),
    "fusiform_mm3": (122, 123),
    "middle_temporal_mm3": (154, 155),
}
_MUSE_NAME = re.compile(r"(?:dl_muse_volume_|muse_volume_|muse_|dl_muse_)?(\d{1,3})", re.IGNORECASE)
_ENDINGS = re.compile(r"(\.nii|\.mgz|\.mgh|\.img|\.hdr)?(\.gz)?$", re.IGNORECASE)
_MOST_TABLES = 50  # CSV files beside a scan that are looked into
_IMAGE_ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh", ".img")


@dataclass(frozen=True)
class Found:
    """Volumes from a table beside a scan.

    Parameters
    ----------
    path : Path
        The table; for FreeSurfer its aseg.stats.
    software : str
        `FreeSurfer`, `SynthSeg` or `DLMUSE`.
    volumes : mapping of str to float
        Canonical columns, mm3.
    definitions : mapping of str to str
        What `ventricles_mm3` and `whole_brain_mm3` sum here.
    """

    path: Path
    software: str
    volumes: Mapping[str, float]
    definitions: Mapping[str, str]


def find_segmentation(scan_path: Path, subject_id: str = "") -> Found | None:
    """Look beside a scan for volumes that FreeSurfer, SynthSeg or DLMUSE measured on it.

    Parameters
    ----------
    scan_path : Path
        The scan's file or DICOM folder.
    subject_id : str
        How the subject is called, without `sub-`; a table of several people is read at this name or the scan's.

    Returns
    -------
    Found or None
        From the first of: the `stats` folder of a FreeSurfer subject that holds the scan; `stats/aseg.stats` or
        `aseg.stats` in the scan's folder; CSV files there that name the scan or the subject.

    Raises
    ------
    TableError
        If a table that belongs to the scan is damaged, or names it more than once.

    Notes
    -----
    A table that could be another person's is left alone: an `aseg.stats` between several scans counts only if its
    `subjectname` is this subject, and a row without a name only if the file's name begins with the scan's.
    """
    scan_path = Path(scan_path).absolute()
    names = _names_of(scan_path, subject_id)
    for path in _freesurfer_tables(scan_path, names):
        return Found(path, FREESURFER, read_segmentation(path), _definitions(FREESURFER))
    tables = [path for path in sorted(scan_path.parent.glob("*.csv"))[:_MOST_TABLES] if path.is_file()]
    for path in tables:
        software = _software_of(path)
        if software is not None:
            volumes = _read_csv(path, software, names, must_be_named=True)
            if volumes:
                return Found(path, software, volumes, _definitions(software))
    return None


def read_segmentation(path: Path, names: Iterable[str] = ()) -> dict[str, float]:
    """Read one table of volumes.

    Parameters
    ----------
    path : Path
        FreeSurfer's aseg.stats (the lh and rh aparc.stats beside it are read too) or one aparc.stats; SynthSeg's `--vol`
        CSV; DLMUSE's CSV.
    names : iterable of str
        How the scan may be called in a CSV; not needed where the table has one row.

    Returns
    -------
    dict of str to float
        Canonical columns to mm3; only what the file holds.

    Raises
    ------
    TableError
        If the file is absent, is none of these, has no row of these names, or a cell is no volume in mm3; with its line.
    """
    path = Path(path)
    if path.suffix == ".stats":
        found = read_aparc(path) if ".aparc" in path.name else read_aseg(path)
        if ".aparc" not in path.name:
            found |= read_both_hemispheres(path.parent)
        return found
    software = _software_of(path)
    if software is None:
        raise TableError.unreadable(path, "neither FreeSurfer's, SynthSeg's nor DLMUSE's table of volumes")
    return _read_csv(path, software, frozenset(names), must_be_named=False)


def _definitions(software: str) -> dict[str, str]:
    return {"ventricles_mm3": VENTRICLES[software], "whole_brain_mm3": WHOLE_BRAIN[software]}


def _names_of(scan_path: Path, subject_id: str) -> frozenset[str]:
    stem = _ENDINGS.sub("", scan_path.name)
    bare = re.sub(r"_T1w?$", "", stem)
    return frozenset(
        name for name in (scan_path.name, stem, bare, subject_id, f"sub-{subject_id}") if name not in ("", "sub-")
    )


def _freesurfer_tables(scan_path: Path, names: frozenset[str]) -> Iterator[Path]:
    """Yield the aseg.stats that belong to a scan, nearest first."""
    folder = scan_path.parent
    for home in (folder, folder.parent):
        if home.name == "mri" and (home.parent / "stats" / "aseg.stats").is_file():
            yield home.parent / "stats" / "aseg.stats"
    alone = sum(entry.name.lower().endswith(_IMAGE_ENDINGS) for entry in folder.iterdir()) <= 1
    for path in (folder / "stats" / "aseg.stats", folder / "aseg.stats"):
        if path.is_file() and (alone or subject_of(path) in names):
            yield path


def _software_of(path: Path) -> str | None:
    """Whose CSV this is, by its header; None for any other table."""
    try:
        _, header = next(read_records(path, {"subject", "mrid", "left hippocampus"}))
    except (TableError, StopIteration):
        return None
    names = [name.strip() for name in header]
    if "left hippocampus" in names and "right hippocampus" in names:
        return SYNTHSEG
    if names[0].upper() == "MRID" and any(_MUSE_NAME.fullmatch(name) for name in names[1:]):
        return DLMUSE
    return None


def _read_csv(path: Path, software: str, names: frozenset[str], must_be_named: bool) -> dict[str, float]:
    records = read_records(path, {"subject", "mrid", "left hippocampus"})
    _, header = next(records)
    rows = list(records)
    known = {name.lower() for name in names}
    matching = [row for row in rows if row[1] and {row[1][0].lower(), _ENDINGS.sub("", row[1][0]).lower()} & known]
    if not matching and len(rows) == 1:
        named_by_file = not rows[0][1][0].strip() and any(path.name.lower().startswith(name) for name in known)
        if named_by_file or not must_be_named:
            matching = rows
    if must_be_named and not matching:
        return {}
    if not matching:
        raise TableError.no_rows(path, "no row with the name of the scan or subject")
    if len(matching) > 1:
        raise TableError.ambiguous(path, f"{software} row", [line for line, _ in matching])
    line, cells = matching[0]
    if len(cells) != len(header):
        raise TableError.bad_row(path, line, f"{len(cells)} cells, the header has {len(header)}")
    position = {_column_name(name, software): number for number, name in enumerate(header)}
    wanted = _SYNTHSEG if software == SYNTHSEG else {key: tuple(map(str, codes)) for key, codes in _MUSE.items()}
    found = {}
    for column, parts in wanted.items():
        if all(part in position for part in parts):
            found[column] = sum(to_volume(path, line, header[position[part]], cells[position[part]]) for part in parts)
    if software == DLMUSE and "whole_brain_mm3" in found:
        total = found.pop("whole_brain_mm3")  # not given where its ventricles are unknown
        if "ventricles_mm3" in found:
            found["whole_brain_mm3"] = total - found["ventricles_mm3"]
    found = {column: check_volume(path, line, column, value) for column, value in found.items()}
    return with_both_hippocampi(found)


def _column_name(name: str, software: str) -> str:
    name = name.strip()
    match = _MUSE_NAME.fullmatch(name) if software == DLMUSE else None
    return match.group(1) if match else name
