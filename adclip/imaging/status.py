"""`status.tsv`: what became of every scan of a derivatives folder, kept by all runs that share it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.errors import OutputError
from adclip.imaging.limits import LIMITS
from adclip.paths import write_text

STATUS_FILE = "status.tsv"
LOCK_FILE = ".adclip.lock"
COLUMNS = (
    "scan", "subject_id", "session_id", "status", "verdict", "reasons", "seconds", *(limit.name for limit in LIMITS),
    "left_right", "flags", "error", "hint",
)  # fmt: skip
_LOCK_SECONDS = 60.0  # a table takes milliseconds to write; longer means that a dead machine holds the lock


@dataclass(frozen=True)
class ScanRow:
    """What became of one scan.

    Parameters
    ----------
    scan : str
        The file as the user named it.
    subject_id, session_id : str
        Names of the output.
    status : str
        `done`; `kept` where a whole earlier result was kept, or the scan is a derivative already; `failed`.
    seconds : float
        Time spent.
    qc : mapping
        Quality numbers, `verdict` and `reasons`.
    flags : tuple of str
        See `PreparedScan.flags`.
    error, hint : str or None
        What was wrong and what to do, where `status` is `failed`.
    """

    scan: str
    subject_id: str
    session_id: str | None
    status: str
    seconds: float = 0.0
    qc: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    error: str | None = None
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return one flat record of plain JSON types; `error` and `hint` only where there are any."""
        record: dict[str, Any] = {
            "scan": self.scan,
            "subject_id": self.subject_id,
            "session_id": self.session_id,
            "status": self.status,
            "seconds": round(self.seconds, 1),
            **self.qc,
            "flags": list(self.flags),
        }
        if self.error is not None:
            record |= {"error": self.error, "hint": self.hint}
        return record


class StatusTable:
    """The table of one derivatives folder: a row for each subject and session, sorted; the latest result wins.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def add(self, row: ScanRow) -> None:
        """Enter one row and write the table whole.

        A scan that was kept leaves the row of the run that did it, so that an interrupted and resumed run ends with the
        table of an uninterrupted one.
        """
        record = row.to_dict()
        if Path(row.scan).is_absolute():  # the table may be shared: it tells nobody's folders
            name = Path(row.scan).name
            record["scan"] = name
            record["error"] = row.error.replace(row.scan, name) if row.error else None
        with locked(self._out):
            rows = {_key(old): old for old in self.rows()}
            new = {name: _as_cell(record.get(name)) for name in COLUMNS}
            if row.status == "kept":
                old = rows.get(_key(new), {})
                new["status"] = "done"
                new["seconds"] = old["seconds"] if old.get("status") == "done" else new["seconds"]
            rows[_key(new)] = new
            text = io.StringIO()
            writer = csv.DictWriter(
                text, COLUMNS, delimiter="\t", lineterminator="\n", restval="n/a", extrasaction="ignore"
            )  # fmt: skip
            writer.writeheader()
            writer.writerows(rows[key] for key in sorted(rows))
            write_text(self._out / STATUS_FILE, text.getvalue())

    def rows(self) -> list[dict[str, str]]:
        """Return the rows on disk, as text, in their order."""
        path = self._out / STATUS_FILE
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_MINIMAL))


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the lock of a derivatives folder: two runs into one folder take turns where they share a file."""
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / LOCK_FILE, timeout=_LOCK_SECONDS):
            yield
    except Timeout:
        raise OutputError(
            f"{out}: another run has held {LOCK_FILE} for over a minute",
            "wait for it, or delete that file if none runs",
        ) from None


def _key(row: Mapping[str, str]) -> tuple[str, str]:
    return row.get("subject_id", ""), row.get("session_id", "")


def _as_cell(value: object) -> str:
    if value is None or value in ([], ""):
        return "n/a"  # BIDS: how a TSV says "nothing"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return " ".join(str(value).split())
