"""Maps by gradients: times the input, over noise, and along a path from a reference image; by voxel or by patch."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import torch
from torch import Tensor

from adclip.explanation.explained import Explained
from adclip.explanation.relevance import FLAT, Relevance

NOISY_COPIES, NOISE = 16, 0.1  # copies; standard deviation, of the range of the brain's intensities
VOXEL_NODES, PATCH_NODES = 16, 3  # of the path


def gradient_x_input(explained: Explained) -> Relevance:
    """Explain by the gradient of the number at each voxel times the voxel (Shrikumar et al. 2016, arXiv:1605.01713)."""
    return _by_voxel(explained, _image_gradient(explained, explained.image) * explained.image)


def smoothgrad(explained: Explained) -> Relevance:
    """Explain by gradients averaged over noisy copies of the scan, times the scan (Smilkov et al. 2017, arXiv:1706.03825).

    The noise lies inside the brain, as a prepared scan is 0 outside it. The draw hangs on the scan alone.
    """
    image = explained.image
    seed = hashlib.sha256(np.ascontiguousarray(image.cpu().numpy()).tobytes()).digest()[:8]
    draw = torch.Generator().manual_seed(int.from_bytes(seed, "big") >> 1)
    total = torch.zeros_like(image)
    for _ in range(NOISY_COPIES):
        noise = NOISE * torch.randn(image.shape, generator=draw).to(image.device)
        total += _image_gradient(explained, torch.where(image > 0, image + noise, image))
    return _by_voxel(explained, total / NOISY_COPIES * image)


def integrated_gradients(explained: Explained) -> Relevance:
    """Explain by gradients along the straight path from the reference image to the scan, times what differs (arXiv:1703.01365).

    By Gauss-Legendre nodes, so that the voxels add up to the number of the scan less that of the reference.
    """
    image, reference = explained.image, explained.reference
    total = torch.zeros_like(image)
    for place, weight in _nodes(VOXEL_NODES):
        total += weight * _image_gradient(explained, reference + place * (image - reference))
    return _by_voxel(explained, total * (image - reference))


def patch_integrated_gradients(explained: Explained) -> Relevance:
    """Explain by gradients along the path from the reference's embedded patches to the scan's, times what differs.

    The path runs behind the embedding: what a patch is, in the blocks' own terms, and not each voxel's brightness. A closer look hands the
    blocks sums over voxels, so its part is known by voxel. A few nodes are enough, as the blocks bend less than convolutions.
    """
    other_patches, other_shares = explained.reference_patches
    if explained.shares is None or other_shares is None:
        total = torch.zeros_like(explained.patches)
        for place, weight in _nodes(PATCH_NODES):
            patches = _leaf(other_patches + place * (explained.patches - other_patches))
            total += weight * explained.gradient([patches], partial(explained.of_patches, patches, None))[0]
        by_patch = ((explained.patches - other_patches) * total).float().sum(-1).reshape(explained.grid)
        return Relevance(explained.grid, by_patch, None, {}, float(by_patch.abs().max()) <= FLAT)
    close_up = explained.network.vision_encoder.patch_embedding.close_up
    assert close_up is not None
    with torch.no_grad():
        plain = explained.patches - close_up.to_tokens(explained.shares)
        other_plain = other_patches - close_up.to_tokens(other_shares)
    total, total_shares = torch.zeros_like(plain), torch.zeros_like(explained.shares)
    for place, weight in _nodes(PATCH_NODES):
        patches = _leaf(other_plain + place * (plain - other_plain))
        shares = _leaf(other_shares + place * (explained.shares - other_shares))

        of_patches, of_shares = explained.gradient([patches, shares], partial(_of_parts, explained, patches, shares))
        total, total_shares = total + weight * of_patches, total_shares + weight * of_shares
    by_patch = ((plain - other_plain) * total).float().sum(-1).reshape(explained.grid)
    with torch.no_grad():
        differ = close_up.tell_apart(explained.image) - close_up.tell_apart(explained.reference)
        by_voxel = close_up.to_voxels(differ * close_up.spread(total_shares))
    weight_of = {"patches": float(by_patch.abs().sum()), "closer_look": float(by_voxel.abs().sum())}
    whole = sum(weight_of.values())
    roads = {name: value / whole if whole > FLAT else 0.0 for name, value in weight_of.items()}
    return Relevance(explained.grid, by_patch, by_voxel, roads, whole <= FLAT)


def _of_parts(explained: Explained, plain: Tensor, shares: Tensor) -> Tensor:
    """Return the number of patches without what the closer look found, and of that."""
    close_up = explained.network.vision_encoder.patch_embedding.close_up
    assert close_up is not None
    return explained.of_patches(plain + close_up.to_tokens(shares), shares)


def _leaf(values: Tensor) -> Tensor:
    return values.detach().clone().requires_grad_()


def _image_gradient(explained: Explained, image: Tensor) -> Tensor:
    """Return the gradient of the number at each voxel of an image."""
    voxels = _leaf(image)
    return explained.gradient([voxels], lambda: explained.of_images(voxels))[0]


def _by_voxel(explained: Explained, voxels: Tensor) -> Relevance:
    found = voxels[0, 0].detach().float()
    return Relevance(explained.grid, None, found, {}, float(found.abs().max()) <= FLAT)


def _nodes(count: int) -> list[tuple[float, float]]:
    """Return places in 0 to 1 and weights that add up to 1, Gauss-Legendre."""
    places, weights = np.polynomial.legendre.leggauss(count)
    return [(float(place + 1) / 2, float(weight) / 2) for place, weight in zip(places, weights, strict=True)]
