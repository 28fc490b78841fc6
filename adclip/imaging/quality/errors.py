"""What can go wrong in `adclip.imaging.quality`, each with its remedy."""

from __future__ import annotations

from pathlib import Path

from adclip.errors import ScanError


def not_t1(path: Path | str, what: str) -> ScanError:
    return ScanError(
        f"{path}: not a T1-weighted scan; this looks like {what}",
        "give the T1 scan; if you are sure that this is one, let it through: `--override SUBJECT=pass`",
    )


def not_a_head(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: nothing of a brain is found again in it; this looks like a phantom or another part of the body",
        "check that this is a T1-weighted head scan; if you are sure, let it through: `--override SUBJECT=pass`",
    )
