"""Safetensors on disk: one file, or the parts that an index names, read as one; and what a file is that is none of these."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from adclip.model import errors
from adclip.runtime.hashing import file_sha256

SUFFIX, INDEX_SUFFIX = ".safetensors", ".safetensors.index.json"
# What files are that came in the place of others.
PICKLED, WEB_PAGE, POINTER = "pickled weights", "a web page", "a git-lfs pointer"
HEAD_BYTES = 512  # of a file, enough to tell these
_LFS_POINTER = b"version https://git-lfs"
_SHORTEST = 8  # bytes that say how long the header is: as few may be the beginning of anything
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the format


def is_index(weights: Path) -> bool:
    """Tell whether the weights lie in several parts, which the file `weights` names."""
    return weights.name.endswith(INDEX_SUFFIX)


def parts_of(weights: Path) -> tuple[Path, ...]:
    """Return the safetensors files that hold the tensors: the file itself, or the parts of an index, in the order of their names.

    Raises
    ------
    CheckpointError
        If the index cannot be read.
    WeightsError
        If a part is not beside it.
    """
    if not is_index(weights):
        return (weights,)
    parts = tuple(weights.with_name(name) for name in sorted(set(read_index(weights).values())))
    for part in parts:
        if not part.is_file():
            raise errors.part_missing(weights, part.name)
    return parts


def read_index(index: Path) -> dict[str, str]:
    """Return tensor name -> file name beside the index, as Hugging Face's tools write it.

    Raises
    ------
    CheckpointError
        If it is no such index, or names a file elsewhere.
    """
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = {str(tensor): str(file) for tensor, file in places.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.bad_index(index, "not a readable index of safetensors files") from error
    if not names:
        raise errors.bad_index(index, "names no tensors")
    for file in names.values():
        if file != Path(file).name or not file.endswith(SUFFIX):
            raise errors.bad_index(index, "names a file that is no safetensors file beside it")
    return names


def weights_sha256(weights: Path, known: Mapping[str, str] | None = None) -> str:
    """Return the SHA-256 of the weights: of the file; of several, that of the lines `hash  name` of every part.

    Parameters
    ----------
    weights : Path
        A safetensors file or an index.
    known : mapping, optional
        Name -> SHA-256 of files that the caller has just hashed; they are not read again.
    """
    hashes = {path.name: (known or {}).get(path.name) or file_sha256(path) for path in parts_of(weights)}
    if not is_index(weights):
        return hashes[weights.name]
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in hashes.items())
    return hashlib.sha256(lines.encode()).hexdigest()


class TensorFile:
    """The tensors of one or several open safetensors files.

    Parameters
    ----------
    streams : mapping
        Tensor name -> the open file that has it.
    places : mapping
        Tensor name -> that file's path.
    """

    def __init__(self, streams: Mapping[str, Any], places: Mapping[str, Path]) -> None:
        self._streams, self._places = streams, places

    def names(self) -> list[str]:
        """Return the names of all tensors."""
        return list(self._streams)

    def place(self, name: str) -> Path:
        """Return the file that holds a tensor, which `read_tensor` takes."""
        return self._places[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor, from the header alone."""
        return tuple(self._streams[name].get_slice(name).get_shape())

    def tensor(self, name: str) -> Any:
        """Return a tensor: mapped from disk, not read."""
        return self._streams[name].get_tensor(name)


@contextmanager
def open_tensors(weights: Path, framework: str = "pt") -> Iterator[TensorFile]:
    """Open weights, in one file or several; no tensor is read.

    Parameters
    ----------
    weights : Path
        A safetensors file or an index.
    framework : str
        `pt` gives torch tensors, `np` NumPy arrays.

    Raises
    ------
    CheckpointError
        If a file is none of safetensors or cut short, or the index names other tensors than its parts hold.
    """
    from safetensors import SafetensorError, safe_open

    streams: dict[str, Any] = {}
    places: dict[str, Path] = {}
    with ExitStack() as stack:
        for part in parts_of(weights):
            try:
                stream = stack.enter_context(safe_open(part, framework=framework))
                names = list(stream.keys())
            except (SafetensorError, OSError) as error:
                raise errors.not_safetensors(part, what_is(part)) from error
            if twice := sorted(streams.keys() & set(names)):
                raise errors.bad_index(weights, f"`{twice[0]}` stands in two of its files")
            streams |= dict.fromkeys(names, stream)
            places |= dict.fromkeys(names, part)
        if is_index(weights) and (differing := sorted(streams.keys() ^ read_index(weights).keys())):
            raise errors.bad_index(weights, f"`{differing[0]}` stands in the index or in a file, not in both")
        yield TensorFile(streams, places)


def read_tensor(file: Path, name: str) -> Any:
    """Return one torch tensor of one safetensors file, from a mapping of its own that ends with the tensor.

    Nothing is checked: this is for names and files that `open_tensors` gave.
    """
    from safetensors import safe_open

    with safe_open(file, framework="pt") as stream:
        return stream.get_tensor(name)


def what_is(path: Path) -> str | None:
    """Say in words what a file is that should be safetensors; None where it is, or nobody can tell."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                is_torch = any(name.endswith("data.pkl") for name in archive.namelist())
            return PICKLED if is_torch else "a zip archive"
    except (OSError, zipfile.BadZipFile):
        return None
    return looks_like(head)


def is_pickled(path: Path) -> bool:
    """Tell whether a file is pickled weights, as torch.save writes them now or wrote them once; adclip never opens these."""
    return what_is(path) == PICKLED


def looks_like(head: bytes) -> str | None:
    """Say what the first bytes of a file are the beginning of; None for safetensors, and where nobody can tell.

    Parameters
    ----------
    head : bytes
        `HEAD_BYTES` of it, or all of a shorter one.
    """
    if len(head) <= _SHORTEST or has_safetensors_header(head):
        return None
    start = head.lstrip().lower()
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return PICKLED
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return WEB_PAGE
    if start.startswith(_LFS_POINTER):
        return POINTER
    return {b"GGUF": "a GGUF file", b"\x89HDF": "an HDF5 file"}.get(head[:4])


def has_safetensors_header(head: bytes) -> bool:
    """Tell whether a file's first bytes are those of safetensors: the length of a JSON object, and its bracket."""
    return len(head) > _SHORTEST and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER and head[8:9] == b"{"
