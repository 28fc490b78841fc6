"""The builtin model on real, healthy scans: what it says and how long it takes. Run by hand:

    python tests/benchmarks/bench_real_scans.py [NUMBER_OF_SCANS]

Scans are found through ADCLIP_TEST_DATA (default ../shared/data). The people are healthy and 20 to 69 years old, so CN is
the right answer for nearly all; nothing can be said about AD here.
"""

import os
import resource
import statistics
import sys
import time
from pathlib import Path

import adclip


def main() -> None:
    """Print one line for each scan and the medians."""
    data = Path(os.environ.get("ADCLIP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    scans = sorted((data / "ixi_2mm").glob("*_T1.nii.gz"))[:: max(1, 59 // int([*sys.argv, "12"][1]))]
    start = time.perf_counter()
    predictor = adclip.Predictor.from_checkpoint("builtin", device="cpu")
    say = sys.stdout.write
    say(f"load {time.perf_counter() - start:.1f} s\n")
    seconds, answers, mmse = [], [], []
    for scan in scans:
        start = time.perf_counter()
        found = predictor(scan)
        seconds.append(time.perf_counter() - start)
        answers.append(found.diagnosis)
        mmse.append(found.mmse.estimate)
        shown = " ".join(f"{label} {value:.2f}" for label, value in found.probabilities.items())
        say(f"{scan.name} {found.status} {shown} MMSE {mmse[-1]:.1f} {seconds[-1]:.1f} s\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    say(f"n {len(scans)}, CN {answers.count('CN')}, MCI {answers.count('MCI')}, AD {answers.count('AD')}, ")
    say(f"median MMSE {statistics.median(mmse):.1f}, median {statistics.median(seconds):.1f} s, peak {peak:.2f} GB\n")


if __name__ == "__main__":
    main()
