"""Finer maps where patches are coarse: the scan moved by parts of a patch, or parts of the hottest patches replaced. Either costs passes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from adclip.explanation.attribution import Attribution, to_attribution
from adclip.explanation.explained import Explained
from adclip.explanation.methods import METHODS
from adclip.explanation.relevance import Relevance, enlarge

SHIFT = 0.25  # of a patch, to either side along each axis
HOTTEST = 8  # patches that are looked at again
PARTS = 2  # of a patch along each axis


def attribute_finer(explained: Explained, method: str, finer: str, anew: Callable[[Tensor], Explained]) -> Attribution:
    """Explain one scan with a map finer than its patches.

    Parameters
    ----------
    explained : Explained
    method : str
    finer : str
        `none`; `shifts`: the mean of the maps of eight versions of the scan, each moved by a quarter of a patch along every axis and its map
        moved back, which costs eight maps; `occlusion`: the relevance of the `HOTTEST` patches that are known by patch alone is shared out
        among their eight parts by what the number loses when a part is that of the reference, which costs 64 passes.
    anew : callable
        Makes the `Explained` of another image of the same person.
    """
    found = METHODS[method](explained)
    if finer == "none" or found.by_patch is None or found.is_flat:
        return to_attribution(explained, method, found)
    if finer == "shifts":
        return to_attribution(explained, method, _by_shifts(explained, method, anew), patch_parts=PARTS)
    return to_attribution(explained, method, _by_occlusion(explained, found), patch_parts=PARTS)


def passes(finer: str) -> int:
    """Return how many more passes through the network a finer map takes, the method's own not counted."""
    return {"none": 0, "shifts": PARTS**3, "occlusion": HOTTEST * PARTS**3}[finer]


def _by_shifts(explained: Explained, method: str, anew: Callable[[Tensor], Explained]) -> Relevance:
    shape = tuple(explained.image.shape[2:])
    steps = [round(SHIFT * size / count) for size, count in zip(shape, explained.grid, strict=True)]
    total = torch.zeros(shape)
    for signs in product((-1, 1), repeat=3):
        by = [sign * step for sign, step in zip(signs, steps, strict=True)]
        one = METHODS[method](anew(moved(explained.image, by)))
        share = torch.tensor(one.grid).prod() / torch.tensor(shape).prod()
        voxels = torch.zeros(shape)
        if one.by_patch is not None:
            voxels = voxels + enlarge(one.by_patch.float().cpu() * share, shape)  # type: ignore[arg-type]  # three of them
        if one.by_voxel is not None:
            voxels = voxels + one.by_voxel.float().cpu()
        total += moved(voxels[None, None], [-step for step in by])[0, 0]
    return Relevance(explained.grid, None, total / 2**3)


def _by_occlusion(explained: Explained, found: Relevance) -> Relevance:
    """Share the coarse part of the hottest patches out among their parts; what all parts of a patch lose together keeps its sum."""
    assert found.by_patch is not None
    shape = tuple(explained.image.shape[2:])
    patch = [size // count for size, count in zip(shape, explained.grid, strict=True)]
    by_patch = found.by_patch.float().cpu()
    voxels = enlarge(by_patch / float(torch.tensor(patch).prod()), shape)  # type: ignore[arg-type]
    hottest = by_patch.abs().flatten().argsort(descending=True)[:HOTTEST].tolist()
    with torch.no_grad():
        whole = float(explained.of_images(explained.image)[0])
    for place in hottest:
        corner = [
            int(index) * size
            for index, size in zip(torch.unravel_index(torch.tensor(place), explained.grid), patch, strict=True)
        ]
        boxes = [_part(corner, patch, part) for part in product(range(PARTS), repeat=3)]
        versions = explained.image.repeat(len(boxes), 1, 1, 1, 1)
        for version, box in zip(versions, boxes, strict=True):
            version[0][box] = explained.reference[0, 0][box]
        with torch.no_grad():
            numbers = torch.cat([explained.of_images(some) for some in versions.split(explained.at_once)])
        lost = (whole - numbers.float().cpu()) * by_patch.flatten()[place].sign()
        shares = lost.clamp(min=0)
        if float(shares.sum()) <= 0:
            continue  # the parts say nothing of this patch: it stays as it is
        for share, box in zip((shares / shares.sum()).tolist(), boxes, strict=True):
            voxels[box] = by_patch.flatten()[place] * share / voxels[box].numel()
    return Relevance(
        found.grid, None, voxels if found.by_voxel is None else voxels + found.by_voxel.float().cpu(), found.roads
    )


def _part(corner: list[int], patch: list[int], part: tuple[int, ...]) -> tuple[slice, ...]:
    box = []
    for start, size, place in zip(corner, patch, part, strict=True):
        edges = [start + size * edge // PARTS for edge in range(PARTS + 1)]
        box.append(slice(edges[place], edges[place + 1]))
    return tuple(box)


def moved(image: Tensor, by: list[int]) -> Tensor:
    """Return an image (1, 1, D, H, W) moved by whole voxels; nothing comes in from beyond its border."""
    result = image
    for axis, step in enumerate(by, start=2):
        if step:
            result = torch.roll(result, step, dims=axis)
            gone = slice(0, step) if step > 0 else slice(step, None)
            index = [slice(None)] * 5
            index[axis] = gone
            result[tuple(index)] = 0
    return result
