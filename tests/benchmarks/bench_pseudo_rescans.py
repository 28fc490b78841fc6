"""Whether pseudo-rescans on the model's grid move an answer as far as rescans by the whole road do, and what they cost. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_pseudo_rescans.py [--heads 10] [--kinds all] [--rescans 8] [--cache FOLDER]

IXI heads, spread over age. `bench_rescans.py` changes the raw head and prepares it anew (its `all`: moved by half a voxel, turned by 2
degrees, 30 % bias, 3 % noise); `adclip.prediction.rescans` changes the prepared one. Both are asked without a report. What is compared is the
largest change of a probability from that of the head itself. Seconds are those of the processor, as other work on the machine does not
count there.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from bench_rescans import ready_rescan
from prepared_heads import Head, ready_ixi, spread_over_age, stem
from readings import KEYS, Table, build, common_options, likeliest, median, share
from real_scans import say

from adclip import Predictor
from adclip.domain import ScanItem
from adclip.imaging.derivatives.files import PreparedScan
from adclip.imaging.records.quality import Quality
from adclip.prediction.answer import calibrated
from adclip.prediction.beside import answers_again
from adclip.prediction.rescans import pseudo_rescans
from adclip.prediction.telling import Telling


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--heads", type=int, default=10)
    parser.add_argument("--kinds", nargs="*", default=["all"])
    parser.add_argument("--rescans", type=int, default=8)
    parser.add_argument(
        "--rescan-cache", type=Path, help="where rescans by the whole road are kept; by default in --cache"
    )
    parser.add_argument("--raw", action="store_true", help="also time one raw scan, with rescans and without")
    options = parser.parse_args()
    predictor = Predictor.from_checkpoint("builtin", device="cpu", telling=Telling(rescans=0))
    table = Table("pseudo-rescans", options, f"{build()}; builtin {predictor.identity['sha256'][:12]}")
    tower = sum(parameter.numel() for parameter in predictor.reader.network.vision_encoder.parameters())
    table.add("parameters of the image tower", f"{tower:,}")
    paths = spread_over_age(options.heads)
    add_changes(table, predictor, paths, options)
    if options.raw:
        add_cost(table, paths[0])
    table.close()


def add_changes(table: Table, predictor: Predictor, paths: list[Path], options: object) -> None:
    """Changes of probabilities by either road, and the time of the one on the grid."""
    by_road: dict[str, list[float]] = {"on the grid": [], **{f"whole road, {kind}": [] for kind in options.kinds}}
    kept: dict[str, list[bool]] = {road: [] for road in by_road}
    spreads, making, asking = [], [], []
    for path in paths:
        head = prepared(predictor, ready_ixi(path, options.cache))
        here = told(predictor, head)
        start = time.process_time()
        list(pseudo_rescans(head.image, head.mask, predictor.record.model.contract, options.rescans))
        making.append(time.process_time() - start)
        start = time.process_time()
        evidence = predictor.evidence(head, None)
        answers = answers_again(predictor, head, evidence, predictor.record.model.contract, options.rescans, 0)
        again = {"on the grid": [probabilities(predictor, answer) for answer in answers]}
        asking.append(time.process_time() - start)
        for kind in options.kinds:
            rescan = ready_rescan(path, kind, options.rescan_cache or options.cache)
            again[f"whole road, {kind}"] = [told(predictor, prepared(predictor, rescan))]
        for road, found in again.items():
            by_road[road] += [largest_change(here, one) for one in found]
            kept[road] += [likeliest(one) == likeliest(here) for one in found]
        values = [one[likeliest(here)] for one in again["on the grid"]]
        spreads.append(float(np.std(values, ddof=1)))
        shown = {road: [round(largest_change(here, one), 3) for one in found] for road, found in again.items()}
        say(f"{stem(path)} {likeliest(here)} {here[likeliest(here)]:.3f} {shown}")
    for road, changes in by_road.items():
        table.add(f"largest change of a probability, {road}, median", median(changes, 3, ""))
        table.add(f"largest change of a probability, {road}, 90th percentile", f"{np.quantile(changes, 0.9):.3f}")
        table.add(f"class kept, {road} (interval as if independent)", share(kept[road]))
    table.add("SD of the predicted class's probability on the grid, median of heads", median(spreads, 3, ""))
    table.add(f"seconds to make {options.rescans} rescans on the grid", median(making, 2, ""))
    table.add(f"seconds to make and ask {options.rescans}", median(asking, 2, ""))


def add_cost(table: Table, path: Path) -> None:
    """Seconds of one scan, raw and prepared, as a user asks for it; a first scan that pays for imports is not counted."""
    for rescans in (0, 8):
        predictor = Predictor.from_checkpoint("builtin", device="cpu", telling=Telling(rescans=rescans))
        seconds = []
        for _ in range(2):
            start = time.process_time()
            predictor(ScanItem(path, "x"))
            seconds.append(time.process_time() - start)
        table.add(f"seconds of a raw scan with --rescans {rescans}", f"{seconds[-1]:.2f}")


def prepared(predictor: Predictor, head: Head) -> PreparedScan:
    image = head.image(predictor.record.model.contract)
    return PreparedScan(image, image > 0, head.scan_to_mni, qc=Quality(verdict="pass"))


def told(predictor: Predictor, head: PreparedScan) -> dict[str, float]:
    return probabilities(predictor, predictor.answer(head, predictor.evidence(head, None)))


def probabilities(predictor: Predictor, answer: object) -> dict[str, float]:
    return calibrated(answer, predictor.record.calibration).probabilities


def largest_change(one: dict[str, float], other: dict[str, float]) -> float:
    return max(abs(one[label] - other[label]) for label in KEYS)


if __name__ == "__main__":
    main()
