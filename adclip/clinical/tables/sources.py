"""What the user points at -> the tables in it: a file, a FreeSurfer subject or a folder of them, a study's extract, a BIDS dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adclip.clinical import errors as clinical_errors
from adclip.clinical.columns import CellError, parse_cell
from adclip.clinical.dialects.canonical import SOURCE
from adclip.clinical.dialects.freesurfer import subject_of
from adclip.clinical.dialects.programs import FREESURFER, definitions_of, split_scan_name
from adclip.clinical.tables import errors
from adclip.clinical.tables.alteration import Alteration
from adclip.clinical.tables.mapping import ColumnMapping
from adclip.clinical.tables.meanings import Meaning
from adclip.clinical.tables.partial import PartialRow, PartialTable, read_partial
from adclip.clinical.tables.segmentations import read_segmentation
from adclip.errors import TableError

_ENDINGS = (".csv", ".tsv", ".json", ".xlsx")
_MOST_TABLES = 100  # in one folder; a study's extract has about twenty


def read_source(
    path: Path, mappings: Sequence[ColumnMapping] = (), *, answers: bool = True, altered: Alteration | None = None
) -> list[PartialTable]:
    """Read every table at a place.

    Parameters
    ----------
    path : Path
        A table; FreeSurfer's ``aseg.stats``; a FreeSurfer subject or a folder of subjects; a BIDS dataset (participants,
        sessions, phenotype); or a folder of tables of one study.
    mappings : sequence of ColumnMapping
        Columns that the user named.
    answers : bool
        Whether diagnosis and scores are wanted, see `read_partial`.
    altered : Alteration, optional
        Changes the cells of answers as they are read.

    Raises
    ------
    TableError
        If nothing there is a table, or one of them is unusable.
    """
    if not path.is_dir():
        if path.suffix == ".stats":
            return [_read_stats([path], path)]
        return [read_partial(path, mappings, answers=answers, altered=altered)]
    stats = list(_stats_in(path))
    if stats:
        return [_read_stats(stats, path)]
    files = list(_tables_in(path))
    if not files:
        raise TableError.unreadable(path, "a folder without FreeSurfer subjects and without tables")
    if len(files) > _MOST_TABLES and not (path / "participants.tsv").is_file():  # a dataset has a file for each subject
        raise TableError.unreadable(path, f"a folder of {len(files)} tables")
    tables = []
    for file in files:
        try:
            tables.append(read_partial(file, mappings, answers=answers, altered=altered))
        except TableError as error:
            # A study's extract holds tables of no interest beside those that are; a damaged one must not pass for that.
            if error.problem != errors.no_known_column(file, ()).problem:
                raise
    if not tables:
        raise TableError.unreadable(path, "none of its tables has a column that adclip knows")
    return tables


def _stats_in(folder: Path) -> Iterator[Path]:
    """Yield the aseg.stats of a FreeSurfer subject (or its stats folder), or of all subjects of a folder."""
    for place in (folder / "aseg.stats", folder / "stats" / "aseg.stats"):
        if place.is_file():
            yield place
            return
    yield from sorted(folder.glob("*/stats/aseg.stats"))


def _tables_in(folder: Path) -> Iterator[Path]:
    if (folder / "participants.tsv").is_file():
        yield folder / "participants.tsv"
        yield from sorted(folder.glob("sub-*/sub-*_sessions.tsv"))
        yield from sorted(folder.glob("sessions.tsv"))
        yield from sorted((folder / "phenotype").glob("*.tsv"))
        return
    yield from sorted(
        file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS and file.suffix.lower() != ".json"
    )


# ----------------------------------------------------------------------------------------------- FreeSurfer's stats


def _read_stats(files: Sequence[Path], source_path: Path) -> PartialTable:
    """Read one row for each aseg.stats; ids come from the file's own `subjectname`, else from the folder."""
    rows = [PartialRow(number, _row_of(file, len(files))) for number, file in enumerate(files, start=1)]
    columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
    where = "aseg.stats and the lh and rh aparc.stats beside it"
    meanings = tuple(
        Meaning(
            source_path.name,
            where,
            column,
            "mm3" if column.endswith("_mm3") else "",
            "FreeSurfer's measure of the structure",
        )
        for column in columns
        if column != SOURCE
    )
    return PartialTable(
        source_path, "FreeSurfer stats", rows, columns, meanings, definitions=definitions_of(FREESURFER)
    )


def _row_of(file: Path, among: int) -> dict[str, Any]:
    values: dict[str, Any] = {**read_segmentation(file), SOURCE: FREESURFER}
    folder = file.parent.parent if file.parent.name == "stats" else None
    named = subject_of(file) or (folder.name if folder else "")
    subject, session = split_scan_name(folder.name if folder is not None and among > 1 else named)
    for column, value in (("subject_id", subject), ("session_id", session)):
        if value:
            try:
                values[column] = parse_cell(column, value)
            except CellError as error:
                raise clinical_errors.bad_cell(file, 1, "subjectname", error.why, error.remedy) from None
    return values
