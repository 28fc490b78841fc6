"""Time: how the severity of one person grows, and when the diagnosis follows."""

from __future__ import annotations

import math

import numpy as np

from adclip.simulation.groups import GROUP_SHARES, GROUPS, SEVERITY

# Units of severity a year: a slow part that everybody of clinical age has, and a fast part that sets in with the disease.
# Set so that 10 to 15 % of MCI become AD within a year and 2 to 3 % of CN become MCI (Petersen et al. 2018, Neurology 90:126,
# and the conversion rates of ADNI).
SLOW_RATE, FAST_RATE = 0.01, 0.30
FAST_FROM, FAST_WIDTH = 1.5, 0.35
RATE_SPREAD = 0.5  # standard deviation of ln of a person's own factor


def draw_rate(rng: np.random.Generator) -> float:
    """Draw how fast a person declines against others of the same severity."""
    return float(np.exp(rng.normal(-0.5 * RATE_SPREAD**2, RATE_SPREAD)))


def to_severities(first: float, rate: float, visits: int, years_apart: float, *, spared: bool) -> list[float]:
    """Return s at each visit.

    Parameters
    ----------
    first : float
        At baseline.
    rate : float
        The person's own factor, see `draw_rate`.
    visits : int
    years_apart : float
    spared : bool
        Whether the person is too young to be ill: then s stays.
    """
    severities = [first]
    steps = max(1, round(years_apart * 4))  # quarters of a year: the rate grows with s on the way
    for _ in range(visits - 1):
        s = severities[-1]
        for _ in range(steps):
            fast = FAST_RATE / (1 + math.exp(-(s - FAST_FROM) / FAST_WIDTH))
            s += 0.0 if spared else rate * (SLOW_RATE + fast) * years_apart / steps
        severities.append(s)
    return severities


def posterior(severity: float) -> tuple[float, float, float]:
    """Return P(CN), P(MCI), P(AD) given the severity, by Bayes' rule from the groups' shares and spreads."""
    weights = []
    for group, share in zip(GROUPS, GROUP_SHARES, strict=True):
        mean, sd = SEVERITY[group]
        weights.append(share * math.exp(-0.5 * ((severity - mean) / sd) ** 2) / sd)
    total = sum(weights) or 1.0
    return weights[0] / total, weights[1] / total, weights[2] / total


def group_at(severity: float, threshold: float, first: float, first_group: str, before: str) -> str:
    """Return the diagnosis at a later visit.

    A person has one quantile u of the ordered posterior (CN, then MCI, then AD) for life: the diagnosis changes when the
    growing severity carries a class border past u, so that nobody flickers. u lies where the baseline diagnosis was drawn.

    Parameters
    ----------
    severity : float
        Now.
    threshold : float
        Uniform in [0, 1]: where in the baseline class's part u lies.
    first, first_group : float, str
        Severity and diagnosis at baseline.
    before : str
        Diagnosis at the visit before; it does not improve.
    """
    start = posterior(first)
    place = GROUPS.index(first_group)
    u = sum(start[:place]) + threshold * start[place]
    now = posterior(severity)
    group_index = 0 if u < now[0] else 1 if u < now[0] + now[1] else 2
    return GROUPS[max(group_index, GROUPS.index(before))]
