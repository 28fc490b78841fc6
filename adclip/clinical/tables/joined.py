"""A visit in the making: its values, and the file and line that each came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adclip.clinical.tables import errors
from adclip.clinical.tables.partial import PartialRow, PartialTable

_CONTRADICTED = object()  # stands where two tables say different things that nobody may stop at


@dataclass
class Joined:
    """One visit in the making.

    Attributes
    ----------
    values : dict
        Canonical or auxiliary column -> value; only what is known.
    origin : dict
        Column -> file and line of its value.
    path : Path
        File of the row that began it.
    line : int
        Line of that row.
    aside : dict
        Answers of the row that were not checked (`PartialRow.aside`): they take no part in joining.
    standby : dict
        Column -> `Rule.standby` of its value, where it is not 0.
    """

    values: dict[str, Any]
    origin: dict[str, tuple[Path, int]]
    path: Path
    line: int
    aside: dict[str, Any] = field(default_factory=dict)
    standby: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, table: PartialTable, row: PartialRow) -> Joined:
        """Begin with one row."""
        place = (table.path, row.line)
        return cls(dict(row.values), dict.fromkeys(row.values, place), *place, dict(row.aside), dict(table.standby))

    def add(self, table: PartialTable, line: int, values: dict[str, Any], aside: dict[str, Any] | None = None) -> None:
        """Take what is not known yet; refuse what contradicts. Of answers set aside a contradicted one becomes unknown.

        Of two dates of a study's forms that of the lower rank counts (`Rule.standby`), of one rank the earlier: so the order of the
        tables does not matter.

        Raises
        ------
        TableError
            If a column has two values; with both lines.
        """
        own_values = self.values
        for column, value in values.items():
            if column not in own_values or self._gives_way(table, column, value):
                own_values[column] = value
                self.origin[column] = (table.path, line)
                self.standby[column] = table.standby.get(column, 0)
            elif own_values[column] != value and not (self.standby.get(column) or table.standby.get(column)):
                earlier_path, earlier_line = self.origin[column]
                raise errors.conflict(earlier_path, earlier_line, table.path, line, column)
        for column, value in (aside or {}).items():
            if self.aside.setdefault(column, value) != value:
                self.aside[column] = _CONTRADICTED

    def _gives_way(self, table: PartialTable, column: str, value: Any) -> bool:
        """Whether a date that is known is of a form of higher rank than another one, or later on a form of the same rank."""
        own, other = self.standby.get(column, 0), table.standby.get(column, 0)
        return bool(own) and (other, value) < (own, self.values[column])

    def answers(self) -> dict[str, Any]:
        """Return the answers set aside that no two rows contradict."""
        return {column: value for column, value in self.aside.items() if value is not _CONTRADICTED}


@dataclass
class Joining:
    """All visits of all tables, and what happened on the way.

    Attributes
    ----------
    visits : list of Joined
        In the order of the tables.
    repeated : dict of str to int
        File name -> rows that repeat another one of it exactly; counted once.
    unattached : dict of str to int
        File name -> rows that belong to no visit.
    added : dict of str to int
        File name of a later table -> its visits that the tables before it do not have.
    first_kept : dict of str to int
        File name -> rows that give other years of education than the person's first row, which counts.
    """

    visits: list[Joined] = field(default_factory=list)
    repeated: dict[str, int] = field(default_factory=dict)
    unattached: dict[str, int] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    first_kept: dict[str, int] = field(default_factory=dict)
