"""What a batch is judged by: the candidate-report objective, the published one, and their parts.

    L = CE(report candidates) + b CE(bare-phrase candidates) + c L_clip + alpha MSE(z-scored MMSE)

The report alone could solve the first term, since the same sentences stand in every candidate but tell severity; the second
holds the scan to account, and report dropout makes reports something that may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from adclip.clinical.reports import fields_of, has_wordings
from adclip.clinical.reports.readings import HIPPOCAMPUS_SIDES
from adclip.model.network import Network
from adclip.prediction.dataset import Cohort
from adclip.prediction.scoring import Reader, Scores, Wording, score_batch
from adclip.training.losses import Pairs, adjusted_cross_entropy, contrast, masked_mse, published_contrast


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the parts; see FinetuneConfig for their meaning. Without `sides` no report tells left from right."""

    kind: str = "candidates"
    alpha: float = 0.5
    bare_weight: float = 0.5
    contrast_weight: float = 0.5
    report_dropout: float = 0.4
    field_dropout: float = 0.15
    memory: int = 64
    sides: bool = True


class Objective:
    """Turns places in a cohort into a loss.

    Parameters
    ----------
    reader : Reader
        The network with its texts.
    cohort : Cohort
    train : sequence of int
        Places of the training scans: their class shares are the prior.
    mmse_stats : tuple of float
        Mean and standard deviation in points that the MMSE is scored by.
    config : ObjectiveConfig
    """

    def __init__(
        self,
        reader: Reader,
        cohort: Cohort,
        train: Sequence[int],
        mmse_stats: tuple[float, float],
        config: ObjectiveConfig,
    ) -> None:
        self.reader, self.cohort, self.config = reader, cohort, config
        mean, sd = mmse_stats
        self.mmse = ((cohort.mmse - mean) / sd).to(reader.device)
        self.labels = cohort.labels.to(reader.device)
        counts = torch.bincount(cohort.labels[list(train)], minlength=len(reader.labels)).float()
        self.log_prior = (counts / counts.sum()).clamp(min=1e-6).log().to(reader.device)
        self._earlier: Pairs | None = None

    @property
    def network(self) -> Network:
        """Whose adapter learns."""
        return self.reader.network

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.reader.device

    def forget(self) -> None:
        """Forget the embeddings of earlier steps: at the start of an epoch, so that a resumed one sees what it would have."""
        self._earlier = None

    def loss(self, places: list[int], images: Tensor, wordings: Sequence[Wording]) -> Tensor:
        """Return the objective of one batch.

        Parameters
        ----------
        places : list of int
            Of its scans in the cohort.
        images : Tensor (B, 1, D, H, W)
        wordings : sequence of Wording
            How each report is written.
        """
        visits = [self.cohort.visits[place] for place in places]
        scores = score_batch(self.reader, images, visits, wordings)
        labels = self.labels[places]
        loss = self._published(scores, labels) if self.config.kind == "paper" else self._candidates(scores, labels)
        if scores.mmse is not None:
            loss = loss + self.config.alpha * masked_mse(scores.mmse, self.mmse[places])
        return loss

    def _candidates(self, scores: Scores, labels: Tensor) -> Tensor:
        config = self.config
        loss = adjusted_cross_entropy(scores.report, labels, self.log_prior)
        if config.bare_weight:
            loss = loss + config.bare_weight * adjusted_cross_entropy(scores.bare, labels, self.log_prior)
        if config.contrast_weight:
            rows = torch.arange(len(labels), device=labels.device)
            image = nn.functional.normalize(scores.image.cls, dim=-1)
            text = nn.functional.normalize(scores.texts.cls[rows, labels], dim=-1)
            pairs = Pairs(image, text, labels)
            loss = loss + config.contrast_weight * contrast(pairs, self.reader.network.scale, self._earlier)
            if config.memory:
                self._earlier = pairs.detach().followed_by(self._earlier).first(config.memory)
        return loss

    def _published(self, scores: Scores, labels: Tensor) -> Tensor:
        """Hold the pair of a scan and its own report, which names the true class, against the other pairs of the batch."""
        network = self.reader.network
        image, text = network.fuse(scores.image, scores.texts)
        rows = torch.arange(len(labels), device=labels.device)
        return published_contrast(image[rows, labels], text[rows, labels], network.scale)

    def draw_wordings(self, count: int, rng: np.random.Generator) -> list[Wording]:
        """Draw what is dropped from each report, and its words where the style has several."""
        fields = [name for name in fields_of(self.reader.style) if self.config.sides or name not in HIPPOCAMPUS_SIDES]
        wordings = []
        for _ in range(count):
            whole = rng.random() >= self.config.report_dropout
            chosen = rng.random(len(fields)) >= self.config.field_dropout
            keep = frozenset(name for name, take in zip(fields, chosen, strict=True) if take and whole)
            wordings.append(Wording(keep, int(rng.integers(2**31)) if has_wordings(self.reader.style) else 0))
        return wordings

    @torch.no_grad()
    def validate(self, places: Sequence[int], batch_size: int) -> dict[str, float]:
        """Measure held-out scans with full reports: cross-entropies, and balanced accuracy of the likeliest class."""
        sums = {"validation_loss": 0.0, "validation_scan_only_loss": 0.0}
        answers: list[Tensor] = []
        for start in range(0, len(places), batch_size):
            batch = list(places[start : start + batch_size])
            images = self.cohort.image_batch(batch, self.reader.device)
            scores = score_batch(self.reader, images, [self.cohort.visits[place] for place in batch])
            labels = self.labels[batch]
            # as in training, with the study's shares put back: these people are of its mix
            bare = adjusted_cross_entropy(scores.bare, labels, self.log_prior).item()
            report = adjusted_cross_entropy(scores.report, labels, self.log_prior).item()
            sums["validation_loss"] += (report + self.config.bare_weight * bare) * len(batch) / len(places)
            sums["validation_scan_only_loss"] += bare * len(batch) / len(places)
            answers.append(scores.report.argmax(-1).cpu())
        truth, answer = self.cohort.labels[list(places)], torch.cat(answers)
        hits = [float((answer[truth == label] == label).float().mean()) for label in truth.unique()]
        return sums | {"validation_balanced_accuracy": sum(hits) / len(hits)}
