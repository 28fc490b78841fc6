"""Pictures of answers: losses, ROC, precision and recall, confusion, reliability, decisions, scores; as PNG.

They name nobody, but their points are people. A RUN keeps them under `private/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adclip.domain import FloatArray
from adclip.evaluation.metrics import net_benefit
from adclip.runtime.paths import write_bytes
from adclip.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTS = ("loss", "roc", "confusion", "reliability")  # and one named as the task's score
DOTS_PER_INCH = 110
BINS = 8  # of the reliability diagram, with equal numbers of answers
DRAWS = 2000  # of a perfect model's answers, for the band of the reliability diagram
THRESHOLDS = np.linspace(0.01, 0.9, 90)  # of the decision curve


def plot_history(folder: Path, history: Sequence[dict[str, float]], best_epoch: int) -> None:
    """Write `loss.png`: losses by epoch, and the epoch whose weights were kept."""
    if not history:
        return
    with _Picture() as picture:
        axes = picture.axes
        epochs = [row["epoch"] for row in history]
        for name in ("train_loss", "validation_loss", "validation_scan_only_loss"):
            if name in history[0]:
                axes.plot(epochs, [row[name] for row in history], marker="o", label=name.replace("_", " "))
        axes.axvline(best_epoch, color="0.6", linestyle=":", label="kept")
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.legend()
    write_bytes(folder / "loss.png", picture.png)


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
    pictures = {
        "roc": draw_roc(task.classes, truth, probabilities),
        "confusion": draw_confusion(task.classes, truth, probabilities),
        "reliability": draw_reliability(truth, as_in_study),
        task.score_key: draw_scores(task, known_mmse, mmse),
    }
    for name, png in pictures.items():
        if png is not None:
            write_bytes(folder / f"{name}.png", png)


def draw_roc(labels: Sequence[str], truth: Sequence[int], probabilities: FloatArray) -> bytes:
    """Draw a ROC curve of each class against the others, by answers (N, K) for classes equally common."""
    from sklearn.metrics import roc_curve

    true_classes = np.asarray(truth)
    with _Picture() as picture:
        axes = picture.axes
        for index, label in _told_apart(labels, true_classes):
            false, true, _ = roc_curve(true_classes == index, probabilities[:, index])
            axes.plot(false, true, label=f"{label} against the others")
        axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        _legend(axes)
    return picture.png


def draw_precision(labels: Sequence[str], truth: Sequence[int], as_in_study: FloatArray) -> bytes:
    """Draw precision against recall of each class, by answers (N, K) for classes as common as here; dotted: by chance."""
    from sklearn.metrics import precision_recall_curve

    true_classes = np.asarray(truth)
    with _Picture() as picture:
        axes = picture.axes
        for index, label in _told_apart(labels, true_classes):
            precision, recall, _ = precision_recall_curve(true_classes == index, as_in_study[:, index])
            (line,) = axes.plot(recall, precision, label=label)
            axes.axhline((true_classes == index).mean(), color=line.get_color(), linestyle=":", linewidth=0.9)
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("recall (sensitivity)")
        axes.set_ylabel("precision (positive predictive value)")
        _legend(axes)
    return picture.png


def draw_confusion(labels: Sequence[str], truth: Sequence[int], probabilities: FloatArray) -> bytes:
    """Draw how many scans of each class were given each answer (N, K)."""
    size, true_classes = len(labels), np.asarray(truth)
    counts = np.bincount(true_classes * size + probabilities.argmax(1), minlength=size * size).reshape(size, size)
    with _Picture() as picture:
        axes = picture.axes
        axes.imshow(counts, cmap="Blues")
        for row, column in np.ndindex(size, size):
            dark = counts[row, column] > counts.max() / 2
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color="w" if dark else "k")
        axes.set_xticks(range(size), labels)
        axes.set_yticks(range(size), labels)
        axes.set_xlabel("answered")
        axes.set_ylabel("diagnosis")
    return picture.png


def draw_reliability(truth: Sequence[int], as_in_study: FloatArray, seed: int = 0) -> bytes:
    """Draw how often answers (N, K) were right that claimed a probability, in groups of equal size.

    Notes
    -----
    The bars are consistency bars: where 95 of 100 cohorts of this size have the group's share if every stated probability is exactly
    right (Broecker & Smith 2007, Weather and Forecasting 22:651-661).
    """
    confidence, right = as_in_study.max(1), as_in_study.argmax(1) == np.asarray(truth)
    with _Picture() as picture:
        axes = picture.axes
        for group, low, high in reliability_groups(as_in_study, seed):
            stated = confidence[group].mean()
            axes.plot([stated, stated], [low, high], color="0.8", linewidth=6, solid_capstyle="butt", zorder=1)
            axes.plot(stated, right[group].mean(), "o", color="C0", zorder=3)
        axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        axes.set_xlabel("probability of the answer")
        axes.set_ylabel("share that was right")
    return picture.png


def reliability_groups(as_in_study: FloatArray, seed: int = 0) -> list[tuple[Any, float, float]]:
    """Return the groups of a reliability diagram: rows, and the ends of the band of a perfect model's share that is right."""
    confidence = as_in_study.max(1)
    random, groups = np.random.default_rng(seed), []
    for group in np.array_split(np.argsort(confidence, kind="stable"), min(BINS, len(confidence))):
        shares = (random.random((DRAWS, len(group))) < confidence[group]).mean(1)
        low, high = np.quantile(shares, [0.025, 0.975])
        groups.append((group, float(low), float(high)))
    return groups


def draw_decisions(label: str, cases: Sequence[bool], answers: Mapping[str, FloatArray]) -> bytes:
    """Draw what it is worth to act on a probability (N,) of being a case, by the threshold from which on somebody acts."""
    truth = np.asarray(cases, dtype=bool)
    everybody = net_benefit(truth, np.ones(len(truth)), THRESHOLDS)
    with _Picture() as picture:
        axes = picture.axes
        for name, probability in answers.items():
            axes.plot(THRESHOLDS, net_benefit(truth, probability, THRESHOLDS), label=name.replace("_", " "))
        axes.plot(THRESHOLDS, everybody, color="0.6", linestyle="--", label="act on everybody")
        axes.axhline(0, color="0.6", linestyle=":", label="act on nobody")
        axes.set_ylim(-0.05, max(0.06, 1.15 * float(truth.mean())))
        axes.set_xlabel(f"probability of {label} from which on one acts")
        axes.set_ylabel("net benefit")
        _legend(axes)
    return picture.png


def draw_scores(task: Task, known: Sequence[float | None], estimated: Sequence[float] | None) -> bytes | None:
    """Draw estimates of the task's score against known ones, points; None where there is no pair."""
    pairs = _pairs(known, estimated)
    if not pairs:
        return None
    low, high = task.score_range
    with _Picture() as picture:
        axes = picture.axes
        axes.plot(*zip(*pairs, strict=True), "o", alpha=0.6)
        axes.plot([low, high], [low, high], color="0.7", linestyle=":")
        margin = (high - low) / 60
        lowest, highest = (end(map(end, pairs)) for end in (min, max))
        axes.set_xlim(lowest - 2 * margin, highest + margin)
        axes.set_ylim(lowest - 2 * margin, highest + margin)
        axes.set_xlabel(f"{task.score}, points")
        axes.set_ylabel("estimate, points")
    return picture.png


def draw_differences(task: Task, known: Sequence[float | None], estimated: Sequence[float] | None) -> bytes | None:
    """Draw estimate less known score against their mean, with the mean difference and the limits of agreement.

    References
    ----------
    .. [1] Bland & Altman 1986, The Lancet 327:307-310.
    """
    pairs = np.array(_pairs(known, estimated), dtype=float)
    if len(pairs) < 3:
        return None
    difference = pairs[:, 1] - pairs[:, 0]
    middle, spread = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    with _Picture() as picture:
        axes = picture.axes
        axes.plot(pairs.mean(axis=1), difference, "o", alpha=0.6)
        for height, style in ((middle, "-"), (middle - spread, "--"), (middle + spread, "--")):
            axes.axhline(height, color="0.5", linestyle=style)
            axes.annotate(f"{height:.1f}", (1, height), xycoords=("axes fraction", "data"), ha="right", va="bottom")
        axes.set_xlabel(f"mean of estimate and {task.score}, points")
        axes.set_ylabel("estimate less known, points")
    return picture.png


def _pairs(known: Sequence[float | None], estimated: Sequence[float] | None) -> list[tuple[float, float]]:
    if estimated is None:
        return []
    return [(truth, estimate) for truth, estimate in zip(known, estimated, strict=True) if truth is not None]


def _told_apart(labels: Sequence[str], truth: Any) -> list[tuple[int, str]]:
    """Return the classes that some scans have and some have not."""
    return [(place, label) for place, label in enumerate(labels) if 0 < (truth == place).sum() < len(truth)]


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


class _Picture:
    """Give axes to draw on, and hold the PNG in the end."""

    png = b""

    def __enter__(self) -> _Picture:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(5, 4), layout="constrained")
        FigureCanvasAgg(self.figure)  # no window and no global state
        self.axes: Axes = self.figure.add_subplot()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            stream = BytesIO()
            self.figure.savefig(stream, format="png", dpi=DOTS_PER_INCH)
            self.png = stream.getvalue()
