"""The oracle of a simulated cohort: what logistic regression finds in the true volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adclip.domain import Visit

VOLUMES = (
    "hippocampus_left_mm3",
    "hippocampus_right_mm3",
    "ventricles_mm3",
    "whole_brain_mm3",
    "entorhinal_mm3",
    "fusiform_mm3",
    "middle_temporal_mm3",
)


def oracle_features(visit: Visit) -> list[float]:
    """Return ln of each true volume over ICV, ICV in litres, age in years and sex (1 for M)."""
    assert visit.icv_mm3 is not None and visit.age_years is not None
    shares = [math.log(float(getattr(visit, name)) / visit.icv_mm3) for name in VOLUMES]
    return [*shares, visit.icv_mm3 / 1e6, visit.age_years, float(visit.sex == "M")]


def oracle_probabilities(
    train: Sequence[Visit], test: Sequence[Visit], class_order: Sequence[str]
) -> NDArray[np.float64]:
    """Fit on the true rows of `train`, answer for `test`.

    Returns
    -------
    ndarray (N, K)
        In the order of `class_order`; 0 for a class that `train` lacks.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit([oracle_features(visit) for visit in train], [str(visit.diagnosis) for visit in train])
    found = model.predict_proba([oracle_features(visit) for visit in test])
    result = np.zeros((len(test), len(class_order)))
    for column, name in enumerate(model.classes_):
        result[:, list(class_order).index(str(name))] = found[:, column]
    return result


def cross_validated_oracle(
    visits: Sequence[Visit], class_order: Sequence[str], seed: int, folds: int = 5
) -> NDArray[np.float64]:
    """Answer for everyone, each by an oracle that was fitted on the others; see `oracle_probabilities`."""
    order = np.random.default_rng(seed).permutation(len(visits))
    result = np.zeros((len(visits), len(class_order)))
    for fold in range(folds):
        held = set(order[fold::folds].tolist())
        train = [visit for index, visit in enumerate(visits) if index not in held]
        test = sorted(held)
        result[test] = oracle_probabilities(train, [visits[index] for index in test], class_order)
    return result
