"""Whether a hippocampus is made as small as asked, what the segmenter sees of it, and what the answer makes of it. By hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_shrink.py [--heads 9] [--only labels|heads] [--model builtin]

`labels`: the sixteen label maps (their own hippocampi, 1 mm), each side to .9, .8 and .7. What is solved for is the sum of the mask
carried along linearly; beside it stands a second measure that the solution never saw, random points counted.

`heads`: IXI heads of `prepared_heads.py`, the nine of `bench_injection.py` by default, so that its known injector's figures stand beside
these. Twice: as `adclip explain` does it, on the model's grid with the hippocampi that adclip's networks find there; and on the head's own
grid with DLMUSE's. Shams, all to 70 %: `frontal` the triangular part of the inferior frontal gyrus, as in `injected_heads.py`; `beside`
the found hippocampi's shape, 22 mm farther out, in the temporal lobe.
"""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
from injected_heads import SHAM, usable
from numpy.typing import NDArray
from prepared_heads import HIPPOCAMPUS, Head, people, ready_ixi, spread_over_age, stem
from readings import Model, Table, build, common_options, log_odds, measured, median, share
from real_scans import DATA, say
from scipy import ndimage

from adclip.brain_volumes import BrainVolumes
from adclip.domain import Visit
from adclip.explanation.deformation import Deformation
from adclip.explanation.shrink import deform
from adclip.explanation.what_if_image import what_if_image
from adclip.explanation.what_if_words import tell
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.volumes import measure as volumes
from adclip.imaging.volumes.own_structures import find_structure

FACTORS = (0.9, 0.8, 0.7)
LABELS = (17, 53)  # FreeSurfer: left, right hippocampus
BROKEN = ("training_seg_07", 17)  # this side is labelled as something else but for its tail
BESIDE_MM = 22.0
POINTS = 20  # a voxel
NEAR, NEAR_SHAM = 6.0, 2.0  # as in `bench_injection.py`


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--heads", type=int, default=9)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--only", choices=("labels", "heads"))
    options = parser.parse_args()
    table = Table("shrink", options, build())
    if options.only != "heads":
        add_labels(table)
    if options.only != "labels":
        paths = usable(spread_over_age(options.heads), options.cache)
        table.add("heads", f"{len(paths)}, {stem(paths[0])} to {stem(paths[-1])}")
        add_heads(table, [ready_ixi(path, options.cache) for path in paths], Model(options.model, options.cache))
    table.close()


# --------------------------------------------------------------------------------------------- label maps


def add_labels(table: Table) -> None:
    """What was obtained of what was asked for, on true labels."""
    carried: dict[float, list[float]] = {factor: [] for factor in FACTORS}
    counted: dict[float, list[float]] = {factor: [] for factor in FACTORS}
    folds = []
    for path in sorted((DATA / "synthseg_labels").glob("training_seg_*.nii.gz")):
        image = nib.as_closest_canonical(nib.load(path))
        found = np.asarray(image.dataobj).astype(np.int16)
        spacing = image.header.get_zooms()[:3]
        codes = [code for code in LABELS if (path.name.split(".")[0], code) != BROKEN]
        labels = np.where(np.isin(found, codes), found, 0)
        for factor in FACTORS:
            done = deform(labels, spacing, factor)
            folds.append(done.least_jacobian())
            carried[factor] += [float(done.carry(labels == code).sum() / (labels == code).sum()) for code in codes]
            counted[factor] += [by_points(done, labels == code) for code in codes]
        say(f"{path.name} {carried[FACTORS[-1]][-1]:.4f} {counted[FACTORS[-1]][-1]:.4f}")
    for factor in FACTORS:
        for name, values in (("carried along", carried), ("counted in points", counted)):
            off = 100 * (np.array(values[factor]) / factor - 1)
            table.add(f"labels to {factor}, {name}, off by %", f"median {np.median(off):+.2f}, {off.min():+.2f} to {off.max():+.2f}, n {len(off)}")  # fmt: skip
    table.add("smallest Jacobian", f"{min(folds):.2f}")


def by_points(done: Deformation, region: NDArray[np.bool_]) -> float:
    """Volume after over before, counted: of points strewn at random over every voxel, those whose content came from a voxel of the region.

    Points on a finer grid would not do: what moves by less than half its steps crosses no border.
    """
    inside = region[done.window]
    at = np.argwhere(ndimage.binary_dilation(inside, iterations=3)).T.astype(float)
    draw, count = np.random.default_rng(0), 0
    for _ in range(POINTS):
        place = at + draw.uniform(-0.5, 0.5, at.shape)
        source = np.stack([ndimage.map_coordinates(part, place, order=1, mode="nearest") for part in done.places])
        count += int(ndimage.map_coordinates(inside.astype(np.uint8), source, order=0, mode="nearest").sum())
    return count / (POINTS * int(inside.sum()))


# --------------------------------------------------------------------------------------------- heads


def on_head_grid(head: Head, codes: tuple[int, ...]) -> list[NDArray[np.float32]]:
    """DLMUSE's regions as shares of the head's own voxels."""
    assert head.labels is not None and head.labels_affine is not None
    matrix = np.linalg.inv(head.labels_affine) @ head.affine
    return [
        ndimage.affine_transform((head.labels == code).astype(np.float32), matrix[:3, :3], matrix[:3, 3], output_shape=head.head.shape, order=1)
        for code in codes
    ]  # fmt: skip


def on_model_grid(head: Head, codes: tuple[int, ...], model: Model) -> list[NDArray[np.float32]]:
    assert head.labels is not None and head.labels_affine is not None
    return [to_grid((head.labels == code).astype(np.float32), head.labels_affine, head.scan_to_mni, model.contract) for code in codes]  # fmt: skip


def shrunken_head(head: Head, codes: tuple[int, ...], factor: float) -> Head:
    """Contract DLMUSE's regions on the head's own grid, each side by itself."""
    spacing = np.linalg.norm(head.affine[:3, :3], axis=0)
    done = deform(on_head_grid(head, codes), spacing, factor)
    name = f"{head.name}_shrunk{codes[0]}_{round(100 * factor)}"
    return replace(head, name=name, head=done.move(head.head))


def add_heads(table: Table, heads: list[Head], model: Model) -> None:
    contract = model.contract
    spacing = contract.spacing_xyz_mm
    dice, of_dlmuse, seen, obtained = [], {f: [] for f in FACTORS}, {f: [] for f in FACTORS}, {f: [] for f in FACTORS}
    moved: dict[str, list[float]] = {}
    told: list[dict[str, list[float]]] = []
    first_words = ""
    for head in heads:
        prepared = model.prepared(head)
        own = find_structure(prepared.image, contract)
        if own.flags:
            say(f"{head.name}: {own.flags}")
        true = on_model_grid(head, HIPPOCAMPUS, model)
        for found, real in zip(own.sides, true, strict=True):
            dice.append(2 * ((found >= 0.5) & (real >= 0.5)).sum() / ((found >= 0.5).sum() + (real >= 0.5).sum()))
        here = odds(model, prepared.image, head)
        before = size(own.sides)
        for factor in FACTORS:
            done = deform(own.sides, spacing, factor)
            image = done.move(prepared.image, prepared.mask)
            obtained[factor].append(100 * (size([done.carry(side) for side in own.sides]) / before - 1))
            of_dlmuse[factor].append(100 * (size([done.carry(side) for side in true]) / size(true) - 1))
            again = find_structure(image, contract)
            seen[factor].append(100 * (size(again.sides) / before - 1))
            note(moved, f"own grid of the model, {factor}", odds(model, image, head) - here)
        step = round(BESIDE_MM / spacing[0])
        beside = [np.roll(own.left, -step, axis=0), np.roll(own.right, step, axis=0)]
        for name, regions in (("beside", beside), ("frontal", on_model_grid(head, SHAM, model))):
            image = deform(regions, spacing, 0.7).move(prepared.image, prepared.mask)
            note(moved, f"sham {name}, 0.7", odds(model, image, head) - here)
            note(moved, f"seen, sham {name}", 100 * (size(find_structure(image, contract).sides) / before - 1))
        plain = measured(head, model.cache)
        scan = log_odds(model.reading(head).told)
        for factor in FACTORS:
            small = shrunken_head(head, HIPPOCAMPUS, factor)
            note(moved, f"seen, DLMUSE, {factor}", 100 * (measured(small, model.cache)["hippocampus_mm3"] / plain["hippocampus_mm3"] - 1))  # fmt: skip
            note(moved, f"DLMUSE on the head, {factor}", log_odds(model.reading(small).told) - scan)
        small = shrunken_head(head, SHAM, 0.7)
        note(moved, "DLMUSE on the head, sham frontal", log_odds(model.reading(small).told) - scan)
        told.append(curves(model, head, plain))
        first_words = first_words or told[-1].pop("words")[0]  # type: ignore[assignment]
        say(f"{head.name} done")
    table.add("Dice of the found hippocampi with DLMUSE, model's grid, median", f"{np.median(dice):.2f} ({min(dice):.2f} to {max(dice):.2f})")  # fmt: skip
    for factor in FACTORS:
        asked = 100 * (factor - 1)
        table.add(f"found region to {factor}: became %", median(obtained[factor], 2))
        table.add(f"found region to {factor}: DLMUSE's hippocampi became %", median(of_dlmuse[factor], 1))
        table.add(f"found region to {factor}: found again %", median(seen[factor], 1))
        table.add(f"found region to {factor}: found again within {NEAR:.0f} points", share(np.abs(np.array(seen[factor]) - asked) <= NEAR))  # fmt: skip
        table.add(f"DLMUSE's region to {factor} on the head: measured %", median(moved[f"seen, DLMUSE, {factor}"], 1))
    for name in ("beside", "frontal"):
        table.add(f"sham {name}: found again %", median(moved[f"seen, sham {name}"], 1))
    for grid in ("own grid of the model", "DLMUSE on the head"):
        doses = np.array([moved[f"{grid}, {factor}"] for factor in FACTORS])
        for factor, values in zip(FACTORS, doses, strict=True):
            table.add(f"AD log-odds, scan alone, {grid}, {factor}", median(values))
        table.add(f"AD rises at 0.7, {grid}", share(doses[-1] > 0))
        table.add(f"AD rises with every dose, {grid}", share(np.all(np.diff(doses, axis=0, prepend=0) > 0, axis=0)))
    for name in ("sham beside, 0.7", "sham frontal, 0.7", "DLMUSE on the head, sham frontal"):
        table.add(f"AD log-odds, scan alone, {name}", median(moved[name]))
    for name in ("image", "table", "both"):
        rows = [one[name] for one in told if one.get(name)]
        table.add(f"row of age and sex with measured volumes, {name} to 0.7: AD log-odds", median([row[0] for row in rows]))  # fmt: skip
        table.add(f"row of age and sex with measured volumes, {name} to 0.7: AD probability", median([row[1] for row in rows], 3))  # fmt: skip
        table.add(f"row of age and sex with measured volumes, {name} to 0.7: AD rises", share([row[0] > 0 for row in rows]))  # fmt: skip
    table.add("the table moves AD more than the image", share([abs(one["table"][0]) > abs(one["image"][0]) for one in told if one.get("table")]))  # fmt: skip
    table.add("what is said of the first head", first_words)


def curves(model: Model, head: Head, plain: dict[str, float]) -> dict[str, list]:
    """Change of AD from present to the smallest factor, of a person's age and sex with the volumes measured in the scan."""
    age, sex = people()[head.name]
    prepared = replace(model.prepared(head), volumes=BrainVolumes(volumes.measured_by(), plain))
    evidence = model.predictor.evidence(prepared, Visit(age_years=age, sex=sex[0]))
    found = what_if_image(model.predictor, prepared, evidence)
    changes = {}
    for curve in found.curves:
        ends = [dict(curve.points[place].probabilities) for place in (0, -1)]
        changes[curve.column] = [log_odds(ends[0]) - log_odds(ends[1]), ends[0]["AD"] - ends[1]["AD"]]
    return {**changes, "words": [" ".join(tell(found))]}


def odds(model: Model, image: NDArray[np.float32], head: Head) -> float:
    """AD against the rest by the scan alone, after temperature."""
    from adclip.model.calibration import SCAN
    from adclip.prediction.answer import name_probabilities

    prepared = replace(model.prepared(head), image=image)
    answer = model.predictor.answer(prepared, model.predictor.evidence(prepared, None))
    return log_odds(name_probabilities(answer.bare, model.predictor.record.calibration.road(SCAN).temperature))


def size(shares: list[NDArray[np.float32]] | tuple[NDArray[np.float32], ...]) -> float:
    return float(sum(one.sum(dtype=np.float64) for one in shares))


def note(series: dict[str, list[float]], name: str, value: float) -> None:
    series.setdefault(name, []).append(value)


if __name__ == "__main__":
    main()
