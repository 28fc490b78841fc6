"""Everything that is measured of a model on a cohort, from scans in memory to one record."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adclip.clinical.reports import fields_of
from adclip.clinical.scans.manifest import TableReading
from adclip.clinical.tables.cells import columns_taken_for, read_cells
from adclip.domain import Visit
from adclip.evaluation.audits.columns import ColumnMeter, Missingness, measure_columns, measure_missing
from adclip.evaluation.audits.quality import QualityAudit, audit_quality
from adclip.evaluation.audits.rescans import Rescans, find_pairs, measure_rescans
from adclip.evaluation.audits.rivals import TrueFeatures, add_rivals
from adclip.evaluation.audits.shuffles import Shuffled, exchange, shuffled
from adclip.evaluation.audits.subgroups import Subgroup, find_sites, measure_subgroups
from adclip.evaluation.calibrate import answer
from adclip.evaluation.judgement import MODEL, Judgement, judge, reads_report
from adclip.evaluation.measure import commonest_in_training, count_subjects, measure_everyone
from adclip.evaluation.reading import ReadScans
from adclip.model.record import AdapterRecord
from adclip.runtime.events import Advanced, OnEvent, Started, Step

if TYPE_CHECKING:
    from adclip.evaluation.calibrate import Answers
    from adclip.prediction.predictor import Predictor

NOT_TELLING = ("subject_id", "session_id", "visit_date", "scan", "diagnosis")  # ids, and the label itself
AT_ONCE = 32  # scans that are scored between two reports of progress
HALF = 0.5  # a class that nobody here has still counts as half a person, so that no answer becomes impossible


@dataclass(frozen=True)
class Assessment:
    """What was measured of a model on a cohort.

    Parameters
    ----------
    record : AdapterRecord
        Of the model, its `prior` that of the cohort where it is not the run's own, or where the run kept none.
    judgement : Judgement
        Of each scan, rivals included.
    counts : dict
        Class -> people, by their first scan here.
    metrics : dict
        As `adclip.evaluation.measure.measure` gives them.
    prevalence : dict
        Class -> how common it was taken to be in the numbers for these people as they are.
    is_prevalence_of_cohort : bool
        Whether those are the shares of these very scans, and not of the run's training part.
    rivals_learned : str
        From whom the regressions that the model does not bring along learned.
    scan_shuffled, report_shuffled : Shuffled or None
    subgroups : list of Subgroup
    columns : list of ColumnMeter
    missing : Missingness
    quality : QualityAudit
    rescans : Rescans
    """

    record: AdapterRecord
    judgement: Judgement
    counts: dict[str, int]
    metrics: dict[str, Any]
    prevalence: dict[str, float]
    is_prevalence_of_cohort: bool
    rivals_learned: str
    scan_shuffled: Shuffled | None
    report_shuffled: Shuffled | None
    subgroups: list[Subgroup]
    columns: list[ColumnMeter]
    missing: Missingness
    quality: QualityAudit
    rescans: Rescans

    @property
    def headline(self) -> str:
        """Name of the number that is told first: AUC of last class against first."""
        return f"auc_{self.record.labels[-1].lower()}_vs_{self.record.labels[0].lower()}"

    @cached_property
    def by_group(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """The model's numbers, those of each that stands beside it, and the differences."""
        return dataclasses.replace(self.record, metrics=self.metrics).by_group()


def assess(
    predictor: Predictor,
    read: ReadScans,
    training: ReadScans | None,
    table_reading: TableReading,
    *,
    own: bool,
    seed: int,
    batch_size: int,
    on_event: OnEvent,
    true_features: TrueFeatures | None = None,
) -> Assessment:
    """Ask the model and everyone beside it about each scan, and measure the answers.

    Parameters
    ----------
    predictor : Predictor
    read : ReadScans
        Of those that are counted.
    training : ReadScans or None
        Of those that the model was trained on, where they are at hand: rivals learn from them.
    table_reading : TableReading
        The tables that the rows come from.
    own : bool
        Whether the cohort is the run's own, so that its classes are as common as in the training.
    seed : int
        Of intervals, folds, exchanges and the untrained network.
    batch_size : int
        Scans that the network takes at once.
    on_event : OnEvent
        Is told of each step.
    true_features : callable, optional
        Of simulated people what an oracle learns from, see `adclip.evaluation.audits.rivals.add_rivals`.
    """
    cohort, labels = read.cohort, predictor.labels
    places = list(range(len(cohort.visits)))
    truth = cohort.labels.numpy().astype(np.int64)
    kept_shares = own and predictor.record.shares is not None
    record = predictor.record if kept_shares else _with_prior(predictor.record, truth)
    answers = _ask(predictor, read, read.told, batch_size, f"scoring scans ({predictor.device.type})", on_event)
    judgement = judge(record, cohort, places, answers, read.told)
    on_event(Step("asking those that stand beside the model"))
    judgement = add_rivals(judgement, read, training, record, predictor.device, true_features, seed, batch_size)
    scan_shuffled, report_shuffled = _shuffle(predictor, read, record, judgement, seed, batch_size, on_event)
    on_event(Step("measuring"))
    common = commonest_in_training(record) if own and record.training.counts.get("train") else _commonest(judgement)
    mean, sd = record.mmse_mean, record.mmse_sd
    usual_score = None if (mean, sd) == (0.0, 1.0) else mean  # a model that learned raw points keeps no mean
    metrics = measure_everyone(record, judgement, common, seed, usual_score)
    subjects, full = judgement.subjects, judgement.full
    rows = [example.row for example in read.examples]
    cells = {name: [column[row] for row in rows] for name, column in read_cells(table_reading.table).items()}
    days = table_reading.table.days
    scores = {} if judgement.mmse is None else {record.task.score_key: np.array(judgement.mmse)}
    pairs = find_pairs(judgement.visits, subjects, [days[row] for row in rows] if days else None)
    reported = record.task.usable(fields_of(record.style)) if record.reports else ()
    return Assessment(
        record=record,
        judgement=judgement,
        counts=count_subjects(cohort, places, labels),
        metrics=metrics,
        prevalence=dict(zip(labels, record.shares or (), strict=True)),
        is_prevalence_of_cohort=not kept_shares,
        rivals_learned=_from_whom(training),
        scan_shuffled=scan_shuffled,
        report_shuffled=report_shuffled,
        subgroups=measure_subgroups(
            judgement.visits, truth, full.equal, full.study, subjects, labels, find_sites(cells, subjects), seed
        ),
        columns=measure_columns(
            _telling(cells, table_reading, judgement.visits), truth, subjects, len(labels),
            columns_taken_for(table_reading.table, *reported), seed,
        ),
        missing=measure_missing(judgement.visits, sorted(reported), truth, subjects, labels, seed),
        quality=audit_quality([quality.numbers for quality in read.quality], truth, subjects, len(labels), seed),
        rescans=measure_rescans(pairs, full.equal, subjects, labels, scores, seed),
    )  # fmt: skip


def _with_prior(record: AdapterRecord, truth: NDArray[np.int64]) -> AdapterRecord:
    """Return a model's record whose classes are as common as here."""
    counts = np.bincount(truth, minlength=len(record.labels)) + np.where(
        np.bincount(truth, minlength=len(record.labels)) > 0, 0.0, HALF
    )
    shares = counts / counts.sum()
    return dataclasses.replace(record, prior={label: float(x) for label, x in zip(record.labels, shares, strict=True)})


def _ask(
    predictor: Predictor, read: ReadScans, told: Sequence[Visit], batch_size: int, task: str, on_event: OnEvent
) -> Answers:
    """Return what the network says of each scan with these reports."""
    record = predictor.record
    stats = (record.mmse_mean or 0.0, record.mmse_sd or 1.0)
    cohort = dataclasses.replace(read.cohort, visits=tuple(told))
    on_event(Started(task, len(told)))
    parts = []
    for start in range(0, len(told), AT_ONCE):
        places = range(start, min(start + AT_ONCE, len(told)))
        parts.append(answer(predictor.reader, cohort, places, stats, batch_size))
        on_event(Advanced(task, places.stop))
    return _in_one(parts)


def _in_one(parts: Sequence[Answers]) -> Answers:
    """Return the answers for several lots of scans as those for all of them."""
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in dataclasses.fields(parts[0])}
    whole: dict[str, Any] = {
        name: None if column[0] is None else np.concatenate(column) for name, column in columns.items()
    }
    return type(parts[0])(**whole)


def _shuffle(
    predictor: Predictor, read: ReadScans, record: AdapterRecord, judgement: Judgement, seed: int, batch_size: int,
    on_event: OnEvent,
) -> tuple[Shuffled | None, Shuffled | None]:  # fmt: skip
    """Return what shuffled scans and shuffled reports cost: both are the same pairs, of each scan with somebody else's report."""
    has_report = [reads_report(visit, record.style, record.task, reports=record.reports) for visit in read.told]
    partner = exchange(judgement.subjects, seed)
    if partner is None:
        return None, None
    visits = [read.told[int(place)] for place in partner]
    answers = _ask(predictor, read, visits, batch_size, "scoring them with somebody else's report", on_event)
    rows = dataclasses.replace(read.cohort, visits=tuple(read.cohort.visits[int(place)] for place in partner))
    pairs = judge(record, rows, range(len(visits)), answers, visits).everyone[MODEL].equal
    given = (judgement.full.equal, pairs, partner, judgement.numbers, judgement.subjects)
    found = list(read.told) != list(read.cohort.visits)  # volumes of some scans stand in their reports, and stay there
    by_scan = shuffled(*given, "scan", volumes_stay=found)
    return by_scan, shuffled(*given, "report") if any(has_report) else None


def _commonest(judgement: Judgement) -> str:
    return Counter(judgement.truth).most_common(1)[0][0]


def _telling(
    cells: dict[str, list[str | None]], table_reading: TableReading, visits: Sequence[Visit]
) -> dict[str, list[str | None]]:
    """Return the columns that are asked what they tell: those of the file, or of several files joined the known scores."""
    if not cells:
        scores = {name: [getattr(visit, name) for visit in visits] for name in ("mmse", "cdr_global", "score")}
        known = {name: column for name, column in scores.items() if any(value is not None for value in column)}
        return {name: [None if value is None else str(value) for value in column] for name, column in known.items()}
    of_no_use = columns_taken_for(table_reading.table, *NOT_TELLING)
    return {name: column for name, column in cells.items() if name not in of_no_use}


def _from_whom(training: ReadScans | None) -> str:
    if training is None:
        return "cross-fitted over people of this cohort: each fifth is answered by a regression on the other four"
    people = len({visit.subject_id for visit in training.cohort.visits})
    return f"fitted to the {people} training people of the run whose scans are here"
