"""What isal saves when a compressed scan is read, against Python's own gzip. Run by hand, with isal installed:

    python tests/benchmarks/bench_gzip.py SCAN.nii.gz... [--times 7]

Every file is read to its end through `adclip.imaging.formats.stream`, as every command reads it, CRC included; both roads take turns. Told
are medians of the processor's seconds, as other work may share the machine, and their ratio: of the bytes alone, and of the whole reading
of the scan.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import patch

from adclip.imaging.formats.stream import open_source
from adclip.imaging.sources.files import read_volume


def read_bytes(path: Path) -> int:
    """Return how many bytes the file holds, decompressed."""
    count = 0
    with open_source(path) as source:
        while part := source.read(1 << 20):
            count += len(part)
    return count


def processor_seconds(work: Callable[[], object]) -> float:
    """Return what one call costs the processor, in seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Return the median seconds of `work` without isal and with it."""
    without_isal, with_isal = [], []
    for _ in range(times):
        with patch.dict(sys.modules, {"isal": None}):
            without_isal.append(processor_seconds(work))
        with_isal.append(processor_seconds(work))
    return median(without_isal), median(with_isal)


def main() -> None:
    """Measure, and print a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    import isal  # fail here, not as a ratio of one

    print(f"isal {isal.__version__}; medians of {options.times}, milliseconds of the processor")
    print(
        f"{'scan':45} {'MB':>6}   {'bytes: gzip':>12} {'isal':>7} {'ratio':>6}   {'scan: gzip':>11} {'isal':>7} {'ratio':>6}"
    )
    for path in options.scans:
        megabytes = read_bytes(path) / 1e6
        plain, fast = compare(lambda path=path: read_bytes(path), options.times)
        whole, faster = compare(lambda path=path: read_volume(path), options.times)
        print(
            f"{path.name:45} {megabytes:6.1f}   {1e3 * plain:12.1f} {1e3 * fast:7.1f} {plain / fast:6.2f}   "
            f"{1e3 * whole:11.1f} {1e3 * faster:7.1f} {whole / faster:6.2f}"
        )


if __name__ == "__main__":
    main()
