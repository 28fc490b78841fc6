"""The records of a cohort on disk: one file a scan, written when its scan is done, and whose run a folder is of.

A record is whole or absent, so a killed run, a full disk, and several processes or shards that write into one folder leave nothing
that could be believed by mistake. What is read as one file at the end is made of them (`adclip.prediction.published`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adclip.domain import RESEARCH_NOTICE, ScanItem
from adclip.errors import OutputError
from adclip.imaging.derivatives.dataset import DESCRIPTION
from adclip.imaging.derivatives.errors import place_taken
from adclip.imaging.derivatives.names import record_path
from adclip.imaging.sources.ours import is_our_dataset
from adclip.json_values import as_list, as_mapping
from adclip.prediction import errors
from adclip.prediction.fingerprints import RunIdentity
from adclip.runtime.locks import locked
from adclip.runtime.paths import check_writable, remove_leftovers, write_text

BOOK = ".adclip"  # folder of what a run remembers; a name that BIDS's tools pass over
FINGERPRINT = "fingerprint"
RUN_DIGITS = 16


@dataclass(frozen=True)
class RecordStore:
    """Where the records of one run stand; small, so that every process may have its copy.

    Parameters
    ----------
    out : Path
        Output folder.
    kind : str
        Ends the names of the files: `prediction`, `explanation`.
    run : RunIdentity
        What is asked for now; records of other runs are not taken for its own.
    results : tuple of str
        Names of the files that are made of all records.
    """

    out: Path
    kind: str
    run: RunIdentity
    results: tuple[str, ...]

    @property
    def _book(self) -> Path:
        return self.out / BOOK / f"{self.run.verb}.json"

    @property
    def _prefix(self) -> str:
        return f"{self.run.sha256[:RUN_DIGITS]}:"

    def path(self, item: ScanItem) -> Path:
        """Return where the record of a scan stands."""
        return record_path(self.out, item, self.kind)

    def write(self, item: ScanItem, record: Mapping[str, Any], fingerprint: str | None) -> None:
        """Write a record, whole or not at all; without a fingerprint it is one that the next run tries again.

        Files of an earlier record of the scan that are none of this one's go: another class's heatmap would be taken for its own.

        Raises
        ------
        OSError
            If the disk is full.
        """
        marked = {**record, FINGERPRINT: self._prefix + (fingerprint or "")}
        earlier = _read(self.path(item))
        write_text(self.path(item), json.dumps(marked) + "\n")
        self._remove_files(earlier, kept=as_mapping(record.get("files")).values())

    def find(self, item: ScanItem, fingerprint: str) -> dict[str, Any] | None:
        """Return the record of a finished scan if all that decided it is as it was, else None."""
        record = _read(self.path(item))
        return record if record.pop(FINGERPRINT, None) == self._prefix + fingerprint else None

    def read(self, item: ScanItem) -> dict[str, Any] | None:
        """Return the record that this run, or another shard of it, left of a scan; None where it is still to be done."""
        record = _read(self.path(item))
        return record if str(record.pop(FINGERPRINT, "")).startswith(self._prefix) else None

    def records(self, items: Sequence[ScanItem]) -> Iterator[dict[str, Any]]:
        """Yield the records that are there, in the order of the scans."""
        yield from (record for item in items if (record := self.read(item)) is not None)

    # ------------------------------------------------------------------------------------------- whose folder it is

    def check(self, items: Sequence[ScanItem], *, overwrite: bool) -> None:
        """Refuse a folder that cannot be written, is of another making, or holds what this run would lose; touch nothing.

        Parameters
        ----------
        items : sequence of ScanItem
            All scans of the cohort, those of other shards included.
        overwrite : bool
            Whether an earlier result may be replaced.

        Raises
        ------
        OutputError
            With the cure. An earlier run of the same model and settings over some of these scans is no obstacle: it is gone on with.
        OSError
            If the disk is full.
        """
        check_out(self.out)
        self._check_places(items)
        if overwrite:
            return
        earlier = _read(self._book)
        if not earlier:
            if any((self.out / name).exists() for name in self.results):
                raise OutputError.exists(self.out)
            return
        if not self.run.is_of_model(as_mapping(earlier.get("model"))):
            raise errors.of_another_model(self.out, self.run.verb)
        before, now = as_mapping(earlier.get("settings")), self.run.settings
        other = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if other:
            raise errors.of_other_settings(self.out, self.run.verb, other)
        missing = set(map(str, as_list(earlier.get("scans")))) - {item.stem for item in items}
        if missing:
            raise errors.of_other_scans(self.out, self.run.verb, sorted(missing))

    def begin(self, items: Sequence[ScanItem], *, overwrite: bool) -> None:
        """Make the folder this run's: say whose it is, and take away what killed processes and a replaced run left."""
        remove_leftovers(self.out)
        with self.locked():
            earlier = _read(self._book)
            scans = [item.stem for item in items]
            if overwrite:
                for name in self.results:
                    (self.out / name).unlink(missing_ok=True)
                kept = {self.path(item) for item in items}
                for path in self.out.rglob(f"sub-*_{self.kind}.json"):
                    if path not in kept and FINGERPRINT in (record := _read(path)):
                        path.unlink(missing_ok=True)
                        self._remove_files(record)
            book = {**self.run.to_dict(), "scans": scans, "notice": RESEARCH_NOTICE}
            if earlier != book:
                write_text(self._book, json.dumps(book) + "\n")

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock of what the runs of this folder share."""
        return locked(self.out / BOOK)

    def leave(self) -> None:
        """Take the book away again where nothing was done, and the folder with it if nothing else is in it."""
        shutil.rmtree(self.out / BOOK, ignore_errors=True)
        with suppress(OSError):
            self.out.rmdir()

    def _remove_files(self, record: Mapping[str, Any], kept: Collection[Any] = ()) -> None:
        """Remove the files that a record of an earlier run names, all below `out`, but for those that are kept."""
        if FINGERPRINT not in record:
            return
        for name in as_mapping(record.get("files")).values():
            if isinstance(name, str) and name not in kept and Path(name).name == name:
                (self.out / name).unlink(missing_ok=True)

    def _check_places(self, items: Sequence[ScanItem]) -> None:
        places: dict[Path, ScanItem] = {}
        for item in items:
            other = places.setdefault(self.path(item), item)
            if other is not item:
                raise place_taken(self.path(item), other.stem)


def check_out(out: Path) -> None:
    """Refuse a folder that cannot be written or is of another making, and touch nothing.

    Raises
    ------
    OutputError
        With the cure.
    OSError
        If the disk is full.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, not a folder", "choose another --out")
    if (out / DESCRIPTION).is_file() and not is_our_dataset(out):
        raise OutputError(f"{out}: holds a dataset that adclip did not make", "choose another --out")
    check_writable(out)


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object; one that is absent or damaged counts as empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
