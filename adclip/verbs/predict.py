"""`adclip predict`: scans and a table to predictions, the record of each on disk as soon as it is done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from adclip.domain import Prediction
from adclip.prediction.alarm import CONSTANT, Alarm
from adclip.prediction.answer import with_flags
from adclip.prediction.cohort_work import Done
from adclip.prediction.curves import TABLE, write_curves
from adclip.prediction.predict_work import PredictWork
from adclip.prediction.published import RESULTS
from adclip.prediction.published import write_predictions as write_predictions
from adclip.prediction.record_store import check_out
from adclip.prediction.stored import Stored, to_prediction
from adclip.runtime.events import OnEvent, Warned, ignore
from adclip.verbs.cohort import gather, model_choice, open_store, read_options, tell_rest, work_through
from adclip.verbs.settings import PredictConfig


@dataclass(frozen=True)
class PredictResult:
    """One prediction for each scan of this run, in the order found; the failed ones have status `failed`.

    The predictions are read when they are asked for: from `--out`, or from memory, where each is one line of text.
    """

    predictions: Sequence[Prediction]
    failed: int


def predict(config: PredictConfig, on_event: OnEvent = ignore) -> PredictResult:
    """Predict every scan; a bad scan becomes a Failed event and a failed record, the rest go on.

    Parameters
    ----------
    config : PredictConfig
        Scans, tables, model. With `out` a record stands there as soon as its scan is done, and the same command goes on where a
        stopped one ended: a scan whose bytes, row, model and settings are as they were is not done again.
    on_event : callable
        Hears of progress, of every record as it comes (`Produced`), of failures and of files tried in turn.

    Raises
    ------
    AdclipError
        If nothing can be done at all: no scan, a bad table, a bad model, an output folder that cannot be used, or every scan failed
        (then the first error).
    OSError
        If the disk is full; what is done stays.
    """
    from adclip.model.record import model_folder, read_record
    from adclip.prediction.telling import check_telling

    record = read_record(model_folder(config.model))  # a wrong --model shows before any scan is read
    check_telling(config.telling, record, config.model)
    if config.out is not None:
        check_out(config.out)
    scans = gather(config, record, on_event)
    store = None if config.out is None else open_store(config, record, scans, "prediction", (*RESULTS, TABLE), {})
    work = PredictWork(model_choice(config), read_options(config), store, anew=config.overwrite, task=record.task)
    lines = [""] * (len(scans.jobs) if store is None else 0)
    alarm = Alarm()

    def remember(done: Done) -> None:
        if store is None:
            alarm.add(to_prediction(done.record))
            lines[done.place] = json.dumps(done.record)

    tally = work_through(work, scans, config, on_event, remember)

    def read(place: int) -> Prediction:
        record = json.loads(lines[place]) if store is None else store.read(scans.jobs[place].item) or {}
        return _flagged(to_prediction(record), is_constant=alarm.verdict() is not None)

    written = 0
    if store is not None:
        with store.locked():
            for record_of_scan in store.records(scans.items):  # those of other shards and earlier runs too
                alarm.add(to_prediction(record_of_scan))
            records = store.records(scans.items)
            flagged = (_flagged(to_prediction(one), is_constant=True) for one in records)
            written = write_predictions(store.out, records if alarm.verdict() is None else flagged)
            if config.telling.what_if:
                write_curves(store.out, store.records(scans.items))
    if (verdict := alarm.verdict()) is not None:
        on_event(Warned(config.model, verdict))
    if store is not None:
        tell_rest(config, written, scans.every, on_event)
    return PredictResult(Stored(read, len(scans.jobs)), tally.failed)


def _flagged(prediction: Prediction, *, is_constant: bool) -> Prediction:
    """Return a prediction, flagged where all of the cohort together raised the alarm."""
    return with_flags(prediction, [CONSTANT]) if is_constant and not prediction.error else prediction
