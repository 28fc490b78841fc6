"""The parts of the training objective."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """Embeddings of scans with their true reports, before cross-attention.

    Parameters
    ----------
    image, text : Tensor (M, E)
        L2-normalised.
    labels : Tensor (M,), int64
    """

    image: Tensor
    text: Tensor
    labels: Tensor

    def detach(self) -> Pairs:
        """Return the same without a gradient."""
        return Pairs(self.image.detach(), self.text.detach(), self.labels)

    def followed_by(self, appended: Pairs | None) -> Pairs:
        """Return these pairs and behind them those of `appended`."""
        if appended is None:
            return self
        field_pairs = ((self.image, appended.image), (self.text, appended.text), (self.labels, appended.labels))
        return Pairs(*(torch.cat(tensors) for tensors in field_pairs))

    def first(self, count: int) -> Pairs:
        """Return the first `count` pairs."""
        return Pairs(self.image[:count], self.text[:count], self.labels[:count])


def soft_targets(labels: Tensor, other_labels: Tensor | None = None) -> Tensor:
    """Return (B, B + M) targets: half on the own pair, half spread over the pairs of the same class.

    Pairs of one class are no negatives; q_ij = 0.5 [i = j] + 0.5 [y_i = y_j] / n_class.

    Parameters
    ----------
    labels : Tensor (B,)
    other_labels : Tensor (M,), optional
        Of pairs of earlier batches.
    """
    every = labels if other_labels is None else torch.cat([labels, other_labels])
    same = (labels[:, None] == every[None, :]).float()
    own = torch.eye(labels.shape[0], every.shape[0], device=labels.device)
    return 0.5 * own + 0.5 * same / same.sum(dim=1, keepdim=True)


def contrast(pairs: Pairs, scale: Tensor, earlier: Pairs | None = None) -> Tensor:
    """Symmetric class-aware contrastive loss of a batch.

    Parameters
    ----------
    pairs : Pairs
        Of this batch.
    scale : Tensor ()
        Multiplier of the cosine.
    earlier : Pairs, optional
        Embeddings of the last steps, without gradient: what a small batch lacks to compare with (cross-batch memory, Wang
        et al. 2020, arXiv:1912.06798).
    """
    every = pairs.followed_by(earlier)
    targets = soft_targets(pairs.labels, None if earlier is None else earlier.labels)
    to_texts = functional.cross_entropy(scale * pairs.image @ every.text.T, targets)
    to_images = functional.cross_entropy(scale * pairs.text @ every.image.T, targets)
    return (to_texts + to_images) / 2


def published_contrast(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """In-batch loss of the paper on cross-attended pairs (B, E): every other pair is a negative, also of the same class."""
    logits = scale * image @ text.T
    own = torch.arange(len(image), device=image.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


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


def masked_mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the entries of `target` that are known (not NaN); 0 when none is."""
    is_known = ~torch.isnan(target)
    if not bool(is_known.any()):
        return predicted.sum() * 0.0
    return functional.mse_loss(predicted[is_known], target[is_known])
