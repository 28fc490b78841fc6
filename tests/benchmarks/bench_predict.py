"""Scans a second, memory, and where the time goes, of `adclip predict` over prepared scans. Run by hand:

    adclip simulate --out few --subjects 3 --preprocessed
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_predict.py few [--scans 100 1000 10000] [--workers 1 2] [--rows]
                             [--no-network] [--no-read] [--batches 1 2 4 8 16] [--precision fp32]

A few derivatives are linked under as many names as are asked for, with a table of all columns for `--rows`. Every run is a process of its own and
writes a folder of its own; the same run is then told again, which is what resuming a finished cohort costs. Seconds are told on
the clock and of the processor, as other work may share the machine: compare the latter. Memory is the largest resident size of the first
process and of the largest of the others.

`--no-network` answers every scan as the first, `--no-read` takes every scan for the first: what is left is all that is neither. `--batches` answers
16 scans by so many at a time, and says what each costs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from linked import ENDING, derivatives_of, sidecar_of

STAGES = {
    "find scans and rows": ("adclip.verbs.cohort", "find_jobs"),
    "fingerprint": ("adclip.prediction.cohort_work", "fingerprint"),
    "read": ("adclip.prediction.predictor.Predictor", "prepare"),
    "network": ("adclip.prediction.predictor.Predictor", "answer"),
    "name the numbers": ("adclip.prediction.predictor.Predictor", "to_prediction"),
    "write records": ("adclip.prediction.record_store.RecordStore", "write"),
    "write tables": ("adclip.verbs.predict", "write_predictions"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--scans", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--no-read", action="store_true")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--batches", type=int, nargs="*")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batches is not None:
        time_batches(options.source, options.batches or [1, 2, 4, 8, 16], rows=options.rows)
        return
    if options.one is not None:
        print(json.dumps(run_one(options)))
        return
    print(
        f"{'scans':>6} {'workers':>7} {'':7} {'s':>7} {'cpu s':>7} {'scans/s':>8} {'scans/cpu s':>11} {'MB first':>9} {'MB other':>9}"
    )
    for count in options.scans:
        for workers in options.workers:
            with tempfile.TemporaryDirectory(dir=options.source.parent) as folder:
                lay_out(options.source, Path(folder) / "scans", count)
                for kind in ("run", "again"):
                    tell(count, workers, kind, run_apart(options, Path(folder), workers))


def lay_out(source: Path, folder: Path, count: int) -> None:
    """Link derivatives under `count` names, and write a row for each."""
    from adclip.imaging.derivatives.files import write_dataset_description

    write_dataset_description(folder)
    scans, sidecars = derivatives_of(source), []
    for number, scan in enumerate(scans):  # without ids, which then stand in the names alone
        content = json.loads(sidecar_of(scan).read_text())
        content.pop("SubjectID", None), content.pop("SessionID", None)
        sidecars.append(folder / f".sidecar{number}")
        sidecars[-1].write_text(json.dumps(content, indent=2))
    rows = [
        "subject_id,age_years,sex,education_years,apoe4_count,hippocampus_mm3,ventricles_mm3,icv_mm3,volumes_source"
    ]
    for number in range(count):
        name, which = f"c{number + 1:05d}", number % len(scans)
        place = folder / f"sub-{name}" / "anat" / f"sub-{name}_space-MNI152NLin2009aSym{ENDING}"
        place.parent.mkdir(parents=True)
        os.link(scans[which], place)
        os.link(sidecars[which], sidecar_of(place))
        mask = scans[which].with_name(scans[which].name.replace(ENDING, "_desc-brain_mask.nii.gz"))
        if mask.is_file():
            os.link(mask, place.with_name(place.name.replace(ENDING, "_desc-brain_mask.nii.gz")))
        rows.append(
            f"{name},{60 + number % 30},{'FM'[number % 2]},{8 + number % 12},{number % 3},{5000 + number % 2000},30000,1400000,DLMUSE"
        )
    (folder.parent / "table.csv").write_text("\n".join(rows) + "\n")


def run_apart(options: argparse.Namespace, folder: Path, workers: int) -> dict[str, Any]:
    words = [sys.executable, __file__, str(options.source), "--one", str(workers), "--folder", str(folder)]
    words += ["--precision", options.precision, *(["--rows"] if options.rows else [])]
    words += [*(["--no-network"] if options.no_network else []), *(["--no-read"] if options.no_read else [])]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def run_one(options: argparse.Namespace) -> dict[str, Any]:
    """Predict a cohort in this process, and return what it cost."""
    import adclip.verbs.predict as verb
    from adclip.config import PredictConfig

    spent: dict[str, float] = defaultdict(float)
    left_out = {"answer": options.no_network, "prepare": options.no_read}
    for function in (name for name, is_left_out in left_out.items() if is_left_out):
        repeat_the_first(function)
    for name, (owner, function) in STAGES.items():
        measure(owner, function, name, spent)
    config = PredictConfig(
        (options.folder / "scans",), options.folder / "table.csv" if options.rows else None, out=options.folder / "out",
        device="cpu", precision=options.precision, workers=options.one,
    )  # fmt: skip
    began, cpu_began = time.perf_counter(), cpu_seconds()
    result = verb.predict(config)
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - cpu_began
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"scans": len(result.predictions), "failed": result.failed, "seconds": seconds, "cpu": cpu, "peaks": peaks,
            "spent": spent if options.one == 1 else {}}  # fmt: skip


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def find_owner(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def measure(owner_name: str, function: str, name: str, spent: dict[str, float]) -> None:
    """Add up the processor's seconds of a function of this process."""
    owner = find_owner(owner_name)
    real: Callable[..., Any] = getattr(owner, function)

    def timed(*args: Any, **settings: Any) -> Any:
        began = time.process_time()
        try:
            return real(*args, **settings)
        finally:
            spent[name] += time.process_time() - began

    setattr(owner, function, timed)


def repeat_the_first(function: str) -> None:
    """Let a method of the predictor return what it returned first."""
    from adclip.prediction.predictor import Predictor

    real, known = getattr(Predictor, function), []

    def repeated(*args: Any) -> Any:
        if not known:
            known.append(real(*args))
        return known[0]

    setattr(Predictor, function, repeated)


def tell(count: int, workers: int, kind: str, cost: dict[str, Any]) -> None:
    first, other = cost["peaks"]
    print(
        f"{count:6} {workers:7} {kind:7} {cost['seconds']:7.1f} {cost['cpu']:7.1f} {count / cost['seconds']:8.1f} "
        f"{count / cost['cpu']:11.1f} {first:9.0f} {other if workers > 1 else 0:9.0f}"
        + (f"  failed {cost['failed']}" * bool(cost["failed"])),
        flush=True,
    )
    for name, seconds in cost["spent"].items():
        print(f"{'':17}{name:22} {1000 * seconds / count:8.2f} ms a scan", flush=True)


def time_batches(source: Path, sizes: list[int], *, rows: bool) -> None:
    """Say what a scan costs of the processor by how many go through the network at once."""
    from adclip import Predictor
    from adclip.domain import ScanItem, Visit
    from adclip.prediction.beside import answer_together

    predictor = Predictor.from_checkpoint("builtin", "cpu")
    scans = derivatives_of(source)
    prepared = [predictor.prepare(ScanItem(scans[i % len(scans)], f"p{i}", preprocessed=True)) for i in range(16)]
    visits = [
        Visit(age_years=60.0 + i, sex="FM"[i % 2], hippocampus_mm3=5000.0 + 50 * i, icv_mm3=1.4e6, volumes_source="DLMUSE") if rows else None
        for i in range(16)
    ]  # fmt: skip
    evidence = [predictor.evidence(scan, visit) for scan, visit in zip(prepared, visits, strict=True)]
    answer_together(predictor, prepared[:2], evidence[:2])
    for size in sizes:
        began = time.process_time()
        for start in range(0, 16, size):
            answer_together(predictor, prepared[start : start + size], evidence[start : start + size])
        print(f"batch {size:3}: {1000 * (time.process_time() - began) / 16:.0f} ms a scan", flush=True)


if __name__ == "__main__":
    main()
