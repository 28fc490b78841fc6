"""The kinds of errors that a user can meet, their exit codes, and what several rooms raise.

An error carries two texts, `problem` and `remedy`, and its exit code. Wording stands beside its raiser, in the `errors.py` of each room, so
that raising reads well and tests are stable; here only what more than one room says. Exactly two positional arguments are used
throughout, so the errors survive pickling into and out of worker processes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

EXIT_DEFECT = 1
EXIT_INPUT = 2
EXIT_PARTIAL = 3
EXIT_MISSING = 4
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def name_some(paths: Sequence[Path | str]) -> str:
    """Return the first paths of many, and how many more there are."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(map(str, paths[:3])) + more


class AdclipError(Exception):
    """Base of all expected failures.

    Parameters
    ----------
    problem : str
        Which file, row or flag, and what is wrong with it. Never a clinical value.
    remedy : str
        What the user can do next.
    """

    exit_code: int = EXIT_DEFECT

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return self.problem


class InputError(AdclipError, ValueError):
    """Something the user gave is wrong (exit code 2)."""

    exit_code = EXIT_INPUT


class ConfigError(InputError):
    """A setting has an impossible value."""

    @classmethod
    def bad_value(cls, flag: str, why: str, remedy: str = "") -> ConfigError:
        return cls(f"{flag}: {why}", remedy or "see `--help` of the command for the accepted values")


class ScanError(InputError):
    """A file is not a usable T1 scan."""

    @classmethod
    def missing(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: no such file or folder", "check the path; quote it if it contains spaces")

    @classmethod
    def not_preprocessed(cls, path: Path | str) -> ScanError:
        return cls(f"{path}: not an adclip derivative", "run `adclip preprocess INPUT --out DIR` first and give DIR")


class TableError(InputError):
    """A metadata table is unusable."""

    @classmethod
    def missing_file(cls, path: Path | str) -> TableError:
        return cls(f"{path}: no such table", "check the path")

    @classmethod
    def unreadable(cls, path: Path | str, why: str) -> TableError:
        return cls(f"{path}: not a readable table ({why})", "give a CSV, TSV or JSON table in UTF-8")

    @classmethod
    def no_column(cls, path: Path | str, column: str, present: Iterable[str], likely: str | None = None) -> TableError:
        likely = likely or next(iter(difflib.get_close_matches(column, list(present), n=1)), None)
        meant = f"did you mean `{likely}`? " if likely else ""
        yours = likely or "YOURS"
        return cls(
            f"{path}: no column `{column}`", f'{meant}rename the column or map it: `--column "{column}={yours}"`'
        )

    @classmethod
    def bad_row(cls, path: Path | str, line: int, why: str) -> TableError:
        return cls(f"{path} line {line}: {why}", "check quotes and separators of that row; save the table again")

    @classmethod
    def blank_id(cls, path: Path | str, line: int) -> TableError:
        return cls(
            f"{path} line {line}: no subject id, and other rows have one",
            "fill in whose row it is, or take the row out; nobody's row would count as one more person",
        )

    @classmethod
    def no_rows(cls, path: Path | str, why: str) -> TableError:
        return cls(f"{path}: {why}", "check that the table and the scans belong together")


class ReportError(InputError):
    """A text is not a report of adclip's templates."""


class LeakError(InputError):
    """The answer would leak into the input, or subjects straddle a split."""


class OutputError(InputError):
    """The output place cannot be used."""

    @classmethod
    def exists(cls, path: Path | str) -> OutputError:
        return cls(f"{path}: exists already", "choose another --out, or add --overwrite")

    @classmethod
    def no_place(cls, path: Path | str, why: str) -> OutputError:
        return cls(f"{path}: cannot be written ({why})", "choose another place, or make its folder writable")


class TrainingError(InputError):
    """A training cannot go on with its settings."""


class CheckpointError(InputError):
    """A model folder is unusable."""

    @classmethod
    def no_text_tower(cls) -> CheckpointError:
        return cls(
            "this base is a bare image tower: it has no text tower to read a report or a class phrase",
            "use the whole model, such as `m3d-clip`",
        )


class WeightsError(AdclipError):
    """Base weights are absent or not the ones expected (exit code 4)."""

    exit_code = EXIT_MISSING


class MissingPackageError(AdclipError):
    """An optional package is needed (exit code 4)."""

    exit_code = EXIT_MISSING

    @classmethod
    def needed(cls, package: str, extra: str) -> MissingPackageError:
        return cls(f"the package `{package}` is not installed", f"pip install 'adclip[{extra}]'")

    @classmethod
    def broken(cls, package: str) -> MissingPackageError:
        return cls(
            f"the package `{package}` is not installed or cannot run", f"pip install --force-reinstall {package}"
        )


class DeviceError(AdclipError):
    """The requested device is not there, or is too small (exit code 4)."""

    exit_code = EXIT_MISSING

    @classmethod
    def absent(cls, device: str) -> DeviceError:
        return cls(f"--device {device}: not available on this machine", "use --device cpu, or --device auto")


class DeviceMemoryError(DeviceError):
    """Memory ran out on one item; a smaller one may still fit."""

    @classmethod
    def of(cls, device: str) -> DeviceMemoryError:
        return cls(
            f"{device} ran out of memory",
            "use fewer --workers, a smaller --batch-size where there is one, or --device cpu",
        )


class WorkerError(AdclipError):
    """A process of adclip's own was ended from outside (exit code 4: most often memory is missing)."""

    exit_code = EXIT_MISSING


class DefectError(AdclipError):
    """Something adclip did not foresee, on one item of many (exit code 1)."""
