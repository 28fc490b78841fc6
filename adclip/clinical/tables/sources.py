"""What the user points at -> the tables in it: a file, a FreeSurfer subject or a folder of them, a study's extract, a BIDS dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adclip.clinical import errors as clinical_errors
from adclip.clinical.columns import CellError, parse_cell
from adclip.clinical.dialects.canonical import SOURCE
from adclip.clinical.dialects.freesurfer import subject_of
from adclip.clinical.dialects.programs import FREESURFER, split_scan_name
from adclip.clinical.dialects.stats_files import ScanVolumes, is_samseg_csv, read_stats, table_of
from adclip.clinical.tables import errors
from adclip.clinical.tables.alteration import Alteration
from adclip.clinical.tables.mapping import ColumnMapping
from adclip.clinical.tables.meanings import Meaning
from adclip.clinical.tables.partial import PartialRow, PartialTable, read_partial
from adclip.errors import TableError

_ENDINGS = (".csv", ".tsv", ".json", ".xlsx")
_NOT_PEOPLE = re.compile(
    r"fsaverage|lost\+found$|cvs_avg35"
)  # FreeSurfer's average brains; what a file system check saves
_LONG = ".long."
_MOST_TABLES = 100  # in one folder; a study's extract has about twenty


def read_source(
    path: Path, mappings: Sequence[ColumnMapping] = (), *, answers: bool = True, altered: Alteration | None = None
) -> list[PartialTable]:
    """Read every table at a place.

    Parameters
    ----------
    path : Path
        A table; FreeSurfer's ``aseg.stats`` and its like; a FreeSurfer, FastSurfer or SAMSEG result or a folder of them; a BIDS dataset (participants,
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
        if path.suffix == ".stats" or is_samseg_csv(path):
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
        except errors.NothingOfInterestError:
            continue  # a study's extract holds such tables beside those that are; a damaged one does not pass for that
    if not tables:
        raise TableError.unreadable(path, "none of its tables has a column that adclip knows")
    return tables


def _stats_in(folder: Path) -> Iterator[Path]:
    """Yield the table of a FreeSurfer, FastSurfer or SAMSEG result (or of its stats folder), or those of all results in a folder."""
    if own := table_of(folder) or table_of(folder / "stats"):
        yield own
        return
    is_bids = (folder / "participants.tsv").is_file()  # there a folder of one such table is anything but a subject
    places = sorted(path for path in folder.iterdir() if path.is_dir() and not _NOT_PEOPLE.match(path.name))
    tables = {place: table_of(place / "stats") or (None if is_bids else table_of(place)) for place in places}
    yield from _once_each(tables)


def _once_each(tables: Mapping[Path, Path | None]) -> Iterator[Path]:
    """Yield the tables of subjects' folders, of FreeSurfer's longitudinal stream the last of its three for each visit.

    ``TIMEPOINT.long.TEMPLATE`` stands beside the visit's own folder and the template's, which is of no visit. Where it has no table, as
    its run is not finished, that of the visit's own folder counts.
    """
    replaced = set[str]()
    for place, table in tables.items():
        visit, long, template = place.name.partition(_LONG)
        if long:
            replaced |= {template} if table is None else {visit, template}
    yield from (table for place, table in tables.items() if table is not None and place.name not in replaced)


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
    """Read one row for each table of one scan; ids come from its own `subjectname`, else from the folder."""
    measured = [read_stats(file) for file in files]
    rows = [
        PartialRow(number, _row_of(file, volumes, len(files)))
        for number, (file, volumes) in enumerate(zip(files, measured, strict=True), start=1)
    ]
    _check_once(files, rows, source_path)
    columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
    programs = list(dict.fromkeys(volumes.program for volumes in measured))
    where = "aseg.stats and the lh and rh aparc.stats beside it" if programs == [FREESURFER] else files[0].name
    meanings = tuple(
        Meaning(
            source_path.name,
            where,
            column,
            "mm3" if column.endswith("_mm3") else "",
            f"{' and '.join(programs)}'s measure of the structure",
        )
        for column in columns
        if column != SOURCE
    )
    definitions = measured[0].definitions if len(programs) == 1 else {}
    failed = tuple(row.line for row in rows if SOURCE not in row.values)
    of_long = sum(_LONG in part for file in files for part in file.parts[-3:-1])
    notes = (f"{_say_stream(of_long, len(files) - of_long)}; what else there is of a visit is not read",)
    return PartialTable(
        source_path,
        f"{' and '.join(programs)} stats",
        rows,
        columns,
        meanings,
        definitions=definitions,
        notes=notes if of_long and len(files) > 1 else (),
        failed=failed,
    )


def _say_stream(longitudinal: int, others: int) -> str:
    first = f"{longitudinal} {'result is' if longitudinal == 1 else 'results are'} of the longitudinal stream (TIMEPOINT.long.TEMPLATE)"
    if not others:
        return first
    return f"{first}, {others} {'is' if others == 1 else 'are'} cross-sectional, of visits that the stream has not done"


def _check_once(files: Sequence[Path], rows: Sequence[PartialRow], source_path: Path) -> None:
    """Refuse two results of one subject and session in a folder, by the names of theirs."""
    first: dict[tuple[Any, Any], Path] = {}
    for file, row in zip(files, rows, strict=True):
        who = (row.values.get("subject_id"), row.values.get("session_id"))
        if first.setdefault(who, file) is not file:
            shown = [place.relative_to(source_path).parts[0] for place in (first[who], file)]
            raise errors.same_result(source_path, *shown)


def _row_of(file: Path, measured: ScanVolumes, among: int) -> dict[str, Any]:
    values: dict[str, Any] = dict(measured.volumes)
    if values:
        values[SOURCE] = measured.program
    folder = file.parent.parent if file.parent.name in ("stats", "samseg") else None
    if folder is None and (among > 1 or file.parent.name.startswith("sub-")):
        folder = file.parent
    stated = subject_of(file) if file.suffix == ".stats" else ""
    named = stated or (folder.name if folder else "")
    subject, session = split_scan_name(folder.name if folder is not None and among > 1 else named)
    for column, value in (("subject_id", subject), ("session_id", session)):
        if value:
            try:
                values[column] = parse_cell(column, value)
            except CellError as error:
                raise clinical_errors.bad_cell(file, 1, "subjectname", error.why, error.remedy) from None
    return values
