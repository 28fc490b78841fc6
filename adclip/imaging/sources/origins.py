"""Which scan a derivative was made of, among scans that a table names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from adclip.domain import ScanItem
from adclip.errors import AdclipError
from adclip.imaging.sources.files import scan_sha256
from adclip.imaging.sources.ours import read_sidecar


def find_origins(items: Iterable[ScanItem], named: Iterable[Path]) -> dict[Path, tuple[Path, ...]]:
    """Return for derivatives those of some scans that have the bytes which they were made of.

    Parameters
    ----------
    items : iterable of ScanItem
        Scans of a run; others than derivatives are passed over.
    named : iterable of Path
        Scans on disk; what is absent or cannot be read is passed over.

    Returns
    -------
    dict of Path to tuple of Path
        Path of a derivative -> scans of `named`; two where a scan lies in two places.

    Notes
    -----
    Names of derivatives are made from those of scans and do not lead back; the hash in a sidecar does.
    """
    made_of: dict[str, list[Path]] = {}
    for item in items:
        sidecar = read_sidecar(item.path) if item.preprocessed else None
        if sidecar is not None and sidecar.source_sha256:
            made_of.setdefault(sidecar.source_sha256, []).append(item.path)
    origins: dict[Path, list[Path]] = {}
    for scan in dict.fromkeys(named) if made_of else ():
        try:
            sha256 = scan_sha256(scan)
        except (AdclipError, OSError):
            continue
        for derivative in made_of.get(sha256, ()):
            origins.setdefault(derivative, []).append(scan)
    return {derivative: tuple(scans) for derivative, scans in origins.items()}
