"""Files are whole under their final names, and killed runs leave nothing that stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adclip.paths import atomic_path, remove_leftovers, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_leftovers_of_killed_processes_go_and_those_of_running_ones_stay(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom adclip.paths import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n    temporary.write_text('half')\n    os._exit(9)\n"
    )
    (tmp_path / "deep").mkdir()
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "deep" / "dead.txt")], check=False)
    (dead,) = tmp_path.rglob(".*.part.*")
    with atomic_path(tmp_path / "mine.txt") as running:
        running.write_text("half")
        elsewhere = dead.with_name(f".00000000-{os.getpid()}-12345678.part.b.txt")
        abandoned = dead.with_name(".00000000-1-12345678.part.c.txt")
        for path in (elsewhere, abandoned):
            path.write_text("half")
        os.utime(abandoned, (time.time() - 2e5,) * 2)
        stranger = dead.with_name(".notes.part.txt")
        stranger.write_text("not ours")
        remove_leftovers(tmp_path)
        assert running.exists() and elsewhere.exists() and stranger.exists()
        assert not dead.exists() and not abandoned.exists()
    remove_leftovers(tmp_path / "absent")
