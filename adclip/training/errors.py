"""What can go wrong in `adclip.training`, each with its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adclip.errors import LeakError, OutputError, TableError, TrainingError


def no_class(path: Path | str, absent: list[str]) -> TableError:
    return TableError(
        f"{path}: no scan has a row with diagnosis {', '.join(absent)}",
        "add subjects of that group, or train for the classes that are there: `--task FILE.toml`",
    )


def near_duplicates(first: str, second: str, correlation: float) -> LeakError:
    return LeakError(
        f"subjects `{first}` and `{second}`: nearly the same image (correlation {correlation:.4f})",
        "if they are one person, give both rows one `subject_id`; else leave one of them out",
    )


def answer_in_report(subject: str, columns: Sequence[str] = ()) -> LeakError:
    return LeakError(
        f"the report of subject `{subject}` changes with the diagnosis or a score{_in_columns(columns)}",
        "report this: a defect",
    )


def answer_in_input(name: str, subject: str, scan: str, columns: Sequence[str], how: str) -> LeakError:
    what = "whether it has a row changes" if name == "row" else f"`{name}` changes"
    where = "the join" if name == "row" else f"`{name}`"
    return LeakError(
        f"scan {scan} of subject `{subject}`: {what} with the answers of the table{_in_columns(columns)}, which were {how}",
        f"let {where} depend on columns without diagnosis and scores (`--column CANONICAL=YOURS`), or rename a column that "
        "holds none; if no `--column` reads it, report this: a defect",
    )


def unreadable_without_answers(columns: Sequence[str], problem: str) -> LeakError:
    return LeakError(
        f"the tables cannot be read once diagnoses and scores are blanked{_in_columns(columns)}: {problem}",
        "let no other column be read from one of these (`--column`), or rename a column that holds neither",
    )


def answer_stays(path: Path | str, line: int, name: str, columns: Sequence[str]) -> LeakError:
    return LeakError(
        f"{path}, line {line}: `{name}` is known though diagnoses and scores were blanked{_in_columns(columns)}",
        f"read `{name}` from a column of its own: `--column {name}=YOURS`",
    )


def nothing_altered(path: Path | str) -> LeakError:
    return LeakError(
        f"{path}: no column of diagnoses or scores was found that could be blanked, so that no leak could be seen",
        "name the column of diagnoses: `--column diagnosis=YOURS`",
    )


def not_of_its_row(scan: str, name: str) -> LeakError:
    return LeakError(f"scan {scan}: its `{name}` in training is not that of its row", "report this: a defect")


def _in_columns(names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in names[:5]) + (", ..." if len(names) > 5 else "")
    return f" (column {shown})" if len(names) == 1 else f" (columns {shown})"


def not_a_run(path: Path | str) -> OutputError:
    return OutputError(f"{path}: holds files that are not a run's", "choose a new or empty folder for --out")


def other_settings(path: Path | str, changed: Sequence[str]) -> OutputError:
    why = f" ({'; '.join(changed[:3])})" if changed else ", scans or rows"
    return OutputError(
        f"{path}: holds an unfinished run with other settings{why}",
        "repeat its settings to resume it, choose another --out, or add --overwrite",
    )


def busy(path: Path | str, lock: Path | str) -> OutputError:
    return OutputError(
        f"{path}: another run is writing there",
        f"wait until it has ended, or choose another --out; if none runs, on any machine, delete {lock}",
    )


def diverged(what: str, epoch: int, learning_rate: float) -> TrainingError:
    return TrainingError(
        f"the {what} is no longer a number in epoch {epoch}: training has diverged at --learning-rate {learning_rate:g}",
        f"start anew with smaller steps: add `--learning-rate {learning_rate / 10:g} --overwrite`",
    )
