"""A known change of a scan: a region contracted, or grown, by a smooth displacement that ends a few millimetres round it.

A region of any shape is made smaller evenly, not drawn to one point: its tissue flows along a field whose divergence is the same all over the
region and nothing outside (the field of gravity has it, with the region as the mass). A ball so shrinks about its centre, a tube about
its own line, bent as it may be. Round the region the field fades out; that is where the surroundings are stretched over what
the region leaves. How long the tissue flows is solved for by measuring the volume, so what was asked for is what was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adclip.domain import BoolArray, FloatArray
from adclip.explanation.deformation import Deformation, Floats, to_window
from adclip.explanation.errors import impossible_factor, no_region

REACH_MM = (
    8.0  # the medial edge of a hippocampus is as far from the mid-plane: one side's change ends before the other side
)
LEAST_FACTOR, LARGEST_FACTOR = 0.1, 3.0
WITHIN, OF_CHANGE = 0.002, 0.05  # of the factor, and of what is to be lost or gained: the smaller of both is tolerated
MOST_TRIES = 25
STEPS = 8  # of fourth order, for a flow that halves a region or less; more for more
RIM = 0.25  # of the reach, or a voxel if that is less: as far out the field is whole
SMOOTHED_VOXELS = 0.7  # a mask's edge is a staircase, and no spectrum ends
UNMOVED_VOXELS = 1e-4  # what is moved by less is rounding, and stays


class Shrunk(NamedTuple):
    """An image with a changed region.

    Parameters
    ----------
    image : ndarray (X, Y, Z)
        In the unit and type of the image given, and equal to it bit for bit outside `moved`.
    region_after : ndarray (X, Y, Z), float32
        Share of each voxel, 0 to 1, that the regions fill now.
    moved : ndarray (X, Y, Z), bool
        Voxels that hold what lay elsewhere: the regions and their surroundings within reach.
    """

    image: FloatArray
    region_after: NDArray[np.float32]
    moved: BoolArray


def shrink(
    image: FloatArray,
    labels_or_mask: NDArray[Any] | Sequence[NDArray[Any]],
    spacing_mm: Sequence[float],
    factor: float,
    reach_mm: float = REACH_MM,
    brain: BoolArray | None = None,
) -> Shrunk:
    """Make a region of an image `factor` times as large; the surroundings follow, and nothing beyond reach changes.

    Parameters
    ----------
    image : ndarray (X, Y, Z)
        For example that of a prepared scan.
    labels_or_mask : ndarray (X, Y, Z), or several
        See `deform`.
    spacing_mm : sequence of float
        Size of voxels along X, Y, Z.
    factor : float
        Volume after over volume before, of each region; 1 gives the image back bit for bit.
    reach_mm : float
        As far from the region something moves.
    brain : ndarray (X, Y, Z), bool, optional
        Where the image is 0 outside the brain: its mask, so that it stays so.

    Returns
    -------
    Shrunk

    Raises
    ------
    InputError
        As `deform`.
    """
    done = deform(labels_or_mask, spacing_mm, factor, reach_mm)
    together = np.clip(np.sum(_regions(labels_or_mask), axis=0), 0, 1)
    return Shrunk(done.move(image, brain), done.carry(together), done.moved)


def deform(
    labels_or_mask: NDArray[Any] | Sequence[NDArray[Any]],
    spacing_mm: Sequence[float],
    factor: float,
    reach_mm: float = REACH_MM,
) -> Deformation:
    """Find the displacement that makes each region `factor` times as large.

    Parameters
    ----------
    labels_or_mask : ndarray (X, Y, Z), or several
        An integer array: every label but 0 is a region of its own, such as a left and a right hippocampus. A boolean or float one: a
        single region, as a share of each voxel from 0 to 1. Several of these in a sequence: a region each.
    spacing_mm : sequence of float
        Size of voxels along X, Y, Z.
    factor : float
        Volume after over volume before, from 0.1 to 3. The sum of the region carried along is within 0.2 % of it; counted otherwise, the volume of true hippocampi was within 1.2 % (docs/benchmarks.md).
    reach_mm : float
        As far from the region something moves, by the distance between voxel centres.

    Returns
    -------
    Deformation
        Without a fold: its Jacobian is positive everywhere.

    Raises
    ------
    InputError
        If there is no region, if the reach is shorter than one and a half voxels, or if no such displacement leads to the factor, as
        where a region would have to outgrow the reach.

    Notes
    -----
    The stationary velocity is w(x) v(x), with div v = -share of the region (up to what is smoothed at its edge), v the gradient of a potential found by FFT, and
    w a window that falls from 1 to 0 within reach. Flowing along a field is invertible, whatever the field (Arsigny et al. 2006,
    doi:10.1007/11866565_113). That an even loss can be told by the divergence is the thought of Karacali and Davatzikos 2006
    (doi:10.1109/TMI.2006.873221), whose method solves for a map with a prescribed Jacobian instead. The volume is measured on the region carried along and summed
    linearly; all regions flow together, and how long each does is corrected until each has its factor.
    """
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    regions = _regions(labels_or_mask)
    shape = regions[0].shape
    if not LEAST_FACTOR <= factor <= LARGEST_FACTOR:
        raise impossible_factor(factor, f"only {LEAST_FACTOR:g} to {LARGEST_FACTOR:g} times")
    if reach_mm < 1.5 * spacing.max():
        raise impossible_factor(factor, f"a reach of {reach_mm:g} mm is less than one and a half voxels")
    touched = np.argwhere(np.max(regions, axis=0) > 0)
    room = np.ceil(reach_mm / spacing).astype(int) + 2
    low = np.maximum(touched.min(axis=0) - room, 0)
    high = np.minimum(touched.max(axis=0) + room + 1, shape)
    window = to_window(low, high)
    identity = np.indices(tuple(high - low), dtype=np.float64)
    if factor == 1:
        return Deformation(window, identity, np.zeros(shape, bool), (1.0,) * len(regions))
    parts = [region[window].astype(np.float64) for region in regions]
    fields = [_velocity(part, spacing, reach_mm) for part in parts]
    free = np.any([field != 0 for field in fields], axis=(0, 1))
    before = [float(part.sum()) for part in parts]
    tolerated = min(WITHIN * factor, OF_CHANGE * abs(1 - factor))
    times = np.full(len(parts), -np.log(factor))
    for _ in range(MOST_TRIES):
        flow = np.tensordot(times, np.stack(fields), axes=1)
        places = _trace(identity, free, flow, float(np.abs(times).max()))
        obtained = np.array([_volume(part, places, free) / whole for part, whole in zip(parts, before, strict=True)])
        if np.abs(obtained - factor).max() <= tolerated:
            break
        times = times * np.clip(np.log(factor) / _away_from_zero(np.log(obtained), np.log(factor)), 0.5, 2.0)
    else:
        raise impossible_factor(factor, f"within {reach_mm:g} mm it becomes {obtained.tolist()[0]:.2f} times as large")
    far = np.abs(places - identity).max(axis=0) > UNMOVED_VOXELS
    places[:, ~far] = identity[:, ~far]
    moved = np.zeros(shape, bool)
    moved[window] = far
    done = Deformation(window, places, moved, tuple(obtained.tolist()))
    if (least := done.least_jacobian()) <= 0:
        raise impossible_factor(factor, f"the displacement would fold (smallest Jacobian {least:.2f})")
    return done


def _regions(labels_or_mask: NDArray[Any] | Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Return each region as the share of every voxel."""
    if isinstance(labels_or_mask, np.ndarray):
        if labels_or_mask.ndim == 3 and np.issubdtype(labels_or_mask.dtype, np.integer):
            codes = np.unique(labels_or_mask[labels_or_mask != 0]).tolist()
            given: list[NDArray[Any]] = [labels_or_mask == code for code in codes]
        else:
            given = [labels_or_mask]
    else:
        given = list(labels_or_mask)
    if not given:
        raise no_region("nothing is labelled")
    if len({one.shape for one in given}) > 1 or given[0].ndim != 3:
        raise no_region("masks are three-dimensional and of one shape")
    shares = [np.clip(np.asarray(one, dtype=np.float32), 0, 1) for one in given]
    if not all((share >= 0.5).any() for share in shares):
        raise no_region("no voxel is at least half filled by it")
    return shares


def _velocity(share: Floats, spacing: Floats, reach_mm: float) -> Floats:
    """Return the field (3, x, y, z) in voxels along which a region loses all of its volume at one rate: 1 in a unit of time."""
    from scipy.fft import fftfreq, irfftn, next_fast_len, rfftfreq, rfftn
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    sizes = [next_fast_len(2 * size, real=True) for size in share.shape]  # the field of the copies of an FFT is faint
    density = rfftn(gaussian_filter(share, SMOOTHED_VOXELS), sizes)
    axes = [2 * np.pi * fftfreq(size, step) for size, step in zip(sizes[:2], spacing[:2], strict=True)]
    axes.append(2 * np.pi * rfftfreq(sizes[2], spacing[2]))
    waves = np.meshgrid(*axes, indexing="ij", sparse=True)
    square = sum(wave**2 for wave in waves)
    square[0, 0, 0] = np.inf
    potential = density / square
    for axis, size in enumerate(sizes):
        if size % 2 == 0:  # the shortest wave has no direction: left from right could not be told by it
            np.moveaxis(waves[axis], axis, 0)[size // 2] = 0
    crop = tuple(slice(size) for size in share.shape)
    distance = distance_transform_edt(share < 0.5, sampling=spacing)
    rim = min(float(spacing.max()), RIM * reach_mm)
    x = np.clip((distance - rim) / (reach_mm - rim), 0, 1)
    fading = 1 - x**3 * (x * (6 * x - 15) + 10)  # smooth at both ends
    components = [irfftn(1j * wave * potential, sizes)[crop] * fading / step
                  for wave, step in zip(waves, spacing, strict=True)]  # fmt: skip
    return np.stack(components)


def _trace(identity: Floats, free: BoolArray, flow: Floats, longest: float) -> Floats:
    """Return where the content of each voxel was, a unit of time ago: upstream along `flow`, by Runge and Kutta's fourth order."""
    from scipy.ndimage import map_coordinates

    count = int(np.ceil(STEPS * max(1.0, longest / np.log(2))))
    step = 1 / count

    def back(at: Floats) -> Floats:
        return -np.stack([map_coordinates(component, at, order=1, mode="nearest") for component in flow])

    place = identity[:, free]
    for _ in range(count):
        one = back(place)
        two = back(place + step / 2 * one)
        three = back(place + step / 2 * two)
        four = back(place + step * three)
        place = place + step / 6 * (one + 2 * two + 2 * three + four)
    places = identity.copy()
    places[:, free] = place
    return places


def _volume(part: Floats, places: Floats, free: BoolArray) -> float:
    """Return how many voxels a region fills when it is carried along."""
    from scipy.ndimage import map_coordinates

    return float(map_coordinates(part, places[:, free], order=1, mode="nearest").sum() + part[~free].sum())


def _away_from_zero(found: Floats, wanted: float) -> Floats:
    """Return logarithms of the wanted sign: a region that did not change, or changed the wrong way, is to flow for longer."""
    return np.where(found * wanted > 0, found, wanted / 2)
