"""What a file really is, told by its first bytes, where that is not what its name says.

Copies of data sets often hold pointers in the place of scans, downloads are web pages that ask for a password, and archives
are renamed: each has a cure of its own, and "no header found" is none.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

ANNEX, LFS = "git-annex", "Git LFS"
NIFTI = "a NIfTI file"
HEAD_BYTES = 1024  # the longest pointer of Git LFS; every magic word here stands before that
_ANNEX_KEY = re.compile(rb"(?:\.\.?[/\\])*(?:\.git)?[/\\]?annex[/\\]objects[/\\]\S+\s*\Z")
# The first line of today's pointers, and of those before the format had its name
_LFS = (
    b"version https://git-lfs.github.com/spec/",
    b"version https://hawser.github.com/spec/",
    b"version http://git-media.io/v/",
)
_DICOM_AT, _TAR_AT = 128, 257
_NIFTI_HEAD = 348
_TEXT_SHARE = 0.95  # printable bytes in what is called text

# Magic word, what it is, what to do. Of the archives the scan may be inside.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive", "unpack it (`unzip FILE`) and give the scan inside"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it (`7z x FILE`) and give the scan inside"),
    (b"Rar!", "a RAR archive", "unpack it (`unrar x FILE`) and give the scan inside"),
    (b"BZh", "compressed by bzip2", "name it .nii.bz2, unpack it (`bunzip2 FILE`) and give the .nii"),
    (b"\xfd7zXZ", "compressed by xz", "name it .nii.xz, unpack it (`unxz FILE`) and give the .nii"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "name it .nii.zst, unpack it (`unzstd FILE`) and give the .nii"),
    (b"\x1f\x8b", "compressed twice", "unpack it once (`gunzip -c FILE > OUT.nii.gz`) and give OUT.nii.gz"),
    (b"\x89HDF", "an HDF5 file, as MINC 2 is", "convert it (`mnc2nii FILE OUT.nii`) and give OUT.nii"),
    (b"CDF\x01", "a MINC 1 file", "convert it (`mnc2nii FILE OUT.nii`) and give OUT.nii"),
    (b"NRRD", "an NRRD file", "save it as NIfTI, e.g. in 3D Slicer, and give that file"),
    (b"\x89PNG", "a PNG picture", "give the scan itself, not a picture of it"),
    (b"\xff\xd8\xff", "a JPEG picture", "give the scan itself, not a picture of it"),
    (b"II*\x00", "a TIFF picture", "give the scan itself, not a picture of it"),
    (b"MM\x00*", "a TIFF picture", "give the scan itself, not a picture of it"),
    (b"%PDF", "a PDF document", "give the scan itself"),
)


def pointer_in(head: bytes) -> str | None:
    """Return whose pointer the first bytes of a file are, `git-annex` or `Git LFS`; None for anything else.

    Notes
    -----
    git-annex writes `/annex/objects/KEY` in an unlocked file, and the target of its link where links are not supported;
    Git LFS three lines, the first of them its version. Both formats are fixed by their documentation.
    """
    if head.startswith(_LFS):
        return LFS
    first = head[:HEAD_BYTES].partition(b"\n")[0]
    return ANNEX if _ANNEX_KEY.match(first) else None


def is_annex_link(path: Path) -> bool:
    """Tell whether a path is a link into git-annex's store whose content is not there."""
    try:
        return path.is_symlink() and not path.exists() and "annex/objects/" in path.readlink().as_posix()
    except OSError:
        return False


def pointer_at(path: Path) -> str | None:
    """Return whose pointer lies at a path, link or file; None for anything else, also for what may not be read."""
    if is_annex_link(path):
        return ANNEX
    try:
        with path.open("rb") as stream:
            return pointer_in(stream.read(HEAD_BYTES))
    except OSError:
        return None


def is_dicom_content(head: bytes, *, may_be_voxels: bool = False) -> bool:
    """Tell whether a file begins as DICOM does.

    Parameters
    ----------
    head : bytes
        The first 132 bytes or more.
    may_be_voxels : bool
        Whether numbers could stand there instead, as in the `.img` of a pair: then only what no voxels say counts.

    Notes
    -----
    PS3.10, 7.1: 128 bytes of preamble, then `DICM`. Older files have neither, and begin with the group 2 of the file's
    meta data or with the group 8 of the data set, with the type of the value in letters or without.
    """
    if head[_DICOM_AT : _DICOM_AT + 4] == b"DICM":
        return True
    group, kind = head[:2], head[4:6]
    if group == b"\x02\x00":
        return kind in (b"UL", b"OB", b"UI")
    if group != b"\x08\x00":
        return False
    if kind in (b"CS", b"UI", b"UL", b"DA", b"TM", b"LO", b"SH"):
        return True
    length = struct.unpack("<I", head[4:8])[0] if len(head) >= 8 else 1
    return not may_be_voxels and head[2:4] in (b"\x00\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00") and 0 < length <= 64


def describe(head: bytes) -> tuple[str, str] | None:
    """Return what the first bytes of a file are, and what to do about it; None where they are nothing known."""
    if is_dicom_content(head, may_be_voxels=True):
        return "a DICOM file", "name it .dcm, and give the folder that holds all files of its series"
    if head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2"):
        return NIFTI, "name it .nii, or .nii.gz where it is compressed"
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive", "unpack it (`tar xf FILE`) and give the scan inside"
    for word, what, cure in _MAGIC:
        if head.startswith(word):
            return what, cure
    start = head.lstrip()[:16].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, such as one that asks for a password", "download the scan again, logged in"
    if head and not any(head[:_NIFTI_HEAD]):
        return "nothing but zeros where the header should be", "copy or download it again; its content never arrived"
    printable = sum(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)
    if len(head) >= 16 and printable >= _TEXT_SHARE * len(head):
        return "a text file", "give the scan itself; if it was downloaded, read the text: it may say what went wrong"
    return None
