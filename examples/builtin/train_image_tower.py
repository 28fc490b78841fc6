"""Train the image tower of the builtin base on the people of `make_label_bank.py`, with the text tower that `--text` names.

    torchrun --nproc-per-node 2 examples/builtin/train_image_tower.py --labels LABELS --bank bank --out base --text adclip/assets/builtin \\
        --close-up close_up --minutes 40

Beside the objectives of fine-tuning (report candidates and bare-phrase candidates) the tower is told what the
simulation knows and a scanner does not: how much of each 8 mm cell and of each patch a region fills, every volume, the age and the
severity; the medial temporal lobe counts most. The heads for these are thrown away afterwards. The text tower stays as it is here;
`train_reports.py` teaches it. The closer look is that of `train_close_up.py` and stays as it
is too. With `--tower` the image tower of a base is gone on with. Each process paints its own scans and averages gradients with the
others. Nothing here has seen a patient.
"""

# %%
from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import os
import platform
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as functional
from bank import LEAST_MM3, NAMES, TARGET_WEIGHTS, TARGETS, Bank, Place, mirror, to_patches, to_visit
from make_label_bank import SPACING_MM
from painter import Painter
from safetensors.torch import load_file, save
from torch import Tensor, nn

from adclip.clinical.reports import bare_phrase, fields_of, render
from adclip.config import SMALL
from adclip.imaging.steps.grid import to_model_order
from adclip.model.bases import read_base
from adclip.model.build import build_network, load_network
from adclip.model.network import Network
from adclip.model.text import tokenize
from adclip.simulation.progression import posterior

LABELS = ("CN", "MCI", "AD")
STYLES = ("clinical", "paper6")
WEIGHTS = {"cells": 1.0, "patches": 1.0, "volumes": 1.0, "embedded": 1.0, "report": 0.3, "bare": 0.5}
SPARED_BELOW_YEARS = 50.0  # nobody younger is ill, see `simulation.population`
FILLED_WEIGHT = 6.0  # of filled cells against empty ones, which are many
CELL_LEVEL = 1  # level of the stem whose voxels are the bank's 8 mm cells
# Shares of the time: first the stem learns where things are, twice as fast alone; reports, and patches without brain, come last.
STEM_UNTIL, TEXT_FROM = 0.2, 0.85
Batch = tuple[Tensor, Tensor, Tensor, list[Place]]


class Trainer:
    """The network with the heads that only training has."""

    def __init__(
        self, bank: Bank, text: Path, close_up: Path, tower: Path | None, learning_rate: float, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.bank = bank
        self.base = read_base(str(text))
        config = dataclasses.replace(SMALL, vocabulary=self.base.tokenizer.get_vocab_size())
        taught = load_network(self.base, None)
        self.network: Network = build_network(config, None)
        state = {name: value for name, value in taught.state_dict().items() if not name.startswith("vision_encoder.")}
        if tower is not None:
            earlier = load_network(read_base(str(tower)), None).state_dict()
            state |= {name: value for name, value in earlier.items() if name.startswith("vision_encoder.")}
        self.network.load_state_dict(state, strict=False)
        looks = self.network.vision_encoder.patch_embedding.close_up
        assert looks is not None
        looks.network.load_state_dict(load_file(close_up / "close_up.safetensors"))
        if tower is not None and not any(".close_up." in name for name in state):
            nn.init.zeros_(looks.project.weight)
        self.network.train().requires_grad_(True)
        self.network.language_encoder.requires_grad_(False)
        looks.network.requires_grad_(False)
        self.learns_stem = tower is None
        self.network.vision_encoder.patch_embedding.stem.requires_grad_(self.learns_stem)
        self.network.mm_language_proj.requires_grad_(False)
        with torch.no_grad():
            self.phrases = self.network.encode_text(tokenize([bare_phrase(x) for x in LABELS], self.base.tokenizer))
        told = np.array([bank.targets(place) for place in bank.train])
        self.mean, self.std = torch.tensor(told.mean(0)).float(), torch.tensor(told.std(0)).float()
        self.target_weights = torch.tensor(TARGET_WEIGHTS) / float(np.mean(TARGET_WEIGHTS))
        region_weights = self.target_weights[: len(NAMES)]
        self.region_weights = region_weights / region_weights.mean()
        self.cell_head = nn.Conv3d(config.stem[CELL_LEVEL], len(NAMES), 1)
        self.patch_head = nn.Linear(config.width, len(NAMES))
        self.image_head = nn.Linear(config.width, len(TARGETS))
        self.embedding_head = nn.Linear(config.embedding, len(TARGETS))
        heads = [self.cell_head, self.patch_head, self.image_head, self.embedding_head]
        self.learned = [p for module in (self.network, *heads) for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.learned, lr=learning_rate, weight_decay=0.02, betas=(0.9, 0.98))
        self.learning_rate = learning_rate
        some = bank.train[:: max(1, len(bank.train) // 100)]
        brain = np.mean([bank.depth[part][index] == 0 for part, index in some], axis=0)
        shares = to_patches(torch.from_numpy(to_model_order(brain)).float()[None, None])[0, :, 0]
        self.inside = torch.nonzero(shares > 0.01)[:, 0]
        self.patch_std = to_patches(
            torch.stack([bank.filled(place) for place in bank.train[:: max(1, len(bank.train) // 200)]])
        )
        self.patch_std = self.patch_std.std(dim=(0, 1)) + 1e-4

    def losses(
        self, batch: Batch, rng: np.random.Generator, *, stem_only: bool, with_text: bool, hurried: bool
    ) -> dict[str, Tensor]:
        """All parts of the loss of one batch, or the stem's alone; `hurried` leaves out the patches that hold no brain, more than half of them."""
        images, filled, wanted, places = batch
        tower = self.network.vision_encoder
        embedding = tower.patch_embedding
        each_weight = 1 + FILLED_WEIGHT * (filled > 0)
        parts: dict[str, Tensor] = {}
        with torch.autocast("cpu", torch.bfloat16):
            with torch.set_grad_enabled(self.learns_stem):
                levels = embedding.stem.forward_levels(embedding.close_up.blank(images))
            shares = None if stem_only else embedding.close_up(images)
            if self.learns_stem:
                cells = self.cell_head(levels[CELL_LEVEL]).float()
        if self.learns_stem:
            each = functional.binary_cross_entropy_with_logits(cells, filled, reduction="none") * each_weight
            parts = {"cells": 10 * (self.region_weights[:, None, None, None] * each).mean()}
        if stem_only:
            return parts
        tokens = embedding.embed(levels[-1].float()) + embedding.close_up.to_tokens(
            shares
        )  # attention in half precision is slower here
        states = tower.encode(tokens[:, self.inside] if hurried else tokens, shares=shares)
        patches = self.patch_head(states.patches)
        image = functional.normalize(self.network.mm_vision_proj(states.cls.float()), dim=-1)
        wanted = (wanted - self.mean) / self.std

        def told(values: Tensor) -> Tensor:
            return (self.target_weights * functional.smooth_l1_loss(values, wanted, reduction="none")).mean()

        wanted_patches = to_patches(filled)[:, self.inside] if hurried else to_patches(filled)
        parts |= {
            "patches": (self.region_weights * ((patches - wanted_patches / self.patch_std) ** 2)).mean(),
            "volumes": told(self.image_head(states.cls.float())),
            "embedded": told(self.embedding_head(image * math.sqrt(image.shape[-1]))),
        }
        rows = [self.bank.row(place) for place in places]
        soft = torch.tensor(
            [(1.0, 0.0, 0.0) if row["age_years"] < SPARED_BELOW_YEARS else posterior(row["severity"]) for row in rows]
        )
        scale = self.network.scale
        parts["bare"] = functional.cross_entropy(scale * image @ self.phrases.T, soft)
        if with_text:
            parts |= self.text_parts(image, rows, soft, rng)
        return parts

    def text_parts(
        self, image: Tensor, rows: list[dict[str, float]], soft: Tensor, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """The loss that compares scans with reports."""
        texts = []
        for row in rows:
            style = STYLES[int(rng.integers(len(STYLES)))]
            keep = frozenset(name for name in fields_of(style) if rng.random() > 0.15)
            texts += [render(to_visit(row), style, label, keep).text for label in LABELS]
        with torch.no_grad():
            reports = self.network.encode_text(tokenize(texts, self.base.tokenizer)).reshape(len(rows), 3, -1)
        scores = self.network.scale * torch.einsum("be,bke->bk", image, reports)
        return {"report": functional.cross_entropy(scores, soft)}

    def step(self, batch: Batch, rng: np.random.Generator, **how: bool) -> dict[str, float]:
        """One step with gradients averaged over the processes; see `losses` for how."""
        parts = self.losses(batch, rng, **how)
        loss = sum(WEIGHTS[name] * part for name, part in parts.items())
        self.optimizer.zero_grad(set_to_none=False)
        assert isinstance(loss, Tensor)
        loss.backward()
        if dist.is_initialized():
            flat = torch.cat([p.grad.flatten() if p.grad is not None else torch.zeros(p.numel()) for p in self.learned])
            dist.all_reduce(flat)
            flat /= dist.get_world_size()
            for parameter, part in zip(self.learned, flat.split([p.numel() for p in self.learned]), strict=True):
                parameter.grad = part.reshape(parameter.shape)
        nn.utils.clip_grad_norm_(self.learned, 1.0)
        self.optimizer.step()
        return {name: part.item() for name, part in parts.items()}

    def pace(self, progress: float) -> None:
        """Warm up over the first 4 %, then cosine to zero."""
        rate = (
            self.learning_rate * min(1.0, progress / 0.04 + 0.02) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @torch.inference_mode()
    def check(self, count: int = 96) -> dict[str, float]:
        """Correlation with the truth on people made of the heads left out: from the embedding, and from the sum of cells."""
        self.network.eval()
        places = self.bank.test[:: max(1, len(self.bank.test) // count)]
        told, sums, looked, wanted = [], [], [], []
        for place in places:
            images = self.bank.images([place], seed=1)
            tower = self.network.vision_encoder
            levels = tower.patch_embedding.stem.forward_levels(tower.patch_embedding.close_up.blank(images))
            cls = tower(images, with_patches=False).cls
            image = functional.normalize(self.network.mm_vision_proj(cls), dim=-1)
            told.append(self.embedding_head(image * math.sqrt(image.shape[-1]))[0].numpy())
            sums.append(torch.sigmoid(self.cell_head(levels[CELL_LEVEL]))[0].sum(dim=(1, 2, 3)).numpy())
            right, left = tower.patch_embedding.close_up.tell_apart(images).sum(dim=(2, 3, 4)).numpy()
            looked.append([left[6], right[6], left[7], right[7], left[5], right[5]])
            wanted.append(self.bank.targets(place))
        self.network.train()
        a, b, c = np.array(told), np.log(np.array(sums) + 0.1), np.array(wanted)
        closer = np.log(np.array(looked) * SPACING_MM**3 + LEAST_MM3)
        chosen = (
            "hippocampus_left",
            "hippocampus_right",
            "amygdala_left",
            "horn_left",
            "ventricle_left",
            "entorhinal_left",
        )
        found = {name: round(float(np.corrcoef(a[:, i], c[:, i])[0, 1]), 3)
                 for i, name in enumerate(TARGETS) if name in (*chosen, "age", "severity", "mmse", "whole_brain")}  # fmt: skip
        found |= {f"closer_{NAMES[i]}": round(float(np.corrcoef(closer[:, i], c[:, i])[0, 1]), 3) for i in (0, 1, 2, 4)}
        return found | {f"cells_{name}": round(float(np.corrcoef(b[:, i], c[:, i])[0, 1]), 3)
                        for i, name in enumerate(NAMES) if name in chosen[:4]}  # fmt: skip


class Feed:
    """Scans of random people, each painted once and used twice, the second time mirrored and not with the first."""

    def __init__(self, bank: Bank, rng: np.random.Generator, waiting: int = 16) -> None:
        self.bank, self.rng, self.waiting = bank, rng, waiting
        self.pairs: list[tuple[Tensor, Tensor, list[float], Place]] = []

    def batch(self, size: int) -> Batch:
        """Draw a batch."""
        while len(self.pairs) < size + self.waiting:
            place = self.bank.train[int(self.rng.integers(len(self.bank.train)))]
            image = torch.from_numpy(self.bank.paint(place, self.rng))[None]
            one = (image, self.bank.filled(place), self.bank.targets(place))
            self.pairs += [(*one, place), (*mirror(*one), place)]
        drawn = [self.pairs.pop(int(self.rng.integers(len(self.pairs)))) for _ in range(size)]
        images, filled, targets, places = zip(*drawn, strict=True)
        return torch.stack(images), torch.stack(filled), torch.tensor(targets).float(), list(places)


def describe_run(
    script: str, bank: Bank, minutes: float, steps: int, history: list[dict[str, float]]
) -> dict[str, Any]:
    """What is told of a stage of training in `base.json`: data, steps, hardware, curve."""
    people = hashlib.sha256(b"".join(path.read_bytes() for path in bank.parts)).hexdigest()
    return {"script": f"examples/builtin/{script}", "people": len(bank.train), "people_held_out": len(bank.test),
            "people_sha256": people, "minutes": round(minutes, 1), "steps": steps,
            "processes": int(os.environ.get("WORLD_SIZE", "1")), "processor": read_processor(), "torch": torch.__version__,
            "history": history}  # fmt: skip


def read_processor() -> str:
    """The processor's name, as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n") if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _earlier_stages(tower: Path | None) -> list[dict[str, Any]]:
    """What is told of how the image tower came about that is gone on with."""
    if tower is None:
        return []
    stages = json.loads((tower / "base.json").read_text(encoding="utf-8"))["training"]
    return [stage for stage in stages if not stage["script"].endswith("train_reports.py")]


def save_base(network: Network, out: Path, revision: str, stages: list[dict[str, Any]]) -> None:
    """Write the base weights, their hash and sizes, and how they came about."""
    out.mkdir(parents=True, exist_ok=True)
    # half precision: half the size of the package, and 11 bits are more than these weights are known to
    state = {name: parameter.detach().half().contiguous() for name, parameter in network.named_parameters()}
    data = save(state)
    digest = hashlib.sha256(data).hexdigest()
    (out / "base.safetensors").write_bytes(data)
    record = {"name": "builtin", "revision": revision, "sha256": digest, "trained_on": "simulated anatomy only",
              "model": network.config.to_dict(), "training": stages}  # fmt: skip
    (out / "base.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Train for a given time and write the base."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True, help="base whose text tower and vocabulary are taken")
    parser.add_argument("--close-up", type=Path, required=True, help="folder that train_close_up.py wrote")
    parser.add_argument("--tower", type=Path, help="base whose image tower is gone on with")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--batch-size", type=int, default=3, help="of each process")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--revision", default="4")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rank = int(os.environ.get("RANK", "0"))
    if "RANK" in os.environ:
        dist.init_process_group("gloo", timeout=timedelta(minutes=10))
    bank = Bank(options.bank, Painter(options.labels / "meta"))
    trainer = Trainer(bank, options.text, options.close_up, options.tower, options.learning_rate, options.seed)
    rng = np.random.default_rng([options.seed, rank])
    feed = Feed(bank, rng)
    log = (options.bank / f"train-{options.seed}.jsonl").open("a", encoding="utf-8", buffering=1) if rank == 0 else None
    start, step = time.monotonic(), 0
    checks = [0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.85, 0.93]
    history: list[dict[str, float]] = []

    def check_and_save(count: int) -> None:
        if log:
            minutes = (time.monotonic() - start) / 60
            history.append({"step": step, "minutes": round(minutes, 1)} | trainer.check(count))
            log.write(json.dumps(history[-1]) + "\n")
            run = describe_run("train_image_tower.py", bank, minutes, step, history)
            run["scans_a_step"] = options.batch_size * int(os.environ.get("WORLD_SIZE", "1"))
            stages = _earlier_stages(options.tower)
            looks = json.loads((options.close_up / "close_up.json").read_text(encoding="utf-8"))
            save_base(trainer.network, options.out, options.revision, [*stages, looks, run])

    while True:
        progress = torch.tensor((time.monotonic() - start) / 60 / options.minutes)
        if dist.is_initialized():
            dist.broadcast(progress, 0)  # all processes stop together
        if progress >= 1:
            break
        trainer.pace(float(progress))
        late = float(progress) > TEXT_FROM
        parts = trainer.step(
            feed.batch(options.batch_size),
            rng,
            stem_only=options.tower is None and float(progress) < STEM_UNTIL,
            with_text=late,
            hurried=not late,
        )
        step += 1
        if log and step % 25 == 0:
            shown = {name: round(value, 4) for name, value in parts.items()}
            log.write(json.dumps({"minutes": round(float(progress) * options.minutes, 2), "step": step} | shown) + "\n")
        if checks and progress > checks[0]:
            checks.pop(0)
            check_and_save(96)
    check_and_save(200)


if __name__ == "__main__":
    main()
