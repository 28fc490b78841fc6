"""A derivative whose scan is refused by now: taken out of use, unless the scan it was made from is still there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from adclip.domain import ScanItem
from adclip.errors import ScanError
from adclip.imaging.derivatives.currency import RECIPE
from adclip.imaging.derivatives.names import derivative_path, sidecar_path
from adclip.imaging.formats.dicom import series_files
from adclip.imaging.formats.names import kind_of
from adclip.imaging.sources.files import scan_sha256
from adclip.imaging.sources.ours import read_sidecar
from adclip.runtime.hashing import file_sha256


def withdraw(out: Path, item: ScanItem, *, anew: bool) -> bool:
    """Remove the sidecar of an earlier derivative of a scan that was refused, so that nobody takes it for the scan's.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    item : ScanItem
        The scan that a ScanError spoke of.
    anew : bool
        Whether earlier results were to be replaced in any case (`--overwrite`).

    Returns
    -------
    bool
        Whether there was one. It stays where the scan is missing or cannot be read, which says nothing of its content,
        and where the scan holds the very bytes that the derivative was made from by this recipe: then an option that it
        needs was left out (`--orientation`, `--series`). Image, mask and affine always stay; a new sidecar would need
        the same eight seconds as the whole set.
    """
    path = derivative_path(out, item)
    sidecar = read_sidecar(path)
    if sidecar is None or item.preprocessed:
        return False
    try:
        hashes = _hashes(item.path)
    except OSError:
        return False
    if hashes is None or (not anew and sidecar.source_sha256 in hashes and sidecar.recipe == RECIPE):
        return False
    sidecar_path(path).unlink(missing_ok=True)
    return True


def _hashes(path: Path) -> set[str] | None:
    """Return the hash of a scan, of a DICOM folder that of every series; None where there is nothing to be read."""
    if not path.exists():
        return None
    try:
        if kind_of(path) != "dicom":
            return {scan_sha256(path)}
        series = [sorted(map(file_sha256, files)) for files in series_files(path)]
    except ScanError:
        return set()  # what is there now is no scan at all
    return {hashlib.sha256("".join(parts).encode("ascii")).hexdigest() for parts in series}
