"""Pseudo-rescans: one scan as another visit to the scanner would have shown it, made on the model's grid.

A true rescan of the same head differs in position, in the sensitivity of the coils, in contrast and in noise. Each is drawn here anew
and put on the prepared scan, so that preprocessing need not run again. NumPy and SciPy do it: MONAI's transforms would do the same, but
loading them takes most of the time of a whole raw scan (docs/explanation/decisions.md has the seconds).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from adclip.domain import BoolArray, FloatArray, InputContract
from adclip.prediction.prevalence import likeliest
from adclip.told import RescanRange

DEFAULT_COUNT = 8
SMALL_TOWER = 20_000_000  # parameters
FLIPS = "class_flips_between_rescans"

SHIFT_VOXELS = 0.5  # along each axis, at most
DEGREES = 2.0  # about any axis, at most
BIAS = 0.15  # of the smooth field, from its middle to its ends, at most
GAIN = 0.03  # standard deviations: of the scale, which percentiles leave as it is but for this
LOG_GAMMA = 0.05  # and of the contrast between tissues
NOISE = (
    0.008,
    0.03,
)  # of the brain's range: the levels of the simulator's mild scanners (`adclip.simulation.paint.LOOKS`)


def default_count(*, is_raw: bool, device_type: str, tower_parameters: int) -> int:
    """Return how many pseudo-rescans are made where nobody said: `DEFAULT_COUNT` where they are cheap beside the rest, else none.

    A rule, and no clock, so that the same scan gets the same record on a busy machine. A raw scan is prepared for seconds before the
    network sees it; a prepared scan costs little but the network's one pass, and eight more would multiply it.

    Parameters
    ----------
    is_raw : bool
        Whether the scan was prepared just now.
    device_type : str
        `cpu`, `cuda` or `mps`.
    tower_parameters : int
        Of the image tower.
    """
    return DEFAULT_COUNT if is_raw and (device_type != "cpu" or tower_parameters <= SMALL_TOWER) else 0


def pseudo_rescans(
    image: FloatArray, mask: BoolArray, contract: InputContract, count: int, seed: int = 0
) -> Iterator[NDArray[np.float32]]:
    """Make pseudo-rescans of one prepared scan, one after the other.

    Parameters
    ----------
    image : ndarray (X, Y, Z)
        Intensities in [0, 1], 0 outside the brain.
    mask : ndarray (X, Y, Z)
        The brain.
    contract : InputContract
        For the size of voxels.
    count : int
        How many.
    seed : int
        Another seed draws others. The rest of the draw is the scan itself, so that one scan has the same rescans in every process.

    Yields
    ------
    ndarray (X, Y, Z), float32
        In [0, 1], 0 outside the moved brain.

    Notes
    -----
    Moved by up to half a voxel along each axis and turned by up to 2 degrees about a random one, by cubic splines, as linear ones would
    blur, which no scanner does; times a smooth field (a random quadratic of place); gain and gamma; Rician noise (Gudbjartsson and Patz
    1995, doi:10.1002/mrm.1910340618).
    """
    from scipy.ndimage import spline_filter

    values = np.ascontiguousarray(image, dtype=np.float32)
    brain = np.asarray(mask, dtype=np.float32)
    draw = np.random.default_rng([seed, *hashlib.sha256(values.tobytes()).digest()])
    waves = spline_filter(values, order=3, output=np.float32)
    for _ in range(count):
        yield _rescan(waves, brain, contract, draw)


def _rescan(
    waves: NDArray[np.float32], brain: NDArray[np.float32], contract: InputContract, draw: np.random.Generator
) -> NDArray[np.float32]:
    from scipy.ndimage import affine_transform

    matrix, offset = _movement(brain.shape, contract, draw)
    moved = affine_transform(waves, matrix, offset, order=3, prefilter=False, output=np.float32)
    inside = affine_transform(brain, matrix, offset, order=1, output=np.float32) > 0.5
    field, gain = _field(brain.shape, draw), 1 + GAIN * _standard(draw)
    gamma, level = np.exp(LOG_GAMMA * _standard(draw)), draw.uniform(*NOISE)
    noise = draw.normal(0, level, (2, *brain.shape))
    shaded = np.clip(moved, 0, 1) ** gamma * gain * field
    measured = np.hypot(shaded + noise[0], noise[1])
    return np.where(inside, np.clip(measured, 0, 1), 0).astype(np.float32)


def _movement(
    shape: Sequence[int], contract: InputContract, draw: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return matrix (3, 3) and offset (3,) in voxels, about the middle of the grid, that say where each voxel comes from."""
    from scipy.spatial.transform import Rotation

    spacing = np.array(contract.spacing_xyz_mm)
    axis = draw.normal(size=3)
    angle = np.deg2rad(draw.uniform(0, DEGREES))
    turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    matrix = turn * spacing[None, :] / spacing[:, None]
    middle = (np.array(shape) - 1) / 2
    shift = draw.uniform(-SHIFT_VOXELS, SHIFT_VOXELS, 3)
    return matrix, middle + shift - matrix @ middle


def _field(shape: Sequence[int], draw: np.random.Generator) -> NDArray[np.float64]:
    """Return a field about 1 that is a random quadratic of place."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij", sparse=True)
    weights = draw.normal(size=9)
    terms = (x, y, z, x * x, y * y, z * z, x * y, x * z, y * z)
    field: NDArray[np.float64] = np.zeros(tuple(shape))
    for weight, term in zip(weights, terms, strict=True):
        field = field + weight * term
    field = 2 * (field - field.min()) / max(float(np.ptp(field)), 1e-12) - 1
    return 1 + draw.uniform(0, BIAS) * field


def _standard(draw: np.random.Generator) -> float:
    # beyond two standard deviations lies what a technician would scan again
    return float(np.clip(draw.normal(), -2, 2))


def to_range(present: Mapping[str, float], again: Sequence[Mapping[str, float]]) -> RescanRange:
    """Say what pseudo-rescans made of an answer.

    Parameters
    ----------
    present : mapping of str to float
        Class -> probability of the scan itself.
    again : sequence of mapping
        The same of each pseudo-rescan.

    Returns
    -------
    RescanRange
        The scan itself is within it: a range that leaves out the printed number would look like a slip.
    """
    label = likeliest(present)
    found = [present[label], *(one[label] for one in again)]
    kept = sum(likeliest(one) == label for one in again)
    return RescanRange(min(found), max(found), kept, len(again))
