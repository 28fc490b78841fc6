"""Where the brain lies in a scan and in the template: brain mask, bias correction and alignment, upright or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, Volume
from adclip.errors import ScanError
from adclip.imaging import errors
from adclip.imaging.quality.misfit import Findings, describe
from adclip.imaging.records.step_log import StepLog
from adclip.imaging.steps.bias import COARSE_MM, correct_bias
from adclip.imaging.steps.brain import STRIPPED, SkullStripper, find_stripped_mask
from adclip.imaging.steps.register import CONVINCING, Alignment, align
from adclip.imaging.steps.rotations import nearest_quarter_turn, nearest_rotation
from adclip.imaging.steps.tilt import TILTED_DEG, find_turn, tilt_degrees, turned
from adclip.imaging.steps.view import look_at

LEAST_BRAIN_ML = 300.0  # a third of the smallest adult brain: what was found is something else
_ROOM = 2  # voxels kept around the brain when the rest of the head is dropped


@dataclass(frozen=True)
class LocatedBrain:
    """A brain and its place.

    Parameters
    ----------
    mask : ndarray of shape (X, Y, Z), bool
        On the voxels of the scan.
    head, head_mask : ndarray of shape (x, y, z)
        Bias-corrected intensities and mask in the brain's box.
    affine : ndarray of shape (4, 4)
        Voxel index of the box to scan millimetres.
    scan_to_mni : ndarray of shape (4, 4)
        Scan millimetres to MNI millimetres.
    correlation : float
        See `Alignment.correlation`.
    brain_ml : float
        Volume of the mask.
    stripped : bool
        Whether the scan had no skull.
    overruled : bool
        Whether the head lies nearer to a quarter turn than to where the header says.
    """

    mask: NDArray[np.bool_]
    head: FloatArray
    head_mask: NDArray[np.bool_]
    affine: FloatArray
    scan_to_mni: FloatArray
    correlation: float
    brain_ml: float
    stripped: bool
    overruled: bool


def locate(path: Path, volume: Volume, stripper: SkullStripper | None, log: StepLog) -> LocatedBrain:
    """Find the brain of a scan and align it, looking again where the head lies otherwise than its header says.

    Parameters
    ----------
    path : Path
        The scan, for errors.
    volume : Volume
        RAS+ scan, background at 0 (see `level`).
    stripper : SkullStripper or None
        Finds the brain; needed only for whole heads.
    log : StepLog
        Gets the steps `brain`, `bias` and `register`, a second time where a second look was taken.

    Returns
    -------
    LocatedBrain

    Raises
    ------
    ScanError
        If no brain is found, or it cannot be aligned.
    DeviceError
        If the device of the brain extraction is absent or too small.

    Notes
    -----
    One look suffices for a head within `TILTED_DEG` of the header's upright. Beyond, brain extraction shifts: the turn that
    the alignment found is undone and the brain extracted again. Where the first look finds no brain in the template's place,
    `find_turn` looks from other sides.
    """
    known = find_stripped_mask(volume)
    if known is None and stripper is None:
        raise ScanError.not_preprocessed(path)
    first: LocatedBrain | ScanError
    try:
        first = _look(path, volume, stripper, log, known, None)
    except ScanError as error:
        first = error
    turn = None
    if known is None and stripper is not None:
        turn = _turn_of(first, volume, stripper)
    if turn is not None:
        try:
            second = _look(path, volume, stripper, log, None, turn)
        except ScanError:
            second = None
        # A mask that is wrong all round can fit better than the right one; upright and convincing is enough.
        if second is not None and (
            isinstance(first, ScanError) or second.correlation >= min(first.correlation, CONVINCING)
        ):
            return second
    if isinstance(first, ScanError):
        raise first
    return first


def _turn_of(first: LocatedBrain | ScanError, volume: Volume, stripper: SkullStripper) -> FloatArray | None:
    """Return the rotation that makes the head stand upright, None where there is nothing to undo."""
    if isinstance(first, ScanError):
        return find_turn(volume, stripper, -1.0)
    if first.correlation < CONVINCING:
        return find_turn(volume, stripper, first.correlation)
    return nearest_rotation(first.scan_to_mni[:3, :3]) if tilt_degrees(first.scan_to_mni) > TILTED_DEG else None


def _look(
    path: Path,
    volume: Volume,
    stripper: SkullStripper | None,
    log: StepLog,
    known: NDArray[np.bool_] | None,
    turn: FloatArray | None,
) -> LocatedBrain:
    with log.step("brain", {}) as parameters:
        if known is not None or stripper is None:
            parameters["method"] = STRIPPED
            mask = np.zeros(volume.array.shape, dtype=bool) if known is None else known
        else:
            parameters["method"] = stripper.name
            view = look_at(volume, turn)
            parameters |= view.facts
            mask = view.to_scan(stripper(view.volume))
        brain_ml = float(mask.sum()) * abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
        if brain_ml < LEAST_BRAIN_ML:
            raise errors.no_brain(path, *describe(path, Findings.of(volume, mask), let_through=False))
    head, head_mask, affine = _crop(volume, mask)
    x, y, z = (float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    with log.step("bias", {"method": "N4", "coarse_mm": COARSE_MM}):
        head = correct_bias(head, head_mask, (x, y, z))
    with log.step("register", {"method": "affine, local normalisation", "degrees_of_freedom": 12}) as parameters:
        alignment = _align(head, turned(affine, turn), head_mask)
        if isinstance(alignment, str):
            what, remedy = describe(path, Findings.of(volume, mask), let_through=False)
            raise errors.registration_failed(path, f"{alignment}; {what}", remedy)
        parameters["correlation"] = round(alignment.correlation, 4)
    # The way back from the upright millimetres to the scan's own stands in front.
    scan_to_mni, overruled = alignment.scan_to_mni, alignment.rotated
    if turn is not None:
        scan_to_mni = scan_to_mni @ turned(np.eye(4), turn)
        overruled = not np.array_equal(nearest_quarter_turn(nearest_rotation(scan_to_mni[:3, :3])), np.eye(3))
    return LocatedBrain(
        mask, head, head_mask, affine, scan_to_mni, alignment.correlation, brain_ml,
        known is not None, overruled,
    )  # fmt: skip


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


def _align(head: FloatArray, affine: FloatArray, mask: NDArray[np.bool_]) -> Alignment | str:
    """Return the alignment, or why there is none."""
    from threadpoolctl import threadpool_limits

    try:
        # Sums over threads end differently in their last digits: one thread, one answer on every machine.
        with threadpool_limits(limits=1, user_api="blas"):
            alignment = align(head, affine, mask)
    except np.linalg.LinAlgError:
        return "no solution"
    return alignment if np.linalg.det(alignment.scan_to_mni[:3, :3]) > 0 else "the solution is mirrored or empty"
