"""Draw what the builtin's image tower tells of people made of heads that it never saw, and the scans it was most wrong about.

    python examples/builtin/show_failures.py --labels LABELS --bank bank --base adclip/assets/builtin --out docs/explanation/builtin

A ridge regression from the embedding to ln hippocampus (share of the head) is fitted to people of the other heads and asked about
the people of part 99. Writes `told-and-true.png`, `most-wrong.png` and prints the figures.
"""

# %%
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from bank import NAMES, TARGETS, Bank, Place
from make_label_bank import NAMES as CLASSES
from numpy.typing import NDArray
from painter import Painter
from scipy import stats
from sklearn.linear_model import RidgeCV

from adclip.imaging.steps.grid import from_model_order
from adclip.model.bases import read_base
from adclip.model.build import load_network
from adclip.model.network import Network

SHOWN = {"hippocampus, left": "hippocampus_left", "lateral ventricle, left": "ventricle_left",
         "temporal horn, left": "horn_left", "age, decades": "age"}  # fmt: skip
WORST = 4
TAUGHT = 300


@torch.inference_mode()
def embed(network: Network, bank: Bank, places: list[Place]) -> NDArray[np.float64]:
    """Embeddings (N, E) of one scan a person."""
    return np.concatenate([network.encode_image(bank.images([place], seed=5)).double().numpy() for place in places])


def draw_agreement(told: NDArray[np.float64], true: NDArray[np.float64], target: Path) -> None:
    """Told against true, one panel a quantity."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(3.2 * len(SHOWN), 3.2), constrained_layout=True)
    for axis, (title, name) in zip(axes, SHOWN.items(), strict=True):
        column = TARGETS.index(name)
        x, y = true[:, column], told[:, column]
        axis.scatter(x, y, s=9, color="#30638e")
        low, high = min(x.min(), y.min()), max(x.max(), y.max())
        axis.plot([low, high], [low, high], color="#999999", linewidth=0.8)
        unit = "" if name == "age" else ", ln mm3"
        axis.set(title=f"{title}{unit}\nr {stats.pearsonr(x, y).statistic:.2f}", xlabel="true", ylabel="told")
    figure.savefig(target, dpi=80)
    plt.close(figure)


def draw_worst(
    bank: Bank, places: list[Place], told: NDArray[np.float64], true: NDArray[np.float64], target: Path
) -> None:
    """Coronal slices through the hippocampi of the people with the largest errors, hippocampus outlined."""
    column = TARGETS.index("hippocampus_left")
    error = told[:, column] - true[:, column]
    chosen = np.argsort(-np.abs(error))[:WORST]
    figure, axes = plt.subplots(1, WORST, figsize=(3.0 * WORST, 3.2), constrained_layout=True)
    for axis, place in zip(axes, chosen, strict=True):
        part, index = places[place]
        inside = bank.codes[part][index] == CLASSES.index("hippocampus")
        row = int(np.argmax(inside[: inside.shape[0] // 2].sum(axis=(0, 2))))
        scan = from_model_order(bank.images([places[place]], seed=5)[0, 0].numpy())
        axis.imshow(scan[:, row].T, cmap="gray", origin="lower", vmin=0, vmax=1)
        axis.contour(inside[:, row].T, levels=[0.5], colors="#d1495b", linewidths=0.8)
        axis.set(
            xticks=[],
            yticks=[],
            title=f"true {np.exp(true[place, column]):.0f}, told {np.exp(told[place, column]):.0f} mm3",
        )
    figure.savefig(target, dpi=80)
    plt.close(figure)


def main() -> None:
    """Ask, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    bank = Bank(options.bank, Painter(options.labels / "meta"))
    network = load_network(read_base(str(options.base)), None)
    taught = bank.train[:: max(1, len(bank.train) // TAUGHT)]
    seen, asked = embed(network, bank, taught), embed(network, bank, bank.test)
    wanted, true = (np.array([bank.targets(place) for place in places]) for places in (taught, bank.test))
    told = RidgeCV(np.logspace(-6, 2, 17)).fit(seen, wanted).predict(asked)
    for column, name in enumerate(TARGETS):
        r = stats.pearsonr(told[:, column], true[:, column])
        low, high = r.confidence_interval(0.95)
        sys.stdout.write(f"{name}: r {r.statistic:.2f} ({low:.2f} to {high:.2f}), n {len(true)}\n")
    sys.stdout.write(f"{len(NAMES)} regions; people made of heads 11 and 13, which nobody in training was made of\n")
    options.out.mkdir(parents=True, exist_ok=True)
    draw_agreement(told, true, options.out / "told-and-true.png")
    draw_worst(bank, bank.test, told, true, options.out / "most-wrong.png")


if __name__ == "__main__":
    main()
