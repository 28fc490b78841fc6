"""What a network has to beat beside the regressions that a model brings along: volumes, and its own shape without a training."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.measured import volumes_of
from adclip.domain import FloatArray, Visit

if TYPE_CHECKING:
    import torch

    from adclip.model.settings import ModelConfig
    from adclip.prediction.dataset import Cohort

VOLUMES, UNTRAINED = "volumes_regression", "untrained_network"
ICV = "icv_mm3"
KNOWN_IN = 0.5  # share of the scans in which a volume must be known to count


def volume_features(visits: Sequence[Visit], beside: Sequence[BrainVolumes | None] = ()) -> FloatArray | None:
    """Return what is known of the volumes of scans, for a regression: (N, F), NaN where unknown.

    Parameters
    ----------
    visits : sequence of Visit
        Rows of N scans; a program that nobody names counts as one of its own.
    beside : sequence of BrainVolumes or None
        What was found for each scan elsewhere; empty if nobody looked.

    Returns
    -------
    ndarray or None
        Volumes by the program that measured most scans, as share of the head where its volume is known, and the head itself; beside
        them age in years and sex, as the norms of volumes know them. None where no program measured half of the scans.
    """
    found = [
        {volumes.source: dict(volumes.mm3) for volumes in (volumes_of(visit), other) if volumes is not None}
        for visit, other in zip(visits, beside or [None] * len(visits), strict=True)
    ]
    counted = Counter(program for programs in found for program in programs)
    if not counted:
        return None
    program, scans = max(counted.items(), key=lambda item: item[1])
    if scans < KNOWN_IN * len(visits):
        return None
    rows = [programs.get(program, {}) for programs in found]
    names = Counter(name for row in rows for name in row)
    columns = sorted(name for name, count in names.items() if count >= KNOWN_IN * len(visits))
    people = [
        [_or_nan(visit.age_years), math.nan if visit.sex is None else float(visit.sex == "M")] for visit in visits
    ]
    return np.array([[_share(row, name) for name in columns] + known for row, known in zip(rows, people, strict=True)])


def _share(row: dict[str, float], name: str) -> float:
    value, head = row.get(name), row.get(ICV)
    if value is None:
        return math.nan
    return value / head if head and name != ICV else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def untrained_features(
    config: ModelConfig, cohort: Cohort, device: torch.device, seed: int = 0, batch_size: int = 8
) -> FloatArray:
    """Return the image embeddings (N, E) of scans by a network of a model's shape whose weights are random.

    What a linear read-out of them tells of the diagnosis needs no training of the network at all.
    """
    import torch

    from adclip.model.build import build_network

    torch.manual_seed(seed)
    network = build_network(dataclasses.replace(config, text_depth=0), None).to(device)
    network.requires_grad_(False)
    rows = []
    with torch.inference_mode():
        for start in range(0, len(cohort.visits), batch_size):
            places = list(range(start, min(start + batch_size, len(cohort.visits))))
            rows.append(network.encode_image(cohort.image_batch(places, device)).double().cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, config.embedding))
