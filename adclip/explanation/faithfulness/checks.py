"""What becomes of a map: by another method, with other weights, of the same head scanned again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adclip.explanation.explained import Explained
from adclip.explanation.faithfulness.curves import measure_curves, ranked
from adclip.explanation.faithfulness.record import Curves, Randomised, Rival, Stability
from adclip.explanation.methods import METHODS, Method

Patches = NDArray[np.float64]


def agreement(one: Patches, other: Patches, inside: NDArray[np.int64]) -> float:
    """Return the Spearman correlation of two maps over the patches that hold brain; 0 where one of them is constant or no number."""
    from scipy.stats import spearmanr

    first, second = one.reshape(-1)[inside], other.reshape(-1)[inside]
    if len(inside) < 3 or not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return 0.0
    return float(spearmanr(first, second).statistic)


def ask_rivals(
    explained: Explained,
    method: str,
    per_patch: Patches,
    inside: NDArray[np.int64],
    orders: Sequence[NDArray[np.int64]],
    known: Curves,
    reference: tuple[Tensor, Tensor | None],
) -> tuple[Rival, ...]:
    """Make the maps of all other methods, and measure them with the same reference and random orders."""
    rivals = []
    for name, rival in METHODS.items():
        if name == method:
            continue
        found = rival(explained).per_patch().double().numpy()
        order = ranked(found, inside)
        curves = measure_curves(explained, order, orders, known.fractions, reference, known.reference, known)
        rivals.append(Rival(name, agreement(per_patch, found, inside), curves.deletion_gain, curves.insertion_gain))
    return tuple(rivals)


def randomise(
    explained_anew: Callable[[], Explained],
    network: nn.Module,
    method: Method,
    per_patch: Patches,
    inside: NDArray[np.int64],
    seed: int,
) -> tuple[Randomised, ...]:
    """Draw the image tower's weights anew, block by block from the answer downwards, and compare the maps.

    Parameters
    ----------
    explained_anew : callable
        Makes the scan's `Explained` with the network as it is at that moment.
    network : Network
        Its weights are as before when this returns.
    method : Method
    per_patch : ndarray (D', H', W')
        The map.
    inside : ndarray (P,)
        Patches that hold brain.
    seed : int

    Notes
    -----
    Each tensor keeps its mean and spread and loses its order: its values are shuffled. So the network stays one whose numbers have the
    usual size.
    """
    draw = torch.Generator().manual_seed(seed)
    rows = []
    parts = _from_the_answer(network)
    with _restored([part for _, part in parts]):
        for name, part in parts:
            with torch.no_grad():
                for weight in part.parameters():
                    order = torch.randperm(weight.numel(), generator=draw).to(weight.device)
                    weight.copy_(weight.flatten()[order].reshape(weight.shape))
            found = method(explained_anew()).per_patch().double().numpy()
            rows.append(Randomised(name, agreement(per_patch, found, inside)))
    return tuple(rows)


def compare_rescans(maps: Sequence[Patches], per_patch: Patches, inside: NDArray[np.int64]) -> Stability:
    """Compare the maps of pseudo-rescans with that of the scan."""
    found = [agreement(per_patch, one, inside) for one in maps]
    return Stability(float(np.median(found)), float(np.min(found)), len(found))


def _from_the_answer(network: nn.Module) -> list[tuple[str, nn.Module]]:
    tower = network.vision_encoder
    parts: list[tuple[str, nn.Module]] = [("projection", network.mm_vision_proj)]  # type: ignore[list-item]
    if network.cross_attention is not None:
        parts.insert(0, ("cross-attention", network.cross_attention))  # type: ignore[arg-type]
    blocks = list(tower.blocks)  # type: ignore[union-attr, arg-type]
    parts += [(f"block {place + 1}", blocks[place]) for place in reversed(range(len(blocks)))]
    return [*parts, ("patch embedding", tower.patch_embedding)]  # type: ignore[union-attr, list-item]


@contextmanager
def _restored(parts: Sequence[nn.Module]) -> Iterator[None]:
    kept = [(weight, weight.detach().clone()) for part in parts for weight in part.parameters()]
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, before in kept:
                weight.copy_(before)
