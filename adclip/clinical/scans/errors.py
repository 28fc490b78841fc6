"""What can go wrong in `adclip.clinical.scans`, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from adclip.errors import LeakError, TableError, name_some


def bare_name(path: Path | str, line: int, name: str, scans: Sequence[Path | str]) -> TableError:
    return TableError(
        f"{path} line {line}: `{name}` is the name of {len(scans)} scans of this run: {name_some(scans)}",
        "write the path of the scan, from the folder of the table, in place of its bare name: `./T1.nii` for one beside the table",
    )


def subject_of_several(path: Path | str, subject: str, scans: Sequence[Path | str]) -> TableError:
    return TableError(
        f"--subject {subject}: {len(scans)} scans have no row in {path}, and one id cannot be all of them: {name_some(scans)}",
        "give one scan at a time, or name each scan in a `scan` column of the table",
    )


def subject_in_two_parts(subjects: Sequence[str], parts: Iterable[str]) -> LeakError:
    shown = " and ".join(f"`{subject}`" for subject in subjects)
    subject_phrase = f"subjects {shown} are one person, who" if len(subjects) > 1 else f"subject {shown}"
    return LeakError(
        f"{subject_phrase} stands in more than one part of the split: {', '.join(sorted(parts))}",
        "keep all visits of a subject in one part; delete the split file to draw a new one",
    )


def same_image(first: Path | str, second: Path | str) -> LeakError:
    return LeakError(
        f"{first} and {second}: the same image under two subject ids",
        "remove one of them, or give both rows the same `subject_id`",
    )
