"""One scan: the ids that its file, its folders or a table give it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from adclip.domain import ScanItem
from adclip.imaging.formats.contrast import CONTRAST_AGENT
from adclip.imaging.formats.names import strip_ending
from adclip.imaging.sources.agents import has_contrast_agent
from adclip.imaging.sources.archives import read_adni_folder, read_archive
from adclip.imaging.sources.folders import BIDS_NAME, is_freesurfer
from adclip.imaging.sources.name_pattern import read_pattern
from adclip.imaging.sources.ours import read_sidecar
from adclip.runtime.paths import is_folder


@dataclass(frozen=True)
class NamedScan:
    """A scan and where its ids come from."""

    item: ScanItem
    folders: tuple[str, ...] = ()  # may be put before the id where ids repeat; none for ids that count
    is_archived: bool = (
        False  # named by an archive's tree: then the folders go behind the session, as the id is the person's
    )
    line: tuple[Path, int] | None = None  # of the table that gives the ids


def name_scan(
    path: Path,
    subject_id: str = "",
    session_id: str | None = None,
    root: Path | None = None,
    pattern: re.Pattern[str] | None = None,
) -> NamedScan:
    """Return a scan with its ids: those given, else those that its sidecar, its name or its folders say.

    Parameters
    ----------
    path : Path
        A scan file, or a folder of DICOM files or of a FreeSurfer subject.
    subject_id, session_id : str, optional
        Of a table.
    root : Path, optional
        The folder that was searched; names of folders count from there.
    pattern : re.Pattern, optional
        How the user says that paths are made (`name_pattern`); it counts more than any other way of naming.
    """
    sidecar = read_sidecar(path)
    folders: tuple[str, ...] = ()
    archived = None
    counts = True  # whether others may know the person by this id
    if subject_id:
        pass
    elif sidecar is not None and sidecar.subject_id is not None:
        subject_id, session_id = sidecar.subject_id, sidecar.session_id
    elif pattern is not None and (ids := read_pattern(pattern, path)):
        subject_id, session_id = ids
    elif match := BIDS_NAME.match(path.name):
        subject_id, session_id = match["sub"], match["ses"]
    elif archived := read_archive(path):
        counts, (subject_id, session_id), folders = False, archived, path.parent.parts
    elif is_freesurfer(path):
        subject_id, session_id, folders = _from_folder(path.parent.parent, root)
    elif archived := read_adni_folder(path):
        counts, (subject_id, session_id), folders = False, archived, path.parent.parts
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
    flags = (CONTRAST_AGENT,) if sidecar is None and has_contrast_agent(path) else ()
    item = ScanItem(path, *clean, preprocessed=sidecar is not None, flags=flags, notes=tuple(notes))
    return NamedScan(item, folders, archived is not None)


def _from_folder(folder: Path, root: Path | None) -> tuple[str, str | None, tuple[str, ...]]:
    """Return subject, session and the folders above, by BIDS names from `root` downwards, else by the folder's name."""
    folder = absolute(folder)
    parts = folder.relative_to(absolute(root).parent).parts if root is not None else (folder.name,)
    subject = next((match[1] for part in reversed(parts) if (match := re.match(r"sub-([^_]+)", part))), None)
    if subject is None:
        return folder.name, None, folder.parent.parts
    session = next((match[1] for part in reversed(parts) if (match := re.search(r"(?:^|_)ses-([^_]+)", part))), None)
    return subject, session, ()


def clean_id(text: str) -> str:
    """Return `text` with everything outside `[A-Za-z0-9._-]` replaced by `-`, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-_")[:64] or "scan"


def absolute(path: Path) -> Path:
    """Return a path from the root without `..`."""
    return Path(os.path.abspath(path))  # noqa: PTH100  unlike Path.absolute it makes away with `..`
