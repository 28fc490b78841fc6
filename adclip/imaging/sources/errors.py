"""What can go wrong in `adclip.imaging.sources`, each with its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adclip.errors import InputError, ScanError, TableError


def no_scans(path: Path | str, archives: Sequence[str] = ()) -> ScanError:
    holds = f"; it holds {len(archives)} archive{'s' * (len(archives) > 1)}, such as {archives[0]}" if archives else ""
    return ScanError(
        f"{path}: no scans in this folder (.nii, .nii.gz, .mgz, .mgh, .img/.hdr or DICOM){holds}",
        "unpack what it holds, and give that folder" if archives else "give the folder that holds the scans",
    )


def only_left_out(path: Path | str, why: str) -> ScanError:
    return ScanError(
        f"{path}: no scans in this folder; {why}", "give the folder that holds the scans, or name a file itself"
    )


def changed(path: Path | str) -> ScanError:
    return ScanError(f"{path}: the file changed while it was read", "wait until it is written, then run again")


def same_scan(path: Path | str, line: int, earlier_path: Path | str, earlier_line: int) -> TableError:
    where = (
        f"lines {earlier_line} and {line}"
        if path == earlier_path
        else f"line {line} and {earlier_path} line {earlier_line}"
    )
    return TableError(
        f"{path} {where}: one scan under two subjects or sessions", "correct the path or the id in one of the rows"
    )


def no_path_fits(pattern: str, path: Path | str, scans: int) -> InputError:
    return InputError(
        f"{path}: not made as `--name-pattern {pattern}` says"
        + (f", nor are the other {scans - 1}" if scans > 1 else ""),
        "the pattern is the end of a path, such as `{subject}/{session}/*`: `*` is anything within one name",
    )
