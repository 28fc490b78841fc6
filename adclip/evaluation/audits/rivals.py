"""What a network has to beat beside the regressions that a model brings along: volumes, and its own shape without a training."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.measured import Case
from adclip.domain import FloatArray

if TYPE_CHECKING:
    import torch

    from adclip.model.settings import ModelConfig
    from adclip.prediction.dataset import Cohort

VOLUMES, UNTRAINED = "volumes_regression", "untrained_network"
ICV = "icv_mm3"
KNOWN_IN = 0.5  # share of the scans in which a volume must be known to count


def volume_features(cases: Sequence[Case]) -> FloatArray | None:
    """Return what is known of the volumes of scans, for a regression: (N, F), NaN where unknown.

    Parameters
    ----------
    cases : sequence of Case
        N scans with the volumes of each program.

    Returns
    -------
    ndarray or None
        Volumes by the program that measured most scans, as share of the head where its volume is known, and the head itself; beside
        them age in years and sex, as the norms of volumes know them. None where no program measured half of the scans.
    """
    counted = Counter(volumes.source for case in cases for volumes in case.measured)
    if not counted:
        return None
    program, scans = max(counted.items(), key=lambda item: item[1])
    if scans < KNOWN_IN * len(cases):
        return None
    rows = [_of_program(case, program) for case in cases]
    names = Counter(name for row in rows for name in row)
    columns = sorted(name for name, count in names.items() if count >= KNOWN_IN * len(cases))
    table = [[_share(row, name) for name in columns] + [_or_nan(case.age_years), _sex(case)] for case, row in zip(cases, rows, strict=True)]  # fmt: skip
    return np.array(table, dtype=float)


def _of_program(case: Case, program: str | None) -> dict[str, float]:
    found: BrainVolumes | None = next((volumes for volumes in case.measured if volumes.source == program), None)
    return {} if found is None else dict(found.mm3)


def _share(row: dict[str, float], name: str) -> float:
    value, head = row.get(name), row.get(ICV)
    if value is None:
        return np.nan
    return value / head if head and name != ICV else value


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _sex(case: Case) -> float:
    return np.nan if case.sex is None else float(case.sex == "M")


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
