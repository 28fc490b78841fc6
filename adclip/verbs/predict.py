"""`adclip predict`: scans and a table to predictions."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adclip.clinical.settings import TableOptions
from adclip.domain import Prediction, ReadOptions, ScanItem, Visit
from adclip.errors import AdclipError
from adclip.prediction.answer import with_flags
from adclip.runtime.events import Advanced, Failed, OnEvent, Started, Warned, ignore
from adclip.runtime.paths import check_folder, shown, write_text
from adclip.runtime.spreadsheets import escape_cell
from adclip.task import ALZHEIMER, Task
from adclip.verbs.settings import PredictConfig
from adclip.version import __version__

if TYPE_CHECKING:
    from adclip.clinical.tables.table import Table

JSON_LINES, CSV = "predictions.jsonl", "predictions.csv"


@dataclass(frozen=True)
class PredictResult:
    """One prediction for each scan, in the order found; the failed ones have status `failed`."""

    predictions: list[Prediction]
    failed: int


@dataclass(frozen=True)
class Job:
    """A scan and what is known of the person; `flags` says what could not be joined."""

    item: ScanItem
    visit: Visit | None
    flags: tuple[str, ...] = ()


def predict(config: PredictConfig, on_event: OnEvent = ignore) -> PredictResult:
    """Predict every scan; a bad scan becomes a Failed event and a failed record, the rest go on.

    Raises
    ------
    AdclipError
        If nothing can be done at all: no scan, a bad table, a bad model, or every scan failed (then the first error).
    """
    from adclip.model.record import model_folder, read_record

    record = read_record(model_folder(config.model))  # a wrong --model shows before any scan is read
    tables = replace(config.table_options, task=record.task, answers=False)
    jobs = find_jobs(config.inputs, config.metas, tables, config.subject, on_event)
    options = ReadOptions(config.orientation, config.series, config.modality)
    check_scans(jobs, options)
    if config.out is not None:
        check_folder(config.out, overwrite=config.overwrite, marker=JSON_LINES)

    from adclip.prediction.predictor import Predictor

    predictor = Predictor.from_checkpoint(config.model, config.device, config.precision, config.volumes)
    predictions: list[Prediction] = []
    errors: list[AdclipError] = []
    on_event(Started("predicting", len(jobs)))
    for done, job in enumerate(jobs, 1):
        try:
            prediction = predictor(job.item, job.visit, options)
            predictions.append(with_flags(prediction, job.flags))
        except AdclipError as error:
            errors.append(error)
            on_event(Failed(str(job.item.path), error.problem, error.remedy))
            predictions.append(failed_prediction(job.item, error, record.task))
        on_event(Advanced("predicting", done, job.item.path.name))
    if errors and len(errors) == len(jobs):
        raise errors[0]
    if config.out is not None:
        write_predictions(config.out, predictions)
    return PredictResult(predictions, len(errors))


def find_jobs(
    inputs: tuple[Path, ...],
    metas: tuple[Path, ...],
    options: TableOptions,
    subject: str | None,
    on_event: OnEvent = ignore,
) -> list[Job]:
    """Find the scans and join each with its row."""
    from adclip.clinical.scans.matching import match_rows, rows_naming
    from adclip.clinical.tables.table import read_tables
    from adclip.imaging.sources.find import find_scans
    from adclip.imaging.sources.origins import find_origins

    items = find_scans(inputs)
    for item in items:
        for note in item.notes:
            on_event(Warned(str(item.path), note))
    if not metas:
        return [Job(item, None, item.flags) for item in items]
    table: Table = read_tables(metas, options)
    meta = table.path
    for hint in (*table.hints, *table.notes):
        on_event(Warned(str(meta), hint))
    jobs = []
    origins = find_origins(items, table.scans_of_nobody)
    rows = match_rows(table, items, subject, origins)
    for item, number in zip(items, rows, strict=True):
        visit = None if number is None else table.rows[number]
        if visit is None:
            on_event(Warned(str(item.path), _say_unmatched(table, item)))
        flags = item.flags + (() if visit else ("no_metadata_row",))
        # a row that names this scan, or whom --subject names, is the user's word; that a lone row is this scan's is an assumption
        if (
            visit is not None
            and len(items) == len(table.rows) == 1
            and not rows_naming(table, item, origins.get(item.path, ()))
            and not (subject and _is_of(subject, visit))
            and (row_subject := _named_otherwise(item, visit))
        ):
            on_event(
                Warned(str(item.path), f"the only row of {meta} is of subject {row_subject}; is it this person's?")
            )
            visit, flags = replace(visit, subject_id=item.subject_id), (*flags, "row_of_other_subject")
        jobs.append(Job(item, visit, flags))
    return jobs


def _say_unmatched(table: Table, item: ScanItem) -> str:
    """Say that a scan has no row, and which id of the table comes closest to its own."""
    close = table.likeness.nearest(item.subject_id)
    nearest = f"; the nearest id there is {close}" if close else ""
    tried = item.stem.replace("_", ", ")
    return f"no row of {table.path} belongs to {tried}{nearest}; it is read without metadata (add a `scan` column, or --subject)"


def _is_of(subject: str, visit: Visit) -> bool:
    from adclip.clinical.tables.people import person_of

    return person_of(subject.removeprefix("sub-")) == person_of(visit.subject_id)


def _named_otherwise(item: ScanItem, visit: Visit) -> str | None:
    """Return the row's subject where BIDS's way of naming scans, or a study's, says that the scan is of another one."""
    from adclip.clinical.dialects import study_key

    if not visit.subject_id or visit.subject_id == item.subject_id:
        return None
    if item.path.name.startswith(f"sub-{item.subject_id}_"):
        named = item.subject_id
    elif key := study_key(item.path.name):
        named = key.subject
    else:
        return None
    return None if _is_of(named, visit) else visit.subject_id


def check_scans(jobs: list[Job], options: ReadOptions) -> None:
    """Read a lone scan at once, so that a bad file is told before torch is loaded.

    In a cohort a bad file is told when its turn comes, so that the others go on.
    """
    from adclip.imaging.sources.files import read_volume

    if len(jobs) == 1 and not jobs[0].item.preprocessed:
        read_volume(jobs[0].item.path, options)


def failed_prediction(item: ScanItem, error: AdclipError, task: Task = ALZHEIMER) -> Prediction:
    """Return the record of a scan that could not be predicted; with null under the name of the task's score."""
    return Prediction(
        scan=shown(item.path),
        status="failed",
        subject_id=item.subject_id,
        session_id=item.session_id,
        adclip_version=__version__,
        error=error.problem.replace(str(item.path), shown(item.path)),
        hint=error.remedy,
        score_name=task.score_key,
    )


def write_predictions(out: Path, predictions: list[Prediction]) -> None:
    """Write predictions.jsonl, and predictions.csv with one flat row for each scan."""
    write_text(out / JSON_LINES, "".join(json.dumps(item.to_dict()) + "\n" for item in predictions))
    rows = [flatten(narrow(item.to_dict())) for item in predictions]
    names = list(dict.fromkeys(name for row in rows for name in row))
    groups = {name.rpartition(".")[0] for name in names}  # one row has `volumes_only.CN`, another none of it
    text = io.StringIO()
    header = [name for name in names if name not in groups]
    writer = csv.DictWriter(text, header, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: escape_cell(value) for name, value in row.items()} for row in rows)
    write_text(out / CSV, text.getvalue())


def narrow(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record for one flat row: of each volume the number, its centile and its asymmetry, as far as they are known.

    The rest is the same in all rows, or follows from these; the JSON lines have it.
    """
    flat_columns: dict[str, Any] = {}
    for column, entry in (record["volumes"] or {}).items():
        name = column.removesuffix("_mm3")
        flat_columns[column] = entry["mm3"]
        if entry["centile"] is not None:
            flat_columns[f"{name}_centile"] = entry["centile"]
        if entry["asymmetry_percent"] is not None:
            flat_columns[f"{name}_asymmetry_percent"] = entry["asymmetry_percent"]
    return {**record, "volumes": flat_columns}


def flatten(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return one level of columns: `probabilities.AD` and so on; lists joined by `;`."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            flat[prefix + key] = ";".join(str(item) for item in value)
        else:
            flat[prefix + key] = value
    return flat
