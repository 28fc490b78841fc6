"""What can go wrong in `adclip.imaging.derivatives`, each with its remedy."""

from __future__ import annotations

from pathlib import Path

from adclip.errors import OutputError, ScanError


def wrong_grid(path: Path | str, shape: tuple[int, ...], expected_shape: tuple[int, ...]) -> ScanError:
    return ScanError(
        f"{path}: preprocessed on a grid of {shape}, the model needs {expected_shape}",
        "preprocess the raw scan again for this model: `adclip preprocess SCANS --out DIR --model NAME`",
    )


def wrong_contract(path: Path | str) -> ScanError:
    return ScanError(
        f"{path}: preprocessed by other intensity rules than the model needs",
        "preprocess the raw scan again for this model: `adclip preprocess INPUT --model RUN --out DIR`",
    )


def place_taken(path: Path | str, ids: str) -> OutputError:
    return OutputError(
        f"{path}: holds the scan of `{ids}`, whose file name is the same",
        "choose another --out, or give one of the two people another id in a table with `scan` and `subject_id`",
    )
