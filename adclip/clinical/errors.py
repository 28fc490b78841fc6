"""What can go wrong in `adclip.clinical`, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from adclip.errors import TableError


def bad_cell(path: Path | str, line: int, column: str, why: str, remedy: str = "") -> TableError:
    return TableError(
        f"{path} line {line}, column `{column}`: {why}", remedy or "correct the cell, or leave it empty if unknown"
    )


def named_twice(path: Path | str, column: str) -> TableError:
    return TableError(f"{path}: the header names column `{column}` more than once", "give every column its own name")


def ambiguous(path: Path | str, name: str, lines: Iterable[int]) -> TableError:
    shown = ", ".join(str(line) for line in lines)
    return TableError(
        f"{path}: lines {shown} all match {name}",
        "keep one row, name the scan in a `scan` column, or add a `session_id` column that tells them apart",
    )


def changed(path: Path | str) -> TableError:
    return TableError(f"{path}: not the same at a second reading", "run again when nothing writes to the tables")
