"""Which format a path is, by its name or, for DICOM, by its first bytes. No file is parsed here."""

from __future__ import annotations

import re
from pathlib import Path

from adclip.errors import AdclipError, ScanError
from adclip.imaging import errors as imaging_errors
from adclip.imaging.formats import errors
from adclip.imaging.formats.content import ANNEX, is_annex_link, is_dicom_content, pointer_at
from adclip.runtime.paths import is_utf8

NIFTI = (".nii", ".nii.gz")
PAIR = (".hdr", ".img", ".hdr.gz", ".img.gz")
MGH = (".mgh", ".mgz", ".mgh.gz")
DICOM = (".dcm", ".ima", ".dicom")

_NOT_DICOM = frozenset({"dicomdir", "version", "readme", "lockfile"})
# No scanner names its files so, and folders of research data hold thousands of them: they are not opened.
_OTHER_ENDINGS = frozenset({
    ".json", ".tsv", ".csv", ".txt", ".xml", ".html", ".md", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".tif", ".tiff",
    ".xlsx", ".xls", ".docx", ".gz", ".zip", ".tar", ".bz2", ".xz", ".7z", ".mat", ".m", ".py", ".sh", ".r", ".log", ".bval",
    ".bvec", ".h5", ".npy", ".npz", ".pkl", ".stats", ".label", ".annot", ".gii", ".lta", ".xfm", ".yaml", ".yml", ".toml",
})  # fmt: skip
_LOOKED_AT = 256  # bytes
# `IM0001`, `I12.MR`, `1.3.12.2.1107.5`: how slices are called that have no ending of their own
_SLICE_NAME = re.compile(r"[a-z]{0,6}[-_.]?\d[\d._-]*(?:\.?(?:mri?|img|bin|ima\d*))?", re.IGNORECASE)


def format_of(name: str) -> str | None:
    """Return `nifti`, `pair`, `mgh` or `dicom` as the file name says (in any case), or None."""
    lower = name.lower()
    for kind, endings in (("nifti", NIFTI), ("pair", PAIR), ("mgh", MGH), ("dicom", DICOM)):
        if lower.endswith(endings):
            return kind
    return None


def kind_of(path: Path) -> str:
    """Return `nifti`, `pair`, `mgh` or `dicom` of what lies at `path`.

    Raises
    ------
    ScanError
        If there is nothing, a pointer in its place, nothing that may be looked at, a name that is not UTF-8, an empty file,
        or no scan by its name.
    """
    if not is_utf8(path):
        raise errors.bad_name(path)
    try:
        return _kind_of(path)
    except AdclipError:
        raise
    except PermissionError:
        raise imaging_errors.unreadable(path) from None
    except OSError as error:
        raise errors.bad_path(path, (error.strerror or "it cannot be used").lower()) from None
    except ValueError:  # a zero byte in a name
        raise errors.bad_path(path, "no file can have this name") from None


def strip_ending(name: str) -> str:
    """Return a scan's file name without its format ending."""
    return re.sub(r"\.(nii|hdr|img|mgh|mgz|dcm|ima|dicom)(\.gz)?$", "", name, flags=re.IGNORECASE)


def pair_of(path: Path) -> tuple[Path, Path]:
    """Return (header, voxels) of a pair of which `path` is either file; the other one need not exist."""
    match = re.search(r"\.(hdr|img)(\.gz)?$", path.name, flags=re.IGNORECASE)
    if match is None:
        raise ValueError(f"{path.name} is no name of a pair")
    ending, zipped = match[1], match[2] or ""
    partner_ending = "img" if ending.lower() == "hdr" else "hdr"
    stem = path.name[: match.start()]
    default_ending = (partner_ending.upper() if ending.isupper() else partner_ending) + zipped
    names = [
        default_ending,
        partner_ending + zipped,
        partner_ending.upper() + zipped,
        partner_ending,
        partner_ending + ".gz",
    ]
    partner = next(
        (path.with_name(f"{stem}.{name}") for name in names if path.with_name(f"{stem}.{name}").is_file()), None
    )
    partner = partner or path.with_name(f"{stem}.{default_ending}")
    return (path, partner) if ending.lower() == "hdr" else (partner, path)


def begins_as_dicom(path: Path) -> bool:
    """Tell whether a file begins as DICOM does, see `content.is_dicom_content`; False where it may not be read."""
    try:
        with path.open("rb") as stream:
            return is_dicom_content(stream.read(_LOOKED_AT), may_be_voxels=format_of(path.name) == "pair")
    except OSError:
        return False


def may_be_dicom(name: str) -> bool:
    """Tell whether a file of this name is worth a look: any that does not say by its ending that it is something else."""
    if name.startswith(".") or name.lower() in _NOT_DICOM:
        return False
    return format_of(name) in (None, "dicom", "pair") and Path(name).suffix.lower() not in _OTHER_ENDINGS


def is_dicom(path: Path) -> bool:
    """Tell whether a file is DICOM: by its name where that says so, else by its first bytes.

    A link into git-annex's store whose content is not there counts by its name, so that whoever reads it can say so.
    """
    if not may_be_dicom(path.name) or not (path.is_file() or is_annex_link(path)):
        return False
    return path.suffix.lower() in DICOM or begins_as_dicom(path)


def is_slice_pointer(path: Path) -> bool:
    """Tell whether a pointer of git-annex or Git LFS lies where the name is that of a DICOM slice and no ending says what it is."""
    return _is_named_as_slice(path) and pointer_at(path) is not None


def is_empty_slice(path: Path) -> bool:
    """Tell whether an empty file has the name of a DICOM slice."""
    return _is_named_as_slice(path) and path.is_file() and path.stat().st_size == 0


def _is_named_as_slice(path: Path) -> bool:
    if _SLICE_NAME.fullmatch(path.name) is None or not may_be_dicom(path.name):
        return False
    return format_of(path.name) != "pair" or not pair_of(path)[0].exists()


def _kind_of(path: Path) -> str:
    kind = format_of(path.name)
    if path.is_dir():
        if kind not in (None, "dicom"):
            raise errors.is_folder(path)
        return "dicom"
    if is_annex_link(path):
        raise errors.pointer(path, ANNEX)
    if not path.exists():
        raise ScanError.missing(path)
    if kind in (None, "pair") and is_dicom(path):
        kind = "dicom"
    if kind is None:
        raise errors.unknown_kind(path)
    if path.stat().st_size == 0:
        raise errors.empty_file(path)
    return kind
