"""Affine alignment of a stripped brain to the MNI template.

Own code: on known poses of real scans it is as accurate as picsl-greedy in a twentieth of its time, and gives the same map on
every run (`docs/benchmarks.md`). It can also tell a header whose axes are turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.imaging.steps.contrast import block_mean, normalise
from adclip.imaging.steps.rotations import nearest_quarter_turn, nearest_rotation, quarter_turns, tilts
from adclip.imaging.steps.templates import read_template

RADIUS_MM = 60.0  # scale of the linear part, so that all twelve parameters move points by comparable distances
MARGIN_MM = 6.0  # beyond the template brain, so that the edge of the brain counts
START_ANGLES_DEG = 25.0  # heads lie within about this tilt of the template
DAMPING = 1e-3
# Correlation at the coarsest level. On 59 IXI heads, two of OASIS-1 and one more, upright starts ended at 0.80 to 0.90;
# starts that missed ended below 0.50, one of about 230 at 0.72 (`tests/benchmarks/bench_registration.py`).
CONVINCING = 0.75  # ends the search
OVERRULE = 0.2  # lead that an end needs to contradict the header
LEAST_VOXELS = 100  # twelve parameters need far more than twelve voxels; a brain has thousands at any resolution


@dataclass(frozen=True)
class PyramidLevel:
    """One resolution of the search: smoothing and point spacing in mm, and how often to step."""

    smooth_mm: float
    step_mm: int  # even: points lie on the template's 2 mm blocks
    iterations: int


LEVELS = (PyramidLevel(4.0, 8, 60), PyramidLevel(2.0, 4, 40), PyramidLevel(1.5, 4, 20))
POLISH = 80  # at most so many undamped Gauss-Newton steps at the end; each leaves about three quarters of the error
SETTLED_MM = 1e-6


@dataclass(frozen=True)
class Alignment:
    """Where the brain lies in the template.

    Parameters
    ----------
    scan_to_mni : ndarray of shape (4, 4)
        Scan millimetres (RAS) to MNI millimetres (RAS); handedness is kept.
    correlation : float
        Of locally normalised brain and template where the coarsest search ended, -1 to 1. From `CONVINCING` on the
        brain has been found; far below it nothing that was tried looks like a brain in the template's place.
    cost : float
        Mean squared difference of locally normalised brain and template at the end.
    rotated : bool
        The head lies nearer to a quarter turn than to where the header says: the header's directions are wrong.
    """

    scan_to_mni: FloatArray
    correlation: float
    cost: float
    rotated: bool


@dataclass(frozen=True)
class _Fixed:
    points: FloatArray  # (N, 3) MNI mm relative to `center`
    values: FloatArray  # (N,) locally normalised template
    center: FloatArray  # (3,) centroid of the template brain, MNI mm


@dataclass(frozen=True)
class _Moving:
    values: tuple[FloatArray, ...]  # locally normalised scan and its gradient along the axes of scan mm, each (X, Y, Z)
    from_mm: FloatArray  # (4, 4) scan mm to voxel index


def register_affine(array: FloatArray, affine: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
    """Return `align(...).scan_to_mni`, for callers who need the map alone."""
    return align(array, affine, mask).scan_to_mni


def align(array: FloatArray, affine: FloatArray, mask: NDArray[np.bool_]) -> Alignment:
    """Find the affine map from scan to MNI millimetres.

    Parameters
    ----------
    array : ndarray of shape (X, Y, Z), float32
        Bias-corrected intensities, arbitrary unit.
    affine : ndarray of shape (4, 4)
        Voxel index to scan millimetres.
    mask : ndarray of shape (X, Y, Z), bool
        Brain.

    Returns
    -------
    Alignment

    Raises
    ------
    numpy.linalg.LinAlgError
        If the mask holds too little to align, or the brain has no intensity, or the search leaves the numbers.

    Notes
    -----
    Both brains are normalised by local mean and local contrast, which makes the sum of squared differences behave as
    local correlation does (Cachier et al. 2003) and leaves it a Gauss-Newton problem. Twelve parameters, three
    levels of smoothing. The coarsest is started upright, then from six tilts, then from the other 23 ways to turn the
    axes into each other, and stops looking once the result is convincing: nearly every scan needs the first only.

    A header that mirrors the head (left called right) cannot be told: the template is symmetric, and brains are nearly so.
    Only rotations are tried, so that left stays whatever the file calls left.
    """
    if np.count_nonzero(mask) < LEAST_VOXELS:
        raise np.linalg.LinAlgError("too few brain voxels to align")
    white = float(np.percentile(array[mask], 95))
    if not (np.isfinite(white) and white > 0):
        raise np.linalg.LinAlgError("the brain has no intensity")
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    thin, thin_affine = block_mean(np.where(mask, array / white, 0).astype(np.float32), affine, sizes)
    center_mm = affine[:3, :3] @ np.array([axis.mean() for axis in np.nonzero(mask)]) + affine[:3, 3]

    current, correlation = _search(center_mm, _fixed(0), _prepare(thin, thin_affine, LEVELS[0]))
    for number, level in enumerate(LEVELS[1:], start=1):
        fixed, moving = _fixed(number), _prepare(thin, thin_affine, level)
        current = _descend(current, fixed, moving, level.iterations)
    for _ in range(POLISH):
        step, cost = _solve(current, fixed, moving, damping=0.0)
        current = current + step
        if np.abs(step).max() < SETTLED_MM:
            break
    mni_to_scan = np.eye(4)
    mni_to_scan[:3, :3] = current[:, :3] / RADIUS_MM
    mni_to_scan[:3, 3] = current[:, 3] - mni_to_scan[:3, :3] @ fixed.center
    if not np.isfinite(mni_to_scan).all():
        raise np.linalg.LinAlgError("no finite solution")
    nearest = nearest_quarter_turn(mni_to_scan[:3, :3])
    return Alignment(
        scan_to_mni=np.asarray(np.linalg.inv(mni_to_scan)),
        correlation=correlation,
        cost=cost,
        rotated=not np.array_equal(nearest, np.eye(3)),
    )


def fit_upright(array: FloatArray, affine: FloatArray, mask: NDArray[np.bool_]) -> tuple[float, FloatArray]:
    """Try the upright start alone, coarsely and in a tenth of `align`'s time: how well a way to look at a head suits it.

    Parameters
    ----------
    array, affine, mask
        As for `align`; the intensities may still have their bias.

    Returns
    -------
    correlation : float
        As `Alignment.correlation`; -1 where there is nothing to align.
    rotation : ndarray of shape (3, 3)
        From scan millimetres to upright ones, as far as this start found it.
    """
    white = float(np.percentile(array[mask], 95)) if np.count_nonzero(mask) >= LEAST_VOXELS else 0.0
    if not (np.isfinite(white) and white > 0):
        return -1.0, np.eye(3)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    thin, thin_affine = block_mean(np.where(mask, array / white, 0).astype(np.float32), affine, sizes)
    center_mm = affine[:3, :3] @ np.array([axis.mean() for axis in np.nonzero(mask)]) + affine[:3, 3]
    fixed, moving = _fixed(0), _prepare(thin, thin_affine, LEVELS[0])
    try:
        end = _descend(_start(np.eye(3), center_mm), fixed, moving, LEVELS[0].iterations)
        correlation = _correlate(end, fixed, moving)
    except np.linalg.LinAlgError:
        return -1.0, np.eye(3)
    return correlation, nearest_rotation(end[:, :3]).T


def _search(center_mm: FloatArray, fixed: _Fixed, moving: _Moving) -> tuple[FloatArray, float]:
    """Descend from one start after the other until an end is convincing, else take the best; its correlation too.

    An end that contradicts the header must be clearly better than one that does not: two poor ones prove nothing.
    """
    best, best_correlation = _start(np.eye(3), center_mm), -1.0
    for rotations, lead in ((tilts(START_ANGLES_DEG), 0.0), (quarter_turns()[1:], OVERRULE)):
        needed = best_correlation + lead
        for rotation in rotations:
            end = _descend(_start(rotation, center_mm), fixed, moving, LEVELS[0].iterations)
            correlation = _correlate(end, fixed, moving)
            if correlation > max(needed, best_correlation):
                best, best_correlation = end, correlation
            if best_correlation >= CONVINCING:
                return best, best_correlation
    return best, best_correlation


def _start(rotation: FloatArray, center_mm: FloatArray) -> FloatArray:
    """Parameters of a head turned about its centre: (3 linear columns x RADIUS_MM, translation), shape (3, 4)."""
    return np.column_stack([rotation * RADIUS_MM, center_mm])


def _correlate(matrix: FloatArray, fixed: _Fixed, moving: _Moving) -> float:
    """Correlation of template and scan at the template's points; -1 for a mirrored or empty end."""
    from scipy import ndimage

    if not np.linalg.det(matrix[:, :3]) > 0:
        return -1.0
    value = ndimage.map_coordinates(
        moving.values[0], _voxels(matrix, fixed, moving), order=1, mode="constant", cval=0.0
    )
    if not value.std() > 0:
        return -1.0
    return float(np.corrcoef(value, fixed.values)[0, 1])


def _descend(start: FloatArray, fixed: _Fixed, moving: _Moving, iterations: int) -> FloatArray:
    """Levenberg-Marquardt until steps move no point by a hundredth of a millimetre."""
    current, damping = start, DAMPING
    step, cost = _solve(current, fixed, moving, damping)
    for _ in range(iterations):
        trial = current + step
        next_step, trial_cost = _solve(trial, fixed, moving, damping)
        if trial_cost < cost:
            small = np.abs(step).max() < 0.01
            current, cost, step, damping = trial, trial_cost, next_step, max(damping / 4, 1e-6)
            if small:
                break
        else:
            damping *= 8
            if damping > 1e3:
                break
            step, cost = _solve(current, fixed, moving, damping)
    return current


def _solve(matrix: FloatArray, fixed: _Fixed, moving: _Moving, damping: float) -> tuple[FloatArray, float]:
    """Return the next step (3, 4) and the mean squared difference at `matrix`."""
    from scipy import ndimage

    basis = _basis(fixed)
    voxels = _voxels(matrix, fixed, moving)
    value, *slopes = (
        ndimage.map_coordinates(channel, voxels, order=1, mode="constant", cval=0.0) for channel in moving.values
    )
    residual = fixed.values - value
    jacobian = np.einsum("nk,nb->nkb", np.stack(slopes, axis=1), basis).reshape(len(residual), 12)
    normal = jacobian.T @ jacobian
    normal[np.diag_indices(12)] += damping * np.diag(normal) + 1e-9
    step = np.linalg.solve(normal, jacobian.T @ residual)
    return step.reshape(3, 4), float(np.mean(residual**2))


def _basis(fixed: _Fixed) -> FloatArray:
    """Homogeneous template points (N, 4), scaled as the parameters are."""
    return np.column_stack([fixed.points / RADIUS_MM, np.ones(len(fixed.points))])


def _voxels(matrix: FloatArray, fixed: _Fixed, moving: _Moving) -> FloatArray:
    """Where the template's points lie in the scan: voxel indices (3, N)."""
    scan_mm = _basis(fixed) @ matrix.T
    return np.asarray((scan_mm @ moving.from_mm[:3, :3].T + moving.from_mm[:3, 3]).T)


@lru_cache(maxsize=len(LEVELS))
def _fixed(number: int) -> _Fixed:
    from scipy import ndimage

    level = LEVELS[number]
    t1, affine = read_template()
    brain = t1 > 0
    center = affine[:3, :3] @ np.array([axis.mean() for axis in np.nonzero(brain)]) + affine[:3, 3]
    white = float(np.percentile(t1[brain], 95))
    thin, thin_affine = block_mean(t1 / white, affine, np.ones(3))
    normal = normalise(thin, np.full(3, 2.0), level.smooth_mm)
    step = level.step_mm // 2
    outside_mm = ndimage.distance_transform_edt(thin[::step, ::step, ::step] <= 0, sampling=level.step_mm)
    chosen = np.argwhere(outside_mm <= MARGIN_MM) * step
    points = chosen @ thin_affine[:3, :3].T + thin_affine[:3, 3] - center
    return _Fixed(points=points, values=normal[tuple(chosen.T)].astype(np.float64), center=center)


def _prepare(image: FloatArray, affine: FloatArray, level: PyramidLevel) -> _Moving:
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    # Room around the brain, so that windows and edges near the border of the array are whole.
    pad = [int(np.ceil(2 * MARGIN_MM / size)) for size in sizes]
    normal = normalise(np.pad(image, [(count, count) for count in pad]), sizes, level.smooth_mm)
    to_mm = affine.copy()
    to_mm[:3, 3] -= affine[:3, :3] @ np.array(pad)
    from_mm = np.linalg.inv(to_mm)
    by_voxel = np.gradient(normal)
    by_mm = tuple(
        np.asarray(sum(from_mm[axis, mm] * by_voxel[axis] for axis in range(3)), dtype=np.float32) for mm in range(3)
    )
    return _Moving(values=(normal, *by_mm), from_mm=from_mm)
