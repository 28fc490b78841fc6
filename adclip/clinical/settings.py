"""How tables are read, and how reports are written of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from adclip.errors import ConfigError
from adclip.settings.setting import Setting, Settings
from adclip.settings.shared import (
    DEFAULT_STYLE,
    MAX_DAYS,
    Columns,
    DiagnosisPolicy,
    MaxDays,
    Overwrite,
    Style,
    TaskFile,
    as_paths,
)
from adclip.task import ALZHEIMER, Task, read_task

MODES = ("train", "candidate", "predict")


@dataclass(frozen=True)
class TableOptions(Settings):
    """How metadata tables are read and joined.

    Parameters
    ----------
    columns, diagnosis_policy, max_days
        As the options of these names.
    task : Task
        Whose classes and score the rows name.
    answers : bool
        Whether diagnosis and scores are wanted. `predict` and `explain` do not: nothing in their columns stops them.
    """

    columns: Columns = ()
    diagnosis_policy: DiagnosisPolicy = "table"
    max_days: MaxDays = MAX_DAYS
    task: Task = ALZHEIMER
    answers: bool = True


def read_task_of(path: Path | None, style: str) -> Task:
    """Read the file of `--task`, the default without one.

    Raises
    ------
    ConfigError
        If it cannot be used, or if `style` speaks of Alzheimer's disease where another question is asked.
    """
    task = read_task(path)
    if style == "knowledge" and not task.is_default:
        raise ConfigError.bad_value(
            "--style",
            f"`knowledge` tells what is known of Alzheimer's disease, the task is {task.name}",
            "take `clinical`",
        )
    return task


# fmt: off
# The formatter would spread a setting over seven lines; here it stands on one or two.
@dataclass(frozen=True)
class SynthesizeReportsConfig(Settings):
    """Settings of `adclip synthesize-reports`.

    Without `out` and `canonical` the tables are read and checked only; without `seed` the wording is the canonical one.
    """

    table: Annotated[Path | tuple[Path, ...], Setting("Metadata tables or folders of them; several are joined by subject, session and "
        "date.", metavar="TABLE", is_argument=True, called="TABLE", show_default=False)] = ()
    out: Annotated[Path | None, Setting(".jsonl or .csv file to write.", metavar="FILE", flags=("--out", "-o"),
        show_default=False)] = None
    style: Style = DEFAULT_STYLE
    mode: Annotated[str, Setting("Label phrase of the true class, one report per class, or no label phrase.",
        choices=MODES)] = "train"
    task: TaskFile = None
    columns: Columns = ()
    diagnosis_policy: DiagnosisPolicy = "table"
    max_days: MaxDays = MAX_DAYS
    seed: Annotated[int | None, Setting("Vary the wording from report to report; the same seed gives the same words.", at_least=0,
        show_default=False)] = None
    canonical: Annotated[Path | None, Setting("Write the clean table, .csv or .tsv.", metavar="FILE", flags=("--write-canonical",),
        show_default=False)] = None
    overwrite: Overwrite = False

    def check_together(self) -> None:
        """Refuse what no run can be made of."""
        if not self.tables:
            raise ConfigError.bad_value("TABLE", "no table is given", "name one or more metadata tables")
        if self.out is not None and self.out.suffix not in (".jsonl", ".csv"):
            raise ConfigError.bad_value("--out", f"`{self.out.name}` does not end in .jsonl or .csv")
        if self.canonical is not None and self.canonical.suffix not in (".csv", ".tsv"):
            raise ConfigError.bad_value("--write-canonical", f"`{self.canonical.name}` does not end in .csv or .tsv")

    @property
    def tables(self) -> tuple[Path, ...]:
        """The tables, one or several."""
        return as_paths(self.table)

    @property
    def table_options(self) -> TableOptions:
        """How they are read; the file of `--task` is read for it."""
        return TableOptions(self.columns, self.diagnosis_policy, self.max_days, read_task_of(self.task, self.style))
