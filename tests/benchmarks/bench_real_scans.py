"""All real scans in one run of `adclip predict`, one load of the model: what it says, scans a minute, and where the time goes. By hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_real_scans.py out [--every 1]

Scans are found through ADCLIP_TEST_DATA (default ../shared/data): 59 heads of 2 mm, two stripped brains of 1 mm, one head of 1 mm. The 59 are
healthy and 20 to 69 years old, so CN is the right answer for nearly all; nothing can be said about AD here. Seconds are those of one processor, as other
work on the machine does not count there; scans a minute are so many for one processor. What is written stays in `out`, so a second run says what going on
with a finished cohort costs.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from real_scans import ixi, oasis, say, trio

SPENT: dict[str, float] = defaultdict(float)
CALLS: Counter[str] = Counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--every", type=int, default=1, help="of the heads of 2 mm only every n-th")
    options = parser.parse_args()
    measure_stages()
    from adclip.config import PredictConfig
    from adclip.verbs.predict import predict

    scans = (*ixi()[:: options.every], *oasis(), *trio())
    began, cpu_began = time.perf_counter(), time.process_time()
    result = predict(PredictConfig(scans, out=options.out, device="cpu"))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    found = [one for one in result.predictions if not one.error]
    say(f"{len(scans)} scans, {result.failed} failed, model loaded {CALLS['load the model']} times")
    say(
        f"{cpu:.0f} s of the processor, {60 * len(scans) / cpu:.1f} scans a minute of one ({seconds:.0f} s on the clock)"
    )
    for name, share in sorted(SPENT.items(), key=lambda one: -one[1]):
        say(f"  {name:32} {share:8.1f} s  {100 * share / cpu:5.1f} %  {share / len(scans):6.2f} s a scan")
    say(f"  {'the rest, imports included':32} {cpu - sum(SPENT.values()):8.1f} s")
    say(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    say(
        f"status {dict(Counter(one.status for one in result.predictions))}, class {dict(Counter(one.diagnosis for one in found))}"
    )
    say(f"flags {dict(Counter(flag for one in found for flag in one.flags).most_common())}")
    say(f"median MMSE {median(one.mmse.estimate for one in found if one.mmse):.1f}, largest probability "
        f"{max(max((one.probabilities or {}).values()) for one in found):.2f}")  # fmt: skip
    again = [one.rescans for one in found if one.rescans]
    if again:
        say(f"class kept in all rescans: {sum(one.kept == one.of for one in again)} of {len(again)} scans; "
            f"range over rescans, median {median(one.high - one.low for one in again):.3f}")  # fmt: skip
    for one in result.predictions:
        if one.error:
            say(f"failed: {one.scan}: {one.error}")


def measure_stages() -> None:
    """Count the processor's seconds of the steps of preprocessing, of the network and of what is told beside its answer."""
    from adclip.imaging.records.step_log import StepLog
    from adclip.prediction.beside import Beside
    from adclip.prediction.predictor import Predictor

    real = StepLog.step

    @contextmanager
    def step(self: StepLog, name: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        start = time.process_time()
        with real(self, name, parameters) as given:
            yield given
        SPENT[name] += time.process_time() - start

    StepLog.step = step  # type: ignore[method-assign]
    wrap(Predictor, "answer", "network")
    wrap(Beside, "add", "rescans")
    wrap(Predictor, "from_checkpoint", "load the model")


def wrap(owner: type, function: str, name: str) -> None:
    of_class = isinstance(owner.__dict__[function], classmethod)
    real: Callable[..., Any] = getattr(owner, function)

    def timed(*args: Any, **settings: Any) -> Any:
        start = time.process_time()
        CALLS[name] += 1
        try:
            return real(*args[1:], **settings) if of_class else real(*args, **settings)
        finally:
            SPENT[name] += time.process_time() - start

    setattr(owner, function, classmethod(timed) if of_class else timed)


if __name__ == "__main__":
    main()
