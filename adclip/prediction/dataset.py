"""Preprocessed scans in memory, with what training needs of their visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.measured import Case
from adclip.clinical.scans.manifest import Example
from adclip.domain import InputContract, Visit
from adclip.errors import ScanError
from adclip.imaging.prepare import prepare_scan
from adclip.imaging.steps.grid import to_model_order
from adclip.prediction.volume_cache import read_volumes
from adclip.runtime.events import Advanced, OnEvent, Started
from adclip.task import Task

QUANTUM = 32767  # derivatives are stored in steps of 1/32767, so int16 keeps them exactly at half the memory


@dataclass(frozen=True)
class Cohort:
    """Scans ready to train on.

    Parameters
    ----------
    visits : tuple of Visit
        One for each scan; `subject_id` is the unit of splitting.
    images : Tensor (N, 1, D, H, W), int16
        Intensities in steps of 1/QUANTUM; mapped from disk, or on the device.
    labels : Tensor (N,), int64
        Index into the class order.
    mmse : Tensor (N,), float32
        The task's auxiliary score, the MMSE by default: points, NaN where unknown.
    measured : tuple of BrainVolumes or None
        Volumes of each scan's sidecar; empty if nobody looked.
    """

    visits: tuple[Visit, ...]
    images: Tensor
    labels: Tensor
    mmse: Tensor
    measured: tuple[BrainVolumes | None, ...] = ()

    def case(self, place: int) -> Case:
        """Return what is known of a scan's volumes, by its row and by its sidecar."""
        return Case.of(self.visits[place], self.measured[place] if self.measured else None)

    def image_batch(self, indices: Sequence[int], device: torch.device) -> Tensor:
        """Return scans (B, 1, D, H, W) in [0, 1] on `device`."""
        return self.images[list(indices)].to(device).float() / QUANTUM

    def where_it_fits(self, device: torch.device) -> Cohort:
        """Return the cohort with its images on a CUDA device if that leaves half of its free memory, else as it is."""
        size = self.images.numel() * self.images.element_size()
        if device.type != "cuda" or size > torch.cuda.mem_get_info(device)[0] / 2:
            return self
        return replace(self, images=self.images.to(device))

    def indices_of(self, subjects: frozenset[str] | set[str]) -> list[int]:
        """Return the places of all scans of `subjects`."""
        return [index for index, visit in enumerate(self.visits) if visit.subject_id in subjects]


def read_cohort(
    examples: Sequence[Example], contract: InputContract, task: Task, on_event: OnEvent, *, keep: bool = True
) -> Cohort:
    """Read derivatives, or find them in the cache of volumes; without `keep` that is left alone.

    Raises
    ------
    ScanError
        If a scan is not a derivative, or lies on another grid than the model needs.
    """
    on_event(Started("reading scans", len(examples)))
    for example in examples:
        if not example.item.preprocessed:
            raise ScanError.not_preprocessed(example.item.path)

    def read_one(place: int) -> NDArray[np.int16]:
        prepared = prepare_scan(examples[place].item, contract, None)
        on_event(Advanced("reading scans", place + 1))
        return np.round(to_model_order(prepared.image) * QUANTUM).astype(np.int16)

    cached = False
    if keep:
        volumes, cached = read_volumes([example.sha256 for example in examples], contract, read_one)
    else:
        volumes = np.stack([read_one(place) for place in range(len(examples))])
    if cached:
        on_event(Advanced("reading scans", len(examples), "from the cache"))
    images = torch.from_numpy(volumes)[:, None]
    visits = tuple(example.visit for example in examples)
    numbers = torch.tensor([task.classes.index(str(visit.diagnosis)) for visit in visits])
    scores = [task.score_of(visit) for visit in visits]
    mmse = torch.tensor([float("nan") if score is None else score for score in scores])
    return Cohort(visits, images, numbers, mmse, tuple(example.measured for example in examples))
