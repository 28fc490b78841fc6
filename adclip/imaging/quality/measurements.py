"""Measurements behind the quality verdict: each takes arrays and returns plain numbers, None where there is nothing to see.

Whatever belongs to the aligned result is measured on the model's grid; noise is measured in the scan's own voxels, because
interpolation smooths it away. Template voxels carried into the scan say where to look, so nothing here walks over a whole
head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract, Volume
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.steps.templates import read_template, read_tissue

Bools = NDArray[np.bool_]

PURE = 0.8  # tissue probability above which a template voxel stands for its tissue
DEEP = 0.95  # the same for white matter so far from grey that noise is all that varies there
CSF_T1 = (0.02, 0.4)  # template intensity of fluid: its median is 0.27
# The lateral and third ventricles lie in this box (MNI mm); fluid outside it is thin and mixed with cortex.
VENTRICLE_BOX_MM = ((-30.0, 30.0), (-55.0, 40.0), (-5.0, 35.0))
AIR_MM = (35.0, 60.0)  # distance from the template's brain: beyond scalp, ears and cushions, inside most fields of view
AIR_ABOVE_MM = 0.0  # MNI z: below it there are cheeks and neck, and faces that were removed
FEWEST = 200  # voxels below which a median or a spread means little
RAYLEIGH_MEDIAN = 1.1774  # sqrt(2 ln 2): median of air in units of the noise SD, Gudbjartsson & Patz 1995
GAUSS_MAD = 1.4826  # median absolute deviation -> standard deviation of a Gaussian
# Outer product of three second differences: blind to constants, slopes and curvature along one axis (Immerkaer 1996, in 3D).
_SECOND = np.array([1.0, -2.0, 1.0])
_KERNEL = np.einsum("i,j,k->ijk", _SECOND, _SECOND, _SECOND).ravel()


@dataclass(frozen=True)
class TemplateOnGrid:
    """The template on a contract's grid: intensity, brain, pure grey, pure white and ventricles, each of `shape_xyz`."""

    t1: FloatArray
    brain: Bools
    gray: Bools
    white: Bools
    fluid: Bools
    area: float


@lru_cache(maxsize=2)
def template_on(contract: InputContract) -> TemplateOnGrid:
    """Return the template on the contract's grid."""
    t1, affine = read_template()

    # Nearest voxel for the masks: averaging them as well would take seconds at the first scan and change no verdict.
    def nearest(values: FloatArray) -> FloatArray:
        return to_grid(values, affine, np.eye(4), contract, order=0)

    gray, white, near = nearest(read_tissue("gm")), nearest(read_tissue("wm")), nearest(t1)
    fluid = (near > CSF_T1[0]) & (near < CSF_T1[1]) & (gray < 1 - PURE) & (white < 1 - PURE)
    for axis, (low, high) in enumerate(VENTRICLE_BOX_MM):
        step, origin = contract.affine_xyz[axis, axis], contract.affine_xyz[axis, 3]
        along = origin + step * np.arange(contract.shape_xyz[axis])
        fluid &= ((along > low) & (along < high)).reshape([-1 if dimension == axis else 1 for dimension in range(3)])
    brain = near > 0
    return TemplateOnGrid(
        to_grid(t1, affine, np.eye(4), contract), brain, gray > PURE, white > PURE, fluid,
        _relative_area(brain, contract),
    )  # fmt: skip


def measure_alignment(
    image: FloatArray, mask: Bools, contract: InputContract, scan_to_mni: FloatArray
) -> dict[str, float]:
    """Compare the aligned brain with the template, and the alignment with a head held upright.

    Returns
    -------
    dict
        `template_overlap` Dice of mask and template brain; `template_correlation` Pearson inside the template's brain;
        `scale` cube root of the determinant; `rotation_degrees` of the rotation nearest to the alignment (polar
        decomposition), 0 to 180, counted from the header's upright.
    """
    template = template_on(contract)
    linear = scan_to_mni[:3, :3]
    u, _, v_transposed = np.linalg.svd(linear)
    cosine = (np.trace(u @ v_transposed) - 1) / 2
    shared_voxels = float((mask & template.brain).sum())
    return {
        "template_overlap": 2 * shared_voxels / max(float(mask.sum() + template.brain.sum()), 1.0),
        "template_correlation": _correlate(image[template.brain], template.t1[template.brain]),
        "scale": float(np.cbrt(abs(np.linalg.det(linear)))),
        "rotation_degrees": float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
    }


def measure_mask(mask: Bools, contract: InputContract) -> dict[str, float | None]:
    """Judge the shape of the brain mask on the grid.

    Returns
    -------
    dict
        `mask_pieces_share` share of the mask outside its largest piece; `mask_holes_share` share of the filled mask that
        is enclosed background; `mask_roughness` surface area for its volume, relative to the template's brain on the
        same grid (1 is as smooth as the template).
    """
    from scipy import ndimage

    total = float(mask.sum())
    if total == 0:
        return {"mask_pieces_share": None, "mask_holes_share": None, "mask_roughness": None}
    counts = np.bincount(ndimage.label(mask)[0].ravel())[1:]
    background = np.bincount(ndimage.label(~np.pad(mask, 1))[0].ravel())[1:]  # the pad joins everything outside
    holes = float(background.sum() - background.max())
    return {
        "mask_pieces_share": 1 - float(counts.max()) / total,
        "mask_holes_share": holes / (total + holes),
        "mask_roughness": _relative_area(mask, contract) / template_on(contract).area,
    }


def measure_border(scan_mask: Bools | None) -> float | None:
    """Return the share of the mask's box faces that the mask presses against: brain voxels in the scan's outermost planes.

    Relative to the mask's volume to the power 2/3, so that voxel size cancels; 0 for a brain with air all around.
    """
    if scan_mask is None or not scan_mask.any():
        return None
    count = sum(float(np.take(scan_mask, place, axis).sum()) for axis in range(3) for place in (0, -1))
    return count / float(scan_mask.sum()) ** (2 / 3)


def measure_coverage(contract: InputContract, scan_to_mni: FloatArray, volume: Volume) -> dict[str, float]:
    """Say how much of the template's brain lies inside the field of view.

    Outer planes that hold one value throughout are no image: padding does not count as field of view.

    Returns
    -------
    dict
        `coverage` of the whole brain, `coverage_top` above the middle of the template's brain, `coverage_bottom` below.
    """
    brain = template_on(contract).brain
    low, high = _filled_box(volume.array)
    index = np.argwhere(brain)
    matrix = np.linalg.inv(scan_to_mni @ volume.affine) @ contract.affine_xyz
    voxels = index @ matrix[:3, :3].T + matrix[:3, 3]
    inside = np.all((voxels >= low - 0.5) & (voxels <= high - 0.5), axis=1)
    upper = index[:, 2] > (index[:, 2].min() + index[:, 2].max()) / 2
    return {
        "coverage": float(inside.mean()),
        "coverage_top": float(inside[upper].mean()),
        "coverage_bottom": float(inside[~upper].mean()),
    }


def measure_tissue(image: FloatArray, mask: Bools, contract: InputContract) -> dict[str, float | None]:
    """Measure grey, white and fluid where the template is pure.

    Returns
    -------
    dict
        `gray_level`, `white_level`, `fluid_level` medians in [0, 1]; `gray_white_contrast` (mean white - mean grey) /
        pooled standard deviation; `cjv` coefficient of joint variation, (SD white + SD grey) / |mean difference|.
    """
    template = template_on(contract)
    gray, white, fluid = (image[where & mask] for where in (template.gray, template.white, template.fluid))
    levels: dict[str, float | None] = {
        f"{name}_level": float(np.median(values)) if values.size > 10 else None
        for name, values in (("gray", gray), ("white", white), ("fluid", fluid))
    }
    contrast, cjv = 0.0, None
    if gray.size > 10 and white.size > 10:
        gap = float(white.mean() - gray.mean())
        contrast = gap / max(float(np.sqrt((gray.var() + white.var()) / 2)), 1e-6)
        cjv = float(gray.std() + white.std()) / max(abs(gap), 1e-3)
    return {**levels, "gray_white_contrast": contrast, "cjv": cjv}


def measure_noise(scan_to_mni: FloatArray, volume: Volume) -> dict[str, float | None]:
    """Measure noise in the scan's own voxels.

    Returns
    -------
    dict
        `snr` median of deep white matter over the SD of its noise, from local differences; `cnr` |white - grey| over
        that SD; `air_noise_percent` SD of the noise in air (Rayleigh) in percent of white matter. None where too few
        voxels are in view; `air_noise_percent` also where the air was set to zero.
    """
    points = _points()
    white_at = _to_voxels(points["white"], scan_to_mni, volume, margin=1)
    gray_at = _to_voxels(points["gray"], scan_to_mni, volume)
    if min(len(white_at), len(gray_at)) < FEWEST:
        return {"snr": None, "cnr": None, "air_noise_percent": None}
    array = volume.array
    white = float(np.median(array[tuple(white_at.T)]))
    gray = float(np.median(array[tuple(gray_at.T)]))
    detail = np.zeros(len(white_at))
    for weight, shift in zip(_KERNEL, np.ndindex(3, 3, 3), strict=True):
        detail += weight * array[tuple((white_at + np.array(shift) - 1).T)]
    noise = GAUSS_MAD * float(np.median(np.abs(detail))) / float(np.linalg.norm(_KERNEL))
    air_at = _to_voxels(points["air"], scan_to_mni, volume)
    air_noise = None
    if len(air_at) >= FEWEST and white > 0:
        air = array[tuple(air_at.T)]
        if np.mean(air == 0) < 0.5:
            air_noise = 100 * float(np.median(air)) / RAYLEIGH_MEDIAN / white
    floor = 1e-4 * max(abs(white), 1e-6)  # a noiseless image has a signal-to-noise ratio of 10,000, not of infinity
    return {
        "snr": white / max(noise, floor),
        "cnr": abs(white - gray) / max(noise, floor),
        "air_noise_percent": air_noise,
    }


@lru_cache(maxsize=1)
def _points() -> dict[str, FloatArray]:
    """Places to look at, in MNI millimetres: deep white matter, pure grey matter, air above the ears."""
    from scipy import ndimage

    t1, affine = read_template()

    def to_mm(where: Bools, step: int) -> FloatArray:
        return np.asarray(np.argwhere(where) * step @ affine[:3, :3].T + affine[:3, 3])

    thin = (slice(None, None, 2),) * 3
    pad, coarse = 18, 4  # 72 mm around the template's box of 197 x 233 x 189 mm
    brain = np.pad(t1[::coarse, ::coarse, ::coarse] > 0, pad)
    distance_mm = ndimage.distance_transform_edt(~brain, sampling=float(coarse))
    air = to_mm((distance_mm > AIR_MM[0]) & (distance_mm < AIR_MM[1]), coarse) - pad * coarse * np.diag(affine)[:3]
    return {
        "white": to_mm(read_tissue("wm")[thin] > DEEP, 2),
        "gray": to_mm(read_tissue("gm")[thin] > PURE, 2),
        "air": air[air[:, 2] > AIR_ABOVE_MM],
    }


def _to_voxels(points_mm: FloatArray, scan_to_mni: FloatArray, volume: Volume, margin: int = 0) -> NDArray[np.int64]:
    """Nearest voxels (N, 3) of points in MNI millimetres, those outside the scan left out."""
    matrix = np.linalg.inv(scan_to_mni @ volume.affine)
    voxels = np.rint(points_mm @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.int64)
    limit = np.array(volume.array.shape) - margin
    return np.asarray(voxels[np.all((voxels >= margin) & (voxels < limit), axis=1)])


def _filled_box(array: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First plane that holds an image, and the one after the last, along each axis."""
    low, high = [], []
    for axis in range(3):
        planes = np.moveaxis(array, axis, 0)
        first, last = 0, len(planes) - 1
        while first < last and planes[first].min() == planes[first].max():
            first += 1
        while last > first and planes[last].min() == planes[last].max():
            last -= 1
        low.append(first)
        high.append(last + 1)
    return np.array(low), np.array(high)


def _relative_area(mask: Bools, contract: InputContract) -> float:
    """Surface in voxel faces over volume to the power 2/3, both in mm: 6 for a cube."""
    sizes = contract.spacing_xyz_mm
    voxel = float(np.prod(sizes))
    padded = np.pad(mask, 1)
    area = sum(float((np.diff(padded, axis=axis)).sum()) * voxel / sizes[axis] for axis in range(3))
    return area / max(float(mask.sum()) * voxel, 1e-6) ** (2 / 3)


def _correlate(first: FloatArray, second: FloatArray) -> float:
    if first.size < 2 or first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
