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

from adclip.errors import OutputError
from adclip.evaluation.plots import PLOTS
from adclip.model.checkpoint import check_weights
from adclip.model.integrity import CARD
from adclip.model.record import ADAPTER_RECORD, ADAPTER_WEIGHTS, BASELINE_RECORD, AdapterRecord, read_record
from adclip.prediction.similar import EMBEDDINGS
from adclip.runtime.events import OnEvent, Warned
from adclip.runtime.paths import check_place, remove_leftovers, shown, write_text
from adclip.task import ALZHEIMER, read_task
from adclip.training import errors
from adclip.training.history import EVENTS
from adclip.training.resume import read_fingerprint, read_state
from adclip.training.settings import FinetuneConfig

PRIVATE, SETTINGS, LOCK = "private", "config.toml", ".lock"
SPLIT, SCANS, CERTIFICATE, LAST = "splits.tsv", "scans.tsv", "leak_certificate.json", "last.safetensors"
STATE = Path("resume") / "state.safetensors"
RECORDS = (ADAPTER_RECORD, BASELINE_RECORD)
EARLIER = "earlier"  # where the private files of a finished model wait until another has taken its place
_FILES = (SETTINGS, SPLIT, SCANS, CERTIFICATE, LAST, EMBEDDINGS, "metrics.jsonl", "metrics.csv", "predictions_test.tsv")
# What may differ between a run and the one that goes on with it: where things lie, where it is computed, and what changes no
# number there. Another device changes numbers in their last digits.
_IRRELEVANT = {
    "scans", "table", "out", "task", "base", "tokenizer", "splits", "device", "overwrite", "checkpointing", "tensorboard",
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
            raise errors.not_a_run(self.out)
        if self.config.overwrite:
            return
        changed = self._changed_settings()
        if self.state.is_file() and changed:
            raise errors.other_settings(self.out, changed)
        if self.is_finished and not self.state.is_file() and (changed is None or changed):
            raise OutputError.exists(self.out)

    @contextmanager
    def held(self, fingerprint: str, on_event: OnEvent) -> Iterator[None]:
        """Keep other runs out of the folder; what an earlier one left is taken up, or removed where that was asked for.

        The same run in another process is waited for: it will be told again.

        Parameters
        ----------
        fingerprint : str
            Of everything that decides the result.
        on_event : callable
            Told of waiting.

        Raises
        ------
        OutputError
            If another run is writing here, or what it holds is of other scans, rows or settings.
        """
        from filelock import FileLock, Timeout

        try:
            self.private.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, FileExistsError, NotADirectoryError):
            # files in the way, or a virtual file system such as /proc
            raise OutputError.no_place(self.out, "no folder can be made there") from None
        # The system lets go of it when a process is killed. The file itself stays: removing it while others wait would let two in.
        lock = FileLock(self.private / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if self._changed_settings() or self.config.overwrite:
                raise errors.busy(self.out, self.private / LOCK) from None
            on_event(Warned(str(self.out), "the same run is going on in another process; waiting for its end"))
            lock.acquire()
        try:
            remove_leftovers(self.out)
            self._take_up(fingerprint)
            yield
        finally:
            lock.release()

    def finished(self, fingerprint: str) -> AdapterRecord | None:
        """Return the record of the very same run if it has ended here and is not to be repeated.

        Raises
        ------
        CheckpointError
            If what it left is damaged.
        """
        if self.config.overwrite or not self.is_finished:
            return None
        name = next(name for name in RECORDS if (self.out / name).is_file())
        record = read_record(self.out, name)
        if name == ADAPTER_RECORD:
            check_weights(self.out)
        if record.training.fingerprint != fingerprint:
            return None
        self._forget_state()  # of a run that was killed at its very end
        return record

    def begin(self, split: str, scans: str) -> None:
        """Write what is decided before the first step: settings, and who is in which part."""
        write_text(self.private / SETTINGS, _to_toml(self.config))
        write_text(self.private / SPLIT, split)
        write_text(self.private / SCANS, scans)

    def make_room(self) -> None:
        """Remove the earlier result: the new one lies beside it. A kill from here on leaves an unfinished run."""
        for name in (*RECORDS, ADAPTER_WEIGHTS, CARD):
            (self.out / name).unlink(missing_ok=True)

    def end(self) -> None:
        """Remove what only an unfinished run needs, and what told of the model that was replaced."""
        self._forget_state()
        for path in self._own_files(self.private / EARLIER):
            path.unlink(missing_ok=True)
        for name in ("plots", EVENTS, ""):
            _remove_if_empty(self.private / EARLIER / name)

    def _take_up(self, fingerprint: str) -> None:
        unfinished = read_fingerprint(self.state)
        if unfinished == fingerprint:
            return
        if self.config.overwrite:
            self._clear()
        elif unfinished == "":
            read_state(self.state, fingerprint)  # says that it is damaged
        elif unfinished is not None:
            raise errors.other_settings(self.out, self._changed_settings() or [])
        elif self.is_finished and self.finished(fingerprint) is None:
            raise OutputError.exists(self.out)

    def _clear(self) -> None:
        """Make way for another run: private files of a finished model are put aside, those of an unfinished run removed."""
        self._forget_state()
        for path in self._own_files(self.private):
            aside = self.private / EARLIER / path.relative_to(self.private)
            if (
                self.is_finished and not aside.exists()
            ):  # else it is of a run that began after that model and was stopped
                aside.parent.mkdir(parents=True, exist_ok=True)
                path.replace(aside)
            else:
                path.unlink()
        for name in ("plots", EVENTS):
            _remove_if_empty(self.private / name)

    def _own_files(self, folder: Path) -> list[Path]:
        """Return the files below a private folder that a run has written, by their names."""
        scores = {ALZHEIMER.score_key, read_task(self.config.task).score_key}
        paths = [folder / name for name in _FILES]
        paths += [folder / "plots" / f"{name}.png" for name in (*PLOTS, *sorted(scores))]
        paths += sorted((folder / EVENTS).glob("events.out.*"))
        return [path for path in paths if path.is_file()]

    def _forget_state(self) -> None:
        self.state.unlink(missing_ok=True)
        _remove_if_empty(self.state.parent)

    def _is_ours(self) -> bool:
        """Whether the folder is absent, empty, or one that a run has begun: by what stands in its files, not by their names."""
        if not self.out.is_dir():
            return True
        if self._settings() is not None or any(_is_record(self.out / name) for name in RECORDS):
            return True
        names = {path.name for path in self.out.iterdir() if not path.name.startswith(".")}
        inside = {path.name for path in self.private.iterdir()} if self.private.is_dir() else names
        return names <= {PRIVATE} and inside <= {LOCK}

    def _settings(self) -> dict[str, Any] | None:
        """Return the settings that a run has written here; None where there are none."""
        try:
            content = tomllib.loads((self.private / SETTINGS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        settings = content.get("finetune", content)  # earlier versions had no table
        return settings if isinstance(settings, dict) and {"epochs", "seed", "method"} <= set(settings) else None

    def _changed_settings(self) -> list[str] | None:
        """Return how the settings differ from those written here, a line each; None where none are or can be read."""
        stored = self._settings()
        if stored is None:
            return None
        current = tomllib.loads(_to_toml(self.config))["finetune"]
        names = sorted((set(stored) | set(current)) - _IRRELEVANT)
        return [
            f"{name} {stored.get(name, 'unset')} there, {current.get(name, 'unset')} now"
            for name in names
            if stored.get(name) != current.get(name)
        ]


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _is_record(path: Path) -> bool:
    """Tell whether a file is a record of ours, whatever its name; a damaged one is not."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and {"schema_version", "base", "adclip_version"} <= set(data)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _to_toml(config: FinetuneConfig) -> str:
    """Write settings as `--config` reads them; files by name alone, as a remark, because absolute paths tell who works where."""
    settings = config.to_dict()
    settings |= settings.pop("prompts")
    files = {"scans": [config.scans], "table": config.tables, "task": [config.task], "splits": [config.splits]}
    files |= {"tokenizer": [config.tokenizer], "base": [Path(config.base)] if Path(config.base).exists() else []}
    lines = [
        "# To repeat this run: adclip finetune --config config.toml, a new --out, and these files, each as its option:"
    ]
    for name, paths in files.items():
        named = [shown(path) if not path.is_absolute() else path.name for path in paths if path is not None]
        if named:
            lines.append(f"# --{name} {', '.join(named)}")
            settings.pop(name, None)
    lines += ["", "[finetune]"]
    lines += [
        f"{name} = {json.dumps(value)}"
        for name, value in settings.items()
        if value is not None and name not in {"out", "overwrite", *files} - {"base"}
    ]
    return "\n".join(lines) + "\n"
