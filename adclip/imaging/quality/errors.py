"""What can go wrong in `adclip.imaging.quality`, each with its remedy."""

from __future__ import annotations

from pathlib import Path

from adclip.errors import ScanError
from adclip.imaging import cures


def not_t1(path: Path | str, what: str, subject: str = "SUBJECT") -> ScanError:
    return ScanError(
        f"{path}: not a T1-weighted scan; this looks like {what}",
        f"give the T1 scan; if you are sure that this is one, let it through: {cures.let_through(path, subject)}, "
        "and give that folder",
    )


def not_a_head(path: Path | str, what: str, remedy: str) -> ScanError:
    return ScanError(f"{path}: nothing of an adult's brain is found again in it; {what}", remedy)
