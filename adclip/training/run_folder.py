"""The RUN folder while a training fills it: whose it is, what stands there already, and what may be replaced.

A model that is there stays whole until the new one is ready, files that are not a run's own are never touched, and one run
at a time writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adclip.config import FinetuneConfig
from adclip.errors import OutputError
from adclip.model.checkpoint import ADAPTER_WEIGHTS, CARD
from adclip.model.record import ADAPTER_RECORD, BASELINE_RECORD, AdapterRecord, read_record
from adclip.paths import check_place, remove_leftovers, shown, write_text
from adclip.training.history import EVENTS
from adclip.training.resume import read_fingerprint

PRIVATE, SETTINGS, LOCK = "private", "config.toml", ".lock"
SPLIT, SCANS, CERTIFICATE, LAST = "splits.tsv", "scans.tsv", "leak_certificate.json", "last.safetensors"
STATE = Path("resume") / "state.safetensors"
RECORDS = (ADAPTER_RECORD, BASELINE_RECORD)
_FILES = {
    SETTINGS, LOCK, SPLIT, SCANS, CERTIFICATE, LAST, STATE.parts[0], EVENTS,
    "metrics.jsonl", "metrics.csv", "predictions_test.tsv", "plots",
}  # fmt: skip
# What may differ between a run and the one that goes on with it: where things lie, and what changes no number on a CPU.
_IRRELEVANT = {
    "scans", "table", "out", "task", "base", "tokenizer", "splits", "device", "overwrite", "checkpointing", "compile",
    "tensorboard",
}  # fmt: skip


def relevant(config: FinetuneConfig) -> dict[str, Any]:
    """Return the settings that decide the result, as far as they are no files."""
    return {name: value for name, value in config.to_dict().items() if name not in _IRRELEVANT}


class RunFolder:
    """One RUN folder, for one run.

    Parameters
    ----------
    config : FinetuneConfig
        With what its recipe stands for put in.
    """

    def __init__(self, config: FinetuneConfig) -> None:
        self.config, self.out = config, config.out
        self.private = config.out / PRIVATE
        self.state = self.private / STATE

    @property
    def is_finished(self) -> bool:
        """Whether a run has ended here."""
        return any((self.out / name).is_file() for name in RECORDS)

    def check(self) -> None:
        """Say at once, by what stands in the folder, that this run cannot have it; touch nothing.

        Raises
        ------
        OutputError
            If it is a file, a folder of other things, holds the result of other settings, or an unfinished run of such, and
            nothing was said of overwriting.
        """
        if self.out.exists() and not self.out.is_dir():
            raise OutputError(f"{self.out}: is a file, not a folder", "choose another --out")
        check_place(self.out / ADAPTER_RECORD)
        if not self._is_ours():
            raise OutputError.not_a_run(self.out)
        if self.config.overwrite:
            return
        changed = self._changed_settings()
        if self.state.is_file() and changed:
            raise OutputError.other_settings(self.out, changed)
        if self.is_finished and not self.state.is_file() and (changed is None or changed):
            raise OutputError.exists(self.out)

    @contextmanager
    def held(self, fingerprint: str) -> Iterator[None]:
        """Keep other runs out of the folder; what an earlier one left is taken up, or removed where that was asked for.

        Parameters
        ----------
        fingerprint : str
            Of everything that decides the result.

        Raises
        ------
        OutputError
            If another run is writing here, or what it holds is of other scans, rows or settings.
        """
        from filelock import FileLock, Timeout

        try:
            self.private.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:  # of virtual file systems such as /proc
            raise OutputError.no_place(self.out, "no folder can be made there") from None
        lock = FileLock(self.private / LOCK)
        try:
            lock.acquire(timeout=0)  # the system lets go of it when a process is killed
        except Timeout:
            raise OutputError.busy(self.out) from None
        try:
            remove_leftovers(self.out)
            self._take_up(fingerprint)
            yield
        finally:
            (self.private / LOCK).unlink(missing_ok=True)
            lock.release()

    def finished(self, fingerprint: str) -> AdapterRecord | None:
        """Return the record of the very same run if it has ended here and is not to be repeated."""
        if self.config.overwrite or not self.is_finished:
            return None
        name = next(name for name in RECORDS if (self.out / name).is_file())
        record = read_record(self.out, name)
        if record.training.get("fingerprint") != fingerprint:
            return None
        self._forget_state()  # of a run that was killed at its very end
        return record

    def begin(self, split: str, scans: str) -> None:
        """Write what is decided before the first step: settings, and who is in which part."""
        write_text(self.private / SETTINGS, _to_toml(self.config))
        write_text(self.private / SPLIT, split)
        write_text(self.private / SCANS, scans)

    def make_room(self) -> None:
        """Remove the earlier result: the new one is ready to be written. A kill from here on leaves an unfinished run."""
        for name in (*RECORDS, ADAPTER_WEIGHTS, CARD):
            (self.out / name).unlink(missing_ok=True)

    def end(self) -> None:
        """Remove what only an unfinished run needs."""
        self._forget_state()

    def _take_up(self, fingerprint: str) -> None:
        found = read_fingerprint(self.state)
        if found == fingerprint:
            return
        if self.config.overwrite:
            self._clear()
        elif found is not None:
            raise OutputError.other_settings(self.out, self._changed_settings() or [])
        elif self.is_finished and self.finished(fingerprint) is None:
            raise OutputError.exists(self.out)

    def _clear(self) -> None:
        """Remove the private files of an earlier run, and nothing that a run does not write."""
        self._forget_state()
        for name in _FILES - {LOCK}:
            path = self.private / name
            if path.is_dir():
                pattern = "events.*" if name == EVENTS else "*.png"
                for file in path.glob(pattern):
                    file.unlink(missing_ok=True)
                _remove_if_empty(path)
            else:
                path.unlink(missing_ok=True)

    def _forget_state(self) -> None:
        self.state.unlink(missing_ok=True)
        _remove_if_empty(self.state.parent)

    def _is_ours(self) -> bool:
        """Whether the folder is absent, empty, or one that a run has begun."""
        if not self.out.is_dir():
            return True
        names = {path.name for path in self.out.iterdir() if not path.name.startswith(".")}
        if names & set(RECORDS) or (self.private / SETTINGS).is_file():
            return True
        inside = {path.name for path in self.private.iterdir()} if self.private.is_dir() else set()
        return names <= {PRIVATE} and inside <= _FILES

    def _changed_settings(self) -> list[str] | None:
        """Return how the settings differ from those written here, a line each; None where none are or can be read."""
        try:
            text = (self.private / SETTINGS).read_text(encoding="utf-8")
            theirs = tomllib.loads(text)["finetune"]
        except (OSError, ValueError, KeyError):
            return None
        mine = tomllib.loads(_to_toml(self.config))["finetune"]
        names = sorted((set(theirs) | set(mine)) - _IRRELEVANT)
        return [
            f"{name} {theirs.get(name, 'unset')} there, {mine.get(name, 'unset')} now"
            for name in names
            if theirs.get(name) != mine.get(name)
        ]


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _to_toml(config: FinetuneConfig) -> str:
    """Write settings as `--config` reads them; files by name alone, as a remark, because absolute paths tell who works where."""
    settings = config.to_dict()
    settings |= settings.pop("prompts")
    files = {"scans": [config.scans], "table": config.tables, "task": [config.task], "splits": [config.splits]}
    files |= {"tokenizer": [config.tokenizer], "base": [Path(config.base)] if Path(config.base).exists() else []}
    lines = ["# Give the files again, and a new --out, to repeat this run: adclip finetune --config config.toml ..."]
    for name, paths in files.items():
        named = [shown(path) if not path.is_absolute() else path.name for path in paths if path is not None]
        if named:
            lines.append(f"# {name}: {', '.join(named)}")
            settings.pop(name, None)
    lines += ["", "[finetune]"]
    lines += [
        f"{name} = {json.dumps(value)}"
        for name, value in settings.items()
        if value is not None and name not in {"out", "overwrite", *files} - {"base"}
    ]
    return "\n".join(lines) + "\n"
