"""What was measured of one map: the file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from adclip.told import to_plain

NO_BETTER_THAN_CHANCE = "map_no_better_than_chance"
UNCERTAIN = "map_not_surely_better_than_chance"
DISAGREE = "references_disagree"
SAME_WITHOUT_WEIGHTS = "map_hangs_little_on_weights"
UNSTABLE = "map_changes_between_rescans"


@dataclass(frozen=True)
class Gain:
    """How far a map's order of patches moves the number beyond random orders.

    Parameters
    ----------
    estimate : float
        Mean over the fractions and the random orders, in units of the explained number; above 0 the map does better.
    low, high : float
        Where the gain over one further random order lies with 95 % (prediction interval of Student's t over the orders).
    beats, of : int
        How many of the random orders the map does better than.
    """

    estimate: float
    low: float
    high: float
    beats: int
    of: int


@dataclass(frozen=True)
class Curves:
    """Deletion and insertion with one reference image.

    Parameters
    ----------
    reference : str
        What takes the place of a patch.
    fractions : tuple of float
        Of the patches that hold brain.
    deletion, insertion : tuple of float
        The explained number with that part of the patches replaced, the most relevant first; and with all replaced but that part.
    deletion_random, insertion_random : tuple of tuple of float
        The same for each random order.
    deletion_gain, insertion_gain : Gain
    """

    reference: str
    fractions: tuple[float, ...]
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion_random: tuple[tuple[float, ...], ...]
    insertion_random: tuple[tuple[float, ...], ...]
    deletion_gain: Gain
    insertion_gain: Gain


@dataclass(frozen=True)
class Rival:
    """What another method says of the same scan.

    Parameters
    ----------
    method : str
    agreement : float
        Spearman correlation of the patches that hold brain with those of the map.
    deletion_gain, insertion_gain : Gain
        Of the rival's order, with the first reference.
    """

    method: str
    agreement: float
    deletion_gain: Gain
    insertion_gain: Gain


@dataclass(frozen=True)
class Randomised:
    """What is left of a map when weights are drawn anew, from the answer downwards (Adebayo et al. 2018, arXiv:1810.03292).

    Parameters
    ----------
    down_to : str
        The last part of the network that was drawn anew, with all above it.
    agreement : float
        Spearman correlation of the patches that hold brain with those of the map; near 0 the map hangs on the weights.
    """

    down_to: str
    agreement: float


@dataclass(frozen=True)
class Stability:
    """How alike maps of pseudo-rescans are to that of the scan.

    Parameters
    ----------
    median, least : float
        Spearman correlation of the patches that hold brain.
    of : int
        Pseudo-rescans.
    """

    median: float
    least: float
    of: int


@dataclass(frozen=True)
class Verdict:
    """Whether a map can be believed.

    Parameters
    ----------
    believed : bool or None
        None where nothing was measured, or it does not tell.
    words : str
    """

    believed: bool | None
    words: str


@dataclass(frozen=True)
class SelfTestRow:
    """How one method found a change that was planted, see `adclip explain --selftest`.

    Parameters
    ----------
    method : str
    planted : str
        What was planted, in which heads.
    heads : int
    energy_share, energy_low, energy_high : float
        Mean share of the positive relevance in what changed, with its 95 % interval over heads.
    volume_share : float
        What a map without preference would give.
    near_share, near_volume_share : float
        The same within 15 mm of it.
    own_side : float or None
        Share of the positive relevance on the side of the change; None where both sides changed.
    pointing : float
        Share of heads in which the peak lies in what changed.
    auc : float
        Chance that a changed voxel has more relevance than another.
    """

    method: str
    planted: str
    heads: int
    energy_share: float
    energy_low: float
    energy_high: float
    volume_share: float
    near_share: float
    near_volume_share: float
    own_side: float | None
    pointing: float
    auc: float


@dataclass(frozen=True)
class Faithfulness:
    """The file beside a heatmap: whether what it shows matters to the score.

    Parameters
    ----------
    level : str
        `off`, `quick` or `full`: how much was measured.
    method : str
        How the map was made.
    target, explained : str
        Its name, and what number that is.
    number : float
        The explained number of the scan.
    resolution_mm, fine_resolution_mm : float
        The smallest width that the map tells apart, and the same where it is finest.
    roads : mapping
        Share of the relevance by road from the patches to the score.
    patches : int
        Inside the brain.
    curves : tuple of Curves
        For each reference image; none where nothing was measured.
    rivals : tuple of Rival
        None but at level `full`, as for the next two.
    randomised : tuple of Randomised
    rescans : Stability or None
    selftest : tuple of SelfTestRow
        How the model and this method did where a change was planted; none where nobody ran it.
    verdict : Verdict
    flags : tuple of str
        What makes the map doubtful.
    notice : str
    """

    level: str
    method: str
    target: str
    explained: str
    number: float
    resolution_mm: float
    fine_resolution_mm: float
    roads: Mapping[str, float]
    patches: int
    curves: tuple[Curves, ...]
    rivals: tuple[Rival, ...]
    randomised: tuple[Randomised, ...]
    rescans: Stability | None
    selftest: tuple[SelfTestRow, ...]
    verdict: Verdict
    flags: tuple[str, ...]
    notice: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        record: dict[str, Any] = to_plain(asdict(self))
        return record
