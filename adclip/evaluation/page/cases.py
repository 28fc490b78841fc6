"""The surest wrong answers, one by one, with pictures: they name people and stay private."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from adclip.domain import FloatArray
from adclip.evaluation.assess import Assessment
from adclip.evaluation.page.render import Figure, Grid, Section, render
from adclip.evaluation.reading import ReadScans
from adclip.prediction.dataset import QUANTUM

SHOWN = 12  # cases
PLANES = ("sagittal", "coronal", "axial")


def largest_misses(assessment: Assessment) -> list[int]:
    """Return the places of wrong answers, the one that gave the true class least before the others."""
    judgement = assessment.judgement
    stated = judgement.full.equal
    of_truth = stated[np.arange(len(stated)), judgement.numbers]
    wrong = np.flatnonzero(stated.argmax(axis=1) != judgement.numbers)
    return [int(place) for place in wrong[np.argsort(of_truth[wrong], kind="stable")]]


def cases_page(assessment: Assessment, read: ReadScans, notice: str) -> str:
    """Return the page of the largest misses as HTML."""
    judgement, labels = assessment.judgement, assessment.record.labels
    misses = largest_misses(assessment)
    sections = []
    for place in misses[:SHOWN]:
        visit, quality = judgement.visits[place], read.quality[place]
        session = f", session {visit.session_id}" if visit.session_id else ""
        rows = [
            [name, *(f"{answers.equal[place, column]:.3f}" for column in range(len(labels)))]
            for name, answers in judgement.everyone.items()
        ]
        known, estimate = judgement.true_scores[place], None if judgement.mmse is None else judgement.mmse[place]
        texts = [
            f"Diagnosis {judgement.truth[place]}, answered {labels[int(judgement.full.equal[place].argmax())]}. "
            f"Quality: {quality.verdict or 'not judged'}"
            + (f" ({', '.join(quality.reasons)})" if quality.reasons else "")
            + ".",
            f"Age {_told(visit.age_years)}, sex {visit.sex or 'unknown'}; {assessment.record.task.score} {_told(known)}, "
            f"estimated {_told(estimate)}.",
        ]
        image = read.cohort.images[place, 0].numpy().astype(np.float32) / QUANTUM
        figure = Figure(
            f"Middle slices: {', '.join(PLANES)}; the subject's left is on the left.", draw_slices(image), is_wide=True
        )
        grid = Grid("Probabilities for classes equally common", ["who answers", *labels], rows)
        sections.append(Section(f"{visit.subject_id}{session}", texts, grids=[grid], figures=[figure]))
    count = f"{len(misses)} of {len(judgement.truth)} answers were wrong; the {min(SHOWN, len(misses))} that gave the true class least"
    if not misses:
        sections = [Section("No wrong answer", ["Nothing to show. With few scans that says little."])]
    return render(f"Largest misses: {count}", f"Names people: not to be passed on. {notice}", [], sections)


def draw_slices(image: FloatArray) -> bytes:
    """Draw the middle slice of each plane of a scan (D, H, W) in [0, 1] on the model's grid, as PNG.

    D grows upwards, H to the back, W to the patient's left; on the picture the patient's left is on the left, the front at the top.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    deep, high, wide = (size // 2 for size in image.shape)
    slices = (image[::-1, :, wide], image[::-1, high, ::-1], image[deep, :, ::-1])
    figure = Canvas(figsize=(8, 2.9), facecolor="black", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, picture in zip(figure.subplots(1, len(slices)), slices, strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes.axis("off")
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return stream.getvalue()


def _told(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"
