"""`preprocess`: raw T1 scans to normalised volumes with quality numbers, resumable, one bad scan never stopping the rest."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.config import PreprocessConfig
from adclip.domain import RESEARCH_NOTICE, InputContract, ScanItem
from adclip.errors import InputError, OutputError
from adclip.events import Advanced, Failed, OnEvent, Started, Warned, ignore
from adclip.imaging.brain import DeepbetStripper, SkullStripper
from adclip.imaging.derivatives import is_current, read_derivative, write_dataset_description, write_derivative
from adclip.imaging.files import file_sha256, find_scans, read_volume
from adclip.imaging.find import is_our_dataset
from adclip.imaging.prepare import derivative_path, prepare_scan
from adclip.paths import write_text

STATUS_FILE = "status.tsv"
_QC_COLUMNS = (
    "verdict", "brain_volume_ml", "template_overlap", "template_correlation", "gray_white_contrast", "coverage", "scale",
    "reasons",
)  # fmt: skip
_COLUMNS = ("scan", "subject_id", "session_id", "status", "seconds", *_QC_COLUMNS, "flags", "error", "hint")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScanRow:
    """What became of one scan.

    Parameters
    ----------
    scan : str
        The file as the user named it.
    subject_id, session_id : str
        Names of the output.
    status : str
        `done`; `skipped` where a whole earlier result was kept, or the scan is a derivative already; `failed`.
    seconds : float
        Time spent.
    qc : mapping
        Quality numbers, `verdict` and `reasons`.
    flags : tuple of str
        See `PreparedScan.flags`.
    error, hint : str or None
        What was wrong and what to do, where `status` is `failed`.
    """

    scan: str
    subject_id: str
    session_id: str | None
    status: str
    seconds: float = 0.0
    qc: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    error: str | None = None
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return one flat record of plain JSON types; `error` and `hint` only where there are any."""
        record: dict[str, Any] = {
            "scan": self.scan,
            "subject_id": self.subject_id,
            "session_id": self.session_id,
            "status": self.status,
            "seconds": round(self.seconds, 1),
            **{name: self.qc[name] for name in _QC_COLUMNS if name in self.qc},
            "flags": list(self.flags),
        }
        if self.error is not None:
            record |= {"error": self.error, "hint": self.hint}
        return record


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
        Brain extraction to use instead of deepbet.

    Returns
    -------
    PreprocessResult
        One row for each scan. The same rows stand in `status.tsv`, which is rewritten whole after every scan and keeps
        the rows of earlier runs into the same folder.

    Raises
    ------
    InputError
        If there is nothing to do, or every scan failed: then the first scan's error.
    OutputError
        If the output folder cannot be used.
    AdclipError
        If the device or a package is missing, which no other scan would survive either.
    """
    from adclip.model.checkpoint import read_contract

    items = find_scans(config.inputs)
    contract = read_contract(config.model)
    # Every file is read once before the first long step: an hour of work should not hide a typo at its end, and where
    # nothing can be done nothing is written.
    problems = _check_all(items, on_event)
    if len(problems) == len(items):
        for path, problem in problems.items():
            on_event(Failed(str(path), problem.problem, problem.remedy))
        raise next(iter(problems.values()))
    _claim(config.out)
    stripper = stripper or DeepbetStripper(config.device)
    table = _StatusTable(config.out / STATUS_FILE)

    rows: list[ScanRow] = []
    first_error: InputError | None = None
    on_event(Started("preprocessing", len(items)))
    for number, item in enumerate(items, start=1):
        began = time.perf_counter()
        try:
            if item.path in problems:
                raise problems[item.path]
            row = _preprocess_one(item, config, contract, stripper)
        except InputError as error:
            first_error = first_error or error
            row = _row(item, "failed", error=error.problem, hint=error.remedy)
            on_event(Failed(str(item.path), error.problem, error.remedy))
        row = ScanRow(**{**vars(row), "seconds": time.perf_counter() - began})
        if row.qc.get("verdict") in ("warn", "fail"):
            on_event(Warned(row.scan, f"quality {row.qc['verdict']}: {', '.join(row.qc.get('reasons', ()))}"))
        rows.append(row)
        table.add(row)
        on_event(Advanced("preprocessing", number, f"{item.stem} {row.status}"))
        _log.info("%s: %s in %.1f s", item.stem, row.status, row.seconds)
    result = PreprocessResult(out=config.out, rows=tuple(rows))
    if first_error is not None and result.failed == len(rows):
        raise first_error
    return result


def _claim(out: Path) -> None:
    """Make `out` an adclip derivatives folder; a dataset of another making is left alone."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, not a folder", "choose another --out")
    if (out / "dataset_description.json").is_file() and not is_our_dataset(out):
        raise OutputError(f"{out}: holds a dataset that adclip did not make", "choose another --out")
    write_dataset_description(out)


def _check_all(items: list[ScanItem], on_event: OnEvent) -> dict[Path, InputError]:
    problems: dict[Path, InputError] = {}
    on_event(Started("checking files", len(items)))
    for number, item in enumerate(items, start=1):
        if not item.preprocessed:
            try:
                read_volume(item.path)
            except InputError as error:
                problems[item.path] = error
        on_event(Advanced("checking files", number, item.stem))
    return problems


def _preprocess_one(
    item: ScanItem, config: PreprocessConfig, contract: InputContract, stripper: SkullStripper
) -> ScanRow:
    if item.preprocessed:
        prepared = read_derivative(item, contract)
        return _row(item, "skipped", qc=prepared.qc, flags=(*prepared.flags, "already_preprocessed"))
    if not config.overwrite and item.path.is_file() and is_current(config.out, item, contract, file_sha256(item.path)):
        path = derivative_path(config.out, item)
        kept = read_derivative(ScanItem(path, item.subject_id, item.session_id, preprocessed=True), contract)
        return _row(item, "skipped", qc=kept.qc, flags=kept.flags)
    prepared = prepare_scan(item, contract, stripper)
    write_derivative(prepared, item, config.out, contract)
    return _row(item, "done", qc=prepared.qc, flags=prepared.flags)


def _row(item: ScanItem, status: str, **fields: Any) -> ScanRow:
    return ScanRow(
        scan=str(item.path), subject_id=item.subject_id, session_id=item.session_id, status=status, **fields
    )  # fmt: skip


class _StatusTable:
    """`status.tsv`: one row for each subject and session, the latest run winning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[tuple[str, str], dict[str, str]] = {}

    def _read(self) -> None:
        """Take in what is on disk, because another run may share the folder."""
        if self._path.is_file():
            with self._path.open(encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream, delimiter="\t"):
                    self._keep(row)

    def add(self, row: ScanRow) -> None:
        """Enter one row and write the table whole."""
        self._read()
        record = row.to_dict()
        if Path(row.scan).is_absolute():  # the table may be shared: it tells nobody's folders
            name = Path(row.scan).name
            record["scan"] = name
            record["error"] = row.error.replace(row.scan, name) if row.error else None
        self._keep({name: _as_cell(record.get(name)) for name in _COLUMNS})
        text = io.StringIO()
        writer = csv.DictWriter(
            text, _COLUMNS, delimiter="\t", lineterminator="\n", restval="n/a", extrasaction="ignore"
        )  # fmt: skip
        writer.writeheader()
        writer.writerows(self._rows.values())
        write_text(self._path, text.getvalue())

    def _keep(self, row: dict[str, str]) -> None:
        self._rows[row.get("subject_id", ""), row.get("session_id", "")] = row


def _as_cell(value: object) -> str:
    if value is None or value == []:
        return "n/a"  # BIDS: how a TSV says "nothing"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return " ".join(str(value).split())
