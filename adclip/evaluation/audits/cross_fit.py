"""How much of the diagnosis plain features tell, by regressions that never judge the people they learned from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.evaluation.metrics import Judged, put_back
from adclip.evaluation.metrics.intervals import auc_interval, class_mean_interval
from adclip.evaluation.metrics.summary import Entry, entry, odds

FOLDS = 5
INNER_FOLDS = 3  # that choose the penalty, within the people that a fold learns from
FEWEST = 5  # people of a class, below which nothing is fitted
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse penalties; `finetune --method linear-probe` chooses among the same


@dataclass(frozen=True)
class Learned:
    """Features of people to learn from, with what is true of them; nobody of them is judged.

    Parameters
    ----------
    features : ndarray (M, F)
        NaN where unknown.
    truth : ndarray of int (M,)
    subjects : tuple of str, length M
    """

    features: FloatArray
    truth: NDArray[np.int64]
    subjects: tuple[str, ...]


def fit_and_answer(
    features: FloatArray,
    truth: NDArray[np.int64],
    subjects: Sequence[str],
    classes: int,
    others: Learned | None = None,
    seed: int = 0,
) -> FloatArray | None:
    """Return what a regularised multinomial logistic regression on features answers, for classes equally common.

    Parameters
    ----------
    features : ndarray (N, F)
        Of the scans that are judged; NaN where unknown, which counts as the median.
    truth : ndarray of int (N,)
        Places of their classes.
    subjects : sequence of str, length N
        Who each scan belongs to.
    classes : int
        K.
    others : Learned, optional
        People to learn from. Without them each fifth of the judged people is answered by a regression on the other four.
    seed : int
        Of the folds.

    Returns
    -------
    ndarray (N, K) or None
        None where a class that occurs has fewer than `FEWEST` people to learn from, or none, or there are fewer than two.

    Notes
    -----
    Medians, scales and the penalty come from the people learned from alone; the penalty is that of the best log loss of classes weighed
    alike, again over people.
    """
    if others is not None:
        # of a class that nobody there has the answer would be "never", which was not learned from anybody
        if _fewest_people(others.truth, others.subjects) < FEWEST or set(truth.tolist()) - set(others.truth.tolist()):
            return None
        model = _fit(others.features, others.truth, others.subjects, seed)
        return None if model is None else _answer(model, features, classes)
    if _fewest_people(truth, subjects) < FEWEST or not features.shape[1]:
        return None
    from sklearn.model_selection import StratifiedGroupKFold

    result = np.full((len(truth), classes), np.nan)
    people = np.asarray(subjects, dtype=str)
    parts = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for learned, judged in parts.split(features, truth, people):
        model = _fit(features[learned], truth[learned], people[learned].tolist(), seed)
        if model is None:
            return None
        result[judged] = _answer(model, features[judged], classes)
    return result


def judged_as(equal: FloatArray, shares: Sequence[float]) -> Judged:
    """Return answers for classes equally common together with those for classes of given shares."""
    return Judged(equal, put_back(equal, shares))


def how_telling(
    equal: FloatArray, truth: NDArray[np.int64], subjects: Sequence[str], seed: int = 0
) -> tuple[Entry, Entry]:
    """Return the AUC of last class against first, and the balanced accuracy, of answers (N, K), each with its interval."""
    people = np.asarray(subjects, dtype=str)
    ends = np.flatnonzero((truth == 0) | (truth == equal.shape[1] - 1))
    area = auc_interval(truth[ends] > 0, odds(equal[ends]), people[ends].tolist())
    right = class_mean_interval(equal.argmax(axis=1) == truth, truth, people.tolist(), seed=seed)
    return (
        entry(area, len(ends), len(np.unique(people[ends]))),
        entry(right, len(truth), len(np.unique(people))),
    )


def _fewest_people(truth: NDArray[np.int64], subjects: Sequence[str]) -> int:
    """Return how many people the smallest class has of those that occur; 0 with fewer than two classes."""
    people = np.asarray(subjects, dtype=str)
    sizes = [len(np.unique(people[truth == label])) for label in np.unique(truth)]
    return min(sizes) if len(sizes) > 1 else 0


def _fit(features: FloatArray, truth: NDArray[np.int64], subjects: Sequence[str], seed: int) -> Any:
    """Fit to people; None with fewer than two classes."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fewest = _fewest_people(truth, subjects)
    if not fewest or not features.shape[1]:
        return None
    model = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=2000),
    )
    if fewest < INNER_FOLDS:
        return model.fit(features, truth)
    inner = StratifiedGroupKFold(INNER_FOLDS, shuffle=True, random_state=seed)
    search = GridSearchCV(model, {"logisticregression__C": STRENGTHS}, cv=inner, scoring=_loss_of_classes_alike)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column unknown to all of a part is told by its median, 0
        return search.fit(features, truth, groups=np.asarray(subjects, dtype=str))


def _loss_of_classes_alike(model: Any, features: FloatArray, truth: NDArray[np.int64]) -> float:
    """Return minus the log loss of a model whose classes count alike, each by its own scans; larger is better."""
    stated = _answer(model, features, int(max(truth.max(), model.classes_.max())) + 1)
    losses = -np.log(np.clip(stated[np.arange(len(truth)), truth], 1e-12, 1.0))
    return -float(np.mean([losses[truth == label].mean() for label in np.unique(truth)]))


def _answer(model: Any, features: FloatArray, classes: int) -> FloatArray:
    result = np.zeros((len(features), classes))
    result[:, model.classes_] = model.predict_proba(features)
    return result
