"""`adclip demo`: every verb once, on simulated heads, with what was measured beside what is known to be true."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.clinical.settings import SynthesizeReportsConfig
from adclip.domain import Prediction, Visit
from adclip.errors import OutputError
from adclip.prediction.settings import PreprocessConfig
from adclip.runtime.events import OnEvent, Step, ignore, without_records
from adclip.runtime.paths import claim_folder, write_text
from adclip.simulation.settings import SimulateConfig
from adclip.training.settings import FinetuneConfig
from adclip.verbs.finetune import FinetuneResult, finetune
from adclip.verbs.predict import predict
from adclip.verbs.settings import DemoConfig, ExplainConfig, PredictConfig
from adclip.verbs.simulate import SIMULATED_NOTICE, simulate

if TYPE_CHECKING:
    from adclip.prediction.predictor import Predictor

SUMMARY, MARKER = "demo.json", "adclip-demo.txt"
HEAD_SPACING_MM = 1.5
# Two in five subjects are held out, so that the intervals are worth printing.
STYLE = "paper6"  # the shortest reports: full sentences are three times as long, and so would be the demo
TEST_SHARE, VALIDATION_SHARE, CALIBRATION_SHARE = 0.4, 0.06, 0.12
EXPLAINED_SUBJECTS = 16  # AD subjects whose heatmaps are held against the truth


@dataclass(frozen=True)
class DemoResult:
    """What the demo showed.

    Parameters
    ----------
    out : Path
    rows : list of tuple
        (what, value as text, n).
    numbers : dict
        The same as numbers: name -> value, low, high, n.
    predictions : sequence of Prediction
        The two raw heads.
    files : dict
        What to look at -> path.
    seconds : float
    notice : str
    """

    out: Path
    rows: list[tuple[str, str, int | None]]
    numbers: dict[str, Any]
    predictions: Sequence[Prediction]
    files: dict[str, str]
    seconds: float
    notice: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        record = {**vars(self), "out": str(self.out), "predictions": [p.to_dict() for p in self.predictions]}
        record["rows"] = [list(row) for row in self.rows]
        return record


def demo(config: DemoConfig, on_event: OnEvent = ignore) -> DemoResult:
    """Simulate, preprocess, fine-tune, predict, explain, and measure against the truth.

    Raises
    ------
    OutputError
        If `config.out` holds a demo already.
    """
    on_event = without_records(on_event)  # stdout has the demo's own record
    began = time.monotonic()
    out = _claim(config)
    on_event(Step("1/5 two raw simulated heads"))
    heads = out / "heads"
    simulate(
        SimulateConfig(
            heads, 2, spacing_mm=HEAD_SPACING_MM, measured=False, seed=config.seed + 1_000_003, overwrite=True
        ),
        on_event,
    )
    on_event(Step("2/5 preprocess them: brain, bias field, MNI, model grid"))
    from adclip.verbs.preprocess import preprocess

    derivatives = out / "derivatives"
    preprocess(PreprocessConfig((heads,), derivatives, device=config.device, overwrite=True), on_event)

    on_event(Step(f"3/5 a cohort of {config.subjects}, simulated directly as preprocessed derivatives"))
    cohort = out / "cohort"
    simulate(
        SimulateConfig(
            cohort, config.subjects, preprocessed=True, measured=False, seed=config.seed, workers=0, overwrite=True
        ),
        on_event,
    )
    from adclip.verbs.synthesize_reports import synthesize_reports

    synthesize_reports(
        SynthesizeReportsConfig(cohort / "table.csv", out / "reports.jsonl", style=STYLE, overwrite=True), on_event
    )

    on_event(Step("4/5 fine-tune the builtin model on that cohort"))
    run = out / "run"
    tuned = finetune(_finetune_config(config, cohort, run), on_event)
    oracle = _oracle(cohort, run, config.seed)

    on_event(Step("5/5 predict and explain"))
    predicted = predict(
        PredictConfig(
            (derivatives,), heads / "table.csv", str(run), out=out / "predictions", device=config.device, overwrite=True
        ),
        on_event,
    )
    from adclip.verbs.explain import explain

    explained = explain(
        ExplainConfig(
            (heads / "sub-sim0001" / "anat" / "sub-sim0001_T1w.nii.gz",), out / "explain", heads / "table.csv", str(run),
            device=config.device, seed=config.seed, overwrite=True,
        ),
        on_event,
    )  # fmt: skip
    localisation = _localise(cohort, run, config)

    numbers = _numbers(tuned, oracle, localisation)
    seconds = time.monotonic() - began
    rows: list[tuple[str, str, int | None]] = [
        (name, _interval(number), number["n"]) for name, number in numbers.items()
    ]
    files = {
        "picture": str(out / "explain" / explained.explanations[0].files["figure"]),
        "page": str(explained.page),
        "predictions": str(out / "predictions" / "predictions.csv"),
        "reports": str(out / "reports.jsonl"),
        "model": str(run),
        "cohort": str(cohort),
    }
    notice = f"{SIMULATED_NOTICE} {tuned.notice}"
    summary = {"numbers": numbers, "seconds": seconds, "peak_memory_gb": peak_memory_gb(), "notice": notice}
    write_text(out / SUMMARY, json.dumps({"config": config.to_dict() | {"out": out.name}, **summary}, indent=2) + "\n")
    rows.append(("seconds", f"{seconds:.0f}", None))
    rows.append(("peak memory, GB", f"{summary['peak_memory_gb']:.1f}", None))
    return DemoResult(out, rows, numbers, predicted.predictions, files, seconds, notice)


def _claim(config: DemoConfig) -> Path:
    """Make the output folder ours: new, empty, or an earlier demo that may be replaced.

    Everything below it is overwritten, so a folder with other things in it is refused, with `--overwrite` too.
    """
    out = config.out
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise OutputError(f"{out}: is not empty and holds no demo", "choose a new folder with --out")
    claim_folder(out, overwrite=config.overwrite, marker=MARKER)
    write_text(out / MARKER, f"{SIMULATED_NOTICE}\n")
    return out


def _finetune_config(config: DemoConfig, cohort: Path, run: Path) -> FinetuneConfig:
    return FinetuneConfig(
        cohort,
        cohort / "table.csv",
        run,
        style=STYLE,
        epochs=config.epochs,
        test_fraction=TEST_SHARE,
        validation_fraction=VALIDATION_SHARE,
        calibration_fraction=CALIBRATION_SHARE,
        device=config.device,
        seed=config.seed,
        overwrite=True,
    )


def _test_and_train(visits: Sequence[Visit], run: Path) -> tuple[list[Visit], list[Visit]]:
    from adclip.clinical.scans.splits import Split

    split = Split.from_tsv((run / "private" / "splits.tsv").read_text(encoding="utf-8"))
    parts = [set(split.part(part)) for part in ("test", "train")]
    return [v for v in visits if v.subject_id in parts[0]], [v for v in visits if v.subject_id in parts[1]]


def _oracle(cohort: Path, run: Path, seed: int) -> dict[str, Any]:
    """Fit the oracle on the same training subjects, measure it on the same test subjects; it knows what tables lack."""
    from adclip.evaluation.metrics import summarise
    from adclip.simulation.oracle import oracle_probabilities
    from adclip.simulation.subject import read_true_visits

    test, train = _test_and_train(read_true_visits(cohort), run)
    labels = ("CN", "MCI", "AD")
    probabilities = oracle_probabilities(train, test, labels)
    return summarise([str(v.diagnosis) for v in test], probabilities, labels, [v.subject_id for v in test], seed=seed)


def _localise(cohort: Path, run: Path, config: DemoConfig) -> dict[str, Any]:
    """Relevance inside the structures that the disease changes, over the brain's mean, for held-out AD subjects.

    The baseline is the same map with its patches in random order inside the brain: its ratio shows what chance gives.
    """
    import numpy as np

    from adclip.clinical.tables.table import read_table
    from adclip.evaluation.metrics import bootstrap_interval, entry
    from adclip.explanation.attribution import attribute
    from adclip.explanation.relevance import enlarge_patches
    from adclip.explanation.seen import SeenScan
    from adclip.explanation.settings import DEFAULT_METHOD
    from adclip.explanation.target import class_target
    from adclip.imaging.sources.files import read_voxels
    from adclip.imaging.sources.find import find_scans
    from adclip.imaging.steps.grid import from_model_order
    from adclip.imaging.volumes.regions import mask_ratio
    from adclip.prediction.predictor import Predictor

    predictor: Predictor = Predictor.from_checkpoint(run, config.device)
    test, _ = _test_and_train(read_table(cohort / "table.csv").rows, run)
    sick = [visit for visit in test if visit.diagnosis == "AD"][:EXPLAINED_SUBJECTS]
    items = {item.subject_id: item for item in find_scans((cohort,))}
    rng = np.random.default_rng(config.seed)
    ratios: list[float] = []
    chances: list[float] = []
    for visit in sick:
        item = items[visit.subject_id]
        prepared = predictor.prepare(item)
        evidence = predictor.evidence(prepared, visit)
        explained = SeenScan(predictor, prepared, evidence).explained(class_target("AD"))
        found = attribute(explained, DEFAULT_METHOD)
        per_patch = np.clip(found.per_patch, 0, None)
        name = f"{item.stem}_space-MNI152NLin2009aSym_desc-changed_mask.nii.gz"
        changed, _ = read_voxels(item.path.with_name(name))
        shuffled = per_patch.reshape(-1).copy()
        inside = np.flatnonzero(explained.brain_patches().cpu().numpy())
        shuffled[inside] = rng.permutation(shuffled[inside])
        random_map = enlarge_patches(shuffled.reshape(per_patch.shape), predictor.record.model.contract.shape)
        for values, relevance in ((ratios, found.positive), (chances, random_map)):
            values.append(mask_ratio(from_model_order(relevance), changed > 0, prepared.mask))
    subjects = [visit.subject_id for visit in sick]
    result: dict[str, Any] = {}
    for key, values in (("map", ratios), ("random", chances)):
        usable = [(v, s) for v, s in zip(values, subjects, strict=True) if math.isfinite(v)]
        if not usable:
            result[key] = {"value": None, "low": None, "high": None, "n": 0}
            continue
        numbers = np.array([v for v, _ in usable])
        people = [s for _, s in usable]
        result[key] = entry(
            bootstrap_interval(np.mean, numbers, subjects=people, seed=config.seed), len(people), len(set(people))
        )
    return result


def _numbers(tuned: FinetuneResult, oracle: dict[str, Any], localisation: dict[str, Any]) -> dict[str, Any]:
    """Every number under the name that the table prints."""
    numbers = {
        "AUC AD vs CN, scan and report": tuned.metrics["auc_ad_vs_cn"],
        "AUC AD vs CN, scan alone": tuned.baselines["scan_only"]["auc_ad_vs_cn"],
        "AUC AD vs CN, metadata alone": (tuned.baselines.get("metadata_only") or {}).get("auc_ad_vs_cn"),
        "AUC AD vs CN, oracle (true volumes)": oracle["auc_ad_vs_cn"],
        "balanced accuracy, three classes": tuned.metrics["balanced_accuracy"],
        "balanced accuracy, majority class": tuned.baselines["majority"]["balanced_accuracy"],
        "MMSE mean absolute error, points": tuned.metrics.get("mmse_mae"),
        "AD heatmaps: relevance in changed regions over brain mean": localisation["map"],
        "the same maps, patches shuffled (chance)": localisation["random"],
    }
    first, last = tuned.history[0]["train_loss"], tuned.history[-1]["train_loss"]
    numbers["training loss, first epoch"] = {"value": first, "low": None, "high": None, "n": None}
    numbers["training loss, last epoch"] = {"value": last, "low": None, "high": None, "n": None}
    return {name: number for name, number in numbers.items() if number}


def _interval(number: dict[str, Any]) -> str:
    if number["value"] is None:
        return "not defined"
    if number.get("low") is None:
        return f"{number['value']:.3f}"
    return f"{number['value']:.3f} ({number['low']:.3f} to {number['high']:.3f})"


def peak_memory_gb() -> float:
    """Return the largest resident memory of this process so far; NaN-free 0 where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)
