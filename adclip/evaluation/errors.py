"""What can go wrong in `adclip.evaluation`, each with its remedy."""

from __future__ import annotations

from pathlib import Path

from adclip.errors import ScanError, TableError


def all_failed_quality(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: every scan has the quality verdict `fail`",
        "look at qc.html; `adclip preprocess ... --override SUBJECT=pass` accepts a scan",
    )


def nobody_left(path: Path | str) -> TableError:
    return TableError(
        f"{path}: everybody of this cohort trained the model, chose its epoch or calibrated it; nobody may be counted",
        "give the scans of its test part, or of other people",
    )
