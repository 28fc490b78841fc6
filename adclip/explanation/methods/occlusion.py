"""Occlusion: what the number loses when a patch is that of the reference (Zeiler and Fergus 2014, arXiv:1311.2901)."""

from __future__ import annotations

import torch

from adclip.explanation.explained import Explained
from adclip.explanation.relevance import FLAT, Relevance


def occlusion(explained: Explained) -> Relevance:
    """Explain by replacing each patch that holds brain, one at a time; see `Explained.replaced` for how."""
    inside = torch.nonzero(explained.brain_patches())[:, 0]
    masks = torch.zeros(len(inside), explained.patches.shape[1], dtype=torch.bool)
    masks[torch.arange(len(inside)), inside.cpu()] = True
    nothing = torch.zeros(1, explained.patches.shape[1], dtype=torch.bool)
    whole = explained.replaced(nothing)
    by_patch = torch.zeros(explained.patches.shape[1])
    if len(inside):
        by_patch[inside.cpu()] = (whole - explained.replaced(masks)).float().cpu()
    by_patch = by_patch.reshape(explained.grid)
    return Relevance(explained.grid, by_patch, None, {}, float(by_patch.abs().max()) <= FLAT)
