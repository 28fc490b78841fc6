"""Fit the gate: what the embeddings of the training scans are like, and how far is far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from adclip.model.gate import Gate
from adclip.model.network import Network
from adclip.prediction.dataset import Cohort

# Share of scans like the training ones that may pass. Above the 0.9 of the prediction sets, because a flag that is often wrong is not read.
PASSING = 0.98


@torch.inference_mode()
def read_outs(
    network: Network, cohort: Cohort, places: Sequence[int], device: torch.device, batch_size: int = 8
) -> Tensor:
    """Return the image read-outs (N, E) before L2 and before the cross-attention."""
    batches = []
    for start in range(0, len(places), batch_size):
        states = network.vision_encoder(
            cohort.image_batch(list(places[start : start + batch_size]), device), with_patches=False
        )
        batches.append(network.mm_vision_proj(states.cls).float().cpu())
    return torch.cat(batches)


def fit_gate(train: Tensor) -> Gate:
    """Fit mean and shrunken covariance (Ledoit & Wolf 2004) to the read-outs (N, E) of the training scans."""
    from sklearn.covariance import LedoitWolf

    covariance = LedoitWolf().fit(normalize(train, dim=-1).double().numpy())
    return Gate(
        torch.from_numpy(covariance.location_).float(), torch.from_numpy(covariance.precision_).float().contiguous()
    )


def find_limit(distances: NDArray[np.float64]) -> float | None:
    """Return the distance that `PASSING` of new scans like the calibration ones stay within; their largest where they are few.

    With n of them the largest is passed by one in n + 1 such scans. None without any.
    """
    if not len(distances):
        return None
    rank = min(int(np.ceil((len(distances) + 1) * PASSING)), len(distances))
    return float(np.sort(distances)[rank - 1])
