"""The bytes of a scan: hashed once, and known to be those that were read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from adclip.domain import ReadOptions
from adclip.imaging.formats.names import format_of, pair_of
from adclip.imaging.sources import errors
from adclip.imaging.sources.files import scan_sha256

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Source:
    """What stood in a scan's files at one moment.

    Parameters
    ----------
    sha256 : str
        See `files.scan_sha256`.
    stamp : tuple
        Name, size, time of change and inode of each file, taken before the bytes were read.
    """

    sha256: str
    stamp: Stamp


def hash_source(path: Path, options: ReadOptions, stamp: Stamp | None = None) -> Source:
    """Hash a scan's files.

    Parameters
    ----------
    path : Path
        File or DICOM folder.
    options : ReadOptions
        Which DICOM series.
    stamp : tuple or None
        `stamp_of(path)` from before the scan was read; None takes it now.

    Raises
    ------
    ScanError
        If a file is missing.
    """
    stamp = stamp_of(path) if stamp is None else stamp
    return Source(scan_sha256(path, options), stamp)


def check_unchanged(path: Path, stamp: Stamp) -> None:
    """Compare a scan's files with their stamp; equal means that hash and voxels are of the same bytes.

    Raises
    ------
    ScanError
        If somebody wrote to them meanwhile.
    """
    if stamp_of(path) != stamp:
        raise errors.changed(path)


def stamp_of(path: Path) -> Stamp:
    """Return name, size, time of change and inode of every file that belongs to the scan."""
    if path.is_dir():
        with os.scandir(path) as entries:
            files = [Path(entry.path) for entry in entries if entry.is_file()]
    else:
        files = list(pair_of(path)) if format_of(path.name) == "pair" else [path]
    stamp = []
    for file in sorted(files):
        try:
            state = file.stat()
        except OSError:  # whoever reads it says what is wrong
            continue
        stamp.append((file.name, state.st_size, state.st_mtime_ns, state.st_ino))
    return tuple(stamp)
