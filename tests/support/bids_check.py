"""BIDS's own validator, asked about a folder that adclip wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def errors_of(folder: Path) -> list[str]:
    """Return what bids-validator-deno calls an error of a dataset; it needs no network."""
    beside = Path(sys.executable).with_name("bids-validator-deno")
    program = str(beside) if beside.is_file() else shutil.which("bids-validator-deno")
    if program is None:
        pytest.skip("bids-validator-deno is not installed; `pip install adclip[test]` has it")
    ran = subprocess.run([program, folder, "--format", "json"], capture_output=True, text=True, timeout=300)
    issues = json.loads(ran.stdout)["issues"]["issues"]
    return [f"{issue['code']} {issue.get('location')}" for issue in issues if issue["severity"] == "error"]
