"""Where adclip keeps things between runs, and how it writes files so that they are always whole."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PureWindowsPath

from adclip.errors import OutputError
from adclip.runtime import errors

_TEMPORARY = re.compile(r"\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.part\.")
_ABANDONED_S = 86_400.0
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ALONE = r"(?<![\w./\\:~*\[-])"  # where an absolute path may begin: no word, dot or slash leads up to it
_ABSOLUTE = re.compile(_ALONE + r"""(?:[A-Za-z]:[\\/]|/|\\\\)[^\s:;,"'`()<>|\]]*[^\s:;,.?!"'`()<>|\]]""")


def cache_folder() -> Path:
    """Return the cache folder; `ADCLIP_HOME` wins over the platform's usual place."""
    home = os.environ.get("ADCLIP_HOME")
    if home:
        return Path(home) / "cache"
    import platformdirs

    return Path(platformdirs.user_cache_dir("adclip", appauthor=False))


def data_folder() -> Path:
    """Return the folder of what must not be lost, such as fetched weights; `ADCLIP_HOME` wins over the platform's place."""
    home = os.environ.get("ADCLIP_HOME")
    if home:
        return Path(home)
    import platformdirs

    return Path(platformdirs.user_data_dir("adclip", appauthor=False))


def check_id(kind: str, text: str) -> str:
    """Return `text` if it may stand in a file name, else raise.

    Raises
    ------
    OutputError
        If it is not 1-64 characters of letters, digits, `.`, `_`, `-`, or is only dots.
    """
    if not _ID.fullmatch(text) or set(text) == {"."}:
        raise errors.bad_id(kind, text)
    return text


def check_place(target: Path) -> None:
    """Raise if no file could be made at `target`, as far as one can tell without making one.

    Raises
    ------
    OutputError
        If a file is in the way, or the folder where it or its missing folders would stand may not be written to.
    """
    nearest = next((folder for folder in target.absolute().parents if folder.exists()), None)
    if nearest is None or not nearest.is_dir():
        raise OutputError.no_place(target, "a part of its path is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError.no_place(target, "its folder is read-only")


def check_writable(folder: Path) -> None:
    """Raise unless files can be written in `folder`: one is written and taken away again, with the folders that it needed.

    Permissions alone do not tell: a read-only disk, a full one, or the superuser's rights make them say something else.

    Raises
    ------
    OutputError
        If a file is in the way, or nothing may be written there.
    OSError
        If the disk is full.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    probe = folder / _temporary_name("probe")
    check_place(probe)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OutputError.no_place(folder, (error.strerror or "no file can be made there").lower()) from None
    finally:
        for place in missing:
            with suppress(OSError):  # somebody else's files are in it by now
                place.rmdir()


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary name beside `target`; on success flush it to disk and rename it into place.

    The temporary name keeps the suffixes of `target`, because writers choose the format by them. On any error,
    Ctrl-C included, the temporary file is removed and `target` is left as it was.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OutputError.no_place(target, "a part of its path is a file") from None
    except FileNotFoundError:  # of virtual file systems such as /proc
        raise OutputError.no_place(target, "no folder can be made there") from None
    temporary = target.with_name(_temporary_name(target.name))
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # name what the user knows; a full disk names nothing
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Give a temporary folder that only this user may read, outside of any output, and remove it in the end.

    What killed processes left in such folders - a head with its face, say - goes when the next one is made.
    """
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent.glob(".*.part.adclip"))
    folder = parent / _temporary_name("adclip")
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files below `folder` that killed processes of this machine left behind.

    Files of processes that still run, or that ran elsewhere, are somebody's work in progress and stay, unless they have
    not been touched for a day.
    """
    _remove_abandoned(folder.rglob(".*.part.*"))


def _remove_abandoned(paths: Iterable[Path]) -> None:
    for path in paths:
        match = _TEMPORARY.match(path.name)
        with suppress(OSError):
            if match and (
                (match["machine"] == _machine() and not _is_running(int(match["pid"])))
                or time.time() - path.lstat().st_mtime > _ABANDONED_S
            ):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def _temporary_name(name: str) -> str:
    return f".{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.part.{name}"


def _machine() -> str:
    """Return eight hex digits that differ between machines, and do not tell the machine's name."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # signal 0 would not ask there, but interrupt
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(target: Path, data: bytes) -> None:
    """Write `data`, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


def shown(path: Path) -> str:
    """Return a path as an output may name it: as given if relative, below the current folder if it lies there, else its name.

    Absolute paths hold user and machine names and never reach a file that may be shared.
    """
    if not path.is_absolute():
        return legible(path.as_posix())
    current_folder = Path.cwd()
    return legible(path.relative_to(current_folder).as_posix() if path.is_relative_to(current_folder) else path.name)


def without_folders(text: str, *known_paths: Path) -> str:
    """Return a sentence whose absolute paths have become what `shown` makes of them, for files that may be shared.

    Parameters
    ----------
    text : str
        Such as the problem or the remedy of an error.
    *known : Path
        Files and folders that the text may name; only of these the names may hold blanks and punctuation.

    Examples
    --------
    >>> without_folders("/data/jane doe/a.img: cut short; see /data/jane doe/b.hdr", Path("/data/jane doe/a.img"))
    'a.img: cut short; see b.hdr'
    >>> without_folders("and/or give `/home/jane/table.csv`")
    'and/or give `table.csv`'
    """
    absolute = sorted((path for path in known_paths if path.is_absolute()), key=lambda path: -len(str(path)))
    changes = [(str(path), shown(path)) for path in absolute]
    changes += [(f"{folder}{os.sep}", "") for folder in (*(path.parent for path in absolute), Path.cwd())]
    changes.append((os.path.expanduser("~") + os.sep, os.sep))  # noqa: PTH111  Path.home raises where there is none
    for begin, instead in changes:
        if Path(begin).is_absolute() and begin != os.sep:
            text = re.sub(_ALONE + re.escape(begin), instead.replace("\\", r"\\"), text)
    for folder in {path.parent for path in absolute} - {Path(os.sep)}:  # `git -C FOLDER`: from there it is `.`
        text = re.sub(_ALONE + re.escape(str(folder)) + r"(?![^\s'\"`;,)])", ".", text)
    return _ABSOLUTE.sub(lambda match: _bare(match[0]), text)


def _bare(path: str) -> str:
    return shown(Path(path)) if Path(path).is_absolute() else PureWindowsPath(path).name


def is_utf8(path: Path | str) -> bool:
    """Tell whether a path can be written as UTF-8: names of other encodings reach Python as lone surrogates."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def legible(path: Path | str) -> str:
    """Return a path, or a sentence that names one, as any file can hold it: bytes that are no UTF-8 in hexadecimal, all else as it is."""
    text = str(path)
    return text if is_utf8(text) else os.fsencode(text).decode("utf-8", "backslashreplace")


def is_folder(path: Path) -> bool:
    """Tell whether `path` is a folder; a name that no file can have, or a place that may not be looked at, is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def check_folder(out: Path, *, overwrite: bool, marker: str) -> None:
    """Raise what `claim_folder` would raise, and touch nothing."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, not a folder", "choose another --out")
    if (out / marker).exists() and not overwrite:
        raise OutputError.exists(out)


def claim_folder(out: Path, *, overwrite: bool, marker: str) -> Path:
    """Make `out` ready to write into.

    Parameters
    ----------
    out : Path
        Folder to create or reuse.
    overwrite : bool
        Whether an earlier result may be replaced.
    marker : str
        Name of the file whose presence means that an earlier result is there.

    Raises
    ------
    OutputError
        If `out` is a file, or holds an earlier result and `overwrite` is false.
    """
    check_folder(out, overwrite=overwrite, marker=marker)
    out.mkdir(parents=True, exist_ok=True)
    return out
