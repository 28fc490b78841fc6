"""Words and bars on stderr."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from adclip.runtime.events import Advanced, Event, Failed, OnEvent, Started, Step, Warned

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_LINES = 5.0
STYLES = {"error": "bold red", "hint": "cyan", "warning": "yellow"}


def stderr() -> Console:
    """Return a console on the present stderr; NO_COLOR and a missing terminal are respected by rich."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def one_line(text: str) -> str:
    """Return `text` without line breaks, and with control characters made visible.

    A file name may hold escape codes, line breaks or bytes that are no UTF-8; none of them may rewrite the screen.
    """
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in joined)


def tell(kind: str, text: str, console: Console | None = None) -> None:
    """Write one line `kind: text` to stderr, never wrapped and never read as markup."""
    (console or stderr()).print(Text.assemble((f"{kind}:", STYLES[kind]), " ", one_line(text)), soft_wrap=True)


def say(text: str, console: Console) -> None:
    """Write one plain line to stderr."""
    console.print(Text(one_line(text)), soft_wrap=True)


class LogHandler(logging.Handler):
    """Log records as plain lines on whatever stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        say(f"{record.levelname.lower()} {record.name}: {record.getMessage()}", stderr())


@contextmanager
def progress(*, quiet: bool = False, plain: bool = False) -> Iterator[OnEvent]:
    """Draw events on stderr: bars on a terminal, plain lines elsewhere or when `plain`, only warnings and failures when `quiet`."""
    console = stderr()
    if quiet:
        yield Troubles(console)
    elif console.is_terminal and not console.is_dumb_terminal and not plain:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False, style="dim"),
        )
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bars:
            yield Bars(console, bars)
    else:
        yield Lines(console)


class Troubles:
    """Draws what must be seen in any case."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if isinstance(event, Warned):
            tell("warning", f"{event.item}: {event.text}", self.console)
        elif isinstance(event, Failed):
            named = event.problem.startswith(event.item)
            tell("error", event.problem if named else f"{event.item}: {event.problem}", self.console)
            tell("hint", event.remedy, self.console)


class Lines(Troubles):
    """Draws for log files and pipes: a line per milestone, and a line of progress now and then."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._totals: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._spoke = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if isinstance(event, Step):
            say(event.text, self.console)
        elif isinstance(event, Started):
            self._totals[event.task] = event.total
            self._began[event.task] = time.monotonic()
        elif isinstance(event, Advanced):
            total = self._totals.get(event.task, 0)
            if event.done >= total or time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
                self._spoke = time.monotonic()
                line = f"{event.task}: {event.done}/{total or '?'} {event.detail}".rstrip()
                say(line + self._time_left(event, total), self.console)
        else:
            super().__call__(event)

    def _time_left(self, event: Advanced, total: int) -> str:
        """Return `, 3 min left` once that is more than a few seconds, by the average so far."""
        if event.task not in self._began or not 0 < event.done < total:
            return ""
        remaining_s = (time.monotonic() - self._began[event.task]) / event.done * (total - event.done)
        if remaining_s < 2 * SECONDS_BETWEEN_LINES:
            return ""
        return f", {remaining_s:.0f} s left" if remaining_s < 90 else f", {remaining_s / 60:.0f} min left"


class Bars(Troubles):
    """Draws for a terminal: one bar per task, words above them."""

    def __init__(self, console: Console, bars: Progress) -> None:
        super().__init__(console)
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if isinstance(event, Step):
            say(event.text, self.console)
        elif isinstance(event, Started):
            if event.task in self._tasks:
                self._bars.remove_task(self._tasks[event.task])
            self._tasks[event.task] = self._bars.add_task(one_line(event.task), total=event.total, detail="")
        elif isinstance(event, Advanced):
            if event.task not in self._tasks:
                self._tasks[event.task] = self._bars.add_task(one_line(event.task), total=None, detail="")
            self._bars.update(self._tasks[event.task], completed=event.done, detail=one_line(event.detail))
        else:
            super().__call__(event)
