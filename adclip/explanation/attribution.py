"""A map of one scan: what a method says of it, on the model's grid, and how fine that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adclip.explanation.explained import Explained
from adclip.explanation.flags import FLAT_MAP
from adclip.explanation.methods import METHODS
from adclip.explanation.relevance import FINE_FWHM_MM, Relevance, scaled
from adclip.explanation.target import Target
from adclip.prediction.answer import Answer


@dataclass(frozen=True)
class Attribution:
    """Relevance of one scan.

    Parameters
    ----------
    signed : ndarray (D, H, W), float32
        On the model's grid, unitless: the largest value is 1, what speaks against the target is below 0. All 0 for a flat map.
    per_patch : ndarray (D', H', W'), float64
        The relevance of each patch in the method's own unit: what orders patches.
    roads : dict
        Share of the absolute relevance by road from the patches to the number: `vision` and `cross_attention` for attention, `closer_look`
        for its sums, `patches` for all but those. Empty where a method tells none apart.
    target : Target
    method : str
        One of `METHODS`.
    answer : Answer
        The decision this explains, from the same pass.
    resolution_mm : float
        Width of the smallest thing that can be told apart outside the closer look: of a patch, or of the smoothing.
    fine_resolution_mm : float
        The same where the map is finest.
    flags : tuple of str
        `flat_map` where nothing is found.
    """

    signed: NDArray[np.float32]
    per_patch: NDArray[np.float64]
    roads: dict[str, float]
    target: Target
    method: str
    answer: Answer
    resolution_mm: float
    fine_resolution_mm: float
    flags: tuple[str, ...] = ()

    @property
    def positive(self) -> NDArray[np.float32]:
        """What speaks for the target, in [0, 1]."""
        result: NDArray[np.float32] = np.clip(self.signed, 0, None)
        return result


def attribute(explained: Explained, method: str) -> Attribution:
    """Explain one scan by one method.

    Parameters
    ----------
    explained : Explained
    method : str
        A key of `METHODS`.
    """
    return to_attribution(explained, method, METHODS[method](explained))


def resolution_of(explained: Explained, found: Relevance, patch_parts: int = 1) -> tuple[float, float]:
    """Return the widths that a map tells apart, in millimetres: in general, and where it is finest.

    Parameters
    ----------
    explained : Explained
    found : Relevance
        What the method itself says.
    patch_parts : int
        Parts of a patch along an axis that are told apart in what is known by patch.
    """
    contract = explained.predictor.record.model.contract
    sizes = zip(contract.spacing_mm, contract.shape, found.grid, strict=True)
    patch_mm = max(spacing * size / count for spacing, size, count in sizes) / patch_parts
    fine_mm = max(FINE_FWHM_MM, *contract.spacing_mm)
    coarse_mm = max(patch_mm, fine_mm)
    return (
        fine_mm if found.by_patch is None else coarse_mm,
        coarse_mm if found.by_voxel is None else fine_mm,
    )


def to_attribution(
    explained: Explained, method: str, found: Relevance, resolution_mm: tuple[float, float] | None = None
) -> Attribution:
    """Put what a method says on the model's grid, the largest value 1; `resolution_mm` as `resolution_of` has it, where it is another."""
    contract = explained.predictor.record.model.contract
    signed, has_no_peak = scaled(found.per_voxel(contract.shape, contract.spacing_mm))
    is_flat = found.is_flat or has_no_peak
    if is_flat:
        signed = signed * 0
    coarse_mm, fine_mm = resolution_mm or resolution_of(explained, found)
    return Attribution(
        signed.numpy().astype(np.float32),
        found.per_patch().double().numpy(),
        dict(found.roads),
        explained.target,
        method,
        explained.answer,
        coarse_mm,
        fine_mm,
        (FLAT_MAP,) if is_flat else (),
    )
