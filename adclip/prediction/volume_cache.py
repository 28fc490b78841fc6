"""The scans of a cohort as one memory-mapped array, kept between runs: read once, not for every method and seed.

Exact: int16 steps of the derivatives' own quantum, so that training sees what prediction sees. The name is the hash of what is
inside; a checksum is compared before it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import atomic_path, cache_folder, remove_leftovers, write_text

UNUSED_DAYS = 30  # caches that nobody used for so long are removed
FORMAT = 1  # of what is in the array; another number makes other names

Volumes = NDArray[np.int16]


def read_volumes(
    keys: Sequence[str], contract: InputContract, read_one: Callable[[int], Volumes]
) -> tuple[Volumes, bool]:
    """Return the volumes (N, D, H, W) of scans, from the cache if they are there.

    Parameters
    ----------
    keys : sequence of str
        SHA-256 of each scan's file, in order.
    contract : InputContract
    read_one : callable
        Place -> volume (D, H, W); called in order, and not at all if the cache holds them.

    Returns
    -------
    volumes : ndarray (N, D, H, W), int16
        Mapped from disk, or in memory where the disk is full or read-only.
    cached : bool
        Whether they came from the cache.
    """
    name = hashlib.sha256(json.dumps([FORMAT, list(keys), contract.to_dict()]).encode()).hexdigest()[:32]
    path = cache_folder() / "volumes" / f"{name}.npy"
    cached = _read(path)
    if cached is not None and cached.shape == (len(keys), *contract.shape):
        return cached, True
    shape = (len(keys), *contract.shape)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unused(path.parent)
        with atomic_path(path) as temporary:
            volumes = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.int16, shape=shape)
            # the space is taken now: a full disk should be noticed before the first scan, not as a crash in the middle
            with temporary.open("r+b") as stream, contextlib.suppress(AttributeError):
                os.posix_fallocate(stream.fileno(), 0, temporary.stat().st_size)
            for place in range(len(keys)):
                volumes[place] = read_one(place)
            volumes.flush()
            write_text(path.with_suffix(".json"), json.dumps({"sha256": file_sha256(temporary)}) + "\n")
        fresh = np.load(path, mmap_mode="c")
        return fresh, False
    except OSError:
        return np.stack([read_one(place) for place in range(len(keys))]), False


def _read(path: Path) -> Volumes | None:
    """Return the array if it is there and whole."""
    try:
        expected_sha256 = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
        if file_sha256(path) != expected_sha256:
            return None
        os.utime(path)
        volumes: Volumes = np.load(path, mmap_mode="c")  # changes, if any, stay in memory
        return volumes
    except (OSError, ValueError, KeyError):
        return None


def _remove_unused(folder: Path) -> None:
    remove_leftovers(folder)
    for path in folder.glob("*.npy"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > UNUSED_DAYS * 86_400:
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink()
