"""The files of a RUN that are shared, and whether they are the ones that its record names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from adclip.model import errors
from adclip.model.record import ADAPTER_RECORD, ADAPTER_WEIGHTS, RECORD_HASH, AdapterRecord, hash_record, read_record
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import write_text

CARD = "README.md"
UNHASHED = f"{ADAPTER_RECORD} names no hashes (written by an earlier adclip): damage of its files would go unnoticed"


def hash_files(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of the files that stand beside the record and are shared with it."""
    return {name: file_sha256(folder / name) for name in (ADAPTER_WEIGHTS, CARD) if (folder / name).is_file()}


def check_files(folder: Path, record: AdapterRecord, known: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Compare the files of a RUN with the hashes of its record.

    Parameters
    ----------
    folder : Path
    record : AdapterRecord
    known : mapping, optional
        Name -> SHA-256 that the caller has just computed.

    Returns
    -------
    tuple of str
        What is to be known: that a record of an earlier version names none.

    Raises
    ------
    CheckpointError
        Naming the file that is missing or another one.
    """
    if record.files is None:
        return (UNHASHED,)
    for name, sha256 in record.files.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise errors.damaged(folder, f"{path.name} is missing")
        if (known or {}).get(name, None) != sha256 and file_sha256(path) != sha256:
            raise errors.file_differs(path)
    return ()


def check_record(folder: Path) -> tuple[str, ...]:
    """Compare what the record of a RUN says with its own hash: calibration, shares and measured numbers are in no other file.

    Returns
    -------
    tuple of str
        What is to be known: that a record of an earlier version has no hash.

    Raises
    ------
    CheckpointError
        If it was changed since it was written.
    """
    content = json.loads((folder / ADAPTER_RECORD).read_text(encoding="utf-8"))
    if RECORD_HASH not in content:
        return (
            f"{ADAPTER_RECORD} has no hash of its own (written by an earlier adclip): a changed number would go unnoticed",
        )
    if content[RECORD_HASH] != hash_record(content):
        raise errors.damaged(folder / ADAPTER_RECORD, "was changed since it was written")
    return ()


def stamp(folder: Path) -> AdapterRecord:
    """Write the hashes of the files beside it into the record of a RUN that is there already, and return that record.

    What the files are is not asked: this is for those who made them.

    Raises
    ------
    CheckpointError
        If there is no record that can be read.
    """
    record = dataclasses.replace(read_record(folder), files=hash_files(folder))
    write_text(folder / ADAPTER_RECORD, record.to_json())
    return record
