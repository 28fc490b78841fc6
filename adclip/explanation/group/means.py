"""What the maps of a cohort have in common: mean maps by predicted class and target, each person counted once.

Maps are read from disk one at a time and added up, so memory grows by the names of the files alone. Nothing here is of a single person
but inside the sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.explanation.group.members import Kind, Members, Tally
from adclip.imaging.volumes.regions import region_maps

FEWEST = 5  # people, below which a mean says nothing of anybody else
SHOWN_FROM = 2  # people: the mean of one is that person's own map
TOP = 3  # regions of a person that count as the most relevant for their size
INSIDE = 0.5  # share of a voxel from which it belongs to the brain, for correlations
EVEN = 1e-9  # of a map's length: what varies less over the brain has no pattern to compare

_Values = NDArray[np.float64]  # (N,), over the voxels of the template's brain


@dataclass(frozen=True)
class RegionMean:
    """How much of the relevance one region holds in the people of a group.

    Parameters
    ----------
    region : str
    share : float
        Mean over people of the part of the relevance in the brain, 0 to 1; equal to the share of the mean map.
    share_sd : float
        Its standard deviation over people (n - 1).
    volume_share : float
        The region's part of the brain: what a map without preference would give.
    top : float
        Part of the people in whom it is one of the `TOP` regions with the highest ratio of share to volume share.
    """

    region: str
    share: float
    share_sd: float
    volume_share: float
    top: float

    @property
    def ratio(self) -> float:
        """Relevance over volume: 1 is chance."""
        return self.share / self.volume_share if self.volume_share else float("nan")


@dataclass(frozen=True)
class Group:
    """The mean of one kind of map.

    Parameters
    ----------
    kind : Kind
    tally : Tally
    people : int
    positive : ndarray (X, Y, Z) or None
        Mean of what speaks for the target; its mean over the template's brain is 1, that of an even map. None with fewer than `SHOWN_FROM`
        people.
    signed : ndarray (X, Y, Z) or None
        Mean of the signed maps, each with a mean absolute value of 1 over the template's brain.
    regions : tuple of RegionMean
        The highest ratio first; none where there are no maps.
    alike : float or None
        Mean correlation of the signed maps of two people of the group, over the voxels of the template's brain.
    alike_others : float or None
        The same of one person of the group and another of any other group, where those have `SHOWN_FROM` people together.
    """

    kind: Kind
    tally: Tally
    people: int
    positive: FloatArray | None = None
    signed: FloatArray | None = None
    regions: tuple[RegionMean, ...] = ()
    alike: float | None = None
    alike_others: float | None = None

    @property
    def is_few(self) -> bool:
        """Whether the people are too few to say anything of others."""
        return self.people < FEWEST


def average(members: Members, read: Callable[[str], NDArray[Any]], contract: InputContract) -> list[Group]:
    """Average maps within each person, then over people.

    Parameters
    ----------
    members : Members
        Scans whose map has nothing inside the template's brain move from `scans` to `flat` in its tallies.
    read : callable
        Name of a file -> signed map (X, Y, Z) on the contract's grid; called once for each, and its result is kept no longer than until the
        next.
    contract : InputContract

    Notes
    -----
    How large a map is depends on the scan's scores and on the method's unit, and its largest value on one patch, so neither says how much
    it should count. Here every map is divided by its own mean over the template's brain, so that each scan has the same amount of relevance
    to share out, and shares of regions of the mean map are the means of people's shares.
    """
    space = _Space(contract)
    sums = {kind: _Sums(space) for kind in members.kinds}
    for visits in members.people.values():
        patterns: dict[Kind, _Values] = {}
        for kind, names in visits.items():
            own = _PersonMean(space)
            for name in names:
                if not own.add(read(name)):
                    members.kinds[kind].scans -= 1
                    members.kinds[kind].flat += 1
            if own.count and (pattern := sums[kind].add(own)) is not None:
                patterns[kind] = pattern
        for kind, pattern in patterns.items():  # nobody is compared with himself
            others = [other for name, other in patterns.items() if name != kind]
            sums[kind].own_pairs += len(others)
            sums[kind].own_alike += sum(float(pattern @ other) for other in others)
    everybody = sum((one.patterns for one in sums.values()), np.zeros(1))
    count = sum(one.patterned for one in sums.values())
    return [sums[kind].to_group(kind, tally, everybody, count) for kind, tally in members.kinds.items()]


class _Space:
    """The voxels that any of the template's brain is in, and the regions over them."""

    def __init__(self, contract: InputContract) -> None:
        maps = region_maps(contract)
        self._within = maps["brain"] > 0
        self.brain = maps["brain"][self._within].astype(np.float64)
        self.volume = float(self.brain.sum())
        self.is_inside = self.brain > INSIDE
        self.regions = tuple(name for name in maps if name != "brain")
        self._weights = np.stack([maps[name][self._within] for name in self.regions]).astype(np.float64)
        self.volumes = self._weights.sum(axis=1) / self.volume

    def values(self, on_grid: NDArray[Any]) -> _Values:
        """Return the values (N,) of a map (X, Y, Z)."""
        return on_grid[self._within].astype(np.float64)

    def on_grid(self, values: _Values) -> NDArray[np.float32]:
        """Return the map (X, Y, Z) of values (N,), 0 elsewhere."""
        grid = np.zeros(self._within.shape, np.float32)
        grid[self._within] = values
        return grid

    def shares(self, positive: _Values) -> _Values:
        """Return what `share_by_region` does of relevance whose mean over the brain is 1, in the order of `regions`."""
        return self._weights @ positive / self.volume


class _PersonMean:
    """The mean of one person's maps of one kind."""

    def __init__(self, space: _Space) -> None:
        self._space = space
        self.count = 0
        self._positive, self._signed = (np.zeros(len(space.brain)) for _ in range(2))

    def add(self, on_grid: NDArray[Any]) -> bool:
        """Add one scan; tell whether its map has anything that speaks for the target inside the brain."""
        signed = self._space.values(on_grid)
        positive = np.clip(signed, 0, None)
        amount = float(positive @ self._space.brain)
        if not amount > 0:
            return False
        self._positive += positive * (self._space.volume / amount)
        self._signed += signed * (self._space.volume / float(np.abs(signed) @ self._space.brain))
        self.count += 1
        return True

    @property
    def positive(self) -> _Values:
        return self._positive / self.count

    @property
    def signed(self) -> _Values:
        return self._signed / self.count

    def pattern(self) -> _Values | None:
        """Return the signed values in the brain with mean 0 and length 1: two of them multiplied are their correlation.

        None where they are all the same.
        """
        values = self._signed[self._space.is_inside]
        varying = values - values.mean()
        length = float(np.linalg.norm(varying))
        return varying / length if length > EVEN * float(np.linalg.norm(values)) else None


class _Sums:
    """Sums over the people of one group."""

    def __init__(self, space: _Space) -> None:
        self._space = space
        self.people = self.patterned = self.own_pairs = 0
        self.own_alike = 0.0
        self._positive, self._signed = (np.zeros(len(space.brain)) for _ in range(2))
        self.patterns = np.zeros(int(space.is_inside.sum()))
        self._shares, self._squares, self._tops = (np.zeros(len(space.regions)) for _ in range(3))

    def add(self, person: _PersonMean) -> _Values | None:
        """Add one person; return the pattern of the map if it has one."""
        positive, pattern = person.positive, person.pattern()
        self.people += 1
        self._positive += positive
        self._signed += person.signed
        if pattern is not None:
            self.patterned += 1
            self.patterns += pattern
        shares = self._space.shares(positive)
        self._shares += shares
        self._squares += shares**2
        self._tops[np.argsort(-shares / self._space.volumes, kind="stable")[:TOP]] += 1
        return pattern

    def to_group(self, kind: Kind, tally: Tally, everybody: _Values, count: int) -> Group:
        """Return the means; of too few people how many they are, and nothing else."""
        n = self.people
        if n < SHOWN_FROM:
            return Group(kind, tally, n)
        # the sum over all pairs of a product is that of the sums, less everybody with himself
        m, others = self.patterned, count - self.patterned
        pairs, pairs_others = m * (m - 1), m * others - self.own_pairs
        alike = (float(self.patterns @ self.patterns) - m) / pairs if pairs else None
        is_told = others >= SHOWN_FROM and pairs_others > 0
        across = float(self.patterns @ (everybody - self.patterns)) - self.own_alike
        spread = np.sqrt(np.clip(self._squares - self._shares**2 / n, 0, None) / (n - 1))
        columns = (self._shares / n, spread, self._space.volumes, self._tops / n)
        regions = [RegionMean(name, *map(float, row)) for name, *row in zip(self._space.regions, *columns, strict=True)]
        return Group(
            kind, tally, n, self._space.on_grid(self._positive / n), self._space.on_grid(self._signed / n),
            tuple(sorted(regions, key=lambda one: -one.ratio)), alike, across / pairs_others if is_told else None,
        )  # fmt: skip
