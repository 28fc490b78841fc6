"""Between the two parts of the builtin base: teach the sums of the closer look, with everything before them frozen.

    python examples/builtin/train_read_out.py --labels LABELS --bank bank --out base

The image tower's [CLS] state and what the closer look finds in each box are computed once for scans of all people of the bank, in
several processes. What is learned is the linear map by which the sums reach the read-out (`CloseUp.gather`) and the projection into
the common space. They are taught with the volumes, ages and severities of the bank and the bare phrases, as the tower was before.
"""

# %%
from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from bank import TARGET_WEIGHTS, TARGETS, Bank, Place, mirror
from painter import Painter
from torch import Tensor, nn
from train_image_tower import LABELS, SPARED_BELOW_YEARS, WEIGHTS, describe_run, save_base

from adclip.clinical.reports import bare_phrase
from adclip.model.bases import read_base
from adclip.model.build import load_network
from adclip.model.network import Network
from adclip.model.text import tokenize
from adclip.simulation.progression import posterior

AT_ONCE, PROCESSES = 8, os.cpu_count() or 1  # scans that are embedded together
BATCH, LEARNING_RATE, WEIGHT_DECAY, STEPS, CHECK_EVERY = 128, 2e-3, 0.02, 3000, 250
States = tuple[Tensor, Tensor]  # [CLS] without the sums (N, width), and the sums of the closer look (N, 18)


# %%
def read_states(folder: Path, labels: Path, out: Path, places: list[Place], seed: int, mirrored: bool) -> States:
    """Embed scans of people, in one process."""
    torch.set_num_threads(1)
    bank = Bank(folder, Painter(labels / "meta"))
    tower = load_network(read_base(str(out)), None).vision_encoder
    close_up = tower.patch_embedding.close_up
    assert close_up is not None
    cls, sums = [], []
    for start in range(0, len(places), AT_ONCE):
        images = bank.images(places[start : start + AT_ONCE], seed=seed)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            tokens, shares = tower.patch_embedding.look(images.flip(-1) if mirrored else images)
            assert shares is not None
            cls.append(tower.encode(tokens, with_patches=False).cls.float())
            sums.append(close_up.sided(shares).sum(dim=1))
    return torch.cat(cls), torch.cat(sums)


def read_all(options: argparse.Namespace, places: list[Place], seed: int, mirrored: bool) -> States:
    """Embed scans of people, in several processes."""
    parts = [places[number::PROCESSES] for number in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        read = [
            pool.submit(read_states, options.bank, options.labels, options.out, part, seed, mirrored) for part in parts
        ]
        states = [job.result() for job in read]
    cls, sums = (torch.empty(len(places), states[0][kind].shape[1]) for kind in (0, 1))
    for number, (part_cls, part_sums) in enumerate(states):
        cls[number::PROCESSES], sums[number::PROCESSES] = part_cls, part_sums
    return cls, sums


@torch.inference_mode()
def embed(options: argparse.Namespace, network: Network, places: list[Place], *, mirrored: bool) -> Tensor:
    """Embed scans (N, E) as the base in `options.out` does."""
    close_up = network.vision_encoder.patch_embedding.close_up
    assert close_up is not None
    cls, sums = read_all(options, places, int(mirrored), mirrored)  # another scan of the person, too
    return functional.normalize(network.mm_vision_proj(cls + close_up.gather(sums)), dim=-1)


def targets_of(bank: Bank, places: list[Place], mirrored: bool) -> list[list[float]]:
    """What the bank knows of people, of the other side where their scans are mirrored."""
    nothing = torch.zeros(len(TARGETS), 1, 1, 1)
    rows = [bank.targets(place) for place in places]
    return [mirror(nothing[:1], nothing, row)[2] for row in rows] if mirrored else rows


# %%
def learn(network: Network, bank: Bank, options: argparse.Namespace) -> list[dict[str, float]]:
    """Teach the read-out; return what every check found."""
    kinds = [(0, False), (1, True)]
    states = [read_all(options, bank.train, seed, mirrored) for seed, mirrored in kinds]
    cls, sums = (torch.cat(part) for part in zip(*states, strict=True))
    wanted = torch.tensor([row for _, mirrored in kinds for row in targets_of(bank, bank.train, mirrored)]).float()
    held_out = read_all(options, bank.test, 1, False)
    held_out_wanted = torch.tensor(targets_of(bank, bank.test, False)).float()
    mean, std = wanted.mean(0), wanted.std(0)
    rows = [bank.row(place) for place in bank.train] * len(kinds)
    soft = torch.tensor(
        [(1.0, 0.0, 0.0) if row["age_years"] < SPARED_BELOW_YEARS else posterior(row["severity"]) for row in rows]
    )
    weights = torch.tensor(TARGET_WEIGHTS) / float(np.mean(TARGET_WEIGHTS))
    close_up = network.vision_encoder.patch_embedding.close_up
    assert close_up is not None
    head = nn.Linear(network.config.embedding, len(TARGETS))
    with torch.no_grad():
        phrases = network.encode_text(tokenize([bare_phrase(x) for x in LABELS], read_base(str(options.out)).tokenizer))
        centre = sums.mean(0)
    network.requires_grad_(False)
    learned = [*close_up.gather.parameters(), *network.mm_vision_proj.parameters(), *head.parameters()]
    for parameter in learned:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(learned, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    weight, bias = close_up.gather.weight, close_up.gather.bias

    def embed(cls: Tensor, sums: Tensor) -> Tensor:
        summed = functional.linear(
            sums - centre, weight, bias
        )  # centred while learning, so that the constant starts right
        return functional.normalize(network.mm_vision_proj(cls + summed), dim=-1)

    def told(image: Tensor) -> Tensor:
        return head(image * math.sqrt(image.shape[-1]))

    rng, history, start = np.random.default_rng(options.seed), [], time.monotonic()
    for step in range(STEPS + 1):
        if step % CHECK_EVERY == 0:
            with torch.no_grad():
                read = told(embed(*held_out)).numpy()
            found = {name: round(float(np.corrcoef(read[:, i], held_out_wanted[:, i])[0, 1]), 3)
                     for i, name in enumerate(TARGETS) if name.startswith(("hippocampus", "amygdala", "horn", "ventricle", "age", "severity"))}  # fmt: skip
            history.append({"step": step, "minutes": round((time.monotonic() - start) / 60, 1)} | found)
            print(json.dumps(history[-1]), flush=True)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        some = torch.from_numpy(rng.choice(len(cls), BATCH, replace=False))
        image = embed(cls[some], sums[some])
        errors = functional.smooth_l1_loss(told(image), ((wanted - mean) / std)[some], reduction="none")
        loss = WEIGHTS["embedded"] * (weights * errors).mean()
        loss = loss + WEIGHTS["bare"] * functional.cross_entropy(network.scale * image @ phrases.T, soft[some])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        bias -= weight @ centre
    return history


def main() -> None:
    """Teach the read-out and write the base again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--revision", default="5")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    bank = Bank(options.bank, Painter(options.labels / "meta"))
    network = load_network(read_base(str(options.out)), None)
    start = time.monotonic()
    history = learn(network, bank, options)
    before = json.loads((options.out / "base.json").read_text(encoding="utf-8"))["training"]
    run = describe_run("train_read_out.py", bank, (time.monotonic() - start) / 60, STEPS, history)
    save_base(network, options.out, options.revision, [*before, run])


if __name__ == "__main__":
    main()
