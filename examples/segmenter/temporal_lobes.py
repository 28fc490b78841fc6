"""Both temporal lobes of every label map, and painted, degraded scans of them: what the medial temporal network learns from.

After SynthSeg (Billot et al. 2023, doi:10.1016/j.media.2023.102789). Added are the ways in which old brains differ: hippocampus,
amygdala, temporal horn and ventricles change size apart from each other, lost tissue may turn into fluid at its rim, and the
cortex around becomes thin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from heads import velocity
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from adclip.imaging.steps.register import register_affine
from adclip.imaging.volumes.medial_temporal import BOX, SIDE, to_level

Pair = tuple[NDArray[np.float32], NDArray[np.int64]]

# medial_temporal.CLASSES by FreeSurfer code; choroid plexus (136, 137, 163, 164) counts as the ventricle it lies in, as in
# SynthSeg's own `synthseg_segmentation_labels.npy`.
CODES: dict[int, tuple[int, ...]] = {
    1: (3, 42),
    2: (2, 41, 25, 57),
    3: (24,),
    4: (4, 43, 136, 163),
    5: (5, 44, 137, 164),
    6: (17, 53),
    7: (18, 54),
    8: (10, 11, 12, 13, 26, 28, 49, 50, 51, 52, 58, 60),
}
CORTEX, CSF, VENTRICLE, HORN, HIPPOCAMPUS, AMYGDALA = 1, 3, 4, 5, 6, 7
# Sides whose labels are wrong. Map 07: most of its left hippocampus is labelled as cortex, white matter and csf.
WRONG_SIDES = frozenset({("training_seg_07.nii.gz", "left")})
PAD = 4  # voxels of the box painted beyond each face, for blur and turned slices
ROOM = 16  # voxels kept around the box in the label map, for deformations
FIELD_STEP = 3  # as in `heads.velocity`
DRIVEN = ((HIPPOCAMPUS,), (AMYGDALA,), (HORN,), (VENTRICLE,))
# ln of a volume changes by about this much between the ends: what separates the smallest from the largest in old people
CHANGES = ((-0.95, 0.55), (-0.6, 0.5), (-0.6, 1.8), (-0.6, 0.8))
STEPS = 3
FLUID_PAINT = 1  # SynthSeg's intensity class of csf and ventricles
GRID = (SIDE, 64, 56)


@dataclass(frozen=True)
class Lobe:
    """One side of one label map, on the map's own 1 mm grid.

    Parameters
    ----------
    name, side : str
        File of the label map; `left` or `right`.
    classes, paint : ndarray (X, Y, Z), uint8
        `medial_temporal.CLASSES`, and the intensity class of SynthSeg's T1 prior.
    outside_mm : ndarray (X, Y, Z), float32
        Distance from the brain.
    fields : ndarray (4, 3, x, y, z), float32
        Velocities in voxels that make each of `DRIVEN` grow, on every third voxel.
    to_voxel : ndarray (4, 4)
        Millimetres of the right half box (the left side mirrored) to voxels.
    """

    name: str
    side: str
    classes: NDArray[np.uint8]
    paint: NDArray[np.uint8]
    outside_mm: NDArray[np.float32]
    fields: NDArray[np.float32]
    to_voxel: NDArray[np.float64]


def read_lobes(path: Path, meta: Path) -> list[Lobe]:
    """Read a label map, align it as adclip aligns a scan (by a painted T1 image of its brain), and cut out both sides."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(path))
    codes = np.asarray(image.dataobj).astype(np.int64)
    affine = np.asarray(image.affine, dtype=np.float64)
    paint_of, class_of = np.zeros(1000, np.uint8), np.zeros(1000, np.uint8)
    paint_of[np.load(meta / "generation_labels.npy")] = np.load(meta / "generation_classes_contrast_specific.npy")
    for number, members in CODES.items():
        class_of[list(members)] = number
    brain = (codes > 0) & (codes < 500) & (codes != 24)
    solid = ndimage.binary_closing(np.pad(brain, 8), iterations=4)[8:-8, 8:-8, 8:-8]
    outside_mm = ndimage.distance_transform_edt(~solid).astype(np.float32)
    means = np.load(meta / "prior_means_t1.npy")[0]
    mask = outside_mm <= 2
    paint, classes = paint_of[codes], class_of[codes]
    painted = ndimage.gaussian_filter(np.where(mask & (codes > 0), means[paint], 0).astype(np.float32), 0.5)
    to_mni = register_affine(painted, affine, mask) @ affine
    corners = np.array(
        np.meshgrid(*[(low, low + size - 1) for low, size in zip(_low_mm(), GRID, strict=True)], indexing="ij")
    )
    lobes = []
    for side, sign in (("right", 1.0), ("left", -1.0)):
        if (path.name, side) in WRONG_SIDES:
            continue
        to_voxel = np.linalg.inv(to_mni) @ np.diag([sign, 1, 1, 1])
        at = np.einsum("ij,j...->i...", to_voxel[:3, :3], corners).reshape(3, -1) + to_voxel[:3, 3:]
        low = np.maximum(np.floor(at.min(axis=1)).astype(int) - ROOM, 0)
        high = np.minimum(np.ceil(at.max(axis=1)).astype(int) + ROOM + 1, codes.shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        own = classes[window]
        side_of = np.einsum(
            "i,ixyz->xyz", (np.diag([sign, 1, 1, 1]) @ to_mni)[0, :3], np.indices(own.shape) + low[:, None, None, None]
        )
        own_side = side_of + sign * to_mni[0, 3] > 0
        fields = np.stack([velocity(np.isin(own, members) & own_side, solid[window]) for members in DRIVEN])
        to_voxel = to_voxel.copy()
        to_voxel[:3, 3] -= low
        lobes.append(Lobe(path.name, side, own, paint[window], outside_mm[window], fields, to_voxel))
    return lobes


def _low_mm() -> NDArray[np.float64]:
    """MNI millimetres of the right half box's first voxel."""
    low = BOX.affine_xyz[:3, 3].copy()
    low[0] += BOX.shape_xyz[0] - SIDE
    return np.asarray(low, dtype=np.float64)


class Painter:
    """Draws training pairs.

    Parameters
    ----------
    meta : Path
        Folder with SynthSeg's T1 intensity priors.
    plain : bool
        Whether to leave out what only training needs: atrophy, strong deformation and odd contrast. For validation.
    """

    def __init__(self, meta: Path) -> None:
        self._means = np.load(meta / "prior_means_t1.npy")
        self._stds = np.load(meta / "prior_stds_t1.npy")
        low = _low_mm() - PAD
        axes = [start + np.arange(size + 2 * PAD) for start, size in zip(low, GRID, strict=True)]
        self._points = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
        self._center = self._points.reshape(3, -1).mean(axis=1)

    def draw(self, lobe: Lobe, rng: np.random.Generator, scans: int = 1, *, natural: bool = False) -> list[Pair]:
        """Return `scans` pairs of one deformed lobe, each painted and scanned anew.

        Parameters
        ----------
        lobe : Lobe
        rng : Generator
        scans : int
        natural : bool
            Whether the lobe keeps its own shape: moved a little as a whole, nothing shrunk, grown or lost.

        Returns
        -------
        list of (ndarray (48, 64, 56) as `to_level` gives it, ndarray of the same shape)
            Intensities and classes.
        """
        voxels = self._place(lobe, rng, natural=natural)
        classes = _sample(lobe.classes.astype(np.float32), voxels, "nearest").astype(np.uint8)
        paint = _sample(lobe.paint.astype(np.float32), voxels, "nearest").astype(np.uint8)
        outside = _sample(lobe.outside_mm, voxels, "bilinear")
        if rng.random() < 0.6 and not natural:
            _lose_rims(classes, paint, rng)
        if rng.random() < 0.25 and not natural:
            _lose_parts(classes, paint, rng)
        inner = (slice(PAD, -PAD),) * 3
        truth = classes[inner].astype(np.int64)
        return [(to_level(self._scan(classes, paint, outside, rng)), truth) for _ in range(scans)]

    def _place(self, lobe: Lobe, rng: np.random.Generator, *, natural: bool) -> NDArray[np.float32]:
        """Voxel of the lobe that each point of the padded box shows: another pose, another shape, more or less atrophy."""
        angles, scales = rng.normal(0, 0.06, 3), np.exp(rng.normal(0, 0.06, 3) + rng.normal(0, 0.04))
        shear = np.eye(3) + np.triu(rng.normal(0, 0.03, (3, 3)), 1)
        matrix = _rotation(angles) @ np.diag(scales) @ shear
        if natural:
            matrix = _rotation(angles / 2)
        moved = np.einsum("ij,jxyz->ixyz", matrix, self._points - self._center[:, None, None, None])
        moved += (self._center + rng.normal(0, 2.5, 3))[:, None, None, None]
        shape = moved.shape[1:]
        for spacing, size in (
            () if natural else ((36, rng.uniform(0, 3.5)), (16, rng.uniform(0, 1.5)), (9, rng.uniform(0, 0.5)))
        ):
            coarse = rng.normal(0, size, (1, 3, *(n // spacing + 3 for n in shape)))
            moved = moved + _enlarge(coarse, shape)
        voxels = np.einsum("ij,jxyz->ixyz", lobe.to_voxel[:3, :3], moved) + lobe.to_voxel[:3, 3][:, None, None, None]
        voxels = voxels.astype(np.float32)
        if natural:
            return voxels
        shared = rng.normal(0, 0.25) if rng.random() < 0.5 else 0.0  # in half the lobes some of the loss is common
        grown = sum(
            np.float32(rng.uniform(*span) + (shared if number < 2 else -2 * shared)) * field
            for number, (span, field) in enumerate(zip(CHANGES, lobe.fields, strict=True))
        )
        # small steps keep large changes from folding; the fields are smooth, so every second point is enough
        start = here = voxels[:, ::2, ::2, ::2]
        for _ in range(STEPS):
            here = here - _sample(np.asarray(grown) / STEPS, here / FIELD_STEP, "bilinear")
        # the thin grid's points lie at 0, 2, 4 ...: enlarged to an odd number of voxels they stay there
        odd = tuple(2 * n - 1 for n in here.shape[1:])
        moved_by = _enlarge((here - start)[None], odd)
        moved_by = np.pad(moved_by, [(0, 0), *((0, n - m) for n, m in zip(shape, odd, strict=True))], mode="edge")
        return voxels + moved_by

    def _paint(
        self, classes: NDArray[np.uint8], paint: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        count = self._means.shape[1]
        kind = rng.random()
        wide = 1.2 if kind < 0.45 else 2.2
        means = np.maximum(self._means[0] + wide * self._means[1] * rng.normal(size=count), 0)
        stds = np.maximum(self._stds[0] + self._stds[1] * rng.normal(size=count), 0) * rng.uniform(0.05, 0.7)
        if kind > 0.75:  # any order of tissues that a T1 scan can have: fluid, grey, white
            means = rng.uniform(0, 160, count)
            fluid, gap, step = rng.uniform(0, 60), rng.uniform(15, 90), rng.uniform(8, 70)
            means[1], means[3], means[2] = fluid, fluid + gap, fluid + gap + step
            for other in (7, 8, 9):  # putamen, pallidum, ventral diencephalon
                means[other] = fluid + gap + step * rng.uniform(-0.2, 1.1)
            means[12] = fluid + gap * rng.uniform(0, 1)  # choroid plexus
        if kind > 0.92:
            means = rng.uniform(0, 200, count)
        spread = abs(means[2] - means[3]) + 5
        image = means.astype(np.float32)[paint]
        for structure in (HIPPOCAMPUS, AMYGDALA, CORTEX, HORN):  # neighbours of one paint class are not equally bright
            image[classes == structure] += np.float32(rng.normal(0, 0.12 * spread))
        rough = _enlarge(rng.normal(0, 1, (1, 1, *(n // 4 + 2 for n in paint.shape))), paint.shape)[0]
        fine = torch.randn(paint.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**31)))).numpy()
        image = image + stds.astype(np.float32)[paint] * (fine + np.float32(rng.uniform(0, 1.5)) * rough)
        return np.maximum(image, 0)

    def _scan(
        self, classes: NDArray[np.uint8], paint: NDArray[np.uint8], outside_mm: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Be a scanner, then adclip's own steps: turned voxels of some size, bias, noise, mask, one resampling."""
        image = self._paint(classes, paint, rng)
        top = float(np.percentile(image, 99)) + 1e-3
        kind = rng.random()
        if kind < 0.3:
            sizes = np.full(3, rng.uniform(0.8, 1.2))
        elif kind < 0.65:
            sizes = np.full(3, rng.uniform(1.2, 2.3))
        else:
            sizes = np.full(3, rng.uniform(0.8, 1.4))
            sizes[rng.integers(3)] = rng.uniform(1.2, 3.2)
        sigma = np.sqrt((0.4 * sizes) ** 2 + rng.uniform(0, 0.6) ** 2)
        image = ndimage.gaussian_filter(image, sigma, truncate=2.5)
        if rng.random() < 0.15:  # motion: the head at two places
            image = image + rng.uniform(0.1, 0.5) * ndimage.shift(image, rng.normal(0, 0.8, 3), order=1, mode="nearest")
        turn = _rotation(rng.normal(0, 0.15, 3))
        extent = np.abs(turn) @ np.array(image.shape)
        shape = np.ceil(extent / sizes).astype(int) + 2
        middle_in, middle_out = (np.array(image.shape) - 1) / 2, (shape - 1) / 2 + rng.uniform(-0.5, 0.5, 3)
        index = np.indices(shape, dtype=np.float32)
        at = np.einsum("ij,jxyz->ixyz", turn.T * sizes[None, :], index - middle_out[:, None, None, None])
        acquired = _sample(image, at.astype(np.float32) + middle_in[:, None, None, None], "bilinear", "border")
        strength = rng.uniform(0, 0.25)
        acquired = acquired * np.exp(_enlarge(rng.normal(0, strength, (1, 1, 3, 3, 3)), tuple(shape))[0])
        noise = rng.uniform(0, 0.06) * top
        sides = torch.randn((2, *shape), generator=torch.Generator().manual_seed(int(rng.integers(2**31)))).numpy()
        acquired = np.hypot(acquired + noise * sides[0], noise * sides[1]).astype(np.float32)
        inner = (slice(PAD, -PAD),) * 3
        box = np.indices(classes.shape, dtype=np.float32)[(slice(None), *inner)] - middle_in[
            :, None, None, None
        ].astype(np.float32)
        back = np.einsum("ij,jxyz->ixyz", turn / sizes[:, None], box) + middle_out[:, None, None, None]
        result = _sample(acquired, back.astype(np.float32), "bilinear", "border")
        if rng.random() < 0.7:
            near = outside_mm[inner]
            edge = _enlarge(
                rng.normal(0, rng.uniform(0.2, 1.2), (1, 1, *(n // 10 + 2 for n in near.shape))), near.shape
            )[0]
            result = np.where(near < rng.uniform(0.5, 3.5) + edge, result, 0)
        peak = float(result.max()) + 1e-6
        return np.asarray((result / peak) ** np.exp(rng.normal(0, 0.2)) * peak, dtype=np.float32)


def _lose_rims(classes: NDArray[np.uint8], paint: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Turn the rim of hippocampus, amygdala or cortex into the fluid beside it, in patches, up to 2 mm deep."""
    for structure, chance, deepest in ((HIPPOCAMPUS, 0.6, 1.7), (AMYGDALA, 0.4, 1.6), (CORTEX, 0.3, 1.3)):
        if rng.random() > chance:
            continue
        mask = classes == structure
        if not mask.any():
            continue
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        room = tuple(slice(max(one.start - 3, 0), one.stop + 3) for one in box)
        inside = mask[room]
        near_classes = classes[room]
        fluid = np.isin(near_classes, (CSF, HORN, VENTRICLE))
        if not fluid.any():
            continue
        depth, nearest = ndimage.distance_transform_edt(~fluid, return_indices=True)
        loss = rng.uniform(0.3, deepest) * (
            1 + _enlarge(rng.normal(0, 0.6, (1, 1, *(n // 12 + 2 for n in inside.shape))), inside.shape)[0]
        )
        lost = inside & (depth < loss)
        near_classes[lost] = near_classes[tuple(nearest)][lost]
        paint[room][lost] = FLUID_PAINT


def _lose_parts(classes: NDArray[np.uint8], paint: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Turn a part of the hippocampus or the amygdala, now and then all of it, into fluid wherever it lies.

    Nobody has such a brain but after surgery or a stroke. A network that never saw one finds a hippocampus where there is none.
    """
    structure = HIPPOCAMPUS if rng.random() < 0.75 else AMYGDALA
    voxels = np.argwhere(classes == structure)
    if not len(voxels):
        return
    center = voxels[rng.integers(len(voxels))] + rng.normal(0, 2.0, 3)
    distance = np.sqrt((((voxels - center) * np.exp(rng.normal(0, 0.3, 3))) ** 2).sum(axis=1))
    reach = 100.0 if rng.random() < 0.15 else rng.uniform(2, 14)
    lost = tuple(voxels[distance < reach].T)
    classes[lost], paint[lost] = HORN, FLUID_PAINT


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[one, two], [one, two]] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def _enlarge(array: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.float32]:
    tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return functional.interpolate(tensor, size=tuple(int(n) for n in shape), mode="trilinear", align_corners=True)[
        0
    ].numpy()


def _sample(
    array: NDArray[np.generic], voxels: NDArray[np.generic], mode: str, beyond: str = "zeros"
) -> NDArray[np.float32]:
    """Read `array` (X, Y, Z) or (C, X, Y, Z) at voxel coordinates (3, ...)."""
    size = np.array(array.shape[-3:], dtype=np.float32)[:, None, None, None]
    grid = ((voxels + 0.5) * 2 / size - 1).astype(np.float32)
    grid = torch.from_numpy(np.ascontiguousarray(np.moveaxis(grid[::-1], 0, -1)))[None]
    source = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    source = source[None] if array.ndim == 4 else source[None, None]
    found = functional.grid_sample(source, grid, mode=mode, padding_mode=beyond, align_corners=False)[0].numpy()
    return found if array.ndim == 4 else found[0]
