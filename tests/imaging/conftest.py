"""What the tests of scans share."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def run_line(tmp_path: Path) -> Callable[..., None]:
    """Run a `python -c` line of a hint as a user would, in the folder of the test; the first, or the one that holds a word."""

    def run(remedy: str, word: str = "") -> None:
        lines = [line for line in re.findall(r"`(python -c [^`]*)`", remedy) if word in line]
        assert lines, remedy
        arguments = shlex.split(lines[0])
        done = subprocess.run(
            [sys.executable, *arguments[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    return run
