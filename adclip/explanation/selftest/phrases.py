"""Whether maps of free text look at different places for different phrases, over several heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adclip.domain import FloatArray
from adclip.explanation.attribution import attribute
from adclip.explanation.faithfulness.checks import agreement
from adclip.explanation.phrases import ALIKE, OTHER_PHRASES
from adclip.explanation.references import reference_image
from adclip.explanation.selftest.measure import explain_image, to_tensor
from adclip.explanation.selftest.rows import mean_of_heads
from adclip.explanation.selftest_record import TextTest
from adclip.explanation.target import Target
from adclip.imaging.steps.grid import from_model_order
from adclip.imaging.volumes.regions import share_by_region

if TYPE_CHECKING:
    from adclip.prediction.predictor import Predictor

FIRST, SECOND = OTHER_PHRASES  # of the ventricles, of the entorhinal cortex
VENTRICLES = ("ventricles",)
MEDIAL_TEMPORAL = ("hippocampus_left", "hippocampus_right", "entorhinal_left", "entorhinal_right")


def compare_phrases(predictor: Predictor, heads: Sequence[tuple[FloatArray, float | None]], method: str) -> TextTest:
    """Compare maps of a phrase on ventricles with maps of one on the entorhinal cortex.

    Parameters
    ----------
    predictor : Predictor
    heads : sequence of (ndarray (X, Y, Z), float or None)
        Prepared heads and the ages of their references, years.
    method : str

    Returns
    -------
    TextTest
        Maps differ where they are not alike by the rule that flags a single map (`ALIKE`), and the ventricles have more of the first and
        the medial temporal lobe more of the second, each surely: the 95 % interval of the mean difference over heads lies above 0.
    """
    contract = predictor.record.model.contract
    likeness, ventricles, medial = [], [], []
    for head, age_years in heads:
        image, reference = to_tensor(predictor, head), to_tensor(predictor, reference_image(contract, age_years))
        explained = [explain_image(predictor, image, Target(text, phrase=text), reference) for text in (FIRST, SECOND)]
        maps = [attribute(one, method) for one in explained]
        inside = np.flatnonzero(explained[0].brain_patches().cpu().numpy())
        likeness.append(agreement(maps[0].per_patch, maps[1].per_patch, inside))
        shares = [
            {one.region: one.relevance_share for one in share_by_region(from_model_order(each.positive), contract)}
            for each in maps
        ]
        ventricles.append([sum(share[name] for name in VENTRICLES) for share in shares])
        medial.append([sum(share[name] for name in MEDIAL_TEMPORAL) for share in shares])
    of_ventricles, of_medial = np.array(ventricles), np.array(medial)
    middle = float(np.median(likeness))
    surely = [
        mean_of_heads(gain, least=-1.0)[1] > 0
        for gain in (of_ventricles[:, 0] - of_ventricles[:, 1], of_medial[:, 1] - of_medial[:, 0])
    ]
    return TextTest(
        method,
        (FIRST, SECOND),
        len(heads),
        middle,
        tuple(of_ventricles.mean(axis=0).tolist()),
        tuple(of_medial.mean(axis=0).tolist()),
        middle <= ALIKE and all(surely),
    )
