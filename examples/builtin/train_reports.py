"""Second part of the builtin base: with the image tower frozen, teach the text tower to weigh a report against a scan.

    python examples/builtin/train_reports.py --labels LABELS --bank bank --out base --reading-minutes 0 --minutes 15

First the text tower learns to read: from the state of [CLS] a linear head, thrown away afterwards, tells the volumes, the age and the
other numbers of a report. Then it learns to weigh. A scan of every second person of the bank is embedded once, and one mirrored; only the text
tower, its projection and the logit scale learn, with report candidates and bare phrases, which is cheap. Half of each batch are people
of the bank with their scans, the other half fresh people without one: their volumes come from a linear model of the bank's measured
volumes, and the mean embedding stands for the scan, so that a report must be read for itself. What a score should say is told by a
teacher: gradient-boosted trees that learn P(diagnosis | numbers shown) from many fresh people, with numbers missing at random. A
probability teaches more than one drawn diagnosis does. Every style is read, in all its wordings.
The weights with the smallest loss on people made of the heads left out are kept. A vocabulary that has grown since is taken over: new words begin as
the mean of their letters.
"""

# %%
import argparse
import copy
import dataclasses
import json
import time
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
import torch.nn.functional as functional
from bank import Bank, to_visit
from einops import rearrange
from make_label_bank import BANK_SEED, draw_any
from painter import Painter
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor
from train_image_tower import LABELS, describe_run, save_base
from train_read_out import embed

from adclip.clinical.reports import bare_phrase, fields_of, render, usable_fields
from adclip.domain import Visit
from adclip.evaluation.metrics import auc
from adclip.model.bases import BaseWeights, read_base
from adclip.model.build import build_network, load_network
from adclip.model.network import Network
from adclip.model.text import tokenize
from adclip.simulation.population import Person, draw_person

BATCH, LEARNING_RATE, WEIGHT_DECAY = 12, 5e-4, 0.05
READING_BATCH, READING_RATE = 48, 1e-3
STYLES = {"clinical": 0.55, "paper6": 0.25, "knowledge": 0.1, "paper4": 0.1}  # share of the reports
CHECKED = ("clinical", "paper6")
Said = tuple[str, int, frozenset[str] | None]  # style, wording, fields that are kept
DROPOUT = 0.15
TAUGHT_PEOPLE = 60_000
EMBEDDED_PEOPLE = 700  # whose scans the text tower is taught with
WIDE_AGE = 0.3  # share of the fresh people who are 20 to 95 years old; the others have the ages of a memory clinic
TOLD = ("hippocampus_mm3", "ventricles_mm3", "whole_brain_mm3", "entorhinal_mm3", "fusiform_mm3", "middle_temporal_mm3",
        "icv_mm3", "age_years", "apoe4_count", "education_years")  # fmt: skip
PRINTED = TOLD[:6]
SEEN = frozenset((*PRINTED, "icv_mm3", "age_years"))  # what a scan shows of a person


class FreshPeople:
    """Draws people with volumes, without simulating their scans."""

    def __init__(self, bank: Bank) -> None:
        causes, volumes = [], []
        for part, rows in enumerate(bank.rows):
            number = int(bank.parts[part].stem.split("-")[1])
            for index, row in enumerate(rows):
                rng = np.random.default_rng([BANK_SEED, number, index])
                causes.append(self.causes(draw_any(index, rng, "")))
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
        person = draw_person("", rng, wide_age=bool(rng.random() < WIDE_AGE))
        found = np.exp(np.array(self.causes(person)) @ self.weights + self.spread @ rng.standard_normal(len(PRINTED)))
        row = dict(zip(PRINTED, found.tolist(), strict=True))
        left = row["hippocampus_mm3"] * (0.5 + 0.02 * float(rng.standard_normal()))
        return {
            "diagnosis": person.diagnosis, "age_years": person.age_years, "sex": person.sex, "icv_mm3": person.icv_mm3,
            "education_years": person.education_years, "apoe4_count": person.apoe4_count, **row,
            "hippocampus_left_mm3": left, "hippocampus_right_mm3": row["hippocampus_mm3"] - left,
        }  # type: ignore[dict-item]  # fmt: skip


class Teacher:
    """Tells P(diagnosis) from the numbers that are shown."""

    def __init__(self, fresh: FreshPeople, rng: np.random.Generator) -> None:
        people = [fresh.draw(rng) for _ in range(TAUGHT_PEOPLE)]
        table = np.array([self.values(row, frozenset((*TOLD, "sex"))) for row in people])
        missing = rng.random(table.shape) < rng.choice([0.0, 0.15, 0.5, 0.8], (len(table), 1))
        for left, right in ((0, 1), (2, 3), (4, 5)):  # a report often shows hippocampus and ventricles alone
            few = rng.random(len(table)) < 0.1
            missing[few, left] = missing[few, right] = False
        self.model = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.08, max_leaf_nodes=12,
                                                    early_stopping=True, random_state=0)  # fmt: skip
        self.model.fit(np.where(missing, np.nan, table), [LABELS.index(str(row["diagnosis"])) for row in people])

    @staticmethod
    def values(row: dict[str, float], shown: frozenset[str]) -> list[float]:
        """The numbers in order; NaN where not shown."""
        numbers = [row[name] if name in shown else np.nan for name in TOLD]
        return [*numbers, float(row["sex"] == "M") if "sex" in shown else np.nan]

    def probabilities(self, rows: list[dict[str, float]], shown: list[frozenset[str]]) -> Tensor:
        """P(diagnosis), (people, 3)."""
        table = np.array([self.values(row, names) for row, names in zip(rows, shown, strict=True)])
        return torch.from_numpy(self.model.predict_proba(table)).float()


def with_whole_vocabulary(base: BaseWeights) -> Network:
    """Return the base's network with a row for every word of its tokenizer; new words begin as the mean of their letters."""
    old = load_network(base, None)
    words = base.tokenizer.get_vocab()
    if len(words) == base.config.vocabulary:
        return old
    network = build_network(dataclasses.replace(base.config, vocabulary=len(words)), None)
    state = old.state_dict()
    name = next(key for key in state if key.endswith("word_embeddings.weight"))
    table = network.state_dict()[name].clone()
    table[: base.config.vocabulary] = state[name]
    for word, index in words.items():
        if index >= base.config.vocabulary:
            letters = [words[word[0]], *(words[f"##{letter}"] for letter in word[1:])]
            table[index] = state[name][letters].mean(0)
    network.load_state_dict(state | {name: table})
    return network


def jitter(row: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """The same kind of person with other volumes: teaches the text tower digits."""
    factor = float(np.exp(rng.normal(0, 0.15)))
    return {k: v * factor * float(np.exp(rng.normal(0, 0.2))) if k.endswith("mm3") else v for k, v in row.items()}


def kept_fields(style: str, rng: np.random.Generator) -> frozenset[str]:
    """Report dropout."""
    return frozenset(name for name in fields_of(style) if rng.random() > DROPOUT)


def draw_style(rng: np.random.Generator) -> tuple[str, int]:
    """Draw a style and a wording; the canonical wording for every third report."""
    return str(rng.choice(list(STYLES), p=list(STYLES.values()))), int(
        rng.integers(1, 2**31)
    ) if rng.random() > 0.33 else 0


class Reading:
    """Teaches the text tower to tell what a report says."""

    def __init__(self, network: Network, base: BaseWeights, bank: Bank) -> None:
        self.network, self.base, self.bank = network, base, bank
        rows = [bank.row(place) for place in bank.train]
        table = np.array([[self.scale(name, row[name]) for name in TOLD] for row in rows])
        self.mean, self.std = table.mean(0), table.std(0)
        self.head = torch.nn.Linear(base.config.text_width, len(TOLD))
        learned = [*network.language_encoder.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(learned, lr=READING_RATE, weight_decay=WEIGHT_DECAY)

    @staticmethod
    def scale(name: str, value: float) -> float:
        """Volumes as logarithms."""
        return float(np.log(value)) if name.endswith("_mm3") else float(value)

    def step(self, rng: np.random.Generator, rate: float) -> float:
        """Squared error of the z-scored numbers that each report shows."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        texts, wanted, shown = [], [], []
        for index in rng.choice(len(self.bank.train), READING_BATCH, replace=False):
            row = jitter(self.bank.row(self.bank.train[int(index)]), rng)
            style, phrasing = draw_style(rng)
            keep = kept_fields(style, rng)
            visit = to_visit(row)
            texts.append(render(visit, style, str(rng.choice(LABELS)), keep, phrasing).text)
            usable = frozenset(usable_fields(visit, style)) & keep
            wanted.append(
                [(self.scale(name, row[name]) - m) / s for name, m, s in zip(TOLD, self.mean, self.std, strict=True)]
            )
            shown.append([name in usable for name in TOLD])
        batch = tokenize(texts, self.base.tokenizer)
        states = self.network.language_encoder(input_ids=batch.ids, attention_mask=batch.mask.long()).last_hidden_state
        mask = torch.tensor(shown)
        loss = functional.mse_loss(self.head(states[:, 0])[mask], torch.tensor(wanted).float()[mask])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.language_encoder.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()


def main() -> None:
    """Train for a given time and write the base again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--reading-minutes", type=float, default=15)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--revision", default="4")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    bank = Bank(options.bank, Painter(options.labels / "meta"))
    base = read_base(str(options.out))
    network = with_whole_vocabulary(base)
    log = (options.bank / "reports.jsonl").open("a", encoding="utf-8", buffering=1)
    reading, start, step = Reading(network, base, bank), time.monotonic(), 0
    while (passed := (time.monotonic() - start) / 60) < options.reading_minutes:
        loss = reading.step(rng, READING_RATE * min(1.0, (step + 1) / 50) * (1 - passed / options.reading_minutes))
        step += 1
        if step % 50 == 0:
            log.write(json.dumps({"minutes": round(passed, 1), "reading_step": step, "loss": round(loss, 4)}) + "\n")
    history = weigh(network, base, bank, rng, options, log) if options.minutes > 0 else []
    before = json.loads((options.out / "base.json").read_text(encoding="utf-8")).get("training", [])
    steps = step + (int(history[-1]["step"]) if history else 0)
    run = describe_run("train_reports.py", bank, options.reading_minutes + options.minutes, steps, history)
    save_base(network, options.out, options.revision, [*before, run])


def weigh(
    network: Network, base: BaseWeights, bank: Bank, rng: np.random.Generator, options: argparse.Namespace, log: TextIO
) -> list[dict[str, float]]:
    """Teach the text tower to weigh a report against a scan; the weights with the smallest loss stay in the network.

    Returns what every check found.
    """
    network.requires_grad_(False)
    taught = bank.train[:: max(1, len(bank.train) // EMBEDDED_PEOPLE)]
    seen = torch.stack([embed(options, network, taught, mirrored=flip) for flip in (False, True)])
    checked = embed(options, network, bank.test, mirrored=False)
    average = functional.normalize(seen[0].mean(0, keepdim=True), dim=-1)
    fresh = FreshPeople(bank)
    teacher = Teacher(fresh, rng)
    network.text_tower.requires_grad_(True)
    network.mm_language_proj.requires_grad_(True)
    network.logit_scale.requires_grad_(True)
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def scores(images: Tensor, visits: list[Visit], said: list[Said]) -> tuple[Tensor, Tensor]:
        texts = [bare_phrase(label) for label in LABELS]
        for visit, (style, phrasing, keep) in zip(visits, said, strict=True):
            texts += [render(visit, style, label, keep, phrasing).text for label in LABELS]
        embedded = network.encode_text(tokenize(texts, base.tokenizer))
        reports = rearrange(embedded[3:], "(b k) e -> b k e", k=3)
        return network.scale * torch.einsum("be,bke->bk", images, reports), network.scale * images @ embedded[:3].T

    @torch.inference_mode()
    def check() -> dict[str, float]:
        """Cross-entropy with the true diagnoses of the people held out, and AUCs of those with the ages of a clinic."""
        held_out = [bank.row(place) for place in bank.test]
        visits = [to_visit(row) for row in held_out]
        wanted = torch.tensor([LABELS.index(str(row["diagnosis"])) for row in held_out])
        clinical = torch.tensor([place[1] % 2 == 0 for place in bank.test])  # see make_label_bank.py
        chosen = (wanted != LABELS.index("MCI")) & clinical
        sick = (wanted[chosen] == LABELS.index("AD")).numpy()
        found: dict[str, float] = {"loss": 0.0}
        for style in CHECKED:
            for name, images in (("", checked), ("_without_scan", average.expand_as(checked))):
                parts = [scores(images[at : at + 25], visits[at : at + 25], [(style, 0, None)] * len(visits[at : at + 25]))
                         for at in range(0, len(visits), 25)]  # fmt: skip
                report, bare = (torch.cat(part) for part in zip(*parts, strict=True))
                found[f"auc_{style}{name}"] = round(auc(sick, (report[:, 2] - report[:, 0])[chosen].numpy()), 4)
                if not name:
                    loss = functional.cross_entropy(report, wanted) + 0.5 * functional.cross_entropy(bare, wanted)
                    found["loss"] += loss.item() / len(CHECKED)
                    found["auc_bare"] = round(auc(sick, (bare[:, 2] - bare[:, 0])[chosen].numpy()), 4)
        return found

    best, kept_state = check(), copy.deepcopy(network.state_dict())
    history: list[dict[str, float]] = [{"step": 0} | best]
    log.write(json.dumps(history[0]) + "\n")
    start, step = time.monotonic(), 0
    while (passed := (time.monotonic() - start) / 60) < options.minutes:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 30) * (1 - passed / options.minutes)
        picked = rng.choice(len(taught), BATCH, replace=False)
        people = [bank.row(taught[int(index)]) for index in picked] + [fresh.draw(rng) for _ in range(BATCH)]
        images = seen[torch.from_numpy(rng.integers(0, 2, BATCH)), torch.from_numpy(picked)]
        images = torch.cat([images, average.expand(BATCH, -1)])
        visits = [to_visit(row) for row in people]
        said = [(*(drawn := draw_style(rng)), kept_fields(drawn[0], rng)) for _ in people]
        told = [
            frozenset(usable_fields(visit, style)) & keep for visit, (style, _, keep) in zip(visits, said, strict=True)
        ]
        shown = [names | SEEN if index < BATCH else names for index, names in enumerate(told)]
        report, bare = scores(images, visits, said)
        loss = functional.cross_entropy(report, teacher.probabilities(people, shown))
        with_scan = teacher.probabilities(people[:BATCH], [SEEN] * BATCH)
        loss = loss + 0.5 * functional.cross_entropy(bare[:BATCH], with_scan)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        step += 1
        if step % 60 == 0:
            found = check()
            history.append({"step": step, "train_loss": round(loss.item(), 4)} | found)
            log.write(json.dumps(history[-1]) + "\n")
            if found["loss"] < best["loss"]:
                best, kept_state = found, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept_state)
    return history


if __name__ == "__main__":
    main()
