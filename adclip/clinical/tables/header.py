"""The first row of a table: names as written, in lower case, and as the table's dialect spells them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from adclip.clinical.dialects import Dialect, Rule


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
