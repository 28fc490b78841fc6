"""What single columns of the table, and what is missing in them, tell of the diagnosis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.clinical.leak_words import DIAGNOSES, SCORE_NAMES
from adclip.domain import FloatArray, Visit
from adclip.evaluation.audits.cross_fit import FEWEST, FOLDS, fit_and_answer, how_telling
from adclip.evaluation.metrics.intervals import class_mean_interval
from adclip.evaluation.metrics.summary import Entry, entry

CIRCULAR = 0.5  # share of the label that one column may explain, above which it is warned of
MOST_VALUES = 30  # of a column of words; with more it names people or places
LEAVES = 8  # of the tree on one column


@dataclass(frozen=True)
class ColumnMeter:
    """How much of the label one column explains by itself.

    Parameters
    ----------
    column : str
        As the table calls it.
    known : int
        Scans of which it is known.
    kind : str
        `score`, `diagnosis` (by its name) or `column`.
    read : bool
        Whether the model reads it, as far as it has it in its reports.
    balanced_accuracy : dict
        Entry: of a small decision tree on this column alone, cross-fitted over people.
    explained : float
        How far that is on the way from chance (0) to certainty (1); below chance is 0.
    """

    column: str
    known: int
    kind: str
    read: bool
    balanced_accuracy: Entry
    explained: float

    @property
    def is_circular(self) -> bool:
        """Whether it is to be warned of."""
        return self.explained > CIRCULAR

    @property
    def says(self) -> str:
        """What follows of it, in a sentence."""
        if not self.is_circular:
            return ""
        share = f"{100 * self.explained:.0f} % of the way from chance to certainty"
        if self.read:
            return f"the model reads `{self.column}`, which alone gives {share}: circular, unless it is a measurement of the body"
        if self.kind == "score":
            return (
                f"`{self.column}` alone gives {share}: the diagnosis was made by it, or it goes with the diagnosis. The model does not read it; "
                "leave it out of any comparison"
            )
        if self.kind == "diagnosis":
            return (
                f"`{self.column}` alone gives {share}: it is the diagnosis in other words. The model does not read it"
            )
        return f"`{self.column}` alone gives {share}: find out why before you trust any number on this page"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "says": self.says}


def measure_columns(
    cells: Mapping[str, Sequence[str | None]],
    truth: NDArray[np.int64],
    subjects: Sequence[str],
    classes: int,
    read: Iterable[str] = (),
    seed: int = 0,
) -> list[ColumnMeter]:
    """Measure each column that varies; what explains most comes first.

    Parameters
    ----------
    cells : mapping
        Column -> cell of each of N scans; None where unknown. Numbers count as such, words as names without an order.
    truth : ndarray of int (N,)
        Places of the true classes.
    subjects : sequence of str, length N
    classes : int
        K.
    read : iterable of str
        Columns that the model reads.
    seed : int
        Of folds and intervals.
    """
    names = set(read)
    meters = []
    for name, column in cells.items():
        features = _to_features(column)
        answered = None if features is None else _tree_answers(features, truth, subjects, seed)
        if answered is None:
            continue
        known = sum(cell is not None for cell in column)
        estimate = class_mean_interval(answered == truth, truth, list(subjects), seed=seed)
        chance = 1 / len(np.unique(truth))
        explained = max(0.0, (estimate[0] - chance) / (1 - chance))
        told = entry(estimate, len(truth), len(set(subjects)))
        meters.append(ColumnMeter(name, known, _kind_of(name), name in names, told, explained))
    return sorted(meters, key=lambda meter: (-meter.explained, meter.column))


def _kind_of(name: str) -> str:
    """Say by its name whether a column holds a score or a diagnosis."""
    for kind, rules in (("score", SCORE_NAMES), ("diagnosis", DIAGNOSES)):
        for text in (name, name.replace("_", " "), name.upper()):
            if any(next(rule.find(text, text.lower()), None) for rule in rules):
                return kind
    plain = name.strip().lower().replace("_", " ")
    return "diagnosis" if plain.startswith(("dx", "diagnos")) or plain in ("group", "research group") else "column"


def _to_features(column: Sequence[str | None]) -> FloatArray | None:
    """Return a column as numbers (N, F), unknown as a number of its own; None where it does not vary or names people."""
    numbers = [_to_number(cell) for cell in column]
    known = [number for number in numbers if number is not None]
    words = {cell for cell, number in zip(column, numbers, strict=True) if cell is not None and number is None}
    if known and len(words) <= max(1, len(known) // 10):
        filled = [[min(known) - 1.0 if number is None else number] for number in numbers]
        return np.array(filled) if len(set(known)) > 1 or len(known) < len(column) else None
    values = sorted({cell for cell in column if cell is not None})
    if not values or len(values) > MOST_VALUES or (len(values) == 1 and None not in column):
        return None
    return np.array([[float(cell == value) for value in values] for cell in column])


def _to_number(cell: str | None) -> float | None:
    try:
        number = float((cell or "").lstrip("<>"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _tree_answers(
    features: FloatArray, truth: NDArray[np.int64], subjects: Sequence[str], seed: int
) -> NDArray[np.int64] | None:
    """Return the class that a small tree answers for each scan, grown on the other four fifths of the people."""
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.tree import DecisionTreeClassifier

    people = np.asarray(subjects, dtype=str)
    present = np.unique(truth)
    if len(present) < 2 or min(len(np.unique(people[truth == label])) for label in present) < FEWEST:
        return None
    answered = np.empty(len(truth), dtype=np.int64)
    parts = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for learned, judged in parts.split(features, truth, people):
        tree = DecisionTreeClassifier(
            max_leaf_nodes=LEAVES, min_samples_leaf=FEWEST, class_weight="balanced", random_state=seed
        )
        answered[judged] = tree.fit(features[learned], truth[learned]).predict(features[judged])
    return answered


# ----------------------------------------------------------------------------------------------- what is missing


@dataclass(frozen=True)
class Missingness:
    """What is missing, and what that alone tells of the diagnosis.

    Parameters
    ----------
    shares : dict
        Column -> class -> share of the scans of which it is unknown; columns that are known of all are left out.
    auc : dict or None
        Entry of the AUC of last class against first by the pattern of missing cells, cross-fitted over people; None where too few
        people are there, or nothing is missing.
    """

    shares: dict[str, dict[str, float]]
    auc: Entry | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


def measure_missing(
    visits: Sequence[Visit],
    columns: Sequence[str],
    truth: NDArray[np.int64],
    subjects: Sequence[str],
    labels: Sequence[str],
    seed: int = 0,
) -> Missingness:
    """Measure what is missing of the columns that reports use, by class.

    Parameters
    ----------
    visits : sequence of Visit, length N
    columns : sequence of str
        Canonical columns.
    truth : ndarray of int (N,)
    subjects : sequence of str, length N
    labels : sequence of str
        K class names.
    seed : int
        Of folds and intervals.
    """
    pattern = np.array([[getattr(visit, name) is None for name in columns] for visit in visits], dtype=float)
    shares = {
        name: {
            label: float(pattern[truth == place, column].mean())
            for place, label in enumerate(labels)
            if (truth == place).any()
        }
        for column, name in enumerate(columns)
        if pattern[:, column].any()
    }
    varied = pattern[:, pattern.std(axis=0) > 0]
    answers = fit_and_answer(varied, truth, subjects, len(labels), seed=seed)
    return Missingness(shares, None if answers is None else how_telling(answers, truth, subjects, seed)[0])
