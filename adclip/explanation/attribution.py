"""Where the decision came from: Grad-ECLIP in 3D on the unmodified forward pass, and how faithful the map is.

Grad-ECLIP (Zhao et al., ICML 2024, arXiv:2502.18816) weighs each patch's value by the gradient of the score and by a
loosened attention. Here it is computed for each head of the pass that made the decision; with cross-attention there are
two roads from the patches to the score, and the maps of both are added before the ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adclip.model.vision import AttentionRecord
from adclip.prediction.answer import Answer
from adclip.prediction.evidence import Evidence
from adclip.prediction.predictor import Predictor
from adclip.prediction.scoring import Records

STEPS, DELETED_AT_MOST = 10, 0.5  # method: ten steps to half of the patches
FLAT_COSINES = 1e-6  # spread of cosines that float32 rounding alone can make
FLAT = 1e-12


@dataclass(frozen=True)
class Attribution:
    """Relevance on the token grid.

    Parameters
    ----------
    relevance : ndarray (D', H', W')
        Unitless, at least 0, largest value 1 (all 0 for a flat map).
    signed : ndarray (D', H', W')
        The same before the ReLU, on the same scale.
    shares : dict
        Share of the total absolute relevance that came by each road: the vision tower, the cross-attention, and the sums of the
        closer look.
    target : str
        Class name or `mmse`.
    answer : Answer
        The decision this explains, from the same pass.
    flags : tuple of str
        `flat_map` where all attention cosines were equal.
    """

    relevance: NDArray[np.float64]
    signed: NDArray[np.float64]
    shares: dict[str, float]
    target: str
    answer: Answer
    flags: tuple[str, ...]


def explained_number(scores: Tensor, target: int) -> Tensor:
    """Score of the target class minus the mean of the other classes; `scores` is (K,)."""
    other_scores = torch.cat([scores[:target], scores[target + 1 :]])
    return scores[target] - other_scores.mean()


def attribute(predictor: Predictor, image: Tensor, evidence: Evidence, target: str | None) -> Attribution:
    """Explain one scan.

    Parameters
    ----------
    predictor : Predictor
    image : Tensor (1, 1, D, H, W)
    evidence : Evidence
    target : str or None
        Class name, name of the score (`mmse`), or None for the predicted class.
    """
    vision, fusion, bare_fusion = AttentionRecord(), AttentionRecord(), AttentionRecord()
    with torch.enable_grad():
        scores = predictor.score(image, evidence, Records(vision, fusion, bare_fusion))
        answer = predictor.to_answer(scores, evidence)
        if target is None:
            target = predictor.diagnosis(answer)
        if target == predictor.record.task.score_key:
            assert scores.mmse is not None
            number, row, roads = scores.mmse[0], 1, [("vision", vision)]
        else:
            number = explained_number(predictor.decide(scores, evidence)[0], predictor.labels.index(target))
            row, roads = 0, [("vision", vision)]
            # candidates with a report and bare ones ask the patches apart; without a report they are the same
            roads += [("cross_attention", record) for record in (fusion, bare_fusion) if record.output is not None]
        outputs = [record.output for _, record in roads if record.output is not None]
        sums = [vision.summed] if vision.summed is not None else []
        # a road that the answer gives no weight has no gradient at all
        gradients = torch.autograd.grad(number, outputs + sums, allow_unused=True, materialize_grads=True)
    maps: dict[str, Tensor] = {}
    flat = True
    for (name, record), gradient in zip(roads, gradients[: len(outputs)], strict=True):
        if name == "vision":
            first, rows = predictor.reader.network.vision_encoder.first_patch, [row]
        else:
            first, rows = 1, list(range(len(predictor.labels)))  # keys are CLS, patches; one query for each candidate
        relevance, spread = _relevance(record, gradient, first, rows)
        maps[name] = maps[name] + relevance if name in maps else relevance
        flat = flat and spread < FLAT_COSINES
    if vision.summed_parts is not None:
        # a sum over N patches is attention with equal weights 1 / N over values N times as large; loosened, the weights are 1
        parts = vision.summed_parts[0]
        maps["closer_look"] = len(parts) * (parts @ gradients[-1][0].float()).detach()
        flat = flat and float(maps["closer_look"].abs().max()) <= FLAT
    total = torch.stack(list(maps.values())).sum(0)
    weight = {name: float(value.abs().sum()) for name, value in maps.items()}
    whole = sum(weight.values())
    peak = float(total.clamp(min=0).max())
    grid = predictor.reader.network.vision_encoder.token_grid
    signed = (total / peak if peak > FLAT else torch.zeros_like(total)).double().cpu().numpy().reshape(grid)
    shares = {name: value / whole if whole > FLAT else 0.0 for name, value in weight.items()}
    return Attribution(
        np.clip(signed, 0, None), signed, shares, target, answer, ("flat_map",) if flat or peak <= FLAT else ()
    )


def _relevance(record: AttentionRecord, gradient: Tensor, first: int, rows: Sequence[int]) -> tuple[Tensor, float]:
    """Signed relevance (patches,) of one attention, summed over heads and query rows; and the spread of the cosines.

    For head h and query row q: sum_h lambda_i^h (w^h . v_i^h), with w^h the gradient at the head's output and lambda the
    min-max scaled cosine of query and key over the patches.
    """
    assert record.query is not None and record.key is not None and record.value is not None
    query = record.query[0][:, list(rows)].float()  # (heads, Q, e)
    key, value = record.key[0][:, first:].float(), record.value[0][:, first:].float()  # (heads, P, e)
    cosine = torch.einsum(
        "hqe,hpe->hqp", torch.nn.functional.normalize(query, dim=-1), torch.nn.functional.normalize(key, dim=-1)
    )
    low, high = cosine.amin(-1, keepdim=True), cosine.amax(-1, keepdim=True)
    spread = high - low
    loosened = torch.where(spread > FLAT_COSINES, (cosine - low) / spread.clamp(min=FLAT), torch.zeros_like(cosine))
    pull = torch.einsum("hqe,hpe->hqp", gradient[0][:, list(rows)].float(), value)
    return (loosened * pull).sum(dim=(0, 1)).detach(), float(spread.detach().max())


@torch.inference_mode()
def faithfulness(
    predictor: Predictor, image: Tensor, evidence: Evidence, attribution: Attribution, filling: Tensor, seed: int
) -> dict[str, Any]:
    """Measure deletion and insertion curves against one random order.

    Patches are replaced by those of `filling` (1, 1, D, H, W) in order of relevance, ten steps to half of them; insertion
    starts from `filling` and puts the scan's own patches back. Only patches that hold brain take part.

    Returns
    -------
    dict
        `deletion`, `insertion` and their `*_random`: the explained number at each step; `deletion_gain` and
        `insertion_gain`: mean difference to random, positive when the map is better than chance.
    """
    grid = predictor.reader.network.vision_encoder.token_grid
    inside = np.flatnonzero(_patch_means(image, grid) > 0)
    ranked = inside[np.argsort(-attribution.signed.reshape(-1)[inside], kind="stable")]
    shuffled = np.random.default_rng(seed).permutation(inside)
    counts = [round(len(inside) * DELETED_AT_MOST * step / STEPS) for step in range(STEPS + 1)]

    def number(order: NDArray[np.int64], count: int, start: Tensor, replacement: Tensor) -> float:
        mask = torch.zeros(int(np.prod(grid)), device=start.device)
        mask[torch.from_numpy(order[:count].copy()).to(start.device)] = 1
        wide = torch.nn.functional.interpolate(mask.reshape(1, 1, *grid), size=start.shape[2:], mode="nearest")
        changed = torch.where(wide > 0, replacement, start)
        scores = predictor.score(changed, evidence)
        if attribution.target == predictor.record.task.score_key:
            assert scores.mmse is not None
            return float(scores.mmse[0])
        return float(
            explained_number(predictor.decide(scores, evidence)[0], predictor.labels.index(attribution.target))
        )

    curves = {
        "deletion": [number(ranked, count, image, filling) for count in counts],
        "deletion_random": [number(shuffled, count, image, filling) for count in counts],
        "insertion": [number(ranked, count, filling, image) for count in counts],
        "insertion_random": [number(shuffled, count, filling, image) for count in counts],
    }
    return {
        **curves,
        "deletion_gain": float(np.mean(curves["deletion_random"]) - np.mean(curves["deletion"])),
        "insertion_gain": float(np.mean(curves["insertion"]) - np.mean(curves["insertion_random"])),
        "patches": len(inside),
    }


def _patch_means(image: Tensor, grid: tuple[int, int, int]) -> NDArray[np.float64]:
    means = torch.nn.functional.adaptive_avg_pool3d(image, grid).flatten()
    result: NDArray[np.float64] = means.cpu().double().numpy()
    return result


def enlarge(relevance: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Interpolate token-grid relevance to voxels of `shape`, trilinear between patch centres, constant beyond the outer ones."""
    grid = torch.from_numpy(relevance)[None, None]
    wide = torch.nn.functional.interpolate(grid, size=shape, mode="trilinear", align_corners=False)
    result: NDArray[np.float64] = wide[0, 0].numpy()
    return result
