"""Put the networks of all folds together, and measure each label map by the network that never saw it.

    python examples/segmenter/join_medial_temporal.py LABELS RUN adclip/assets/segmenter

RUN holds what `train_medial_temporal.py` wrote for every fold. Each lobe is painted anew in other appearances, once with its own shape
and once deformed as in training; volumes are sums of probabilities.
"""

# %%
from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from scipy import stats
from temporal_lobes import HORN, VENTRICLE, WRONG_SIDES, Lobe, Painter
from train_medial_temporal import FOLDS, SEED, left_out, read_every_lobe, to_input

from adclip.imaging.volumes.medial_temporal import BOX, CLASSES, NAME, SCHEMA_VERSION, STRUCTURES, WIDTHS, build_network

SCANS = {"own shape": 6, "deformed": 12}  # of each lobe


def measure(
    network: torch.nn.Module, lobes: list[Lobe], painter: Painter, rng: np.random.Generator, kind: str
) -> list[dict[str, Any]]:
    """Volumes told and true, and overlap, of scans painted of lobes that the network never saw."""
    rows = []
    for lobe in lobes:
        for _ in range(SCANS[kind] if kind == "own shape" else SCANS[kind] // 2):
            for image, truth in painter.draw(lobe, rng, 1 if kind == "own shape" else 2, natural=kind == "own shape"):
                with torch.inference_mode():
                    probability = torch.softmax(network(to_input([image])), dim=1)[0].numpy()
                found = probability.argmax(axis=0)
                row: dict[str, Any] = {
                    "name": lobe.name,
                    "side": lobe.side,
                    "fluid": float(np.isin(truth, (HORN, VENTRICLE)).sum()),
                }
                for name in STRUCTURES:
                    number = CLASSES.index(name)
                    true = truth == number
                    both = (found == number) & true
                    row[name] = (float(probability[number].sum()), float(true.sum()),
                                 2 * float(both.sum()) / max(float((found == number).sum() + true.sum()), 1.0))  # fmt: skip
                rows.append(row)
    return rows


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Agreement over all lobes and all scans."""
    fluid = np.array([row["fluid"] for row in rows])
    result: dict[str, Any] = {"scans": len(rows), "lobes": len({(row["name"], row["side"]) for row in rows})}
    for name in STRUCTURES:
        told, true, dice = np.array([row[name] for row in rows]).T
        fit = stats.pearsonr(told, true)
        interval = fit.confidence_interval(0.95)
        result[name] = {
            "pearson_r": round(float(fit.statistic), 3),
            "pearson_r_low": round(float(interval.low), 3),
            "pearson_r_high": round(float(interval.high), 3),
            "bias_percent": round(float(100 * (told - true).mean() / true.mean()), 1),
            "sd_mm3_mni": round(float((told - true).std(ddof=1))),
            "slope": round(float(np.polyfit(true, told, 1)[0]), 3),
            "median_dice": round(float(np.median(dice)), 3),
            "spearman_of_error_with_ventricle": round(float(stats.spearmanr(told - true, fluid).statistic), 3),
        }
    return result


def main() -> None:
    """Measure, join and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    lobes = read_every_lobe(options.labels)
    painter, rows, tensors, runs = Painter(options.labels / "meta"), {kind: [] for kind in SCANS}, {}, []
    for fold in range(len(FOLDS)):
        weights = load_file(options.run / f"fold-{fold}.safetensors")
        tensors |= {f"{fold}.{name}": tensor for name, tensor in weights.items()}
        runs.append(json.loads((options.run / f"fold-{fold}.json").read_text(encoding="utf-8")))
        network = build_network()
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        network.eval()
        unseen = [lobe for lobe in lobes if left_out(lobe.name, fold)]
        for kind in SCANS:
            rows[kind] += measure(network, unseen, painter, np.random.default_rng([SEED, 7, fold]), kind)
    data = save(tensors)
    record = {
        "schema_version": SCHEMA_VERSION,
        "sha256": hashlib.sha256(data).hexdigest(),
        "networks": len(FOLDS),
        "classes": list(CLASSES),
        "widths": list(WIDTHS),
        "box": BOX.to_dict(),
        "training": {
            "script": "examples/segmenter/train_medial_temporal.py",
            "images": "painted from 16 label maps with T1 intensity priors of SynthSeg; no real scan was used",
            "left_out": [list(fold) for fold in FOLDS],
            "wrong_sides_left_out": [list(side) for side in sorted(WRONG_SIDES)],
            "curves": [run["history"] for run in runs],
        },
        "cross_validation": {kind: summarise(found) for kind, found in rows.items()},
        "notice": "Label maps and intensity priors: SynthSeg (Billot et al. 2023, doi:10.1016/j.media.2023.102789), "
        "https://github.com/BBillot/SynthSeg, Apache License 2.0. The weights were made from them and contain none.",
    }
    sys.stdout.write(json.dumps(record["cross_validation"], indent=1) + "\n")
    (options.out / f"{NAME}.safetensors").write_bytes(data)
    (options.out / f"{NAME}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
