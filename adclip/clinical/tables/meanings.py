"""What each column of a table is taken for, in words: for `--explain-columns`, dictionaries and hints."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adclip.clinical.column_names import near_miss, unit_in_name
from adclip.clinical.columns import COLUMNS
from adclip.clinical.dialects import Dialect, Rule
from adclip.clinical.dialects.canonical import ANSWERS, unit_of
from adclip.clinical.tables.declared import KINDS, declaration
from adclip.clinical.tables.header import Header

_OF_ONE_OCCASION = re.compile(
    r"(^|[\W_])(bl|base|baseline|sc|scr|screening|entry|intake|first|last|final|enrol\w*)($|[\W_])", re.IGNORECASE
)


@dataclass(frozen=True)
class Meaning:
    """What one column of a file is taken for.

    Parameters
    ----------
    table : str
        Name of the file.
    source : str
        The column's name there; several joined by `` + ``.
    column : str or None
        Canonical column; None if it is not used.
    unit : str
        Of the source.
    why : str
        Why it is read so, or why it is not read.
    """

    table: str
    source: str
    column: str | None
    unit: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"table": self.table, "source": self.source, "column": self.column, "unit": self.unit, "why": self.why}


def meanings_of(
    name: str, dialect: Dialect, rules: Sequence[Rule], header: Header, hints: Sequence[str]
) -> Iterator[Meaning]:
    """Yield what every column of a file is taken for, and why the others are not read.

    Parameters
    ----------
    name : str
        Of the file.
    dialect : Dialect
        Its kind.
    rules : sequence of Rule
        How its columns are read.
    header : Header
        Its names.
    hints : sequence of str
        From `hints_of`.
    """
    by_place: dict[int, list[Rule]] = defaultdict(list)
    for rule in rules:
        by_place[header.place(rule.sources[0])].append(rule)
    used = header.places(rules)
    for place, shown in enumerate(header.shown):
        for rule in by_place.get(place, ()):
            yield Meaning(name, header.show(rule), rule.column, rule.unit, rule.why)
        if shown and place not in used:
            why = dialect.why_not(header.spelled[place]) or next(
                (hint for hint in hints if f"`{shown}`" in hint), _unknown(shown)
            )
            yield Meaning(name, shown, None, "", why)


def _unknown(name: str) -> str:
    return "of one occasion, as its name says, and not of each visit" if _OF_ONE_OCCASION.search(name) else "not known"


def hints_of(path: Path, extra: Sequence[str], dialect: Dialect, used: set[str]) -> Iterator[str]:
    """Yield a sentence for each unused column of a file whose name comes close to a canonical one.

    None for an answer whose name says that it is of one occasion alone, as ``diagnosis_bl``: read as that of every visit it is wrong.
    """
    open_columns = [column for column in COLUMNS if column not in used]
    for name in extra:
        if dialect.why_not(name) is None and (meant := near_miss(name, open_columns)):
            if meant in ANSWERS and _OF_ONE_OCCASION.search(name):
                continue
            unit = unit_in_name(name)
            fits = unit != unit_of(meant) and unit in KINDS.get(unit_of(meant), ())
            shown = declaration(f"{meant}={name}:{unit}" if fits else f"{meant}={name}")
            yield f"column `{name}` of {path.name} is not used; if it holds `{meant}`, add `--column {shown}`"
