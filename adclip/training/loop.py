"""The prompt-tuning loop: frozen base, report candidates, resumable after every epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from adclip.clinical.reports import fields_of, has_wordings
from adclip.errors import AdclipError, OutputError
from adclip.events import Advanced, OnEvent, Started, Step
from adclip.model.prompts import adapter_state, is_adapter
from adclip.paths import write_bytes
from adclip.training.dataset import Cohort
from adclip.training.losses import (
    BARE_WEIGHT,
    CONTRAST_WEIGHT,
    adjusted_cross_entropy,
    contrast,
    masked_mse,
)
from adclip.training.scoring import Reader, Scores, Wording, score_batch

REPORT_DROPOUT = 0.4  # chance that a scan's whole report is dropped for a step
FIELD_DROPOUT = 0.15  # else, chance of each field
WARM_UP = 0.1  # share of all steps
GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class LoopConfig:
    """Numbers of the loop; see FinetuneConfig for their meaning."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    alpha: float
    seed: int


@dataclass
class Progress:
    """Where a run stands; what a resume file holds beside tensors."""

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    history: list[dict[str, float]] = field(default_factory=list)


class Loop:
    """Trains the adapter of a network on a cohort.

    Parameters
    ----------
    reader : Reader
        The network with its texts.
    cohort : Cohort
    train, validation : sequence of int
        Places in the cohort.
    mmse_stats : tuple of float
        Mean and standard deviation in points of the training MMSE, for z-scoring.
    config : LoopConfig
    fingerprint : str
        Of settings, split and base; a resume file with another one is refused.
    """

    def __init__(
        self,
        reader: Reader,
        cohort: Cohort,
        train: Sequence[int],
        validation: Sequence[int],
        mmse_stats: tuple[float, float],
        config: LoopConfig,
        fingerprint: str,
    ) -> None:
        self.reader, self.cohort = reader, cohort
        self.train, self.validation = list(train), list(validation)
        self.config, self.fingerprint = config, fingerprint
        self.progress = Progress()
        self.parameters = {n: p for n, p in reader.network.named_parameters() if is_adapter(n)}
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.best = adapter_state(reader.network)
        device = reader.device
        mean, sd = mmse_stats
        self.mmse = ((cohort.mmse - mean) / sd).to(device)
        self.labels = cohort.labels.to(device)
        counts = torch.bincount(cohort.labels[self.train], minlength=len(reader.labels)).float()
        self.log_prior = (counts / counts.sum()).clamp(min=1e-6).log().to(device)

    def run(self, resume_file: Path, on_event: OnEvent) -> Progress:
        """Train the epochs that are left, and leave the network with the weights of the best one."""
        if self._resume(resume_file):
            on_event(Step(f"resuming after epoch {self.progress.epoch} of {self.config.epochs}"))
        on_event(Started("fine-tuning", self.config.epochs))
        while self.progress.epoch < self.config.epochs:
            train_loss = self._train_epoch(self.progress.epoch)
            losses = self._validation_loss()
            self.progress.epoch += 1
            self.progress.history.append({"epoch": self.progress.epoch, "train_loss": train_loss} | losses)
            if losses["validation_loss"] < self.progress.best_loss:
                self.progress.best_loss, self.progress.best_epoch = losses["validation_loss"], self.progress.epoch
                self.best = {name: value.clone() for name, value in adapter_state(self.reader.network).items()}
            self._save(resume_file)
            told = f"loss {train_loss:.3f}, validation {losses['validation_loss']:.3f}"
            on_event(Advanced("fine-tuning", self.progress.epoch, told))
        self._load(self.best)
        return self.progress

    def _train_epoch(self, epoch: int) -> float:
        # one generator per epoch: a resumed epoch draws exactly what the uninterrupted one would have drawn
        rng = np.random.default_rng([self.config.seed, epoch])
        order = rng.permutation(self.train)
        size = self.config.batch_size
        steps = math.ceil(len(order) / size)
        total = 0.0
        for index in range(steps):
            self._pace((epoch * steps + index + 1) / (self.config.epochs * steps))
            places = [int(place) for place in order[index * size : (index + 1) * size]]
            loss = self.loss(places, self._draw_wordings(len(places), rng))
            if not bool(torch.isfinite(loss)):
                raise AdclipError(
                    f"the loss became {loss.item()} in epoch {epoch + 1}", "use a smaller --learning-rate and run again"
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters.values(), GRADIENT_NORM)
            self.optimizer.step()
            total += loss.item() * len(places)
        return total / len(order)

    def loss(self, places: list[int], wordings: Sequence[Wording]) -> Tensor:
        """Return the objective of one batch.

        Cross-entropy over report candidates, over bare phrases, class-aware contrast of scan and true report before
        cross-attention, and the squared error of the z-scored MMSE where it is known.
        """
        scores = self._scores(places, wordings)
        labels = self.labels[places]
        rows = torch.arange(len(places), device=labels.device)
        image = nn.functional.normalize(scores.image.cls, dim=-1)
        text = nn.functional.normalize(scores.texts.cls[rows, labels], dim=-1)
        loss = adjusted_cross_entropy(scores.report, labels, self.log_prior)
        loss = loss + BARE_WEIGHT * adjusted_cross_entropy(scores.bare, labels, self.log_prior)
        loss = loss + CONTRAST_WEIGHT * contrast(image, text, labels, self.reader.network.scale)
        if scores.mmse is not None:
            loss = loss + self.config.alpha * masked_mse(scores.mmse, self.mmse[places])
        return loss

    def _scores(self, places: list[int], wordings: Sequence[Wording] | None) -> Scores:
        images = self.cohort.image_batch(places, self.reader.device)
        return score_batch(self.reader, images, [self.cohort.visits[place] for place in places], wordings)

    def _draw_wordings(self, count: int, rng: np.random.Generator) -> list[Wording]:
        """Draw what is dropped from each report, and its words where the style has several."""
        fields = fields_of(self.reader.style)
        wordings = []
        for _ in range(count):
            whole = rng.random() >= REPORT_DROPOUT
            chosen = rng.random(len(fields)) >= FIELD_DROPOUT
            keep = frozenset(name for name, take in zip(fields, chosen, strict=True) if take and whole)
            wordings.append(Wording(keep, int(rng.integers(2**31)) if has_wordings(self.reader.style) else 0))
        return wordings

    @torch.no_grad()
    def _validation_loss(self) -> dict[str, float]:
        """Cross-entropies of the held-out subjects with full reports; without any, those of the training scans."""
        places = self.validation or self.train
        sums = {"validation_loss": 0.0, "validation_scan_only_loss": 0.0}
        for start in range(0, len(places), self.config.batch_size):
            batch = places[start : start + self.config.batch_size]
            scores, labels = self._scores(batch, None), self.labels[batch]
            bare = nn.functional.cross_entropy(scores.bare, labels).item()
            report = nn.functional.cross_entropy(scores.report, labels).item()
            sums["validation_loss"] += (report + BARE_WEIGHT * bare) * len(batch) / len(places)
            sums["validation_scan_only_loss"] += bare * len(batch) / len(places)
        return sums

    def _pace(self, progress: float) -> None:
        """Linear warm-up, then cosine to zero."""
        rate = self.config.learning_rate * min(1.0, progress / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    # ------------------------------------------------------------------------------------------ resume

    def _save(self, path: Path) -> None:
        """Write everything the next epoch needs as one safetensors file."""
        from safetensors.torch import save

        tensors = {f"now.{name}": value for name, value in adapter_state(self.reader.network).items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value.detach().cpu().contiguous()
        record = json.dumps(vars(self.progress))
        write_bytes(path, save(tensors, metadata={"progress": record, "fingerprint": self.fingerprint}))

    def _resume(self, path: Path) -> bool:
        if not path.is_file():
            return False
        from safetensors import safe_open

        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata()
            if metadata["fingerprint"] != self.fingerprint:
                raise OutputError(
                    f"{path.parent.parent.parent}: holds an unfinished run with other settings or scans",
                    "repeat its settings to resume it, choose another --out, or add --overwrite",
                )
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        self.progress = Progress(**json.loads(metadata["progress"]))
        self.best = {name[5:]: value for name, value in tensors.items() if name.startswith("best.")}
        self._load({name[4:]: value for name, value in tensors.items() if name.startswith("now.")})
        for name, parameter in self.parameters.items():
            state = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                value = tensors.get(f"optimizer.{key}.{name}")
                if value is not None:
                    state[key] = value if key == "step" else value.to(parameter.device)
            if state:
                self.optimizer.state[parameter] = state
        return True

    def _load(self, state: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in state.items():
                self.parameters[name].copy_(value)
