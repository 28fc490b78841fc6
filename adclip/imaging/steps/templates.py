"""The MNI152NLin2009aSym template that nilearn ships: the brain every scan is aligned to.

The files are read where nilearn keeps them. Importing `nilearn.datasets` would cost about a second and pull in
scikit-learn, so only the package's folder is looked up.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from adclip.domain import FloatArray
from adclip.errors import MissingPackageError

_FILE = "mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
_STORED_MAXIMUM = 255.0  # nilearn keeps 0..1 as uint8

Tissue = Literal["gm", "wm"]


@lru_cache(maxsize=1)
def read_template() -> tuple[FloatArray, FloatArray]:
    """Read the brain-only T1 template.

    Returns
    -------
    t1 : ndarray of shape (197, 233, 189), float32
        Intensity in [0, 1], RAS+, exactly 0 outside the brain. Shared between callers, hence read-only.
    affine : ndarray of shape (4, 4)
        Voxel index to MNI millimetres; read-only.

    Raises
    ------
    MissingPackageError
        If nilearn, or the template inside it, is not installed.
    """
    return _read("t1")


@lru_cache(maxsize=2)
def read_tissue(tissue: Tissue) -> FloatArray:
    """Read the probability of grey (`gm`) or white (`wm`) matter on the grid of `read_template`.

    Returns
    -------
    ndarray of shape (197, 233, 189), float32
        Probability in [0, 1], read-only.

    Raises
    ------
    MissingPackageError
        If nilearn, or the template inside it, is not installed.
    """
    return _read(tissue)[0]


def _read(kind: str) -> tuple[FloatArray, FloatArray]:
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.Nifti1Image.from_filename(_find(kind)))
    array = np.asarray(image.dataobj, dtype=np.float32) / np.float32(_STORED_MAXIMUM)
    affine = np.asarray(image.affine, dtype=np.float64)
    array.setflags(write=False)
    affine.setflags(write=False)
    return array, affine


def _find(kind: str) -> Path:
    spec = importlib.util.find_spec("nilearn")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "datasets" / "data" / _FILE.format(kind=kind)
        if path.is_file():
            return path
    raise MissingPackageError("the MNI152 template of the package `nilearn` is not installed", "pip install nilearn")
