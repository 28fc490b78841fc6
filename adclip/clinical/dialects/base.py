"""What a dialect is: the columns of one kind of table, what each of them means, and how its cells are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

from adclip.clinical.columns import CellError, Range, parse_cell

# Columns that serve the join or a computation and never leave it. They begin with `_`, so that none is taken for a
# canonical one: days since the study's own day 0, year or month (YYYY-MM) of birth, age in years on day 0 and the date of
# that day, age at the session that is called the baseline.
DAY, BIRTH_YEAR, BIRTH_MONTH = "_day", "_birth_year", "_birth_month"
AGE_AT_ENTRY, ENTRY_DATE, AGE_AT_BASELINE = "_age_at_entry", "_entry_date", "_age_at_baseline"
OF_THE_PERSON = frozenset({BIRTH_YEAR, BIRTH_MONTH, AGE_AT_ENTRY, ENTRY_DATE, AGE_AT_BASELINE})
AUXILIARY = frozenset({DAY, *OF_THE_PERSON})

Reader = Callable[..., Any]
ScanKey = Callable[[str], "tuple[str, str | None] | None"]


@dataclass(frozen=True)
class Rule:
    """How one canonical column is read from a table.

    Parameters
    ----------
    column : str
        Canonical column, or one of `AUXILIARY`.
    sources : tuple of str
        Names of the columns that it is read from, in lower case; all of them must be there for the rule to hold.
    why : str
        What the source says of itself, for people: where it is measured, how it is combined.
    unit : str
        Of the source; the canonical column has its own.
    read : callable or None
        Takes the cells of `sources`, stripped, with declared missing codes already empty; returns the value or None, and
        raises `CellError`. None reads the one cell as the canonical column is read.
    beside : tuple of str
        Names of columns that must be there as well and are not read: they tell what file of a study it is.
    without : tuple of str
        Names of columns of which none may be there.
    note : str
        What the user must be told where the rule is used: that a number is converted, which codes count.
    standby : int
        Of two different values for one visit of a study, that of the lower number counts; two of 0 contradict each other.
        Each form of a visit has a date of its own, and they differ by days.
    """

    column: str
    sources: tuple[str, ...]
    why: str
    unit: str = ""
    read: Reader | None = None
    beside: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    note: str = ""
    standby: int = 0


@dataclass(frozen=True)
class Tall:
    """A kind of table that may have a row for each parameter of a visit.

    Parameters
    ----------
    code : str
        Column that names the parameter, in lower case; a table without it has a row a visit.
    read : frozenset of str
        Parameters that are read, in lower case.
    """

    code: str
    read: frozenset[str]


@dataclass(frozen=True)
class Derived:
    """A canonical column that is computed after several tables were joined, where no table has it.

    Parameters
    ----------
    column : str
        Canonical column.
    needs : tuple of str
        Canonical or auxiliary columns; computed only if a visit has them all.
    compute : callable
        Takes the values of `needs`; returns the value or None.
    why : str
        The computation in words.
    absent : tuple of str
        Columns of which the visit may have none.
    """

    column: str
    needs: tuple[str, ...]
    compute: Callable[..., Any]
    why: str
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dialect:
    """One kind of table.

    Parameters
    ----------
    name : str
        As people call it.
    signatures : tuple of frozenset of str
        Names in lower case; a header that holds all of any one of them is of this dialect. No diagnosis and no score is among
        them: a table must be known without the answers, which a new patient's lacks.
    rules : tuple of Rule
        In order of preference: the first whose sources are all there wins its column.
    missing : frozenset of str
        Cells that the study declares to mean "unknown", beside the empty ones.
    derived : tuple of Derived
        Computed after joining.
    volumes_source : str or None
        Program that measured the volumes.
    definitions : mapping of str to str
        Canonical volume -> the structures that it sums here.
    unused : mapping of str to str
        Pattern of a column name in lower case -> what it holds and why no report reads it.
    canonical_names : bool
        Whether columns that bear a canonical name are read as such beside the rules.
    scan_key : callable or None
        For a study: takes the name of a scan's file, with its ending, or of a folder above it, or an id made of them;
        returns subject and session as the study's tables write them (the session None where the name has none), or None
        for a name that is not the study's.
    respell : callable or None
        Takes a name in lower case; returns how the rules spell it, where another release of the study writes it otherwise.
    tall : Tall or None
        For tables with a row for each parameter.
    unread : mapping of str to str
        Name of a column in lower case -> what the user must be told where nobody reads it.
    """

    name: str
    signatures: tuple[frozenset[str], ...]
    rules: tuple[Rule, ...]
    missing: frozenset[str] = frozenset()
    derived: tuple[Derived, ...] = ()
    volumes_source: str | None = None
    definitions: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)
    canonical_names: bool = True
    scan_key: ScanKey | None = None
    respell: Callable[[str], str] | None = None
    tall: Tall | None = None
    unread: Mapping[str, str] = field(default_factory=dict)

    def spell(self, names: Sequence[str]) -> list[str]:
        """Return column names, in lower case, as the rules spell them.

        R makes a name of its own of each that is none in R: ``M/F`` becomes ``M.F``, ``3rd ventricle`` ``X3rd.ventricle``.
        A name that the rules know already stays, and so does one whose other spelling stands in the header as well.
        """
        source_names = {source for rule in self.rules for source in rule.sources}.union(*self.signatures)
        made_by_r = {_made_by_r(name): name for name in sorted(source_names)}
        respell = self.respell or str
        spelled = []
        for name in names:
            rule_name = name if name in source_names else made_by_r.get(name, respell(name))
            spelled.append(name if rule_name in names else rule_name)
        return spelled

    def fits(self, names: frozenset[str]) -> bool:
        """Whether a header of these names, in lower case, is of this dialect."""
        return any(signature <= names for signature in self.signatures)

    def why_not(self, name: str) -> str | None:
        """Return what an unused column holds, or None if the dialect does not know it."""
        for pattern, meaning in self.unused.items():
            if re.fullmatch(pattern, name.lower()):
                return meaning
        return None


@cache
def _made_by_r(name: str) -> str:
    """Return what R's `make.names` makes of a column's name."""
    r_name = re.sub(r"[^A-Za-z0-9._]", ".", name)
    return r_name if re.match(r"[A-Za-z]|\.(?!\d)", r_name) else f"X{r_name}".lower()


# ----------------------------------------------------------------------------------------------- readers that dialects share


def codes(column: str, meaning: Mapping[str, str], parse: Callable[[str], Any] | None = None) -> Reader:
    """Return a reader of coded cells: code as the study writes it -> text of the canonical column, empty for unknown.

    `parse` reads that text; by default as the canonical column is read.

    Codes are compared as numbers where they are numbers, so that ``1`` and ``1.0`` are the same, else without case.
    """
    read_text = parse or (lambda text: parse_cell(column, text))
    values_by_code = {folded_code(key): (None if value == "" else read_text(value)) for key, value in meaning.items()}

    def read(cell: str) -> Any:
        if not cell:
            return None
        try:
            return values_by_code[folded_code(cell)]
        except KeyError:
            shown = ", ".join(key for key in meaning if key)
            raise CellError(
                f"a code other than {shown}",
                "say what it means: `--column CANONICAL=YOURS:CODE=MEANING,CODE=MEANING`, no meaning for unknown",
            ) from None

    return read


def folded_code(cell: str) -> str:
    """Return a form of a code in which equal ones are equal: numbers as numbers, words without case."""
    try:
        return repr(float(cell))
    except ValueError:
        return cell.casefold()


def scaled(column: str, factor: float) -> Reader:
    """Return a reader of numbers in another unit: `factor` converts to the canonical one."""
    any_number = Range(float("-inf"), float("inf"), "")

    def read(cell: str) -> Any:
        if not cell:
            return None
        value = any_number.parse(cell)
        try:
            return parse_cell(column, repr(round(value * factor, 9)))
        except CellError as error:
            if factor == 1 or not error.why.startswith("looks like"):
                raise
            # The usual slips are those of a column in the canonical unit; in this one there is another.
            how = "it is plausible as it stands" if _fits(column, cell) else "no unit makes it plausible"
            why = f"a number that is implausible in the column's unit; {how}"
            raise CellError(why, "say which unit it has: `--column CANONICAL=YOURS:UNIT`") from None

    return read


def _fits(column: str, cell: str) -> bool:
    try:
        parse_cell(column, cell)
    except CellError:
        return False
    return True


def total(column: str) -> Reader:
    """Return a reader that adds up all cells in the canonical unit; unknown if any part is unknown."""
    part = Range(0, float("inf"), "mm3")

    def read(*cells: str) -> Any:
        if not all(cells):
            return None
        # Rounded so that the sum of two decimals is what a person would write, whatever the order of the parts.
        return parse_cell(column, repr(round(sum(map(part.parse, cells)), 6)))

    return read


def to_date(cell: str) -> str | None:
    """Read ``YYYY-MM-DD`` or ``M/D/YYYY``, the two forms of LONI's tables; return the first form."""
    if not cell:
        return None
    match = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", cell)
    try:
        if match:
            month, day, year = map(int, match.groups())
            return date(year, month, day).isoformat()
        return date.fromisoformat(cell[:10]).isoformat()
    except ValueError:
        raise CellError("not a date in the form YYYY-MM-DD or M/D/YYYY") from None


def number(low: float, high: float, unit: str) -> Reader:
    """Return a reader of an auxiliary number within a plausible range."""
    plausible = Range(low, high, unit)

    def read(cell: str) -> float | None:
        return plausible.parse(cell) if cell else None

    return read


def count_e4(*alleles: str) -> int | None:
    """Count the e4 alleles of an APOE genotype, given as two cells or as one cell such as ``34`` or ``e3/e4``."""
    if not all(alleles):
        return None
    digits = [digit for cell in alleles for digit in re.findall(r"\d", cell.split(".")[0])]
    if len(digits) != 2 or any(allele not in "234" for allele in digits):
        raise CellError("no APOE genotype: two alleles of 2, 3 and 4 are needed")
    return digits.count("4")
