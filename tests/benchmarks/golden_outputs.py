"""What every verb writes of three real scans, kept outside the repository, and whether two builds write the same.

    OMP_NUM_THREADS=1 python tests/benchmarks/golden_outputs.py --out /tmp/before
    OMP_NUM_THREADS=1 python tests/benchmarks/golden_outputs.py --out /tmp/after --beside /tmp/before

Run it with PYTHONPATH at the build to be asked. Everything is compared byte by byte but what must differ: seconds, dates, versions
of adclip, folders, and the number of bytes of a compressed file (its content is compared).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from real_scans import DATA, ixi, say

VOLATILE = re.compile(r"seconds|minutes|date|time|memory|_mb$|version|platform|processor|torch|command|elapsed", re.I)


def scans() -> list[Path]:
    """A raw head of 2 mm, a stripped one of 1 mm, and a raw one of full resolution."""
    stripped = sorted((DATA / "oasis1_stripped").rglob("*.nii.gz"))
    full = sorted((DATA / "t1_fullres").rglob("*.nii.gz"))
    return [ixi()[0], stripped[0], full[0]]


def verbs(out: Path, heads: list[Path]) -> list[list[str]]:
    """The command lines, in the order in which they need each other."""
    made, table = out / "cohort", out / "cohort" / "table.csv"
    meta = out / "meta.csv"
    rows = ["scan,subject_id,age_years,sex", *(f"{head},p{i},{71 + i},{'FM'[i % 2]}" for i, head in enumerate(heads))]
    meta.write_text("\n".join(rows) + "\n", encoding="utf-8")
    given = [str(head) for head in heads]
    return [
        ["preprocess", *given, "--out", str(out / "derivatives"), "--volumes"],
        ["predict", *given, "--meta", str(meta), "--out", str(out / "predictions")],
        ["predict", *given, "--no-volumes", "--out", str(out / "scan-only")],
        ["explain", given[0], "--meta", str(meta), "--out", str(out / "explained")],
        ["synthesize-reports", str(meta), "--out", str(out / "reports.jsonl")],
        ["simulate", "--out", str(made), "--subjects", "30", "--preprocessed", "--seed", "3"],
        ["finetune", "--scans", str(made), "--table", str(table), "--out", str(out / "run"), "--epochs", "2"],
        ["predict", str(out / "derivatives"), "--model", str(out / "run"), "--out", str(out / "by-run")],
        ["weights", "list", "--json"],
    ]


def settled(value: Any) -> Any:
    """Leave out of a record what differs from run to run."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if not VOLATILE.search(key)}
    return [settled(item) for item in value] if isinstance(value, list) else value


def content(path: Path, out: Path) -> bytes:
    """What is compared of a file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    text = data.replace(str(out).encode(), b"OUT")
    if path.suffix == ".json":
        return json.dumps(settled(json.loads(text))).encode()
    if path.suffix == ".jsonl":
        return "\n".join(json.dumps(settled(json.loads(line))) for line in text.splitlines() if line.strip()).encode()
    if path.suffix in (".tsv", ".csv"):
        return re.sub(rb"\d{4}-\d\d-\d\dT[\d:+]+Z?", b"DATE", text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for line in verbs(options.out, scans()):
        done = subprocess.run([sys.executable, "-m", "adclip", *line], env=os.environ, capture_output=True, text=True)
        say(f"{line[0]}: exit code {done.returncode}")
        (options.out / f"{line[0]}.exit").write_text(str(done.returncode), encoding="utf-8")
        if done.returncode:
            say(done.stderr)
    if options.beside is None:
        return
    names = [{p.relative_to(f).as_posix() for p in f.rglob("*") if p.is_file()} for f in (options.out, options.beside)]
    for name in sorted(names[0] ^ names[1]):
        say(f"only {'here' if name in names[0] else 'there'}: {name}")
    different = 0
    for name in sorted(names[0] & names[1]):
        digests = [hashlib.sha256(content(f / name, f)).hexdigest() for f in (options.out, options.beside)]
        if digests[0] != digests[1]:
            different += 1
            say(f"differs: {name}")
    say(f"{len(names[0] & names[1])} files compared, {different} differ")


if __name__ == "__main__":
    main()
