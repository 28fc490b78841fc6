"""Whether a known loss of hippocampus in a real head is seen: by the volumes, and by the model's AD score. Run by hand:

    python -m pip install --no-deps --target /tmp/adclip-bench/bidsgate bidsgate==0.3.0
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_injection.py [--heads 59] [--workers 2] [--model builtin] [--label after]

The changed heads are made by `injected_heads.py` (which says what each variant is) and kept; the first run takes about 6 CPU
seconds for each of 8 variants of a head. Volumes are compared with variant `0`, the same head gone through the injector with
factor 1. The AD score is the model's scan-only answer, log p(AD) less log of the rest, before and after temperature.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from injected_heads import VARIANTS, is_ready, make_all, ready_injected, usable
from prepared_heads import spread_over_age, stem
from readings import Model, Table, build, common_options, log_odds, measured, median, share
from real_scans import ixi, say

NEAR, NEAR_SHAM = 6.0, 2.0  # percentage points that a measured loss may be off
DOSES = ("0", "10", "20", "30")


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--heads", type=int, default=59)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--only", choices=("volumes", "model"), help="leave the other half out")
    parser.add_argument("--ready", action="store_true", help="only heads whose variants have all been made by now")
    options = parser.parse_args()
    paths = usable(spread_over_age(options.heads) if options.heads < len(ixi()) else ixi(), options.cache)
    if options.ready:
        paths = [path for path in paths if all(is_ready(path, variant, options.cache) for variant in VARIANTS)]
    make_all(paths, list(VARIANTS), options.cache, options.workers)
    model = None if options.only == "volumes" else Model(options.model, options.cache)
    title = build() + (f"; {model.title}" if model else "")
    table = Table("injection", options, title)
    say(title)
    table.add("heads", f"{len(paths)}, {stem(paths[0])} to {stem(paths[-1])}")
    add_truth(table, paths, options.cache)
    if options.only != "model":
        jobs = [(path, options.cache) for path in paths]
        if options.workers > 1:
            with ProcessPoolExecutor(options.workers) as pool:
                list(pool.map(_measure, jobs))
        add_volumes(table, paths, options.cache)
    if model:
        add_scores(table, paths, model, options.cache)
    table.close()


def _measure(job: tuple[Path, Path]) -> None:
    """Fill the cache for one head."""
    path, cache = job
    for variant in VARIANTS:
        measured(ready_injected(path, variant, cache).head, cache)


def truth_of(path: Path, variant: str, structure: str, cache: Path) -> float:
    """Percent by which a structure really changed."""
    told = ready_injected(path, variant, cache).truth
    after, before = (sum(told[key][f"{structure}_{side}"] for side in ("left", "right")) for key in ("after_mm3", "before_mm3"))  # fmt: skip
    return 100 * (after / before - 1)


def add_truth(table: Table, paths: list[Path], cache: Path) -> None:
    """What was injected, on the labels that were carried along."""
    for variant in VARIANTS:
        parts = [
            f"{structure} {np.median([truth_of(path, variant, structure, cache) for path in paths]):+.1f} %"
            for structure in ("hippocampus", "lateral", "sham")
        ]
        table.add(f"injected, {variant}", ", ".join(parts).replace("lateral", "lateral ventricles"))


def add_volumes(table: Table, paths: list[Path], cache: Path) -> None:
    """Change of the measured volumes against the same head with nothing injected."""
    found = {
        variant: [measured(ready_injected(path, variant, cache).head, cache) for path in paths] for variant in VARIANTS
    }

    def change(variant: str, column: str) -> np.ndarray:
        return np.array(
            [100 * (new[column] / old[column] - 1) for new, old in zip(found[variant], found["0"], strict=True)]
        )

    for variant in VARIANTS:
        if variant != "0":
            table.add(f"hippocampus measured, {variant}, median %", median(change(variant, "hippocampus_mm3"), 1))
    for variant in DOSES[1:]:
        for side in ("", "left_", "right_"):
            name = f"hippocampus_{side}mm3"
            off = np.abs(change(variant, name) + float(variant))
            which = side.strip("_") or "both"
            table.add(f"within {NEAR:.0f} points of -{variant} %, {which}", share(off <= NEAR))
        real = np.array([truth_of(path, variant, "hippocampus", cache) for path in paths])
        off = np.abs(change(variant, "hippocampus_mm3") - real)
        table.add(f"within {NEAR:.0f} points of what was injected, {variant}", share(off <= NEAR))
    table.add("hippocampus falls with every dose", share(_steps([[row["hippocampus_mm3"] for row in found[dose]] for dose in DOSES], -1)))  # fmt: skip
    for variant in ("sham", "back"):
        table.add(f"{variant} within {NEAR_SHAM:.0f} %", share(np.abs(change(variant, "hippocampus_mm3")) <= NEAR_SHAM))
    table.add("ventricles measured, ventricles, median %", median(change("ventricles", "ventricles_mm3"), 1))
    for name in ("amygdala_mm3", "inferior_lateral_ventricle_mm3"):
        if name in found["0"][0]:
            for variant in ("30", "sham", "ventricles"):
                table.add(f"{name} measured, {variant}, median %", median(change(variant, name), 1))


def _steps(series: list[list[float]], sign: int) -> np.ndarray:
    """Whether each head's value moves in one direction from dose to dose."""
    return np.all(sign * np.diff(np.array(series), axis=0) > 0, axis=0)


def add_scores(table: Table, paths: list[Path], model: Model, cache: Path) -> None:
    """Change of the AD score against the same head with nothing injected."""
    readings = {
        variant: [model.reading(ready_injected(path, variant, cache).head) for path in paths] for variant in VARIANTS
    }
    for kind, name in (("told", "after temperature"), ("raw", "before temperature")):
        score = {
            variant: np.array([log_odds(getattr(one, kind)) for one in rows]) for variant, rows in readings.items()
        }
        moved = {variant: values - score["0"] for variant, values in score.items()}
        for variant in VARIANTS:
            if variant != "0":
                table.add(f"AD log-odds, {variant}, median, {name}", median(moved[variant]))
        # A temperature scales three scores, not one log-odds, so the order of two scans can change in principle.
        table.add(f"AD score rises with every dose, {name}", share(_steps([list(score[dose]) for dose in DOSES], 1)))
        table.add(f"AD score is higher at 30 than at 0, {name}", share(moved["30"] > 0))
        ratio = np.median(np.abs(moved["sham"])) / max(np.median(np.abs(moved["30"])), 1e-9)
        table.add(
            f"median |sham| over median |30|, {name}", f"{ratio:.2f} ({_ratio_interval(moved['sham'], moved['30'])})"
        )
        table.add(f"ventricles alone move it less than both, {name}", share(moved["ventricles"] < moved["both"]))
        table.add(f"both less ventricles alone, median, {name}", median(moved["both"] - moved["ventricles"]))


def _ratio_interval(one: np.ndarray, other: np.ndarray) -> str:
    """95 % by 2,000 draws of heads."""
    draw = np.random.default_rng(0)
    places = draw.integers(0, len(one), (2000, len(one)))
    ratios = np.median(np.abs(one[places]), axis=1) / np.maximum(np.median(np.abs(other[places]), axis=1), 1e-9)
    low, high = np.percentile(ratios, (2.5, 97.5))
    return f"{low:.2f} to {high:.2f}"


if __name__ == "__main__":
    main()
