"""The oracle of a simulated cohort: what logistic regression finds in the true volumes, age, sex and head size."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adclip.clinical.tables.people import person_of
from adclip.domain import Diagnosis, Visit

if TYPE_CHECKING:
    from adclip.clinical.scans.manifest import Example

VOLUMES = (
    "hippocampus_left_mm3",
    "hippocampus_right_mm3",
    "ventricles_mm3",
    "whole_brain_mm3",
    "entorhinal_mm3",
    "fusiform_mm3",
    "middle_temporal_mm3",
)
FEWEST_FOR_ORACLE = 30  # subjects; below this, five folds hold too few of each group
FEWEST_OF_A_GROUP = 5


def usable_volumes(visits: Sequence[Visit]) -> tuple[str, ...]:
    """Name the volumes that every visit has: a label map may lack a structure."""
    return tuple(name for name in VOLUMES if all(getattr(visit, name) is not None for visit in visits))


def oracle_features(visit: Visit, volumes: Sequence[str] = VOLUMES) -> list[float]:
    """Return ln of each true volume over ICV, ICV in litres, age in years and sex (1 for M)."""
    assert visit.icv_mm3 is not None and visit.age_years is not None
    shares = [math.log(float(getattr(visit, name)) / visit.icv_mm3) for name in volumes]
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

    volumes = usable_volumes([*train, *test])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit([oracle_features(visit, volumes) for visit in train], [str(visit.diagnosis) for visit in train])
    fitted_probabilities = model.predict_proba([oracle_features(visit, volumes) for visit in test])
    result = np.zeros((len(test), len(class_order)))
    for column, name in enumerate(model.classes_):
        result[:, list(class_order).index(str(name))] = fitted_probabilities[:, column]
    return result


def cross_validated_oracle(
    visits: Sequence[Visit], class_order: Sequence[str], seed: int, folds: int = 5
) -> NDArray[np.float64]:
    """Answer for every visit by an oracle that was fitted on other subjects; see `oracle_probabilities`."""
    subjects = sorted({visit.subject_id for visit in visits})
    order = np.random.default_rng(seed).permutation(len(subjects))
    result = np.zeros((len(visits), len(class_order)))
    for fold in range(folds):
        held = {subjects[index] for index in order[fold::folds]}
        test = [index for index, visit in enumerate(visits) if visit.subject_id in held]
        train = [visit for visit in visits if visit.subject_id not in held]
        result[test] = oracle_probabilities(train, [visits[index] for index in test], class_order)
    return result


def measure_oracle(visits: Sequence[Visit], seed: int) -> dict[str, Any]:
    """Measure the cross-validated oracle.

    Returns
    -------
    dict
        `auc_ad_vs_cn` and `balanced_accuracy`, each with value, low, high (bootstrap over subjects) and n; empty where the
        cohort is too small.
    """
    from adclip.evaluation.metrics import summarise

    labels = [str(label) for label in Diagnosis]
    truth = [str(visit.diagnosis) for visit in visits]
    firsts = Counter({visit.subject_id: str(visit.diagnosis) for visit in reversed(visits)}.values())
    if firsts.total() < FEWEST_FOR_ORACLE or min(firsts.get(label, 0) for label in labels) < FEWEST_OF_A_GROUP:
        return {}
    probabilities = cross_validated_oracle(visits, labels, seed)
    numbers = summarise(truth, probabilities, labels, [visit.subject_id for visit in visits], seed=seed)
    return {name: numbers[name] for name in ("auc_ad_vs_cn", "balanced_accuracy")}


def find_truth(folders: Iterable[Path]) -> Callable[[Sequence[Example]], NDArray[np.float64] | None] | None:
    """Look for what a simulation noted of its people.

    Parameters
    ----------
    folders : iterable of Path
        In which `simulate` may have written; others are passed over, as are notes that cannot be read.

    Returns
    -------
    callable or None
        Examples -> `oracle_features` (N, F) of their visits; None if the truth of any of them is not known. None where no folder has notes.
    """
    from adclip.simulation.subject import read_true_visits

    known: dict[tuple[str, str | None], Visit] = {}
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known |= {_whose(visit): visit for visit in read_true_visits(folder)}
    if not known:
        return None
    volumes = usable_volumes(list(known.values()))

    def features(examples: Sequence[Example]) -> NDArray[np.float64] | None:
        visits = [known.get(_whose(example.visit)) for example in examples]
        if any(visit is None for visit in visits):
            return None
        return np.array([oracle_features(visit, volumes) for visit in visits if visit is not None])

    return features


def _whose(visit: Visit) -> tuple[str, str | None]:
    return person_of(visit.subject_id), visit.session_id
