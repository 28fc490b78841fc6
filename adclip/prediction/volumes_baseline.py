"""What the volumes alone would say: a logistic regression on one number, the medial temporal norm score.

The volumes come from one program: those of the table's row, or those that stand in the sidecar of the preprocessed scan. Which of
them, which structures and whether as share of the head is decided once, by what most training scans have, and stored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.measured import Case
from adclip.clinical.norms.normative_score import (
    AS_MEASURED,
    DIRECTION,
    HIPPOCAMPUS,
    SCORE_ID,
    SHARE,
    NormScore,
    medial_temporal_score,
)
from adclip.clinical.norms.norms import scale_of
from adclip.domain import SEGMENTER
from adclip.errors import InputError
from adclip.prediction.metadata_baseline import fit_logistic


@dataclass(frozen=True)
class VolumesBaseline:
    """Regularised multinomial logistic regression on the medial temporal norm score.

    Parameters
    ----------
    class_order : tuple of str
        Names of the K classes.
    program : str
        Whose volumes: `DLMUSE`, or `adclip segmenter` in any calibrated version.
    basis : str
        `share of icv` or `as measured`, see `adclip.clinical.norms.normative_score`.
    structures : tuple of str
        Of the score.
    mean, scale : float
        Of the score in training.
    coefficients, intercepts : tuple of float
        K each, for the standardised score and classes equally common.
    scans : int
        Training scans that had the volumes.
    """

    class_order: tuple[str, ...]
    program: str
    basis: str
    structures: tuple[str, ...]
    mean: float
    scale: float
    coefficients: tuple[float, ...]
    intercepts: tuple[float, ...]
    scans: int

    @classmethod
    def fit(cls, cases: Sequence[Case], labels: Sequence[str], class_order: Sequence[str]) -> VolumesBaseline | None:
        """Fit to the training scans whose score is known.

        Parameters
        ----------
        cases : sequence of Case
            N training scans.
        labels : sequence of str
            N class names.
        class_order : sequence of str
            The classes.

        Returns
        -------
        VolumesBaseline or None
            None where a class has no scan with a score, or all scores are the same.

        Notes
        -----
        Penalty and treatment of the training shares are those of `MetadataBaseline`, so the answers can be compared.
        """
        classes = tuple(str(name) for name in class_order)
        kind = _commonest(cases)
        if kind is None:
            return None
        scores = [_score(case, *kind) for case in cases]
        rows = [(score, str(label)) for score, label in zip(scores, labels, strict=True) if score is not None]
        if {label for _, label in rows} != set(classes) or len(classes) < 2:
            return None
        values = np.array([score for score, _ in rows])
        mean, scale = float(values.mean()), float(values.std())
        if not scale > 0:
            return None
        target = np.array([classes.index(label) for _, label in rows])
        coefficients, intercepts = fit_logistic(((values - mean) / scale)[:, None], target, len(classes))
        return cls(
            classes, *kind, mean, scale, tuple(float(x) for x in coefficients[:, 0]), tuple(float(x) for x in intercepts),
            len(rows),
        )  # fmt: skip

    def predict(
        self, volumes: Mapping[str, float], age_years: float | None, sex: str | None, source: str | None
    ) -> dict[str, float] | None:
        """Return class -> probability, classes equally common beforehand.

        Parameters
        ----------
        volumes : mapping of str to float
            What one program measured on the scan, mm3.
        age_years : float or None
            At the scan.
        sex : str or None
            F or M; needed where the basis is `as measured`.
        source : str or None
            The program; volumes of another than in training get no answer.

        Returns
        -------
        dict or None
            None without the score: other program, a structure or the head missing, no age, or one outside the norms.
        """
        if source is None:
            return None
        return self.predict_case(Case(age_years, sex, (BrainVolumes(source, volumes),)))

    def predict_case(self, case: Case) -> dict[str, float] | None:
        """Return class -> probability by whichever of a scan's volumes are the program's; None without them."""
        from scipy.special import softmax

        score = _score(case, self.program, self.basis, self.structures)
        if score is None:
            return None
        logits = np.array(self.coefficients) * (score - self.mean) / self.scale + np.array(self.intercepts)
        return dict(zip(self.class_order, (float(x) for x in softmax(logits)), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: group-level numbers only."""
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {"score": SCORE_ID, **lists}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VolumesBaseline:
        """Rebuild from `to_dict`.

        Raises
        ------
        InputError
            If keys or sizes do not fit together, or the score is another one.
        """
        damaged = InputError("the stored volumes baseline is damaged", "train again")
        try:
            built = cls(
                tuple(str(name) for name in data["class_order"]), str(data["program"]), str(data["basis"]),
                tuple(str(name) for name in data["structures"]), float(data["mean"]), float(data["scale"]),
                tuple(float(x) for x in data["coefficients"]), tuple(float(x) for x in data["intercepts"]),
                int(data["scans"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            raise damaged from None
        numbers = (built.mean, built.scale, *built.coefficients, *built.intercepts)
        if (
            data.get("score") != SCORE_ID
            or built.basis not in (SHARE, AS_MEASURED)
            or HIPPOCAMPUS not in built.structures
            or not set(built.structures) <= set(DIRECTION)
            or {len(built.coefficients), len(built.intercepts)} != {len(built.class_order)}
            or not all(map(math.isfinite, numbers))
            or built.scale <= 0
        ):
            raise damaged
        return built


def _commonest(cases: Sequence[Case]) -> tuple[str, str, tuple[str, ...]] | None:
    """Return program, basis and structures of the score that most scans have.

    Between equals the volumes that adclip measures itself go first, as prediction always has them, then the richer score.
    """
    scans: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    for case in cases:
        for volumes in case.measured:
            score = medial_temporal_score(volumes.mm3, case.age_years, case.sex, volumes.source)
            program = scale_of(volumes.source)
            if isinstance(score, NormScore) and program is not None:
                scans[program, score.basis, tuple(score.parts)] += 1
    return max(
        scans, key=lambda kind: (scans[kind], kind[0] == SEGMENTER, kind[1] == SHARE, len(kind[2])), default=None
    )


def _score(case: Case, program: str, basis: str, structures: Sequence[str]) -> float | None:
    """Return the score of a scan by one program's volumes, None where it cannot be computed as asked."""
    for volumes in case.measured:
        if scale_of(volumes.source) == program:
            score = medial_temporal_score(volumes.mm3, case.age_years, case.sex, volumes.source, structures, basis)
            if isinstance(score, NormScore):
                return score.value
    return None
