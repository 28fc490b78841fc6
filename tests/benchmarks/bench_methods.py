"""The full method against each part removed, the published recipe, and every baseline, on one simulated cohort.

    adclip simulate --out cohort --subjects 300 --seed 7 --preprocessed
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_methods.py cohort out --seeds 0 1 2 --workers 2

The seed draws split, initial prompts and order; the same seed gives every method the same split. Runs that are there are kept,
so that a stopped benchmark goes on. Then a table: the mean over seeds, and a 95 % interval bootstrapped over the test
subjects of all seeds together (a subject that is tested by two seeds is drawn once, with both answers). The last column is the AUC less
that of the full method on the same people, with the interval of that difference.

With `--others COHORT`, people of another seed whom no run has seen, every model that can predict answers for all of them too: more people
than a test part has, so that smaller differences can be told.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from adclip.config import FinetuneConfig, PromptConfig

FULL = PromptConfig()
VARIANTS: dict[str, dict] = {
    "full method": {},
    "base as it is": {"learning_rate": 1e-12, "epochs": 1},
    "no reports": {"reports": False},
    "no bare-phrase term": {"bare_weight": 0.0},
    "one rate for all parts": {"pretrained_rate": 1.0},
    "no contrast": {"contrast_weight": 0.0},
    "no memory of pairs": {"memory": 0},
    "no report dropout": {"report_dropout": 0.0, "field_dropout": 0.0},
    "no augmentation": {"augment": False},
    "no MMSE token": {"prompts": replace(FULL, mmse_token=False)},
    "no cross-attention": {"prompts": replace(FULL, cross_attention=False)},
    "no visual prompts": {"prompts": replace(FULL, visual_prompts=0)},
    "no text prompts": {"prompts": replace(FULL, text_prompts=0)},
    "paper recipe": {"recipe": "paper"},
    "LoRA": {"method": "lora"},
    "full fine-tuning": {"method": "full"},
    "full, from scratch": {"method": "full", "from_scratch": True, "learning_rate": 3e-4},
    "linear probe": {"method": "linear-probe"},
    "3D CNN": {"method": "cnn"},
    "metadata": {"method": "metadata"},
}  # fmt: skip
PREDICTS = [
    name for name, settings in VARIANTS.items() if settings.get("method") not in ("linear-probe", "cnn", "metadata")
]


def slug(name: str) -> str:
    return name.replace(" ", "-").replace(",", "").lower()


def run_one(job: tuple[str, int, str, str, int, str]) -> str:
    name, seed, cohort, out, epochs, style = job
    folder = Path(out) / f"{slug(name)}-{seed}"
    if (folder / "adapter.json").is_file() or (folder / "baseline.json").is_file():
        return f"{name} {seed}: there"
    from adclip.verbs.finetune import finetune

    start = time.perf_counter()
    finetune(FinetuneConfig(
        Path(cohort), Path(cohort) / "table.csv", folder, device="cpu", seed=seed, style=style,
        **{"epochs": epochs, "test_fraction": 0.3, "validation_fraction": 0.1, "calibration_fraction": 0.1} | VARIANTS[name],
    ))  # fmt: skip
    return f"{name} {seed}: {time.perf_counter() - start:.0f} s"


def read_rows(folder: Path, kind: str) -> list[dict[str, str]]:
    with (folder / "private" / "predictions_test.tsv").open() as stream:
        return [row | {"p": [float(row[f"{kind}_{label}"]) for label in ("CN", "MCI", "AD")]}
                for row in csv.DictReader(stream, delimiter="\t")]  # fmt: skip


def figures(rows: list[dict]) -> dict[str, float]:
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    names = np.array(["CN", "MCI", "AD"])
    truth = np.array([row["diagnosis"] for row in rows])
    shares = np.array([row["p"] for row in rows])
    outer = truth != "MCI"
    odds = shares[:, 2] / (shares[:, 0] + shares[:, 2])
    told = {"AUC": roc_auc_score(truth[outer] == "AD", odds[outer]),
            "balanced": balanced_accuracy_score(truth, names[shares.argmax(1)])}  # fmt: skip
    errors = [abs(float(row["mmse"]) - float(row["mmse_estimate"])) for row in rows
              if "n/a" not in (row["mmse"], row["mmse_estimate"])]  # fmt: skip
    return told | {"MMSE error": float(np.mean(errors)) if errors else float("nan")}


def summarise(name: str, runs: list[list[dict]], resamples: int = 500, against: list[list[dict]] | None = None) -> str:
    each = [figures(rows) for rows in runs]
    people = sorted({row["subject_id"] for rows in runs for row in rows})
    rng, drawn = np.random.default_rng(0), []
    for _ in range(resamples):
        chosen = rng.choice(people, len(people))
        try:
            found = [figures(rows) for rows in redrawn(runs, chosen)]
            theirs = [figures(rows)["AUC"] for rows in redrawn(against or [], chosen)]
        except ValueError:
            continue
        one = {key: np.mean([f[key] for f in found]) for key in found[0]}
        drawn.append(one | ({"less": one["AUC"] - np.mean(theirs)} if theirs else {}))
    cells = []
    for key in each[0]:
        mean = np.mean([found[key] for found in each])
        low, high = np.nanpercentile([d[key] for d in drawn], [2.5, 97.5]) if np.isfinite(mean) else (np.nan, np.nan)
        cells.append(f"{mean:.3f} ({low:.3f}-{high:.3f})" if np.isfinite(mean) else "-".center(19))
    if against:
        less = np.mean([found["AUC"] for found in each]) - np.mean([figures(rows)["AUC"] for rows in against])
        low, high = np.percentile([d["less"] for d in drawn], [2.5, 97.5])
        cells.append(f"{less:+.3f} ({low:+.3f} to {high:+.3f})")
    return (f"{name:24s} " + "  ".join(f"{cell:20s}" for cell in cells)).rstrip()


def redrawn(runs: list[list[dict]], chosen: list[str]) -> list[list[dict]]:
    again = []
    for rows in runs:
        of: dict[str, list[dict]] = {}
        for row in rows:
            of.setdefault(row["subject_id"], []).append(row)
        again.append([row for who in chosen for row in of.get(who, [])])
    return again


def answer_others(job: tuple[str, str, str]) -> str:
    """Let a finished run answer for a whole cohort that it has not seen, told by a table; kept beside the run."""
    import torch

    from adclip.clinical.scans.manifest import build_manifest
    from adclip.clinical.tables.table import read_table
    from adclip.evaluation.calibrate import answer
    from adclip.evaluation.judgement import answers_of
    from adclip.imaging.sources.find import find_scans
    from adclip.prediction.dataset import read_cohort
    from adclip.prediction.predictor import Predictor
    from adclip.runtime.events import ignore

    run, cohort, table = map(Path, job)
    kept = run.with_name(f"{run.name}.{cohort.name}.json")
    if kept.is_file() or not (run / "adapter.json").is_file():
        return f"{run.name} {cohort.name}: there"
    start = time.perf_counter()
    predictor = Predictor.from_checkpoint(run, "cpu")
    record = predictor.record
    manifest = build_manifest(find_scans((cohort,)), read_table(table))
    data = read_cohort(manifest.examples, record.model.contract, record.task, ignore)
    with torch.inference_mode():
        found = answer(
            predictor.reader, data, range(len(data.visits)), (record.mmse_mean or 0.0, record.mmse_sd or 1.0)
        )
    rows = []
    told = answers_of(record, data, range(len(data.visits)), found)
    shares = {"probability" if kind == "model" else kind: judged.equal for kind, judged in told.items()}
    for place, visit in enumerate(data.visits):
        known = visit.mmse is not None and found.mmse is not None and record.mmse_mean is not None
        rows.append({"subject_id": visit.subject_id, "diagnosis": str(visit.diagnosis),
                     **{kind: list(each[place]) for kind, each in shares.items()},
                     "mmse": visit.mmse if known else "n/a", "mmse_estimate": float(found.mmse[place]) if known else "n/a"})  # fmt: skip
    kept.write_text(json.dumps(rows))
    return f"{run.name} {cohort.name}: {time.perf_counter() - start:.0f} s"


def other_rows(run: Path, cohort: Path, kind: str) -> list[dict]:
    rows = json.loads(run.with_name(f"{run.name}.{cohort.name}.json").read_text())
    return [row | {"p": row[kind]} for row in rows]


def oracle_rows(cohort: Path, run: Path) -> list[dict]:
    from adclip.clinical.scans.splits import Split
    from adclip.simulation.oracle import oracle_probabilities
    from adclip.simulation.subject import read_true_visits

    split = Split.from_tsv((run / "private" / "splits.tsv").read_text())
    visits = read_true_visits(cohort)
    test, train = ([v for v in visits if split.assignment.get(v.subject_id) == part] for part in ("test", "train"))
    found = oracle_probabilities(train, test, ("CN", "MCI", "AD"))
    return [{"subject_id": v.subject_id, "diagnosis": str(v.diagnosis), "p": list(p), "mmse": "n/a", "mmse_estimate": "n/a"}
            for v, p in zip(test, found, strict=True)]  # fmt: skip


def shuffled_rows(cohort: Path, run: Path, what: str, seed: int, table: Path | None = None) -> list[dict]:
    """Answers of a finished run when its test subjects' scans, or reports, change places."""
    import torch

    from adclip.clinical.scans.manifest import build_manifest
    from adclip.clinical.scans.splits import Split
    from adclip.clinical.tables.table import read_table
    from adclip.imaging.sources.find import find_scans
    from adclip.prediction.answer import calibrated
    from adclip.prediction.dataset import read_cohort
    from adclip.prediction.predictor import Predictor
    from adclip.runtime.events import ignore

    split = Split.from_tsv((run / "private" / "splits.tsv").read_text())
    manifest = build_manifest(find_scans((cohort,)), read_table(table or cohort / "table.csv"))
    kept = [e for e in manifest.examples if split.assignment[e.visit.subject_id] == "test"]
    predictor = Predictor.from_checkpoint(run, "cpu")
    data = read_cohort(kept, predictor.record.model.contract, predictor.record.task, ignore)
    order = np.random.default_rng(seed).permutation(len(kept))
    rows = []
    for place, example in enumerate(kept):
        scan = int(order[place]) if what == "scans" else place
        visit = kept[int(order[place])].visit if what == "reports" else example.visit
        evidence = predictor.evidence_of(visit, visit)
        with torch.inference_mode():
            answer = predictor.to_answer(
                predictor.score(data.image_batch([scan], predictor.device), evidence), evidence
            )
        found = calibrated(answer, predictor.record.calibration).probabilities
        rows.append({"subject_id": example.visit.subject_id, "diagnosis": str(example.visit.diagnosis),
                     "p": [found[label] for label in ("CN", "MCI", "AD")], "mmse": "n/a", "mmse_estimate": "n/a"})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--style", default="paper6")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--others", type=Path)
    options = parser.parse_args()
    jobs = [(name, seed, str(options.cohort), str(options.out), options.epochs, options.style)
            for seed in options.seeds for name in options.only]  # fmt: skip
    with ProcessPoolExecutor(options.workers) as pool:
        for line in pool.map(run_one, jobs):
            print(line, flush=True)
        if options.others:
            runs = [(str(options.out / f"{slug(name)}-{seed}"), str(options.others), str(options.others / "table.csv"))
                    for seed in options.seeds for name in options.only if name in PREDICTS]  # fmt: skip
            for line in pool.map(answer_others, runs):
                print(line, flush=True)
    print(f"{'':24s} {'AUC AD vs CN':20s}  {'balanced accuracy':20s}  {'MMSE error, points':20s}  less full method")
    whole = [read_rows(options.out / f"full-method-{seed}", "probability") for seed in options.seeds]
    for name in options.only:
        folders = [options.out / f"{slug(name)}-{seed}" for seed in options.seeds]
        runs = [read_rows(folder, "probability") for folder in folders]
        print(summarise(name, runs, against=whole), flush=True)
        if name == "full method":
            print(summarise("  its scan alone", [read_rows(folder, "scan_only") for folder in folders]))
            for what in ("scans", "reports"):
                print(summarise(f"  {what} shuffled",
                                [shuffled_rows(options.cohort, f, what, 0) for f in folders]), flush=True)  # fmt: skip
            print(summarise("oracle", [oracle_rows(options.cohort, folder) for folder in folders]))
    truth = [row["diagnosis"] for row in read_rows(folders[0], "probability")]
    print(f"majority class: balanced accuracy 0.333, accuracy {max(map(truth.count, set(truth))) / len(truth):.3f}")
    if options.others:
        print(f"\n{options.others.name}, people of another seed")
        whole = [
            other_rows(options.out / f"full-method-{seed}", options.others, "probability") for seed in options.seeds
        ]
        for name in [name for name in options.only if name in PREDICTS]:
            folders = [options.out / f"{slug(name)}-{seed}" for seed in options.seeds]
            for kind, title in (("probability", name), ("scan_only", "  its scan alone")):
                runs = [other_rows(folder, options.others, kind) for folder in folders]
                print(summarise(title, runs, against=whole), flush=True)
    (options.out / "settings.json").write_text(json.dumps(vars(options), default=str))


if __name__ == "__main__":
    main()
