"""One scan from its file to the model's grid: the same road for one scan, many, and a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adclip.brain_volumes import BrainVolumes
from adclip.domain import FloatArray, InputContract, ReadOptions, ScanItem
from adclip.imaging import errors
from adclip.imaging.derivatives.files import (
    PreparedScan,
    quantise,
    read_derivative,
    write_dataset_description,
    write_derivative,
)
from adclip.imaging.derivatives.names import derivative_path
from adclip.imaging.locate import locate
from adclip.imaging.quality.limits import limits_version
from adclip.imaging.quality.misfit import Findings
from adclip.imaging.quality.verdict import measure_quality, refuse_other_than_t1
from adclip.imaging.records.step_log import StepLog
from adclip.imaging.sources.files import read_volume
from adclip.imaging.sources.source import Source, check_unchanged, hash_source, stamp_of
from adclip.imaging.steps.brain import SkullStripper
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.steps.level import level

__all__ = ["PreparedScan", "derivative_path", "prepare_scan", "write_dataset_description", "write_derivative"]

THICK_MM = 3.0  # slices above it blur the hippocampus; flagged `thick_slices`
EDGE = (0.5, 0.75)  # share of brain in a grid voxel between which its intensity fades in, see `_fill_grid`


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
    log = StepLog()
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
    found = locate(item.path, volume, stripper, log)
    mask, head, head_mask, affine = found.mask, found.head, found.head_mask, found.affine
    scan_to_mni, brain_ml = found.scan_to_mni, found.brain_ml
    if found.stripped:
        flags.append("already_stripped")
    if max(np.linalg.norm(affine[:3, :3], axis=0)) > THICK_MM:
        flags.append("thick_slices")
    if found.overruled:
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
            values = tuple(leveling.to_file(float(value)) for value in np.percentile(volume.array[mask], (10, 50, 90)))
            findings = replace(Findings.of(volume, mask), values=values)
            refuse_other_than_t1(item.path, quality, findings, _name_of(item))
    if quality.verdict != "pass":
        flags.append(f"qc_{quality.verdict}")
    volumes: BrainVolumes | None = None
    structures: Mapping[str, tuple[FloatArray, FloatArray]] = {}
    if measure:
        from adclip.imaging.volumes.measure import measure_structures

        with log.step("volumes", {}) as parameters:
            estimate, structures = measure_structures(head, affine, head_mask, scan_to_mni)
            volumes = estimate.to_record()
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
        scan_mask=mask,
        structures=structures,
    )


def _name_of(item: ScanItem) -> str:
    """Return what `--override` calls a scan."""
    return item.subject_id + (f"/{item.session_id}" if item.session_id else "")


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
