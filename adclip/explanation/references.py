"""What "nothing to see" looks like: the mean scan of healthy people of an age, and the scan itself without its fine structure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract

FOLDER = files("adclip") / "assets" / "references"
UNKNOWN_AGE = 75.0  # years; the middle of the people that the images were made of
BLUR_FWHM_MM = 24.0  # wider than a patch of the builtin model: no structure is left in one
FWHM_IN_SD = 2.354820045  # 2 sqrt(2 ln 2)


@dataclass(frozen=True)
class AgeBand:
    """Healthy people of one age.

    Parameters
    ----------
    low, high : float
        Years; the first and the last band are open.
    people : int
        How many simulated heads the mean is of.
    file, sha256 : str
        The image.
    """

    low: float
    high: float
    people: int
    file: str
    sha256: str

    @property
    def described(self) -> str:
        """The reference in words."""
        return f"the mean of {self.people} simulated healthy heads of {self.low:g} to {self.high:g} years"


@lru_cache(maxsize=1)
def age_bands() -> tuple[AgeBand, ...]:
    """Return the bands, youngest first, as `examples/builtin/make_references.py` wrote them."""
    record = json.loads((FOLDER / "references.json").read_text(encoding="utf-8"))
    return tuple(AgeBand(**band) for band in record["bands"])


def band_of(age_years: float | None) -> AgeBand:
    """Return the band of an age; the first and the last take whoever is younger or older."""
    age = UNKNOWN_AGE if age_years is None or not np.isfinite(age_years) else age_years
    bands = age_bands()
    return next((band for band in bands if age < band.high), bands[-1])


def reference_image(contract: InputContract, age_years: float | None) -> FloatArray:
    """Return the mean prepared scan (X, Y, Z) in [0, 1] of healthy people of an age, on the contract's grid."""
    return _image_of(contract, band_of(age_years))


@lru_cache(maxsize=8)
def _image_of(contract: InputContract, band: AgeBand) -> FloatArray:
    import nibabel as nib

    from adclip.imaging.steps.grid import to_grid

    with as_file(FOLDER / band.file) as path:
        image = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32) / 255
    if values.shape == contract.shape_xyz and np.allclose(image.affine, contract.affine_xyz):
        return values
    return np.clip(to_grid(values, image.affine, np.eye(4), contract), 0, 1).astype(np.float32)


def blurred(image: FloatArray, contract: InputContract) -> NDArray[np.float32]:
    """Return a prepared scan (X, Y, Z) blurred so that no structure is left, within its own brain.

    The blur is divided by that of the mask, so that the brain keeps its brightness up to its edge.
    """
    from scipy.ndimage import gaussian_filter

    values = np.asarray(image, dtype=np.float32)
    inside = (values > 0).astype(np.float32)
    sds = [BLUR_FWHM_MM / FWHM_IN_SD / spacing for spacing in contract.spacing_xyz_mm]
    smooth, weight = (gaussian_filter(part, sds, mode="constant") for part in (values, inside))
    result: NDArray[np.float32] = np.where(inside > 0, smooth / np.maximum(weight, 1e-6), 0).astype(np.float32)
    return result
