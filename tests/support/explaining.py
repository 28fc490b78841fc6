"""A small model whose answers are explained: every road open, a row that has a say, and with a stem and a closer look where asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from tiny import CONFIG
from torch import Tensor

from adclip.model.calibration import SCAN, TABLE_WITH_VOLUMES, Road
from adclip.model.close_up import CloseUp
from adclip.model.patches import PatchEmbedding

if TYPE_CHECKING:
    from pathlib import Path

    from adclip.explanation.explained import Explained
    from adclip.prediction.evidence import Evidence
    from adclip.prediction.predictor import Predictor

WEIGHED = Road(scan=0.7, metadata=0.5, both=0.8)
KINDS = ("AD", "AD-CN", "mmse", "text")  # of targets
PHRASE = "Hippocampal Vol"


def open_predictor(run: Path) -> Predictor:
    """Return the model of a tiny run: after three epochs its cross-attention is still nearly silent, so it is given a voice."""
    from adclip.prediction.predictor import Predictor

    found = Predictor.from_checkpoint(run, "cpu")
    network = found.reader.network
    assert network.cross_attention is not None
    with torch.no_grad():
        torch.nn.init.xavier_uniform_(
            network.cross_attention.out_proj.weight, generator=torch.Generator().manual_seed(3)
        )
    weigh_by(found, WEIGHED)
    return found


def weigh_by(predictor: Predictor, road: Road) -> None:
    """Let answers from rows with volumes weigh their sources as `road` does; those from the scan alone keep their road."""
    roads = {SCAN: predictor.record.calibration.road(SCAN), TABLE_WITH_VOLUMES: road}
    predictor.record = replace(predictor.record, calibration=replace(predictor.record.calibration, roads=roads))


def look_closer(predictor: Predictor, stem: tuple[int, ...] = ()) -> CloseUp:
    """Give a model a closer look whose sums reach the read-out, and a stem where asked for; returns the closer look."""
    config = replace(CONFIG, stem=stem, close_up=(8, 12))
    torch.manual_seed(1)
    embedding = predictor.reader.network.vision_encoder.patch_embedding
    if stem:
        embedding = PatchEmbedding(config)
        predictor.reader.network.vision_encoder.patch_embedding = embedding
    close_up = CloseUp(config)
    torch.nn.init.normal_(close_up.gather.weight)
    embedding.close_up = close_up
    embedding.eval()
    return close_up


def scores_of(predictor: Predictor, image: Tensor, evidence: Evidence) -> dict[str, float]:
    """What `predict` says, on its own road."""
    with torch.inference_mode():
        return predictor.to_answer(predictor.score(image, evidence), evidence).scores


def explained_of(
    predictor: Predictor, image: Tensor, evidence: Evidence, kind: str | None = None, reference: Tensor | None = None
) -> Explained:
    """Return one explained scan; `kind` is what stands after `--target`, or `text` for `PHRASE`."""
    from adclip.explanation.explained import Explained
    from adclip.explanation.target import parse_target

    given: Any = (None, PHRASE) if kind == "text" else (kind, None)
    return Explained(predictor, image, evidence, parse_target(*given, predictor.labels, "mmse"), reference)
