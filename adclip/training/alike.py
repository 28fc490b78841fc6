"""Whether two scans of a cohort are of one head: correlation of their patterns, once one is laid over the other.

A second scan of a person differs from the first in contrast, in what registration left uncorrected, and in a year's atrophy.
Shape at the size of sulci and ventricles stays. So each scan is standardised inside its brain, what is smooth is taken away (bias,
contrast between deep and outer tissue), and what all heads have in common. A first look at coarse cells finds for each scan the most
alike of other people; of these pairs one is moved over the other, by the affine map that fits best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from adclip.clinical.tables.people import count_people, person_of
from adclip.domain import InputContract
from adclip.prediction.dataset import QUANTUM, Cohort

LOOK_MM, FIT_MM, PLAIN_MM = 10.0, 6.0, 10.0  # cells of the first look, of the fit, and of the plain correlation
SMOOTH_CELLS = 5  # what is smoother than so many cells is taken away
BRAIN_ABOVE = 0.02  # of a cell's mean; outside the brain it is 0
CANDIDATES = 8  # pairs for each scan that are fitted
# Of Gauss and Newton: on the cells of the first look, and on the finer ones for pairs whose correlation came near on those.
STEPS = (6, 8)
NEAR = 0.17
FURTHEST = 0.08  # of half the box: the most that an element of the map changes in one step, 6-8 mm at the border
# Of 220 simulated people in wild contrasts the most alike two had 0.49 with the mean taken away, 0.40, 0.34 and 0.29 with 3, 6 and 10 patterns.
MOST_COMMON_PATTERNS, SCANS_A_COMMON_PATTERN, SCANS_FOR_COMMON_PATTERNS = 6, 16, 512
FEWEST = 8  # people that make a mean; below, the plain correlation tells only all but equal scans from similar ones
ROWS_AT_ONCE, PAIRS_AT_ONCE = 512, 8


def most_alike(cohort: Cohort, contract: InputContract) -> tuple[float, tuple[str, str]]:
    """Return the largest correlation between scans of two people, and their ids; -2 where there is one person.

    Parameters
    ----------
    cohort : Cohort
        N scans.
    contract : InputContract
        Of the cohort's grid.
    """
    names = [visit.subject_id for visit in cohort.visits]
    numbers = {person_id: number for number, person_id in enumerate(dict.fromkeys(person_of(name) for name in names))}
    person = torch.tensor([numbers[person_of(name)] for name in names])
    if count_people(names) < FEWEST:
        pairs, values = find_nearest(_plain(cohort, contract), person, 1)
    else:
        levels = [patterns_of(cohort, contract, size_mm) for size_mm in (LOOK_MM, FIT_MM)]
        pairs, _ = find_nearest(levels[0].flatten(1), person, CANDIDATES)
        values = fit_pairs(levels, pairs)
    if not len(pairs):
        return -2.0, ("", "")
    place = int(values.argmax())
    first, second = pairs[place].tolist()
    return float(values[place]), (names[first], names[second])


def _cells(cohort: Cohort, contract: InputContract, size_mm: float) -> Iterator[Tensor]:
    """Yield each scan's means over cells of about this size, (1, 1, D, H, W) in [0, 1]."""
    cells = [max(round(size_mm / mm), 1) for mm in contract.spacing_mm]
    for image in cohort.images:
        yield functional.avg_pool3d(image[None].float() / QUANTUM, cells, ceil_mode=True)


def _plain(cohort: Cohort, contract: InputContract) -> Tensor:
    """Return the cells of each scan less their mean, (N, F)."""
    features = torch.cat(list(_cells(cohort, contract, PLAIN_MM))).flatten(1)
    return features - features.mean(1, keepdim=True)


def patterns_of(cohort: Cohort, contract: InputContract, size_mm: float) -> Tensor:
    """Return what each scan has that is neither smooth nor common to many, (N, 1, D, H, W).

    What heads have in common shows in each scan as its contrast has it: one tissue against the others, darker or brighter. Such
    patterns are the leading singular vectors of a cohort, and each scan loses as much of them as it holds. Were the mean alone
    taken away, any two scans of a rare contrast would look alike.
    """
    patterns = torch.cat([_without_smooth(cells) for cells in _cells(cohort, contract, size_mm)])
    flat = patterns.flatten(1)
    common = _common_patterns(flat)
    return (flat - flat @ common @ common.T).reshape(patterns.shape)


def _common_patterns(patterns: Tensor) -> Tensor:
    """Return the leading right singular vectors of patterns (N, F), (F, K); fewer of fewer scans, where a pair would make one of its own."""
    count = min(max(len(patterns) // SCANS_A_COMMON_PATTERN, 1), MOST_COMMON_PATTERNS)
    some = patterns[:: -(-len(patterns) // SCANS_FOR_COMMON_PATTERNS)].double()
    _, vectors = torch.linalg.eigh(some @ some.T)
    leading = some.T @ vectors[:, -count:]
    return functional.normalize(leading, dim=0).float()


def _without_smooth(cells: Tensor) -> Tensor:
    """Return a scan of mean 0 and variance 1 inside its brain, less its local mean there; 0 outside."""
    brain = (cells > BRAIN_ABOVE).float()
    volume = brain.sum().clamp(min=1)
    centred = (cells - (cells * brain).sum() / volume) * brain
    standard = centred / (centred.square().sum() / volume).sqrt().clamp(min=1e-6)
    around = [functional.avg_pool3d(grid, SMOOTH_CELLS, 1, SMOOTH_CELLS // 2) for grid in (standard, brain)]
    return (standard - around[0] / around[1].clamp(min=1e-3)) * brain


def find_nearest(features: Tensor, person: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return for each scan the `count` most alike scans of other people.

    Parameters
    ----------
    features : Tensor (N, F)
    person : Tensor (N,)
        Number of the person.
    count : int

    Returns
    -------
    pairs : Tensor (P, 2), int64
        Each pair once.
    values : Tensor (P,)
        Their correlations.
    """
    features = functional.normalize(features, dim=-1)
    correlations: dict[tuple[int, int], float] = {}
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        alike = features[rows] @ features.T
        alike[person[rows, None] == person[None, :]] = -2.0
        values, places = alike.topk(min(count, len(features)))
        for row, (similarities, neighbours) in enumerate(
            zip(values.tolist(), places.tolist(), strict=True), start=start
        ):
            for value, neighbour in zip(similarities, neighbours, strict=True):
                if value > -2.0:
                    correlations[min(row, neighbour), max(row, neighbour)] = value
    return torch.tensor(list(correlations), dtype=torch.int64).reshape(-1, 2), torch.tensor(list(correlations.values()))


def fit_pairs(levels: Sequence[Tensor], pairs: Tensor) -> Tensor:
    """Return the correlation of each pair, the first laid over the second.

    Parameters
    ----------
    levels : sequence of Tensor (N, 1, D, H, W)
        Patterns on the coarse and on the fine cells.
    pairs : Tensor (P, 2), int64

    Returns
    -------
    Tensor (P,)
        On the fine cells, the largest on the way, the one without moving included; on the coarse ones where that is below `NEAR`.
    """
    values, affine = torch.full((len(pairs),), -1.0), torch.eye(4).repeat(len(pairs), 1, 1)
    chosen = torch.arange(len(pairs))
    for patterns, steps in zip(levels, STEPS, strict=True):
        for batch in chosen.split(PAIRS_AT_ONCE) if len(chosen) else ():
            moving, still = (patterns[pairs[batch, side]] for side in (0, 1))
            values[batch], affine[batch] = _fit(moving, still, affine[batch], steps)
        chosen = (values > NEAR).nonzero()[:, 0]
    return values


def _fit(moving: Tensor, still: Tensor, affine: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Move one pattern over another by an affine map, by steps of Gauss and Newton, all pairs (P, 1, D, H, W) at once.

    To first order a moved pattern is the pattern and a sum of its twelve derivatives to the elements of the map: a regression
    of the still one on them gives the step, whatever the ratio of their contrasts.
    """
    count, shape = len(moving), still.shape[2:]
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    points = torch.stack(
        [*reversed(axes), torch.ones(shape)], -1
    )  # x, y, z, 1 as grid_sample counts: the last axis first
    best = _correlation(moving, still)
    moved = _move(moving, points, affine)
    best = torch.maximum(best, _correlation(moved, still))
    for _ in range(steps):
        slopes = torch.gradient(moved[:, 0], dim=(3, 2, 1))
        by_axis = torch.stack([slope * (size - 1) / 2 for slope, size in zip(slopes, reversed(shape), strict=True)], 1)
        by_element = (by_axis[:, :, None] * points.permute(3, 0, 1, 2)).reshape(count, 12, -1)
        terms = torch.cat([moved.flatten(2), by_element], 1)
        products = terms @ terms.transpose(1, 2)
        products = products + torch.diag_embed(1e-4 * products.diagonal(dim1=1, dim2=2) + 1e-9)
        weights = torch.linalg.solve(products, terms @ still.flatten(2).transpose(1, 2))[..., 0]
        change = (weights[:, 1:] / weights[:, :1].clamp(min=0.1)).clamp(-FURTHEST, FURTHEST)
        step = torch.eye(4).repeat(count, 1, 1)
        step[:, :3] += change.reshape(count, 3, 4)
        affine = affine @ step
        moved = _move(moving, points, affine)
        best = torch.maximum(best, _correlation(moved, still))
    return best, affine


def _move(pattern: Tensor, points: Tensor, affine: Tensor) -> Tensor:
    return functional.grid_sample(pattern, torch.einsum("dhwk,pik->pdhwi", points, affine[:, :3]), align_corners=True)


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    first, second = first.flatten(1), second.flatten(1)
    return functional.cosine_similarity(first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True))
