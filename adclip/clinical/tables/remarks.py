"""What the reader of a table is told of its cells: read, but odd; or not read, as nobody needs them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from adclip.clinical.columns import COLUMNS
from adclip.clinical.dialects.missing import is_suspect
from adclip.clinical.tables.declared import declaration

_SHOWN = 5  # lines
_MONTH = "(jan|feb|m[a\u00e4]r|mrz|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-z]*"
_DAY_FOR_ID = re.compile(rf"\d{{1,2}}[-.]{_MONTH}([-.]\d{{2,4}})?|{_MONTH}[-.]\d{{1,4}}", re.IGNORECASE)
WATCHED = frozenset(
    {"mmse", *(column for column in COLUMNS if column.endswith("_mm3"))}
)  # canonical columns that are looked at


@dataclass
class Remarks:
    """What was noticed in the cells of one file.

    Attributes
    ----------
    unread : dict of str to list of int
        Column of an answer, as written -> lines of cells that could not be read and were not needed.
    fractions : dict of str to list of int
        Column of the MMSE -> lines that hold a part of a point.
    suspects : dict of str to list of int
        ``canonical=column`` of numbers -> lines that hold a usual code for unknown which is plausible as a value.
    """

    unread: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    fractions: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    suspects: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def look_at(self, column: str, shown: str, cells: Sequence[str], value: Any, line: int) -> None:
        """Notice what is odd about a value that was read."""
        if column == "mmse" and not float(value).is_integer():
            self.fractions[shown].append(line)
        if column.endswith("_mm3") and any(map(is_suspect, cells)):
            self.suspects[f"{column}={shown}"].append(line)

    def sentences(self) -> Iterator[str]:
        """Yield one sentence for each kind."""
        for shown, lines in self.fractions.items():
            yield (
                f"`{shown}` has parts of a point in {rows_at(lines)}; the MMSE counts whole points, so is it a mean or another score? "
                "It is read as it stands"
            )
        for both, lines in self.suspects.items():
            shown = both.partition("=")[2]
            yield (
                f"`{shown}` has numbers of repeated eights or nines in {rows_at(lines)}, which are often codes for unknown; "
                f"if they are, declare them: `--column {declaration(f'{both}:CODE=')}`"
            )


def say_days_for_ids(lines_by_id: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Yield a sentence where ids look like days: spreadsheets make ``1-Mar`` of ``1-3`` and ``3/1``.

    Parameters
    ----------
    lines_by_id : iterable of (str, int)
        Ids with their lines.
    """
    lines = [line for subject, line in lines_by_id if _DAY_FOR_ID.fullmatch(subject)]
    if lines:
        yield (
            f"ids that look like days, such as spreadsheets make of 1-3, in {rows_at(lines)}: if they were numbers, take them from "
            "their source again, with the column as text"
        )


def say_unread(unread: Sequence[tuple[str, str, int]]) -> str | None:
    """Return one sentence on all answers that were set aside unread: (file, column, rows) of each; None for none."""
    if not unread:
        return None
    shown = ", ".join(
        f"`{column}` of {file} ({rows} {'row' if rows == 1 else 'rows'})" for file, column, rows in unread
    )
    return f"not read, and not needed here: what stands in {shown}; training on it would ask what it means"


def rows_at(lines: Sequence[int]) -> str:
    """Return how many rows there are, with the first of their lines."""
    shown = ", ".join(map(str, lines[:_SHOWN])) + (", ..." if len(lines) > _SHOWN else "")
    return f"{len(lines)} {'row' if len(lines) == 1 else 'rows'} ({'line' if len(lines) == 1 else 'lines'} {shown})"
