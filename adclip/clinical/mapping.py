"""What the user says of a table's columns: ``--column canonical=theirs``, with a unit or the meaning of codes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from adclip.clinical.columns import COLUMNS, UNITS, CellError, near_miss
from adclip.clinical.dialects.base import Reader, Rule, codes, scaled
from adclip.clinical.dialects.canonical import unit_of
from adclip.errors import ConfigError

_CODES = re.compile(r"[^=,]+=[^=,]*(,[^=,]+=[^=,]*)*")
_KINDS = {"mm3": {"mm3", "cm3", "ml"}, "years": {"years", "months", "days"}}


@dataclass(frozen=True)
class Mapping:
    """One ``canonical=theirs`` with what follows the last colon.

    Parameters
    ----------
    column : str
        Canonical column.
    theirs : str
        Name in the table; compared without case.
    suffix : str
        A unit, ``cm3``, or codes, ``1=M,2=F``; empty for none.
    """

    column: str
    theirs: str
    suffix: str = ""

    def rule_for(self, names: Iterable[str]) -> Rule | None:
        """Return the rule for a table with these column names in lower case, or None if it has no such column."""
        names = set(names)
        whole = f"{self.theirs}:{self.suffix}".lower() if self.suffix else self.theirs.lower()
        if whole in names:  # a colon may also belong to the name
            return Rule(self.column, (whole,), f"mapped by --column {self.column}", unit_of(self.column))
        if self.suffix and self.theirs.lower() in names:
            return Rule(self.column, (self.theirs.lower(),), f"mapped by --column, as {self.suffix}", *self._reading())
        return None

    def _reading(self) -> tuple[str, Reader | None]:
        if self.suffix in UNITS:
            return self.suffix, scaled(self.column, UNITS[self.suffix])
        return "code", codes(self.column, dict(pair.split("=") for pair in self.suffix.split(",")))


def parse_mappings(texts: Iterable[str]) -> list[Mapping]:
    """Read the values of ``--column``.

    Raises
    ------
    ConfigError
        If one is malformed, names no canonical column, or a unit or code that the column cannot have.
    """
    found: dict[str, Mapping] = {}
    for text in texts:
        column, equals, theirs = (part.strip() for part in text.partition("="))
        if not equals or not column or not theirs:
            raise ConfigError.bad_value("--column", f"`{text}` is not of the form canonical=theirs")
        if column not in COLUMNS:
            meant = near_miss(column)
            remedy = f"did you mean `{meant}`?" if meant else f"canonical columns: {', '.join(COLUMNS)}"
            raise ConfigError.bad_value("--column", f"`{column}` is not a canonical column", remedy)
        if column in found:
            raise ConfigError.bad_value("--column", f"`{column}` is mapped twice", "keep one of the two")
        found[column] = _split(column, theirs)
    taken: dict[str, str] = {}
    for mapping in found.values():
        if taken.setdefault(mapping.theirs.lower(), mapping.column) != mapping.column:
            raise ConfigError.bad_value(
                "--column", f"`{mapping.theirs}` is mapped to two canonical columns", "keep one of the two"
            )
    return list(found.values())


def _split(column: str, theirs: str) -> Mapping:
    name, colon, suffix = theirs.rpartition(":")
    name, suffix = name.strip(), suffix.strip()
    unit_name = {"cc": "cm3"}.get(suffix.lower(), suffix.lower())
    if unit_name in UNITS:
        suffix = unit_name
    if not colon or not name or not (suffix in UNITS or _CODES.fullmatch(suffix)):
        return Mapping(column, theirs)
    unit = unit_of(column)
    if suffix in UNITS and suffix not in _KINDS.get(unit, set()):
        raise ConfigError.bad_value("--column", f"`{column}` cannot be in {suffix}", f"it is in {unit or 'no unit'}")
    if suffix not in UNITS:
        named = [pair.partition("=")[0] for pair in suffix.split(",")]
        if twice := {code for code in named if named.count(code) > 1}:
            raise ConfigError.bad_value("--column", f"code `{min(twice)}` of `{column}` has two meanings", "keep one")
        try:
            codes(column, dict(pair.split("=") for pair in suffix.split(",")))
        except CellError as error:
            raise ConfigError.bad_value("--column", f"a code of `{column}` means {error.why}", error.remedy) from None
    return Mapping(column, name, suffix)
