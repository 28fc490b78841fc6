"""Heads with known anatomy: the template's brain in a shell of scalp, on any grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from adclip.domain import Volume
from adclip.imaging.steps.templates import read_template


def turn(degrees: float, axis: int = 0) -> NDArray[np.float64]:
    """Rotation (4, 4) about one axis."""
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(4)
    angle = np.deg2rad(degrees)
    matrix[[one, two], [one, two]] = np.cos(angle)
    matrix[one, two], matrix[two, one] = -np.sin(angle), np.sin(angle)
    return matrix


def texture(shape: tuple[int, ...] = (40, 42, 44)) -> NDArray[np.float32]:
    """Positive values around 100 whose neighbours resemble each other, without any symmetry."""
    rough = np.random.default_rng(0).standard_normal(shape)
    smooth = ndimage.gaussian_filter(rough, 1.5)
    return (100 + 20 * smooth / smooth.std() + rough).astype(np.float32)


def make_head(
    scan_to_mni: NDArray[np.float64] | None = None, spacing: float = 2.0, noise: float = 0.02, skull: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """Return (array, affine, brain) of a RAS head whose true alignment is `scan_to_mni`."""
    scan_to_mni = np.eye(4) if scan_to_mni is None else scan_to_mni
    t1, template_affine = read_template()
    shape = tuple(round(size / spacing) for size in (196, 236, 216))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    center_scan = np.linalg.inv(scan_to_mni) @ np.array([0.0, -17.0, 5.0, 1.0])
    affine[:3, 3] = center_scan[:3] - spacing * (np.array(shape) - 1) / 2
    matrix = np.linalg.inv(template_affine) @ scan_to_mni @ affine
    array = ndimage.affine_transform(t1, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1)
    brain = array > 0.15
    brain = ndimage.binary_fill_holes(brain)
    array = np.where(brain, array, 0)
    rng = np.random.default_rng(0)
    if skull:
        away = ndimage.distance_transform_edt(~brain) * spacing
        array = np.where((away > 6) & (away < 14), 0.8, array)
        array = np.abs(array + noise * rng.standard_normal(shape))
    else:
        array = np.where(brain, np.maximum(array + noise * rng.standard_normal(shape), 0.01), 0)
    return (1000 * array).astype(np.float32), affine, brain


def save(
    path: Path,
    array: NDArray[Any],
    affine: NDArray[np.float64],
    codes: str = "RAS",
    dtype: Any = np.float32,
    forms: tuple[int, int] | None = None,
) -> Path:
    """Write a NIfTI file in the axis order `codes`, where given with these codes of sform and qform."""
    image = nib.Nifti1Image(array, affine)
    change = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes))
    turned = image.as_reoriented(change)
    data = np.asarray(turned.dataobj).astype(dtype)
    made = nib.Nifti1Image(data, turned.affine)
    if forms is not None:
        made.set_sform(turned.affine, code=forms[0])
        made.set_qform(turned.affine, code=forms[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(made, path)
    return path


class FakeStripper:
    """Knows the brain: thresholded by what the phantom paints, or a mask it was given."""

    name = "fake 1"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, volume: Volume) -> NDArray[np.bool_]:
        self.calls += 1
        inside = ndimage.binary_opening(volume.array > 150, iterations=1)
        labels, _ = ndimage.label(inside)
        middle = labels[tuple(size // 2 for size in labels.shape)]
        return np.asarray(ndimage.binary_fill_holes(labels == middle)) if middle else np.zeros(labels.shape, bool)
