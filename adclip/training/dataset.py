"""Preprocessed scans in memory, with what training needs of their visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adclip.clinical.manifest import Example
from adclip.domain import InputContract, Visit
from adclip.errors import ScanError
from adclip.events import Advanced, OnEvent, Started
from adclip.imaging.grid import to_model_order
from adclip.imaging.prepare import prepare_scan

QUANTUM = 32767  # derivatives are stored in steps of 1/32767, so int16 keeps them exactly at half the memory


@dataclass(frozen=True)
class Cohort:
    """Scans ready to train on.

    Parameters
    ----------
    visits : tuple of Visit
        One for each scan; `subject_id` is the unit of splitting.
    images : Tensor (N, 1, D, H, W), int16
        Intensities in steps of 1/QUANTUM.
    labels : Tensor (N,), int64
        Index into the class order.
    mmse : Tensor (N,), float32
        Points, NaN where unknown.
    """

    visits: tuple[Visit, ...]
    images: Tensor
    labels: Tensor
    mmse: Tensor

    def image_batch(self, indices: Sequence[int], device: torch.device) -> Tensor:
        """Return scans (B, 1, D, H, W) in [0, 1] on `device`."""
        return self.images[list(indices)].to(device).float() / QUANTUM

    def indices_of(self, subjects: frozenset[str] | set[str]) -> list[int]:
        """Return the places of all scans of `subjects`."""
        return [index for index, visit in enumerate(self.visits) if visit.subject_id in subjects]


def read_cohort(
    examples: Sequence[Example], contract: InputContract, labels: Sequence[str], on_event: OnEvent
) -> Cohort:
    """Read derivatives into memory.

    Raises
    ------
    ScanError
        If a scan is not a derivative, or lies on another grid than the model needs.
    """
    images = torch.empty((len(examples), 1, *contract.shape), dtype=torch.int16)
    on_event(Started("reading scans", len(examples)))
    for index, example in enumerate(examples):
        if not example.item.preprocessed:
            raise ScanError.not_preprocessed(example.item.path)
        prepared = prepare_scan(example.item, contract, None)
        steps = np.round(to_model_order(prepared.image) * QUANTUM).astype(np.int16)
        images[index, 0] = torch.from_numpy(steps)
        on_event(Advanced("reading scans", index + 1))
    visits = tuple(example.visit for example in examples)
    numbers = torch.tensor([list(labels).index(str(visit.diagnosis)) for visit in visits])
    mmse = torch.tensor([float("nan") if visit.mmse is None else visit.mmse for visit in visits])
    return Cohort(visits, images, numbers, mmse)
