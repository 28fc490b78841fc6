"""Volume tables that other software left beside a scan: FreeSurfer, FastSurfer, SAMSEG, SynthSeg, DLMUSE, hippodeep.

Each reader returns canonical columns in mm3 and nothing that the file does not hold. What `ventricles_mm3` and
`whole_brain_mm3` sum differs between programs; `VENTRICLES` and `WHOLE_BRAIN` say it, and the caller should pass it on.
CSV tables are read by the rules of `adclip.clinical.dialects.programs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adclip.clinical import errors
from adclip.clinical.columns import MISSING, CellError, parse_cell
from adclip.clinical.dialects import PROGRAMS
from adclip.clinical.dialects.base import Dialect
from adclip.clinical.dialects.freesurfer import subject_of
from adclip.clinical.dialects.programs import (
    DLMUSE,
    FREESURFER,
    SYNTHSEG,
    VENTRICLES,
    WHOLE_BRAIN,
    stem_of,
)
from adclip.clinical.dialects.stats_files import is_samseg_csv, read_stats, table_of
from adclip.clinical.tables.records import read_records
from adclip.errors import TableError

__all__ = [
    "DLMUSE", "FREESURFER", "SYNTHSEG", "VENTRICLES", "WHOLE_BRAIN", "SegmentationTable", "find_segmentation", "read_segmentation",
]  # fmt: skip

_MOST_TABLES = 50  # CSV files beside a scan that are looked into
_SOFTWARE = tuple(dict.fromkeys(str(program.volumes_source) for program in PROGRAMS))
_WANTED = frozenset(
    source for program in PROGRAMS for rule in program.rules for source in rule.sources if source
)  # they decide which delimiter fits
_IMAGE_ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh", ".img")


@dataclass(frozen=True)
class SegmentationTable:
    """Volumes from a table beside a scan.

    Parameters
    ----------
    path : Path
        The table; for FreeSurfer its aseg.stats.
    software : str
        `FreeSurfer`, `FastSurfer`, `SAMSEG`, `SynthSeg`, `DLMUSE` or `hippodeep`.
    volumes : mapping of str to float
        Canonical columns, mm3.
    definitions : mapping of str to str
        What `ventricles_mm3` and `whole_brain_mm3` sum here.
    """

    path: Path
    software: str
    volumes: Mapping[str, float]
    definitions: Mapping[str, str]


def find_segmentation(scan_path: Path, subject_id: str = "") -> SegmentationTable | None:
    """Look beside a scan for volumes that another program measured on it.

    Parameters
    ----------
    scan_path : Path
        The scan's file or DICOM folder.
    subject_id : str
        How the subject is called, without `sub-`; a table of several people is read at this name or the scan's.

    Returns
    -------
    SegmentationTable or None
        From the first of: the `stats` folder of a FreeSurfer or FastSurfer subject that holds the scan; the same tables, or
        SAMSEG's, in the scan's folder or its `stats`; CSV files there that name the scan or the subject.

    Raises
    ------
    TableError
        If a table that belongs to the scan is damaged, or names it more than once.

    Notes
    -----
    A table that could be another person's, or another visit's, is left alone: an `aseg.stats` or its like between several scans counts
    only if its `subjectname` is this subject, a row without a name only if the file's name begins with the scan's, and a row
    that names the subject alone only if no other session of theirs lies in the folder.
    """
    scan_path = Path(scan_path)
    names = _names_of(scan_path, subject_id)
    for path in _stats_of(scan_path, names):
        measured = read_stats(path)
        return SegmentationTable(path, measured.program, measured.volumes, measured.definitions)
    tables = [path for path in sorted(scan_path.parent.glob("*.csv"))[:_MOST_TABLES] if path.is_file()]
    for path in tables:
        dialect = _dialect_of(path)
        if dialect is not None:
            volumes = _read_csv(path, dialect, names, must_be_named=True)
            if volumes:
                return SegmentationTable(path, str(dialect.volumes_source), volumes, dialect.definitions)
    return None


def read_segmentation(path: Path, names: Iterable[str] = ()) -> dict[str, float]:
    """Read one table of volumes.

    Parameters
    ----------
    path : Path
        A program's table of one scan (`stats_files.read_stats`), or a CSV of SynthSeg, DLMUSE, hippodeep or asegstats2table.
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
    if path.suffix == ".stats" or is_samseg_csv(path):
        return dict(read_stats(path).volumes)
    dialect = _dialect_of(path)
    if dialect is None:
        raise TableError.unreadable(
            path, f"neither {', '.join(_SOFTWARE[:-1])} nor {_SOFTWARE[-1]} writes such a table of volumes"
        )
    return _read_csv(path, dialect, frozenset(names), must_be_named=False)


def _names_of(scan_path: Path, subject_id: str) -> frozenset[str]:
    stem = stem_of(scan_path.name)
    bare = re.sub(r"_T1w?$", "", stem)
    names = {scan_path.name, stem, bare}
    if subject_id and len(_sessions_beside(scan_path, subject_id)) <= 1:
        names |= {subject_id, f"sub-{subject_id}"}
    return frozenset(names)


def _sessions_beside(scan_path: Path, subject_id: str) -> set[str]:
    """Return the BIDS sessions of a subject among the images of a scan's folder."""
    named = (
        re.match(rf"sub-{re.escape(subject_id)}_ses-([A-Za-z0-9]+)", path.name) for path in scan_path.parent.iterdir()
    )
    return {match[1] for match in named if match}


def _stats_of(scan_path: Path, names: frozenset[str]) -> Iterator[Path]:
    """Yield the tables of one scan that belong to this one, nearest first."""
    folder = scan_path.parent
    for home in (folder.absolute(), folder.absolute().parent):
        if home.name == "mri" and (path := table_of(home.parent / "stats")):
            yield path
    alone = sum(entry.name.lower().endswith(_IMAGE_ENDINGS) for entry in folder.iterdir()) <= 1
    for path in filter(None, (table_of(folder / "stats"), table_of(folder))):
        if alone or (path.suffix == ".stats" and subject_of(path) in names):
            yield path


def _dialect_of(path: Path) -> Dialect | None:
    """Return the kind of a CSV by its header; None for any other table."""
    try:
        _, header = next(read_records(path, _WANTED))
    except (TableError, StopIteration):
        return None
    names = [name.strip().lower() for name in header]
    return next((program for program in PROGRAMS if program.fits(frozenset(program.spell(names)))), None)


def _read_csv(path: Path, dialect: Dialect, names: frozenset[str], must_be_named: bool) -> dict[str, float]:
    records = read_records(path, _WANTED)
    _, header = next(records)
    rows = list(records)
    place = _place_of_names(header, dialect)
    folded_names = {name.lower() for name in names}
    matching = [
        row for row in rows if place is not None and len(row[1]) > place and _said(row[1][place]) & folded_names
    ]
    if not matching and len(rows) == 1:
        unnamed = place is None or len(rows[0][1]) <= place or not rows[0][1][place].strip()
        if (unnamed and _begins_with(path.name, folded_names)) or not must_be_named:
            matching = rows
    if must_be_named and not matching:
        return {}
    if not matching:
        raise TableError.no_rows(path, "no row with the name of the scan or subject")
    if len(matching) > 1:
        raise errors.ambiguous(path, f"{dialect.volumes_source} row", [line for line, _ in matching])
    line, cells = matching[0]
    if len(cells) != len(header):
        raise TableError.bad_row(path, line, f"{len(cells)} cells, the header has {len(header)}")
    return _read_volumes(path, line, header, cells, dialect)


def _place_of_names(header: list[str], dialect: Dialect) -> int | None:
    """Return where the column stands that names the scans, None where there is none."""
    written = [name.strip().lower() for name in header]
    sources = [rule.sources[0] for rule in dialect.rules if rule.column == "subject_id"]
    return next((written.index(source) for source in sources if source in written), None)


def _said(cell: str) -> set[str]:
    """Return what a cell may call a scan, in lower case: itself, and the name of its file without ending."""
    return {cell.lower(), stem_of(cell.rpartition("/")[2]).lower()}


def _begins_with(file_name: str, names: Iterable[str]) -> bool:
    """Whether a file's name is one of `names` and more behind it: `anna_hippoLR_volumes.csv` is no table of `ann`."""
    return any(re.match(rf"{re.escape(name)}(?![a-z0-9])", file_name.lower()) for name in names)


def _read_volumes(path: Path, line: int, header: list[str], cells: list[str], dialect: Dialect) -> dict[str, float]:
    """Read the volumes of one row by the rules of its dialect."""
    position = {name: number for number, name in enumerate(dialect.spell([name.strip().lower() for name in header]))}
    volumes_mm3: dict[str, float] = {}
    for rule in dialect.rules:
        if not rule.column.endswith("_mm3") or rule.column in volumes_mm3 or not position.keys() >= set(rule.sources):
            continue
        texts = [cells[position[source]].strip() for source in rule.sources]
        texts = ["" if text in MISSING else text for text in texts]
        try:
            value = rule.read(*texts) if rule.read else parse_cell(rule.column, texts[0])
        except CellError as error:
            shown = " + ".join(header[position[source]] for source in rule.sources)
            raise errors.bad_cell(path, line, shown, error.why, error.remedy) from None
        if value is not None:
            volumes_mm3[rule.column] = value
    return volumes_mm3
