"""Whether a heatmap tells what the answer hangs on, as a record: the file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Faithfulness:
    """The file beside a heatmap: whether what it shows matters to the score.

    Parameters
    ----------
    level, method, replacement : str
        What was compared, how the map was made, what stands in the place of a patch.
    target : str
        Class, or the name of the score.
    roads : mapping
        Share of the relevance by road from the patches to the score.
    flags : tuple of str
        What makes the map doubtful.
    deletion, deletion_random : tuple of float
        The explained number as more and more patches are replaced, the most relevant first, and in a random order.
    insertion, insertion_random : tuple of float
        The same as they are put back.
    deletion_gain, insertion_gain : float
        Area between the curve and that of the random order; at 0 or below the map tells no more than chance.
    patches : int
        Inside the brain.
    """

    level: str
    method: str
    target: str
    replacement: str
    roads: Mapping[str, float]
    flags: tuple[str, ...]
    deletion: tuple[float, ...]
    deletion_random: tuple[float, ...]
    insertion: tuple[float, ...]
    insertion_random: tuple[float, ...]
    deletion_gain: float
    insertion_gain: float
    patches: int
    notice: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {key: dict(value) if isinstance(value, Mapping) else value for key, value in vars(self).items()}
