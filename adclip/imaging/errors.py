"""What can go wrong in `adclip.imaging`, each with its remedy."""

from __future__ import annotations

from pathlib import Path

from adclip.errors import ScanError


def unreadable(path: Path | str) -> ScanError:
    return ScanError(f"{path}: may not be read", "ask for permission to read it (`ls -l` shows who has it)")


def no_brain(path: Path | str, why: str, remedy: str = "check that this is a T1-weighted head scan") -> ScanError:
    return ScanError(f"{path}: no brain found; {why}", remedy)


def registration_failed(
    path: Path | str, why: str, remedy: str = "check the field of view and the orientation"
) -> ScanError:
    return ScanError(f"{path}: alignment to the MNI template failed ({why})", remedy)


def conversion_failed(path: Path | str, why: str) -> ScanError:
    return ScanError(
        f"{path}: the DICOM series could not be converted ({why})",
        "convert it with another program to NIfTI and give that file",
    )
