"""From what was found in each head to rows of a self-test: means over heads, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from adclip.explanation.faithfulness.record import SelfTestRow
from adclip.explanation.selftest.measure import Found, Moved
from adclip.explanation.selftest_record import PlantedEffect


def to_rows(found: Iterable[Found]) -> tuple[SelfTestRow, ...]:
    """Return a row for each planted change and method, in the order in which they were first met."""
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        groups.setdefault((one.planted, one.method), []).append(one)
    planted = {key[0]: None for key in groups}
    return tuple(_to_row(groups[key]) for name in planted for key in groups if key[0] == name)


def to_effects(moved: Iterable[Moved]) -> tuple[PlantedEffect, ...]:
    """Return what each planted change did, over heads."""
    groups: dict[str, list[Moved]] = {}
    for one in moved:
        groups.setdefault(one.planted, []).append(one)
    return tuple(
        PlantedEffect(
            planted, len(many), float(np.mean([one.remaining for one in many])),
            *mean_of_heads([one.moved for one in many], least=-math.inf, most=math.inf),
        )
        for planted, many in groups.items()
    )  # fmt: skip


def mean_of_heads(values: ArrayLike, least: float = 0.0, most: float = 1.0) -> tuple[float, float, float]:
    """Return the mean over heads and its 95 % interval by Student's t, within what is possible.

    Of one head nothing is known of others: then the interval is all that is possible, and the number itself where that has no end.
    """
    from scipy import stats

    numbers = np.asarray(values, dtype=float)
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return mean, least if math.isfinite(least) else mean, most if math.isfinite(most) else mean
    half = float(stats.t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / math.sqrt(len(numbers)))
    return mean, max(least, mean - half), min(most, mean + half)


def _to_row(many: Sequence[Found]) -> SelfTestRow:
    places = [one.where for one in many]

    def mean(name: str) -> float:
        return float(np.mean([getattr(place, name) for place in places]))

    share, low, high = mean_of_heads([place.energy_share for place in places])
    own = None if any(one.side is None for one in many) else mean("own_side")
    return SelfTestRow(
        many[0].method, many[0].planted, len(many), share, low, high, mean("volume_share"), mean("near_share"),
        mean("near_volume_share"), None if own is None or math.isnan(own) else own, mean("pointing"), mean("auc"),
    )  # fmt: skip
