"""`adclip evaluate`: a model, scans and their table to numbers that hold, and to what else could explain them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.domain import RESEARCH_NOTICE
from adclip.errors import OutputError
from adclip.imaging.derivatives.dataset import DESCRIPTION
from adclip.prediction.record_store import BOOK
from adclip.runtime.events import OnEvent, Step, Warned, ignore
from adclip.runtime.paths import check_folder, check_place, check_writable, legible, shown, without_folders, write_text
from adclip.verbs.settings import EvaluateConfig
from adclip.version import __version__

if TYPE_CHECKING:
    from adclip.clinical.scans.manifest import Manifest, TableReading
    from adclip.evaluation.assess import Assessment
    from adclip.evaluation.audits.rivals import TrueFeatures
    from adclip.evaluation.page.study import Study
    from adclip.evaluation.participants import Participants
    from adclip.evaluation.reading import Failure, ReadScans
    from adclip.prediction.predictor import Predictor

PAGE, RECORD, PRIVATE = "evaluate.html", "metrics.json", "private"
REHEARSED = 8  # scans that `--dry-run` scores to time them
PASSES = 3  # scored as they are, scored with somebody else's report, embedded without a training


@dataclass(frozen=True)
class EvaluateResult:
    """What an evaluation measured.

    Parameters
    ----------
    out : Path
        Where page and tables are.
    record : dict
        As it stands in `metrics.json`.
    failed, total : int
        Scans that could not be read, and all that were to be counted.
    """

    out: Path
    record: dict[str, Any]
    failed: int
    total: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"out": str(self.out), **self.record}


@dataclass(frozen=True)
class EvaluatePlan:
    """What an evaluation would do.

    Parameters
    ----------
    says : str
        Who is counted, in words.
    scans, people : int
        How many are counted.
    minutes : float
        Of reading and scoring alone, by a few scans that were timed here; regressions and intervals come on top.
    memory_gb : float
        Of the scans and the network, estimated.
    notice : str
    """

    says: str
    scans: int
    people: int
    minutes: float
    memory_gb: float
    notice: str = RESEARCH_NOTICE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(vars(self))


@dataclass(frozen=True)
class _Chosen:
    """Who is evaluated, and what that was decided by."""

    manifest: Manifest
    table_reading: TableReading
    participants: Participants


def evaluate(config: EvaluateConfig, on_event: OnEvent = ignore) -> EvaluateResult:
    """Measure a model on a cohort, and write page, tables and `metrics.json`.

    The run's own test people, or any other cohort; whoever trained the model is never counted, as far as the model's folder tells. What
    names people stands under `private/`.

    Parameters
    ----------
    config : EvaluateConfig
    on_event : callable
        Told of every step, and of scans that fail.

    Returns
    -------
    EvaluateResult

    Raises
    ------
    AdclipError
        If model, scans, table or output folder cannot be used, nobody is left to count, or every scan fails.
    """
    _check_out(config)
    for folder in (config.out, config.out / PRIVATE):
        check_writable(folder)
    chosen = _choose(config, on_event)

    from adclip.evaluation.assess import assess
    from adclip.evaluation.reading import read_scans, try_to_read
    from adclip.prediction.predictor import Predictor

    predictor = Predictor.from_checkpoint(config.model, config.device, config.precision)
    participants = chosen.participants
    read = read_scans(predictor, participants.examples, on_event, "checking scans")
    training, failures = None, read.failures
    if participants.training:
        task = "checking training scans, for the rivals"
        training, further = try_to_read(predictor, participants.training, on_event, task)
        failures += further
        if training is None:
            why = "no training scan could be read: regressions beside the model learn from the people that are counted"
            on_event(Warned(str(config.scans), why))
    true_features = _true_features(config)
    assessment = assess(
        predictor, read, training, chosen.table_reading, own=participants.own, seed=config.seed,
        batch_size=config.batch_size, on_event=on_event, true_features=true_features,
    )  # fmt: skip
    is_known = true_features is not None and true_features(read.examples) is not None
    study = _study(config, chosen, predictor, read, len(failures), simulated=is_known)
    record = _write(config, assessment, study, read, failures)
    return EvaluateResult(config.out, record, len(failures), len(participants.examples) + len(participants.training))


def _check_out(config: EvaluateConfig) -> None:
    """Refuse a folder with an earlier result, or with records of people: what stands beside the page is meant to be shared."""
    check_folder(config.out, overwrite=config.overwrite, marker=PAGE)
    if (config.out / DESCRIPTION).is_file() or (config.out / BOOK).is_dir():
        raise OutputError(
            f"{config.out}: holds scans or predictions of people, and a page to be shared", "choose another --out"
        )


def plan(config: EvaluateConfig, on_event: OnEvent = ignore) -> EvaluatePlan:
    """Say what `evaluate` would do with the same settings, time a few scans, and write nothing."""
    from adclip.evaluation.calibrate import answer
    from adclip.prediction.dataset import read_cohort
    from adclip.prediction.predictor import Predictor

    _check_out(config)
    for folder in (config.out, config.out / PRIVATE):
        check_place(folder / PAGE)
    chosen = _choose(config, on_event)
    predictor = Predictor.from_checkpoint(config.model, config.device, config.precision)
    examples, training = chosen.participants.examples, chosen.participants.training
    few = examples[:REHEARSED]
    started = time.perf_counter()
    cohort = read_cohort(few, predictor.record.model.contract, predictor.record.task, ignore, keep=False)
    answer(predictor.reader, cohort, range(len(few)), (0.0, 1.0), config.batch_size)
    seconds = (time.perf_counter() - started) / len(few)
    scans = len(examples) + len(training)
    per_scan_gb = cohort.images.element_size() * cohort.images[0].numel() / 1e9
    people = len({example.visit.subject_id for example in examples})
    weights_gb = sum(value.numel() * value.element_size() for value in predictor.reader.network.parameters()) / 1e9
    minutes = seconds * (PASSES * len(examples) + len(training)) / 60  # training scans are but embedded
    return EvaluatePlan(
        chosen.participants.says, len(examples), people, minutes, 1.0 + 2 * weights_gb + per_scan_gb * scans,
        predictor.record.notice,
    )  # fmt: skip


def _choose(config: EvaluateConfig, on_event: OnEvent) -> _Chosen:
    """Read model record, scans and tables, and say who is counted."""
    from adclip.evaluation.examples import find_examples
    from adclip.evaluation.participants import choose_participants
    from adclip.model.record import model_folder, read_record

    run = model_folder(config.model)
    record = read_record(run)  # a wrong --model shows before any scan is read
    options = replace(config.table_options, task=record.task)
    manifest, table_reading = find_examples(config.scans, config.tables, options, on_event)
    participants = choose_participants(manifest, run)
    on_event(Step(participants.says))
    return _Chosen(manifest, table_reading, participants)


def _true_features(config: EvaluateConfig) -> TrueFeatures | None:
    """Return what says the truth of simulated people, if scans or tables lie in the folder of a simulation; None elsewhere."""
    from adclip.simulation.oracle import find_truth

    return find_truth((config.scans, *config.tables, *(table.parent for table in config.tables)))


def _study(
    config: EvaluateConfig, chosen: _Chosen, predictor: Predictor, read: ReadScans, failures: int, *, simulated: bool
) -> Study:
    from adclip.evaluation.page.study import Study
    from adclip.imaging.sources.ours import read_sidecar

    manifest, participants = chosen.manifest, chosen.participants
    sidecars = [read_sidecar(example.item.path) for example in read.examples]
    flow = [
        ("scans of the folder without the verdict fail", len(chosen.table_reading.items)),
        *((f"left out: {reason}", count) for reason, count in manifest.skipped_by_reason.items()),
        ("scans with a diagnosis at their visit", len(manifest.examples)),
        *((f"people left out: {why}", count) for why, count in sorted(participants.left_out.items())),
        ("scans to be counted", len(participants.examples)),
        ("of these not readable", len(read.failures)),
        ("scans counted", len(read.examples)),
    ]
    made_of_nothing = [sidecar is not None and sidecar.simulated for sidecar in sidecars]
    return Study(
        predictor.identity, __version__, predictor.record.notice, participants.says, participants.own, participants.checked, tuple(flow),
        tuple(sorted(set(chosen.table_reading.table.dialects.values()))), config.diagnosis_policy, config.seed,
        simulated or all(made_of_nothing), not any(made_of_nothing), failures,
    )  # fmt: skip


def _write(
    config: EvaluateConfig, assessment: Assessment, study: Study, read: ReadScans, failures: tuple[Failure, ...]
) -> dict[str, Any]:
    """Write everything, the page last: a folder with the page is whole."""
    from adclip.evaluation.judgement import predictions_to_tsv
    from adclip.evaluation.page import tables
    from adclip.evaluation.page.cases import cases_page
    from adclip.evaluation.page.checklists import checklists_to_tsv, fill_checklists
    from adclip.evaluation.page.findings import findings_of, to_record
    from adclip.evaluation.page.methods import facts_of, methods_to_markdown
    from adclip.evaluation.page.render import render
    from adclip.evaluation.page.sections import sections_of
    from adclip.evaluation.shapes import SCHEMA_VERSION

    out, private = config.out, config.out / PRIVATE
    (out / PAGE).unlink(missing_ok=True)  # an earlier page would call the folder whole while its tables change
    record = {
        "schema_version": SCHEMA_VERSION, "model": dict(study.model), "adclip_version": study.version, "who": study.who,
        "own_test_part": study.own, "flow": dict(study.flow), "seed": study.seed, **to_record(assessment, study), "notice": study.notice,
    }  # fmt: skip
    checklists = fill_checklists(facts_of(assessment, study))
    write_text(private / "predictions.tsv", predictions_to_tsv(assessment.record, assessment.judgement))
    write_text(private / "failed.tsv", _failures_to_tsv(failures))
    write_text(private / "cases.html", cases_page(assessment, read, study.notice))
    write_text(out / "metrics.tsv", tables.metrics_to_tsv(assessment))
    write_text(out / "subgroups.tsv", tables.subgroups_to_tsv(assessment))
    write_text(out / "columns.tsv", tables.columns_to_tsv(assessment))
    write_text(out / "checklists.tsv", checklists_to_tsv(checklists))
    write_text(out / "methods.md", methods_to_markdown(assessment, study))
    write_text(out / RECORD, json.dumps(record, indent=2) + "\n")
    title = f"Evaluation of {study.model['id']}"
    page = render(title, study.notice, findings_of(assessment, study), sections_of(assessment, study, checklists))
    write_text(out / PAGE, page)
    return record


def _failures_to_tsv(failures: tuple[Failure, ...]) -> str:
    from adclip.evaluation.page.tables import to_tsv

    rows = []
    for failure in failures:
        item, visit = failure.example.item, failure.example.visit
        problem, remedy = (
            without_folders(legible(text), item.path) for text in (failure.error.problem, failure.error.remedy)
        )
        rows.append((shown(item.path), visit.subject_id, visit.session_id, problem, remedy))
    return to_tsv(("scan", "subject_id", "session_id", "problem", "hint"), rows)
