"""A stand-in for the segmenter and for the slow way to it, and short words for asking `predict`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from adclip.brain_volumes import BrainVolumes
from adclip.config import PredictConfig
from adclip.domain import Prediction
from adclip.imaging.derivatives.files import PreparedScan
from adclip.imaging.prepare import prepare_scan
from adclip.verbs.predict import predict

SOURCE = "adclip segmenter 0123456789ab"
VOLUMES = {
    "hippocampus_left_mm3": 3000.0, "hippocampus_right_mm3": 3200.0, "hippocampus_mm3": 6200.0,
    "amygdala_left_mm3": 900.0, "amygdala_right_mm3": 950.0, "amygdala_mm3": 1850.0,
    "inferior_lateral_ventricle_left_mm3": 600.0, "inferior_lateral_ventricle_right_mm3": 700.0,
    "inferior_lateral_ventricle_mm3": 1300.0, "ventricles_mm3": 40000.0, "whole_brain_mm3": 1.0e6, "icv_mm3": 1.4e6,
}  # fmt: skip
ERRORS = {"n": 59, "volumes": {name: {"sd_mm3": 210.0} for name in VOLUMES}}


class Measured:
    """Stands in for the segmenter: the same volumes for every head, unless a test changes them.

    Heads are prepared once for all tests; what `prepare_scan` does with `measure` is tested at the end, and in tests/imaging.
    """

    done: ClassVar[dict[str, PreparedScan]] = {}

    def __init__(self) -> None:
        self.volumes, self.calls = dict(VOLUMES), 0

    def __call__(self, item, contract, stripper, options, *, measure=False):
        if item.preprocessed or "bad" in item.path.name:
            return prepare_scan(item, contract, stripper, options)
        prepared = self.done.get(item.path.name) or prepare_scan(item, contract, stripper, options)
        self.done[item.path.name] = prepared
        self.calls += measure
        return replace(prepared, volumes=found_for(self.volumes) if measure else None)


def found_for(volumes):
    return BrainVolumes(SOURCE, dict(volumes), measured_error=ERRORS)


def answer(config: PredictConfig) -> Prediction:
    (found,) = predict(config).predictions
    return found


def with_training(run: Path, out: Path, **changed: object) -> str:
    """Copy a RUN folder and change what its record says; `training` is changed key by key."""
    shutil.copytree(run, out)
    record = json.loads((out / "adapter.json").read_text())
    record["training"] |= changed.pop("training", {})  # type: ignore[call-overload]
    (out / "adapter.json").write_text(json.dumps(record | changed))
    return str(out)
