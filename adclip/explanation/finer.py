"""Finer maps where patches are coarse: the scan moved by parts of a patch, or parts of the hottest patches replaced. Either costs passes."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from adclip.explanation.attribution import Attribution, resolution_of, to_attribution
from adclip.explanation.explained import Explained
from adclip.explanation.methods import METHODS
from adclip.explanation.relevance import Relevance, enlarge

SHIFT = 0.25  # of a patch, to either side along each axis
HOTTEST = 8  # patches that are looked at again
PARTS = 2  # of a patch along each axis


def attribute_finer(explained: Explained, method: str, finer: str) -> Attribution:
    """Explain one scan with a map that hangs less on where its patches lie, or is finer than they are.

    Parameters
    ----------
    explained : Explained
    method : str
    finer : str
        `none`; `shifts`: the mean of the maps of eight versions of the scan, each moved by a quarter of a patch along every axis and its map
        moved back, which costs eight maps: borders of patches no longer decide where something seems to lie, but nothing smaller than a patch is
        told apart; `occlusion`: the relevance of the `HOTTEST` patches that are known by patch alone is shared out
        among their eight parts by what the number loses when a part is that of the reference, which costs 64 passes.
    """
    found = METHODS[method](explained)
    if finer == "none" or found.by_patch is None or found.is_flat:
        return to_attribution(explained, method, found)
    patch_mm, finest_mm = resolution_of(explained, found)
    half_mm, _ = resolution_of(explained, found, PARTS)
    if finer == "shifts":
        return to_attribution(explained, method, _by_shifts(explained, method), (patch_mm, finest_mm))
    # most patches are not looked at again, and stay as coarse as they were
    return to_attribution(explained, method, _by_occlusion(explained, found), (patch_mm, min(half_mm, finest_mm)))


def _by_shifts(explained: Explained, method: str) -> Relevance:
    """Average the maps of moved scans; the reference moves with the scan, or the movement itself would be explained."""
    shape: tuple[int, int, int] = explained.predictor.record.model.contract.shape
    steps = [round(SHIFT * size / count) for size, count in zip(shape, explained.grid, strict=True)]
    ways = list(product((-1, 1), repeat=3))
    total, roads = torch.zeros(shape), dict[str, float]()
    for signs in ways:
        by = [sign * step for sign, step in zip(signs, steps, strict=True)]
        image, reference = moved(explained.image, by), moved(explained.reference, by)
        one = METHODS[method](Explained(explained.predictor, image, explained.evidence, explained.target, reference))
        voxels = torch.zeros(shape)
        if one.by_patch is not None:
            voxels = voxels + enlarge(one.by_patch.float().cpu() * one.by_patch.numel() / voxels.numel(), shape)
        if one.by_voxel is not None:
            voxels = voxels + one.by_voxel.float().cpu()
        total += moved(voxels[None, None], [-step for step in by])[0, 0]
        for name, share in one.roads.items():
            roads[name] = roads.get(name, 0.0) + share / len(ways)
    return Relevance(explained.grid, None, total / len(ways), roads)


def _by_occlusion(explained: Explained, found: Relevance) -> Relevance:
    """Share what is known by patch of the hottest patches out among their parts; each patch keeps its sum."""
    assert found.by_patch is not None
    shape = explained.predictor.record.model.contract.shape
    by_patch = found.by_patch.float().cpu().clone()
    voxels = torch.zeros(shape) if found.by_voxel is None else found.by_voxel.float().cpu().clone()
    hottest = by_patch.abs().flatten().argsort(descending=True)[:HOTTEST].tolist()
    with torch.no_grad():
        whole = float(explained.of_images(explained.image)[0])
    for number in hottest:
        place = tuple(int(index) for index in torch.unravel_index(torch.tensor(number), explained.grid))
        boxes = [_part(place, part, shape, explained.grid) for part in product(range(PARTS), repeat=3)]
        versions = explained.image.repeat(len(boxes), 1, 1, 1, 1)
        for version, box in zip(versions, boxes, strict=True):
            version[0][box] = explained.reference[0, 0][box]
        with torch.no_grad():
            numbers = torch.cat([explained.of_images(some) for some in versions.split(explained.at_once)])
        lost = (whole - numbers.float().cpu()) * by_patch[place].sign()
        shares = lost.clamp(min=0)
        if float(shares.sum()) <= 0:
            continue  # the parts say nothing of this patch: it stays as it is
        for share, box in zip((shares / shares.sum()).tolist(), boxes, strict=True):
            voxels[box] += by_patch[place] * share / voxels[box].numel()
        by_patch[place] = 0
    return Relevance(found.grid, by_patch, voxels, found.roads)


def _part(
    place: tuple[int, ...], part: tuple[int, ...], shape: tuple[int, int, int], grid: tuple[int, int, int]
) -> tuple[slice, ...]:
    """Return the voxels of one part of a patch."""
    box = []
    for patch, half, size, count in zip(place, part, shape, grid, strict=True):
        first = PARTS * patch + half
        box.append(slice(size * first // (PARTS * count), size * (first + 1) // (PARTS * count)))
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
