"""Files of a base model from the Hugging Face hub: hashes from its metadata, resumed where a download broke off.

`huggingface_hub` does the talking, so its settings hold: `HF_ENDPOINT` for a mirror, `HF_HUB_OFFLINE`, `HF_TOKEN`, and the
usual proxy variables. Its own downloader throws a broken download away when the process ends; here the part on disk stays.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any

from adclip.model import errors as model_errors
from adclip.model.tensor_files import HEAD_BYTES, INDEX_SUFFIX, POINTER, SUFFIX, WEB_PAGE, looks_like
from adclip.runtime.events import Advanced, OnEvent, Started

_COMMIT, _SHA256, _SHA1 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR}
_CHUNK = 1 << 20


@dataclass(frozen=True)
class HubFile:
    """One file of a repository at one revision.

    Parameters
    ----------
    name : str
        In the repository.
    size : int
        Bytes.
    sha256 : str or None
        Of large files, from their LFS record.
    git_sha1 : str or None
        Of small files: git's own hash, of a header with the size and the content.
    """

    name: str
    size: int
    sha256: str | None
    git_sha1: str | None

    def is_met_by(self, path: Path) -> bool:
        """Tell whether the file at `path` is this one."""
        digest = hashlib.sha256() if self.sha256 else hashlib.sha1(b"blob %d\0" % self.size)  # noqa: S324  git's choice
        with path.open("rb") as stream:
            while block := stream.read(_CHUNK):
                digest.update(block)
        return digest.hexdigest() == (self.sha256 or self.git_sha1)


@dataclass(frozen=True)
class HubListing:
    """What the hub says of a repository.

    Parameters
    ----------
    repository : str
    revision : str
        Commit, 40 hex digits.
    licence : str or None
        From its model card.
    files : tuple of HubFile
        The weights first, then vocabulary and config where there are.
    """

    repository: str
    revision: str
    licence: str | None
    files: tuple[HubFile, ...]


def read_listing(repository: str, revision: str | None) -> HubListing:
    """Ask the hub which files a base model has, and what their hashes are.

    Raises
    ------
    WeightsError
        If the hub is not reachable, switched off, or says nothing usable.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read when the package is imported: it would ask what it runs in
    from huggingface_hub import HfApi

    with _hub_errors(repository):
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
    if not _COMMIT.fullmatch(info.sha or ""):
        raise model_errors.hub_nonsense(repository, "no commit")
    files_by_name = {file.rfilename: file for file in info.siblings or ()}
    weights = _choose_weights([name for name in files_by_name if "/" not in name])
    if not weights:
        raise model_errors.hub_nonsense(repository, "no safetensors file")
    if "vocab.txt" not in files_by_name:
        raise model_errors.hub_nonsense(repository, "no vocab.txt")
    names = [name for name in (*weights, "vocab.txt", "config.json") if name in files_by_name]
    card: Any = info.card_data
    licence = card.get("license") if card else None
    return HubListing(
        repository, str(info.sha), licence, tuple(_to_file(repository, files_by_name[name]) for name in names)
    )


def _choose_weights(names: list[str]) -> list[str]:
    """Return the files that hold the weights: the usual one, an index and all its parts, or whatever there is."""
    single = [name for name in names if name.endswith(SUFFIX)]
    if "model.safetensors" in single:
        return ["model.safetensors"]
    for index in (name for name in names if name.endswith(INDEX_SUFFIX)):
        stem = index.removesuffix(INDEX_SUFFIX)
        return [index, *sorted(name for name in single if name.startswith(f"{stem}-"))]
    return single[:1]


def _to_file(repository: str, file: Any) -> HubFile:
    sha256 = file.lfs.sha256 if file.lfs else None
    git_sha1 = None if sha256 else file.blob_id
    size = file.lfs.size if file.lfs else file.size
    valid = _SHA256.fullmatch(sha256) if sha256 else _SHA1.fullmatch(git_sha1 or "")
    if not valid or not isinstance(size, int):
        raise model_errors.hub_nonsense(repository, f"no hash of {file.rfilename}, so it could not be verified")
    return HubFile(file.rfilename, size, sha256, git_sha1)


def download(listing: HubListing, file: HubFile, target: Path, on_event: OnEvent) -> None:
    """Download one file to `target` and verify it; what an earlier try left there is continued.

    Raises
    ------
    WeightsError
        If the connection breaks (the part stays), or what came is not the file (it is deleted).
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, disable_progress_bars

    disable_progress_bars()
    have = target.stat().st_size if target.is_file() else 0
    if have > file.size:
        target.unlink()
        have = 0
    if have < file.size:
        url = hf_hub_url(listing.repository, file.name, revision=listing.revision)
        with _hub_errors(listing.repository, target), target.open("r+b" if have else "w+b") as stream:
            stream.seek(have)
            reporting_stream: Any = _ProgressStream(stream, file, on_event)
            headers = build_hf_headers()
            # compressed on the way, a part could not be continued
            http_get(
                url,
                reporting_stream,
                resume_size=have,
                expected_size=file.size,
                headers=headers | {"accept-encoding": "identity"},
            )
    if not file.is_met_by(target):
        came = what_came(target) or "its hash differs from the hub's record"
        target.unlink()
        raise model_errors.wrong_content(listing.repository, file.name, came)


def what_came(part: Path) -> str | None:
    """Say what came where a file of a base was expected; None where it may be the beginning of that file."""
    with part.open("rb") as stream:
        kind = looks_like(stream.read(HEAD_BYTES))
    if kind is None:
        return None
    more = {WEB_PAGE: ", perhaps of a proxy or a login", POINTER: " of the file it points to"}
    return f"{kind} came instead{more.get(kind, '')}"


class _ProgressStream:
    """A file being written that tells how far it is, in mebibytes."""

    def __init__(self, stream: BufferedRandom, file: HubFile, on_event: OnEvent) -> None:
        self._stream, self._on_event = stream, on_event
        self._task = f"fetching {file.name}"
        self._spoke = -1
        on_event(Started(self._task, file.size >> 20))

    def write(self, block: bytes) -> int:
        """Write, and tell each further mebibyte."""
        written = self._stream.write(block)
        done = self._stream.tell() >> 20
        if done != self._spoke:
            self._spoke = done
            self._on_event(Advanced(self._task, done, "MiB"))
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _hub_errors(repository: str, part: Path | None = None) -> Iterator[None]:
    """Say what the hub's many exceptions mean here."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise model_errors.offline(repository) from error
    except GatedRepoError as error:
        raise model_errors.hub_refuses(repository, "access is gated: accept its terms and set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise model_errors.hub_refuses(repository, "it has no such revision") from error
    except RepositoryNotFoundError as error:
        raise model_errors.hub_refuses(repository, "no such repository, or HF_TOKEN may not read it") from error
    except HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", "?")
        raise model_errors.hub_refuses(repository, f"HTTP status {status}") from error
    except Exception as error:
        # httpx's family, its successors' and sockets': whatever broke, the part on disk is good for the next try
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        if part is not None and part.is_file() and (came := what_came(part)) is not None:
            part.unlink()
            raise model_errors.wrong_content(repository, part.name, came) from error
        raise model_errors.connection_broke(repository, type(error).__name__) from error
