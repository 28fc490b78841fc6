"""Simulate the people that the builtin model learns from, as compact volumes on its own grid.

Half have the clinical ages of a memory clinic, half are 20 to 95 years old. Run it several times at once with different
`--part`; `train_builtin.py` reads all parts.

    python examples/builtin/make_bank.py --out bank --people 4000 --part 0
"""

# %%
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from einops import reduce

from adclip.config import SMALL
from adclip.imaging.anatomy import REGION_CODES
from adclip.imaging.grid import to_model_order
from adclip.simulation.brains import grow_brain
from adclip.simulation.derivative import source_spacing_mm, to_derivative
from adclip.simulation.paint import LOOKS, draw_style
from adclip.simulation.population import draw_person

BANK_SEED = 20261123  # apart from the seeds of demo and simulate, so that nobody there was learned from


def main() -> None:
    """Write `part-N.npy` (people, D, H, W; uint8 of [0, 1]), `part-N.jsonl` (the person and the measured volumes) and
    `regions-N.npy` (people, patches, regions; float16: how much of a patch each region fills)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=4000)
    parser.add_argument("--part", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    volumes = np.lib.format.open_memmap(
        options.out / f"part-{options.part}.npy", mode="w+", dtype=np.uint8,
        shape=(options.people, *SMALL.contract.shape),
    )  # fmt: skip
    regions = np.lib.format.open_memmap(
        options.out / f"regions-{options.part}.npy", mode="w+", dtype=np.float16,
        shape=(options.people, SMALL.patches, len(REGION_CODES)),
    )  # fmt: skip
    pd, ph, pw = SMALL.patch
    with (options.out / f"part-{options.part}.jsonl").open("w", encoding="utf-8") as table:
        for index in range(options.people):
            rng = np.random.default_rng([BANK_SEED, options.part, index])
            person = draw_person(f"bank{options.part}-{index}", rng, wide_age=index % 2 == 1)
            brain = grow_brain(person, None, source_spacing_mm(SMALL.contract), rng)
            made = to_derivative(brain, draw_style(rng, LOOKS["wild"]), SMALL.contract, rng)
            volumes[index] = to_model_order(np.round(made.image * 255))
            found = brain.regions_at(made.points_mm)
            filled = np.stack([to_model_order(found[name]) for name in REGION_CODES])
            regions[index] = reduce(filled, "r (d pd) (h ph) (w pw) -> (d h w) r", "mean", pd=pd, ph=ph, pw=pw)
            row = {key: getattr(person, key) for key in ("diagnosis", "severity", "age_years", "sex", "apoe4_count",
                                                         "education_years", "mmse")}  # fmt: skip
            table.write(json.dumps(row | brain.volumes_mm3) + "\n")
            table.flush()


if __name__ == "__main__":
    main()
