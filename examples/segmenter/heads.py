"""The ten label maps as anatomy to paint: cropped, brought to MNI by an affine map, with their velocity fields.

The maps are SynthSeg's (Billot et al. 2023, Apache-2.0): FreeSurfer codes inside the head, 5xx outside the brain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adclip.imaging.steps.register import register_affine

# segmenter.CLASSES by FreeSurfer code. Choroid plexus (136, 137, 163, 164) counts as ventricle, as in SynthSeg's own
# `synthseg_segmentation_labels.npy`; white matter lesions (25, 57) count as white matter.
CODES: dict[int, tuple[int, ...]] = {
    1: (3, 42),
    2: (2, 41, 25, 57),
    3: (24,),
    4: (4, 5, 43, 44, 136, 137, 163, 164),
    5: (14, 15),
    6: (17, 53),
    7: (18, 54),
    8: (10, 11, 12, 13, 26, 28, 49, 50, 51, 52, 58, 60),
    9: (7, 8, 46, 47),
    10: (16,),
}
VENTRICLE, HIPPOCAMPUS, CSF = 4, 6, 3
TISSUE = (1, 2, 6, 7, 8, 9, 10)
INTRACRANIAL = tuple(range(1, 11))
ROOM = 10  # voxels kept around the brain
FIELD_STEP = 3  # the velocity fields are stored on every third voxel


@dataclass(frozen=True)
class Head:
    """One person's anatomy on a 1 mm grid, RAS+.

    Parameters
    ----------
    name : str
        File name of the label map.
    paint : ndarray (X, Y, Z), uint8
        Intensity class of SynthSeg's T1 prior.
    classes : ndarray (X, Y, Z), uint8
        `segmenter.CLASSES`.
    outside_mm : ndarray (X, Y, Z), float32
        Distance from the brain (tissue with ventricles and closed sulci).
    fields : ndarray (2, 3, x, y, z), float32
        Velocities in voxels of lateral ventricles and hippocampi, mean divergence 1 inside, on every third voxel.
    affine : ndarray (4, 4)
        Voxel to the file's millimetres.
    to_mni : ndarray (4, 4)
        The file's millimetres to MNI millimetres.
    """

    name: str
    paint: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    outside_mm: NDArray[np.float32]
    fields: NDArray[np.float32]
    affine: NDArray[np.float64]
    to_mni: NDArray[np.float64]


def read_head(path: Path, meta: Path) -> Head:
    """Read one label map and align it as adclip aligns a scan: by a painted T1 image of its brain."""
    import nibabel
    from scipy import ndimage

    image = nibabel.as_closest_canonical(nibabel.load(path))
    codes = np.asarray(image.dataobj).astype(np.int64)
    affine = np.asarray(image.affine, dtype=np.float64)
    paint_of, class_of = np.zeros(1000, np.uint8), np.zeros(1000, np.uint8)
    paint_of[np.load(meta / "generation_labels.npy")] = np.load(meta / "generation_classes_contrast_specific.npy")
    for number, members in CODES.items():
        class_of[list(members)] = number

    tissue = np.isin(class_of[codes], TISSUE)
    box = tuple(
        slice(max(int(np.flatnonzero(tissue.any(axis=other))[0]) - ROOM, 0),
              int(np.flatnonzero(tissue.any(axis=other))[-1]) + 1 + ROOM)
        for other in ((1, 2), (0, 2), (0, 1))
    )  # fmt: skip
    codes = codes[box]
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in box])
    classes, paint = class_of[codes], paint_of[codes]
    solid = ndimage.binary_closing(np.pad(np.isin(classes, (*TISSUE, 4, 5)), 8), iterations=4)[8:-8, 8:-8, 8:-8]
    outside_mm = ndimage.distance_transform_edt(~solid).astype(np.float32)

    means = np.load(meta / "prior_means_t1.npy")[0]
    mask = outside_mm <= 2
    painted = ndimage.gaussian_filter(np.where(mask & (classes > 0), means[paint], 0).astype(np.float32), 0.5)
    to_mni = register_affine(painted, affine, mask)
    fields = np.stack([velocity(classes == label, solid) for label in (VENTRICLE, HIPPOCAMPUS)])
    return Head(path.name, paint, classes, outside_mm, fields, affine, to_mni)


def velocity(region: NDArray[np.bool_], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Smooth field that swells `region` and takes the room from the brain near it: shape (3, x, y, z), voxels.

    Gradient of the solution of Poisson's equation, as in `adclip.imaging.volumes.anatomy`, on every third voxel.
    """
    from scipy import ndimage

    def thin(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        return ndimage.uniform_filter(mask.astype(np.float32), FIELD_STEP)[::FIELD_STEP, ::FIELD_STEP, ::FIELD_STEP]

    inside, whole = thin(region).astype(np.float64), thin(brain).astype(np.float64)
    near = ndimage.gaussian_filter(inside, 10 / FIELD_STEP) * whole * (1 - inside)
    wished = inside - near * (inside.sum() / near.sum())
    frequencies = [2 * np.pi * np.fft.fftfreq(size, FIELD_STEP) for size in inside.shape]
    waves = np.meshgrid(*frequencies, indexing="ij")
    square = sum(wave**2 for wave in waves)
    square.flat[0] = 1
    potential = -np.fft.fftn(wished) / square
    potential.flat[0] = 0
    field = np.stack([np.fft.ifftn(1j * wave * potential).real for wave in waves])
    divergence = sum(np.gradient(field[axis], FIELD_STEP, axis=axis) for axis in range(3))
    return (field / ((divergence * inside).sum() / inside.sum())).astype(np.float32)
