"""Who stands beside a model that brings none along: volumes, its own shape without a training, and who knows the truth of a simulation."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from adclip.brain_volumes import BrainVolumes
from adclip.clinical.measured import volumes_of
from adclip.clinical.scans.manifest import Example
from adclip.clinical.tables.people import person_of
from adclip.domain import FloatArray, Visit
from adclip.evaluation.audits.cross_fit import Learned, fit_and_answer, judged_as
from adclip.evaluation.judgement import Judgement
from adclip.evaluation.reading import ReadScans
from adclip.model.record import AdapterRecord

if TYPE_CHECKING:
    import torch

    from adclip.model.network import Network
    from adclip.model.settings import ModelConfig
    from adclip.prediction.dataset import Cohort

TrueFeatures = Callable[[Sequence[Example]], FloatArray | None]
VOLUMES, UNTRAINED, ORACLE = "volumes_regression", "untrained_network", "oracle"
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


def untrained_network(config: ModelConfig, device: torch.device, seed: int = 0) -> Network:
    """Return a network of a model's shape whose weights are random; it reads no text."""
    import torch

    from adclip.model.build import build_network

    torch.manual_seed(seed)
    network = build_network(dataclasses.replace(config, text_depth=0), None).to(device)
    return network.requires_grad_(False)


def embed(network: Network, cohort: Cohort, device: torch.device, batch_size: int = 8) -> FloatArray:
    """Return the image embeddings (N, E) of scans.

    What a linear read-out of those of an untrained network tells of the diagnosis needs no training of the network at all.
    """
    import torch

    rows = []
    with torch.inference_mode():
        for start in range(0, len(cohort.visits), batch_size):
            places = list(range(start, min(start + batch_size, len(cohort.visits))))
            rows.append(network.encode_image(cohort.image_batch(places, device)).double().cpu().numpy())
    return np.concatenate(rows)


def add_rivals(
    judgement: Judgement,
    read: ReadScans,
    training: ReadScans | None,
    record: AdapterRecord,
    device: torch.device,
    true_features: TrueFeatures | None = None,
    seed: int = 0,
    batch_size: int = 8,
) -> Judgement:
    """Add the answers of a regression on volumes, of a read-out of an untrained network, and of an oracle, where there can be any.

    Parameters
    ----------
    judgement : Judgement
        Of N scans.
    read : ReadScans
        The same scans.
    training : ReadScans or None
        Scans whose people the regressions learn from; without them they are cross-fitted over those that are judged.
    record : AdapterRecord
        Of the model, with the shares of the classes that answers are told for.
    device : torch.device
        Where the untrained network computes.
    true_features : callable, optional
        Examples -> what is true of simulated people (N, F), or None where it is not known.
    seed : int
        Of folds and random weights.
    batch_size : int
        Scans that the network takes at once.
    """
    network = untrained_network(record.model, device, seed)

    def features(scans: ReadScans) -> dict[str, FloatArray | None]:
        cohort = scans.cohort
        return {
            VOLUMES: volume_features(cohort.visits, cohort.measured),
            UNTRAINED: embed(network, cohort, device, batch_size),
            ORACLE: None if true_features is None else true_features(scans.examples),
        }

    judged, learned = features(read), None if training is None else features(training)
    everyone = dict(judgement.everyone)
    for name, table in judged.items():
        others = None
        if training is not None and learned is not None:
            material = learned[name]
            if material is None or table is None or material.shape[1] != table.shape[1]:
                continue
            ids = tuple(person_of(visit.subject_id) for visit in training.cohort.visits)
            others = Learned(material, training.cohort.labels.numpy().astype(np.int64), ids)
        if table is None:
            continue
        equal = fit_and_answer(table, judgement.numbers, judgement.subjects, len(record.labels), others, seed)
        if equal is not None:
            everyone[name] = judged_as(equal, record.shares or ())
    return dataclasses.replace(judgement, everyone=everyone)
