"""Deletion and insertion: what the number does as patches are replaced, in the map's order and in random ones.

After Petsiuk et al. 2018 (arXiv:1806.07421). Patches are replaced behind the embedding, see `Explained.replaced`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adclip.explanation.explained import Explained
from adclip.explanation.faithfulness.record import Curves, Gain

ORDERS = 8  # random ones
HALF = (0.5,)
TEN_STEPS = tuple(round(0.05 * step, 2) for step in range(1, 11))  # to half of the patches
SURE = 0.95  # of the prediction interval


def random_orders(inside: NDArray[np.int64], seed: int, count: int = ORDERS) -> list[NDArray[np.int64]]:
    """Return orders of the patches that hold brain."""
    draw = np.random.default_rng(seed)
    return [draw.permutation(inside) for _ in range(count)]


def ranked(per_patch: NDArray[np.float64], inside: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the patches that hold brain, the most relevant first."""
    return inside[np.argsort(-per_patch.reshape(-1)[inside], kind="stable")]


def measure_curves(
    explained: Explained,
    order: NDArray[np.int64],
    orders: Sequence[NDArray[np.int64]],
    fractions: Sequence[float],
    reference: tuple[Tensor, Tensor | None],
    described: str,
    known: Curves | None = None,
) -> Curves:
    """Measure curves with one reference image, all versions of the scan together.

    Parameters
    ----------
    explained : Explained
    order : ndarray (P,)
        Patches that hold brain, the most relevant first.
    orders : sequence of ndarray (P,)
        Random orders of them.
    fractions : sequence of float
        Of the patches, above 0 and at most 0.5.
    reference : tuple
        Embedded patches and shares of the image that takes their place.
    described : str
        What that image is.
    known : Curves, optional
        Of another order with the same reference and fractions: its random orders are taken over.

    Notes
    -----
    With half of the patches replaced, inserting one half of an order is deleting the other. So one pass for each random order does for both
    where a half is all that is asked: it is the order in the one curve and its reverse in the other. Of an odd number of patches as many are
    replaced in either.
    """
    size = explained.patches.shape[1]
    counts = [round(len(order) * fraction) for fraction in fractions]
    only_half = tuple(fractions) == HALF
    kept = [len(order) - count for count in counts] if only_half else counts
    masks = [_mask(order[:count], size) for count in counts] + [_mask(order[count:], size) for count in kept]
    if known is None:
        for one in orders:
            masks += [_mask(one[:count], size) for count in counts]
            if not only_half:
                masks += [_mask(one[count:], size) for count in counts]
    numbers = explained.replaced(torch.stack(masks), reference).double().cpu().numpy()
    steps = len(counts)
    deletion, insertion, rest = numbers[:steps], numbers[steps : 2 * steps], numbers[2 * steps :]
    if known is not None:
        deleted, inserted = np.array(known.deletion_random), np.array(known.insertion_random)
    elif only_half:
        deleted = inserted = rest.reshape(-1, 1)
    else:
        both = rest.reshape(len(orders), 2, steps)
        deleted, inserted = both[:, 0], both[:, 1]
    return Curves(
        described,
        tuple(fractions),
        tuple(deletion.tolist()),
        tuple(insertion.tolist()),
        tuple(tuple(row) for row in deleted.tolist()),
        tuple(tuple(row) for row in inserted.tolist()),
        to_gain(deleted.mean(axis=1) - deletion.mean()),
        to_gain(insertion.mean() - inserted.mean(axis=1)),
    )


def to_gain(gains: NDArray[np.float64]) -> Gain:
    """Sum up gains over random orders (orders,)."""
    from scipy.stats import t

    count, mean = len(gains), float(gains.mean())
    spread = float(gains.std(ddof=1)) * np.sqrt(1 + 1 / count) * float(t.ppf((1 + SURE) / 2, count - 1))
    return Gain(mean, mean - spread, mean + spread, int((gains > 0).sum()), count)


def _mask(chosen: NDArray[np.int64], size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[torch.from_numpy(chosen.copy())] = True
    return mask
