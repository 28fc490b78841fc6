"""Drawing on a terminal."""

from __future__ import annotations

import io

from rich.console import Console
from rich.progress import Progress

from adclip.cli import console as console_module
from adclip.cli.console import Bars, Lines, Troubles, one_line, progress
from adclip.runtime.events import Advanced, Failed, Started, Step, Warned


def test_bars_draw_every_event():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    with Progress(console=console) as bars:
        draw = Bars(console, bars)
        for event in (
            Started("[training]", 4),
            Advanced("[training]", 2, "loss 0.5"),
            Advanced("unannounced", 1),
            Started("[training]", 4),
            Step("saved [run1]"),
            Warned("a.nii", "odd"),
            Failed("b.nii", "b.nii: empty", "copy it"),
        ):
            draw(event)
        assert len(bars.tasks) == 2
    drawn = screen.getvalue()
    for words in ("saved [run1]", "warning: a.nii: odd", "error: b.nii: empty", "hint: copy it"):
        assert words in drawn


def test_one_line():
    assert one_line("a\r\n\tb\x1b[31m\u202e") == "a b\\x1b[31m\\u202e"
    assert one_line("Ärzte 患者 é") == "Ärzte 患者 é"


def test_lines_on_the_same_terminal_are_not_torn_by_bars(monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(console_module, "stderr", lambda: screen)
    monkeypatch.setenv("TERM", "xterm")
    for settings, kind in (({}, Bars), ({"plain": True}, Lines), ({"plain": True, "quiet": True}, Troubles)):
        with progress(**settings) as draw:
            assert type(draw) is kind
