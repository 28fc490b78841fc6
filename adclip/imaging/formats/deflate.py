"""Deflated DICOM files: how large they become is known before anybody unpacks them into memory."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from adclip.imaging.formats import dicom_errors, errors
from adclip.imaging.formats.stream import VOXEL_CAP

_SYNTAX = b"1.2.840.10008.1.2.1.99"
_META_AT, _META_HEAD = 132, 12  # PS3.10, 7.1: the first element of the meta data holds the length of the rest
_MOST_BYTES = 4 * VOXEL_CAP
_CHUNK = 1 << 20


def check_inflated(file: Path) -> None:
    """Refuse a deflated DICOM file that is damaged, or that would fill the memory; any other file passes.

    Raises
    ------
    ScanError
        If the stream ends early or is no deflate stream, or holds more bytes than a volume of VOXEL_CAP voxels.
    """
    with file.open("rb") as stream:
        head = stream.read(1024)
        if _SYNTAX not in head or head[_META_AT - 4 : _META_AT] != b"DICM":
            return
        (meta_bytes,) = struct.unpack("<I", head[_META_AT + 8 : _META_AT + _META_HEAD])
        stream.seek(_META_AT + _META_HEAD + meta_bytes)
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        total, waiting = 0, b""
        try:
            while not unpacker.eof:
                waiting = waiting or stream.read(_CHUNK)
                if not waiting:
                    raise dicom_errors.cut_deflated(file)
                total += len(unpacker.decompress(waiting, _CHUNK))
                waiting = unpacker.unconsumed_tail
                if total > _MOST_BYTES:
                    raise errors.too_large(file, total // 2, VOXEL_CAP)
        except zlib.error:
            raise dicom_errors.cut_deflated(file) from None
