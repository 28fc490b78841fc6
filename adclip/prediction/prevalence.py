"""Probabilities for classes as common as the user says, from those for classes equally common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from adclip.domain import Prediction
from adclip.errors import ConfigError

FLAG = "--prevalence"
ROUNDING = 0.01  # shares are most often written with two decimals
_EXAMPLE = f"for example {FLAG} CN=.6,MCI=.3,AD=.1"
_PERCENT = f"{FLAG} CN=60%,MCI=30%,AD=10%"


def parse_prevalence(text: str) -> dict[str, float]:
    """Return class -> share of `CN=.6,MCI=.3,AD=.1`, or of `CN=60%,MCI=30%,AD=10%`.

    Raises
    ------
    ConfigError
        If it has another form, a share is below 0, or all together are not 1.

    Examples
    --------
    >>> parse_prevalence("CN=.6,MCI=.3,AD=.1")
    {'CN': 0.6, 'MCI': 0.3, 'AD': 0.1}
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        label, equals, number = (piece.strip() for piece in part.partition("="))
        try:
            share = float(number) if not number.endswith("%") else float(number[:-1]) / 100
        except ValueError:
            share = math.nan
        if not label or not equals or not math.isfinite(share):
            raise ConfigError.bad_value(FLAG, f"`{part.strip()}` is not CLASS=SHARE", _EXAMPLE)
        if label in shares:
            raise ConfigError.bad_value(FLAG, f"{label} is given twice", "give each class once")
        shares[label] = share
    _check_numbers(shares)
    return shares


def check_prevalence(shares: Mapping[str, float], labels: Sequence[str]) -> dict[str, float]:
    """Return the shares in the class order of a model.

    Raises
    ------
    ConfigError
        If a class is unknown or missing, a share is below 0, or all together are not 1.
    """
    all_classes = ", ".join(labels)
    for label in shares:
        if label not in labels:
            raise ConfigError.bad_value(FLAG, f"`{label}` is no class of this model", f"its classes are {all_classes}")
    if absent := [label for label in labels if label not in shares]:
        remedy = f"give a share to each of {all_classes}; 0 says that a class does not occur"
        raise ConfigError.bad_value(FLAG, f"no share for {', '.join(absent)}", remedy)
    _check_numbers(shares)
    return {label: float(shares[label]) for label in labels}


def _check_numbers(shares: Mapping[str, float]) -> None:
    for label, share in shares.items():
        if not share >= 0:
            raise ConfigError.bad_value(FLAG, f"the share of {label} is not a number of at least 0", _EXAMPLE)
    total = sum(shares.values())
    if not abs(total - 1) <= ROUNDING + 1e-9:
        remedy = "give shares of all people, which sum to 1" + (f"; as percent, {_PERCENT}" if total > 2 else "")
        raise ConfigError.bad_value(FLAG, f"the shares sum to {total:g}, not to 1", remedy)


def shift(probabilities: Mapping[str, float], shares: Mapping[str, float]) -> dict[str, float]:
    """Return class -> probability for other shares of the classes than equal ones.

    Parameters
    ----------
    probabilities : mapping of str to float
        For classes equally common.
    shares : mapping of str to float
        How common each class is.

    Returns
    -------
    dict
        p_k * pi_k over their sum; the shares themselves where every class that occurs has probability 0.

    Notes
    -----
    Saerens, Latinne and Decaestecker 2002, Neural Computation 14:21-41, eq. 2.4, with equal shares where the probabilities were
    learned. It holds where the scans of a class look alike here and there, whatever its share.
    """
    weights = {label: value * shares[label] for label, value in probabilities.items()}
    total = sum(weights.values())
    if not total > 0:
        weights, total = dict(shares), sum(shares.values())
    return {label: weights[label] / total for label in probabilities}


def likeliest(probabilities: Mapping[str, float]) -> str:
    """Return the class with the highest probability; the first of those that share it."""
    return max(probabilities, key=lambda label: probabilities[label])


def at_prevalence(prediction: Prediction, shares: Mapping[str, float]) -> Prediction:
    """Return a prediction with every probability shifted to these shares, its diagnosis after them.

    Its prediction set stays: that a set holds the truth is promised within each class, and so whatever their shares are.
    """
    equal = prediction.probabilities
    assert equal is not None

    def shifted(probabilities: Mapping[str, float] | None) -> dict[str, float] | None:
        return None if probabilities is None else shift(probabilities, shares)

    probabilities = shift(equal, shares)
    return replace(
        prediction,
        diagnosis=likeliest(probabilities),
        probabilities=probabilities,
        scan_only=shifted(prediction.scan_only),
        metadata_only=shifted(prediction.metadata_only),
        volumes_only=shifted(prediction.volumes_only),
        prevalence=dict(shares),
        probabilities_equal=dict(equal),
    )
