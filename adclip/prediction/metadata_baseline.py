"""What the metadata alone would say: a plain logistic regression, stored with every model for comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adclip.clinical.reports import fields_of, measured_mm3
from adclip.domain import BoolArray, Diagnosis, FloatArray, Visit
from adclip.errors import InputError
from adclip.prediction.missing_columns import covariance_of, given_known, mean_softmax

INVERSE_PENALTY = 1.0  # scikit-learn's default C, on standardised columns; not tuned, so that nothing is overfitted
_VOLUMES = fields_of("paper6")
_PEOPLE: dict[str, Callable[[Visit], float | None]] = {
    "age_years": lambda visit: visit.age_years,
    "sex": lambda visit: None if visit.sex is None else float(visit.sex == "M"),
    "education_years": lambda visit: visit.education_years,
    "apoe4_count": lambda visit: visit.apoe4_count,
}
PEOPLE_COLUMNS = tuple(_PEOPLE)


@dataclass(frozen=True)
class MetadataBaseline:
    """Regularised multinomial logistic regression on the columns of a Visit, scores and diagnosis excluded.

    Parameters
    ----------
    class_order : tuple of str
        Names of the K classes.
    columns : tuple of str
        The F columns used: those that vary among the training visits.
    medians, means, scales : tuple of float
        Of each column in training, where the median stands for a missing value.
    coefficients : tuple of tuple of float
        K x F, for standardised columns.
    intercepts : tuple of float
        K.
    icv_mm3 : float or None
        Median intracranial volume in training. Volumes are divided by the visit's own, or by this where it is unknown;
        None where no training visit had one, then volumes stay in mm3.
    covariance : tuple of tuple of float or None
        F x F, of the standardised columns in training (shrunk: Ledoit and Wolf 2004). None in models from before it was kept,
        which take the median for whatever is missing.
    shares : tuple of float or None
        K, how common the classes were in training; kept with the covariance.
    """

    class_order: tuple[str, ...]
    columns: tuple[str, ...]
    medians: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]
    icv_mm3: float | None = None
    covariance: tuple[tuple[float, ...], ...] | None = None
    shares: tuple[float, ...] | None = None

    @classmethod
    def fit(
        cls,
        visits: Sequence[Visit],
        labels: Sequence[str],
        class_order: Sequence[str] = tuple(Diagnosis),
        usable: Sequence[str] | None = None,
    ) -> MetadataBaseline:
        """Fit to the training visits.

        Parameters
        ----------
        visits : sequence of Visit
            N training visits.
        labels : sequence of str
            N class names.
        class_order : sequence of str
            The classes, each of which must occur among the labels.
        usable : sequence of str, optional
            Columns that may be used; by default all that it knows.

        Raises
        ------
        InputError
            If fewer than two classes are given, or one has no visit.
        """
        classes = tuple(str(name) for name in class_order)
        names = [str(label) for label in labels]
        absent = [name for name in classes if name not in names]
        if len(classes) < 2 or absent or len(visits) != len(names):
            raise InputError(
                f"the metadata baseline needs visits of every class; none of {', '.join(absent) or 'two classes'}",
                "add subjects of that group",
            )
        icvs = [visit.icv_mm3 for visit in visits if visit.icv_mm3]
        icv = float(np.median(icvs)) if icvs else None
        candidate_columns = [column for column in (*_PEOPLE, *_VOLUMES) if usable is None or column in usable]
        table = np.array([[_read(visit, column, icv) for column in candidate_columns] for visit in visits]).reshape(
            len(visits), -1
        )
        used = [
            position
            for position in range(table.shape[1])
            if len(np.unique(table[np.isfinite(table[:, position]), position])) > 1
        ]
        table = table[:, used]
        columns = tuple(candidate_columns[position] for position in used)
        medians = np.nanmedian(table, axis=0) if used else np.empty(0)
        table = np.where(np.isfinite(table), table, medians)
        means, scales = table.mean(axis=0), table.std(axis=0)
        target = np.array([classes.index(name) for name in names])
        coefficients, intercepts = fit_logistic((table - means) / scales, target, len(classes))
        return cls(
            classes, columns, _floats(medians), _floats(means), _floats(scales),
            tuple(_floats(row) for row in coefficients), _floats(intercepts), icv,
            tuple(_floats(row) for row in covariance_of((table - means) / scales)) if used else None,
            _floats(np.bincount(target, minlength=len(classes)) / len(target)) if used else None,
        )  # fmt: skip

    def predict(self, visit: Visit) -> dict[str, float] | None:
        """Return class -> probability for classes equally common, or None if the visit has none of the columns.

        Notes
        -----
        What is missing is unknown, not usual: the answer is the mean over what it may be, given what is known, by the
        covariance of training. Otherwise each column would count as it does where all others are known: of a person whose age alone
        is known, the regression would take that the volumes are those of everybody, and so that they are large for that age.
        """
        values = np.array([_read(visit, column, self.icv_mm3) for column in self.columns])
        is_known = np.isfinite(values)
        if not is_known.any():
            return None
        filled = np.where(is_known, values, self.medians)
        standardised = (filled - self.means) / np.array(self.scales)
        chances = self._chances(standardised, is_known)
        return dict(zip(self.class_order, _floats(chances), strict=True))

    def knows_volume_of(self, visit: Visit) -> bool:
        """Tell whether a visit has one of the volumes that this regression reads."""
        return any(measured_mm3(visit, column) is not None for column in self.columns if column in _VOLUMES)

    @property
    def averages(self) -> bool:
        """Whether a row's missing columns are averaged over; models from before that take the median."""
        return self.covariance is not None and self.shares is not None

    def missing_in(self, visit: Visit) -> list[str]:
        """Return the columns of this regression that a visit lacks."""
        return [column for column in self.columns if math.isnan(_read(visit, column, None))]

    def _chances(self, standardised: FloatArray, is_known: BoolArray) -> FloatArray:
        """Return the probabilities (K,) of standardised columns (F,), of which some are known."""
        from scipy.special import softmax

        weights, intercepts = np.array(self.coefficients), np.array(self.intercepts)
        if self.covariance is None or self.shares is None or is_known.all():
            chances: FloatArray = softmax(weights @ standardised + intercepts)
            return chances
        mean, spread = given_known(np.array(self.covariance), standardised, is_known)
        # the missing columns are those of the training visits, with their shares of the classes: averaged there, then set equal again
        shares = np.array(self.shares)
        scores = weights @ mean + intercepts + np.log(shares)
        chances = mean_softmax(scores, weights[:, ~is_known] @ spread @ weights[:, ~is_known].T) / shares
        equal: FloatArray = chances / chances.sum()
        return equal

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: group-level numbers only."""
        return {
            "class_order": list(self.class_order),
            "columns": list(self.columns),
            "medians": list(self.medians),
            "means": list(self.means),
            "scales": list(self.scales),
            "coefficients": [list(row) for row in self.coefficients],
            "intercepts": list(self.intercepts),
            "icv_mm3": self.icv_mm3,
            "covariance": None if self.covariance is None else [list(row) for row in self.covariance],
            "shares": None if self.shares is None else list(self.shares),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MetadataBaseline:
        """Rebuild from `to_dict`.

        Raises
        ------
        InputError
            If keys or sizes do not fit together.
        """
        try:
            columns = tuple(str(name) for name in data["columns"])
            rows = tuple(_floats(row) for row in data["coefficients"])
            covariance, shares = data.get("covariance"), data.get("shares")
            built = cls(
                tuple(str(name) for name in data["class_order"]), columns, _floats(data["medians"]),
                _floats(data["means"]), _floats(data["scales"]), rows, _floats(data["intercepts"]),
                None if data["icv_mm3"] is None else float(data["icv_mm3"]),
                None if covariance is None else tuple(_floats(row) for row in covariance),
                None if shares is None else _floats(shares),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the stored metadata baseline is damaged ({type(error).__name__})", "train again"
            ) from None
        widths = {len(columns), len(built.medians), len(built.means), len(built.scales), *map(len, rows)}
        widths |= {len(built.covariance or columns), *map(len, built.covariance or ())}
        allowed_columns = set(_PEOPLE) | set(_VOLUMES)
        if (
            len(widths) > 1
            or {len(rows), len(built.intercepts), len(built.shares or rows)} != {len(built.class_order)}
            or not all(share > 0 for share in built.shares or ())
            or set(columns) - allowed_columns
        ):
            raise InputError("the stored metadata baseline is damaged (sizes or columns differ)", "train again")
        return built


def features_of(visit: Visit, usable: Sequence[str] | None = None) -> dict[str, float]:
    """Return what the baseline reads of a visit: column -> number, volumes in mm3, NaN where unknown."""
    columns = (column for column in (*_PEOPLE, *_VOLUMES) if usable is None or column in usable)
    return {column: _read(visit, column, None) for column in columns}


def _read(visit: Visit, column: str, icv: float | None) -> float:
    """Return one column of a visit, NaN where unknown."""
    if column in _PEOPLE:
        value = _PEOPLE[column](visit)
        return math.nan if value is None else float(value)
    volume = measured_mm3(visit, column)
    if volume is None:
        return math.nan
    return volume if icv is None else volume / (visit.icv_mm3 or icv)


def fit_logistic(table: FloatArray, target: np.ndarray[Any, Any], classes: int) -> tuple[FloatArray, FloatArray]:
    """Fit a softmax for classes that are equally common.

    Parameters
    ----------
    table : ndarray of shape (N, F)
        Standardised columns.
    target : ndarray of shape (N,)
        Places of the N classes in their order; each of them occurs.
    classes : int
        K.

    Returns
    -------
    coefficients, intercepts : ndarray of shape (K, F) and (K,)
    """
    coefficients, intercepts = _fit_to_shares(table, target, classes)
    # The network's scores are for classes equally common (logit adjustment); a baseline that kept the training shares would
    # lose in every number that weighs classes alike, for that reason alone.
    return coefficients, intercepts - np.log(np.bincount(target, minlength=classes) / len(target))


def _fit_to_shares(table: FloatArray, target: np.ndarray[Any, Any], classes: int) -> tuple[FloatArray, FloatArray]:
    """Return coefficients (K, F) and intercepts (K,) of the softmax for classes as common as they are here."""
    if not table.shape[1]:
        shares = np.bincount(target, minlength=classes) / len(target)
        return np.zeros((classes, 0)), np.log(shares)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000).fit(table, target)
    if classes == 2:  # scikit-learn keeps the second class only; its odds are those against a score of 0
        zeros = np.zeros_like(model.coef_)
        return np.concatenate([zeros, model.coef_]), np.concatenate([[0.0], model.intercept_])
    return model.coef_, model.intercept_


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
