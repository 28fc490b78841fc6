"""Taking turns: runs that share a folder write what they share one after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = ".adclip.lock"
_PATIENCE_S = 60.0  # a table takes milliseconds to write and a page seconds; then the user hears why nothing happens
_log = logging.getLogger(__name__)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the lock of an output folder: two runs into one folder take turns where they share a file.

    It is waited for however long that takes, because hours of work may stand behind a row; now and then a warning says so.
    """
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / LOCK_FILE)
    while True:
        try:
            lock.acquire(timeout=_PATIENCE_S)
            break
        except Timeout:
            _log.warning("waiting for another run to release %s; if none runs, delete that file", out / LOCK_FILE)
    try:
        yield
    finally:
        lock.release()
