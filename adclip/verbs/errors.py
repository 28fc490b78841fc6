"""What can go wrong in `adclip.verbs`, each with its remedy."""

from __future__ import annotations

from pathlib import Path

from adclip.errors import OutputError


def is_input(path: Path | str) -> OutputError:
    return OutputError(
        f"{path}: --out is one of the inputs; its raw scans would be mistaken for results and left out",
        "choose a folder of its own for the results, such as `--out derivatives`",
    )
