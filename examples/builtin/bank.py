"""Reading what `make_label_bank.py` wrote: people, their label grids, and what an image tower can be told of them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, reduce
from make_label_bank import CELL, REGIONS, SPACING_MM
from numpy.typing import NDArray
from painter import Painter
from torch import Tensor

from adclip.config import SMALL
from adclip.domain import Visit
from adclip.imaging.steps.grid import to_model_order

Place = tuple[int, int]  # part, person
NAMES = tuple(REGIONS)
PAIRS = tuple(
    (NAMES.index(name), NAMES.index(name.replace("_left", "_right"))) for name in NAMES if name.endswith("_left")
)
LEAST_MM3 = 60.0  # added before the logarithm: a closed temporal horn has hardly any volume
# What a scan tells of a person beside its regions.
OF_PERSON = ("age", "severity", "mmse", "whole_brain")
TARGETS = (*NAMES, *OF_PERSON)
# The medial temporal lobe counts more than the rest.
WEIGHT_OF = {"hippocampus": 4.0, "amygdala": 3.0, "horn": 3.0, "ventricle": 2.0, "severity": 2.0}
TARGET_WEIGHTS = tuple(
    WEIGHT_OF.get(name.rsplit("_", 1)[0] if name not in OF_PERSON else name, 1.0) for name in TARGETS
)


class Bank:
    """All finished people of a bank folder.

    Parameters
    ----------
    folder : Path
    painter : Painter
    test_part : int
        The part whose people come from heads that are left out of all others.
    """

    def __init__(self, folder: Path, painter: Painter, test_part: int = 99) -> None:
        self.folder, self.painter = folder, painter
        self.parts = sorted(folder.glob("part-*.jsonl"))
        numbers = [int(path.stem.split("-")[1]) for path in self.parts]
        self.codes, self.depth, self.cells = (
            [np.load(folder / f"{name}-{number}.npy", mmap_mode="r") for number in numbers]
            for name in ("codes", "depth", "cells")
        )
        self.rows: list[list[dict[str, float]]] = []
        for path in self.parts:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
            self.rows.append([json.loads(line) for line in lines])
        every = [(part, index) for part, rows in enumerate(self.rows) for index in range(len(rows))]
        self.test = [place for place in every if numbers[place[0]] == test_part]
        self.train = [place for place in every if numbers[place[0]] != test_part]

    def row(self, place: Place) -> dict[str, float]:
        """The person at a place."""
        return self.rows[place[0]][place[1]]

    def paint(self, place: Place, rng: np.random.Generator) -> NDArray[np.float32]:
        """One scan (D, H, W) of a person."""
        part, index = place
        return self.painter.paint(self.codes[part][index], self.depth[part][index], rng)

    def images(self, places: list[Place], seed: int = 0) -> Tensor:
        """Scans (B, 1, D, H, W), always the same for a place and a seed."""
        scans = [self.paint(place, np.random.default_rng([seed, *place])) for place in places]
        return torch.from_numpy(np.stack(scans)[:, None])

    def filled(self, place: Place) -> Tensor:
        """Share of each 8 mm cell that each region fills, (regions, D/4, H/4, W/4) in the network's order."""
        part, index = place
        x, y, z = (size // CELL for size in SMALL.contract.shape_xyz)
        counts = rearrange(self.cells[part][index], "(x y z) r -> r x y z", x=x, y=y, z=z)
        return torch.from_numpy(to_model_order(counts).astype(np.float32) / CELL**3)

    def targets(self, place: Place) -> list[float]:
        """ln volumes of the regions on the grid (shares of the head, which is scaled to the template), then `OF_PERSON`."""
        part, index = place
        row = self.rows[part][index]
        sums = self.cells[part][index].sum(axis=0, dtype=np.int64) * SPACING_MM**3
        person = [
            row["age_years"] / 10,
            row["severity"],
            row["mmse"] / 10,
            10 * math.log(row["whole_brain_mm3"] / row["icv_mm3"]),
        ]
        return [*np.log(sums + LEAST_MM3).tolist(), *person]


def to_patches(filled: Tensor) -> Tensor:
    """Average cells to patches: (B, regions, D', H', W') to (B, patches, regions) in token order."""
    d, h, w = SMALL.token_grid
    return reduce(filled, "b r (d a) (h c) (w e) -> b (d h w) r", "mean", d=d, h=h, w=w)


def mirror(image: Tensor, filled: Tensor, targets: list[float]) -> tuple[Tensor, Tensor, list[float]]:
    """Exchange left and right of a scan (1, D, H, W), its cells and its targets."""
    order = list(range(len(NAMES)))
    for left, right in PAIRS:
        order[left], order[right] = right, left
    exchanged = [targets[index] for index in order] + targets[len(NAMES) :]
    return image.flip(-1), filled.flip(-1)[order], exchanged


def to_visit(row: dict[str, float]) -> Visit:
    """The person as a table row."""
    names = {field.name for field in dataclasses.fields(Visit)} - {"diagnosis", "subject_id"}
    return Visit(**{key: value for key, value in row.items() if key in names})  # type: ignore[arg-type]
