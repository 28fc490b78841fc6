"""Cortical parcels carried from the template onto a head whose cortex is one label.

An affine map alone puts gyri beside their neighbours, so it is refined by diffeomorphic demons [1]_ (SimpleITK) between plainly
painted brains; then each cortical voxel takes the parcel of the nearest parcel voxel of its own hemisphere. How well labels
that both heads have come to lie on each other is in docs/benchmarks.md.

References
----------
.. [1] Vercauteren et al., Diffeomorphic demons, NeuroImage 2009, doi:10.1016/j.neuroimage.2008.10.040.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.imaging.volumes.anatomy import read_anatomy
from adclip.simulation.tissues import paint_plainly

CORTEX = {"left": (3, 1000), "right": (42, 2000)}  # FreeSurfer's one code, and where the parcels' codes begin
GRID_MM = 2.0
LEVELS = ((4.0, 60), (2.0, 40))  # grid, mm, and iterations
SMOOTHING = 1.5  # standard deviation of the displacement's smoothing, voxels


def carry_parcels(labels: NDArray[np.int16], to_mni: NDArray[np.float64]) -> NDArray[np.int16]:
    """Give cortex that is one label (3, 42) the Desikan-Killiany parcels (1001-1035, 2001-2035).

    Parameters
    ----------
    labels : ndarray (X, Y, Z), int16
    to_mni : ndarray (4, 4)
        Voxel to template millimetres, affine.

    Returns
    -------
    ndarray (X, Y, Z), int16
        A copy; maps that have parcels already, or no cortex, come back as they are.
    """
    if not np.isin(labels, [code for code, _ in CORTEX.values()]).any():
        return labels.copy()
    shift_mm, grid = refine(labels, to_mni)
    result = labels.copy()
    for side, (code, _) in CORTEX.items():
        where = np.argwhere(labels == code)
        if not len(where):
            continue
        mni = where @ to_mni[:3, :3].T + to_mni[:3, 3]
        mni += _sample(shift_mm, grid, mni)
        result[tuple(where.T)] = _nearest_parcel(side, mni)
    return result


def refine(labels: NDArray[np.int16], to_mni: NDArray[np.float64]) -> tuple[FloatArray, NDArray[np.float64]]:
    """Find what the affine map leaves.

    Returns
    -------
    shift_mm : ndarray (3, X, Y, Z)
        What to add to a point of the head in template space to find its place in the template.
    grid : ndarray (4, 4)
        Voxel of `shift_mm` to template millimetres.
    """
    import SimpleITK as sitk  # noqa: N813  its usual name
    from scipy.ndimage import affine_transform, gaussian_filter

    anatomy = read_anatomy()
    low = anatomy.affine[:3, 3] - 6
    shape = tuple(int(np.ceil((size + 12) / GRID_MM)) for size in anatomy.t1.shape)
    grid = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    grid[:3, 3] = low

    def onto(array: FloatArray, affine: NDArray[np.float64]) -> sitk.Image:
        matrix = np.linalg.inv(affine) @ grid
        resampled = affine_transform(gaussian_filter(array, 0.6), matrix[:3, :3], matrix[:3, 3], shape, order=1)
        image = sitk.GetImageFromArray(resampled.transpose(2, 1, 0))
        image.SetSpacing([GRID_MM] * 3)
        return image

    head = onto(paint_plainly(labels), to_mni)
    template = onto(_paint_template(), anatomy.affine)
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums in another order would give other parcels
    try:
        field = None
        for step_mm, iterations in LEVELS:
            small = [sitk.Shrink(image, [int(step_mm / GRID_MM)] * 3) for image in (head, template)]
            demons = sitk.DiffeomorphicDemonsRegistrationFilter()
            demons.SetNumberOfIterations(iterations)
            demons.SetSmoothDisplacementField(True)
            demons.SetStandardDeviations(SMOOTHING)
            if field is None:
                field = demons.Execute(*small)
            else:
                start = sitk.Resample(field, small[0], sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID())
                field = demons.Execute(*small, start)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    shift = sitk.GetArrayFromImage(field)  # z, y, x, component in mm
    return shift.transpose(3, 2, 1, 0).astype(np.float32), grid


def _paint_template() -> FloatArray:
    """Template in the levels of `paint_plainly`: its own T1, stretched."""
    anatomy = read_anatomy()
    label_levels = paint_plainly(anatomy.labels)
    tissue = 0.28 * (anatomy.brain - anatomy.gray - anatomy.white).clip(0, 1) + 0.6 * anatomy.gray + anatomy.white
    deep = (anatomy.labels > 0) & (anatomy.labels < 1000) & ~np.isin(anatomy.labels, (2, 41, 7, 8, 46, 47))
    result: FloatArray = np.where(deep, label_levels, tissue).astype(np.float32)
    return result


def _sample(field: FloatArray, grid: NDArray[np.float64], points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import map_coordinates

    inverse = np.linalg.inv(grid)
    voxel = (points_mm @ inverse[:3, :3].T + inverse[:3, 3]).T
    return np.stack([map_coordinates(part, voxel, order=1, mode="nearest") for part in field], axis=1)


@lru_cache(maxsize=2)
def _parcels_of(side: str) -> NDArray[np.int16]:
    """Nearest parcel of a hemisphere at every voxel of the template."""
    from scipy.ndimage import distance_transform_edt

    labels = read_anatomy().labels
    first = CORTEX[side][1]
    parcel = (labels > first) & (labels < first + 36)
    nearest = distance_transform_edt(~parcel, return_distances=False, return_indices=True)
    result: NDArray[np.int16] = labels[tuple(nearest)]
    return result


def _nearest_parcel(side: str, points_mm: NDArray[np.float64]) -> NDArray[np.int16]:
    parcels = _parcels_of(side)
    inverse = np.linalg.inv(read_anatomy().affine)
    voxel = np.rint(points_mm @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    voxel = voxel.clip(0, np.array(parcels.shape) - 1)
    result: NDArray[np.int16] = parcels[tuple(voxel.T)]
    return result
