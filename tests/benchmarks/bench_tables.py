"""Seconds and memory of reading tables and writing reports, for many rows. Run by hand:

    python tests/benchmarks/bench_tables.py [--rows 100000] [--styles paper6 clinical knowledge]

`adclip synthesize-reports` in a process of its own: an ADNIMERGE-like table of made-up visits, ten a subject. Plain reference:
pandas reading the same file and formatting six columns of it, in a process of its own too.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from real_scans import markdown, say

HEADER = (
    "RID,COLPROT,PTID,SITE,VISCODE,EXAMDATE,DX_bl,AGE,PTGENDER,PTEDUCAT,APOE4,ABETA,TAU,CDRSB,ADAS13,MMSE,FAQ,Ventricles,"
    "Hippocampus,WholeBrain,Entorhinal,Fusiform,MidTemp,ICV,DX,Years_bl,Month"
)
VISITS = 10
REFERENCE = """
import sys, pandas
t = pandas.read_csv(sys.argv[1], dtype=str)
c = ["Hippocampus", "Ventricles", "WholeBrain", "Entorhinal", "Fusiform", "MidTemp"]
with open(sys.argv[2], "w") as f:
    for row in t[c].astype(float).itertuples(index=False):
        f.write("Hippocampal Vol: %.2f, Ventricular size: %.2f, Whole brain Vol: %.2f, Entorhinal Vol: %.2f, "
                "Fusiform Vol: %.2f, Middle temporal Vol: %.2f\\n" % tuple(row))
"""


def main() -> None:
    """Print one line a style."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--styles", nargs="+", default=["paper6", "clinical", "knowledge"])
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "ADNIMERGE.csv"
        write_table(table, options.rows)
        out = Path(folder) / "out"
        lines.append(["pandas, six columns", *measure([sys.executable, "-c", REFERENCE, str(table), str(out)])])
        adclip = [sys.executable, "-m", "adclip", "synthesize-reports", str(table), "--quiet"]
        lines.append(["--check", *measure([*adclip, "--check"])])
        lines.append(["--write-canonical", *measure([*adclip, "--write-canonical", f"{out}.csv"])])
        for style in options.styles:
            command = [*adclip, "--out", f"{out}-{style}.jsonl", "--style", style]
            lines.append([f"--style {style}", *measure(command)])
    say(f"{options.rows} rows")
    say(markdown(["what", "wall s", "CPU s", "peak GB"], lines))


def write_table(path: Path, rows: int) -> None:
    """Write made-up visits with more digits than any report prints."""
    draw = random.Random(0)
    with path.open("w") as stream:
        stream.write(HEADER + "\n")
        for row in range(rows):
            subject, visit = divmod(row, VISITS)
            if visit == 0:
                age, sex = f"{draw.uniform(55, 90):.1f}", draw.choice(["Male", "Female"])
                education, alleles = draw.randint(6, 20), draw.choice([0, 1, 2])
            viscode = "bl" if visit == 0 else f"m{6 * visit:02d}"
            volumes = [f"{draw.uniform(low, high):.3f}" for low, high in
                       ((8e3, 9e4), (4e3, 9e3), (8e5, 1.3e6), (2e3, 5e3), (1e4, 2e4), (1e4, 2.5e4), (1.2e6, 1.8e6))]  # fmt: skip
            cells = [subject, "ADNI2", f"{subject % 999:03d}_S_{subject:05d}", subject % 60, viscode,
                     f"{2005 + visit // 2}-0{1 + 6 * (visit % 2)}-15", draw.choice(["CN", "LMCI", "AD"]), age, sex, education,
                     alleles, draw.choice([">1700", "812.3"]), "<80", 1.5, 17, draw.randint(10, 30), 2, *volumes,
                     draw.choice(["CN", "MCI", "Dementia", "MCI to Dementia"]), f"{visit / 2:.4f}", 6 * visit]  # fmt: skip
            stream.write(",".join(map(str, cells)) + "\n")


def measure(command: list[str]) -> list[str]:
    """Return wall seconds, CPU seconds and peak memory of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = 0.0
    while run.poll() is None:
        try:
            status = Path(f"/proc/{run.pid}/status").read_text()
            peak = max(peak, *(int(line.split()[1]) / 1e6 for line in status.splitlines() if line.startswith("VmHWM")))
        except (FileNotFoundError, ProcessLookupError, TypeError):
            pass
        time.sleep(0.05)
    wall = time.perf_counter() - began
    if run.returncode:
        say(run.stderr.read()[-1500:] if run.stderr else "failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [f"{wall:.1f}", f"{cpu:.1f}", f"{peak:.2f}"]


if __name__ == "__main__":
    main()
