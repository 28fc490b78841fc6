"""From the scan's grid to the model's and back: the one interpolation, and the one place where axes switch order.

NIfTI speaks (X, Y, Z) with X to the right, Y to the front, Z to the top. The network reads (D, H, W): D from bottom to
top, H from front to back, W from the patient's right to left, as axial slices are viewed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract, Volume
from adclip.imaging.sources.files import to_source_order

MOST_SAMPLES = 3  # per axis and target voxel; 27 points keep one pass near a second


def to_grid(
    array_xyz: NDArray[Any], affine: FloatArray, scan_to_mni: FloatArray, contract: InputContract, order: int = 1
) -> FloatArray:
    """Resample a scan onto the contract's MNI grid in one interpolation.

    Parameters
    ----------
    array_xyz : ndarray of shape (X, Y, Z)
        Voxels of the scan.
    affine : ndarray of shape (4, 4)
        Voxel index to scan millimetres.
    scan_to_mni : ndarray of shape (4, 4)
        Scan millimetres to MNI millimetres.
    contract : InputContract
        Target grid.
    order : int
        1 for intensities and masks: linear, averaged over the target voxel. 0 for labels: nearest.

    Returns
    -------
    ndarray of shape `contract.shape_xyz`, float32
        0 outside the scan's field of view.

    Notes
    -----
    Where target voxels are larger than the scan's, up to three points an axis are interpolated inside each of them and
    averaged. One point alone would keep the noise of single voxels and alias fine structure, so that a 1 mm and a 2 mm
    scan of one head would look different on the same grid.
    """
    from scipy import ndimage

    grid = contract.affine_xyz
    samples = (1, 1, 1) if order == 0 else _count_samples(affine, contract)
    fine = grid.copy()
    for axis, count in enumerate(samples):
        fine[:3, axis] /= count
        fine[:3, 3] -= fine[:3, axis] * (count - 1) / 2  # first sample: half a target voxel back, half a fine one on
    matrix = np.linalg.inv(scan_to_mni @ affine) @ fine
    shape = tuple(size * count for size, count in zip(contract.shape_xyz, samples, strict=True))
    result = ndimage.affine_transform(
        np.asarray(array_xyz, dtype=np.float32), matrix[:3, :3], matrix[:3, 3],
        output_shape=shape, output=np.float32, order=order, mode="grid-constant", prefilter=False,
    )  # fmt: skip
    if samples == (1, 1, 1):
        return np.asarray(result)
    x, y, z = contract.shape_xyz
    a, b, c = samples
    return np.asarray(result.reshape(x, a, y, b, z, c).mean(axis=(1, 3, 5), dtype=np.float32))


def _count_samples(affine: FloatArray, contract: InputContract) -> tuple[int, int, int]:
    """Points along each axis of a target voxel.

    Counted from the header alone, not from the registration: its last digits must not decide. The factor 0.9 keeps the
    steps away from common ratios such as 1, 2 and 2.5.
    """
    ratios = np.linalg.norm(np.linalg.inv(affine[:3, :3]) @ np.diag(contract.spacing_xyz_mm), axis=0)
    x, y, z = (min(max(math.ceil(0.9 * float(ratio)), 1), MOST_SAMPLES) for ratio in ratios)
    return x, y, z


def to_model_order(array_xyz: NDArray[Any]) -> NDArray[Any]:
    """Turn (..., X, Y, Z) into the network's (..., D, H, W).

    D is Z ascending (inferior first), H is Y descending (anterior first), W is X descending (patient right first).
    """
    return np.ascontiguousarray(np.swapaxes(array_xyz, -1, -3)[..., ::-1, ::-1])


def from_model_order(array_dhw: NDArray[Any]) -> NDArray[Any]:
    """Turn the network's (..., D, H, W) back into (..., X, Y, Z), the inverse of `to_model_order`."""
    return np.ascontiguousarray(np.swapaxes(array_dhw[..., ::-1, ::-1], -1, -3))


def from_model_grid(
    map_dhw: NDArray[Any], contract: InputContract, scan_to_mni: FloatArray, volume: Volume, order: int = 1
) -> FloatArray:
    """Carry a map from the model grid onto the voxels of the scan file, through preprocessing in reverse.

    Parameters
    ----------
    map_dhw : ndarray of shape (D, H, W)
        Values on the model grid, for example relevance.
    contract : InputContract
        The grid the map lies on.
    scan_to_mni : ndarray of shape (4, 4)
        Scan millimetres to MNI millimetres.
    volume : Volume
        The scan.
    order : int
        1 linear, 0 nearest (labels).

    Returns
    -------
    ndarray of shape `volume.source.shape`, float32
        In the stored axis order of the file, to be written with `volume.source.affine`; 0 outside the model's box.
        In MNI space the same map is `from_model_order(map_dhw)` with `contract.affine_xyz`.
    """
    from scipy import ndimage

    matrix = np.linalg.inv(contract.affine_xyz) @ scan_to_mni @ volume.affine
    result = ndimage.affine_transform(
        from_model_order(np.asarray(map_dhw, dtype=np.float32)), matrix[:3, :3], matrix[:3, 3],
        output_shape=volume.array.shape, output=np.float32, order=order, mode="grid-constant", prefilter=False,
    )  # fmt: skip
    return np.asarray(to_source_order(result, volume))


def to_scan_brain(
    map_dhw: NDArray[Any],
    contract: InputContract,
    scan_to_mni: FloatArray,
    volume: Volume,
    mask: NDArray[np.bool_] | None,
) -> FloatArray:
    """Do what `from_model_grid` does, and leave nothing outside of the brain.

    Parameters
    ----------
    map_dhw, contract, scan_to_mni, volume
        As there. The map need not end where the brain does: what is cut off before would fade out inside of it.
    mask : ndarray of shape `volume.array.shape`, bool, or None
        Brain on the voxels of the scan; None cuts nothing off.

    Returns
    -------
    ndarray of shape `volume.source.shape`, float32
    """
    on_scan = from_model_grid(map_dhw, contract, scan_to_mni, volume)
    return on_scan if mask is None else on_scan * to_source_order(mask, volume)
