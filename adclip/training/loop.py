"""The training loop: epochs, early stopping, and a file after each epoch from which a killed run goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from adclip.errors import DeviceMemoryError
from adclip.model.prompts import adapter_state, pretrained, trained_parameters
from adclip.prediction.dataset import Cohort
from adclip.prediction.scoring import Wording
from adclip.runtime.events import Advanced, OnEvent, Started, Step, Warned
from adclip.runtime.exceptions import is_memory_error
from adclip.training import errors
from adclip.training.augment import Augment
from adclip.training.resume import Progress, State, read_state, write_state

WARM_UP = 0.1  # share of all steps
GRADIENT_NORM = 1.0
LONG_EPOCH_S = 10.0  # from then on its steps are told too


@dataclass(frozen=True)
class LoopConfig:
    """Numbers of the loop; see FinetuneConfig for their meaning."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    patience: int | None = None
    augment: Augment | None = None
    pretrained_rate: float = 1.0


class Learner(Protocol):
    """What the loop trains: a network, and what a batch of it is judged by."""

    @property
    def network(self) -> nn.Module:
        """Whose parameters change."""

    @property
    def device(self) -> torch.device:
        """Where it is."""

    def forget(self) -> None:
        """Begin an epoch."""

    def draw_wordings(self, count: int, rng: np.random.Generator) -> list[Wording]:
        """Draw how the reports of a step are written."""

    def loss(self, places: list[int], images: Tensor, wordings: Sequence[Wording]) -> Tensor:
        """Return the loss of one batch."""

    def validate(self, places: Sequence[int], batch_size: int) -> dict[str, float]:
        """Return `validation_loss`, `validation_balanced_accuracy`, and more."""


class Loop:
    """Trains the parameters of a network that are ours on a cohort.

    Parameters
    ----------
    learner : Learner
        The network and its objective.
    cohort : Cohort
    train, validation : sequence of int
        Places in the cohort. Without any to validate on, the training scans are measured.
    config : LoopConfig
    fingerprint : str
        Of settings, split and base; a resume file with another one is refused.
    on_epoch : callable, optional
        Given the numbers of all epochs so far, after each one and when a run is resumed.
    """

    def __init__(
        self,
        learner: Learner,
        cohort: Cohort,
        train: Sequence[int],
        validation: Sequence[int],
        config: LoopConfig,
        fingerprint: str,
        on_epoch: Callable[[list[dict[str, float]]], None] = lambda history: None,
    ) -> None:
        self.learner, self.network, self.cohort = learner, learner.network, cohort
        self.train, self.validation = list(train), list(validation)
        self.config, self.fingerprint, self.on_epoch = config, fingerprint, on_epoch
        self.progress = Progress()
        self.parameters = dict(trained_parameters(self.network))
        taught = pretrained(self.network)
        groups = [
            {"params": [value for name, value in self.parameters.items() if (name in taught) is slow], "share": share}
            for slow, share in ((True, config.pretrained_rate), (False, 1.0))
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.best = _copy(adapter_state(self.network))

    def run(self, resume_file: Path, on_event: OnEvent) -> Progress:
        """Train the epochs that are left, and leave the network with the weights of the best one.

        The best epoch is that of the highest balanced accuracy on the validation scans; of equals, that of the smallest loss.
        """
        if self._resume(resume_file):
            on_event(Step(f"resuming after epoch {self.progress.epoch} of {self.config.epochs}"))
            self.on_epoch(self.progress.history)
        on_event(Started("fine-tuning", self.config.epochs))
        progress = self.progress
        while progress.epoch < self.config.epochs and not self._is_patience_over():
            train_loss = self._train_epoch(progress.epoch, on_event)
            measured = self.learner.validate(self.validation or self.train, self.at_once)
            if not math.isfinite(measured["validation_loss"]):
                raise errors.diverged("validation loss", progress.epoch + 1, self.config.learning_rate)
            progress.epoch += 1
            progress.history.append({"epoch": progress.epoch, "train_loss": train_loss} | measured)
            score = [measured["validation_balanced_accuracy"], -measured["validation_loss"]]
            if score > progress.best_score:
                progress.best_score, progress.best_epoch = score, progress.epoch
                self.best = _copy(adapter_state(self.network))
            self._save(resume_file)
            self.on_epoch(progress.history)
            losses_text = f"loss {train_loss:.3f}, validation {measured['validation_loss']:.3f}"
            on_event(Advanced("fine-tuning", progress.epoch, losses_text))
        if progress.epoch < self.config.epochs:
            on_event(Step(f"stopped after epoch {progress.epoch}: {self.config.patience} without a better one"))
        # copies: on a CPU the state shares memory with the parameters, which change next
        self.last = _copy(adapter_state(self.network))
        self._load(self.best)
        return progress

    def _is_patience_over(self) -> bool:
        patience = self.config.patience
        return patience is not None and self.progress.epoch - self.progress.best_epoch >= patience

    def _train_epoch(self, epoch: int, on_event: OnEvent) -> float:
        # generators of their own for each epoch: a resumed epoch draws exactly what the uninterrupted one would have drawn
        rng = np.random.default_rng([self.config.seed, epoch])
        order = rng.permutation(self.train)
        changes = torch.Generator().manual_seed(int(rng.integers(2**62)))
        size = self.config.batch_size
        steps = math.ceil(len(order) / size)
        total, epoch_title, began = 0.0, "", time.monotonic()
        self.learner.forget()
        for index in range(steps):
            # the middle of a step, so that none is taken at a rate of zero, however few there are
            self._pace((epoch * steps + index + 0.5) / (self.config.epochs * steps))
            places = [int(place) for place in order[index * size : (index + 1) * size]]
            wordings = self.learner.draw_wordings(len(places), rng)
            loss = self._step(places, wordings, changes, on_event)
            norm = nn.utils.clip_grad_norm_(self.parameters.values(), GRADIENT_NORM)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise errors.diverged(
                    "gradient" if math.isfinite(loss) else "loss", epoch + 1, self.config.learning_rate
                )
            self.optimizer.step()
            total += loss * len(places)
            if time.monotonic() - began > LONG_EPOCH_S:
                if not epoch_title:
                    on_event(Started(epoch_title := f"epoch {epoch + 1}", steps))
                on_event(Advanced(epoch_title, index + 1, f"loss {loss:.3f}"))
        return total / len(order)

    @property
    def at_once(self) -> int:
        """Scans that are computed together: a batch, or what fits into memory of one."""
        return self.progress.micro_batch or self.config.batch_size

    def _step(
        self, places: list[int], wordings: Sequence[Wording], changes: torch.Generator, on_event: OnEvent
    ) -> float:
        """Compute the gradient of one batch, in smaller pieces if memory asks for it; returns the loss."""
        drawn = changes.get_state()
        while True:
            try:
                self.optimizer.zero_grad(set_to_none=True)
                total = 0.0
                for start in range(0, len(places), self.at_once):
                    piece = slice(start, start + self.at_once)
                    loss = self._piece(places[piece], wordings[piece], changes)
                    share = len(places[piece]) / len(places)
                    (loss * share).backward()
                    total += loss.item() * share
                return total
            except Exception as error:
                if not is_memory_error(error):
                    raise
                if self.at_once == 1:
                    raise DeviceMemoryError.of(str(self.learner.device)) from error
            # outside of the handler, so that what the failed try held is free again
            self.progress.micro_batch = max(self.at_once // 2, 1)
            if self.learner.device.type == "cuda":
                torch.cuda.empty_cache()
            changes.set_state(drawn)
            self.learner.forget()
            on_event(
                Warned(
                    str(self.learner.device),
                    f"out of memory; steps of {self.config.batch_size} scans are taken {self.progress.micro_batch} "
                    "at a time from here on",
                )
            )

    def _piece(self, places: list[int], wordings: Sequence[Wording], changes: torch.Generator) -> Tensor:
        images = self.cohort.image_batch(places, self.learner.device)
        if self.config.augment is not None:
            images = self.config.augment(images, changes)
        return self.learner.loss(places, images, wordings)

    def _pace(self, progress: float) -> None:
        """Linear warm-up, then cosine to zero."""
        rate = self.config.learning_rate * min(1.0, progress / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]

    # ------------------------------------------------------------------------------------------ resume

    def _save(self, path: Path) -> None:
        moments = {name: dict(self.optimizer.state.get(value, {})) for name, value in self.parameters.items()}
        now = adapter_state(self.network)
        write_state(path, State(now, self.best, moments, self.progress), self.fingerprint)

    def _resume(self, path: Path) -> bool:
        state = read_state(path, self.fingerprint)
        if state is None:
            return False
        self.progress, self.best = state.progress, state.best
        self._load(state.now)
        for name, moments in state.optimizer.items():
            parameter = self.parameters[name]
            self.optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in moments.items()
            }
        return True

    def _load(self, state: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in state.items():
                self.parameters[name].copy_(value)


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}
