"""Simulate the people that the builtin model learns from, as label maps on its own grid; scans are painted while it learns.

Half have the clinical ages of a memory clinic, a quarter is 45 to 95 years old and a quarter 20 to 95. Anatomy comes from label maps
of real heads and from the template. Run it several times at once with different `--part`; `train_image_tower.py` reads all parts.

    python examples/builtin/make_label_bank.py --labels LABELS --out bank --people 1400 --part 0
"""

# %%
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from scipy import ndimage

from adclip.config import SMALL
from adclip.simulation.anatomies import BRAIN_TISSUES, HeadMap, read_head
from adclip.simulation.brains import Brain, grid_points, grow_brain
from adclip.simulation.fields import apply_affine, draw_misalignment, sample
from adclip.simulation.population import Person, draw_person

BANK_SEED = 20261128  # apart from the seeds of demo and simulate, so that nobody there was learned from
CELL = 4  # voxels along each side of the cells whose contents are kept: 8 mm
# Heads that no one in the bank is made of: an old one with a small hippocampus and wide horns, and a young one. 07 is left out as
# well, because most of its left hippocampus carries other labels.
HELD_OUT = ("training_seg_11", "training_seg_13")
WRONG = ("training_seg_07",)
TEMPLATE_SHARE = 0.12
SPACING_MM = 2.0

# What a voxel can be to the painter: one row a class, by FreeSurfer code. Codes of SynthSeg's maps from 500 are outside the brain.
PAINT: dict[str, tuple[int, ...]] = {
    "air": (0,),
    "csf": (24, 14, 15, 72),
    "lateral_ventricle": (4, 43),
    "horn": (5, 44),
    "choroid_plexus": (31, 63, 136, 137, 163, 164),
    "cortex": (3, 42, *range(1000, 1036), *range(2000, 2036)),
    "white": (2, 41, 85, 251, 252, 253, 254, 255),
    "lesion": (25, 57, 77),
    "hippocampus": (17, 53),
    "amygdala": (18, 54),
    "caudate": (11, 50, 26, 58),
    "putamen": (12, 51),
    "pallidum": (13, 52),
    "thalamus": (10, 49),
    "ventral_dc": (28, 60),
    "brainstem": (16,),
    "cerebellar_gray": (8, 47),
    "cerebellar_white": (7, 46),
    "vessel": (30, 62),
    **{f"outside_{code}": (code,) for code in (502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530)},
}
NAMES = tuple(PAINT)
TISSUE = tuple(NAMES.index(name) for name in NAMES[5:18])  # brain without any fluid
# The template's own tissues in these words; it has no labels of white matter and fluid in every voxel.
TEMPLATE_TISSUES = {"csf": "csf", "cortex": "cortex", "white": "white", "deep_gray": "caudate", "brainstem": "brainstem",
                    "cerebellar_gray": "cerebellar_gray", "cerebellar_white": "cerebellar_white", "thalamus": "thalamus",
                    "putamen": "putamen", "pallidum": "pallidum", "ventral_dc": "ventral_dc"}  # fmt: skip
# Regions whose share of each cell the towers are told; paired ones left first.
REGIONS: dict[str, tuple[int, ...]] = {
    "hippocampus_left": (17,), "hippocampus_right": (53,), "amygdala_left": (18,), "amygdala_right": (54,),
    "horn_left": (5,), "horn_right": (44,), "ventricle_left": (4,), "ventricle_right": (43,),
    "entorhinal_left": (1006,), "entorhinal_right": (2006,), "fusiform_left": (1007,), "fusiform_right": (2007,),
    "middle_temporal_left": (1015,), "middle_temporal_right": (2015,),
    "csf": (24,), "third_and_fourth": (14, 15),
}  # fmt: skip


def main() -> None:
    """Write for each part `codes-N.npy` (people, X, Y, Z; index into PAINT), `depth-N.npy` (distance from the brain in 0.1 mm, up to
    25.5), `cells-N.npy` (people, cells, regions; voxels of each region in each cell) and `part-N.jsonl` (the person, the donor and
    the measured volumes)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=1400)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument(
        "--held-out", action="store_true", help="make people of the two heads that are left out, for checking"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    donors = list_donors(options.labels, held_out=options.held_out)
    shape, cells = SMALL.contract.shape_xyz, int(np.prod([n // CELL for n in SMALL.contract.shape_xyz]))

    def table(name: str, *rest: int) -> NDArray[np.uint8]:
        path = options.out / f"{name}-{options.part}.npy"
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(options.people, *rest))

    codes_out, depth_out = table("codes", *shape), table("depth", *shape)
    cells_out = table("cells", cells, len(REGIONS))
    with (options.out / f"part-{options.part}.jsonl").open("w", encoding="utf-8") as rows:
        for index in range(options.people):
            rng = np.random.default_rng([BANK_SEED, options.part, index])
            person = draw_any(index, rng, f"bank{options.part}-{index}")
            donor = donors[index * len(donors) // options.people]  # one after the other: each is read once
            brain = grow_brain(person, donor, SPACING_MM, rng)
            codes, labels = label_grid(brain, rng)
            codes_out[index], cells_out[index] = codes, count_regions(labels)
            depth_out[index] = np.minimum(10 * brain_depth(codes), 255).astype(np.uint8)
            row = {key: getattr(person, key) for key in ("diagnosis", "severity", "age_years", "sex", "apoe4_count",
                                                         "education_years", "mmse")}  # fmt: skip
            row["donor"] = donor.name.split(".")[0] if donor else "template"
            rows.write(json.dumps(row | brain.volumes_mm3) + "\n")
            rows.flush()


def draw_any(index: int, rng: np.random.Generator, name: str) -> Person:
    """Every second person from a clinic; of the others every second one is 45 or older."""
    while True:
        person = draw_person(name, rng, wide_age=index % 2 == 1)
        if index % 4 != 1 or person.age_years >= 45:
            return person


def list_donors(labels: Path, *, held_out: bool) -> list[Path | None]:
    """Return the heads in order, the template (None) as often as its share asks for."""
    names = {path.name.split(".")[0]: path for path in sorted(labels.glob("training_seg_*.nii.gz"))}
    if held_out:
        return [names[name] for name in HELD_OUT]
    found: list[Path | None] = [path for name, path in names.items() if name not in (*HELD_OUT, *WRONG)]
    return found + [None] * max(1, round(TEMPLATE_SHARE * len(found)))


def label_grid(brain: Brain, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Return painter classes and FreeSurfer codes on the model's grid, after what a registration leaves uncorrected."""
    points = brain.to_source(apply_affine(draw_misalignment(rng), grid_points(SMALL.contract)))
    head = read_head(brain.source)
    voxel = apply_affine(np.linalg.inv(head.affine), points)
    found = sample(torch.from_numpy(head.labels.astype(np.float32))[None, None], voxel, mode="nearest", padding="zeros")
    labels = found[0, 0].numpy().astype(np.int16)
    codes = lookup()[labels]
    if brain.source is None:
        codes = template_codes(brain.tissue, points, codes)
    return codes, labels


def lookup() -> NDArray[np.uint8]:
    """FreeSurfer code to index into PAINT; codes that no class has are air."""
    table = np.zeros(20000, dtype=np.uint8)
    for number, codes in enumerate(PAINT.values()):
        table[list(codes)] = number
    return table


def template_codes(tissue: HeadMap, points: torch.Tensor, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give the template's voxels the tissue that fills most of them; its labels know the structures that have a name of their own."""
    voxel = apply_affine(np.linalg.inv(tissue.affine), points)
    places = [index for index, name in enumerate(tissue.tissues) if name in BRAIN_TISSUES]
    shares = sample(torch.from_numpy(tissue.shares[places].astype(np.float32))[None], voxel, padding="zeros")[0].numpy()
    words = [NAMES.index(TEMPLATE_TISSUES[tissue.tissues[place]]) for place in places]
    painted = np.where(shares.sum(0) > 128, np.array(words, np.uint8)[shares.argmax(0)], 0).astype(np.uint8)
    own = np.isin(
        codes,
        [NAMES.index(name) for name in ("hippocampus", "amygdala", "lateral_ventricle", "horn", "choroid_plexus")],
    )
    return np.where(own & (painted > 0), codes, painted)


def count_regions(labels: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Voxels of each region in each cell: (cells, regions), cells in (x, y, z) order."""
    counts = []
    for members in REGIONS.values():
        inside = np.isin(labels, members)
        counts.append(rearrange(inside, "(x a) (y b) (z c) -> (x y z) (a b c)", a=CELL, b=CELL, c=CELL).sum(axis=1))
    return np.stack(counts, axis=1).astype(np.uint8)


def brain_depth(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance in mm from the brain with ventricles and closed sulci; 0 inside."""
    fluid = [NAMES.index(name) for name in ("lateral_ventricle", "horn", "choroid_plexus")]
    solid = np.isin(codes, (*TISSUE, *fluid))
    solid = ndimage.binary_closing(np.pad(solid, 4), iterations=2)[4:-4, 4:-4, 4:-4]
    return (SPACING_MM * ndimage.distance_transform_edt(~solid)).astype(np.float32)


if __name__ == "__main__":
    main()
