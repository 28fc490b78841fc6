"""Ctrl-C and a batch system's SIGTERM end a command in words, with their codes, and temporary files go."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys, time, types
from pathlib import Path
from adclip.cli.main import main
from adclip.runtime.paths import atomic_path

def predict(config, on_event):
    with atomic_path(Path(sys.argv[2])) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(60)

module = types.ModuleType("adclip.verbs.predict")
module.predict = predict
sys.modules["adclip.verbs.predict"] = module
name = sys.argv.pop(1)
sys.argv[1:] = ["predict", sys.argv[1]]
main()
"""


@pytest.mark.parametrize(("name", "code", "word"), [("SIGTERM", 143, "terminated"), ("SIGINT", 130, "interrupted")])
def test_a_signal_ends_a_command_in_words(tmp_path: Path, name: str, code: int, word: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, str(tmp_path / "a.nii")],
        capture_output=True,
        text=True,
        timeout=600,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell starts background work with it ignored
    )
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.splitlines() == [
        f"error: {word}",
        "hint: run the same command again; files already written are whole",
    ]
    assert not list(tmp_path.iterdir())
