"""The slow intensity drift of receive coils, estimated and divided out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray

COARSE_MM = 8.0  # N4 on 8 mm voxels leaves the residual of 4 mm in a sixth of the time (measured on two full heads)
ITERATIONS = (50, 50, 50)  # as in ANTs' usual call; the coarse grid makes a fourth level pointless
FINITE_LOG = 1e-3  # share of the brain's median added before the logarithm, so that zeros inside the brain are harmless


def correct_bias(array: FloatArray, mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> FloatArray:
    """Divide out the bias field that N4 estimates inside the brain.

    Parameters
    ----------
    array : ndarray of shape (X, Y, Z), float32
        Intensities, arbitrary unit.
    mask : ndarray of shape (X, Y, Z), bool
        Brain; must not be empty.
    spacing_mm : tuple of float
        Voxel size along X, Y, Z.

    Returns
    -------
    ndarray of shape (X, Y, Z), float32
        Corrected intensities. The field has mean log 0 inside the brain, so the overall level stays.

    Notes
    -----
    N4: Tustison et al. 2010, doi:10.1109/TMI.2010.2046908, SimpleITK's implementation, on block means of about 8 mm
    (means of brain voxels only) and on one thread, so that the result does not depend on the machine's cores. The field
    is smooth by construction and is brought back to full resolution by linear interpolation of its logarithm.
    """
    import SimpleITK as sitk  # noqa: N813  its usual name
    from scipy import ndimage

    blocks = tuple(max(1, round(COARSE_MM / size)) for size in spacing_mm)
    weights = _block_sums(mask.astype(np.float32), blocks)
    sums = _block_sums(np.where(mask, array, 0).astype(np.float32), blocks)
    inside = weights > 0.25 * np.prod(blocks)
    if inside.sum() < 50:  # fewer coarse voxels than the spline has control points: nothing to estimate
        return array.astype(np.float32)
    coarse = np.where(inside, sums / np.maximum(weights, 1e-6), 0)
    level = float(np.median(coarse[inside]))
    if level <= 0:
        return array.astype(np.float32)
    coarse = np.maximum(coarse / level, 0) + FINITE_LOG

    spacing = [size * block for size, block in zip(spacing_mm, blocks, strict=True)]
    image, inside_image = _to_sitk(coarse, spacing), _to_sitk(inside.astype(np.uint8), spacing)
    # The filter's own setting does not reach the spline fit inside it, whose sums differ with the number of threads.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(ITERATIONS)
    n4.Execute(image, inside_image)
    log_field = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).T.astype(np.float32)
    log_field -= log_field[inside].mean()

    # A voxel's place among the block centres: voxel i lies at (i + 0.5) / block - 0.5.
    full = ndimage.affine_transform(
        log_field, np.array([1 / block for block in blocks]), np.array([0.5 / block - 0.5 for block in blocks]),
        output_shape=array.shape, output=np.float32, order=1, mode="nearest", prefilter=False,
    )  # fmt: skip
    return np.asarray(array * np.exp(-full), dtype=np.float32)


def _block_sums(array: FloatArray, blocks: tuple[int, ...]) -> FloatArray:
    """Sum over blocks; the last, incomplete block is padded with zeros."""
    padded = np.pad(array, [(0, -size % block) for size, block in zip(array.shape, blocks, strict=True)])
    a, b, c = (size // block for size, block in zip(padded.shape, blocks, strict=True))
    x, y, z = blocks
    return np.asarray(padded.reshape(a, x, b, y, c, z).sum(axis=(1, 3, 5)))


def _to_sitk(array: NDArray[np.generic], spacing: list[float]) -> object:
    import SimpleITK as sitk  # noqa: N813  its usual name

    kind = array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array
    image = sitk.GetImageFromArray(np.ascontiguousarray(kind.T))
    image.SetSpacing([float(size) for size in spacing])
    return image
