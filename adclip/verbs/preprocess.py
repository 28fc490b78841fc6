"""`preprocess`: raw T1 scans to normalised volumes with quality numbers, resumable, one bad scan never stopping the rest."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adclip.domain import RESEARCH_NOTICE, ReadOptions, ScanItem
from adclip.errors import AdclipError, ConfigError, OutputError, ScanError
from adclip.imaging.derivatives.publish import publish
from adclip.imaging.derivatives.run_book import RunBook
from adclip.imaging.derivatives.status import ScanRow
from adclip.imaging.derivatives.withdraw import withdraw
from adclip.imaging.sources.files import check_scan
from adclip.imaging.sources.find import find_scans
from adclip.imaging.sources.folders import holds_raw
from adclip.imaging.sources.in_turn import try_in_turn
from adclip.imaging.sources.ours import is_our_dataset
from adclip.imaging.steps.brain import SkullStripper
from adclip.prediction.derivation import ScanWork, to_row
from adclip.prediction.settings import PreprocessConfig, parse_override
from adclip.runtime.cohort import run_each
from adclip.runtime.events import Advanced, Failed, OnEvent, Started, Warned, ignore
from adclip.runtime.exceptions import defect
from adclip.runtime.machine import choose_workers
from adclip.runtime.paths import is_folder, legible, remove_leftovers
from adclip.runtime.shards import choose_shard, take_shard
from adclip.verbs import errors as verbs_errors

GB_EACH = 1.6  # peak memory of one process on a 1 mm head, see docs/benchmarks.md
SECONDS_EACH = 8.0  # CPU seconds of a 1 mm head, brain extraction included
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreprocessResult:
    """All rows of one run, in the order of the inputs.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    rows : tuple of ScanRow
        One for each scan.
    """

    out: Path
    rows: tuple[ScanRow, ...]

    @property
    def failed(self) -> int:
        """Number of scans that failed."""
        return sum(row.status == "failed" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"rows": [row.to_dict() for row in self.rows], "failed": self.failed, "notice": RESEARCH_NOTICE}


@dataclass(frozen=True)
class PreprocessPlan:
    """What a run would do.

    Parameters
    ----------
    rows : tuple of ScanRow
        `status` is `to do`, `kept` or `failed`.
    workers : int
        Processes that would share the work.
    minutes, memory_gb : float
        Estimates for the whole run, from the figures of a 1 mm head.
    """

    rows: tuple[ScanRow, ...]
    workers: int
    minutes: float
    memory_gb: float


def preprocess(
    config: PreprocessConfig, on_event: OnEvent = ignore, *, stripper: SkullStripper | None = None
) -> PreprocessResult:
    """Preprocess every scan that the inputs stand for.

    Parameters
    ----------
    config : PreprocessConfig
        Inputs, output folder, and the model that sets the grid.
    on_event : callable
        Hears of progress, of scans that fail, and of doubtful quality.
    stripper : SkullStripper or None
        Brain extraction to use instead of deepbet; picklable if there are several workers.

    Returns
    -------
    PreprocessResult
        One row for each scan. The same rows stand in `status.tsv`, which is rewritten whole as scans are done and keeps
        the rows of earlier runs into the same folder; `qc.html` shows all of them when the run ends.

    Raises
    ------
    InputError
        If there is nothing to do, or every scan failed: then the first scan's error. Where the output folder is new and
        the scans are no shard of a larger run, nothing is written then.
    OutputError
        If the output folder cannot be used.
    AdclipError
        If something is missing that no scan can be done without, such as the device.

    Notes
    -----
    An earlier derivative of a scan that is refused now loses its sidecar, see `imaging.withdraw`.
    """
    from adclip.model.checkpoint import read_contract

    items, shard = _collect(config, on_event)
    contract = read_contract(config.model)
    _check_out(config.out, config.inputs)
    remove_leftovers(config.out)
    work = ScanWork(config, contract, stripper)
    book = RunBook(config.out, on_event, in_any_case=shard is not None or config.out.is_dir())
    workers = choose_workers(config.workers, len(items), GB_EACH)
    on_event(Started("preprocessing", len(items)))
    done = 0

    def enter(index: int, row: ScanRow, error: AdclipError | None) -> None:
        nonlocal done
        done += 1
        if isinstance(error, ScanError) and withdraw(config.out, items[index], anew=config.overwrite):
            on_event(Warned(row.scan, "an earlier result of this scan is no longer used"))
        book.enter(index, row, error)
        on_event(Advanced("preprocessing", done, f"{items[index].stem} {row.status}"))

    with book:
        # Headers of all files first: hours of work should not hide a typo at their end.
        problems = {}
        for index, item in enumerate(items):
            items[index], error = _check(item, work.options, on_event)
            if error is not None:
                problems[index] = error
        for index, error in problems.items():
            enter(index, _failed(items[index], error), error)
        good = [index for index in range(len(items)) if index not in problems]
        for outcome in run_each(work, [items[index] for index in good], workers):
            index = good[outcome.index]
            row = outcome.value or _failed(items[index], outcome.error)
            enter(index, replace(row, seconds=outcome.seconds), outcome.error)
            _log.info("%s: %s in %.1f s", items[index].stem, row.status, outcome.seconds)
    if items and book.writes:
        publish(config.out)
    if book.errors and len(book.errors) == len(items):
        raise book.worst()
    return PreprocessResult(out=config.out, rows=book.rows())


def plan(config: PreprocessConfig, on_event: OnEvent = ignore) -> PreprocessPlan:
    """Say what `preprocess` would do with the same settings, and write nothing.

    Raises
    ------
    InputError
        As `preprocess` would before its first scan.
    """
    from adclip.model.checkpoint import read_contract

    items, _ = _collect(config, on_event)
    work = ScanWork(config, read_contract(config.model), None)
    _check_out(config.out, config.inputs)
    rows = []
    for item in items:
        item, error = _check(item, work.options, on_event)
        if error is not None:
            on_event(Failed(legible(item.path), error.problem, error.remedy))
            rows.append(_failed(item, error))
        else:
            is_done = item.preprocessed or work.find_finished(item) is not None
            rows.append(to_row(item, "kept" if is_done else "to do", flags=item.flags))
    to_do = sum(row.status == "to do" for row in rows)
    workers = choose_workers(config.workers, to_do, GB_EACH)
    return PreprocessPlan(tuple(rows), workers, to_do * SECONDS_EACH / workers / 60, workers * GB_EACH)


def _collect(config: PreprocessConfig, on_event: OnEvent) -> tuple[list[ScanItem], tuple[int, int] | None]:
    """Find the scans of this run and the share they are, and check what the user says of single ones."""
    items = find_scans(config.inputs, config.name_pattern)
    subject_ids = {item.subject_id for item in items}
    for subject_id, _, _ in map(parse_override, config.overrides):
        if subject_id not in subject_ids:
            raise ConfigError.bad_value(
                "--override", f"no scan of subject `{subject_id}`", "ids are shown by --dry-run"
            )
    shard = choose_shard(config.shard, len(items), on_event)
    chosen = take_shard(items, shard)
    for item in chosen:
        for note in item.notes:
            on_event(Warned(str(item.path), note))
    return chosen, shard


def _check(item: ScanItem, options: ReadOptions, on_event: OnEvent) -> tuple[ScanItem, AdclipError | None]:
    """Return the first of a scan's files whose header can be used, or the scan with what is wrong with it."""
    if item.preprocessed:
        return item, None

    def check(candidate: ScanItem) -> ScanItem:
        check_scan(candidate.path, options)
        return candidate

    try:
        return try_in_turn(item, check, lambda refused, text: on_event(Warned(str(refused.path), text))), None
    except AdclipError as error:
        return item, error
    except Exception as error:  # one odd file among thousands is not the end of the others
        return item, defect(error)


def _check_out(out: Path, inputs: tuple[Path, ...]) -> None:
    """Leave a dataset of another making alone, and raw scans apart from results."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, not a folder", "choose another --out")
    if (out / "dataset_description.json").is_file() and not is_our_dataset(out):
        raise OutputError(f"{out}: holds a dataset that adclip did not make", "choose another --out")
    if any(is_folder(input_path) and input_path.resolve() == out.resolve() for input_path in inputs) and (
        not is_our_dataset(out) or holds_raw(out)
    ):
        raise verbs_errors.is_input(out)


def _failed(item: ScanItem, error: AdclipError | None) -> ScanRow:
    assert error is not None
    return to_row(item, "failed", flags=item.flags, error=error.problem, hint=error.remedy)
