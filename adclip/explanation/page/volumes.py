"""The images of a page's viewer: scan, map and regions on one grid, small enough to stand in the page.

The scan keeps its own voxels, but only those of the brain: a page that is passed on shows no face. Map and labels are coarser, on
every n-th voxel of the same grid, as a map of patches holds nothing finer; so a viewer need not turn one image into another's space.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.imaging.derivatives.files import PreparedScan
from adclip.imaging.sources.files import to_source_order
from adclip.imaging.steps.grid import from_model_grid, to_model_order

MOST_BYTES = (
    3_400_000  # of the compressed scan; as base64 a third more, which leaves room for the rest of a page below 8 MB
)
MARGIN_MM = 4.0  # round the brain
MAP_STEP_MM = 2.0  # of map and labels; patches are several times as wide
PERCENTILES = (0.5, 99.5)  # of the brain, shown as black and white


@dataclass(frozen=True)
class Layer:
    """One image for the viewer.

    Parameters
    ----------
    nifti : bytes
        A gzipped NIfTI-1 file.
    shape : tuple of int
        Voxels along its three axes.
    spacing_mm : tuple of float
        Size of its voxels.
    """

    nifti: bytes
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class ViewerImages:
    """What a page's viewer shows.

    Parameters
    ----------
    scan : Layer
        uint8, 0 outside the brain.
    relevance : Layer
        The signed map, int16 with a scale, in units of the most relevant patch.
    labels : bytes
        Gzipped uint8 voxels in C order: codes of regions, 0 where there is none; empty where no regions were given.
    labels_shape : tuple of int
    labels_from_mm : list of list of float
        Matrix (4, 4) from the image's millimetres to voxels of `labels`.
    peak_mm : tuple of float
        Where the map is largest, in the image's millimetres; of a map without a value the middle of the brain.
    space : str
        What the millimetres are of, in words.
    averaged : bool
        Whether the scan had to be shown in larger voxels than the file's.
    """

    scan: Layer
    relevance: Layer
    labels: bytes
    labels_shape: tuple[int, int, int]
    labels_from_mm: list[list[float]]
    peak_mm: tuple[float, float, float]
    space: str
    averaged: bool


def viewer_images(
    prepared: PreparedScan, contract: InputContract, signed: NDArray[Any], labels: NDArray[Any] | None = None
) -> ViewerImages:
    """Make the images of the viewer for one scan.

    Parameters
    ----------
    prepared : PreparedScan
        With the scan itself (`volume`); of a derivative its own image is shown, in MNI space.
    contract : InputContract
        The model's grid.
    signed : ndarray (X, Y, Z)
        Signed relevance on the model's grid, in units of the most relevant patch, 0 outside the brain.
    labels : ndarray of int (X, Y, Z), optional
        Codes of regions on the model's grid, 0 to 255.
    """
    array, inside, affine = _scan_of(prepared, contract)
    array, affine = _crop(_quantise(array, inside), inside, affine)
    scan, averaged = _fitting(array, affine)
    from_mm = mni_from_shown(prepared)
    shape, coarse = _coarser(array.shape, affine)
    relevance = _carry(signed, contract, from_mm, coarse, shape, order=1)
    codes = b""
    if labels is not None:
        codes = _compress(_carry(labels, contract, from_mm, coarse, shape, order=0).astype(np.uint8).tobytes())
    return ViewerImages(
        scan=scan,
        relevance=_layer(relevance, coarse),
        labels=codes,
        labels_shape=shape,
        labels_from_mm=np.linalg.inv(coarse).tolist(),
        peak_mm=_peak(signed, prepared.mask, contract, from_mm),
        space="the scan file" if prepared.volume is not None else "MNI152NLin2009aSym",
        averaged=averaged,
    )


def mni_from_shown(prepared: PreparedScan) -> FloatArray:
    """Return the matrix from the millimetres of the image shown to MNI millimetres: none is needed for a derivative."""
    return prepared.scan_to_mni if prepared.volume is not None else np.eye(4)


def _peak(
    signed: NDArray[Any], mask: NDArray[np.bool_], contract: InputContract, from_mm: FloatArray
) -> tuple[float, float, float]:
    """Return where the map is largest, in the millimetres of the image shown; of a map without a value the middle of the brain."""
    place = np.array(np.unravel_index(int(np.argmax(signed)), signed.shape), dtype=float)
    if signed.max() <= 0 and mask.any():
        place = np.argwhere(mask).mean(axis=0)
    to_shown = np.linalg.inv(from_mm) @ contract.affine_xyz
    x, y, z = (round(float(value), 2) for value in to_shown[:3, :3] @ place + to_shown[:3, 3])
    return x, y, z


def _scan_of(prepared: PreparedScan, contract: InputContract) -> tuple[NDArray[Any], NDArray[np.bool_], FloatArray]:
    """Return voxels, brain and affine of what is shown."""
    volume = prepared.volume
    if volume is None:
        return prepared.image, prepared.mask, contract.affine_xyz
    if prepared.scan_mask is not None:
        return to_source_order(volume.array, volume), to_source_order(prepared.scan_mask, volume), volume.source.affine
    # linear and cut at one half: nearest would leave steps of the model's voxels in a finer scan
    mask = from_model_grid(to_model_order(prepared.mask.astype(np.float32)), contract, prepared.scan_to_mni, volume)
    return to_source_order(volume.array, volume), mask > 0.5, volume.source.affine


def _quantise(array: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return 1 to 255 in the brain and 0 outside."""
    result = np.zeros(array.shape, np.uint8)
    values = array[inside]
    if values.size:
        low, high = np.percentile(values, PERCENTILES)
        result[inside] = 1 + np.rint(254 * np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)).astype(
            np.uint8
        )
    return result


def _crop(array: NDArray[Any], inside: NDArray[np.bool_], affine: FloatArray) -> tuple[NDArray[Any], FloatArray]:
    """Cut away what lies outside the brain's box."""
    if not inside.any():
        return array, affine
    spacing = _spacing(affine)
    slices = []
    for axis in range(3):
        present = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = round(MARGIN_MM / spacing[axis])
        slices.append(slice(max(int(present[0]) - margin, 0), min(int(present[-1]) + margin + 1, array.shape[axis])))
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [part.start for part in slices]
    return array[tuple(slices)], moved


def _fitting(array: NDArray[Any], affine: FloatArray) -> tuple[Layer, bool]:
    """Return the scan as a layer; one that is too large for a page is averaged along its finest axis until it fits."""
    averaged = False
    while len((layer := _layer(array, affine)).nifti) > MOST_BYTES:
        axis = int(np.argmin(layer.spacing_mm))
        array, affine = _halve(array, affine, axis)
        averaged = True
    return layer, averaged


def _halve(array: NDArray[Any], affine: FloatArray, axis: int) -> tuple[NDArray[Any], FloatArray]:
    """Average pairs of voxels along one axis; a last single one is dropped, which lies in the margin."""
    even = np.moveaxis(array, axis, 0)[: array.shape[axis] // 2 * 2].astype(np.float32)
    mean = np.moveaxis((even[0::2] + even[1::2]) / 2, 0, axis)
    wider = affine.copy()
    wider[:3, axis] *= 2
    wider[:3, 3] += affine[:3, axis] / 2
    return np.rint(mean).astype(np.uint8), wider


def _coarser(shape: tuple[int, ...], affine: FloatArray) -> tuple[tuple[int, int, int], FloatArray]:
    """Return the grid of map and labels: steps of whole voxels, as near `MAP_STEP_MM` as they come."""
    steps = [max(1, round(MAP_STEP_MM / size)) for size in _spacing(affine)]
    x, y, z = (-(-size // step) for size, step in zip(shape, steps, strict=True))
    coarse = affine.copy()
    coarse[:3, :3] *= steps
    coarse[:3, 3] += affine[:3, :3] @ [(step - 1) / 2 for step in steps]
    return (x, y, z), coarse


def _carry(
    array: NDArray[Any], contract: InputContract, from_mm: FloatArray, grid: FloatArray, shape: tuple[int, int, int], *, order: int
) -> NDArray[Any]:  # fmt: skip
    """Bring values of the model's grid (X, Y, Z) onto a grid of the image shown."""
    from scipy import ndimage

    matrix = np.linalg.inv(contract.affine_xyz) @ from_mm @ grid
    carried = ndimage.affine_transform(
        np.asarray(array, dtype=np.float32), matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=order,
        mode="grid-constant", prefilter=False,
    )  # fmt: skip
    return np.asarray(carried)


def _layer(array: NDArray[Any], affine: FloatArray) -> Layer:
    """Write an image as NIfTI; real numbers become int16 with a scale, so that 0 stays 0."""
    import nibabel as nib

    scale = 1.0
    if array.dtype != np.uint8:
        scale = max(float(np.abs(array).max()), 1e-6) / 32767
        array = np.rint(array / scale).astype(np.int16)
    x, y, z = array.shape
    a, b, c = _spacing(affine)
    header = nib.Nifti1Header()  # written by hand, as an image's `to_bytes` forgets the scale of whole numbers
    header.set_data_dtype(array.dtype)
    header.set_data_shape((x, y, z))
    header.set_zooms((a, b, c))
    header.set_sform(affine, code="scanner")
    header.set_xyzt_units("mm")
    header["scl_slope"], header["scl_inter"], header["vox_offset"], header["magic"] = scale, 0, 352, b"n+1"
    content = header.binaryblock + bytes(4) + array.tobytes(order="F")
    return Layer(_compress(content), (x, y, z), (a, b, c))


def _spacing(affine: FloatArray) -> list[float]:
    return [float(size) for size in np.linalg.norm(affine[:3, :3], axis=0)]


def _compress(data: bytes) -> bytes:
    """Gzip without a time, so that the same scan gives the same bytes."""
    return gzip.compress(data, 9, mtime=0)
