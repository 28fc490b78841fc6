"""How long a large cohort's table and pages take: `python tests/benchmarks/bench_pages.py [SCANS]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from real_scans import say

from adclip.config import SMALL
from adclip.domain import ScanItem
from adclip.imaging.derivatives.files import PreparedScan, write_dataset_description, write_derivative
from adclip.imaging.derivatives.names import figure_path
from adclip.imaging.derivatives.publish import PAGE, publish
from adclip.imaging.derivatives.status import ScanRow, StatusTable
from adclip.imaging.quality.limits import LIMITS
from adclip.imaging.records.quality import Quality
from adclip.runtime.paths import write_bytes

PICTURE = b"\xff\xd8" + bytes(30_000)


def write_cohort(out: Path, scans: int) -> None:
    """Write sidecars, pictures and rows as `preprocess` would; the images, which no page reads, are empty."""
    rng = np.random.default_rng(0)
    write_dataset_description(out)
    empty = np.zeros(SMALL.contract.shape_xyz, dtype=np.float32)
    rows = []
    for number in range(scans):
        item = ScanItem(Path(f"{number}.nii.gz"), f"{number:05d}")
        numbers = {limit.name: float(rng.normal(1, 0.1)) for limit in LIMITS}
        qc = Quality(numbers, verdict="pass")
        target = write_derivative(PreparedScan(empty, empty > 0, np.eye(4), qc=qc), item, out, SMALL.contract)
        target.unlink()
        write_bytes(figure_path(out, item), PICTURE)
        rows.append(ScanRow(str(item.path), item.subject_id, None, "done", 8.0, qc))
    StatusTable(out).add(*rows)


def main() -> None:
    """Print seconds for one row more, and for the pages."""
    scans = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        write_cohort(out, scans)
        began = time.perf_counter()
        StatusTable(out).add(ScanRow("x.nii", "x", None, "failed", error="bad", hint="look"))
        added = time.perf_counter()
        publish(out)
        ended = time.perf_counter()
        size = (out / PAGE).stat().st_size / 1e6
        say(f"{scans} scans: one row {added - began:.2f} s, pages {ended - added:.1f} s, {size:.0f} MB")


if __name__ == "__main__":
    main()
