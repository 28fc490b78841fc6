"""Teach the builtin base's closer look, at 2 mm, on painted temporal lobes; the image tower is then trained around it.

    python examples/builtin/train_close_up.py --labels LABELS --out close_up --minutes 35

The lobes are those of `examples/segmenter/temporal_lobes.py`, without the heads that the bank leaves out. The truth is how much of
each 2 mm voxel a class fills. `train_image_tower.py --close-up` takes the result. Nothing here has seen a patient.
"""

# %%
from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from make_label_bank import HELD_OUT
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

sys.path.append(str(Path(__file__).parent.parent / "segmenter"))
from temporal_lobes import AMYGDALA, HIPPOCAMPUS, HORN, VENTRICLE, Lobe, Painter, read_lobes

from adclip.imaging.steps.grid import to_model_order
from adclip.imaging.volumes.medial_temporal import CLASSES
from adclip.model import close_up
from adclip.unet import UNet

WIDTHS = (24, 48, 64)
PEAK_RATE = 3e-3
AVERAGE = 0.997  # of the weights' moving average, which is what is measured and saved
VOLUME_WEIGHT = 0.3
LOOK_EVERY = 500
WAITING = 16
BATCH = 3
SEED = 20261130
SMALL = (VENTRICLE, HORN, HIPPOCAMPUS, AMYGDALA)


def to_pair(image: np.ndarray, classes: np.ndarray) -> tuple[Tensor, Tensor]:
    """Bring a painted lobe of 1 mm, right side, to the closer look's grid: (1, 28, 32, 24) and shares (9, 28, 32, 24)."""
    fine = torch.from_numpy(to_model_order(image))
    truth = functional.one_hot(torch.from_numpy(to_model_order(classes)), len(CLASSES)).permute(3, 0, 1, 2).float()
    return (
        reduce(fine, "(d a) (h b) (w c) -> 1 d h w", "mean", a=2, b=2, c=2),
        reduce(truth, "n (d a) (h b) (w c) -> n d h w", "mean", a=2, b=2, c=2),
    )


def loss_of(scores: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy with shares, soft Dice (small structures count) and the error of the logarithm of volumes."""
    log = torch.log_softmax(scores.float(), dim=1)
    loss = -(truth * log).sum(1).mean()
    probability = log.exp()
    both, sizes, told = ((one).sum(dim=(0, 2, 3, 4)) for one in (probability * truth, truth, probability))
    dice = (2 * both + 1) / (sizes + told + 1)
    small = list(SMALL)
    volumes = [one[:, small[1:]].sum(dim=(2, 3, 4)) for one in (probability, truth)]
    ratio = torch.log((volumes[0] + 12) / (volumes[1] + 12)).abs()  # 12 voxels are 100 mm3
    return loss + 1 - (0.5 * dice[1:].mean() + 0.5 * dice[small].mean()) + VOLUME_WEIGHT * ratio.mean()


def degrade(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Move the level of a lobe as that of whole heads against lobes moves."""
    return (image * float(np.exp(rng.normal(-0.1, 0.15))) + float(rng.normal(0, 0.01)) * (image > 0)).clamp(0, 1)


@torch.inference_mode()
def measure(network: UNet, pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Correlation of volumes on fixed painted lobes of the heads left out."""
    rows = []
    for image, truth in pairs:
        probability = torch.softmax(network(image[None]).float(), dim=1)[0]
        rows.append([float(one[place].sum()) for place in SMALL[1:] for one in (probability, truth)])
    table = np.array(rows)
    found = {}
    for number, name in enumerate(("horn", "hippocampus", "amygdala")):
        told, true = table[:, 2 * number], table[:, 2 * number + 1]
        found[f"r_{name}"] = round(float(np.corrcoef(told, true)[0, 1]), 3)
        found[f"slope_{name}"] = round(float(np.polyfit(true, told, 1)[0]), 3)
    return found


def main() -> None:
    """Train until the minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--go-on", action="store_true", help="begin with the weights in OUT")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    options.out.mkdir(parents=True, exist_ok=True)
    assert CLASSES == close_up.CLASSES
    paths = sorted(options.labels.glob("training_seg_*.nii.gz"))
    lobes: list[Lobe] = [lobe for path in paths for lobe in read_lobes(path, options.labels / "meta")]
    train = [lobe for lobe in lobes if not lobe.name.startswith(HELD_OUT)]
    painter, fixed = Painter(options.labels / "meta"), np.random.default_rng(SEED)
    check = [
        to_pair(*pair)
        for lobe in lobes
        if lobe.name.startswith(HELD_OUT)
        for _ in range(8)
        for pair in painter.draw(lobe, fixed, scans=2)
    ]
    network = UNet(1, len(CLASSES), WIDTHS)
    if options.go_on:
        network.load_state_dict(
            {name: x.float() for name, x in load_file(options.out / "close_up.safetensors").items()}
        )
    network = network.to(memory_format=torch.channels_last_3d)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=1e-4)
    rng = np.random.default_rng([SEED, int(options.go_on)])
    history, losses, done, waiting = [], [], 0, []
    start = time.monotonic()

    def note() -> None:
        minutes = round((time.monotonic() - start) / 60, 1)
        history.append({"step": done, "minutes": minutes, "loss": round(float(np.mean(losses[-300:])), 4)})
        history[-1] |= measure(average, check)
        sys.stdout.write(json.dumps(history[-1]) + "\n")
        sys.stdout.flush()
        save_file(
            {name: x.contiguous() for name, x in average.state_dict().items()}, options.out / "close_up.safetensors"
        )
        record = {"script": "examples/builtin/train_close_up.py", "sides": len(train), "left_out": HELD_OUT, "widths": WIDTHS,
                  "minutes": minutes, "steps": done, "lobes_a_step": BATCH, "history": history}  # fmt: skip
        (options.out / "close_up.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    while (share := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        rate = PEAK_RATE * min(1, 0.03 + share * 30) * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = rate
        while len(waiting) < WAITING:
            waiting += [to_pair(*pair) for pair in painter.draw(train[rng.integers(len(train))], rng, scans=2)]
        drawn = [waiting.pop(int(rng.integers(len(waiting)))) for _ in range(BATCH)]
        images = torch.stack([degrade(image, rng) for image, _ in drawn])
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(images.contiguous(memory_format=torch.channels_last_3d))
        loss = loss_of(scores, torch.stack([truth for _, truth in drawn]))
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
