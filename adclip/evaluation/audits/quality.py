"""Whether the diagnosis could be told from the quality of the scans alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.evaluation.audits.cross_fit import fit_and_answer, how_telling
from adclip.evaluation.metrics.summary import Entry
from adclip.imaging.quality.limits import LIMITS

DOUBTFUL = 0.6  # AUC above which quality may explain part of what a model says
KNOWN_IN = 0.5  # share of the scans in which a number must be known to count
# What a shrunken brain changes by itself: that it goes with the diagnosis is no fault of anybody's scanner.
OF_ANATOMY = frozenset({
    "template_overlap", "template_correlation", "scale", "brain_volume_ml", "mask_holes_share", "mask_roughness", "gray_white_contrast",
    "cjv", "gray_level", "white_level", "fluid_level",
})  # fmt: skip


@dataclass(frozen=True)
class QualityAudit:
    """What the quality numbers alone tell of the diagnosis.

    Parameters
    ----------
    scans : int
        Scans that have any quality number.
    acquisition, every : dict or None
        Entry of the AUC of last class against first: by the numbers of how a scan was taken (noise, field of view, position), and by all of
        them. None where they cannot be computed.
    numbers : tuple of str
        Of how a scan was taken, as far as they vary here.
    says : str
        What it means.
    """

    scans: int
    acquisition: Entry | None
    every: Entry | None
    numbers: tuple[str, ...]
    says: str

    @property
    def is_doubtful(self) -> bool:
        """Whether quality may be a confound."""
        value = None if self.acquisition is None else self.acquisition["value"]
        return isinstance(value, float) and value > DOUBTFUL

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "numbers": list(self.numbers), "doubtful": self.is_doubtful}


def audit_quality(
    numbers: Sequence[Mapping[str, float | None]],
    truth: NDArray[np.int64],
    subjects: Sequence[str],
    classes: int,
    seed: int = 0,
) -> QualityAudit:
    """Predict the diagnosis from quality numbers alone, cross-fitted over people.

    Parameters
    ----------
    numbers : sequence of mapping, length N
        Of each scan, by `Limit.name`; empty for a scan that nobody judged.
    truth : ndarray of int (N,)
        Places of the true classes.
    subjects : sequence of str, length N
    classes : int
        K.
    seed : int
        Of folds and intervals.
    """
    judged = sum(bool(row) for row in numbers)
    names = [limit.name for limit in LIMITS]
    table = np.array(
        [[np.nan if row.get(name) is None else float(row[name] or 0.0) for name in names] for row in numbers],
        dtype=float,
    ).reshape(len(numbers), len(names))
    used = [place for place in range(len(names)) if _varies(table[:, place])]
    of_scanner = [place for place in used if names[place] not in OF_ANATOMY]

    def ask(places: Sequence[int]) -> Entry | None:
        answers = fit_and_answer(table[:, list(places)], truth, subjects, classes, seed=seed)
        if answers is None:
            return None
        area, _ = how_telling(answers, truth, subjects, seed)
        return None if area["value"] is None else area

    acquisition, every = ask(of_scanner), ask(used)
    return QualityAudit(
        judged, acquisition, every, tuple(names[place] for place in of_scanner), _say(judged, acquisition)
    )


def _varies(column: FloatArray) -> bool:
    known = column[np.isfinite(column)]
    return len(known) >= KNOWN_IN * len(column) and len(np.unique(known)) > 1


def _say(judged: int, area: Entry | None) -> str:
    if not judged:
        return "the scans have no quality numbers: nothing can be said (simulated derivatives have none)"
    value = None if area is None else area["value"]
    if area is None or not isinstance(value, float):
        return "too few people of a class, or quality numbers that do not vary: nothing can be said"
    low = area["low"]
    if value <= DOUBTFUL:
        return f"how the scans were taken says little of the diagnosis (AUC {value:.2f}; above {DOUBTFUL} it would be doubtful)"
    sure = isinstance(low, float) and low > 0.5
    return (
        f"how the scans were taken tells the diagnosis with an AUC of {value:.2f}"
        + (", more than chance" if sure else ", which chance may explain with so few people")
        + f". Above {DOUBTFUL} a model may have learned who was scanned where and how: compare sites and scanners between the groups, "
        "and repeat the evaluation within one scanner before you speak of the disease"
    )
