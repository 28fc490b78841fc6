"""Whether the answer is as good as the better of its parts: where scan and row both know something, and where only one of them does.

    adclip simulate --out cohort --subjects 300 --seed 7 --preprocessed --no-measured
    adclip simulate --out others --subjects 400 --seed 11 --preprocessed --no-measured
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_fusion.py cohort others out [--model builtin]

The network is a finished one. Cells of the tables change places between people (`bench_signals.move_cells`), so that a scan's row is another
person's, or all but its diagnosis is; the regression on rows is fitted to 200 people of the moved cohort, the fusion to others of it as `finetune`
does, and the people of another cohort, moved alike, are asked. How well the network itself learns where only one source knows something is not judged: that
takes a training for each (`bench_signals.py`). AUC of AD against CN and cross-entropy (classes alike) of the answer, of the scan alone, of the row
alone and of the network's score of both; and the answer's AUC less that of its better part, with a 95 % interval over people.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_signals import move_cells

from adclip.clinical.scans.manifest import build_manifest
from adclip.clinical.tables.table import read_table
from adclip.domain import Visit
from adclip.evaluation.calibrate import Answers, calibrate, gather_evidence
from adclip.imaging.sources.find import find_scans
from adclip.model.calibration import SCAN, TABLE_WITH_VOLUMES
from adclip.model.network import ImageTokens
from adclip.prediction.answer import to_probabilities
from adclip.prediction.dataset import Cohort, read_cohort
from adclip.prediction.evidence import find_evidence, log_chances, only_volumes, weigh, without_volumes
from adclip.prediction.metadata_baseline import MetadataBaseline
from adclip.prediction.predictor import Predictor
from adclip.prediction.scoring import score_tokens
from adclip.runtime.events import ignore

TRAINED_ON = 200  # people whom the regression on rows is fitted to
SIGNALS = {"in both": None, "in the row alone": "rows", "in the scan alone": "metadata"}
SOURCES = ("answer", "scan", "row", "both")
RESAMPLES = 500


def table_of(cohort: Path, moved: str | None, seed: int, folder: Path) -> Path:
    """Return the cohort's table, or a copy of it with cells moved between people."""
    if moved is None:
        return cohort / "table.csv"
    target = folder / f"{cohort.name}-{moved}-{seed}.csv"
    move_cells(cohort / "table.csv", target, moved, seed)
    return target


class Tokens:
    """The image tokens of a cohort, in the order of its scans, by subject; they are the same whatever stands in the table."""

    def __init__(self, predictor: Predictor, cohort: Path) -> None:
        data = read(predictor, cohort, cohort / "table.csv")
        self.of: dict[str, ImageTokens] = {}
        with torch.inference_mode():
            for place, visit in enumerate(data.visits):
                image = data.image_batch([place], predictor.device)
                self.of[visit.subject_id] = predictor.reader.network.image_tokens(image)


def read(predictor: Predictor, cohort: Path, table: Path) -> Cohort:
    manifest = build_manifest(find_scans((cohort,)), read_table(table))
    return read_cohort(manifest.examples, predictor.record.model.contract, predictor.record.task, ignore)


@torch.inference_mode()
def answers(
    predictor: Predictor, tokens: Tokens, visits: list[Visit], wordings: dict[str, Callable[[Visit], Visit]]
) -> Answers:
    """Score people with parts of their reports, as `calibrate.answer` does."""
    scores: dict[str, list[list[float]]] = {name: [] for name in (*wordings, "bare")}
    for visit in visits:
        for name, shorten in wordings.items():
            answered = score_tokens(predictor.reader, tokens.of[visit.subject_id], [shorten(visit)])
            scores[name].append(answered.report[0].tolist())
        scores["bare"].append(answered.bare[0].tolist())
    tables = {name: np.array(rows) for name, rows in scores.items()}
    return Answers(tables["report"], tables["bare"], None, tables.get("person"), tables.get("volumes"))


def ask(
    predictor: Predictor,
    seen: Tokens,
    new: Tokens,
    cohort: Path,
    others: Path,
    signal: str,
    seed: int,
    people: int,
    folder: Path,
) -> dict[str, Any]:
    """Fit regression and fusion to one moved cohort, and return what is said of another, with the truth."""
    record = predictor.record
    own, other = (read(predictor, place, table_of(place, SIGNALS[signal], seed, folder)) for place in (cohort, others))
    order = np.random.default_rng(seed).permutation(len(own.visits))
    train, held = order[:TRAINED_ON], order[TRAINED_ON : TRAINED_ON + people]
    visits = [own.visits[place] for place in train]
    baseline = MetadataBaseline.fit(
        visits, [str(visit.diagnosis) for visit in visits], record.labels, record.task.columns
    )
    calibrating = [own.visits[place] for place in held]
    everything = {"report": lambda visit: visit, "person": without_volumes, "volumes": only_volumes}
    told = answers(predictor, seen, calibrating, everything)
    says = lambda visit: bool(predictor.reader.fields(visit))  # noqa: E731
    evidence = gather_evidence(told, calibrating, own.labels[held].numpy(), says, baseline)
    calibration = calibrate(evidence, None, np.full(len(held), np.nan), record.labels)
    asked = answers(predictor, new, list(other.visits), {"report": lambda visit: visit})
    known = [find_evidence(visit, visit, baseline, has_report=says(visit)) for visit in other.visits]
    rows: dict[str, list[Any]] = {source: [] for source in SOURCES}
    for place, evidence_of in enumerate(known):
        road = calibration.road(evidence_of.road)
        metadata = np.array([log_chances(evidence_of.metadata_only, record.labels)])
        scores = weigh(road, asked.bare[[place]], metadata, asked.report[[place]])
        rows["answer"].append(to_probabilities(scores, road.temperature)[0].tolist())
        rows["scan"].append(to_probabilities(asked.bare[[place]], calibration.road(SCAN).temperature)[0].tolist())
        rows["row"].append(np.exp(metadata[0]).tolist())
        rows["both"].append(to_probabilities(asked.report[[place]], 1.0)[0].tolist())
    weights = {name: [round(getattr(road, part), 3) for part in ("scan", "metadata", "both", "temperature")]
               for name, road in calibration.roads.items()}  # fmt: skip
    return {"truth": other.labels.tolist(), "roads": weights, **rows}


def figures(truth: np.ndarray, chances: np.ndarray) -> tuple[float, float]:
    """AUC of AD against CN, and cross-entropy with classes alike."""
    from sklearn.metrics import roc_auc_score

    logs = np.log(np.clip(chances, 1e-12, None))
    ends = truth != 1
    auc = float(roc_auc_score(truth[ends] == 2, (logs[:, 2] - logs[:, 0])[ends]))
    weights = 1 / np.bincount(truth)[truth]
    return auc, -float(np.average(logs[np.arange(len(truth)), truth], weights=weights))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cohort", "others", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--people", type=int, nargs="+", default=[30, 60], help="calibration subjects")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    predictor = Predictor.from_checkpoint(options.model, "cpu")
    seen, new = Tokens(predictor, options.cohort), Tokens(predictor, options.others)
    for signal in SIGNALS:
        for people in options.people:
            print(f"\nsignal {signal}, {people} calibration subjects", flush=True)
            differences = []
            for seed in range(options.seeds):
                file = options.out / f"{signal.replace(' ', '-')}-{people}-{seed}.json"
                if not file.is_file():
                    file.write_text(json.dumps(ask(
                        predictor, seen, new, options.cohort, options.others, signal, seed, people, options.out)))  # fmt: skip
                differences.append(tell(json.loads(file.read_text()), seed))
            print(f"  mean difference to the better part {np.mean(differences):+.3f}", flush=True)


def tell(told: dict[str, Any], seed: int) -> float:
    """Print one seed's figures; return the answer's AUC less that of its better part."""
    truth = np.array(told["truth"])
    tables = {source: np.array(told[source]) for source in SOURCES}
    own = {source: figures(truth, table) for source, table in tables.items()}
    better = max(("scan", "row"), key=lambda source: own[source][0])
    rng, drawn = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        chosen = rng.integers(0, len(truth), len(truth))
        mine, theirs = (figures(truth[chosen], tables[source][chosen])[0] for source in ("answer", better))
        drawn.append(mine - theirs)
    low, high = np.percentile(drawn, [2.5, 97.5])
    less = own["answer"][0] - own[better][0]
    print(f"  seed {seed}: " + ", ".join(f"{source} {auc:.3f} ({entropy:.3f})" for source, (auc, entropy) in own.items())
          + f"; answer less {better} {less:+.3f} ({low:+.3f} to {high:+.3f}); weights {told['roads'].get(TABLE_WITH_VOLUMES)}",
          flush=True)  # fmt: skip
    return less


if __name__ == "__main__":
    main()
