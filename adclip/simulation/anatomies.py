"""The heads that people are made from: the template, or label maps of real heads, as shares of tissue and of regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray, InputContract
from adclip.imaging.volumes.anatomy import REGION_CODES, average_onto, read_anatomy
from adclip.simulation.surroundings import draw_surroundings
from adclip.simulation.tissues import BRAIN_TISSUES, FOLDED, TISSUES, is_intracranial, tissue_of_code

if TYPE_CHECKING:
    from adclip.simulation.label_maps import LabelAnatomy

TEMPLATE = "template"
UNPAINTED = "unpainted"  # codes inside the skull that no tissue has: dark as air, and intracranial all the same
MARGIN = 6  # voxels around a tissue, more than its smoothing reaches
# Where deformations live: the whole brain in template space with room for it to grow. Apart from any model's grid, so that
# a person has one anatomy whatever the scan looks like.
SHAPE_GRID = InputContract(shape=(80, 88, 72), spacing_mm=(2.5, 2.5, 2.5), center_mm=(0.0, -17.0, 5.0))
# What the painter's grid holds, mm of template space: the brain with scalp, face and neck.
HEAD_BOX_MM = ((-98.0, 98.0), (-134.0, 114.0), (-140.0, 110.0))

HORN_PLEXUS_CODES = (137, 164)  # choroid plexus in the temporal horns, left and right: FreeSurfer gives it to the horns
PLEXUS_CODES = (
    136,
    163,
)  # that of the lateral ventricles in maps of SynthSeg's kind; FreeSurfer's own codes are 31 and 63
UNNAMED = 1  # what the template's labels leave unnamed inside the skull: fluid of the sulci, white matter
# Regions of the truth beyond the columns of reports: the medial temporal lobe's, and cortex as the atrophy patterns group it.
TRUTH_CODES: dict[str, tuple[int, ...]] = REGION_CODES | {
    "ventricles": REGION_CODES["ventricles"] + PLEXUS_CODES + HORN_PLEXUS_CODES,
    "amygdala_left": (18,),
    "amygdala_right": (54,),
    "inferior_lateral_ventricle_left": (5, HORN_PLEXUS_CODES[0]),
    "inferior_lateral_ventricle_right": (44, HORN_PLEXUS_CODES[1]),
    "parietal_left": (1008, 1010, 1023, 1025, 1029, 1031),
    "parietal_right": (2008, 2010, 2023, 2025, 2029, 2031),
    "frontal_left": (1003, 1027, 1028),
    "frontal_right": (2003, 2027, 2028),
}
# A temporal horn below this has no shape to enlarge: six voxels of `SHAPE_GRID`. The atlas has 49 mm3 on the left; the smallest of
# sixteen label maps has 120, all in template space. Where one side is below it, both are left out, so that no head has one horn only.
HORNS = ("inferior_lateral_ventricle_left", "inferior_lateral_ventricle_right")
LEAST_HORN_MM3 = 95.0


@dataclass(frozen=True)
class HeadMap:
    """A head as shares of tissue on a grid of template space.

    Parameters
    ----------
    affine : ndarray (4, 4)
        Voxel to template millimetres.
    tissues : tuple of str
        What the shares are of, in order.
    shares : ndarray (K, X, Y, Z), uint8
        Share of each tissue in a voxel, 255 = all of it; air is what is left.
    levels : dict
        T1 level relative to white matter of tissues that `tissues.TISSUES` does not have.
    inside : ndarray (X, Y, Z), uint8
        Share of a voxel that lies inside the skull, 255 = all of it: what counts as intracranial volume, whatever it is painted as.
    folded : bool
        Whether the borders of grey and white matter are an average of many brains, to be made one person's own.
    """

    affine: NDArray[np.float64]
    tissues: tuple[str, ...]
    shares: NDArray[np.uint8]
    levels: dict[str, float]
    inside: NDArray[np.uint8]
    folded: bool

    @property
    def spacing_mm(self) -> float:
        """Voxel size, the same along all axes."""
        return float(self.affine[0, 0])

    @property
    def brain(self) -> list[int]:
        """Places of the tissues inside the brain, CSF included."""
        return [index for index, name in enumerate(self.tissues) if name in BRAIN_TISSUES]


@dataclass(frozen=True)
class Head:
    """One anatomy to make people from.

    Parameters
    ----------
    name : str
        `template`, or the name of the label map.
    labels : ndarray (I, J, K), int16
        FreeSurfer codes, and `UNNAMED`.
    affine : ndarray (4, 4)
        Voxel of `labels` to template millimetres.
    icv_mm3 : float
        Intracranial volume in template space: of all voxels that `tissues.is_intracranial` names.
    measurable : frozenset of str
        Names of `TRUTH_CODES` whose labels are there; `HORNS` only where both are large enough to be changed.
    """

    name: str
    labels: NDArray[np.int16]
    affine: NDArray[np.float64]
    icv_mm3: float
    measurable: frozenset[str]
    outside: LabelAnatomy | None = None

    @property
    def intracranial(self) -> NDArray[np.bool_]:
        """Voxels inside the skull."""
        return is_intracranial(self.labels)

    def region(self, codes: tuple[int, ...]) -> NDArray[np.bool_]:
        """Voxels that carry one of `codes`."""
        table = np.zeros(int(self.labels.max()) + 2, dtype=bool)
        table[[code for code in codes if code < table.size]] = True
        mask: NDArray[np.bool_] = table[self.labels]
        return mask


@lru_cache(maxsize=1)
def template_head() -> Head:
    """Return the MNI152NLin2009aSym brain with the Desikan-Killiany regions.

    Its skull's inner wall is the edge of its brain mask: labels beyond are taken away, voxels within that have none are `UNNAMED`.
    """
    anatomy = read_anatomy()
    measurable = frozenset(TRUTH_CODES) - _small_horns(anatomy.labels, 1.0)
    labels = np.where(anatomy.brain, np.where(anatomy.labels > 0, anatomy.labels, UNNAMED), 0).astype(np.int16)
    return Head(TEMPLATE, labels, anatomy.affine, float(anatomy.brain.sum()), measurable)


@lru_cache(maxsize=12)
def read_head(path: Path | None) -> Head:
    """Return the head of a label map, or the template's where `path` is None."""
    if path is None:
        return template_head()
    from adclip.simulation.label_maps import prepare_label_map

    label_anatomy = prepare_label_map(path)
    voxel_mm3 = abs(float(np.linalg.det(label_anatomy.affine[:3, :3])))
    inside = is_intracranial(label_anatomy.labels)
    present = set(np.unique(label_anatomy.labels).tolist())
    needed = {name: set(codes) - {*HORN_PLEXUS_CODES, *PLEXUS_CODES} for name, codes in TRUTH_CODES.items()}
    extra = {name for name in set(TRUTH_CODES) - set(REGION_CODES) if needed[name] <= present}
    extra -= _small_horns(label_anatomy.labels, voxel_mm3)
    return Head(
        label_anatomy.name, label_anatomy.labels, label_anatomy.affine, float(inside.sum()) * voxel_mm3,
        frozenset(label_anatomy.measurable) | extra, label_anatomy,
    )  # fmt: skip


def _small_horns(labels: NDArray[np.int16], voxel_mm3: float) -> set[str]:
    """Name both temporal horns where one is too small to be changed."""
    smallest = min(float(np.isin(labels, TRUTH_CODES[name]).sum()) * voxel_mm3 for name in HORNS)
    return set(HORNS) if smallest < LEAST_HORN_MM3 else set()


def onto_shape_grid(head: Head, mask: NDArray[np.bool_]) -> FloatArray:
    """Return the share of each voxel of `SHAPE_GRID` that `mask` fills; smoothed so that volumes are kept."""
    where = np.nonzero(mask)
    if not where[0].size:
        return np.zeros(SHAPE_GRID.shape_xyz, dtype=np.float32)
    pad = 6  # voxels of room for the smoothing; the rest of the head would only cost time
    low = [max(int(axis.min()) - pad, 0) for axis in where]
    high = [int(axis.max()) + pad + 1 for axis in where]
    affine = head.affine.copy()
    affine[:3, 3] = head.affine[:3, :3] @ low + head.affine[:3, 3]
    return average_onto(mask[tuple(map(slice, low, high))].astype(np.float32), affine, SHAPE_GRID)


@lru_cache(maxsize=4)
def head_map(path: Path | None, spacing_mm: float) -> HeadMap:
    """Return a head's tissues on a grid of `spacing_mm`."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [low for low, _ in HEAD_BOX_MM]
    shape = tuple(int((high - low) / spacing_mm) + 1 for low, high in HEAD_BOX_MM)
    return _template_map(affine, shape) if path is None else _label_map(read_head(path), affine, shape)


def _template_map(affine: NDArray[np.float64], shape: tuple[int, ...]) -> HeadMap:
    anatomy = read_anatomy()

    def onto(array: NDArray[Any], order: int = 1) -> FloatArray:
        from scipy.ndimage import affine_transform, gaussian_filter

        matrix = np.linalg.inv(anatomy.affine) @ affine
        sigma = 0.45 * max(float(affine[0, 0]) - 1.0, 0.0)
        smooth = gaussian_filter(array.astype(np.float32), sigma) if sigma and order else array
        resampled: FloatArray = affine_transform(smooth, matrix[:3, :3], matrix[:3, 3], shape, order=order)
        return resampled

    brain, gray, white = onto(anatomy.brain), onto(anatomy.gray), onto(anatomy.white)
    shares: dict[str, FloatArray] = {name: np.zeros(shape, dtype=np.float32) for name in BRAIN_TISSUES}
    code_to_tissue = tissue_of_code()
    table = np.zeros(int(anatomy.labels.max()) + 1, dtype=np.int8)
    for code, name in code_to_tissue.items():
        if code < table.size and name not in (*FOLDED, "cerebellar_gray", "cerebellar_white"):
            table[code] = BRAIN_TISSUES.index(name)
    deep = onto(table[anatomy.labels], order=0)
    cerebellum = onto(np.isin(anatomy.labels, (7, 8, 46, 47)), order=0) > 0
    fluid = np.clip(brain - gray - white, 0, 1)
    ventricle = onto(np.isin(anatomy.labels, TRUTH_CODES["ventricles"]))
    tissue_share = np.clip(brain - fluid, 0, 1)
    for index, name in enumerate(BRAIN_TISSUES):
        if index and (where := (deep == index) & ~cerebellum).any():
            shares[name][where] = tissue_share[where]
    free = np.sum(list(shares.values()), axis=0) == 0
    for name, share, where in (
        ("cerebellar_gray", gray, free & cerebellum), ("cerebellar_white", white, free & cerebellum),
        ("cortex", gray, free & ~cerebellum), ("white", white, free & ~cerebellum),
    ):  # fmt: skip
        shares[name][where] += share[where]
    # the average's ventricles are blurred at the walls; the labels say where they are
    shares["csf"] = np.maximum(fluid, ventricle * brain)
    total = np.sum(list(shares.values()), axis=0)
    scale = np.where(total > 0, brain / np.maximum(total, 1e-6), 0)
    for name in shares:
        shares[name] *= scale
    for name, mask in draw_surroundings(brain, affine).items():
        shares[name] = shares.get(name, np.zeros(shape, dtype=np.float32)) + mask * (1 - brain)
    return _pack(affine, shares, {}, brain, folded=True)


def _label_map(head: Head, affine: NDArray[np.float64], shape: tuple[int, ...]) -> HeadMap:
    from scipy.ndimage import affine_transform, find_objects, gaussian_filter

    from adclip.simulation.label_maps import OUTSIDE_TISSUES

    matrix = np.linalg.inv(head.affine) @ affine
    sigma = 0.45 * max(float(affine[0, 0]) - 1.0, 0.0)
    code_to_tissue = tissue_of_code() | {code: name for code, (name, _) in OUTSIDE_TISSUES.items()}
    names = (*dict.fromkeys(code_to_tissue.values()), UNPAINTED)
    table = np.full(int(head.labels.max()) + 1, -1, dtype=np.int8)
    for code, name in code_to_tissue.items():
        if code < table.size:
            table[code] = names.index(name)
    table[is_intracranial(np.arange(table.size)) & (table < 0)] = names.index(UNPAINTED)
    classes = table[head.labels]
    shares = {}
    for (index, name), box in zip(enumerate(names), find_objects(classes + 1, len(names)), strict=True):
        if box is None:
            continue
        # only where the tissue is: smoothing the whole head for each would take most of the time
        room = [slice(max(extent.start - MARGIN, 0), extent.stop + MARGIN) for extent in box]
        mask = (classes[tuple(room)] == index).astype(np.float32)
        smooth = gaussian_filter(mask, sigma) if sigma else mask
        start = matrix[:3, 3] - [extent.start for extent in room]
        shares[name] = affine_transform(smooth, matrix[:3, :3], start, shape, order=1)
    levels = {name: level for name, level in OUTSIDE_TISSUES.values() if name not in TISSUES}
    inside = np.sum([share for name, share in shares.items() if name in (*BRAIN_TISSUES, UNPAINTED)], axis=0)
    shares.pop(UNPAINTED, None)
    return _pack(affine, shares, levels, inside, folded=False)


def _pack(
    affine: NDArray[np.float64],
    shares: dict[str, FloatArray],
    levels: dict[str, float],
    inside: FloatArray,
    *,
    folded: bool,
) -> HeadMap:
    names = tuple(name for name, share in shares.items() if share.max() > 0)
    stack = np.stack([_to_bytes(shares[name]) for name in names])
    return HeadMap(affine, names, stack, levels, _to_bytes(inside), folded)


def _to_bytes(share: FloatArray) -> NDArray[np.uint8]:
    return np.clip(np.round(share * 255), 0, 255).astype(np.uint8)
