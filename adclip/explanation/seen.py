"""A prepared scan as explaining looks at it: with its reference image, and in other versions of the same head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adclip.domain import FloatArray
from adclip.explanation.explained import Explained
from adclip.explanation.references import band_of, reference_image
from adclip.explanation.target import Target
from adclip.imaging.steps.grid import to_model_order
from adclip.prediction.rescans import pseudo_rescans

if TYPE_CHECKING:
    from adclip.imaging.prepare import PreparedScan
    from adclip.prediction.evidence import Evidence
    from adclip.prediction.predictor import Predictor


class SeenScan:
    """One person's scan, and what is known beside it.

    Parameters
    ----------
    predictor : Predictor
    prepared : PreparedScan
    evidence : Evidence
    """

    def __init__(self, predictor: Predictor, prepared: PreparedScan, evidence: Evidence) -> None:
        self.predictor, self.prepared, self.evidence = predictor, prepared, evidence
        age = None if evidence.row is None else evidence.row.age_years
        contract = predictor.record.model.contract
        self.reference_described = band_of(age).described + ("" if age is not None else " (age unknown)")
        self.reference = self.to_tensor(reference_image(contract, age))

    def to_tensor(self, image: FloatArray) -> Tensor:
        """Return an image (X, Y, Z) as the network takes it, (1, 1, D, H, W)."""
        return torch.from_numpy(to_model_order(image).copy()).float()[None, None].to(self.predictor.device)

    def explained(self, target: Target | None, image: Tensor | None = None) -> Explained:
        """Return what is to be explained of the scan, or of another version of it (1, 1, D, H, W)."""
        shown = self.predictor.to_image(self.prepared) if image is None else image
        return Explained(self.predictor, shown, self.evidence, target, self.reference)

    def rescans(self, count: int) -> Iterator[Tensor]:
        """Yield pseudo-rescans (1, 1, D, H, W)."""
        contract = self.predictor.record.model.contract
        for image in pseudo_rescans(self.prepared.image, self.prepared.mask, contract, count):
            yield self.to_tensor(image)
