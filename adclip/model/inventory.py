"""Which base models this machine has, and whether they are what they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adclip.model import errors
from adclip.model.bases import (
    BASE_RECORD,
    BUILTIN_FOLDER,
    KNOWN,
    BaseWeights,
    check_hash,
    read_base,
    read_base_record,
    read_recorded,
    stored,
)
from adclip.model.tensor_files import parts_of
from adclip.runtime.hashing import file_sha256


@dataclass(frozen=True)
class StoredBase:
    """One line of `adclip weights list`.

    Parameters
    ----------
    name : str
    state : str
        `shipped`, `installed` or `not fetched`.
    revision, sha256, licence, source : str or None
    size : int or None
        Bytes of the weights.
    path : Path or None
    """

    name: str
    state: str
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None
    source: str | None = None
    size: int | None = None
    path: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "path": None if self.path is None else str(self.path)}


def list_bases() -> list[StoredBase]:
    """Return the builtin base, what is in the store, and what could be fetched."""
    present = [describe("builtin"), *(describe(name) for name in stored())]
    absent = [base for base in KNOWN.values() if base.name not in {stored_base.name for stored_base in present}]
    return present + [StoredBase(b.name, "not fetched", licence=b.licence, source=b.repository) for b in absent]


def describe(name: str) -> StoredBase:
    """Return what is recorded of one base."""
    base = read_base(name)
    record = read_base_record(base.folder)
    return StoredBase(
        name,
        "shipped" if base.folder == BUILTIN_FOLDER else "installed",
        base.revision,
        base.sha256,
        record.get("licence"),
        record.get("source"),
        sum(path.stat().st_size for path in parts_of(base.weights)) if base.weights.is_file() else None,
        base.folder,
    )


def verify(name: str) -> StoredBase:
    """Hash every file of a base again, read its names and shapes, and look at every number.

    Raises
    ------
    WeightsError, CheckpointError
        Naming the file or the tensor.
    """
    base = read_base(name)
    if (base.folder / BASE_RECORD).is_file():
        check_base(base.folder)
        return describe(name)
    _check_content(base)
    return StoredBase(name, "in a folder of yours", sha256=base.sha256, path=base.folder)


def check_base(folder: Path) -> None:
    """Check a base against its own record: every file, every name, every number; see `verify`."""
    base, record = read_recorded(folder), read_base_record(folder)
    hashes = {Path(file).name: sha256 for file, sha256 in (record.get("files") or {}).items()}
    for name, sha256 in hashes.items():
        path = folder / name
        if not path.is_file():
            raise errors.no_weights(path)
        if file_sha256(path) != sha256:
            raise errors.hash_differs(path)
    check_hash(base, hashes)
    _check_content(base)


def _check_content(base: BaseWeights) -> None:
    from adclip.model.numbers import check_file
    from adclip.model.original import IGNORED, expected_shapes, read_shapes

    shapes = {base.prefix + key: shape for key, shape in read_shapes(base.weights).items()}
    expected = expected_shapes(base.config)
    if missing := {key for key, shape in expected.items() if shapes.get(key) != shape}:
        raise errors.base_keys_differ(base.weights, missing, set())
    check_file(base.weights, ignored=frozenset(name.removeprefix(base.prefix) for name in IGNORED))
