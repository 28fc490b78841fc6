"""The template head and the regions of its label map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract

FloatArray = NDArray[np.float32]

# FreeSurfer codes of the Desikan-Killiany label map
REGION_CODES: dict[str, tuple[int, ...]] = {
    "hippocampus_left": (17,),
    "hippocampus_right": (53,),
    "entorhinal_left": (1006,),
    "entorhinal_right": (2006,),
    "fusiform_left": (1007,),
    "fusiform_right": (2007,),
    "middle_temporal_left": (1015,),
    "middle_temporal_right": (2015,),
    # lateral and inferior lateral, third and fourth ventricle, choroid plexus (inside the lateral ventricles)
    "ventricles": (4, 5, 43, 44, 14, 15, 31, 63),
}


@dataclass(frozen=True)
class Anatomy:
    """The template on its own 1 mm grid.

    Parameters
    ----------
    affine : ndarray (4, 4)
        Voxel to MNI millimetres, RAS+.
    t1 : ndarray (X, Y, Z)
        T1 intensity in [0, 1], 0 outside the brain (which includes the sulcal CSF).
    gray, white : ndarray (X, Y, Z)
        Tissue probabilities in [0, 1].
    labels : ndarray (X, Y, Z), int16
        FreeSurfer codes, 0 where none.
    """

    affine: NDArray[np.float64]
    t1: FloatArray
    gray: FloatArray
    white: FloatArray
    labels: NDArray[np.int16]

    @property
    def brain(self) -> NDArray[np.bool_]:
        """Brain and CSF inside the dura, as the template's mask has it."""
        return self.t1 > 0

    def region(self, codes: tuple[int, ...]) -> NDArray[np.bool_]:
        """Voxels that carry one of `codes`."""
        return np.isin(self.labels, codes)


@lru_cache(maxsize=1)
def read_anatomy() -> Anatomy:
    """Read the MNI152NLin2009aSym template and the Desikan-Killiany labels, resampled to the template's grid."""
    import nibabel as nib
    from scipy.ndimage import affine_transform

    from adclip.imaging.steps.templates import read_template, read_tissue

    t1, affine = read_template()
    with as_file(files("adclip") / "assets" / "atlas" / "desikan_killiany.nii.gz") as path:
        image = nib.Nifti1Image.from_filename(path)
        codes, code_affine = np.asarray(image.dataobj).astype(np.int16), image.affine
    assert code_affine is not None
    to_codes = np.linalg.inv(code_affine) @ affine
    labels = affine_transform(codes, to_codes[:3, :3], to_codes[:3, 3], t1.shape, order=0)
    t1 = (t1 / t1.max()).astype(np.float32)
    return Anatomy(
        np.asarray(affine, dtype=np.float64),
        t1,
        read_tissue("gm").astype(np.float32),
        read_tissue("wm").astype(np.float32),
        labels,
    )


def average_onto(array: FloatArray, affine: NDArray[np.float64], contract: InputContract) -> FloatArray:
    """Resample a template-space array onto the contract's grid (X, Y, Z), smoothed so that volumes are kept."""
    from scipy.ndimage import affine_transform, gaussian_filter

    # half a voxel of standard deviation, less what the 1 mm grid has already: the usual anti-aliasing rule
    sigma = [0.45 * max(spacing - 1.0, 0.0) for spacing in contract.spacing_xyz_mm]
    matrix = np.linalg.inv(affine) @ contract.affine_xyz
    smooth = gaussian_filter(array.astype(np.float32), sigma)
    result: FloatArray = affine_transform(smooth, matrix[:3, :3], matrix[:3, 3], contract.shape_xyz, order=1)
    return result
