"""Whether a model looks elsewhere for another phrase: a map of free text means nothing where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adclip.explanation.attribution import Attribution
from adclip.explanation.faithfulness.checks import agreement
from adclip.explanation.flags import SAME_FOR_ANY_TEXT
from adclip.explanation.methods import METHODS
from adclip.explanation.target import Target

if TYPE_CHECKING:
    from adclip.explanation.explained import Explained
    from adclip.explanation.seen import SeenScan

OTHER_PHRASES = ("Ventricular size", "Entorhinal Vol")  # two of the paper's maps, which should look at different places
ALIKE = 0.9  # Spearman, over the patches that hold brain


def flags_of_phrase(explained: Explained, attribution: Attribution, seen: SeenScan) -> tuple[str, ...]:
    """Return the flag of a map of free text that is much the same for another phrase; none for other targets.

    Notes
    -----
    The map is compared with those of `OTHER_PHRASES`, made the same way. Like either, it tells what this model's embedding of the scan rests
    on, and nothing of the phrase.
    """
    phrase = explained.target.phrase
    if phrase is None:
        return ()
    inside = np.flatnonzero(explained.brain_patches().cpu().numpy())
    others = [other for other in OTHER_PHRASES if other.lower() != phrase.lower()]
    found = []
    for other in others:
        relevance = METHODS[attribution.method](seen.explained(Target(other, phrase=other)))
        found.append(agreement(attribution.per_patch, relevance.per_patch().double().numpy(), inside))
    return (SAME_FOR_ANY_TEXT,) if min(found) > ALIKE else ()
