"""The canary: an input made by rule, whose answer a model keeps, so that it can be asked later whether it still answers so.

Hashes say that the files are those that were written; the canary says that files, libraries and this version together still
give the numbers that they gave there: a template of reports that changed, a tokenizer that cuts otherwise, a layer that computes
otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adclip.domain import FloatArray, InputContract, Visit
from adclip.json_values import is_number
from adclip.model import errors
from adclip.model.record_parts import Canary

if TYPE_CHECKING:
    from pathlib import Path

    from adclip.model.checkpoint import LoadedModel
    from adclip.model.record import AdapterRecord

RULE = 1  # rises when image or row below change: the answers of earlier records then say nothing
# Largest difference of a score (or of the z-scored MMSE) that is taken for arithmetic. Measured with the builtin model on a CPU: 1e-6 between
# one and two threads, 1.4e-6 without oneDNN's kernels, 0.011 with weights in bfloat16.
TOLERANCE = 1e-3
DIGITS = 5  # what is kept; further ones hang on the number of threads
VISIT = Visit(
    subject_id="canary", age_years=72.0, sex="F", education_years=16.0, apoe4_count=1, icv_mm3=1.45e6, hippocampus_mm3=6800.0,
    ventricles_mm3=36000.0, whole_brain_mm3=1.02e6, volumes_source="FreeSurfer",
)  # fmt: skip


def make_image(contract: InputContract) -> FloatArray:
    """Return the canary's image (D, H, W), float32 in [0, 1]: an ellipsoid with waves of another length along each axis."""
    axes = [np.linspace(-1.0, 1.0, size) for size in contract.shape]
    d, h, w = np.meshgrid(*axes, indexing="ij", sparse=True)
    waves = 0.5 + 0.2 * np.sin(5.0 * d + 1.0) + 0.15 * np.sin(7.0 * h) + 0.15 * np.cos(9.0 * w + 2.0)
    image: FloatArray = np.where(d**2 + h**2 + w**2 < 0.8, waves, 0.0).astype(np.float32)
    return image


def ask_canary(model: LoadedModel) -> Canary:
    """Let a loaded model answer the canary, where its network lies.

    Raises
    ------
    CheckpointError
        If an answer is no number.
    """
    import torch

    from adclip.prediction.scoring import reader_of, score_batch

    record, device = model.record, model.network.logit_scale.device
    reader = reader_of(model, device)
    image = torch.from_numpy(make_image(record.model.contract))[None, None].to(device)
    with torch.inference_mode():
        scores = score_batch(reader, image, [VISIT])
    return Canary(
        RULE,
        _named(record.labels, scores.report[0].tolist()),
        _named(record.labels, scores.bare[0].tolist()),
        round(float(scores.mmse[0]), DIGITS) if scores.mmse is not None and record.mmse_sd is not None else None,
    )


def _named(labels: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    return {label: round(value, DIGITS) for label, value in zip(labels, values, strict=True)}


def check_canary(model: LoadedModel, folder: Path) -> float | None:
    """Ask the canary again and compare.

    Parameters
    ----------
    model : LoadedModel
        In full precision on the CPU, as it was when its answer was kept.
    folder : Path
        To name in an error.

    Returns
    -------
    float or None
        Largest difference of a number; None where the record has no canary of the present rule.

    Raises
    ------
    CheckpointError
        Naming the first number that differs by more than `TOLERANCE`.
    """
    stored = model.record.canary
    if stored is None or stored.rule != RULE:
        return None
    found, expected = ask_canary(model).numbers(), stored.numbers()
    largest = 0.0
    for name in {**expected, **found}:
        here, there = found.get(name), expected.get(name)
        if here is None or there is None or not is_number(here) or abs(here - there) > TOLERANCE:
            raise errors.canary_differs(folder, name, here, there, TOLERANCE)
        largest = max(largest, abs(here - there))
    return largest


def stamp_run(folder: Path) -> AdapterRecord:
    """Write hashes and canary into the record of a RUN that is there already, and return that record; for those who made it.

    Raises
    ------
    CheckpointError, WeightsError
        If the RUN cannot be loaded.
    """
    from adclip.model.checkpoint import open_model
    from adclip.model.integrity import stamp
    from adclip.model.record import ADAPTER_RECORD
    from adclip.runtime.paths import write_text

    record = stamp(folder)
    record = dataclasses.replace(record, canary=ask_canary(open_model(folder, record)))
    write_text(folder / ADAPTER_RECORD, record.to_json())
    return record
