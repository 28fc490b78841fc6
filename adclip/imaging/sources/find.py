"""From what the user names - files, folders, lists - to the scans to work on and the ids they go by."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from adclip.domain import ScanItem
from adclip.errors import InputError
from adclip.imaging import errors as imaging_errors
from adclip.imaging.formats.names import format_of, pair_of, strip_ending
from adclip.imaging.sources import errors
from adclip.imaging.sources.folders import is_freesurfer, list_scans
from adclip.imaging.sources.item import NamedScan, absolute, clean_id, name_scan
from adclip.imaging.sources.name_pattern import FLAG, compile_pattern, read_pattern
from adclip.imaging.sources.ours import PREPROC_SUFFIX, is_our_dataset
from adclip.imaging.sources.runs import Choice, choose_runs
from adclip.imaging.sources.scan_list import read_list
from adclip.runtime.paths import is_folder

RUN_CHOSEN = "run_chosen"

LISTS = (".csv", ".tsv")
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar", ".dcm.gz", ".nii.bz2", ".nii.xz", ".nii.zst")
_SHOWN = 3  # names in a note; the count stands before them
_PEOPLE_SHOWN = 20  # people are named: nobody should miss them unseen


def find_scans(inputs: tuple[Path, ...], name_pattern: str | None = None) -> list[ScanItem]:
    """List the scans that `inputs` stand for, each once, in the order given (folders by name).

    Parameters
    ----------
    inputs : tuple of Path
        Scan files; folders, searched with their subfolders; folders of DICOM files; CSV or TSV tables with a `scan`
        column, whose paths are relative to the table. A file that does not exist or is no scan is listed all the same:
        reading it gives the error, so that one wrong path among many does not stop the rest.
    name_pattern : str, optional
        How paths are made, see `name_pattern.compile_pattern`; for scans that no list and no sidecar names.

    Returns
    -------
    list of ScanItem
        `preprocessed` is true for derivatives that adclip wrote; `flags` and `notes` tell of choices among several. What
        a folder holds beside its scans is told by a note of its first scan.

    Raises
    ------
    ScanError
        If a folder holds no scan, or may not be read.
    TableError
        If a table is missing, unreadable, has no `scan` column, or gives one scan to two subjects or sessions.
    InputError
        If two files claim the same subject and session, or no path is made as the pattern says.
    ConfigError
        If the pattern is none.

    Notes
    -----
    Ids come from the table, else from BIDS names, else from the folders of LONI's download tree, else from the cleaned name of
    the file, the DICOM folder or the FreeSurfer subject; where plain names repeat (`anna/T1.nii.gz`, `bert/T1.nii.gz`) the folder's name is put in front.
    Ids of tables and of BIDS names, by which tables are joined, are taken as they are; only what no output's name may
    hold (`+`, say) becomes `-`, and the item says so. Of several T1w files of one session that a folder
    holds side by side one is chosen (`runs.choose_runs`) and the item says so; files named by the user are never
    dropped, so two of one session are an error.
    In a BIDS dataset only `*_T1w` is listed, in an adclip derivatives folder only adclip's preprocessed scans, of a
    FreeSurfer subject only its whole head, and in no folder a file whose name ends with mask, segmentation or another
    contrast.
    """
    pattern = compile_pattern(name_pattern) if name_pattern else None
    scans: dict[str, NamedScan] = {}
    for input_path in inputs:
        named: Iterator[NamedScan]
        if is_folder(input_path):
            named = iter(_in_folder(input_path, pattern))
        elif input_path.suffix.lower() in LISTS:
            named = _in_table(input_path, pattern)
        else:
            named = iter([name_scan(input_path, pattern=pattern)])
        for scan in named:
            key = _identity(scan.item.path)
            scans[key] = _join(scans[key], scan) if key in scans else scan
    named_scans = list(scans.values())
    return _with_unique_ids(named_scans if pattern is None else _check_fit(named_scans, pattern, str(name_pattern)))


def _check_fit(named_scans: list[NamedScan], pattern: re.Pattern[str], text: str) -> list[NamedScan]:
    """Refuse a pattern that fits no path, and note where it fits none: the ids would be others than the user means."""
    named_by_path = [named for named in named_scans if not named.item.preprocessed and named.line is None]
    unfit = [named.item.path for named in named_by_path if read_pattern(pattern, named.item.path) is None]
    if unfit and len(unfit) == len(named_by_path):
        raise errors.no_path_fits(text, unfit[0], len(unfit))
    note = f"its path is not made as {FLAG} says; it goes by "
    return [_noted(named, note + named.item.stem) if named.item.path in unfit else named for named in named_scans]


def _identity(path: Path) -> str:
    """Return what two names of one scan have in common: links resolved, a pair by its header."""
    if format_of(path.name) == "pair":
        path = pair_of(path)[0]
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # no file can have this name
        return str(path)


def _join(first: NamedScan, second: NamedScan) -> NamedScan:
    """Make one of a scan that was found twice: ids of a table count, and two of them may not differ."""
    notes = tuple(dict.fromkeys(first.item.notes + second.item.notes))
    ids = [(scan.item.subject_id, scan.item.session_id) for scan in (first, second)]
    if ids[0] != ids[1] and first.line and second.line:
        raise errors.same_scan(second.line[0], second.line[1], first.line[0], first.line[1])
    primary = second if second.line and not first.line else first
    return replace(primary, item=replace(primary.item, notes=notes))


def _in_folder(folder: Path, pattern: re.Pattern[str] | None) -> list[NamedScan]:
    try:
        listing = list_scans(folder)
    except OSError:
        raise imaging_errors.unreadable(folder) from None
    is_own_dataset, unfinished = is_our_dataset(folder), []
    result = []
    for choice in choose_runs(listing.scans):
        path = choice.path
        named = name_scan(path, root=folder, pattern=pattern)
        if is_own_dataset and not named.item.preprocessed:
            if path.name.endswith(PREPROC_SUFFIX):
                unfinished.append(path)
            continue
        if is_freesurfer(path):
            note = f"FreeSurfer subject {absolute(path).parent.parent.name}: reading mri/{path.name}"
            if path.name == "T1.mgz":
                note += ", whose intensities FreeSurfer has normalised"
            named = _noted(named, note)
        elif choice.others:
            named = _chosen(named, choice)
        result.append(named)
    skipped = {**listing.skipped, "unfinished, or of a scan that was refused later": unfinished}
    notes = [_say_skipped(folder, why, paths) for why, paths in skipped.items() if paths]
    if listing.without_t1w:
        notes.append(_say_without_t1w(listing.without_t1w))
    if not result:
        raise errors.only_left_out(folder, "; ".join(notes)) if notes else errors.no_scans(folder, _archives(folder))
    return [_noted(result[0], *notes), *result[1:]]


def _archives(folder: Path) -> list[str]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in names if name.lower().endswith(ARCHIVES))


def _chosen(named: NamedScan, choice: Choice) -> NamedScan:
    """Return a scan that was one of several, with the others to fall back on, and a note that says why it was taken."""
    count = len(choice.others) + 1
    note = f"{named.item.stem}: {count} T1w files, reading {choice.path.name} ({choice.reason}); name another one to use it"
    item = replace(named.item, flags=(*named.item.flags, RUN_CHOSEN), others=choice.others)
    return _noted(replace(named, item=item), note)


def _say_without_t1w(people: dict[str, list[str]]) -> str:
    listed = [f"{who} ({', '.join(kinds)})" for who, kinds in people.items()]
    more = f" and {len(listed) - _PEOPLE_SHOWN} more" if len(listed) > _PEOPLE_SHOWN else ""
    return (
        f"left out, as they have no T1w scan: {', '.join(listed[:_PEOPLE_SHOWN])}{more}; an image computed as T1w "
        "can be named itself"
    )


def _noted(named: NamedScan, *notes: str) -> NamedScan:
    return replace(named, item=replace(named.item, notes=(*named.item.notes, *notes)))


def _say_skipped(folder: Path, why: str, paths: list[Path]) -> str:
    shown = [path.relative_to(folder).as_posix() for path in paths[:_SHOWN]]
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"left out {len(paths)} file{'s' * (len(paths) > 1)} {why}: {', '.join(shown)}{more}"


def _in_table(path: Path, pattern: re.Pattern[str] | None) -> Iterator[NamedScan]:
    rows = read_list(path)
    nobody = len(rows) > 1 and not any(row.subject_id for row in rows)
    for number, row in enumerate(rows):
        named = name_scan(row.scan, row.subject_id, row.session_id, pattern=pattern)
        if nobody and number == 0:
            named = _noted(
                named, f"{path.name}: no column of subject ids; its {len(rows)} scans go by the names of their files"
            )
        yield replace(named, line=(path, row.line) if row.subject_id or row.session_id else None)


# ----------------------------------------------------------------------------------------------- unique ids


def _with_unique_ids(named_scans: list[NamedScan]) -> list[ScanItem]:
    result = []
    items_by_ids: dict[tuple[str, str | None], ScanItem] = {}
    for item in _grow(named_scans):
        key = (item.subject_id, item.session_id)
        if key in items_by_ids:
            raise InputError(
                f"{item.path}: is subject `{item.subject_id}`"
                + (f", session `{item.session_id}`" if item.session_id else "")
                + f", and so is {items_by_ids[key].path}",
                "give one of them, or a table with the columns `scan`, `subject_id` and `session_id`",
            )
        items_by_ids[key] = item
        result.append(item)
    return result


def _grow(named_scans: list[NamedScan]) -> list[ScanItem]:
    """Put folder names before plain ids that repeat, as many as it takes to tell them apart; behind the session in an archive's tree."""
    names = [(scan.item.subject_id, scan.item.session_id) for scan in named_scans]
    for depth in range(1, max((len(scan.folders) for scan in named_scans), default=0) + 1):
        counts = Counter(names)
        for index, scan in enumerate(named_scans):
            if counts[names[index]] > 1 and depth <= len(scan.folders):
                names[index] = _longer(scan, scan.folders[-depth:])
    return [
        replace(scan.item, subject_id=subject_id, session_id=session_id)
        for scan, (subject_id, session_id) in zip(named_scans, names, strict=True)
    ]


def _longer(scan: NamedScan, folders: tuple[str, ...]) -> tuple[str, str | None]:
    item = scan.item
    if not scan.is_archived:
        return clean_id("-".join((*folders, item.subject_id))), item.session_id
    plain = strip_ending(item.path.name)
    return item.subject_id, clean_id("_".join((item.session_id or "", "-".join((*folders[1:], plain)))))
