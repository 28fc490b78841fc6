"""Seconds and memory of preprocessing: by scan and step, cold, and for a cohort on two workers. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_preprocess.py [--scans 59] [--workers 2] [--parts steps cold cohort]

steps: the scans one after the other in one process, as a worker meets them; CPU seconds, and peak memory within each step
(Linux: VmHWM, reset at the step's start). cold: `adclip preprocess` of one 1 mm scan in a process of its own, thrice.
cohort: `adclip preprocess` of all IXI scans with `--workers`, wall time, and the largest peak of its processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import real_scans as scans
from real_scans import clock, say

from adclip.domain import ScanItem
from adclip.imaging import prepare
from adclip.imaging.steps.brain import DeepbetStripper
from adclip.model.checkpoint import read_contract

PARTS = ("steps", "cold", "cohort")


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=59, help="IXI scans")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    options = parser.parse_args()
    if "steps" in options.parts:
        steps(options.scans)
    if "cold" in options.parts:
        cold()
    if "cohort" in options.parts:
        cohort(options.scans, options.workers)


# ----------------------------------------------------------------------------------------------- by scan and step


class MeasuredSteps(prepare.StepLog):
    """The pipeline's own log, with CPU seconds and peak memory of each step."""

    taken: dict[str, tuple[float, float]]

    @contextmanager
    def step(self, name: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        reset_peak()
        with clock() as time_taken, super().step(name, parameters) as inner:
            yield inner
        MeasuredSteps.taken[name] = (time_taken.cpu, step_peak_gb())


def steps(count: int) -> None:
    """One process, all scans."""
    prepare.StepLog = MeasuredSteps
    stripper, contract = DeepbetStripper("cpu"), read_contract("builtin")
    groups = {"IXI, 2 mm": scans.spread(scans.ixi(), count), "OASIS-1 (stripped), 1 mm": scans.oasis(),
              "Trio, 1 mm": scans.trio()}  # fmt: skip
    first = True
    summary = []
    for group, paths in groups.items():
        runs: list[dict[str, tuple[float, float]]] = []
        # The first scan of the process pays for imports and loading; a lone scan of a group is measured thrice.
        for path in [paths[0], *paths] if first else (paths if len(paths) > 1 else paths * 3):
            MeasuredSteps.taken = {}
            with clock() as whole:
                found = prepare.prepare_scan(ScanItem(path, "x"), contract, stripper)
            taken = {**MeasuredSteps.taken, "all": (whole.cpu, max(peak for _, peak in MeasuredSteps.taken.values()))}
            if not first:
                runs.append(taken)
            shown = " ".join(f"{name} {cpu:.2f}" for name, (cpu, _) in taken.items())
            note = " (first of the process)" if first else ""
            say(f"{path.name}{note}: CPU s {shown}; peak {taken['all'][1]:.2f} GB; {found.qc.verdict} {found.flags}")
            first = False
        for name in runs[0]:
            cpu, peak = zip(*(run[name] for run in runs), strict=True)
            summary.append([group, len({*paths}), name, f"{statistics.median(cpu):.2f}", f"{max(cpu):.2f}",
                            f"{statistics.median(peak):.2f}", f"{max(peak):.2f}"])  # fmt: skip
    say()
    say(scans.markdown(["scans", "n", "step", "CPU s, median", "most", "peak GB, median", "most"], summary))


def reset_peak() -> None:
    """Let the kernel count the peak from here on."""
    Path("/proc/self/clear_refs").write_text("5")


def step_peak_gb() -> float:
    """Peak resident memory since `reset_peak`."""
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1e6


# ----------------------------------------------------------------------------------------------- the command


def run_command(paths: list[Path], out: Path, workers: int) -> tuple[float, float, float]:
    """`adclip preprocess`: return wall seconds, CPU seconds, and the largest resident memory of any of its processes."""
    command = [sys.executable, "-m", "adclip", "preprocess", "--quiet", *map(str, paths), "--out", str(out),
               "--workers", str(workers), "--device", "cpu"]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with (out.with_suffix(".log")).open("w") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log)
        peak = [0.0]
        watcher = threading.Thread(target=watch, args=(run, peak))
        watcher.start()
        run.wait()
        watcher.join()
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        say(f"exit code {run.returncode}: {out.with_suffix('.log').read_text()[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak[0]


def watch(run: subprocess.Popen[bytes], peak: list[float]) -> None:
    """Sample VmHWM of a process and its descendants: a peak lasts, so that half a second is often enough."""
    while run.poll() is None:
        for pid in family(run.pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            lines = [one for one in status.splitlines() if one.startswith("VmHWM")]
            if lines:
                peak[0] = max(peak[0], int(lines[0].split()[1]) / 1e6)
        time.sleep(0.5)


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def cold() -> None:
    """One 1 mm scan in a process of its own; the median of three."""
    runs = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run_command(scans.trio(), Path(folder) / "out", workers=1))
            say(f"cold single 1 mm scan: wall {runs[-1][0]:.1f} s, CPU {runs[-1][1]:.1f} s, peak {runs[-1][2]:.2f} GB")
    wall, cpu, peak = (statistics.median(one) for one in zip(*runs, strict=True))
    say(f"cold, median of three: wall {wall:.1f} s, CPU {cpu:.1f} s, peak {peak:.2f} GB")


def cohort(count: int, workers: int) -> None:
    """All IXI scans through the command."""
    paths = scans.spread(scans.ixi(), count)
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu, peak = run_command(paths, Path(folder) / "out", workers)
    load = os.getloadavg()[1]
    say(scans.markdown(
        ["scans", "workers", "wall s", "scans/min", "CPU s a scan", "largest peak of a process, GB", "load of 5 min"],
        [[len(paths), workers, f"{wall:.0f}", f"{60 * len(paths) / wall:.1f}", f"{cpu / len(paths):.1f}", f"{peak:.2f}",
          f"{load:.1f}"]],
    ))  # fmt: skip


if __name__ == "__main__":
    main()
