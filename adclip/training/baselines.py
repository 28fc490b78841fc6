"""Other ways to the same answers, on the same split: what prompt tuning has to be better than.

Each returns class scores as log-probabilities, so that calibration and measuring treat all methods alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adclip.evaluation.audits.cross_fit import STRENGTHS
from adclip.evaluation.calibrate import Answers
from adclip.evaluation.metrics import put_back
from adclip.model.base_model import BaseModel
from adclip.model.settings import PromptConfig
from adclip.prediction.dataset import Cohort
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.scoring import Wording
from adclip.training.losses import adjusted_cross_entropy, masked_mse


class Answering(Protocol):
    """Says what a method answers for places of the cohort; `in_part` also with parts of the reports, where it reads any."""

    def __call__(self, places: Sequence[int], *, in_part: bool = False) -> Answers:  # noqa: D102 (told above)
        ...


CNN_WIDTHS = [16, 32, 64, 128]
CNN_GROUPS = 8


def metadata_answers(cohort: Cohort, baseline: MetadataBaseline, labels: Sequence[str]) -> Answering:
    """Return what the logistic regression on the table says; even odds where a row has none of its columns."""

    def answers(places: Sequence[int], *, in_part: bool = False) -> Answers:
        even = {label: 1 / len(labels) for label in labels}
        rows = [baseline.predict(cohort.visits[place]) or even for place in places]
        table = np.array([[row[label] for label in labels] for row in rows], dtype=np.float64)
        scores = np.log(table.reshape(-1, len(labels)).clip(1e-12))
        return Answers(scores, scores, None)

    return answers


def probe_answers(
    base: BaseModel, cohort: Cohort, parts: dict[str, list[int]], score_range: tuple[float, float], batch_size: int
) -> Answering:
    """Fit a logistic regression and a ridge regression on the frozen image embeddings of the training scans."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import log_loss

    embeddings = [
        base.encode_image(
            cohort.image_batch(list(range(start, min(start + batch_size, len(cohort.visits)))), base.device)
        )
        for start in range(0, len(cohort.visits), batch_size)
    ]
    features = torch.cat(embeddings).double().cpu().numpy()
    train = parts["train"]
    mean, sd = features[train].mean(0), features[train].std(0) + 1e-9
    features = (features - mean) / sd
    truth = cohort.labels.numpy()
    judged = parts["validation"] or train

    def fit(strength: float) -> Any:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
        return model.fit(features[train], truth[train])

    shares = np.bincount(truth[train], minlength=int(truth.max()) + 1)

    def loss(model: Any) -> float:
        # fitted for classes equally common, judged by people of the study's mix: its shares are put back
        study_probabilities = put_back(model.predict_proba(features[judged]), shares[model.classes_])
        return float(log_loss(truth[judged], study_probabilities, labels=model.classes_))

    best = min((fit(strength) for strength in STRENGTHS), key=loss)
    scored_places = [place for place in train if not np.isnan(float(cohort.mmse[place]))]
    points = cohort.mmse.double().numpy()
    ridge = (
        Ridge(alpha=float(len(mean))).fit(features[scored_places], points[scored_places])
        if len(scored_places) > 1
        else None
    )

    def answers(places: Sequence[int], *, in_part: bool = False) -> Answers:
        rows = features[list(places)].reshape(-1, features.shape[1])
        if not len(rows):
            nothing = np.zeros((0, len(best.classes_)))
            return Answers(nothing, nothing, None)
        scores: NDArray[np.float64] = best.predict_log_proba(rows).astype(np.float64)
        mmse = None if ridge is None else np.clip(ridge.predict(rows), *score_range).astype(np.float64)
        return Answers(scores, scores, mmse)

    return answers


@dataclass(frozen=True)
class CnnLearner:
    """A 3D ResNet-10 of MONAI's, trained from scratch on the volumes, for the loop in the place of an Objective.

    Norms are over groups of channels: they have no running statistics, so its parameters are all there is to save.
    """

    network: nn.Module
    cohort: Cohort
    mmse: Tensor
    log_prior: Tensor
    alpha: float

    @classmethod
    def build(
        cls, cohort: Cohort, train: Sequence[int], classes: int, mmse_stats: tuple[float, float], alpha: float,
        device: torch.device,
    ) -> CnnLearner:  # fmt: skip
        """Allocate the network for a cohort."""
        from monai.networks.nets.resnet import ResNet

        network: Any = ResNet(
            "basic", [1, 1, 1, 1], CNN_WIDTHS, spatial_dims=3, n_input_channels=1, conv1_t_stride=2, num_classes=classes + 1,
            norm=("group", {"num_groups": CNN_GROUPS}),
        )  # fmt: skip
        network.prompt_config = PromptConfig(whole=True)  # every parameter is trained and saved
        counts = torch.bincount(cohort.labels[list(train)], minlength=classes).float()
        prior = (counts / counts.sum()).clamp(min=1e-6).log().to(device)
        mean, sd = mmse_stats
        return cls(network.to(device), cohort, ((cohort.mmse - mean) / sd).to(device), prior, alpha)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.log_prior.device

    def forget(self) -> None:
        """Nothing is kept between steps."""

    def draw_wordings(self, count: int, rng: np.random.Generator) -> list[Wording]:
        """Return no wordings worth the name: it reads no reports."""
        return [Wording()] * count

    def loss(self, places: list[int], images: Tensor, wordings: Sequence[Wording]) -> Tensor:
        """Cross-entropy with logit adjustment, and the squared error of the z-scored MMSE."""
        outputs = self.network(images)
        targets = self.cohort.labels[places].to(self.device)
        loss = adjusted_cross_entropy(outputs[:, :-1], targets, self.log_prior)
        return loss + self.alpha * masked_mse(outputs[:, -1], self.mmse[places])

    @torch.no_grad()
    def validate(self, places: Sequence[int], batch_size: int) -> dict[str, float]:
        """Cross-entropy and balanced accuracy of held-out scans."""
        scores = torch.from_numpy(self.answers((0.0, 1.0), batch_size)(places).report)
        truth = self.cohort.labels[list(places)]
        answer = scores.argmax(-1)
        hits = [float((answer[truth == label] == label).float().mean()) for label in truth.unique()]
        loss = float(adjusted_cross_entropy(scores, truth, self.log_prior.double().cpu()))
        return {"validation_loss": loss, "validation_balanced_accuracy": sum(hits) / len(hits)}

    def answers(
        self,
        mmse_stats: tuple[float, float],
        batch_size: int,
        score_range: tuple[float, float] = (-math.inf, math.inf),
    ) -> Answering:
        """Return a function that answers for places in the cohort."""

        @torch.inference_mode()
        def answer(places: Sequence[int], *, in_part: bool = False) -> Answers:
            rows = [
                self.network(self.cohort.image_batch(places[start : start + batch_size], self.device)).double().cpu()
                for start in range(0, len(places), batch_size)
            ]
            if not rows:
                nothing = np.zeros((0, len(self.log_prior)))
                return Answers(nothing, nothing, None)
            outputs = torch.cat(rows)
            scores = outputs[:, :-1].log_softmax(1).numpy()
            return Answers(
                scores, scores, np.clip(outputs[:, -1].numpy() * mmse_stats[1] + mmse_stats[0], *score_range)
            )

        return answer
