"""Second part of the builtin base: with the image tower frozen, teach the text tower to weigh a report against a scan.

    python examples/builtin/train_reports.py --bank bank --out adclip/assets/builtin --minutes 12

Every scan of the bank is embedded once, as it is and mirrored; then only the text tower, its projection and the logit scale
learn, with report candidates and bare phrases, which is cheap. Half of each batch are people of the bank with their scans,
the other half fresh people without one: their volumes come from a linear model of the bank's measured volumes, and the mean
embedding stands for the scan, so that a report must be read for itself. The weights with the smallest loss on the people
held out are kept.
"""

# %%
import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from make_bank import BANK_SEED
from torch import Tensor
from train_builtin import LABELS, STYLE, Bank, kept_fields, save_base, to_visit

from adclip.clinical.reports import bare_phrase, render
from adclip.imaging.population import Person, draw_person
from adclip.metrics import auc
from adclip.model.build import load_network, read_base
from adclip.model.text import tokenize

BATCH, LEARNING_RATE, WEIGHT_DECAY = 32, 5e-4, 0.05
PRINTED = (
    "hippocampus_mm3",
    "ventricles_mm3",
    "whole_brain_mm3",
    "entorhinal_mm3",
    "fusiform_mm3",
    "middle_temporal_mm3",
)


class FreshPeople:
    """Draws people with volumes, without simulating their scans."""

    def __init__(self, bank: Bank) -> None:
        causes, volumes = [], []
        for part, rows in enumerate(bank.rows):
            number = int(bank.parts[part].stem.split("-")[1])
            for index, row in enumerate(rows):
                rng = np.random.default_rng([BANK_SEED, number, index])
                causes.append(self.causes(draw_person("", rng, wide_age=index % 2 == 1)))
                volumes.append([np.log(row[name]) for name in PRINTED])
        matrix, wanted = np.array(causes), np.array(volumes)
        self.weights, *_ = np.linalg.lstsq(matrix, wanted, rcond=None)
        self.spread = np.linalg.cholesky(np.cov((wanted - matrix @ self.weights).T))

    @staticmethod
    def causes(person: Person) -> list[float]:
        """What the volumes depend on, with squares."""
        values = [*person.log_change.values(), float(np.log(person.icv_mm3 / 1.4e6))]
        return [1.0, *values, *(value**2 for value in values)]

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw one row."""
        person = draw_person("", rng, wide_age=bool(rng.random() < 0.5))
        found = np.exp(np.array(self.causes(person)) @ self.weights + self.spread @ rng.standard_normal(len(PRINTED)))
        return {"diagnosis": person.diagnosis, **dict(zip(PRINTED, found.tolist(), strict=True))}  # type: ignore[dict-item]


@torch.inference_mode()
def embed(network: torch.nn.Module, bank: Bank, places: list[tuple[int, int]], *, mirrored: bool) -> Tensor:
    """Embed scans (N, E)."""
    parts = []
    for start in range(0, len(places), 16):
        images = bank.images(places[start : start + 16])
        parts.append(network.encode_image(images.flip(-1) if mirrored else images))  # type: ignore[operator]
    return torch.cat(parts)


def main() -> None:
    """Train for a given time and write the base again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    bank = Bank(options.bank, hold_out=200)
    base = read_base(str(options.out))
    network = load_network(base, None)
    network.requires_grad_(False)
    seen = torch.stack([embed(network, bank, bank.train, mirrored=flip) for flip in (False, True)])
    checked = embed(network, bank, bank.test, mirrored=False)
    average = functional.normalize(seen[0].mean(0, keepdim=True), dim=-1)
    fresh = FreshPeople(bank)
    network.language_encoder.requires_grad_(True)
    network.mm_language_proj.requires_grad_(True)
    network.logit_scale.requires_grad_(True)
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def scores(
        images: Tensor, people: list[dict[str, float]], kept: list[frozenset[str] | None]
    ) -> tuple[Tensor, Tensor]:
        texts = [bare_phrase(label) for label in LABELS]
        for row, keep in zip(people, kept, strict=True):
            texts += [render(to_visit(row), STYLE, label, keep).text for label in LABELS]
        embedded = network.encode_text(tokenize(texts, base.tokenizer))
        reports = embedded[3:].reshape(len(people), 3, -1)
        return network.scale * torch.einsum("be,bke->bk", images, reports), network.scale * images @ embedded[:3].T

    def labels_of(people: list[dict[str, float]]) -> Tensor:
        return torch.tensor([LABELS.index(str(row["diagnosis"])) for row in people])

    def check() -> dict[str, float]:
        with torch.inference_mode():
            held_out = [bank.row(place) for place in bank.test]
            report, bare = scores(checked, held_out, [None] * len(held_out))
        wanted = labels_of(held_out)
        chosen = wanted != LABELS.index("MCI")
        sick = (wanted[chosen] == LABELS.index("AD")).numpy()
        loss = functional.cross_entropy(report, wanted) + 0.5 * functional.cross_entropy(bare, wanted)
        return {
            "loss": loss.item(),
            "auc_report": auc(sick, (report[:, 2] - report[:, 0])[chosen].numpy()),
            "auc_bare": auc(sick, (bare[:, 2] - bare[:, 0])[chosen].numpy()),
        }

    log = (options.bank / "reports.jsonl").open("a", encoding="utf-8", buffering=1)
    best, kept_state = check(), copy.deepcopy(network.state_dict())
    log.write(json.dumps({"step": 0} | best) + "\n")
    start, step = time.monotonic(), 0
    while (passed := (time.monotonic() - start) / 60) < options.minutes:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 30) * (1 - passed / options.minutes)
        picked = rng.choice(len(bank.train), BATCH, replace=False)
        people = [bank.row(bank.train[int(index)]) for index in picked]
        images = seen[torch.from_numpy(rng.integers(0, 2, BATCH)), torch.from_numpy(picked)]
        people += [fresh.draw(rng) for _ in range(BATCH)]
        images = torch.cat([images, average.expand(BATCH, -1)])
        report, bare = scores(images, people, [kept_fields(rng) for _ in people])
        wanted = labels_of(people)
        with_scan = functional.cross_entropy(bare[:BATCH], wanted[:BATCH])
        loss = functional.cross_entropy(report, wanted) + 0.5 * with_scan
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        step += 1
        if step % 40 == 0:
            found = check()
            log.write(json.dumps({"step": step, "train_loss": loss.item()} | found) + "\n")
            if found["loss"] < best["loss"]:
                best, kept_state = found, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept_state)
    save_base(network, options.out)


if __name__ == "__main__":
    main()
