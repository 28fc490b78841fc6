"""The scans of a run, each joined with what is known of the person; and the record of one that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adclip.clinical.settings import TableOptions
from adclip.domain import Prediction, ReadOptions, ScanItem, Visit
from adclip.errors import AdclipError
from adclip.runtime.events import OnEvent, Warned, ignore
from adclip.runtime.paths import legible, shown, without_folders
from adclip.task import ALZHEIMER, Task
from adclip.version import __version__

if TYPE_CHECKING:
    from adclip.clinical.tables.table import Table


@dataclass(frozen=True)
class Job:
    """A scan and what is known of the person; `flags` says what could not be joined, `notes` tell it, and how the scan was chosen."""

    item: ScanItem
    visit: Visit | None
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_jobs(
    inputs: tuple[Path, ...],
    metas: tuple[Path, ...],
    options: TableOptions,
    subject: str | None,
    on_event: OnEvent = ignore,
    name_pattern: str | None = None,
) -> list[Job]:
    """Find the scans and join each with its row.

    Parameters
    ----------
    inputs : tuple of Path
        Files and folders, as on the command line.
    metas : tuple of Path
        Tables; none means that nothing is known of anybody.
    options : TableOptions
        How the tables are read.
    subject : str or None
        Subject id (`--subject`) for the one scan that nothing else joins.
    on_event : OnEvent
        Is told what was noted of tables, also of those that lie beside the scans and are not used; what is to be known of a scan stands in its job, see `tell_notes`.
    name_pattern : str or None
        How names of files and folders are read (`--name-pattern`).

    Returns
    -------
    list of Job
        One for each scan, in the order found.

    Raises
    ------
    ScanError
        If there is no scan, or the names of one contradict each other.
    TableError
        If a table is unusable, or two rows match one scan.
    """
    from adclip.clinical.scans.matching import match_rows, rows_naming
    from adclip.clinical.scans.unmatched import say_unmatched
    from adclip.clinical.tables.beside import say_unused
    from adclip.clinical.tables.table import read_tables
    from adclip.imaging.sources.find import find_scans
    from adclip.imaging.sources.origins import find_origins

    items = find_scans(inputs, name_pattern)
    if not metas:
        for place, sentence in say_unused(inputs):
            on_event(Warned(str(place), sentence))
        return [Job(item, None, item.flags, item.notes) for item in items]
    table: Table = read_tables(metas, options)
    meta = table.path
    for place, sentence in table.told:
        on_event(Warned(str(place), sentence))
    jobs = []
    origins = find_origins(items, table.scans_of_nobody)
    rows = match_rows(table, items, subject, origins)
    for item, number in zip(items, rows, strict=True):
        visit = None if number is None else table.rows[number]
        notes = item.notes if visit is not None else (*item.notes, say_unmatched(table, item))
        flags = item.flags + (() if visit else ("no_metadata_row",))
        # a row that names this scan, or whom --subject names, is the user's word; that a lone row is this scan's is an assumption
        if (
            visit is not None
            and len(items) == len(table.rows) == 1
            and not rows_naming(table, item, origins.get(item.path, ()))
            and not (subject and _is_of(subject, visit))
            and (row_subject := _named_otherwise(item, visit))
        ):
            notes = (*notes, f"the only row of {meta} is of subject {row_subject}; is it this person's?")
            visit, flags = replace(visit, subject_id=item.subject_id), (*flags, "row_of_other_subject")
        jobs.append(Job(item, visit, flags, notes))
    return jobs


def tell_notes(jobs: Sequence[Job], on_event: OnEvent) -> None:
    """Tell what was noted of the scans of this run, and of how they were joined with rows."""
    for job in jobs:
        for note in job.notes:
            on_event(Warned(str(job.item.path), note))


def _is_of(subject: str, visit: Visit) -> bool:
    from adclip.clinical.tables.people import person_of

    return person_of(subject.removeprefix("sub-")) == person_of(visit.subject_id)


def _named_otherwise(item: ScanItem, visit: Visit) -> str | None:
    """Return the row's subject where BIDS's way of naming scans, or a study's, says that the scan is of another one."""
    from adclip.clinical.dialects import study_key

    if not visit.subject_id or visit.subject_id == item.subject_id:
        return None
    if item.path.name.startswith(f"sub-{item.subject_id}_"):
        named = item.subject_id
    elif key := study_key(item.path.name):
        named = key.subject
    else:
        return None
    return None if _is_of(named, visit) else visit.subject_id


def check_scans(jobs: Sequence[Job], options: ReadOptions) -> None:
    """Read a lone scan at once, so that a bad file is told before torch is loaded.

    In a cohort a bad file is told when its turn comes, so that the others go on.
    """
    from adclip.imaging.sources.files import read_volume
    from adclip.imaging.sources.in_turn import try_in_turn

    if len(jobs) == 1 and not jobs[0].item.preprocessed:
        try_in_turn(jobs[0].item, lambda item: read_volume(item.path, options), lambda item, text: None)


def failed_prediction(item: ScanItem, error: AdclipError, task: Task = ALZHEIMER) -> Prediction:
    """Return the record of a scan that could not be predicted; with null under the name of the task's score.

    What it says names no folder of this machine: the record is a file to share. The terminal has the words in full.
    """
    problem, remedy = (
        without_folders(legible(text), Path(legible(item.path))) for text in (error.problem, error.remedy)
    )
    return Prediction(
        scan=shown(item.path),
        status="failed",
        subject_id=item.subject_id,
        session_id=item.session_id,
        adclip_version=__version__,
        error=problem,
        hint=remedy,
        score_name=task.score_key,
    )


def added_flags(job: Job) -> tuple[str, ...]:
    """Return the flags of a job that its scan does not bring along: what was found when it was joined with its row."""
    of_scan = () if job.item.preprocessed else job.item.flags
    return tuple(flag for flag in job.flags if flag not in of_scan)
