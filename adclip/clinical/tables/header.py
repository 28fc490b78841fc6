"""The first row of a table: names as written, in lower case, and as the table's dialect spells them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adclip.clinical import errors as clinical_errors
from adclip.clinical.dialects import Dialect, Rule
from adclip.clinical.tables import errors


@dataclass(frozen=True)
class Header:
    """The names of a table's columns.

    Parameters
    ----------
    shown : sequence of str
        As written.
    spelled : sequence of str
        In lower case, as the dialect spells them: R writes ``DX.bl`` for ``DX_bl`` and ``M.F`` for ``M/F``.
    """

    shown: Sequence[str]
    spelled: Sequence[str]

    @classmethod
    def of(cls, shown: Sequence[str], dialect: Dialect) -> Header:
        """Spell names as a dialect does."""
        return cls(shown, dialect.spell(to_plain(shown)))

    @cached_property
    def _places(self) -> dict[str, int]:
        """Name -> where it stands, under both spellings: a user may give either to `--column`."""
        names = {name: place for place, name in enumerate(to_plain(self.shown))}
        return names | {name: place for place, name in enumerate(self.spelled)}

    @property
    def names(self) -> frozenset[str]:
        """All names under which a column may be asked for, in lower case."""
        return frozenset(self._places)

    def place(self, name: str) -> int:
        """Return where a column stands, counted from 0."""
        return self._places[name]

    def places(self, rules: Iterable[Rule]) -> frozenset[int]:
        """Return where the columns stand that rules read."""
        return frozenset(self.place(source) for rule in rules for source in rule.sources)

    def show(self, rule: Rule) -> str:
        """Return the names of a rule's columns as written, joined by `` + ``."""
        return " + ".join(self.shown[self.place(source)] for source in rule.sources)


def to_plain(shown: Sequence[str]) -> list[str]:
    """Return names without the blanks round them and in lower case, as they are compared."""
    return [name.strip().lower() for name in shown]


def check_header(path: Path, shown: Sequence[str], known: Collection[str], ignored: Collection[str] = ()) -> None:
    """Refuse a first row that holds values, and names that stand twice.

    Parameters
    ----------
    path : Path
        The file.
    shown : sequence of str
        Cells of its first row.
    known : collection of str
        Names in lower case that somebody reads: any dialect, or the user with `--column`.
    ignored : collection of str
        Names in lower case that may stand twice, as nobody reads them.

    Raises
    ------
    TableError
        If either is so.
    """
    names = to_plain(shown)
    if any(_is_value(cell) for cell in shown) and not set(known).intersection(names):
        raise errors.no_header(path)
    written_names: dict[str, str] = {}
    for written, name in zip(shown, names, strict=True):
        if name and name in written_names and name not in ignored:
            raise clinical_errors.named_twice(path, written_names[name])
        written_names[name] = written


def _is_value(cell: str) -> bool:
    """Whether a cell of the first row is a number or a date, as no column is called; UK Biobank's ``31-0.0`` is a name."""
    plain = cell.strip()
    if re.fullmatch(r"[+-]?\d+([.,]\d+)?", plain):
        return True
    parts = re.fullmatch(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})", plain)
    return parts is not None and 4 in (len(parts[1]), len(parts[4])) and 1 <= int(parts[3]) <= 31
