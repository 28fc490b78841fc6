"""Bytes of a scan file, plain or gzip, read to the end and never more than announced.

nibabel never verifies the CRC of a gzip stream, so a flipped bit would load as wrong voxels; here the stream is always
read up to its trailer.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from adclip.errors import ScanError
from adclip.imaging import errors as imaging_errors
from adclip.imaging.formats import content, errors

VOXEL_CAP = 512**3  # eight times a FreeSurfer volume of 256^3; nothing clinical is larger
_CHUNK = 1 << 20  # a decompressed chunk that stays in the processor's cache


@dataclass
class SourceStream:
    """An open scan file; `plain_size` is None where it is compressed and its true size unknown."""

    path: Path
    stream: BinaryIO
    plain_size: int | None

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; fewer only at the end."""
        parts = []
        while count > 0 and (part := self.stream.read(min(count, _CHUNK))):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def check_size(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Compare what the header promises with the file, where its size is known; raises ScanError."""
        expected_bytes = math.prod(shape) * dtype.itemsize
        if self.plain_size is not None and self.plain_size < offset + expected_bytes:
            raise errors.truncated(self.path, expected_bytes, max(self.plain_size - offset, 0))

    def read_array(
        self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], head: bytes = b""
    ) -> tuple[NDArray[Any], int]:
        """Read the voxels that begin at `offset`, of which `head` is what has been read of the file already.

        Returns
        -------
        array : ndarray of `shape`
            In the order of the file, first axis fastest.
        extra : int
            Bytes that follow the voxels.

        Raises
        ------
        ScanError
            If the file is shorter than the header promises.
        """
        self.check_size(offset, shape, dtype)
        if offset > len(head):
            self.read(offset - len(head))
        first = head[offset:]
        expected_bytes = math.prod(shape) * dtype.itemsize
        voxels = np.empty(expected_bytes, dtype=np.uint8)  # left as it is until filled, which costs nothing
        view = voxels.data
        filled = min(len(first), expected_bytes)
        view[:filled] = first[:filled]
        while filled < expected_bytes:
            count = self.stream.readinto(view[filled : filled + _CHUNK])  # type: ignore[attr-defined]  # files and gzip have it
            if not count:
                raise errors.truncated(self.path, expected_bytes, filled)
            filled += count
        extra = max(len(first) - expected_bytes, 0)
        if self.plain_size is not None:
            extra = self.plain_size - offset - expected_bytes
        else:
            extra += self._read_to_end()
        return voxels.view(dtype).reshape(shape, order="F"), extra

    def _read_to_end(self) -> int:
        """Read what follows the voxels, so that the gzip trailer is reached and its CRC compared."""
        extra = 0
        while part := self.stream.read(_CHUNK):
            extra += len(part)
            if extra > VOXEL_CAP:
                raise errors.damaged_gzip(self.path, "far more data than the header announces")
        return extra


@contextmanager
def open_source(path: Path) -> Iterator[SourceStream]:
    """Open a scan file; whatever is wrong with its gzip stream becomes a ScanError of its own.

    Raises
    ------
    ScanError
        If the file is missing, empty, a pointer, not readable, not gzip in spite of its name, or damaged.
    """
    try:
        opened = path.open("rb")
    except PermissionError:
        raise imaging_errors.unreadable(path) from None
    except FileNotFoundError:
        raise ScanError.missing(path) from None
    with opened as raw:
        size = path.stat().st_size
        if size == 0:
            raise errors.empty_file(path)
        head = raw.read(content.HEAD_BYTES)
        raw.seek(0)
        if owner := content.pointer_in(head):
            raise errors.pointer(path, owner)
        zipped = head[:2] == b"\x1f\x8b"
        if not zipped and path.suffix.lower() in (".gz", ".mgz"):
            if (known := content.describe(head)) and known[0] != content.NIFTI:
                raise errors.another_content(path, *known)
            raise errors.not_gzip(path)
        try:
            yield SourceStream(path, _open_gzip(raw), None) if zipped else SourceStream(path, raw, size)
        except ScanError:
            raise
        except EOFError:
            raise errors.damaged_gzip(path, "it ends too early") from None
        except (OSError, zlib.error) as error:
            raise errors.damaged_gzip(path, _why(error)) from None
        except Exception as error:
            if type(error).__name__ != "IsalError":  # isal's own class exists only where isal is installed
                raise
            raise errors.damaged_gzip(path, _why(error)) from None


def _why(error: Exception) -> str:
    text = str(error)
    if "CRC" in text or "length" in text.lower():
        return "its checksum is wrong"
    if "Not a gzipped file" in text:
        return "other bytes follow it"
    return "its content is wrong"


def _open_gzip(raw: BinaryIO) -> BinaryIO:
    try:
        from isal import igzip  # two to three times faster (docs/benchmarks.md), optional
    except ImportError:
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))
    return cast(BinaryIO, igzip.IGzipFile(fileobj=raw, mode="rb"))
