"""Whole-head label maps as anatomies: read, brought to template space, and given the cortical parcels they lack."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adclip.errors import AdclipError, ConfigError, ScanError
from adclip.imaging.sources.files import read_voxels
from adclip.imaging.steps.register import register_affine
from adclip.imaging.volumes.anatomy import REGION_CODES
from adclip.runtime.hashing import file_sha256
from adclip.runtime.paths import cache_folder, write_bytes
from adclip.simulation.parcels import carry_parcels
from adclip.simulation.tissues import is_intracranial, paint_plainly

RECIPE = 2  # raised whenever the same file would be prepared otherwise
ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh")
# What a map must have to be a head with FreeSurfer's codes: white matter of both sides, and the rest of a cerebrum.
NEEDED_CODES = (2, 41)
LARGEST_CODE = 20000
# Tissue outside the brain in label maps of SynthSeg's kind: name and T1 level relative to white matter. The names are judged
# by where each code lies in ten maps, the levels are its T1 prior means over that of white matter (Billot et al. 2023).
OUTSIDE_TISSUES: dict[int, tuple[str, float]] = {
    502: ("outside_502", 0.75), 506: ("outside_506", 0.11), 507: ("outside_507", 0.59), 508: ("outside_508", 0.73),
    509: ("outside_509", 0.44), 511: ("outside_511", 0.71), 512: ("outside_512", 0.43), 514: ("outside_514", 0.30),
    515: ("outside_515", 0.19), 516: ("outside_516", 0.59), 530: ("outside_530", 0.90),
}  # fmt: skip


@dataclass(frozen=True)
class LabelAnatomy:
    """A whole-head label map in template space.

    Parameters
    ----------
    name : str
        File name without ending.
    labels : ndarray (X, Y, Z), int16
        FreeSurfer codes, RAS order; cortex with Desikan-Killiany parcels.
    affine : ndarray (4, 4)
        Voxel to template millimetres, after an affine registration.
    measurable : frozenset of str
        Names of `REGION_CODES` whose labels are there.
    """

    name: str
    labels: NDArray[np.int16]
    affine: NDArray[np.float64]
    measurable: frozenset[str]


def read_label_maps(folder: Path) -> tuple[Path, ...]:
    """List the label maps of a folder by name, after a look at each.

    Raises
    ------
    ConfigError
        If the folder is missing or holds no image.
    ScanError
        If a file is damaged, or no label map of a head.
    """
    if not folder.is_dir():
        raise ConfigError.bad_value(
            "--labels", f"`{folder}` is no folder", "give a folder of label maps (.nii.gz, .mgz)"
        )
    paths = tuple(sorted(p for p in folder.iterdir() if p.name.endswith(ENDINGS) and not p.name.startswith(".")))
    if not paths:
        raise ConfigError.bad_value("--labels", f"`{folder}` holds no image", f"label maps end in {', '.join(ENDINGS)}")
    names = [name_of(path) for path in paths]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError.bad_value("--labels", f"two files are called `{min(twice)}`", "keep one of them")
    return paths


def name_of(path: Path) -> str:
    """Return a label map's name: its file name without ending."""
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return path.stem


def prepare_label_map(path: Path) -> LabelAnatomy:
    """Bring a label map to template space and carry the template's parcels onto its cortex; kept in the cache.

    Raises
    ------
    ScanError
        If the file is damaged, not 3D, has values that are no codes, or shows no brain.
    """
    cache_path = cache_folder() / "label-maps" / f"{file_sha256(path)}-{RECIPE}.npz"
    prepared = _from_cache(cache_path)
    if prepared is None:
        prepared = _prepare(path)
        content = io.BytesIO()
        np.savez_compressed(content, labels=prepared[0], affine=prepared[1], digest=_digest(*prepared))
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(cache_path, content.getvalue())
    labels, affine = prepared
    present = set(np.unique(labels).tolist())
    measurable = frozenset(name for name, codes in REGION_CODES.items() if present & set(codes))
    return LabelAnatomy(name_of(path), labels, affine, measurable)


def _digest(labels: NDArray[np.int16], affine: NDArray[np.float64]) -> NDArray[np.uint8]:
    digest = hashlib.sha256(np.ascontiguousarray(labels).tobytes() + affine.tobytes()).digest()
    return np.frombuffer(digest, dtype=np.uint8)


def _from_cache(cache_path: Path) -> tuple[NDArray[np.int16], NDArray[np.float64]] | None:
    """Read a prepared map; a damaged one counts as none."""
    try:
        with np.load(cache_path) as stored:
            labels, affine, digest = stored["labels"], stored["affine"], stored["digest"]
    except Exception:  # zipfile, zlib and NumPy each have their own errors for damage
        return None
    return (labels, affine) if np.array_equal(digest, _digest(labels, affine)) else None


def _prepare(path: Path) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    labels, affine = read_labels(path)
    try:
        scan_to_mni = register_affine(paint_plainly(labels), affine, is_intracranial(labels))
    except AdclipError as error:
        raise ScanError(f"{path}: {error.problem}", "check the map's orientation and its codes") from error
    to_mni = scan_to_mni @ affine
    return carry_parcels(labels, to_mni), to_mni


def read_labels(path: Path) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Read a label map in RAS order.

    Returns
    -------
    labels : ndarray (X, Y, Z), int16
    affine : ndarray (4, 4)
        Voxel to scanner millimetres.
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    values, affine = read_voxels(path)
    codes = np.rint(values)
    if not np.array_equal(codes, values) or codes.min() < 0 or codes.max() > LARGEST_CODE:
        raise ScanError(f"{path}: values are not codes of a label map", "--labels takes segmentations, not scans")
    missing = [code for code in NEEDED_CODES if not (codes == code).any()]
    if missing:
        raise ScanError(
            f"{path}: no voxel has code {missing[0]}, so this is no whole head with FreeSurfer's codes",
            "--labels takes maps such as FreeSurfer's aseg.mgz or SynthSeg's training labels",
        )
    turn = io_orientation(affine)
    labels = np.ascontiguousarray(apply_orientation(codes.astype(np.int16), turn))
    return labels, np.asarray(affine @ inv_ornt_aff(turn, codes.shape), dtype=np.float64)
