"""Train the builtin base model on the people of `make_bank.py`: towers, projections and logit scale.

    python examples/builtin/train_builtin.py --bank bank --out adclip/assets/builtin --minutes 40

With `--go-on` the image tower of the base that is in `--out` learns on from a new bank while the text tower stays as it is:
scans are then compared with the bare class phrases only.

Beside the objectives of fine-tuning (report candidates, bare-phrase candidates, image-report contrast) the towers are told
what the simulation knows and a scanner does not: how much of each patch a region fills, every volume, the age and the
severity. The heads for these are thrown away afterwards. Nothing here has seen a patient.
"""

# %%
import argparse
import dataclasses
import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from einops import reduce
from safetensors.torch import save
from torch import Tensor, nn

from adclip.clinical.reports import bare_phrase, fields_of, render
from adclip.config import SMALL
from adclip.domain import Visit
from adclip.model.bases import read_base
from adclip.model.build import build_network, load_network
from adclip.model.network import Network
from adclip.model.text import read_tokenizer, tokenize
from adclip.training.losses import contrast

LABELS = ("CN", "MCI", "AD")
STYLE = "paper6"
WEIGHTS = {"volumes": 1.0, "patches": 1.0, "report": 0.3, "bare": 0.3, "contrast": 0.1, "text": 0.3}
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7))  # left and right regions change places when a volume is mirrored


class Bank:
    """All finished people of a bank folder; grows while it is still being written."""

    def __init__(self, folder: Path, hold_out: int) -> None:
        self.folder, self.hold_out = folder, hold_out
        self.parts = sorted(folder.glob("part-*.npy"))
        self.volumes = [np.load(path, mmap_mode="r") for path in self.parts]
        self.regions = [np.load(folder / path.name.replace("part", "regions"), mmap_mode="r") for path in self.parts]
        self.refresh()

    def refresh(self) -> None:
        """Read the rows written so far; the first `hold_out` people of part 0 are kept for checking."""
        self.rows: list[list[dict[str, float]]] = []
        for path in self.parts:
            lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").split("\n")[:-1]
            self.rows.append([json.loads(line) for line in lines])
        every = [(part, index) for part, rows in enumerate(self.rows) for index in range(len(rows))]
        self.test = [place for place in every if place[0] == 0 and place[1] < self.hold_out]
        self.train = [place for place in every if not (place[0] == 0 and place[1] < self.hold_out)]

    def row(self, place: tuple[int, int]) -> dict[str, float]:
        """The person at a place."""
        return self.rows[place[0]][place[1]]

    def images(self, places: list[tuple[int, int]]) -> Tensor:
        """Volumes (B, 1, D, H, W) in [0, 1]."""
        return torch.from_numpy(np.stack([self.volumes[p][i] for p, i in places])[:, None]).float() / 255

    def filled(self, places: list[tuple[int, int]]) -> Tensor:
        """Share of each patch that each region fills (B, patches, regions)."""
        return torch.from_numpy(np.stack([self.regions[p][i] for p, i in places])).float()


def to_visit(row: dict[str, float]) -> Visit:
    """The person as a table row."""
    names = {field.name for field in dataclasses.fields(Visit)} - {"diagnosis", "subject_id"}
    return Visit(**{key: value for key, value in row.items() if key in names})  # type: ignore[arg-type]


def targets(row: dict[str, float]) -> list[float]:
    """What the image can know of a person: ln shares of ICV, age in decades, severity, MMSE in tens."""
    names = ("hippocampus_left_mm3", "hippocampus_right_mm3", "ventricles_mm3", "entorhinal_mm3", "fusiform_mm3",
             "middle_temporal_mm3", "whole_brain_mm3")  # fmt: skip
    shares = [math.log(row[name] / row["icv_mm3"]) for name in names]
    return [*shares, row["age_years"] / 10, row["severity"], row["mmse"] / 10]


def jitter(row: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """The same kind of person with other volumes: teaches the text tower digits."""
    factor = float(np.exp(rng.normal(0, 0.15)))
    return {k: v * factor * float(np.exp(rng.normal(0, 0.2))) if k.endswith("mm3") else v for k, v in row.items()}


def kept_fields(rng: np.random.Generator) -> frozenset[str]:
    """Report dropout: each field is kept with probability 0.85."""
    return frozenset(name for name in fields_of(STYLE) if rng.random() > 0.15)


class Trainer:
    """The network with the heads that only training has."""

    def __init__(self, bank: Bank, out: Path, learning_rate: float, seed: int, *, go_on: bool) -> None:
        torch.manual_seed(seed)
        self.bank, self.rng = bank, np.random.default_rng(seed)
        self.tokenizer = read_tokenizer(out / "vocab.txt")
        config = dataclasses.replace(SMALL, vocabulary=self.tokenizer.get_vocab_size())
        self.network: Network = load_network(read_base(str(out)), None) if go_on else build_network(config, None)
        self.network.train().requires_grad_(True)
        self.phrases: Tensor | None = None
        if go_on:
            self.network.language_encoder.requires_grad_(False)
            self.network.mm_language_proj.requires_grad_(False)
            with torch.no_grad():
                self.phrases = self.network.encode_text(tokenize([bare_phrase(x) for x in LABELS], self.tokenizer))
        self.columns = fields_of(STYLE)
        train_rows = [bank.row(place) for place in bank.train]
        matrix = np.array([targets(row) for row in train_rows])
        self.mean, self.std = torch.tensor(matrix.mean(0)).float(), torch.tensor(matrix.std(0)).float()
        digits = np.log([[row[column] for column in self.columns] for row in train_rows])
        self.text_mean, self.text_std = torch.tensor(digits.mean(0)).float(), torch.tensor(digits.std(0)).float()
        filled = bank.filled(bank.train[:256])
        self.patch_std = filled.std(dim=(0, 1))
        pd, ph, pw = config.patch
        brain = reduce(
            bank.images(bank.train[:256]), "b 1 (d pd) (h ph) (w pw) -> (d h w)", "mean", pd=pd, ph=ph, pw=pw
        )
        self.inside = torch.nonzero(brain > 0.002)[:, 0]
        self.image_head = nn.Linear(config.width, matrix.shape[1])
        self.patch_head = nn.Linear(config.width, filled.shape[2])
        self.text_head = nn.Linear(config.text_width, len(self.columns))
        heads = [*self.image_head.parameters(), *self.patch_head.parameters(), *self.text_head.parameters()]
        self.optimizer = torch.optim.AdamW([*self.network.parameters(), *heads], lr=learning_rate, weight_decay=0.02)
        self.learning_rate = learning_rate

    # ---------------------------------------------------------------- text first: it is cheap
    def text_step(self, batch: int) -> float:
        """Teach the text tower to read numbers."""
        picked = self.rng.choice(len(self.bank.train), batch)
        rows = [jitter(self.bank.row(self.bank.train[int(i)]), self.rng) for i in picked]
        loss = self.text_loss(rows, [kept_fields(self.rng) for _ in rows])
        self.update(loss)
        return loss.item()

    def text_loss(self, rows: list[dict[str, float]], kept: list[frozenset[str]]) -> Tensor:
        """Squared error of the z-scored ln volumes that each report shows."""
        texts = [
            render(to_visit(row), STYLE, str(row["diagnosis"]), keep).text for row, keep in zip(rows, kept, strict=True)
        ]
        batch = tokenize(texts, self.tokenizer)
        states = self.network.language_encoder(input_ids=batch.ids, attention_mask=batch.mask.long()).last_hidden_state
        values = torch.tensor([[row[column] for column in self.columns] for row in rows]).log()
        wanted = (values - self.text_mean) / self.text_std
        shown = torch.tensor([[column in keep for column in self.columns] for keep in kept])
        return functional.mse_loss(self.text_head(states[:, 0])[shown], wanted[shown])

    # ---------------------------------------------------------------- images and texts together
    def image_step(self, batch: int, *, with_text: bool, hurried: bool) -> dict[str, float]:
        """One step on fresh pairs of scans and reports.

        `hurried` leaves out the patches that hold no brain (about two in five), `with_text` compares with reports; the
        last part of the training does everything.
        """
        places = [self.bank.train[int(i)] for i in self.rng.choice(len(self.bank.train), batch, replace=False)]
        images, filled, rows = self.augment(self.bank.images(places), self.bank.filled(places),
                                            [self.bank.row(place) for place in places])  # fmt: skip
        labels = torch.tensor([LABELS.index(str(row["diagnosis"])) for row in rows])
        kept = [kept_fields(self.rng) if self.rng.random() > 0.4 else None for _ in rows]
        tower = self.network.vision_encoder
        embedded_patches = tower.patch_embedding(images)
        if hurried:
            embedded_patches, filled = embedded_patches[:, self.inside], filled[:, self.inside]
        states = tower.encode(embedded_patches)
        image = self.network.mm_vision_proj(states.cls)
        wanted = (torch.tensor([targets(row) for row in rows]) - self.mean) / self.std
        parts = {
            "volumes": functional.mse_loss(self.image_head(states.cls), wanted),
            "patches": functional.mse_loss(self.patch_head(states.patches), filled / self.patch_std),
        }
        if self.phrases is not None:
            scores = self.network.scale * functional.normalize(image, dim=-1) @ self.phrases.T
            parts["bare"] = functional.cross_entropy(scores, labels)
        elif with_text:
            parts |= self.text_parts(image, rows, labels, kept)
        self.update(sum(WEIGHTS[name] * part for name, part in parts.items()))  # type: ignore[arg-type]
        return {name: part.item() for name, part in parts.items()}

    def text_parts(
        self, image: Tensor, rows: list[dict[str, float]], labels: Tensor, kept: list[frozenset[str] | None]
    ) -> dict[str, Tensor]:
        """The losses that compare scans with reports."""
        batch = len(rows)
        texts = []
        for row, keep in zip(rows, kept, strict=True):
            for label in LABELS:
                texts.append(bare_phrase(label) if keep is None else render(to_visit(row), STYLE, label, keep).text)
        texts += [bare_phrase(label) for label in LABELS]
        embedded = self.network.encode_text(tokenize(texts, self.tokenizer))
        image = functional.normalize(image, dim=-1)
        reports = embedded[:-3].reshape(batch, 3, -1)
        scores = self.network.scale * torch.einsum("be,bke->bk", image, reports)
        bare = self.network.scale * image @ embedded[-3:].T
        return {
            "report": functional.cross_entropy(scores, labels),
            "bare": functional.cross_entropy(bare, labels),
            "contrast": contrast(image, reports[torch.arange(batch), labels], labels, self.network.scale),
            "text": self.text_loss([jitter(row, self.rng) for row in rows], [kept_fields(self.rng) for _ in rows]),
        }

    def augment(
        self, images: Tensor, filled: Tensor, rows: list[dict[str, float]]
    ) -> tuple[Tensor, Tensor, list[dict[str, float]]]:
        """Gamma, noise and gain; half the batch mirrored, its left and right truth with it."""
        batch = images.shape[0]
        gamma = torch.from_numpy(np.exp(self.rng.normal(0, 0.2, (batch, 1, 1, 1, 1)))).float()
        gain = torch.from_numpy(self.rng.uniform(0.85, 1.15, (batch, 1, 1, 1, 1))).float()
        inside = images > 0
        images = (images.clamp(min=1e-4) ** gamma * gain + 0.02 * torch.randn_like(images)).clamp(0, 1) * inside
        d, h, w = SMALL.token_grid
        order = torch.arange(filled.shape[2])
        for left, right in PAIRS:
            order[left], order[right] = right, left
        rows = list(rows)
        for index in np.flatnonzero(self.rng.random(batch) < 0.5):
            images[index] = images[index].flip(-1)
            filled[index] = filled[index].reshape(d, h, w, -1).flip(2).reshape(d * h * w, -1)[:, order]
            row = rows[index]
            rows[index] = row | {"hippocampus_left_mm3": row["hippocampus_right_mm3"],
                                 "hippocampus_right_mm3": row["hippocampus_left_mm3"]}  # fmt: skip
        return images, filled, rows

    def update(self, loss: Tensor) -> None:
        """Step the optimiser with clipped gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()

    def pace(self, progress: float) -> None:
        """Warm up over the first 4 %, then cosine to zero."""
        rate = self.learning_rate * min(1.0, progress / 0.04) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @torch.inference_mode()
    def check(self) -> dict[str, float]:
        """Correlation with the truth on people who were held out, young and old."""
        self.network.eval()
        states = torch.cat([self.network.vision_encoder(self.bank.images(self.bank.test[i : i + 16])).cls
                            for i in range(0, len(self.bank.test), 16)])  # fmt: skip
        told = self.image_head(states).numpy()
        wanted = np.array([targets(self.bank.row(place)) for place in self.bank.test])
        names = ("hipp_l", "hipp_r", "ventricles", "entorhinal", "fusiform", "mid_temporal", "brain", "age", "severity",
                 "mmse")  # fmt: skip
        self.network.train()
        return {name: round(float(np.corrcoef(told[:, i], wanted[:, i])[0, 1]), 3) for i, name in enumerate(names)}


def save_base(network: Network, out: Path, revision: str) -> None:
    """Write the base weights, their hash and sizes."""
    state = {name: parameter.detach().contiguous() for name, parameter in network.named_parameters()}
    data = save(state)
    digest = hashlib.sha256(data).hexdigest()
    (out / "base.safetensors").write_bytes(data)
    record = {"name": "builtin", "revision": revision, "sha256": digest, "trained_on": "simulated anatomy only",
              "model": network.config.to_dict()}  # fmt: skip
    (out / "base.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Train for a given time and write the base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--text-minutes", type=float, default=5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--revision", default="3")
    options = parser.parse_args()
    bank = Bank(options.bank, hold_out=200)
    trainer = Trainer(bank, options.out, options.learning_rate, options.seed, go_on=options.go_on)
    log = (options.bank / "train.jsonl").open("a", encoding="utf-8", buffering=1)
    start, step = time.monotonic(), 0
    while not options.go_on and (passed := (time.monotonic() - start) / 60) < options.text_minutes:
        trainer.pace(min(passed / options.text_minutes, 0.6))
        loss = trainer.text_step(64)
        step += 1
        if step % 50 == 0:
            log.write(json.dumps({"minutes": round(passed, 2), "text_step": step, "loss": round(loss, 4)}) + "\n")
    start, step = time.monotonic(), 0
    trainer.optimizer = type(trainer.optimizer)(trainer.optimizer.param_groups)  # forget the moments of the first part
    while (passed := (time.monotonic() - start) / 60) < options.minutes:
        trainer.pace(passed / options.minutes)
        thorough = passed > 0.8 * options.minutes
        parts = trainer.image_step(options.batch_size, with_text=thorough or step % 3 == 0, hurried=not thorough)
        step += 1
        if step % 100 == 0:
            trainer.bank.refresh()
        if step % 24 == 1:
            shown = {name: round(value, 4) for name, value in parts.items()}
            log.write(json.dumps({"minutes": round(passed, 2), "image_step": step} | shown) + "\n")
        if step % 300 == 0:
            log.write(json.dumps({"step": step, "people": len(trainer.bank.train)} | trainer.check()) + "\n")
            save_base(trainer.network, options.out, options.revision)
    log.write(json.dumps({"step": step} | trainer.check()) + "\n")
    save_base(trainer.network, options.out, options.revision)


if __name__ == "__main__":
    main()
