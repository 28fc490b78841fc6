"""Train the segmenter behind `adclip preprocess --volumes` on painted heads, on one core.

    python examples/segmenter/train_segmenter.py LABELS OUT [--minutes 45] [--resume average]

LABELS is the folder of SynthSeg's training label maps (`training_seg_*.nii.gz`, with `meta/`). OUT receives
segmenter.safetensors, segmenter.json and state.pt (for `--resume`).
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from heads import Head, read_head
from safetensors.torch import save
from scipy import ndimage
from synthesis import Painter, Pair
from torch.nn import functional

from adclip.imaging.volumes.segmenter import BOX, CLASSES, HALF, SCHEMA_VERSION, WIDTHS, build_network, place_channels

HELD_OUT = ("training_seg_04.nii.gz", "training_seg_14.nii.gz")  # the youngest-looking and the most atrophied
PEAK_RATE = 4e-3
AVERAGE = 0.99  # of the weights' moving average, which is what is validated and saved
VALIDATE_EVERY = 100
PRIOR_BLUR_MM = 3.0  # standard deviation
PRIOR_FLOOR = 1e-3  # nowhere is a class impossible


def main() -> None:
    """Train until the minutes are over; keep the weights that told the held-out heads apart best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--resume", choices=("average", "network"), help="go on from OUT/state.pt, averaging from there"
    )
    parser.add_argument("--rate", type=float, default=PEAK_RATE / 3, help="highest learning rate of a resumed run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    heads = [read_head(path, options.labels / "meta") for path in sorted(options.labels.glob("training_seg_*.nii.gz"))]
    train = [head for head in heads if head.name not in HELD_OUT]
    painter = Painter(options.labels / "meta")
    fixed = np.random.default_rng(1234)
    held_out = [painter.draw(head, fixed) for head in heads if head.name in HELD_OUT for _ in range(5)]
    say(f"{len(train)} heads to train on, {len(held_out)} held-out images")

    network = build_network()
    network.load_state_dict({"prior": log_prior(train)}, strict=False)
    network = network.to(memory_format=torch.channels_last_3d)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
    done, best, spent, peak = 0, -1.0, 0.0, PEAK_RATE
    if options.resume:
        state = torch.load(options.out / "state.pt", weights_only=True)
        network.load_state_dict(state["network"], strict=False)
        average.load_state_dict(state[options.resume], strict=False)
        optimiser.load_state_dict(state["optimiser"])
        done, best, spent, peak = state["done"], state["best"], state["spent"], options.rate
    rng = np.random.default_rng([options.seed, done])
    place = torch.from_numpy(place_channels())
    start, losses = time.monotonic(), []
    while (share := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        rate = peak * min(1, 0.05 + share * 30) * (0.5 + 0.5 * np.cos(np.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = float(rate)
        image, labels = painter.draw(train[rng.integers(len(train))], rng)
        optimiser.zero_grad()
        loss = _loss(network(_channels(image, place)), torch.from_numpy(labels)[None])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        done += 1
        keep = min(AVERAGE, (1 + done) / (10 + done))
        with torch.no_grad():
            for mean, current in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(current, 1 - keep)
        if done % VALIDATE_EVERY == 0:
            minutes = spent + (time.monotonic() - start) / 60
            best = _validate(average, held_out, place, best, done, minutes, np.mean(losses[-100:]), options)
            torch.save(
                {"network": network.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
                 "done": done, "best": best, "spent": minutes},
                options.out / "state.pt",
            )  # fmt: skip
    minutes = spent + (time.monotonic() - start) / 60
    _validate(average, held_out, place, best, done, minutes, np.mean(losses[-100:]), options)


def log_prior(heads: list[Head]) -> torch.Tensor:
    """Logarithm of how often each class lies in each 6 mm block, over all hemispheres: (1, 11, 14, 32, 28)."""
    total = np.zeros((len(CLASSES), *BOX.shape_xyz), np.float32)
    for head in heads:
        matrix = np.linalg.inv(head.to_mni @ head.affine) @ BOX.affine_xyz
        found = ndimage.affine_transform(
            head.classes, matrix[:3, :3], matrix[:3, 3], output_shape=BOX.shape_xyz, order=0
        )
        for number in range(len(CLASSES)):
            total[number] += found == number
    total += total[:, ::-1]
    half = torch.from_numpy(np.stack([ndimage.gaussian_filter(one, PRIOR_BLUR_MM / 1.5)[-HALF:] for one in total]))
    share = functional.avg_pool3d(half[None] / (2 * len(heads)), 4)
    return torch.log(share.clamp_min(PRIOR_FLOOR))


def _channels(image: Any, place: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.from_numpy(image)[None], place])[None].contiguous(memory_format=torch.channels_last_3d)


def _loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, which keeps the posteriors honest, plus soft Dice, which keeps small structures in view."""
    probability = torch.softmax(scores, dim=1)
    right = probability.gather(1, labels[:, None])[:, 0]
    cross = -torch.log(right.clamp_min(1e-6)).mean()
    flat, truth = right.flatten(), labels.flatten()
    both = torch.zeros(len(CLASSES)).index_add_(0, truth, flat)
    sizes = torch.bincount(truth, minlength=len(CLASSES)) + probability.sum(dim=(0, 2, 3, 4))
    return cross + 1 - (2 * both[1:] / (sizes[1:] + 1)).mean()


def _validate(
    network: torch.nn.Module, held_out: list[Pair], place: torch.Tensor, best: float, done: int, minutes: float,
    loss: float, options: argparse.Namespace,
) -> float:  # fmt: skip
    """Measure overlap and volume error on held-out heads; save if better than before."""
    dice, errors = [], []
    with torch.inference_mode():
        for image, labels in held_out:
            probability = torch.softmax(network(_channels(image, place)), dim=1)[0].numpy()
            found = probability.argmax(axis=0)
            sizes = [int((labels == label).sum()) for label in range(len(CLASSES))]
            dice.append([2 * ((found == n) & (labels == n)).sum() / ((found == n).sum() + sizes[n]) for n in range(11)])
            errors.append([probability[n].sum() / sizes[n] - 1 for n in range(11)])
    mean = dict(zip(CLASSES, np.mean(dice, axis=0).round(4).tolist(), strict=True))
    error = dict(zip(CLASSES, (100 * np.median(errors, axis=0)).round(2).tolist(), strict=True))
    score = float(np.mean(list(mean.values())[1:]))
    say(f"{done:5d} {minutes:5.1f} min loss {loss:.3f} mean Dice {score:.4f} {mean} volume error % {error}")
    if score > best:
        tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
        data = save(tensors)
        record = {
            "schema_version": SCHEMA_VERSION,
            "sha256": hashlib.sha256(data).hexdigest(),
            "classes": list(CLASSES),
            "widths": list(WIDTHS),
            "box": BOX.to_dict(),
            "half": HALF,
            "training": {
                "script": "examples/segmenter/train_segmenter.py",
                "images": "painted from 8 label maps with T1 intensity priors of SynthSeg; no real scan was used",
                "held_out": list(HELD_OUT),
                "iterations": done,
                "minutes_on_one_core": round(minutes, 1),
                "seed": options.seed,
                "held_out_dice": mean,
                "held_out_median_volume_error_percent": error,
            },
            "notice": "Label maps and intensity priors: SynthSeg (Billot et al. 2023, doi:10.1016/j.media.2023.102789), "
            "https://github.com/BBillot/SynthSeg, Apache License 2.0. The weights were made from them and contain none.",
        }
        (options.out / "segmenter.safetensors").write_bytes(data)
        (options.out / "segmenter.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return max(best, score)


def say(line: str) -> None:
    """Write one line and show it at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
