"""`adclip predict`: scans and a table to predictions."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from adclip.domain import Prediction, ReadOptions, ScanItem
from adclip.errors import AdclipError
from adclip.imaging.derivatives.dataset import DESCRIPTION, write_dataset_description
from adclip.prediction.answer import with_flags
from adclip.prediction.curves import write_curves
from adclip.prediction.jobs import added_flags, check_scans, failed_prediction, find_jobs
from adclip.runtime.events import Advanced, Failed, OnEvent, Started, Warned, ignore
from adclip.runtime.paths import check_folder, legible, write_text
from adclip.runtime.spreadsheets import escape_cell
from adclip.verbs.settings import PredictConfig

JSON_LINES, CSV = "predictions.jsonl", "predictions.csv"


@dataclass(frozen=True)
class PredictResult:
    """One prediction for each scan, in the order found; the failed ones have status `failed`."""

    predictions: list[Prediction]
    failed: int


def predict(config: PredictConfig, on_event: OnEvent = ignore) -> PredictResult:
    """Predict every scan; a bad scan becomes a Failed event and a failed record, the rest go on.

    Raises
    ------
    AdclipError
        If nothing can be done at all: no scan, a bad table, a bad model, or every scan failed (then the first error).
    """
    from adclip.model.record import model_folder, read_record
    from adclip.prediction.telling import check_telling

    record = read_record(model_folder(config.model))  # a wrong --model shows before any scan is read
    check_telling(config.telling, record, config.model)
    tables = replace(config.table_options, task=record.task, answers=False)
    jobs = find_jobs(config.inputs, config.metas, tables, config.subject, on_event, config.name_pattern)
    options = ReadOptions(config.orientation, config.series, config.modality)
    check_scans(jobs, options)
    if config.out is not None:
        check_folder(config.out, overwrite=config.overwrite, marker=JSON_LINES)

    from adclip.imaging.sources.in_turn import try_in_turn
    from adclip.prediction.predictor import Predictor

    predictor = Predictor.from_checkpoint(
        config.model, config.device, config.precision, config.volumes, config.telling, config.seed
    )
    predictions: list[Prediction] = []
    errors: list[AdclipError] = []

    def say(item: ScanItem, text: str) -> None:
        on_event(Warned(str(item.path), text))

    on_event(Started("predicting", len(jobs)))
    for done, job in enumerate(jobs, 1):
        try:
            prediction = try_in_turn(job.item, partial(predictor, meta=job.visit, options=options), say)
            predictions.append(with_flags(prediction, added_flags(job)))
        except AdclipError as error:
            errors.append(error)
            on_event(Failed(legible(job.item.path), error.problem, error.remedy))
            predictions.append(failed_prediction(job.item, error, record.task))
        on_event(Advanced("predicting", done, job.item.path.name))
    if errors and len(errors) == len(jobs):
        raise errors[0]
    if config.out is not None:
        write_predictions(config.out, predictions)
    return PredictResult(predictions, len(errors))


def write_predictions(out: Path, predictions: list[Prediction]) -> None:
    """Write predictions.jsonl, and predictions.csv with one flat row for each scan, in a folder that BIDS's tools accept."""
    if not (out / DESCRIPTION).is_file():
        write_dataset_description(out, "adclip predictions", has_images=False)
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
    write_curves(out, (item.to_dict() for item in predictions))


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
    # of each value or case a row of its own would be needed: `what_if.tsv` has the curves
    return {name: value for name, value in record.items() if name not in ("similar", "what_if")} | {
        "volumes": flat_columns
    }


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
