"""The template head with its regions, and the smooth fields that make a region grow or shrink.

A region's change is prescribed as a divergence: d is 1 inside the region and negative in the tissue around it, so that
the whole is unchanged. The velocity is the gradient of the solution of Poisson's equation (laplace phi = d), found with
one FFT per region; it is smooth and curl-free. Velocities add up, are exponentiated (`exponentiate`), and so stay
invertible however large the change.
"""

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

# Which labels a driver of `population.DRIVERS` changes. The amygdala goes with the entorhinal cortex and the inferior
# temporal gyrus with the temporal neocortex, the usual spread of the disease (Braak & Braak 1991).
DRIVER_CODES: dict[str, tuple[int, ...]] = {
    "hippocampus_left": (17,),
    "hippocampus_right": (53,),
    "entorhinal_left": (1006, 18, 1016),
    "entorhinal_right": (2006, 54, 2016),
    "temporal_left": (1007, 1015, 1009),
    "temporal_right": (2007, 2015, 2009),
    "ventricles": (4, 5, 43, 44, 31, 63),
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


@lru_cache(maxsize=2)
def driver_fields(contract: InputContract) -> dict[str, FloatArray]:
    """Velocity of each driver on the contract's grid: mm, shape (3, X, Y, Z), mean divergence 1 inside its region."""
    anatomy = read_anatomy()
    brain = average_onto(anatomy.brain.astype(np.float32), anatomy.affine, contract)
    tissue = average_onto(anatomy.gray + anatomy.white, anatomy.affine, contract)
    fluid = np.clip(brain - tissue, 0, 1)
    ventricles = average_onto(anatomy.region(DRIVER_CODES["ventricles"]).astype(np.float32), anatomy.affine, contract)
    fields = {}
    for name, codes in DRIVER_CODES.items():
        region = average_onto(anatomy.region(codes).astype(np.float32), anatomy.affine, contract)
        # ventricles take room from the whole brain's tissue; a shrinking gyrus gives room to what lies around it
        reach_mm = 30.0 if name == "ventricles" else 8.0
        fields[name] = _field(region, _surroundings(region, brain, contract, reach_mm), contract)
    sulci = np.clip(fluid - _blur(ventricles, contract, 4.0) * 3, 0, 1)
    cortex = average_onto(anatomy.gray, anatomy.affine, contract)
    fields["sulci"] = _field(sulci, _surroundings(cortex, brain, contract, 6.0) * (1 - sulci), contract)
    return fields


def _blur(array: FloatArray, contract: InputContract, sigma_mm: float) -> FloatArray:
    from scipy.ndimage import gaussian_filter

    result: FloatArray = gaussian_filter(array, [sigma_mm / spacing for spacing in contract.spacing_xyz_mm])
    return result


def _surroundings(region: FloatArray, brain: FloatArray, contract: InputContract, reach_mm: float) -> FloatArray:
    near = _blur(region, contract, reach_mm)
    return (near / near.max() * brain * (1 - np.clip(region, 0, 1))).astype(np.float32)


def _field(region: FloatArray, around: FloatArray, contract: InputContract) -> FloatArray:
    wished = region - around * (region.sum() / around.sum())
    spectrum = np.fft.rfftn(wished)
    frequencies = [
        2 * np.pi * np.fft.fftfreq(size, spacing)
        for size, spacing in zip(contract.shape_xyz, contract.spacing_xyz_mm, strict=True)
    ]
    frequencies[2] = 2 * np.pi * np.fft.rfftfreq(contract.shape_xyz[2], contract.spacing_xyz_mm[2])
    kx, ky, kz = np.meshgrid(*frequencies, indexing="ij")
    square = kx**2 + ky**2 + kz**2
    square[0, 0, 0] = 1.0
    potential = -spectrum / square
    potential[0, 0, 0] = 0.0
    field = np.stack([np.fft.irfftn(1j * k * potential, contract.shape_xyz, axes=(0, 1, 2)) for k in (kx, ky, kz)])
    divergence = sum(np.gradient(field[axis], contract.spacing_xyz_mm[axis], axis=axis) for axis in range(3))
    inside = float((divergence * region).sum() / region.sum())
    return (field / inside).astype(np.float32)
