"""Preprocessed scans on disk, under BIDS-derivative names, and back in memory with the same numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from adclip.imaging.files import INT16_MAX, MNI, write_nifti
from adclip.imaging.find import GENERATOR, PREPROC_SUFFIX, read_sidecar
from adclip.paths import check_id, write_text
from adclip.version import __version__

RECIPE = 2  # raised whenever the same scan would give other numbers, so that old derivatives are made again


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
    qc : dict
        Quality numbers, `verdict` and `reasons`, see `adclip.imaging.quality`; empty for simulated derivatives.
    flags : tuple of str
        What a reader of the result should know, for example `qc_warn`, `already_stripped`.
    steps : tuple of dict
        `name`, `parameters`, `seconds` of every step, in order.
    source_sha256 : str
        Of the source file's bytes.
    geometry : mapping
        How the file's geometry was read, see `Volume.facts`.
    volumes : mapping
        Structure volumes under their canonical column names, with `source` and what is known of their error; empty where
        none were asked for.
    """

    image: FloatArray
    mask: NDArray[np.bool_]
    scan_to_mni: FloatArray
    source: SourceGrid | None = None
    volume: Volume | None = None
    qc: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    steps: Sequence[Mapping[str, Any]] = ()
    source_sha256: str = ""
    geometry: Mapping[str, Any] = field(default_factory=dict)
    volumes: Mapping[str, Any] = field(default_factory=dict)


def fingerprint(source_sha256: str, contract: InputContract, options: ReadOptions) -> str:
    """Return the SHA-256 of all that decides the numbers of a derivative: input bytes, settings, and the recipe's version.

    Two derivatives with one fingerprint are the same; a finished one whose fingerprint still holds need not be done again.
    """
    decides = [source_sha256, contract.to_dict(), options.orientation, options.series, RECIPE]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def quantise(image: FloatArray) -> FloatArray:
    """Round [0, 1] to multiples of 1/32767, the steps that a derivative can hold."""
    return np.asarray(np.rint(np.clip(image, 0, 1) * np.float32(INT16_MAX)) / np.float32(INT16_MAX), dtype=np.float32)


def derivative_path(out: Path, item: ScanItem) -> Path:
    """Return where the preprocessed scan of `item` belongs below `out`.

    Raises
    ------
    OutputError
        If an id could leave `out` or is not a file name.
    """
    folder = out / f"sub-{check_id('subject', item.subject_id)}"
    if item.session_id:
        folder = folder / f"ses-{check_id('session', item.session_id)}"
    return folder / "anat" / f"{item.stem}_space-{TEMPLATE_SPACE}{PREPROC_SUFFIX}"


def mask_path(scan: Path) -> Path:
    """Return the brain mask beside a preprocessed scan."""
    return scan.with_name(scan.name.removesuffix(PREPROC_SUFFIX) + "_desc-brain_mask.nii.gz")


def xfm_path(scan: Path) -> Path:
    """Return the affine beside a preprocessed scan."""
    stem = scan.name.removesuffix(PREPROC_SUFFIX).removesuffix(f"_space-{TEMPLATE_SPACE}")
    return scan.with_name(f"{stem}_from-T1w_to-{TEMPLATE_SPACE}_mode-image_xfm.txt")


def figure_path(out: Path, item: ScanItem) -> Path:
    """Return where the quality picture of `item` belongs, in the `figures` folder that BIDS apps use."""
    folder = out / f"sub-{check_id('subject', item.subject_id)}" / "figures"
    return folder / f"{item.stem}_space-{TEMPLATE_SPACE}_desc-qc_T1w.jpg"


def sidecar_path(scan: Path) -> Path:
    """Return the JSON beside a preprocessed scan; it is written last, so its presence says that the set is whole."""
    return scan.with_name(scan.name.removesuffix(".nii.gz") + ".json")


def write_derivative(
    prepared: PreparedScan,
    item: ScanItem,
    out: Path,
    contract: InputContract,
    *,
    with_mask: bool = True,
    with_xfm: bool = True,
    options: ReadOptions | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write one preprocessed scan with mask, affine and sidecar.

    Parameters
    ----------
    prepared : PreparedScan
        What to write.
    item : ScanItem
        Subject and session, for the names.
    out : Path
        Derivatives folder.
    contract : InputContract
        Grid of the scan.
    with_mask, with_xfm : bool
        Whether those files are written; a simulated derivative may have neither.
    options : ReadOptions or None
        How the file was read, for the fingerprint.
    extra : mapping or None
        Further sidecar fields.

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
    if with_xfm:
        lines = (" ".join(f"{number:.10g}" for number in row) for row in prepared.scan_to_mni)
        write_text(xfm_path(target), "\n".join(lines) + "\n")
    sidecar = {
        "GeneratedBy": [{"Name": GENERATOR, "Version": __version__, "Recipe": RECIPE}],
        "SubjectID": item.subject_id,  # the name alone is ambiguous where an id holds `_`, as ADNI's do
        "SessionID": item.session_id,
        "SpatialReference": TEMPLATE_SPACE,
        "SkullStripped": True,
        "Units": "arbitrary, 0 to 1",
        "SourceSHA256": prepared.source_sha256,
        "Fingerprint": fingerprint(prepared.source_sha256, contract, options or ReadOptions()),
        "SourceGeometry": dict(prepared.geometry),
        "InputContract": contract.to_dict(),
        "Steps": [dict(step) for step in prepared.steps],
        "ScanToMNI": np.asarray(prepared.scan_to_mni).tolist(),
        "QC": dict(prepared.qc),
        "Flags": list(prepared.flags),
        **({"Volumes": dict(prepared.volumes)} if prepared.volumes else {}),
        "Notice": RESEARCH_NOTICE,
        **(extra or {}),
    }
    write_text(sidecar_path(target), json.dumps(sidecar, indent=2) + "\n")
    return target


def read_derivative(item: ScanItem, contract: InputContract) -> PreparedScan:
    """Read what `write_derivative` wrote.

    Raises
    ------
    ScanError
        If it is not an adclip derivative, is damaged, or was made for another grid or intensity rule.
    """
    from adclip.imaging.files import read_voxels

    sidecar = read_sidecar(item.path)
    if sidecar is None:
        raise ScanError.not_preprocessed(item.path)
    stored, affine = read_voxels(item.path)
    if stored.shape != contract.shape_xyz or not np.allclose(affine, contract.affine_xyz, atol=1e-3):
        raise ScanError.wrong_grid(item.path, tuple(stored.shape), contract.shape_xyz)
    if sidecar.get("InputContract") != contract.to_dict():
        raise ScanError.wrong_contract(item.path)
    image = quantise(stored)
    return PreparedScan(
        image=image,
        mask=_read_mask(item.path, image),
        scan_to_mni=np.asarray(sidecar.get("ScanToMNI", np.eye(4).tolist()), dtype=np.float64),
        qc=_as_mapping(sidecar.get("QC")),
        flags=tuple(str(flag) for flag in _as_list(sidecar.get("Flags"))),
        steps=tuple(_as_mapping(step) for step in _as_list(sidecar.get("Steps"))),
        source_sha256=str(sidecar.get("SourceSHA256", "")),
        geometry=_as_mapping(sidecar.get("SourceGeometry")),
        volumes=_as_mapping(sidecar.get("Volumes")),
    )


def read_current(
    out: Path, item: ScanItem, contract: InputContract, source_sha256: str, options: ReadOptions
) -> dict[str, Any] | None:
    """Return the sidecar of a whole derivative of the same input, settings and recipe, or None if it must be made."""
    target = derivative_path(out, item)
    sidecar = read_sidecar(target)
    if sidecar is None or not all(path.is_file() for path in (target, mask_path(target), xfm_path(target))):
        return None
    return sidecar if sidecar.get("Fingerprint") == fingerprint(source_sha256, contract, options) else None


def update_sidecar(out: Path, item: ScanItem, changes: Mapping[str, Any]) -> None:
    """Put other values into the sidecar of a finished derivative; its image stays as it is."""
    target = derivative_path(out, item)
    sidecar = {**(read_sidecar(target) or {}), **changes}
    write_text(sidecar_path(target), json.dumps(sidecar, indent=2) + "\n")


def write_dataset_description(out: Path, name: str = "adclip preprocessed T1 scans") -> None:
    """Write the file that makes `out` a BIDS derivatives folder, by which adclip recognises its own."""
    record = {
        "Name": name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": GENERATOR, "Version": __version__}],
        "Notice": RESEARCH_NOTICE,
    }
    write_text(out / "dataset_description.json", json.dumps(record, indent=2) + "\n")


def _read_mask(scan: Path, image: FloatArray) -> NDArray[np.bool_]:
    """Read the mask beside the scan; without one, the voxels that are not 0."""
    from adclip.imaging.files import read_voxels

    path = mask_path(scan)
    if not path.is_file():
        return image > 0
    mask, _ = read_voxels(path)
    if mask.shape != image.shape:
        raise ScanError.wrong_grid(path, tuple(mask.shape), tuple(image.shape))
    return mask > 0


def _as_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
