"""What one build of adclip says of prepared heads, kept between runs; and tables in which several builds stand side by side.

Each benchmark that uses it writes its rows to FOLDER/results/NAME-LABEL.json and prints them. `--beside LABEL ...` adds the
columns of earlier runs. The old build is run from its own working tree with the same scripts:

    git worktree add /tmp/adclip-old REVISION
    PYTHONPATH=/tmp/adclip-old OMP_NUM_THREADS=1 python tests/benchmarks/bench_builtin.py --label before
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_builtin.py --label after --beside before

What was measured is kept under the hash of the weights and of the code that measures, so that no build reads another's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prepared_heads import CACHE, Head
from real_scans import markdown, say
from scipy import stats

import adclip
from adclip.domain import Visit
from adclip.imaging.volumes import measure as volumes

Floats = NDArray[np.float64]
ASSETS = Path(adclip.__file__).parent / "assets"
KEYS = ("CN", "MCI", "AD")


# --------------------------------------------------------------------------------------------- what a build says


@lru_cache(maxsize=2)
def segmenter_key(*, weights_only: bool = False) -> str:
    """Hash of all that decides a volume: the weights, the code that applies them, and the calibration if it is applied."""
    digest = hashlib.sha256()
    code = Path(volumes.__file__).parent
    files = [path for path in sorted((ASSETS / "segmenter").iterdir()) if path.suffix in (".json", ".safetensors")]
    files = [path for path in files if not (weights_only and path.name == "accuracy.json")]
    for path in [*files, *(code / name for name in ("measure.py", "segmenter.py", "medial_temporal.py"))]:
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def measured(head: Head, cache: Path) -> dict[str, float]:
    """Return every volume that this build gives, in mm3."""

    def measure() -> dict[str, float]:
        found = volumes.measure_volumes(*head.measurable())
        return {name: float(getattr(found, name)) for name in volumes.FIELDS if getattr(found, name) is not None}

    return remembered(cache / "measured" / segmenter_key() / f"{head.key}.json", measure)


@dataclass(frozen=True)
class Reading:
    """What a model says of one scan without any report, and how it sees it.

    `raw` and `told` are the probabilities before and after temperature.
    """

    raw: dict[str, float]
    told: dict[str, float]
    mmse: float | None
    base: list[float]
    tuned: list[float]


class Model:
    """One model with its base, asked about prepared heads."""

    def __init__(self, name: str, cache: Path) -> None:
        self.name = name
        self.predictor = adclip.Predictor.from_checkpoint(name, device="cpu", precision="fp32")
        self.contract = self.predictor.record.model.contract
        self.cache = cache
        record = self.predictor.record
        grid = hashlib.sha256(json.dumps(self.contract.to_dict()).encode()).hexdigest()[:8]
        self.key = f"{self.predictor.identity['sha256'][:12]}-{record.base['sha256'][:12]}-{grid}"

    @property
    def title(self) -> str:
        base = self.predictor.record.base
        revision = f" revision {base['revision']}" if base.get("revision") else ""
        return f"{self.name}{revision} ({self.key})"

    @lru_cache(maxsize=1)  # noqa: B019 (one model a run)
    def base(self) -> Any:
        return adclip.load_base(self.predictor.record.base["name"], precision="fp32", contract=self.contract)

    def prepared(self, head: Head) -> Any:
        from adclip.imaging.derivatives.files import PreparedScan
        from adclip.imaging.records.quality import Quality

        image = head.image(self.contract)
        return PreparedScan(image, image > 0, head.scan_to_mni, qc=Quality(verdict="pass"))

    def reading(self, head: Head) -> Reading:
        """Scan only."""
        import torch

        def read() -> dict[str, Any]:
            from adclip.model.calibration import SCAN
            from adclip.prediction.answer import name_probabilities

            prepared = self.prepared(head)
            answer = self.predictor.answer(prepared, self.predictor.evidence(prepared, None))
            temperature = self.predictor.record.calibration.road(SCAN).temperature

            image = self.predictor.to_image(prepared)
            with torch.inference_mode():
                tuned = self.predictor.reader.network.encode_image(image)
            return {
                "raw": name_probabilities(answer.bare, 1.0),
                "told": name_probabilities(answer.bare, temperature),
                "mmse": answer.mmse_points,
                "base": self.base().encode_image(image)[0].double().tolist(),
                "tuned": tuned[0].double().tolist(),
            }

        return Reading(**remembered(self.cache / "answered" / self.key / f"{head.key}.json", read))

    def predict(self, head: Head, visit: Visit | None, found: dict[str, float] | None = None) -> Any:
        """Return the whole Prediction, as a user gets it; `found` are the scan's measured volumes where they are to count."""
        from dataclasses import replace

        from adclip.brain_volumes import BrainVolumes
        from adclip.domain import ScanItem

        prepared = self.prepared(head)
        if found:
            prepared = replace(prepared, volumes=BrainVolumes(volumes.measured_by(), found))
        item = ScanItem(Path(f"{head.name}.nii.gz"), head.name)
        evidence = self.predictor.evidence(prepared, visit)
        return self.predictor.to_prediction(item, prepared, evidence, self.predictor.answer(prepared, evidence))

    def metadata_only(self, visit: Visit) -> dict[str, float]:
        """Return what the stored regression says of a person."""
        from adclip.prediction.metadata_baseline import MetadataBaseline

        stored = self.predictor.record.metadata_baseline
        return {} if stored is None else dict(MetadataBaseline.from_dict(stored.content).predict(visit) or {})


def log_odds(probabilities: dict[str, float], label: str = "AD") -> float:
    """Log of a class's probability less the log of all others'."""
    rest = sum(value for name, value in probabilities.items() if name != label)
    return math.log(max(probabilities[label], 1e-12)) - math.log(max(rest, 1e-12))


def likeliest(probabilities: dict[str, float]) -> str:
    return max(probabilities, key=lambda label: probabilities[label])


def remembered(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what an earlier run wrote there, or make and write it."""
    if path.is_file():
        return dict(json.loads(path.read_text()))
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(made))
    os.replace(part, path)
    return made


# --------------------------------------------------------------------------------------------- statistics


def correlation(one: Sequence[float] | Floats, other: Sequence[float] | Floats) -> str:
    """Pearson's r with Fisher's 95 % interval."""
    fit = stats.pearsonr(np.asarray(one, float), np.asarray(other, float))
    low, high = fit.confidence_interval(0.95)
    return f"{fit.statistic:+.2f} ({low:+.2f} to {high:+.2f}), n {len(one)}"


def rank_correlation(one: Sequence[float] | Floats, other: Sequence[float] | Floats, given: Sequence[Any] = ()) -> str:
    """Spearman's rho, partial if anything is given; interval by Fisher with the variance of Bonett and Wright (2000)."""
    ranks = [stats.rankdata(np.asarray(values, float)) for values in (one, other, *given)]
    left, right = ranks[:2]
    if given:
        base = np.column_stack([np.ones(len(left)), *ranks[2:]])
        left, right = (values - base @ np.linalg.lstsq(base, values, rcond=None)[0] for values in (left, right))
    rho = float(np.corrcoef(left, right)[0, 1])
    spread = 1.96 * math.sqrt((1 + rho**2 / 2) / (len(left) - 3 - len(given)))
    low, high = math.tanh(math.atanh(rho) - spread), math.tanh(math.atanh(rho) + spread)
    return f"{rho:+.2f} ({low:+.2f} to {high:+.2f}), n {len(left)}"


def share(flags: Sequence[bool] | NDArray[np.bool_]) -> str:
    """How many of how many, with Wilson's 95 % interval."""
    count, total = int(np.sum(flags)), len(flags)
    if not total:
        return "none to count"
    interval = stats.binomtest(count, total).proportion_ci(0.95, "wilson")
    return f"{count} of {total}, {100 * count / total:.0f} % ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def median(values: Sequence[float] | Floats, digits: int = 2, sign: str = "+") -> str:
    """Median with a 95 % interval from the order of the values (binomial), which assumes no distribution."""
    ordered = np.sort(np.asarray(values, float))
    count = len(ordered)
    if not count:
        return "none"
    rank = int(stats.binom.ppf(0.025, count, 0.5))
    low, high = (ordered[0], ordered[-1]) if rank < 1 else (ordered[rank - 1], ordered[count - rank])
    form = f"{sign}.{digits}f"
    return f"{float(np.median(ordered)):{form}} ({low:{form}} to {high:{form}}), n {count}"


# --------------------------------------------------------------------------------------------- tables


class Table:
    """Rows of what was measured, in order, with the columns of earlier runs beside."""

    def __init__(self, name: str, options: argparse.Namespace, title: str) -> None:
        self.name, self.options, self.title = name, options, title
        self.rows: dict[str, str] = {}

    def add(self, what: str, value: str) -> None:
        """Note one figure and show it at once."""
        self.rows[what] = value
        say(f"{what}: {value}")

    def close(self) -> None:
        """Keep the rows for later comparison and print the whole table."""
        kept = self.options.cache / "results"
        kept.mkdir(parents=True, exist_ok=True)
        file = kept / f"{self.name}-{self.options.label}.json"
        file.write_text(json.dumps({"title": self.title, "rows": self.rows}, indent=1))
        columns = []
        for label in self.options.beside:
            columns.append((label, json.loads((kept / f"{self.name}-{label}.json").read_text())))
        columns.append((self.options.label, {"title": self.title, "rows": self.rows}))
        names = list(dict.fromkeys(name for _, column in columns for name in column["rows"]))
        say()
        for label, column in columns:
            say(f"{label}: {column['title']}")
        say()
        rows = [[name, *(column["rows"].get(name, "-") for _, column in columns)] for name in names]
        say(markdown(["what", *(label for label, _ in columns)], rows))


def common_options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all of these benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--label", default="now", help="name of this run's column")
    parser.add_argument("--beside", nargs="*", default=[], metavar="LABEL", help="columns of earlier runs")
    return parser


def build() -> str:
    """Return which code and which segmenter are measured."""
    from adclip.imaging.volumes.segmenter import segmenter_version

    version = getattr(volumes, "volumes_version", segmenter_version)  # of all networks, where there are several
    return f"adclip at {Path(adclip.__file__).parent.parent}, segmenter {version()}"
