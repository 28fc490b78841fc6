"""What is left of the answers when scans, or reports, are those of somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.evaluation.metrics.intervals import auc_difference_interval, auc_interval
from adclip.evaluation.metrics.summary import Entry, entry, odds

MISSED = 0.05  # AUC; where the interval leaves room for a larger loss, one may have been missed
UNKNOWN = 0.15  # AUC; an interval that reaches beyond says neither that the input was used nor that it was not


@dataclass(frozen=True)
class Shuffled:
    """What shuffling one of the inputs costs.

    Parameters
    ----------
    auc : dict
        Entry of the AUC of last class against first with that input of somebody else.
    cost : dict
        The AUC as it is less that one, with the interval of the difference.
    says : str
        The same in a sentence.
    volumes_stay : bool
        Whether a report keeps the volumes that were found for its own scan while the scan is exchanged: then only what the scan says beyond
        them is lost.
    """

    auc: Entry
    cost: Entry
    says: str
    volumes_stay: bool = False

    @property
    def adds(self) -> bool:
        """Whether that input adds to the answer: the interval of its cost lies above 0."""
        low = self.cost["low"]
        return isinstance(low, float) and low > 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "auc": dict(self.auc), "cost": dict(self.cost), "adds": self.adds}


def exchange(subjects: Sequence[str], seed: int = 0) -> NDArray[np.int64] | None:
    """Return for each scan the place of another person's scan, each place once; None where one person has half of all scans.

    Parameters
    ----------
    subjects : sequence of str, length N
        Who each scan belongs to.
    seed : int
        Of the order in which people stand, which decides who is exchanged with whom.
    """
    people, owner, sizes = np.unique(np.asarray(subjects, dtype=str), return_inverse=True, return_counts=True)
    if len(people) < 2 or 2 * int(sizes.max()) > len(owner):
        return None
    order = np.argsort(np.random.default_rng(seed).permutation(len(people))[owner], kind="stable")
    # people stand one after the other: as far on as the longest of them has scans there is somebody else
    partner = np.empty(len(owner), dtype=np.int64)
    partner[order] = np.roll(order, -int(sizes.max()))
    return partner


def shuffled(
    answers: FloatArray,
    pairs: FloatArray,
    partner: NDArray[np.int64],
    truth: NDArray[np.int64],
    subjects: Sequence[str],
    what: str,
    *,
    volumes_stay: bool = False,
) -> Shuffled | None:
    """Compare the answers as they are with those of scans paired with somebody else's report.

    Parameters
    ----------
    answers : ndarray (N, K)
        Of each scan with its own report, for classes equally common.
    pairs : ndarray (N, K)
        Of each scan with the report of the scan at `partner`.
    partner : ndarray of int (N,)
        From `exchange`.
    truth : ndarray of int (N,)
        Places of the true classes.
    subjects : sequence of str, length N
        Who each scan belongs to.
    what : str
        `scan`: who is judged keeps the report, and has somebody else's scan. `report`: the other way round.
    volumes_stay : bool
        Whether reports tell volumes that were found for their own scans.

    Returns
    -------
    Shuffled or None
        None where first or last class has nobody.
    """
    if what == "scan":
        by_report = np.empty_like(pairs)
        by_report[partner] = pairs
        pairs = by_report
    rows = np.flatnonzero((truth == 0) | (truth == answers.shape[1] - 1))
    people = np.asarray(subjects, dtype=str)[rows].tolist()
    own, other = odds(answers[rows]), odds(pairs[rows])
    area = auc_interval(truth[rows] > 0, other, people)
    cost = auc_difference_interval(truth[rows] > 0, own, other, people)
    if not np.isfinite(cost[0]):
        return None
    count = len(set(people))
    volumes_stay = volumes_stay and what == "scan"
    nothing = f"the {what} adds nothing" + (" to its volumes, which stay in the report" if volumes_stay else "")
    verdict = f"the {what} adds to the answer" if cost[1] > 0 else nothing
    if cost[1] <= 0 and MISSED < cost[2] <= UNKNOWN:
        verdict += " that so few people could show"
    elif cost[1] <= 0 and cost[2] > UNKNOWN:
        verdict = f"these people are too few to tell whether the {what} adds to the answer"
    change = f"{abs(cost[0]):.3f} {'lower' if cost[0] >= 0 else 'higher'}"
    says = (
        f"{verdict}: with {what}s of other people the AUC is {area[0]:.3f}, {change} "
        f"(95 % interval of what is lost {cost[1]:.3f} to {cost[2]:.3f})"
    )
    return Shuffled(entry(area, len(rows), count), entry(cost, len(rows), count), says, volumes_stay)
