"""Which voxels are brain."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adclip.domain import Volume
from adclip.errors import DeviceError, DeviceMemoryError

# A stripped brain: exact zeros all around one piece of brain size. The upper bound leaves room for brains that were
# enlarged to a template (OASIS-1 in Talairach space: 2.2-2.4 litres); whole heads start near 4 litres (IXI: 4.9-6.3).
STRIPPED_ML = (500.0, 3000.0)
STRIPPED_BOX_MM = 210.0  # longest adult brain is about 190 mm; a head with nose or neck is longer
STRIPPED_ZERO_SHARE = 0.2
STRIPPED_ONE_PIECE = 0.99
STRIPPED = "non-zero voxels"  # how the mask of a scan without skull is found


class SkullStripper(Protocol):
    """Anything that finds the brain."""

    @property
    def name(self) -> str:
        """Method, version, and device where masks depend on it: derivatives of another name are made again."""
        ...

    def __call__(self, volume: Volume) -> NDArray[np.bool_]:
        """Return the brain mask of shape (X, Y, Z), from levelled values; all False where there is no brain."""
        ...


class DeepbetStripper:
    """Brain extraction by deepbet (Fisch et al. 2024, doi:10.1016/j.compbiomed.2024.108845).

    Parameters
    ----------
    device : str
        `auto`, `cpu`, `cuda`, `cuda:N` or `mps`. Only the mask is computed there, in float32.

    Notes
    -----
    deepbet brings its weights in its wheel and needs no network. It is loaded at the first scan that needs it, and kept.
    """

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._model: Any = None

    @property
    def name(self) -> str:
        """Method, version and kind of device: sums are rounded otherwise on a GPU, which moves voxels of the edge."""
        from importlib.metadata import version

        return f"deepbet {version('deepbet')} ({_resolve(self._device).partition(':')[0]})"

    def __call__(self, volume: Volume) -> NDArray[np.bool_]:
        """Return the brain mask.

        Parameters
        ----------
        volume : Volume
            Whole head, RAS+.

        Returns
        -------
        ndarray of shape (X, Y, Z), bool
            One piece without holes; all False if deepbet finds no brain.

        Raises
        ------
        DeviceError
            If the device is absent or out of memory.
        """
        import nibabel
        import torch

        if self._model is None:
            self._model = _load_deepbet(self._device)
        try:
            _, mask, _ = self._model.run(nibabel.Nifti1Image(volume.array, volume.affine))
        except (AssertionError, ValueError):  # deepbet's own way of saying "not enough foreground"
            return np.zeros(volume.array.shape, dtype=bool)
        except torch.OutOfMemoryError:
            raise DeviceMemoryError.of(f"--device {self._device}") from None
        return np.asarray(mask.dataobj) > 0


def find_stripped_mask(volume: Volume) -> NDArray[np.bool_] | None:
    """Return the mask of a scan whose skull is gone already, or None for a whole head.

    Parameters
    ----------
    volume : Volume
        RAS+ scan whose background is 0, see `level`.

    Returns
    -------
    ndarray of shape (X, Y, Z), bool, or None
        The one non-zero piece with its holes filled.
    """
    from scipy import ndimage

    tissue = volume.array != 0
    sizes_mm = np.linalg.norm(volume.affine[:3, :3], axis=0)
    voxel_ml = float(np.prod(sizes_mm)) / 1000
    total_ml = float(tissue.sum()) * voxel_ml
    # Cheap tests first: labelling a whole head takes as long as reading it.
    if tissue.mean() > 1 - STRIPPED_ZERO_SHARE or not STRIPPED_ML[0] <= total_ml <= STRIPPED_ML[1]:
        return None
    labels, _ = ndimage.label(tissue)
    counts = np.bincount(labels.ravel())[1:]
    largest = labels == counts.argmax() + 1
    (box,) = ndimage.find_objects(largest.astype(np.uint8))
    extent = [(part.stop - part.start) * size for part, size in zip(box, sizes_mm, strict=True)]
    if counts.max() < STRIPPED_ONE_PIECE * counts.sum() or max(extent) > STRIPPED_BOX_MM:
        return None
    return np.asarray(ndimage.binary_fill_holes(largest), dtype=bool)


def _load_deepbet(device: str) -> Any:
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError.absent(device)
    if device == "mps" and not torch.backends.mps.is_available():
        raise DeviceError.absent(device)
    device = _resolve(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deepbet loads TorchScript, which newer versions of torch announce to retire
        from deepbet import BrainExtraction

        extraction = BrainExtraction(no_gpu=True)
    extraction.model.to(device)
    extraction.bbox_model.to(device)
    return extraction


def _resolve(device: str) -> str:
    """Say what `auto` is here. Not mps: TorchScript models with 3D interpolation are not complete there."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
