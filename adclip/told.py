"""What is told beside an answer: how it would change, where it comes from, whom it resembles, and why it is to be read with care."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RescanRange:
    """What pseudo-rescans of one scan said, see `adclip.prediction.rescans`.

    Parameters
    ----------
    low, high : float
        Smallest and largest probability of the predicted class, over the scan and its pseudo-rescans.
    kept : int
        Pseudo-rescans with the same predicted class.
    of : int
        How many there were.
    """

    low: float
    high: float
    kept: int
    of: int


@dataclass(frozen=True)
class SimilarCase:
    """A training scan that a model finds alike, see `adclip.prediction.similar`.

    Parameters
    ----------
    diagnosis : str
        Its class.
    age_band : str or None
        Ten years, such as `70-79`; None where the age was unknown.
    distance : float
        1 less the cosine of the image embeddings: 0 to 2.
    """

    diagnosis: str
    age_band: str | None
    distance: float


@dataclass(frozen=True)
class CurvePoint:
    """Probabilities for one value of a column; `is_present` where it is the value that was found."""

    value: float
    is_present: bool
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """How an answer hangs on one column, see `adclip.prediction.what_if`; `present` is None where the value is not known."""

    column: str
    present: float | None
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a prediction says beside its numbers.

    Parameters
    ----------
    rescans : RescanRange or None
        None where nothing was scanned again.
    prevalence : mapping or None
        Class -> share that the probabilities were shifted to; None where classes count as equally common.
    probabilities_equal : mapping or None
        Class -> probability for classes equally common; None without `prevalence`, as `probabilities` are these then.
    similar : tuple of SimilarCase or None
        Nearest first; None where nobody asked.
    what_if : tuple of Curve or None
        One for each column that was asked for.
    reasons : tuple of str
        Why the status is not `ok`, a sentence each; see `adclip.prediction.reasons`.
    """

    rescans: RescanRange | None = None
    prevalence: Mapping[str, float] | None = None
    probabilities_equal: Mapping[str, float] | None = None
    similar: tuple[SimilarCase, ...] | None = None
    what_if: tuple[Curve, ...] | None = None
    reasons: tuple[str, ...] = ()


def to_plain(value: Any) -> Any:
    """Return what `dataclasses.asdict` made with lists in place of tuples, as JSON has them."""
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    return [to_plain(item) for item in value] if isinstance(value, list | tuple) else value
