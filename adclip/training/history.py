"""The numbers of each epoch on disk while a run goes on: JSON lines, CSV, and TensorBoard's events if asked for."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from collections.abc import Sequence
from pathlib import Path

from adclip.errors import MissingPackageError
from adclip.runtime.paths import write_text

EVENTS = "tensorboard"


def check_tensorboard() -> None:
    """Say at once that the optional package is missing.

    Raises
    ------
    MissingPackageError
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingPackageError.needed("tensorboard", "tensorboard")


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return what `History` wrote into `folder`; nothing where there was no epoch."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError:  # damaged by others; the run's result does not hang on it
        return []


class History:
    """Writes `metrics.jsonl` and `metrics.csv` into a folder, whole after every epoch.

    Parameters
    ----------
    folder : Path
    tensorboard : bool
        Whether TensorBoard's event files are written beside them.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self.folder, self.tensorboard = folder, tensorboard

    def write(self, rows: Sequence[dict[str, float]]) -> None:
        """Write the numbers of all epochs so far."""
        write_text(self.folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / "metrics.csv", text.getvalue())
        if self.tensorboard and rows:
            self._add_events(rows[-1])

    def _add_events(self, row: dict[str, float]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        epoch = int(row["epoch"])
        # a writer for each epoch: what a killed run had written of a later one is purged, and nothing is left open
        with SummaryWriter(str(self.folder / EVENTS), purge_step=epoch) as writer:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, epoch)
