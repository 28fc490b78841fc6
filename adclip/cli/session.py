"""What one command line has in common: how much it says, and where its results and its words go."""

from __future__ import annotations

import logging
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import typer

from adclip.cli.failures import Failure
from adclip.errors import EXIT_INPUT, EXIT_PARTIAL
from adclip.runtime.events import Event, Failed, OnEvent, Produced

Record = Mapping[str, Any]


class Session:
    """State of one run of `adclip`, made by the root group and reached as `ctx.obj`.

    Attributes
    ----------
    as_json, quiet, verbose, debug : bool
        Set by the options of the same name.
    """

    def __init__(self) -> None:
        self.as_json = self.quiet = self.verbose = self.debug = False
        self._told: set[str] = set()
        self._streamed = 0

    @contextmanager
    def working(self) -> Iterator[OnEvent]:
        """Draw the events of a verb on stderr, and keep whatever it prints away from stdout.

        With `--json` a record goes to stdout as soon as it is ready.
        """
        from adclip.cli.console import progress

        logs = _logs_shown(verbose=self.verbose, debug=self.debug)
        lines_between = self.as_json and sys.stdout.isatty()  # they would tear a bar on the same terminal
        with logs, _stdout_kept_clean() as put, progress(quiet=self.quiet, plain=lines_between) as draw:

            def on_event(event: Event) -> None:
                if isinstance(event, Failed):
                    self._remember(event)
                if self.as_json and isinstance(event, Produced):
                    put(_to_line(event.record))
                    self._streamed += 1
                draw(event)

            yield on_event

    def show(self, records: Sequence[Record], draw: Callable[[Sequence[Record]], None]) -> None:
        """Put the results on stdout: JSON lines with `--json`, unless they went there as they came; else what `draw` makes of them."""
        if not self.as_json:
            draw(records)
        elif not self._streamed:
            for record in records:
                typer.echo(_to_line(record), nl=False)

    def finish(self, *, failed: int, total: int) -> None:
        """Leave with code 3 if some of several inputs failed, 2 if all did."""
        if failed:
            raise typer.Exit(EXIT_PARTIAL if failed < total else EXIT_INPUT)

    def report(self, failure: Failure, error: Exception | None = None) -> None:
        """Write `error:` and `hint:` to stderr, after the traceback if `--debug` asks for it.

        A scan that failed was named already when it failed; it is not named twice.
        """
        from adclip.cli.console import tell

        if error is not None and self.debug:
            traceback.print_exception(error, file=sys.stderr)
        if failure.problem not in self._told:
            tell("error", failure.problem)
            tell("hint", failure.remedy)

    def _remember(self, event: Failed) -> None:
        self._told |= {event.problem, f"{event.item}: {event.problem}"}


def _to_line(record: Record) -> str:
    import json

    return json.dumps(_json_ready(record), allow_nan=False) + "\n"


def _json_ready(value: Any) -> Any:
    """Return strict JSON types: an undefined number (an AUC of one class, say) becomes null, a path text."""
    if isinstance(value, Mapping):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and not isinstance(value, str):  # NumPy scalars
        return _json_ready(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _logs_shown(*, verbose: bool, debug: bool) -> Iterator[None]:
    """Show log records on stderr; other people's libraries stay silent unless asked for, adclip's warnings never do."""
    from adclip.cli.console import LogHandler

    everyone, own, handler = logging.getLogger(), logging.getLogger("adclip"), LogHandler()
    before = everyone.level, own.level
    everyone.addHandler(handler)
    everyone.setLevel(logging.INFO if debug else logging.WARNING if verbose else logging.ERROR)
    own.setLevel(logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING)
    with warnings.catch_warnings():
        if not (verbose or debug):
            warnings.simplefilter("ignore")
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            everyone.removeHandler(handler)
            everyone.setLevel(before[0])
            own.setLevel(before[1])


@contextmanager
def _stdout_kept_clean() -> Iterator[Callable[[str], None]]:
    """Send stray output of libraries to stderr, that of compiled code included, and give what writes to stdout all the same.

    So `--json` leaves nothing but JSON lines on stdout, whether they are printed within this block or after it.
    """
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):
        if sys.__stdout__ is None or sys.__stderr__ is None or not _is_real_stdout():
            yield partial(_put, stdout)
            return
        stdout.flush()
        stdout_fd = os.dup(1)
        os.dup2(2, 1)
        try:
            # whoever put a stream of their own in the place of stdout, such as a notebook, gets the lines there
            yield partial(_put_bytes, stdout_fd) if _descriptor(stdout) == 1 else partial(_put, stdout)
        finally:
            _flush_compiled_code()
            os.dup2(stdout_fd, 1)
            os.close(stdout_fd)


def _put(stream: TextIO, text: str) -> None:
    """Write one line at once: a reader may wait for it."""
    stream.write(text)
    stream.flush()


def _put_bytes(descriptor: int, text: str) -> None:
    """Write one line past every buffer, so that nothing of it is left when the reader has gone."""
    rest = memoryview(text.encode("utf-8"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _is_real_stdout() -> bool:
    return _descriptor(sys.__stdout__) == 1


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):  # no file, or closed
        return None


def _flush_compiled_code() -> None:
    """Empty C's own buffers while descriptor 1 still points to stderr; otherwise they would appear at exit."""
    if os.name != "posix":
        return
    import ctypes

    ctypes.CDLL(None).fflush(None)
