"""Questions of `--what-if`: a column, and the values that it is to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adclip.clinical.columns import COLUMNS, CellError
from adclip.errors import ConfigError

if TYPE_CHECKING:
    from adclip.model.record import AdapterRecord

FLAG = "--what-if"
MOST_VALUES = 100
DIGITS = 6  # significant ones of a value
_EXAMPLE = f"for example {FLAG} hippocampus_mm3=4000:8000:9"
_NUMBERS = ("age_years", "education_years", "apoe4_count", *(name for name in COLUMNS if name.endswith("_mm3")))


@dataclass(frozen=True)
class Question:
    """A column and the values that it is to take, in its unit, from the smallest to the largest."""

    column: str
    values: tuple[float, ...]


def parse_question(text: str) -> Question:
    """Return what `column=from:to:count` asks.

    Raises
    ------
    ConfigError
        If it has another form, or a value that no cell of that column may have.

    Examples
    --------
    >>> parse_question("age_years=60:80:3")
    Question(column='age_years', values=(60.0, 70.0, 80.0))
    """
    column, _, span = text.partition("=")
    column, ends = column.strip(), span.split(":")
    try:
        low, high, count = float(ends[0]), float(ends[1]), int(ends[2])
    except (IndexError, ValueError):
        low = high = count = 0
    if len(ends) != 3 or not column or not -math.inf < low < high < math.inf or not 2 <= count <= MOST_VALUES:
        why = f"`{text}` is not COLUMN=FROM:TO:COUNT, with FROM below TO and 2 to {MOST_VALUES} values"
        raise ConfigError.bad_value(FLAG, why, _EXAMPLE)
    steps = (low + (high - low) * place / (count - 1) for place in range(count))
    values = tuple(float(f"{value:.{DIGITS}g}") for value in steps)
    if column in _NUMBERS:  # whether a model's report reads it, is asked later
        _check_values(column, values)
    return Question(column, values)


def _check_values(column: str, values: Sequence[float]) -> None:
    for value in values:
        try:
            COLUMNS[column](f"{value:f}".rstrip("0").rstrip("."))
        except CellError as error:
            raise ConfigError.bad_value(FLAG, f"{column}={value:g}: {error.why}", error.remedy or _EXAMPLE) from None


def check_question(question: Question, record: AdapterRecord) -> None:
    """Raise ConfigError unless the column is a number that the reports of a model have."""
    from adclip.clinical.reports import fields_of

    able = [column for column in fields_of(record.style) if column in _NUMBERS]
    able = list(record.task.usable(able)) if record.reports else []
    if question.column not in able:
        likely = [column for column in able if column.startswith(question.column.casefold())]
        remedy = f"it reads {', '.join(able)}" if able else "it reads the scan alone, so no column changes its answer"
        if len(likely) == 1:
            remedy = f"say {FLAG} {likely[0]}=..."
        raise ConfigError.bad_value(FLAG, f"`{question.column}` is no number that this model's report reads", remedy)
