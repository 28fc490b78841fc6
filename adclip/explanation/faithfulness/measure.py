"""All that is measured of one map, as far as it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adclip.explanation.attribution import Attribution
from adclip.explanation.explained import Explained
from adclip.explanation.faithfulness.checks import ask_rivals, compare_rescans, randomise
from adclip.explanation.faithfulness.curves import HALF, TEN_STEPS, measure_curves, random_orders, ranked
from adclip.explanation.faithfulness.record import (
    Curves,
    Faithfulness,
    Randomised,
    Rival,
    SelfTestRow,
    Stability,
)
from adclip.explanation.faithfulness.verdict import flags_of, to_verdict
from adclip.explanation.flags import FLAT_MAP
from adclip.explanation.methods import METHODS

RESCANS = 8  # pseudo-rescans at level `full`


@dataclass(frozen=True)
class References:
    """What takes the place of a patch.

    Parameters
    ----------
    healthy : str
        What the explained scan's own reference is, in words.
    blurred : Tensor (1, 1, D, H, W)
        The scan without its fine structure.
    """

    healthy: str
    blurred: Tensor


def measure_map(
    explained: Explained,
    attribution: Attribution,
    level: str,
    references: References,
    seed: int,
    notice: str,
    rescans: Callable[[int], Iterable[Tensor]],
    selftest: tuple[SelfTestRow, ...] = (),
    known_flags: tuple[str, ...] = (),
) -> Faithfulness:
    """Measure one map.

    Parameters
    ----------
    explained : Explained
        With the healthy reference.
    attribution : Attribution
    level : str
        `off`, `quick` (half of the patches, two references) or `full` (ten steps, rivals, weights drawn anew, pseudo-rescans).
    references : References
    seed : int
        Draws random orders and random weights.
    notice : str
    rescans : callable
        Returns so many pseudo-rescans (1, 1, D, H, W) of the scan.
    selftest : tuple of SelfTestRow
        What is known of this model's maps.
    known_flags : tuple of str
        What makes the map doubtful already.
    """
    inside: NDArray[np.int64] = np.flatnonzero(explained.brain_patches().cpu().numpy())
    is_flat = FLAT_MAP in attribution.flags
    per_patch, method = attribution.per_patch, attribution.method
    curves: tuple[Curves, ...] = ()
    rivals: tuple[Rival, ...] = ()
    randomised: tuple[Randomised, ...] = ()
    stability: Stability | None = None
    if level != "off" and not is_flat and len(inside) > 1:
        order, orders = ranked(per_patch, inside), random_orders(inside, seed)
        fractions = HALF if level == "quick" else TEN_STEPS
        with torch.no_grad():
            blurred = explained.network.vision_encoder.embed(references.blurred)
        curves = (
            measure_curves(explained, order, orders, fractions, explained.reference_patches, references.healthy),
            measure_curves(explained, order, orders, fractions, blurred, "the scan itself, blurred"),
        )
        if level == "full":
            first = explained.reference_patches

            def anew(image: Tensor = explained.image) -> Explained:
                return Explained(explained.predictor, image, explained.evidence, explained.target, explained.reference)

            maps = [METHODS[method](anew(image)).per_patch().double().numpy() for image in rescans(RESCANS)]
            rivals = ask_rivals(explained, method, per_patch, inside, orders, curves[0], first)
            randomised = randomise(anew, explained.network, METHODS[method], per_patch, inside, seed)
            stability = compare_rescans(maps, per_patch, inside)
    flags = (*attribution.flags, *known_flags, *flags_of(curves, randomised, stability))
    with torch.no_grad():
        number = float(explained.of_patches(explained.patches, explained.shares)[0])
    return Faithfulness(
        level=level,
        method=method,
        target=attribution.target.name,
        explained=attribution.target.described,
        number=number,
        resolution_mm=attribution.resolution_mm,
        fine_resolution_mm=attribution.fine_resolution_mm,
        roads=attribution.roads,
        patches=len(inside),
        curves=curves,
        rivals=rivals,
        randomised=randomised,
        rescans=stability,
        selftest=selftest,
        verdict=to_verdict(flags, curves, is_flat=is_flat),
        flags=flags,
        notice=notice,
    )
