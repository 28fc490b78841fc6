"""Pictures of a finished run: losses, ROC, confusion, reliability, MMSE. They show individuals' answers and stay private."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adclip.domain import FloatArray
from adclip.runtime.paths import write_bytes
from adclip.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTS = ("loss", "roc", "confusion", "reliability")  # and one named as the task's score
DOTS_PER_INCH = 110
BINS = 8  # of the reliability diagram, with equal numbers of answers


def plot_history(folder: Path, history: Sequence[dict[str, float]], best_epoch: int) -> None:
    """Write `loss.png`: losses by epoch, and the epoch whose weights were kept."""
    if not history:
        return
    with _Picture(folder / "loss.png") as axes:
        epochs = [row["epoch"] for row in history]
        for name in ("train_loss", "validation_loss", "validation_scan_only_loss"):
            if name in history[0]:
                axes.plot(epochs, [row[name] for row in history], marker="o", label=name.replace("_", " "))
        axes.axvline(best_epoch, color="0.6", linestyle=":", label="kept")
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.legend()


def plot_answers(
    folder: Path,
    task: Task,
    truth: Sequence[int],
    probabilities: FloatArray,
    as_in_study: FloatArray,
    known_mmse: Sequence[float | None],
    mmse: Sequence[float] | None,
) -> None:
    """Write `roc.png`, `confusion.png`, `reliability.png` and, where there is any, `mmse.png` (or the task's score).

    Parameters
    ----------
    folder : Path
    task : Task
        Classes and score.
    truth : sequence of int (N,)
    probabilities, as_in_study : ndarray (N, K)
        For classes equally common, as `predict` answers, and as common as in the study, which these people's reliability
        is of.
    known_mmse, mmse : sequence of float
        Points; None where unknown, None where the model has no such score.
    """
    labels = task.classes
    true_classes, answer = np.asarray(truth), probabilities.argmax(1)
    with _Picture(folder / "roc.png") as axes:
        from sklearn.metrics import roc_curve

        for index, label in enumerate(labels):
            if 0 < (true_classes == index).sum() < len(true_classes):
                false, true, _ = roc_curve(true_classes == index, probabilities[:, index])
                axes.plot(false, true, label=f"{label} against the others")
        axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.legend()
    with _Picture(folder / "confusion.png") as axes:
        size = len(labels)
        counts = np.bincount(true_classes * size + answer, minlength=size * size).reshape(size, size)
        axes.imshow(counts, cmap="Blues")
        for row, column in np.ndindex(size, size):
            dark = counts[row, column] > counts.max() / 2
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color="w" if dark else "k")
        axes.set_xticks(range(size), labels)
        axes.set_yticks(range(size), labels)
        axes.set_xlabel("answered")
        axes.set_ylabel("diagnosis")
    with _Picture(folder / "reliability.png") as axes:
        confidence, right = as_in_study.max(1), as_in_study.argmax(1) == true_classes
        for group in np.array_split(np.argsort(confidence), min(BINS, len(true_classes))):
            axes.plot(confidence[group].mean(), right[group].mean(), "o", color="C0")
        axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        axes.set_xlabel("probability of the answer")
        axes.set_ylabel("share that was right")
    pairs = [(k, m) for k, m in zip(known_mmse, mmse, strict=True) if k is not None] if mmse is not None else []
    if pairs:
        low, high = task.score_range
        with _Picture(folder / f"{task.score_key}.png") as axes:
            axes.plot(*zip(*pairs, strict=True), "o", alpha=0.6)
            axes.plot([low, high], [low, high], color="0.7", linestyle=":")
            margin = (high - low) / 60
            lowest, highest = (end(map(end, pairs)) for end in (min, max))
            axes.set_xlim(lowest - 2 * margin, highest + margin)
            axes.set_ylim(lowest - 2 * margin, highest + margin)
            axes.set_xlabel(f"{task.score}, points")
            axes.set_ylabel("estimate, points")


class _Picture:
    """Give axes to draw on, and write them as a PNG in the end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Axes:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(5, 4), layout="constrained")
        FigureCanvasAgg(self.figure)  # no window and no global state
        axes: Axes = self.figure.add_subplot()
        return axes

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            stream = BytesIO()
            self.figure.savefig(stream, format="png", dpi=DOTS_PER_INCH)
            write_bytes(self.path, stream.getvalue())
