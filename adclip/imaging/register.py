"""Affine alignment of a stripped brain to the MNI template.

Own code, because picsl-greedy 1.4.0.3, tried first on one 1 mm and one 2 mm head, writes its optimiser's messages to the
process's stdout, where `--json` lines must stand alone, stopped in failed line searches, and gave maps at least 0.1 mm
apart with one and with two threads. Here the search ends where the gradient vanishes: on the same two heads, turned by 20
degrees and shifted, the map came out the same to 2e-6 mm, in about one second on one core. How far either lies from the
true alignment of a real head is not known; `tests/imaging/test_prepare.py` holds it to 0.5 mm on a head of known pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.imaging.templates import read_template

RADIUS_MM = 60.0  # scale of the linear part, so that all twelve parameters move points by comparable distances
WINDOW_MM = (
    10.0  # standard deviation of the window for local mean and contrast: wider than cortex, narrower than a lobe
)
FLOOR = 0.04  # of the white matter intensity: contrast below it is noise or background
MARGIN_MM = 6.0  # beyond the template brain, so that the edge of the brain counts
START_ANGLES_DEG = 25.0  # heads lie within about this tilt of the template
DAMPING = 1e-3


@dataclass(frozen=True)
class Level:
    """One resolution of the search: smoothing and point spacing in mm, and how often to step."""

    smooth_mm: float
    step_mm: int  # even: points lie on the template's 2 mm blocks
    iterations: int


LEVELS = (Level(4.0, 8, 60), Level(2.0, 4, 40), Level(1.5, 4, 20))
POLISH = 80  # at most so many undamped Gauss-Newton steps at the end; each leaves about three quarters of the error
SETTLED_MM = 1e-6


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
    ndarray of shape (4, 4)
        Scan millimetres (RAS) to MNI millimetres (RAS).

    Notes
    -----
    Both brains are normalised by local mean and local contrast, which makes the sum of squared differences behave as
    local correlation does (Cachier et al. 2003) and leaves it a Gauss-Newton problem. Twelve parameters, three
    levels of smoothing; the coarsest is started from seven head tilts and the best goes on.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    white = float(np.percentile(array[mask], 95))
    image = np.where(mask, array / max(white, 1e-6), 0).astype(np.float32)
    thin, thin_affine = _block_mean(image, affine, sizes)
    center_mm = affine[:3, :3] @ np.array([axis.mean() for axis in np.nonzero(mask)]) + affine[:3, 3]

    best: FloatArray | None = None
    for number, level in enumerate(LEVELS):
        fixed = _fixed(number)
        moving = _prepare(thin, thin_affine, level)
        if best is None:
            tries = [_descend(start, fixed, moving, level.iterations) for start in _starts(center_mm)]
            best = min(tries, key=lambda one: one[1])[0]
        else:
            best = _descend(best, fixed, moving, level.iterations)[0]
    assert best is not None
    for _ in range(POLISH):
        step = _solve(best, fixed, moving, damping=0.0)[0]
        best = best + step
        if np.abs(step).max() < SETTLED_MM:
            break
    mni_to_scan = np.eye(4)
    mni_to_scan[:3, :3] = best[:, :3] / RADIUS_MM
    mni_to_scan[:3, 3] = best[:, 3] - mni_to_scan[:3, :3] @ fixed.center
    return np.asarray(np.linalg.inv(mni_to_scan))


def _starts(center_mm: FloatArray) -> list[FloatArray]:
    """Upright and six tilted heads, centred on the brain: rows of (3 linear columns x RADIUS_MM, translation)."""
    angle = np.deg2rad(START_ANGLES_DEG)
    starts = [np.column_stack([np.eye(3) * RADIUS_MM, center_mm])]
    for axis in range(3):
        for turn in (angle, -angle):
            one, two = (axis + 1) % 3, (axis + 2) % 3
            rotation = np.eye(3)
            rotation[[one, two], [one, two]] = np.cos(turn)
            rotation[one, two], rotation[two, one] = -np.sin(turn), np.sin(turn)
            starts.append(np.column_stack([rotation * RADIUS_MM, center_mm]))
    return starts


def _descend(start: FloatArray, fixed: _Fixed, moving: _Moving, iterations: int) -> tuple[FloatArray, float]:
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
    return current, cost


def _solve(matrix: FloatArray, fixed: _Fixed, moving: _Moving, damping: float) -> tuple[FloatArray, float]:
    """Return the next step (3, 4) and the mean squared difference at `matrix`."""
    from scipy import ndimage

    basis = np.column_stack([fixed.points / RADIUS_MM, np.ones(len(fixed.points))])  # (N, 4)
    scan_mm = basis @ matrix.T
    voxels = (scan_mm @ moving.from_mm[:3, :3].T + moving.from_mm[:3, 3]).T
    value, *slopes = (
        ndimage.map_coordinates(channel, voxels, order=1, mode="constant", cval=0.0) for channel in moving.values
    )
    residual = fixed.values - value
    jacobian = np.einsum("nk,nb->nkb", np.stack(slopes, axis=1), basis).reshape(len(residual), 12)
    normal = jacobian.T @ jacobian
    normal[np.diag_indices(12)] += damping * np.diag(normal) + 1e-9
    step = np.linalg.solve(normal, jacobian.T @ residual)
    return step.reshape(3, 4), float(np.mean(residual**2))


@lru_cache(maxsize=len(LEVELS))
def _fixed(number: int) -> _Fixed:
    from scipy import ndimage

    level = LEVELS[number]
    t1, affine = read_template()
    brain = t1 > 0
    center = affine[:3, :3] @ np.array([axis.mean() for axis in np.nonzero(brain)]) + affine[:3, 3]
    white = float(np.percentile(t1[brain], 95))
    thin, thin_affine = _block_mean(t1 / white, affine, np.ones(3))
    normal = _normalise(thin, np.full(3, 2.0), level.smooth_mm)
    step = level.step_mm // 2
    outside_mm = ndimage.distance_transform_edt(thin[::step, ::step, ::step] <= 0, sampling=level.step_mm)
    chosen = np.argwhere(outside_mm <= MARGIN_MM) * step
    points = chosen @ thin_affine[:3, :3].T + thin_affine[:3, 3] - center
    return _Fixed(points=points, values=normal[tuple(chosen.T)].astype(np.float64), center=center)


def _prepare(image: FloatArray, affine: FloatArray, level: Level) -> _Moving:
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    # Room around the brain, so that windows and edges near the border of the array are whole.
    pad = [int(np.ceil(2 * MARGIN_MM / size)) for size in sizes]
    normal = _normalise(np.pad(image, [(count, count) for count in pad]), sizes, level.smooth_mm)
    to_mm = affine.copy()
    to_mm[:3, 3] -= affine[:3, :3] @ np.array(pad)
    from_mm = np.linalg.inv(to_mm)
    by_voxel = np.gradient(normal)
    by_mm = tuple(
        np.asarray(sum(from_mm[axis, mm] * by_voxel[axis] for axis in range(3)), dtype=np.float32) for mm in range(3)
    )
    return _Moving(values=(normal, *by_mm), from_mm=from_mm)


def _normalise(image: FloatArray, sizes_mm: FloatArray, smooth_mm: float) -> FloatArray:
    """Subtract the local mean and divide by the local standard deviation."""
    from scipy import ndimage

    def blur(values: FloatArray, sigma_mm: float) -> FloatArray:
        sigma = tuple(float(sigma_mm / size) for size in sizes_mm)
        return np.asarray(ndimage.gaussian_filter(values, sigma, mode="constant", truncate=3.0, output=np.float32))

    smooth = blur(np.asarray(image, dtype=np.float32), smooth_mm)
    mean = blur(smooth, WINDOW_MM)
    variance = np.maximum(blur(smooth**2, WINDOW_MM) - mean**2, 0)
    return np.asarray((smooth - mean) / np.sqrt(variance + FLOOR**2), dtype=np.float32)


def _block_mean(image: FloatArray, affine: FloatArray, sizes_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average blocks so that voxels are about 2 mm: finer detail is smoothed away at every level."""
    x, y, z = (max(1, int(2.2 // size)) for size in sizes_mm)
    padded = np.pad(image, [(0, -count % block) for count, block in zip(image.shape, (x, y, z), strict=True)])
    a, b, c = padded.shape[0] // x, padded.shape[1] // y, padded.shape[2] // z
    thin = padded.reshape(a, x, b, y, c, z).mean(axis=(1, 3, 5), dtype=np.float32)
    thin_affine = affine.copy()
    thin_affine[:3, :3] = affine[:3, :3] * np.array([x, y, z])
    thin_affine[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    return thin, thin_affine
