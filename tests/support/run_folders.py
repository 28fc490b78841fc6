"""What tests of RUN folders share: the files of a whole one, and a way to stop a run between two epochs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from adclip.runtime.events import Advanced, Event

FILES = {
    "adapter.json", "adapter.safetensors", "README.md", "private/config.toml", "private/metrics.jsonl",
    "private/metrics.csv",
    "private/predictions_test.tsv", "private/splits.tsv", "private/scans.tsv", "private/embeddings.npz", "private/.lock", "private/leak_certificate.json", "private/last.safetensors",
    *(f"private/plots/{name}.png" for name in ("loss", "roc", "confusion", "reliability", "mmse")),
}  # fmt: skip


def files_in(folder: Path) -> set[str]:
    """Return every file below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class StoppedError(Exception):
    """Stands for Ctrl-C."""


def stop_after(epochs: int) -> Callable[[Event], None]:
    """Return a listener that stops a run after so many epochs."""

    def stop(event: Event) -> None:
        if isinstance(event, Advanced) and event.task == "fine-tuning" and event.done == epochs:
            raise StoppedError

    return stop
