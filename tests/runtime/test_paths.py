"""Files are whole under their final names, and killed runs leave nothing that stays."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from adclip.errors import OutputError
from adclip.runtime.paths import (
    atomic_path,
    check_writable,
    private_folder,
    remove_leftovers,
    without_folders,
    write_text,
)


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
        "import os, sys\nfrom pathlib import Path\nfrom adclip.runtime.paths import atomic_path\n"
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


def test_a_face_that_a_killed_process_left_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os\nfrom adclip.runtime.paths import private_folder\n"
        "with private_folder() as folder:\n    (folder / 'scan.nii').write_text('a face')\n    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert list(tmp_path.rglob("scan.nii")), "a killed process cannot clean up"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_folder() as mine, private_folder() as other:
        assert not list(tmp_path.rglob("scan.nii"))
        assert mine.is_dir() and other.is_dir() and mine.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_sentences_lose_the_folders_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scan = Path("/data/jane doe/a.hdr")
    for told, said in (
        (f"{scan}: half of a pair, see /data/jane doe/a.img", "a.hdr: half of a pair, see a.img"),
        ("/data/x/a.nii: cut short", "a.nii: cut short"),
        ("look at `/home/jane/t.csv`, or (/home/jane/u.csv).", "look at `t.csv`, or (u.csv)."),
        (f"{tmp_path}/sub/a.nii: bad; {tmp_path}2/b.nii too", "sub/a.nii: bad; b.nii too"),
        (r"C:\Users\jane\a.nii: bad", "a.nii: bad"),
        ("fetch it: `git -C '/data/jane doe' annex get a.hdr`", "fetch it: `git -C '.' annex get a.hdr`"),
        ("and/or --override SUBJECT[/SESSION]=pass, --shard 1/2, https://a.b/c", None),
        ("sub-01/anat/a.nii, ../b.nii: 2 x 3 / 4", None),
    ):
        assert without_folders(told, scan) == (told if said is None else said)


def test_a_look_at_a_folder_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "kept.txt").write_text("x")
    for folder in (tmp_path / "there", tmp_path / "new" / "newer", tmp_path / "there" / "new"):
        check_writable(folder)
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["there", "kept.txt"]


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EROFS, OutputError), (errno.EACCES, OutputError), (errno.ENOSPC, OSError)]
)
def test_a_folder_where_nothing_can_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    """Only trying tells: the superuser may do all that permissions forbid, and yet not write to a disk that is read-only."""

    def refuse(path: Path, _data: bytes) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(kind) as told:
        check_writable(tmp_path / "new")
    assert os.strerror(number).lower() in str(told.value).lower()
    assert not list(tmp_path.iterdir())
