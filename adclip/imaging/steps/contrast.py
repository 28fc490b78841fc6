"""Local contrast of a brain, free of how bright the scanner painted it: what registration compares."""

from __future__ import annotations

import numpy as np

from adclip.domain import FloatArray

WINDOW_MM = 10.0  # standard deviation of the window for mean and contrast: wider than cortex, narrower than a lobe
FLOOR = 0.04  # of the white matter intensity: contrast below it is noise or background


def normalise(image: FloatArray, sizes_mm: FloatArray, smooth_mm: float) -> FloatArray:
    """Subtract the local mean and divide by the local standard deviation.

    Parameters
    ----------
    image : ndarray of shape (X, Y, Z)
        Brain with white matter near 1, 0 outside.
    sizes_mm : ndarray of shape (3,)
        Voxel size.
    smooth_mm : float
        Standard deviation of the Gaussian applied first.

    Returns
    -------
    ndarray of shape (X, Y, Z), float32
        About -2 to 2; near 0 where there is no contrast.
    """
    from scipy import ndimage

    def blur(values: FloatArray, sigma_mm: float) -> FloatArray:
        sigma = tuple(float(sigma_mm / size) for size in sizes_mm)
        return np.asarray(ndimage.gaussian_filter(values, sigma, mode="constant", truncate=3.0, output=np.float32))

    smooth = blur(np.asarray(image, dtype=np.float32), smooth_mm)
    mean = blur(smooth, WINDOW_MM)
    variance = np.maximum(blur(smooth**2, WINDOW_MM) - mean**2, 0)
    return np.asarray((smooth - mean) / np.sqrt(variance + FLOOR**2), dtype=np.float32)


def block_mean(image: FloatArray, affine: FloatArray, sizes_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average blocks so that voxels are about 2 mm: finer detail is smoothed away at every level.

    Parameters
    ----------
    image : ndarray of shape (X, Y, Z)
    affine : ndarray of shape (4, 4)
        Voxel index to millimetres.
    sizes_mm : ndarray of shape (3,)
        Voxel size.

    Returns
    -------
    tuple of ndarray
        Means, float32, and their affine (4, 4). Voxels above 1.1 mm stay as they are.
    """
    x, y, z = (max(1, int(2.2 // size)) for size in sizes_mm)
    padded = np.pad(image, [(0, -count % block) for count, block in zip(image.shape, (x, y, z), strict=True)])
    a, b, c = padded.shape[0] // x, padded.shape[1] // y, padded.shape[2] // z
    thin = padded.reshape(a, x, b, y, c, z).mean(axis=(1, 3, 5), dtype=np.float32)
    thin_affine = affine.copy()
    thin_affine[:3, :3] = affine[:3, :3] * np.array([x, y, z])
    thin_affine[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    return thin, thin_affine
