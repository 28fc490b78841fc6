"""From what the user names - files, folders, lists - to the scans to work on and the ids they go by."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from adclip.domain import ScanItem
from adclip.errors import InputError, ScanError, TableError
from adclip.imaging.formats.names import format_of, pair_of, strip_ending
from adclip.imaging.sources.folders import (
    BIDS_NAME,
    GENERATOR,
    PREPROC_SUFFIX,
    choose_runs,
    is_freesurfer,
    is_our_dataset,
    is_our_record,
    list_scans,
)
from adclip.imaging.sources.scan_list import read_list
from adclip.runtime.paths import is_folder

__all__ = ["GENERATOR", "PREPROC_SUFFIX", "clean_id", "find_scans", "is_our_dataset", "read_sidecar"]

RUN_CHOSEN = "run_chosen"

_TABLES = (".csv", ".tsv")
# LONI's image archive: PROJECT/SUBJECT/DESCRIPTION/2005-08-26_06_36_14.0/I7128, with files or one image below
_ACQUIRED, _IMAGE = re.compile(r"\d{4}-\d\d-\d\d_\d\d_\d\d_\d\d(\.\d+)?"), re.compile(r"[IS]\d+")
_SHOWN = 3  # names in a note; the count stands before them


@dataclass(frozen=True)
class _Named:
    """A scan and where its ids come from."""

    item: ScanItem
    folders: tuple[str, ...] = ()  # may be put before the id where ids repeat; none for ids that count
    line: tuple[Path, int] | None = None  # of the table that gives the ids


def find_scans(inputs: tuple[Path, ...]) -> list[ScanItem]:
    """List the scans that `inputs` stand for, each once, in the order given (folders by name).

    Parameters
    ----------
    inputs : tuple of Path
        Scan files; folders, searched with their subfolders; folders of DICOM files; CSV or TSV tables with a `scan`
        column, whose paths are relative to the table. A file that does not exist or is no scan is listed all the same:
        reading it gives the error, so that one wrong path among many does not stop the rest.

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
        If two files claim the same subject and session.

    Notes
    -----
    Ids come from the table, else from BIDS names, else from the folders of LONI's download tree, else from the cleaned name of
    the file, the DICOM folder or the FreeSurfer subject; where plain names repeat (`anna/T1.nii.gz`, `bert/T1.nii.gz`) the folder's name is put in front.
    Ids of tables and of BIDS names, by which tables are joined, are taken as they are; only what no output's name may
    hold (`+`, say) becomes `-`, and the item says so. Of several T1w files of one session that a folder
    holds side by side one is chosen (`folders.choose_runs`) and the item says so; files named by the user are never
    dropped, so two of one session are an error.
    In a BIDS dataset only `*_T1w` is listed, in an adclip derivatives folder only adclip's preprocessed scans, of a
    FreeSurfer subject only its whole head, and in no folder a file whose name ends with mask, segmentation or another
    contrast.
    """
    found: dict[str, _Named] = {}
    for given in inputs:
        named: Iterator[_Named]
        if is_folder(given):
            named = iter(_in_folder(given))
        elif given.suffix.lower() in _TABLES:
            named = _in_table(given)
        else:
            named = iter([_to_item(given)])
        for one in named:
            key = _identity(one.item.path)
            found[key] = _join(found[key], one) if key in found else one
    return _with_unique_ids(list(found.values()))


def read_sidecar(scan: Path) -> dict[str, object] | None:
    """Return the sidecar of a scan that adclip preprocessed, or None if it is not one."""
    if not scan.name.endswith(PREPROC_SUFFIX):
        return None
    try:
        sidecar = json.loads(scan.with_name(scan.name.removesuffix(".nii.gz") + ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return sidecar if isinstance(sidecar, dict) and is_our_record(sidecar) else None


def without_failed(items: list[ScanItem]) -> list[ScanItem]:
    """Leave out derivatives whose quality verdict is `fail`: what is wrong with them would be learnt as well."""

    def failed(item: ScanItem) -> bool:
        flags = (read_sidecar(item.path) or {}).get("Flags")
        return isinstance(flags, list) and "qc_fail" in flags

    return [item for item in items if not failed(item)]


def clean_id(text: str) -> str:
    """Return `text` with everything outside `[A-Za-z0-9._-]` replaced by `-`, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-_")[:64] or "scan"


def _identity(path: Path) -> str:
    """Return what two names of one scan have in common: links resolved, a pair by its header."""
    if format_of(path.name) == "pair":
        path = pair_of(path)[0]
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # no file can have this name
        return str(path)


def _join(first: _Named, second: _Named) -> _Named:
    """Make one of a scan that was found twice: ids of a table count, and two of them may not differ."""
    notes = tuple(dict.fromkeys(first.item.notes + second.item.notes))
    ids = [(one.item.subject_id, one.item.session_id) for one in (first, second)]
    if ids[0] != ids[1] and first.line and second.line:
        raise TableError.same_scan(second.line[0], second.line[1], first.line[0], first.line[1])
    kept = second if second.line and not first.line else first
    return replace(kept, item=replace(kept.item, notes=notes))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  unlike Path.absolute it makes away with `..`


# ----------------------------------------------------------------------------------------------- names


def _to_item(path: Path, subject_id: str = "", session_id: str | None = None, root: Path | None = None) -> _Named:
    sidecar = read_sidecar(path)
    folders: tuple[str, ...] = ()
    counts = True  # whether others may know the person by this id
    if subject_id:
        pass
    elif sidecar is not None and isinstance(sidecar.get("SubjectID"), str):
        session = sidecar.get("SessionID")
        subject_id, session_id = str(sidecar["SubjectID"]), session if isinstance(session, str) else None
    elif match := BIDS_NAME.match(path.name):
        subject_id, session_id = match["sub"], match["ses"]
    elif archived := _from_archive(path):
        counts, subject_id, folders = False, archived, path.parent.parts
    elif is_freesurfer(path):
        subject_id, session_id, folders = _from_folder(path.parent.parent, root)
    elif is_folder(path):
        subject_id, session_id, folders = _from_folder(path, root)
    else:
        counts = False
        # `IXI013-HH-1212_T1.nii.gz` is a scan of IXI013-HH-1212: the contrast is no part of who it is
        plain = strip_ending(path.name)
        subject_id = re.sub(r"[._-]T1w?$", "", plain, flags=re.IGNORECASE) or plain
        folders = path.parent.parts
    clean = clean_id(subject_id), clean_id(session_id) if session_id else None
    notes = []
    if counts and not folders and clean != (subject_id, session_id or None):
        was, now = ("/".join(filter(None, ids)) for ids in ((subject_id, session_id), clean))
        notes = [f"`{was}` goes by `{now}` here: ids may use only letters, digits, `.`, `_`, `-`, up to 64"]
    return _Named(ScanItem(path, *clean, preprocessed=sidecar is not None, notes=tuple(notes)), folders)


def _from_archive(path: Path) -> str | None:
    """Return project, subject, moment and image of a scan in LONI's download tree: the last folder's name alone says none of it.

    A folder called after a moment alone is anybody's, a backup say; the folders above it are then nobody's name.
    """
    folders = _absolute(path).parts
    for place in range(len(folders) - 1, 3, -1):
        below = strip_ending(folders[place + 1]) if place + 1 < len(folders) else ""
        if _ACQUIRED.fullmatch(folders[place]) and _IMAGE.fullmatch(below):
            image = re.search(r"_(I\d+)$", strip_ending(path.name))
            return "_".join((folders[place - 3], folders[place - 2], folders[place], image[1] if image else below))
    return None


def _from_folder(folder: Path, root: Path | None) -> tuple[str, str | None, tuple[str, ...]]:
    """Return subject, session and the folders above, by BIDS names from `root` downwards, else by the folder's name."""
    folder = _absolute(folder)
    parts = folder.relative_to(_absolute(root).parent).parts if root is not None else (folder.name,)
    subject = next((match[1] for part in reversed(parts) if (match := re.match(r"sub-([^_]+)", part))), None)
    if subject is None:
        return folder.name, None, folder.parent.parts
    session = next((match[1] for part in reversed(parts) if (match := re.search(r"(?:^|_)ses-([^_]+)", part))), None)
    return subject, session, ()


def _in_folder(folder: Path) -> list[_Named]:
    try:
        listing = list_scans(folder)
    except OSError:
        raise ScanError.unreadable(folder) from None
    ours, unfinished = is_our_dataset(folder), []
    result = []
    for path, others in choose_runs(listing.scans).items():
        named = _to_item(path, root=folder)
        if ours and not named.item.preprocessed:
            if path.name.endswith(PREPROC_SUFFIX):
                unfinished.append(path)
            continue
        if is_freesurfer(path):
            note = f"FreeSurfer subject {_absolute(path).parent.parent.name}: reading mri/{path.name}"
            if path.name == "T1.mgz":
                note += ", whose intensities FreeSurfer has normalised"
            named = _noted(named, note)
        elif others:
            note = f"{named.item.stem}: {len(others) + 1} T1w files, reading {path.name}; name another one to use it"
            named = _noted(replace(named, item=replace(named.item, flags=(RUN_CHOSEN,))), note)
        result.append(named)
    left_out = {**listing.left_out, "unfinished, or of a scan that was refused later": unfinished}
    notes = [_say_left_out(folder, why, paths) for why, paths in left_out.items() if paths]
    if not result:
        raise ScanError.only_left_out(folder, "; ".join(notes)) if notes else ScanError.no_scans(folder)
    return [_noted(result[0], *notes), *result[1:]]


def _noted(named: _Named, *notes: str) -> _Named:
    return replace(named, item=replace(named.item, notes=(*named.item.notes, *notes)))


def _say_left_out(folder: Path, why: str, paths: list[Path]) -> str:
    shown = [path.relative_to(folder).as_posix() for path in paths[:_SHOWN]]
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"left out {len(paths)} file{'s' * (len(paths) > 1)} {why}: {', '.join(shown)}{more}"


def _in_table(path: Path) -> Iterator[_Named]:
    rows = read_list(path)
    nobody = len(rows) > 1 and not any(row.subject_id for row in rows)
    for number, row in enumerate(rows):
        named = _to_item(row.scan, row.subject_id, row.session_id)
        if nobody and number == 0:
            named = _noted(
                named, f"{path.name}: no column of subject ids; its {len(rows)} scans go by the names of their files"
            )
        yield replace(named, line=(path, row.line) if row.subject_id or row.session_id else None)


# ----------------------------------------------------------------------------------------------- unique ids


def _with_unique_ids(found: list[_Named]) -> list[ScanItem]:
    result = []
    taken: dict[tuple[str, str | None], ScanItem] = {}
    for item in _grow(found):
        key = (item.subject_id, item.session_id)
        if key in taken:
            raise InputError(
                f"{item.path}: is subject `{item.subject_id}`"
                + (f", session `{item.session_id}`" if item.session_id else "")
                + f", and so is {taken[key].path}",
                "give one of them, or a table with the columns `scan`, `subject_id` and `session_id`",
            )
        taken[key] = item
        result.append(item)
    return result


def _grow(found: list[_Named]) -> list[ScanItem]:
    """Put folder names before plain ids that repeat, as many as it takes to tell them apart."""
    names = [one.item.subject_id for one in found]
    for depth in range(1, max((len(one.folders) for one in found), default=0) + 1):
        counts = Counter((name, one.item.session_id) for name, one in zip(names, found, strict=True))
        for index, one in enumerate(found):
            if counts[names[index], one.item.session_id] > 1 and depth <= len(one.folders):
                names[index] = clean_id("-".join((*one.folders[-depth:], one.item.subject_id)))
    return [replace(one.item, subject_id=name) for name, one in zip(names, found, strict=True)]
