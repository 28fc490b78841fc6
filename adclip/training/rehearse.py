"""What a training would cost: one real step on one real batch, timed."""

from __future__ import annotations

import math
import resource
import sys
import time
from dataclasses import dataclass

import torch

from adclip.training.augment import Augment
from adclip.training.methods import Material, learner_of

VALIDATION_SHARE = 0.35  # of a training step's time per scan: forward alone


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Parameters
    ----------
    minutes : float
        Of training all epochs, without reading scans.
    memory_gb : float
        Peak of this process, or of the device; 1e9 bytes.
    seconds_per_step : float
    """

    minutes: float
    memory_gb: float
    seconds_per_step: float


def rehearse(material: Material, scans: int, held_out: int) -> Cost:
    """Train one step twice on the material's scans, time the second, and count up.

    Parameters
    ----------
    material : Material
        Holds one batch; its network is built for this and thrown away.
    scans, held_out : int
        How many there will be to train on and to validate on.
    """
    config = material.config
    learner = learner_of(material)
    if learner is None:
        return Cost(0.0, _peak_gb(material.device), 0.0)
    import numpy as np

    rng = np.random.default_rng(config.seed)
    places = list(range(len(material.cohort.visits)))
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        images = material.cohort.image_batch(places, learner.device)
        if config.augment:
            images = Augment(material.base.config.contract, config.flip)(images, torch.Generator().manual_seed(0))
        learner.loss(places, images, learner.draw_wordings(len(places), rng)).backward()
        if learner.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    seconds_per_scan = seconds / len(places)
    steps = math.ceil(scans / config.batch_size)
    epoch = seconds_per_scan * (scans + VALIDATION_SHARE * held_out)
    return Cost(config.epochs * epoch / 60, _peak_gb(learner.device), seconds_per_scan * scans / steps)


def _peak_gb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
