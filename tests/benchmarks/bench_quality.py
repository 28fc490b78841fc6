"""The ranges behind the quality thresholds: every number on every real scan. By hand, seven minutes:

OMP_NUM_THREADS=1 python tests/benchmarks/bench_quality.py [EVERY_NTH_IXI_SCAN] > table.md
"""

from __future__ import annotations

import sys

import numpy as np
from real_scans import ixi, markdown, oasis, say, trio

from adclip.config import SMALL
from adclip.domain import ScanItem
from adclip.imaging.prepare import prepare_scan
from adclip.imaging.quality.limits import LIMITS
from adclip.imaging.steps.brain import DeepbetStripper


def main() -> None:
    """Print lowest, median and highest of each number, verdicts, and the seconds that measuring takes."""
    stripper = DeepbetStripper("cpu")
    groups = {"IXI": ixi()[:: int([*sys.argv, "1"][1])], "Trio": trio(), "OASIS-1": oasis()}
    found = {}
    seconds: list[float] = []
    for name, paths in groups.items():
        found[name] = []
        for path in paths:
            prepared = prepare_scan(ScanItem(path, "x"), SMALL.contract, stripper, any_modality=True)
            found[name].append(prepared.qc)
            seconds += [step.seconds for step in prepared.steps if step.name == "quality"]
            sys.stderr.write(f"{path.name} {prepared.qc.verdict} {' '.join(prepared.qc.reasons)}\n")
    rows = []
    for limit in LIMITS:
        row = [f"`{limit.name}`"]
        for records in found.values():
            values = [record[limit.name] for record in records if record[limit.name] is not None]
            row.append(
                "/".join(f"{one:.3g}" for one in np.percentile(values, [0, 50, 100])) if values else "not measured"
            )
        rows.append(row)
    say(markdown(("number", *(f"{name} (n = {len(paths)}), low/median/high" for name, paths in groups.items())), rows))
    for name, records in found.items():
        counts = {
            verdict: sum(record["verdict"] == verdict for record in records) for verdict in ("pass", "warn", "fail")
        }
        say(f"\n{name}: {counts}")
    say(f"\nMeasuring took {np.median(seconds):.2f} s a scan (median, wall), {max(seconds):.2f} s at most.")


if __name__ == "__main__":
    main()
