"""What became of the scans of one run: told at once, and entered in `status.tsv` a few at a time."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from adclip.errors import EXIT_MISSING, AdclipError
from adclip.imaging.derivatives.status import ScanRow, StatusTable
from adclip.runtime.events import Failed, OnEvent, Warned

_SHARE = 0.1  # of a run's time that writing the table may take: the longer the table, the more rows at a time


class RunBook:
    """Rows of one run.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    on_event : callable
        Hears of failures and doubtful quality.
    in_any_case : bool
        Whether failures are written even if there is nothing else; if not, they wait for the first scan that is done, so
        that a run that can do nothing leaves no folder behind.

    Notes
    -----
    A context: rows that still wait are written when it ends, whatever ends it.
    """

    def __init__(self, out: Path, on_event: OnEvent, *, in_any_case: bool) -> None:
        self._table, self._on_event = StatusTable(out), on_event
        self.writes = in_any_case
        self.errors: list[AdclipError] = []
        self._rows: dict[int, ScanRow] = {}
        self._waiting: list[ScanRow] = []
        self._next = 0.0  # when writing is due again

    def __enter__(self) -> RunBook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def enter(self, index: int, row: ScanRow, error: AdclipError | None) -> None:
        """Enter the row of the scan at place `index` of the inputs, with the error if it failed."""
        self._rows[index] = row
        self._waiting.append(row)
        if error is not None:
            self.errors.append(error)
            self._on_event(Failed(row.scan, error.problem, error.remedy))
        elif row.qc.verdict in ("warn", "fail"):
            self._on_event(Warned(row.scan, f"quality {row.qc.verdict}: {', '.join(row.qc.reasons)}"))
        self.writes = self.writes or error is None
        if time.monotonic() >= self._next:
            self._write()

    def rows(self) -> tuple[ScanRow, ...]:
        """Return all rows in the order of the inputs."""
        return tuple(self._rows[index] for index in sorted(self._rows))

    def worst(self) -> AdclipError:
        """Return the error to end with where no scan could be done: what is missing on this machine, else the first."""
        return next((error for error in self.errors if error.exit_code == EXIT_MISSING), self.errors[0])

    def _write(self) -> None:
        if not self.writes or not self._waiting:
            return
        began = time.monotonic()
        self._table.add(*self._waiting)
        self._waiting.clear()
        ended = time.monotonic()
        self._next = ended + (ended - began) / _SHARE
