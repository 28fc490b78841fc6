"""What the user says of a table's columns: ``--column canonical=theirs``, with a unit, a form or the meaning of codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from adclip.clinical.column_names import near_miss
from adclip.clinical.columns import COLUMNS, CellError, Range
from adclip.clinical.dialects.base import Rule
from adclip.clinical.dialects.canonical import SCORE
from adclip.clinical.tables.declared import declare, kind_of
from adclip.errors import ConfigError
from adclip.task import ALZHEIMER, MMSE, Task


@dataclass(frozen=True)
class ColumnMapping:
    """One ``canonical=theirs`` with what follows in colons.

    Parameters
    ----------
    column : str
        Canonical column.
    table_column : str
        Name in the table; compared without case.
    parts : tuple of str
        What is declared of its cells, see `declared`; a colon may also belong to the name.
    parse : callable or None
        Reads a cell where the task says how; None reads it as the canonical column is read.
    implied : bool
        Whether the task names the column and not the user: then a table may lack it.
    """

    column: str
    table_column: str
    parts: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    implied: bool = False

    def rule_for(self, names: Iterable[str], rules: Iterable[Rule] = ()) -> Rule | None:
        """Return the rule for a table, or None if it has no such column.

        Parameters
        ----------
        names : iterable of str
            Of its columns, in lower case.
        rules : iterable of Rule
            Those of its dialect that hold for it: where codes for unknown are all that is declared, the study's own unit and
            meaning of the column stay.
        """
        names = set(names)
        for named in range(len(self.parts), -1, -1):
            name = ":".join((self.table_column, *self.parts[:named])).lower()
            if name in names:
                return self._rule(name, self.parts[named:], rules)
        return None

    def _rule(self, name: str, parts: tuple[str, ...], rules: Iterable[Rule]) -> Rule:
        said = declare(self.column, parts, self.parse)
        if self.parse is None:
            for rule in rules:
                if rule.column == self.column and (wrapped := said.around(rule, name)) is not None:
                    return wrapped
        why = "named as the task says" if self.implied else f"mapped by --column {self.column}"
        why = f"mapped by --column, as {':'.join(parts)}" if parts else why
        return Rule(self.column, (name,), why, said.read_unit(self.column), said.reader(self.column, self.parse))


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
        mappings.setdefault(name, ColumnMapping(name, name, (), parse, implied=True))
    return [mapping if mapping.column in COLUMNS else replace(mapping, column=SCORE) for mapping in mappings.values()]


def _split(column: str, table_column: str, parse: Callable[[str], Any] | None) -> ColumnMapping:
    name = table_column
    parts: tuple[str, ...] = ()
    kinds: set[str] = set()
    while ":" in name:
        shorter, _, last = (part.strip() for part in name.rpartition(":"))
        kind = kind_of(last)
        if not shorter or kind is None or kind in kinds:  # `Volume:ml:ml` is a column `Volume:ml` in ml
            break
        kinds.add(kind)
        name, parts = shorter, (last, *parts)
    declare(column, parts, parse)
    return ColumnMapping(column, name, parts, parse)
