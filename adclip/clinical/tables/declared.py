"""What follows the name in ``--column canonical=theirs:...``: a unit, the order of a date, the meaning of codes; one of each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adclip.clinical.columns import COLUMNS, UNITS, CellError, parse_cell
from adclip.clinical.dialects import Rule
from adclip.clinical.dialects.base import Reader, codes, count_e4, scaled
from adclip.clinical.dialects.canonical import unit_of
from adclip.clinical.dialects.missing import unless_missing
from adclip.clinical.tables.dates import FORMS, date_reader
from adclip.errors import ConfigError

_CODES = re.compile(r"[^=,]+=[^=,]*(,[^=,]+=[^=,]*)*")
_GENOTYPE = "GENOTYPE"  # 34 or e3/e4 in a column of e4 alleles
# Unit of a canonical column -> those that its cells may be declared to have
KINDS: Mapping[str, frozenset[str]] = {
    "mm3": frozenset({"mm3", "cm3", "ml"}),
    "years": frozenset({"years", "months", "days"}),
}
# A word that is no declared code may still be one that the column knows: `HC=CN` leaves MCI and AD as they are. A number never is.
_WORDS = frozenset({"sex", "diagnosis"})


@dataclass(frozen=True)
class Declared:
    """What the user says of the cells of one column.

    Parameters
    ----------
    unit : str
        Of `UNITS`; empty for the canonical column's own.
    form : str
        Of `FORMS`, or `GENOTYPE` of the alleles; empty for the canonical column's own.
    meaning : mapping of str to str
        Code -> text of the canonical column.
    unknown : tuple of str
        Codes that mean "unknown". Without any `meaning` all other cells are read as if nothing were declared.
    """

    unit: str = ""
    form: str = ""
    meaning: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def read_unit(self, column: str) -> str:
        """Return the unit of the source, for people."""
        return self.unit or ("code" if self.meaning else unit_of(column))

    def reader(self, column: str, parse: Callable[[str], Any] | None) -> Reader | None:
        """Return a reader of the cells; None for the canonical column's own."""
        if self.meaning:
            return self._coded(column, parse)
        read: Reader | None = None
        if self.unit:
            read = scaled(column, UNITS[self.unit])
        elif self.form == _GENOTYPE:
            read = count_e4
        elif self.form:
            read = date_reader(self.form)
        elif parse is not None:
            read = _unless_empty(parse)
        if not self.unknown:
            return read
        return unless_missing(self.unknown, read or _plain(column))

    def around(self, rule: Rule, name: str) -> Rule | None:
        """Return a study's own rule with the declared unknown codes of one of its columns; None where more is declared.

        So the unit and the meaning that the study gives the column stay.
        """
        if not self.unknown or self.unit or self.form or self.meaning or name not in rule.sources:
            return None
        read = rule.read or _plain(rule.column)
        at = rule.sources.index(name)
        one = unless_missing(self.unknown, lambda cell: cell)

        def read_known(*cells: str) -> Any:
            return read(*(one(cell) if place == at else cell for place, cell in enumerate(cells)))

        why = f"{rule.why}; {', '.join(self.unknown)} unknown, by --column {rule.column}"
        return Rule(
            rule.column, rule.sources, why, rule.unit, read_known, rule.beside, rule.without, rule.note, rule.standby
        )

    def _coded(self, column: str, parse: Callable[[str], Any] | None) -> Reader:
        read_code = codes(column, {**self.meaning, **dict.fromkeys(self.unknown, "")}, parse)

        def read(cell: str) -> Any:
            try:
                return read_code(cell)
            except CellError:
                if column not in _WORDS or parse is not None:
                    raise
                try:
                    return parse_cell(column, cell)
                except CellError:
                    pass
                raise

        return read


def _plain(column: str) -> Reader:
    return lambda cell: COLUMNS[column](cell) if cell else None


def _unless_empty(parse: Callable[[str], Any]) -> Reader:
    return lambda cell: parse(cell) if cell else None


def kind_of(part: str) -> str | None:
    """Return what a part behind a colon declares - a unit, a form or codes -, None where it can only belong to the column's name."""
    if _unit_of(part) in UNITS:
        return "unit"
    if part.upper() in (*FORMS, _GENOTYPE):
        return "form"
    return "codes" if _CODES.fullmatch(part) else None


def declare(column: str, parts: tuple[str, ...], parse: Callable[[str], Any] | None = None) -> Declared:
    """Read the parts behind the colons.

    Parameters
    ----------
    column : str
        Canonical column.
    parts : tuple of str
        Each a unit, the order of a date, or codes; no kind twice.
    parse : callable, optional
        Reads the meaning of a code where a task says how.

    Raises
    ------
    ConfigError
        If the column cannot have such a unit, order or code.
    """
    unit = form = ""
    named: list[tuple[str, str]] = []
    for part in parts:
        kind = kind_of(part)
        if kind == "unit":
            unit = _unit_of(part)
        elif kind == "form":
            form = part.upper()
        else:
            named = [
                (code.strip(), text.strip()) for code, _, text in (pair.partition("=") for pair in part.split(","))
            ]
    own = unit_of(column)
    if unit and unit not in KINDS.get(own, ()):
        raise ConfigError.bad_value("--column", f"`{column}` cannot be in {unit}", f"it is in {own or 'no unit'}")
    if form == _GENOTYPE and column != "apoe4_count":
        raise ConfigError.bad_value(
            "--column", f"`{column}` is no count of alleles, `:genotype` says nothing of it", "leave it out"
        )
    if form and form != _GENOTYPE and column != "visit_date":
        raise ConfigError.bad_value("--column", f"`{column}` is no date, `:{form}` says nothing of it", "leave it out")
    listed = [code for code, _ in named]
    if repeated := {code for code in listed if listed.count(code) > 1}:
        raise ConfigError.bad_value("--column", f"code `{min(repeated)}` of `{column}` has two meanings", "keep one")
    meaning = {code: text for code, text in named if text}
    if meaning and (unit or form):
        raise ConfigError.bad_value(
            "--column",
            f"`{column}` has a {'unit' if unit else 'form'} and codes with a meaning",
            "declare codes for unknown only: `99=`",
        )
    try:
        codes(column, meaning, parse)
    except CellError as error:
        raise ConfigError.bad_value("--column", f"a code of `{column}` means {error.why}", error.remedy) from None
    return Declared(unit, form, meaning, tuple(code for code, text in named if not text))


def _unit_of(text: str) -> str:
    return {"cc": "cm3"}.get(text.lower(), text.lower())


def declaration(text: str) -> str:
    """Return a value of `--column` as a shell takes it."""
    return text if shlex.quote(text) == text or not set(text) & set(" '\"*?$&;()<>|") else f'"{text}"'
