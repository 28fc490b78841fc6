"""Tables with a row for each parameter of a visit -> a row for each visit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from adclip.clinical.dialects import Tall
from adclip.clinical.tables import errors
from adclip.clinical.tables.header import Header

_KEY = ("subject_id", "session_id", "visit_date")


class _Row(Protocol):
    @property
    def line(self) -> int: ...
    @property
    def values(self) -> dict[str, Any]: ...
    @property
    def aside(self) -> dict[str, Any]: ...


AnyRow = TypeVar("AnyRow", bound=_Row)


def is_tall(header: Header, tall: Tall | None) -> bool:
    """Whether a table has a row for each parameter."""
    return tall is not None and tall.code in header.names


def only_read(
    records: Iterable[tuple[int, list[str]]], header: Header, tall: Tall | None
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the parameters that are read; all rows of a table that is not tall.

    The table of questionnaires has a quarter of a million rows, of which an eighth is read: the others are not looked at.
    """
    if tall is None or not is_tall(header, tall):
        yield from records
        return
    place = header.place(tall.code)
    for line, cells in records:
        if len(cells) != len(header.shown) or cells[place].strip().casefold() in tall.read:
            yield line, cells


def one_row_a_visit(path: Path, rows: Iterable[AnyRow]) -> list[AnyRow]:
    """Merge the rows of one visit into the first of them.

    Raises
    ------
    TableError
        If two rows of a visit have different values for one column; with both lines.
    """
    visits: dict[tuple[Any, ...], AnyRow] = {}
    for row in rows:
        visit = visits.setdefault(tuple(row.values.get(name) for name in _KEY), row)
        if visit is row:
            continue
        for column, value in row.values.items():
            if visit.values.setdefault(column, value) != value:
                raise errors.conflict(path, visit.line, path, row.line, column)
        for column, value in row.aside.items():
            visit.aside.setdefault(column, value)
    return list(visits.values())
