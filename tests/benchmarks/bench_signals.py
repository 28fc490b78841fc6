"""Where a signal is, and that none is found where there is none: three cohorts made of one, by moving cells of its table.

    adclip simulate --out cohort --subjects 300 --seed 7 --preprocessed
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_signals.py cohort out

- random labels: diagnoses and MMSE change places between people. Over 20 seeds the interval of the AUC should hold 0.5 about 19 times.
- metadata only: whole rows change places, so that a scan is another person's.
- scan only: everything but diagnosis and MMSE changes places, so that a report is another person's.

For the last two a model is fine-tuned for each of `--trained-seeds`, which draw who is moved where, split, prompts and order. It is measured as it is,
with test scans shuffled and with test reports shuffled; the last column is the AUC of its scan alone, and of the regression on its rows, less its own.
With `--others COHORT`, people of another seed moved alike, the same of all of them: more than a test part has, so that smaller differences show.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from bench_methods import answer_others, other_rows, read_rows, shuffled_rows, summarise

from adclip.config import FinetuneConfig

ANSWER = {"diagnosis", "mmse", "cdr_global"}
MOVED = {"rows": "metadata only", "metadata": "scan only"}
PARTS = {"scan_only": "  its scan alone", "metadata_only": "  its metadata alone"}
KEYS = {"subject_id", "session_id", "visit_date", "scan"}


def move_cells(source: Path, target: Path, moved: str, seed: int) -> None:
    """Write the table with cells moved between people: `labels`, `rows` or `metadata`."""
    with source.open(newline="") as stream:
        reader = csv.DictReader(stream)
        header, rows = list(reader.fieldnames or []), list(reader)
    order = np.random.default_rng(seed).permutation(len(rows))
    names = {"labels": ANSWER, "rows": set(header) - KEYS, "metadata": set(header) - KEYS - ANSWER}[moved]
    with target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, header)
        writer.writeheader()
        for row, other in zip(rows, order, strict=True):
            writer.writerow({name: rows[int(other)][name] if name in names else row[name] for name in header})


def run_one(job: tuple[str, str, str, int, int | None, int]) -> str:
    moved, cohort, out, seed, train_size, epochs = job
    folder = Path(out) / f"{moved}-{seed}"
    if (folder / "adapter.json").is_file():
        return f"{moved} {seed}: there"
    from adclip.verbs.finetune import finetune

    folder.parent.mkdir(parents=True, exist_ok=True)
    table = folder.parent / f"{moved}-{seed}.csv"
    move_cells(Path(cohort) / "table.csv", table, moved, seed)
    start = time.perf_counter()
    finetune(FinetuneConfig(
        Path(cohort), table, folder, device="cpu", seed=seed, epochs=epochs, train_size=train_size, style="paper6",
        test_fraction=0.3, validation_fraction=0.1, calibration_fraction=0.1, overwrite=folder.exists(),
    ))  # fmt: skip
    return f"{moved} {seed}: {time.perf_counter() - start:.0f} s"


def others_table(options: argparse.Namespace, moved: str, seed: int) -> Path:
    return options.out / f"{options.others.name}-{moved}-{seed}.csv"


def tell(name: str, runs: list[dict[str, list[dict]]]) -> None:
    """Print the model, its parts, and the AUC of each part less that of the model on the same people."""
    whole = [of["probability"] for of in runs]
    print(summarise(name, whole), flush=True)
    for kind, title in PARTS.items():
        print(summarise(title, [of[kind] for of in runs], against=whole), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trained-seeds", type=int, default=3)
    parser.add_argument("--others", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    trained = [(moved, seed) for seed in range(options.trained_seeds) for moved in MOVED]
    jobs = [(moved, str(options.cohort), str(options.out), seed, None, 5) for moved, seed in trained]
    jobs += [("labels", str(options.cohort), str(options.out), seed, 60, 2) for seed in range(options.seeds)]
    with ProcessPoolExecutor(options.workers) as pool:
        for line in pool.map(run_one, jobs):
            print(line, flush=True)
        if options.others:
            for moved, seed in trained:
                move_cells(options.others / "table.csv", others_table(options, moved, seed), moved, seed)
            asked = [(str(options.out / f"{moved}-{seed}"), str(options.others), str(others_table(options, moved, seed)))
                     for moved, seed in trained]  # fmt: skip
            for line in pool.map(answer_others, asked):
                print(line, flush=True)
    print(f"{'':24s} {'AUC AD vs CN':20s}  {'balanced accuracy':20s}  {'MMSE error, points':20s}  this less the model")
    for moved, name in MOVED.items():
        runs = [options.out / f"{moved}-{seed}" for seed in range(options.trained_seeds)]
        tell(name, [{kind: read_rows(run, kind) for kind in ("probability", *PARTS)} for run in runs])
        for what in ("scans", "reports"):
            shuffled = [shuffled_rows(options.cohort, run, what, 0, run.with_suffix(".csv")) for run in runs]
            print(summarise(f"  {what} shuffled", shuffled), flush=True)
        if options.others:
            asked = [{kind: other_rows(run, options.others, kind) for kind in ("probability", *PARTS)} for run in runs]
            tell(f"{name}, others", asked)
            for seed, of in enumerate(asked):
                tell(f"{name}, others, {seed}", [of])
    if not options.seeds:
        return
    held, values = 0, []
    for seed in range(options.seeds):
        metrics = json.loads((options.out / f"labels-{seed}" / "adapter.json").read_text())["metrics"]
        found = metrics["auc_ad_vs_cn"]
        held += found["low"] <= 0.5 <= found["high"]
        values.append(found["value"])
    print(f"random labels: the interval holds 0.5 in {held} of {options.seeds}; AUC {np.mean(values):.3f} on average, "
          f"{min(values):.3f} to {max(values):.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
