"""Train one network for the medial temporal lobe on the label maps of its fold, on one core.

    python examples/segmenter/train_medial_temporal.py LABELS OUT --fold 0 --minutes 25

LABELS is the folder of SynthSeg's label maps with `meta/`. OUT receives `fold-N.safetensors` and `fold-N.json`. Each map is left
out of one of the two folds; `join_medial_temporal.py` puts the networks together and measures each map by the one that never saw it.
"""

# %%
from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from temporal_lobes import AMYGDALA, HIPPOCAMPUS, HORN, VENTRICLE, Lobe, Painter, Pair, read_lobes
from torch import Tensor

from adclip.imaging.volumes.medial_temporal import CLASSES, WIDTHS, build_network

# The two networks learn from different heads. Either half has two old brains with small hippocampi and wide temporal horns (05,
# 11; 08, 15), other atrophied ones and young ones.
FOLDS = (("04", "05", "06", "10", "11", "13", "14", "19"), ("02", "07", "08", "09", "12", "15", "16", "17"))
PEAK_RATE = 3e-3
AVERAGE = 0.995  # of the weights' moving average, which is what is measured and saved
VOLUME_WEIGHT = 0.3
LOOK_EVERY = 500
WAITING = 12  # pairs to choose the next from, so that the two scans of one lobe do not follow each other
SEED = 20261128


def left_out(name: str, fold: int) -> bool:
    """Say whether a label map is kept from the network of a fold."""
    return name.removeprefix("training_seg_")[:2] in FOLDS[fold]


def read_every_lobe(labels: Path, processes: int = 1) -> list[Lobe]:
    """Read all label maps of a folder."""
    paths = sorted(labels.glob("training_seg_*.nii.gz"))
    with ProcessPoolExecutor(processes) as pool:
        return [lobe for pair in pool.map(read_lobes, paths, [labels / "meta"] * len(paths)) for lobe in pair]


def loss_of(scores: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy (honest posteriors), soft Dice (small structures count) and the error of the logarithm of volumes."""
    probability = torch.softmax(scores.float(), dim=1)
    right = probability.gather(1, truth[:, None])[:, 0]
    loss = -torch.log(right.clamp_min(1e-6)).mean()
    sizes = torch.bincount(truth.flatten(), minlength=len(CLASSES)).float()
    told = probability.sum(dim=(0, 2, 3, 4))
    both = torch.zeros(len(CLASSES)).index_add(0, truth.flatten(), right.flatten())
    dice = (2 * both + 1) / (sizes + told + 1)
    small = [VENTRICLE, HORN, HIPPOCAMPUS, AMYGDALA]
    ratio = torch.log(
        (told[small] + 100) / (sizes[small] + 100)
    ).abs()  # 100 mm3: a closed horn has no volume to be wrong by
    return loss + 1 - (0.5 * dice[1:].mean() + 0.5 * dice[small].mean()) + VOLUME_WEIGHT * ratio[1:].mean()


def to_input(images: list[np.ndarray]) -> Tensor:
    """Return (B, 1, 48, 64, 56) in the layout that CPUs convolve fastest."""
    return torch.from_numpy(np.stack(images)[:, None]).contiguous(memory_format=torch.channels_last_3d)


def measure(network: torch.nn.Module, pairs: list[Pair]) -> dict[str, float]:
    """Overlap and correlation of volumes on fixed painted lobes."""
    volumes, dice = [], []
    with torch.inference_mode():
        for image, truth in pairs:
            probability = torch.softmax(network(to_input([image])).float(), dim=1)[0].numpy()
            found = probability.argmax(axis=0)
            row = []
            for structure in (HIPPOCAMPUS, AMYGDALA, HORN):
                row += [probability[structure].sum(), (truth == structure).sum()]
            volumes.append(row)
            dice.append(2 * ((found == HIPPOCAMPUS) & (truth == HIPPOCAMPUS)).sum()
                        / max((found == HIPPOCAMPUS).sum() + (truth == HIPPOCAMPUS).sum(), 1))  # fmt: skip
    table = np.array(volumes, dtype=float)
    told, true = table[:, 0::2], table[:, 1::2]
    result = {f"r_{name}": round(float(np.corrcoef(told[:, i], true[:, i])[0, 1]), 3)
              for i, name in enumerate(("hippocampus", "amygdala", "horn"))}  # fmt: skip
    error = told[:, 0] - true[:, 0]
    result["bias"] = round(float(100 * error.mean() / true[:, 0].mean()), 1)
    result["slope"] = round(float(np.polyfit(true[:, 0], told[:, 0], 1)[0]), 3)
    result["error_with_horn"] = round(float(np.corrcoef(error, np.log(true[:, 2] + 100))[0, 1]), 2)
    result["dice"] = round(float(np.mean(dice)), 3)
    return result


def main() -> None:
    """Train until the minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", type=int, choices=range(len(FOLDS)), required=True)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument(
        "--go-on", action="store_true", help="begin with the weights in OUT, as a second run over more minutes"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED + options.fold)
    options.out.mkdir(parents=True, exist_ok=True)
    lobes = read_every_lobe(options.labels)
    train = [lobe for lobe in lobes if not left_out(lobe.name, options.fold)]
    painter = Painter(options.labels / "meta")
    fixed = np.random.default_rng(SEED)
    check = [pair for lobe in lobes if left_out(lobe.name, options.fold) for pair in painter.draw(lobe, fixed, scans=2)]
    network = build_network()
    earlier: list[dict[str, Any]] = []
    if options.go_on:
        weights = load_file(options.out / f"fold-{options.fold}.safetensors")
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        earlier = json.loads((options.out / f"fold-{options.fold}.json").read_text(encoding="utf-8"))["history"]
    network = network.to(memory_format=torch.channels_last_3d)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-4)
    rng = np.random.default_rng([SEED, options.fold, len(earlier)])
    history, losses, done = [], [], 0
    waiting: list[Pair] = []
    start = time.monotonic()

    def note() -> None:
        row = {
            "step": done,
            "minutes": round((time.monotonic() - start) / 60, 1),
            "loss": round(float(np.mean(losses[-300:])), 4),
        }
        history.append(row | measure(average, check))
        sys.stdout.write(json.dumps(history[-1]) + "\n")
        sys.stdout.flush()
        tensors = {name: tensor.half().contiguous() for name, tensor in average.state_dict().items()}
        save_file(tensors, options.out / f"fold-{options.fold}.safetensors")
        record = {
            "fold": options.fold,
            "left_out": FOLDS[options.fold],
            "sides": len(train),
            "widths": WIDTHS,
            "history": earlier + history,
        }
        (options.out / f"fold-{options.fold}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    while (share := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        rate = options.rate * min(1, 0.03 + share * 30) * (0.5 + 0.5 * np.cos(np.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = float(rate)
        while len(waiting) < WAITING:
            waiting += painter.draw(train[rng.integers(len(train))], rng, scans=2)
        image, truth = waiting.pop(int(rng.integers(len(waiting))))
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(to_input([image]))
        loss = loss_of(scores, torch.from_numpy(truth)[None])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        done += 1
        keep = min(AVERAGE, (1 + done) / (10 + done))
        with torch.no_grad():
            for mean, current in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(current, 1 - keep)
        if done % LOOK_EVERY == 0:
            note()
    note()


if __name__ == "__main__":
    main()
