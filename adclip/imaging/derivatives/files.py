"""Preprocessed scans on disk, under BIDS-derivative names, and back in memory with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adclip.brain_volumes import BrainVolumes
from adclip.domain import (
    RESEARCH_NOTICE,
    TEMPLATE_SPACE,
    FloatArray,
    InputContract,
    ReadOptions,
    ScanItem,
    SourceGrid,
    Volume,
)
from adclip.errors import ScanError
from adclip.imaging.derivatives import errors
from adclip.imaging.derivatives.currency import RECIPE, fingerprint
from adclip.imaging.derivatives.dataset import write_dataset_description as write_dataset_description
from adclip.imaging.derivatives.names import (
    derivative_path,
    figure_path,
    mask_path,
    mask_sidecar_path,
    sidecar_path,
    xfm_path,
)
from adclip.imaging.records.quality import Quality
from adclip.imaging.records.sidecar import FileMade, Sidecar, StepTaken, brain_method
from adclip.imaging.sources.files import INT16_MAX, MNI, write_nifti
from adclip.imaging.sources.ours import read_sidecar
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import write_text
from adclip.version import __version__


@dataclass(frozen=True)
class PreparedScan:
    """A scan on the model's grid, and how it came there.

    Parameters
    ----------
    image : ndarray of shape `contract.shape_xyz`, float32
        Brain intensities in [0, 1] in steps of 1/32767; exactly 0 outside `mask`.
    mask : ndarray of shape `contract.shape_xyz`, bool
        Brain.
    scan_to_mni : ndarray of shape (4, 4)
        Scan millimetres to MNI millimetres.
    source : SourceGrid or None
        Grid of the scan file; None when only the derivative is at hand.
    volume : Volume or None
        The scan itself; None when only the derivative is at hand.
    qc : Quality
        Numbers, verdict and reasons, see `adclip.imaging.quality.verdict`; empty for simulated derivatives.
    flags : tuple of str
        What a reader of the result should know, for example `qc_warn`, `already_stripped`.
    steps : tuple of StepTaken
        In order.
    source_sha256 : str
        Of the source file's bytes.
    geometry : mapping
        How the file's geometry was read, see `Volume.facts`.
    volumes : BrainVolumes or None
        None where none were asked for.
    scan_mask : ndarray of shape (X, Y, Z), bool, or None
        Brain on the voxels of `volume`; None when only the derivative is at hand.
    structures : mapping
        Where volumes were measured: structure and side, such as `hippocampus_left` -> probabilities (x, y, z) and their affine,
        voxel to MNI millimetres. Empty where none were.
    """

    image: FloatArray
    mask: NDArray[np.bool_]
    scan_to_mni: FloatArray
    source: SourceGrid | None = None
    volume: Volume | None = None
    qc: Quality = field(default_factory=Quality)
    flags: tuple[str, ...] = ()
    steps: tuple[StepTaken, ...] = ()
    source_sha256: str = ""
    geometry: Mapping[str, object] = field(default_factory=dict)
    volumes: BrainVolumes | None = None
    scan_mask: NDArray[np.bool_] | None = None
    structures: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)


def quantise(image: FloatArray) -> FloatArray:
    """Round [0, 1] to multiples of 1/32767, the steps that a derivative can hold."""
    return np.asarray(np.rint(np.clip(image, 0, 1) * np.float32(INT16_MAX)) / np.float32(INT16_MAX), dtype=np.float32)


def write_derivative(
    prepared: PreparedScan,
    item: ScanItem,
    out: Path,
    contract: InputContract,
    *,
    with_mask: bool = True,
    with_xfm: bool = True,
    options: ReadOptions | None = None,
    simulated: bool = False,
    origin: Sidecar | None = None,
) -> Path:
    """Write one preprocessed scan with mask, affine and sidecar.

    Parameters
    ----------
    prepared : PreparedScan
        What to write.
    item : ScanItem
        Subject and session, for the names.
    out : Path
        Derivatives folder. A quality picture that stands in it already is entered in the sidecar.
    contract : InputContract
        Grid of the scan.
    with_mask, with_xfm : bool
        Whether those files are written; a simulated derivative may have neither.
    options : ReadOptions or None
        How the file was read, for the fingerprint.
    simulated : bool
        Whether it was made of no scan.
    origin : Sidecar or None
        Sidecar of the derivative that `prepared` was read from. Who made it, with which recipe, from what and how is
        copied word by word: nothing was computed here.

    Returns
    -------
    Path
        The preprocessed scan.

    Raises
    ------
    OutputError
        If an id is not usable as a file name.
    """
    target = derivative_path(out, item)
    sidecar_path(target).unlink(missing_ok=True)  # until the new set is whole there is none
    write_nifti(target, prepared.image, contract.affine_xyz, np.int16, space_code=MNI)
    if with_mask:
        write_nifti(mask_path(target), prepared.mask.astype(np.uint8), contract.affine_xyz, np.uint8, space_code=MNI)
        write_text(mask_sidecar_path(target), json.dumps(_describe_mask(target, out), indent=2) + "\n")
    if with_xfm:
        lines = (" ".join(f"{number:.10g}" for number in row) for row in prepared.scan_to_mni)
        write_text(xfm_path(target), "\n".join(lines) + "\n")
    files = {
        name: path
        for name, path, written in (
            ("image", target, True), ("mask", mask_path(target), with_mask), ("xfm", xfm_path(target), with_xfm),
            ("figure", figure_path(out, item), figure_path(out, item).is_file()),
        ) if written
    }  # fmt: skip
    sidecar = replace(
        _describe(prepared, contract, options or ReadOptions(), simulated) if origin is None else origin.copied(),
        subject_id=item.subject_id,
        session_id=item.session_id,
        qc=prepared.qc,
        flags=prepared.flags,
        volumes=prepared.volumes,
        files={name: _describe_file(path, out) for name, path in files.items()},
    )
    write_sidecar(target, sidecar)
    return target


def check_own_place(out: Path, item: ScanItem) -> None:
    """Refuse to write a scan where one of other ids stands: two ids may have one label (`labels.to_label`).

    Raises
    ------
    OutputError
        If the derivative that stands there names another subject or session.
    """
    target = derivative_path(out, item)
    sidecar = read_sidecar(target)
    if sidecar is None or sidecar.subject_id is None:
        return
    if (sidecar.subject_id, sidecar.session_id) != (item.subject_id, item.session_id):
        raise errors.place_taken(target, "/".join(filter(None, (sidecar.subject_id, sidecar.session_id))))


def read_derivative(item: ScanItem, contract: InputContract) -> PreparedScan:
    """Read what `write_derivative` wrote.

    Raises
    ------
    ScanError
        If it is not an adclip derivative, is damaged, or was made for another grid or intensity rule.
    """
    from adclip.imaging.sources.files import read_voxels

    sidecar = read_sidecar(item.path)
    if sidecar is None:
        raise ScanError.not_preprocessed(item.path)
    stored, affine = read_voxels(item.path)
    if stored.shape != contract.shape_xyz or not np.allclose(affine, contract.affine_xyz, atol=1e-3):
        raise errors.wrong_grid(item.path, tuple(stored.shape), contract.shape_xyz)
    if sidecar.contract != contract:
        raise errors.wrong_contract(item.path)
    image = quantise(stored)
    return PreparedScan(
        image=image,
        mask=_read_mask(item.path, image),
        scan_to_mni=np.eye(4) if sidecar.scan_to_mni is None else np.asarray(sidecar.scan_to_mni, dtype=np.float64),
        qc=sidecar.qc,
        flags=sidecar.flags,
        steps=sidecar.steps,
        source_sha256=sidecar.source_sha256,
        geometry=sidecar.geometry,
        volumes=sidecar.volumes,
    )


def write_sidecar(scan: Path, sidecar: Sidecar) -> None:
    """Write the sidecar of a preprocessed scan, new or with other values; the scan stays as it is."""
    write_text(sidecar_path(scan), json.dumps(sidecar.to_dict(), indent=2) + "\n")


def _describe(prepared: PreparedScan, contract: InputContract, options: ReadOptions, simulated: bool) -> Sidecar:
    """Return what a sidecar says of who made a derivative, of what, and how."""
    brain = brain_method(prepared.steps)
    return Sidecar(
        version=__version__,
        recipe=RECIPE,
        source_sha256=prepared.source_sha256,
        fingerprint=fingerprint(prepared.source_sha256, contract, options, brain),
        geometry=prepared.geometry,
        contract=contract,
        steps=tuple(prepared.steps),
        scan_to_mni=np.asarray(prepared.scan_to_mni).tolist(),
        simulated=simulated,
    )


def _describe_mask(scan: Path, out: Path) -> dict[str, object]:
    """Return what BIDS asks to be known of a mask: of what it is, in which space, and of which image."""
    return {
        "Type": "Brain",
        "SpatialReference": TEMPLATE_SPACE,
        "Sources": [f"bids::{scan.relative_to(out).as_posix()}"],
        "Notice": RESEARCH_NOTICE,
    }


def _describe_file(path: Path, out: Path) -> FileMade:
    return FileMade(path.relative_to(out).as_posix(), path.stat().st_size, file_sha256(path))


def _read_mask(scan: Path, image: FloatArray) -> NDArray[np.bool_]:
    """Read the mask beside the scan; without one, the voxels that are not 0."""
    from adclip.imaging.sources.files import read_voxels

    path = mask_path(scan)
    if not path.is_file():
        return image > 0
    mask, _ = read_voxels(path)
    if mask.shape != image.shape:
        raise errors.wrong_grid(path, tuple(mask.shape), tuple(image.shape))
    return mask > 0
