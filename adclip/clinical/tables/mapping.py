"""What the user says of a table's columns: ``--column canonical=theirs``, with a unit or the meaning of codes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from adclip.clinical.columns import COLUMNS, UNITS, CellError, Range, near_miss
from adclip.clinical.dialects.base import Reader, Rule, codes, scaled
from adclip.clinical.dialects.canonical import SCORE, unit_of
from adclip.errors import ConfigError
from adclip.task import ALZHEIMER, MMSE, Task

_CODES = re.compile(r"[^=,]+=[^=,]*(,[^=,]+=[^=,]*)*")
_KINDS = {"mm3": {"mm3", "cm3", "ml"}, "years": {"years", "months", "days"}}


@dataclass(frozen=True)
class ColumnMapping:
    """One ``canonical=theirs`` with what follows the last colon.

    Parameters
    ----------
    column : str
        Canonical column.
    table_column : str
        Name in the table; compared without case.
    suffix : str
        A unit, ``cm3``, or codes, ``1=M,2=F``; empty for none.
    parse : callable or None
        Reads a cell where the task says how; None reads it as the canonical column is read.
    implied : bool
        Whether the task names the column and not the user: then a table may lack it.
    """

    column: str
    table_column: str
    suffix: str = ""
    parse: Callable[[str], Any] | None = None
    implied: bool = False

    def rule_for(self, names: Iterable[str]) -> Rule | None:
        """Return the rule for a table with these column names in lower case, or None if it has no such column."""
        names = set(names)
        whole = f"{self.table_column}:{self.suffix}".lower() if self.suffix else self.table_column.lower()
        if whole in names:  # a colon may also belong to the name
            why = "named as the task says" if self.implied else f"mapped by --column {self.column}"
            return Rule(self.column, (whole,), why, unit_of(self.column), self._reader())
        if self.suffix and self.table_column.lower() in names:
            return Rule(
                self.column, (self.table_column.lower(),), f"mapped by --column, as {self.suffix}", *self._reading()
            )
        return None

    def _reading(self) -> tuple[str, Reader | None]:
        if self.suffix in UNITS:
            return self.suffix, scaled(self.column, UNITS[self.suffix])
        return "code", codes(self.column, dict(pair.split("=") for pair in self.suffix.split(",")), self.parse)

    def _reader(self) -> Reader | None:
        parse = self.parse
        return None if parse is None else lambda cell: parse(cell) if cell else None


def _readers_of(task: Task) -> dict[str, Callable[[str], Any]]:
    """Return how the columns are read that a task gives a meaning of its own: its name in tables -> reader."""
    if task.is_default:
        return {}

    def to_class(cell: str) -> str:
        if (name := task.class_of(cell)) is not None:
            return name
        if cell.upper() in (*ALZHEIMER.classes, "NC"):
            return cell.upper()  # a diagnosis, but no class of this task: its row is left out and counted
        shown = " or ".join(task.classes)
        raise CellError(f"something other than {shown}", f"write {shown}, or `--column diagnosis=YOURS:CODE=CLASS,...`")

    readers: dict[str, Callable[[str], Any]] = {"diagnosis": to_class}
    if task.score_key != MMSE:
        readers[task.score_key] = Range(*task.score_range, "points").parse
    return readers


def parse_mappings(texts: Iterable[str], task: Task = ALZHEIMER) -> list[ColumnMapping]:
    """Read the values of ``--column``, and add the columns to which a task gives a meaning of its own.

    Raises
    ------
    ConfigError
        If one is malformed, names no canonical column, or a unit or code that the column cannot have.
    """
    readers = _readers_of(task)
    column_names = (*COLUMNS, *(name for name in readers if name not in COLUMNS))
    mappings: dict[str, ColumnMapping] = {}
    for text in texts:
        column, equals, table_column = (part.strip() for part in text.partition("="))
        if not equals or not column or not table_column:
            raise ConfigError.bad_value("--column", f"`{text}` is not of the form canonical=theirs")
        if column not in column_names:
            meant = near_miss(column)
            remedy = f"did you mean `{meant}`?" if meant else f"canonical columns: {', '.join(column_names)}"
            raise ConfigError.bad_value("--column", f"`{column}` is not a canonical column", remedy)
        if column in mappings:
            raise ConfigError.bad_value("--column", f"`{column}` is mapped twice", "keep one of the two")
        mappings[column] = _split(column, table_column, readers.get(column))
    canonical_of: dict[str, str] = {}
    for mapping in mappings.values():
        if canonical_of.setdefault(mapping.table_column.lower(), mapping.column) != mapping.column:
            raise ConfigError.bad_value(
                "--column", f"`{mapping.table_column}` is mapped to two canonical columns", "keep one of the two"
            )
    for name, parse in readers.items():
        mappings.setdefault(name, ColumnMapping(name, name, "", parse, implied=True))
    return [mapping if mapping.column in COLUMNS else replace(mapping, column=SCORE) for mapping in mappings.values()]


def _split(column: str, table_column: str, parse: Callable[[str], Any] | None) -> ColumnMapping:
    name, colon, suffix = table_column.rpartition(":")
    name, suffix = name.strip(), suffix.strip()
    unit_name = {"cc": "cm3"}.get(suffix.lower(), suffix.lower())
    if unit_name in UNITS:
        suffix = unit_name
    if not colon or not name or not (suffix in UNITS or _CODES.fullmatch(suffix)):
        return ColumnMapping(column, table_column, "", parse)
    unit = unit_of(column)
    if suffix in UNITS and suffix not in _KINDS.get(unit, set()):
        raise ConfigError.bad_value("--column", f"`{column}` cannot be in {suffix}", f"it is in {unit or 'no unit'}")
    if suffix not in UNITS:
        named = [pair.partition("=")[0] for pair in suffix.split(",")]
        if twice := {code for code in named if named.count(code) > 1}:
            raise ConfigError.bad_value("--column", f"code `{min(twice)}` of `{column}` has two meanings", "keep one")
        try:
            codes(column, dict(pair.split("=") for pair in suffix.split(",")), parse)
        except CellError as error:
            raise ConfigError.bad_value("--column", f"a code of `{column}` means {error.why}", error.remedy) from None
    return ColumnMapping(column, name, suffix, parse)
