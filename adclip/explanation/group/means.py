"""What the maps of a cohort have in common: mean maps by predicted class and target, each person counted once.

Maps are read from disk one at a time and added up, so memory grows by the names of the files alone. Nothing here is of a single person
but inside the sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.explanation.group.members import Kind, Members, Tally
from adclip.imaging.volumes.regions import region_maps, share_by_region

FEWEST = 5  # people, below which a mean says nothing of anybody else
SHOWN_FROM = 2  # people: the mean of one is that person's own map
TOP = 3  # regions of a person that count as the most relevant for their size
INSIDE = 0.5  # share of a voxel from which it belongs to the brain, for correlations
EVEN = 1e-9  # of a map's length: what varies less over the brain has no pattern to compare


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
    brain = region_maps(contract)["brain"]
    sums = {kind: _Sums(contract, int((brain > INSIDE).sum())) for kind in members.kinds}
    for visits in members.people.values():
        patterns: dict[Kind, NDArray[np.float64]] = {}
        for kind, names in visits.items():
            own = _PersonMean(brain)
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


class _PersonMean:
    """The mean of one person's maps of one kind."""

    def __init__(self, brain: FloatArray) -> None:
        self._brain, self._volume = brain, float(brain.sum(dtype=np.float64))
        self.count = 0
        self._positive, self._signed = (np.zeros(brain.shape) for _ in range(2))

    def add(self, signed: NDArray[Any]) -> bool:
        """Add one scan; tell whether its map has anything that speaks for the target inside the brain."""
        inside = np.where(self._brain > 0, signed, 0).astype(np.float64)
        positive = np.clip(inside, 0, None)
        amount = float((positive * self._brain).sum())
        if not amount > 0:
            return False
        self._positive += positive * (self._volume / amount)
        self._signed += inside * (self._volume / float((np.abs(inside) * self._brain).sum()))
        self.count += 1
        return True

    @property
    def positive(self) -> NDArray[np.float64]:
        return self._positive / self.count

    @property
    def signed(self) -> NDArray[np.float64]:
        return self._signed / self.count

    def pattern(self) -> NDArray[np.float64] | None:
        """Return the signed values in the brain with mean 0 and length 1: two of them multiplied are their correlation.

        None where they are all the same.
        """
        values = self._signed[self._brain > INSIDE]
        varying = values - values.mean()
        length = float(np.linalg.norm(varying))
        return varying / length if length > EVEN * float(np.linalg.norm(values)) else None


class _Sums:
    """Sums over the people of one group."""

    def __init__(self, contract: InputContract, voxels: int) -> None:
        self._contract = contract
        self.people = self.patterned = self.own_pairs = 0
        self.own_alike = 0.0
        self._positive, self._signed = (np.zeros(contract.shape_xyz) for _ in range(2))
        self.patterns = np.zeros(voxels)
        self._shares: dict[
            str, list[float]
        ] = {}  # region -> sum, sum of squares, people who have it on top, share of the volume

    def add(self, person: _PersonMean) -> NDArray[np.float64] | None:
        """Add one person; return the pattern of the map if it has one."""
        positive, pattern = person.positive, person.pattern()
        self.people += 1
        self._positive += positive
        self._signed += person.signed
        if pattern is not None:
            self.patterned += 1
            self.patterns += pattern
        for rank, one in enumerate(share_by_region(positive, self._contract)):
            sums = self._shares.setdefault(one.region, [0.0, 0.0, 0.0, one.volume_share])
            sums[0] += one.relevance_share
            sums[1] += one.relevance_share**2
            sums[2] += rank < TOP
        return pattern

    def to_group(self, kind: Kind, tally: Tally, everybody: NDArray[np.float64], count: int) -> Group:
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
        regions = [
            RegionMean(name, total / n, math.sqrt(max(squares - total**2 / n, 0.0) / (n - 1)), volume, top / n)
            for name, (total, squares, top, volume) in self._shares.items()
        ]
        return Group(
            kind, tally, n, (self._positive / n).astype(np.float32), (self._signed / n).astype(np.float32),
            tuple(sorted(regions, key=lambda one: -one.ratio)), alike, across / pairs_others if is_told else None,
        )  # fmt: skip
