"""How far a scan is from those that a model was trained on, in the space of its image embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

GATE_MEAN, GATE_PRECISION = "gate.mean", "gate.precision"


@dataclass(frozen=True)
class Gate:
    """Mean and inverse covariance of the training scans' embeddings (Lee et al. 2018, arXiv:1807.03888, one class).

    Parameters
    ----------
    mean : Tensor (E,)
    precision : Tensor (E, E)
    """

    mean: Tensor
    precision: Tensor

    def distance(self, cls: Tensor) -> Tensor:
        """Return the Mahalanobis distances (B,) of image read-outs (B, E), taken after L2."""
        deviation = normalize(cls.detach().float().cpu(), dim=-1) - self.mean
        return torch.einsum("be,ef,bf->b", deviation, self.precision, deviation).clamp(min=0).sqrt()

    def tensors(self) -> dict[str, Tensor]:
        """Return what stands in `adapter.safetensors`."""
        return {GATE_MEAN: self.mean, GATE_PRECISION: self.precision}


def take_gate(state: dict[str, Tensor], embedding: int) -> Gate | None:
    """Take the gate out of an adapter's tensors; None where it has none.

    Raises
    ------
    ValueError
        If its sizes are not those of the model.
    """
    mean, precision = state.pop(GATE_MEAN, None), state.pop(GATE_PRECISION, None)
    if mean is None and precision is None:
        return None
    if mean is None or precision is None or mean.shape != (embedding,) or precision.shape != (embedding, embedding):
        raise ValueError("its gate does not fit its model")
    return Gate(mean, precision)
