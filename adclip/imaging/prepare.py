"""One scan from its file to the model's grid: the same road for one scan, many, and a cohort."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.brain_volumes import BrainVolumes
from adclip.domain import FloatArray, InputContract, ReadOptions, ScanItem, Volume
from adclip.errors import ScanError
from adclip.imaging import errors
from adclip.imaging.derivatives.files import (
    PreparedScan,
    quantise,
    read_derivative,
    write_dataset_description,
    write_derivative,
)
from adclip.imaging.derivatives.names import derivative_path
from adclip.imaging.quality.limits import limits_version
from adclip.imaging.quality.verdict import measure_quality, refuse_other_than_t1
from adclip.imaging.records.sidecar import StepTaken
from adclip.imaging.sources.files import read_volume
from adclip.imaging.sources.source import Source, check_unchanged, hash_source, stamp_of
from adclip.imaging.steps.bias import COARSE_MM, correct_bias
from adclip.imaging.steps.brain import STRIPPED, SkullStripper, find_stripped_mask
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.steps.level import level
from adclip.imaging.steps.register import Alignment, align

__all__ = ["PreparedScan", "derivative_path", "prepare_scan", "write_dataset_description", "write_derivative"]

LEAST_BRAIN_ML = 300.0  # a third of the smallest adult brain: what was found is something else
THICK_MM = 3.0  # slices above it blur the hippocampus; flagged `thick_slices`
EDGE = (0.5, 0.75)  # share of brain in a grid voxel between which its intensity fades in, see `_fill_grid`
_ROOM = 2  # voxels kept around the brain when the rest of the head is dropped


def prepare_scan(
    item: ScanItem,
    contract: InputContract,
    stripper: SkullStripper | None,
    options: ReadOptions | None = None,
    *,
    measure: bool = False,
    any_modality: bool = False,
    source: Source | None = None,
) -> PreparedScan:
    """Bring one scan to the grid and intensity range that a model was taught on.

    Parameters
    ----------
    item : ScanItem
        A raw T1 scan, or a derivative that adclip wrote; a derivative is read and nothing is computed again.
    contract : InputContract
        Grid and intensity rule.
    stripper : SkullStripper or None
        Finds the brain; needed only for whole heads.
    options : ReadOptions or None
        What the user declares about the file.
    measure : bool
        Whether hippocampus, ventricles, brain and intracranial volume are measured.
    any_modality : bool
        Whether a scan that does not look like a T1 head is prepared all the same.
    source : Source or None
        The scan's hash where it was taken already, so that it need not be taken again.

    Returns
    -------
    PreparedScan
        Image and mask of shape `contract.shape_xyz`, with the affine, quality numbers and steps.

    Raises
    ------
    ScanError
        If the file is unusable or changes meanwhile, no brain is found, the brain cannot be aligned, or it is no T1 head.
    DeviceError
        If the device of the brain extraction is absent or too small.

    Notes
    -----
    Background to 0, brain mask, N4 bias correction, affine alignment to MNI152NLin2009aSym, one resampling of the corrected voxels, the
    contract's percentiles of the brain to 0 and 1, clipped, 0 outside the mask, rounded to k/32767. A scan whose
    quality verdict is `fail` is returned all the same, with the flag `qc_fail`: what to do then is the caller's choice.
    """
    if item.preprocessed:
        return read_derivative(item, contract)
    options = options or ReadOptions()
    log = _StepLog()
    with log.step("read", {}) as parameters:
        stamp = stamp_of(item.path) if source is None else source.stamp
        volume = read_volume(item.path, options)
        source = source or hash_source(item.path, options, stamp)
        check_unchanged(item.path, stamp)
        parameters |= volume.facts
    with log.step("level", {}) as parameters:
        array, leveling = level(volume.array)
        volume = replace(volume, array=array)
        parameters |= leveling.to_dict()
    flags = [*item.flags, *volume.flags]
    with log.step("brain", {}) as parameters:
        mask = _find_brain(item, volume, stripper, parameters)
        brain_ml = float(mask.sum()) * abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
        if brain_ml < LEAST_BRAIN_ML:
            raise errors.no_brain(item.path, f"{brain_ml:.0f} mL of tissue")
        if parameters["method"] == STRIPPED:
            flags.append("already_stripped")
    head, head_mask, affine = _crop(volume, mask)
    x, y, z = (float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    if max(x, y, z) > THICK_MM:
        flags.append("thick_slices")
    with log.step("bias", {"method": "N4", "coarse_mm": COARSE_MM}):
        head = correct_bias(head, head_mask, (x, y, z))
    with log.step("register", {"method": "affine, local normalisation", "degrees_of_freedom": 12}) as parameters:
        alignment = _align(item, head, affine, head_mask)
        scan_to_mni = alignment.scan_to_mni
        parameters["correlation"] = round(alignment.correlation, 4)
        if alignment.rotated:
            flags.append("header_orientation_overruled")
    with log.step("normalise", {"percentiles": list(contract.percentiles)}) as parameters:
        low, high = (float(value) for value in np.percentile(head[head_mask], contract.percentiles))
        # In the file's unit after bias correction: value = low + image * (high - low).
        parameters |= {"low": leveling.to_file(low), "high": leveling.to_file(high)}
        scaled = (head - low) / max(high - low, 1e-6)
    with log.step("resample", {"interpolations": 1, "shape": list(contract.shape_xyz)}):
        image, grid_mask = _fill_grid(scaled, head_mask, affine, scan_to_mni, contract)
        if not grid_mask.any():
            raise errors.registration_failed(item.path, "the brain lies outside the template's box")
    with log.step("quality", {"limits": limits_version()}):
        quality = measure_quality(image, grid_mask, contract, scan_to_mni, brain_ml, volume, mask)
        if not any_modality:
            refuse_other_than_t1(item.path, quality)
    if quality.verdict != "pass":
        flags.append(f"qc_{quality.verdict}")
    volumes: BrainVolumes | None = None
    if measure:
        from adclip.imaging.volumes.measure import measure_volumes

        with log.step("volumes", {}) as parameters:
            volumes = measure_volumes(head, affine, head_mask, scan_to_mni).to_record()
            parameters["method"] = volumes.source
    return PreparedScan(
        image=image,
        mask=grid_mask,
        scan_to_mni=scan_to_mni,
        source=volume.source,
        volume=volume,
        qc=quality,
        flags=tuple(dict.fromkeys(flags)),
        steps=tuple(log.steps),
        source_sha256=source.sha256,
        geometry=volume.facts,
        volumes=volumes,
    )


def _find_brain(
    item: ScanItem, volume: Volume, stripper: SkullStripper | None, parameters: dict[str, Any]
) -> NDArray[np.bool_]:
    mask = find_stripped_mask(volume)
    if mask is not None:
        parameters["method"] = STRIPPED
        return mask
    if stripper is None:
        raise ScanError.not_preprocessed(item.path)
    parameters["method"] = stripper.name
    return stripper(volume)


def _crop(volume: Volume, mask: NDArray[np.bool_]) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    """Keep the brain's box only: everything after this point looks at nothing else, and is three times faster."""
    box = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(other_axis for other_axis in range(3) if other_axis != axis)))
        box.append(slice(max(int(used[0]) - _ROOM, 0), int(used[-1]) + 1 + _ROOM))
    window = tuple(box)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in box])
    return volume.array[window], mask[window], affine


def _align(item: ScanItem, head: FloatArray, affine: FloatArray, mask: NDArray[np.bool_]) -> Alignment:
    from threadpoolctl import threadpool_limits

    try:
        # Sums over threads end differently in their last digits: one thread, one answer on every machine.
        with threadpool_limits(limits=1, user_api="blas"):
            alignment = align(head, affine, mask)
    except np.linalg.LinAlgError:
        raise errors.registration_failed(item.path, "no solution") from None
    if np.linalg.det(alignment.scan_to_mni[:3, :3]) <= 0:
        raise errors.registration_failed(item.path, "the solution is mirrored or empty")
    return alignment


def _fill_grid(
    scaled: FloatArray, mask: NDArray[np.bool_], affine: FloatArray, scan_to_mni: FloatArray, contract: InputContract
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Resample brain voxels only, clipped to [0, 1].

    A grid voxel is the mean of the brain inside it: masked intensities and the mask itself are resampled and divided, so
    that no skull or dura leaks in. It counts as brain when more than half of it is; between a half and three quarters it
    fades in. A hard edge would let the last digits of an affine switch whole voxels on and off.
    """
    inside = np.where(mask, np.clip(scaled, 0, 1), 0).astype(np.float32)
    share = to_grid(mask.astype(np.float32), affine, scan_to_mni, contract)
    total = to_grid(inside, affine, scan_to_mni, contract)
    grid_mask = share > EDGE[0]
    weight = np.clip((share - EDGE[0]) / (EDGE[1] - EDGE[0]), 0, 1)
    image = np.where(grid_mask, weight * total / np.maximum(share, EDGE[0]), 0)
    return quantise(image.astype(np.float32)), grid_mask


class _StepLog:
    """Collects what was done, with which parameters, and how long it took."""

    def __init__(self) -> None:
        self.steps: list[StepTaken] = []

    @contextmanager
    def step(self, name: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        began = time.perf_counter()
        yield parameters
        self.steps.append(StepTaken(name, parameters, round(time.perf_counter() - began, 3)))
