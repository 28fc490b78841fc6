"""`status.tsv`: what became of every scan of a derivatives folder, kept by all runs that share it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.domain import RESEARCH_NOTICE, ScanItem
from adclip.imaging.quality.limits import LIMITS
from adclip.imaging.records.quality import Quality
from adclip.runtime.locks import locked
from adclip.runtime.paths import legible, without_folders, write_text

STATUS_FILE = "status.tsv"
DICTIONARY_FILE = "status.json"
NOT_KNOWN = "n/a"  # BIDS: how a TSV says "nothing"
COLUMNS = (
    "scan", "subject_id", "session_id", "status", "verdict", "reasons", "seconds", *(limit.name for limit in LIMITS),
    "left_right", "modality", "flags", "error", "hint",
)  # fmt: skip
_MEANINGS = {
    "scan": "name of the scan file, as given where that was a relative path",
    "subject_id": "names of the output, see also `session_id`",
    "session_id": "names of the output, see also `subject_id`",
    "status": "`done` or `failed`",
    "verdict": "quality verdict, after an override: `pass`, `warn` or `fail`",
    "reasons": "which numbers lie outside their range",
    "left_right": "what the sides rest on: `header`, `declared` or `doubtful`",
    "modality": "what the image was recognised as",
    "flags": "what else is to be known of the scan",
    "error": "why a scan failed",
    "hint": "what to do about it",
}


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
    qc : Quality
        Numbers, verdict and reasons.
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
    qc: Quality = field(default_factory=Quality)
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
            **self.qc.to_dict(),
            "flags": list(self.flags),
            "notice": RESEARCH_NOTICE,
        }
        if self.error is not None:
            record |= {"error": self.error, "hint": self.hint}
        return record


@dataclass(frozen=True)
class StatusRow:
    """One row of `status.tsv` as it stands there, text throughout.

    Parameters
    ----------
    cells : mapping of str to str
        By column. What is not known is `n/a`, and absent in a row of an earlier version.
    """

    cells: Mapping[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """By what a row is found again: subject and session."""
        return self.cells.get("subject_id", ""), self.cells.get("session_id", "")

    @property
    def item(self) -> ScanItem:
        """The scan: the name of its file, and the names of the output."""
        return ScanItem(Path(self.cells["scan"]), self.cells["subject_id"], self._text("session_id"))

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self.cells["status"] == "done"

    @property
    def error(self) -> str | None:
        """Why the scan failed; None where it did not."""
        return self._text("error")

    @property
    def hint(self) -> str | None:
        """What to do about it."""
        return self._text("hint")

    @classmethod
    def of(cls, row: ScanRow, earlier: StatusRow | None = None) -> StatusRow:
        """Return a row as text that may be shared: it tells nobody's folders. A scan that was kept has the time of the `earlier` row."""
        record, scan = row.to_dict(), Path(row.scan)
        if scan.is_absolute():
            record["scan"] = scan.name
        for name in ("error", "hint"):
            if record.get(name):
                record[name] = without_folders(record[name], scan)
        cells = {name: _as_cell(record.get(name)) for name in COLUMNS}
        if row.status == "kept":
            cells["status"] = "done"
            if earlier is not None and earlier.cells.get("status") == "done":
                cells["seconds"] = earlier.cells["seconds"]
        return cls(cells)

    def _text(self, column: str) -> str | None:
        cell = self.cells.get(column)
        return None if cell in (None, NOT_KNOWN) else cell


class StatusTable:
    """The table of one derivatives folder: a row for each subject and session, sorted; the latest result wins.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def add(self, *rows: ScanRow) -> None:
        """Enter rows and write the table whole, with the dictionary that explains it beside it.

        A scan that was kept leaves the row of the run that did it, so that an interrupted and resumed run ends with the
        table of an uninterrupted one.
        """
        with locked(self._out):
            table = {row.key: row for row in self.rows()}
            for row in rows:
                key = StatusRow.of(row).key
                table[key] = StatusRow.of(row, table.get(key))
            text = io.StringIO()
            writer = csv.DictWriter(
                text, COLUMNS, delimiter="\t", lineterminator="\n", restval=NOT_KNOWN, extrasaction="ignore"
            )  # fmt: skip
            writer.writeheader()
            writer.writerows(table[key].cells for key in sorted(table))
            write_text(self._out / STATUS_FILE, text.getvalue())
            _write_dictionary(self._out / DICTIONARY_FILE)

    def stamp(self) -> tuple[int, int] | None:
        """Return what differs after every writing of the table; None where there is none."""
        try:
            state = (self._out / STATUS_FILE).stat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_ino

    def rows(self) -> list[StatusRow]:
        """Return the rows on disk in their order."""
        path = self._out / STATUS_FILE
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as stream:
            return [StatusRow(cells) for cells in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_MINIMAL)]


def _write_dictionary(path: Path) -> None:
    """Say what the columns are, as BIDS does beside a table, and what the table is not for."""
    about: dict[str, Any] = {"Notice": RESEARCH_NOTICE}
    about |= {name: {"Description": text} for name, text in _MEANINGS.items()}
    about["seconds"] = {"Description": "time spent on the scan", "Units": "s"}
    about |= {limit.name: {"Description": limit.label, "Units": limit.unit} for limit in LIMITS}
    text = json.dumps(about, indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _as_cell(value: object) -> str:
    if value is None or value in ([], ""):
        return NOT_KNOWN
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return legible(" ".join(str(value).split()))
