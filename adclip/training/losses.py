"""The parts of the training objective."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

BARE_WEIGHT = 0.5  # class phrase without the report: the scan has to answer alone
CONTRAST_WEIGHT = 0.5


def soft_targets(labels: Tensor) -> Tensor:
    """Return (B, B) targets: half on the own pair, half spread over the pairs of the same class.

    In-batch pairs of one class are no negatives; q_ij = 0.5 [i = j] + 0.5 [y_i = y_j] / n_class.
    """
    same = (labels[:, None] == labels[None, :]).float()
    return 0.5 * torch.eye(labels.shape[0], device=labels.device) + 0.5 * same / same.sum(dim=1, keepdim=True)


def contrast(image: Tensor, text: Tensor, labels: Tensor, scale: Tensor) -> Tensor:
    """Symmetric class-aware contrastive loss on L2-normalised embeddings (B, E) before cross-attention."""
    logits = scale * image @ text.T
    wanted = soft_targets(labels)
    return (functional.cross_entropy(logits, wanted) + functional.cross_entropy(logits.T, wanted.T)) / 2


def adjusted_cross_entropy(scores: Tensor, labels: Tensor, log_prior: Tensor) -> Tensor:
    """Cross-entropy with logit adjustment for class imbalance (Menon et al. 2021, arXiv:2007.07314).

    Parameters
    ----------
    scores : Tensor (B, K)
    labels : Tensor (B,), int64
    log_prior : Tensor (K,)
        ln of the class shares among the training scans; added here, left out at prediction.
    """
    return functional.cross_entropy(scores + log_prior, labels)


def masked_mse(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error over the entries of `wanted` that are known (not NaN); 0 when none is."""
    known = ~torch.isnan(wanted)
    if not bool(known.any()):
        return predicted.sum() * 0.0
    return functional.mse_loss(predicted[known], wanted[known])
