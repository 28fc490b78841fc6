"""The canonical columns of a metadata table: their names, units, plausible ranges, and how one cell is read.

A cell is text. It becomes a value of its column's type, None where it says that it is unknown, or a `CellError` that names
the class of what stands there and never the thing itself, because clinical values must not reach logs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from adclip.domain import Diagnosis
from adclip.errors import OutputError
from adclip.runtime.paths import check_id
from adclip.runtime.spreadsheets import unescape_cell

MISSING = frozenset({"", "n/a", "N/A", "NA", "nan", "NaN"})

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_NUMBER_WITH_UNIT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)\s*[A-Za-z%].*")
_OF_A_MAXIMUM = re.compile(r"\d+(\.\d+)?\s*(/|of|out of)\s*\d+")
_SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d+")  # 1.00E+05
_COMMA_NUMBER = re.compile(r"[+-]?[\d.]+(,\d+)+(\.\d+)?")


class CellError(ValueError):
    """What is wrong with one cell: `why` names the class of its content, `remedy` the next step."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why, remedy)
        self.why = why
        self.remedy = remedy


class CommaNumberError(CellError):
    """A number with a comma in it: of decimals or of thousands, one cell alone does not say."""


class NoClassError(CellError):
    """A word or a code for a diagnosis that is none of the classes: what it means, the user can say."""


@dataclass(frozen=True)
class Range:
    """Plausible values of a number.

    Parameters
    ----------
    low, high : float
        Both ends included, in `unit`.
    unit : str
        As a person would write it.
    allowed : tuple of float
        If given, nothing else is accepted.
    whole : bool
        Whether the value becomes an int.
    slips : mapping
        Factor -> what a value looks like if multiplying it by the factor brings it into the range: the usual unit slips.
    usual : tuple of float or None
        Where a value must lie after a slip's factor to be called one; None for the whole range. An age of 170 may be a wrong digit,
        and is not taken for 14 years in months.
    """

    low: float
    high: float
    unit: str
    allowed: tuple[float, ...] = ()
    whole: bool = False
    slips: Mapping[float, str] | None = None
    usual: tuple[float, float] | None = None

    def parse(self, cell: str) -> float | int:
        """Return the number in `cell`, checked; never converted to another unit."""
        value = to_number(cell)
        if self.allowed:
            if value not in self.allowed:
                shown = ", ".join(f"{item:g}" for item in self.allowed)
                raise CellError(f"a number other than {shown}")
        elif not self.low <= value <= self.high:
            looks = self._slip(value)
            if looks and self.usual is None:
                raise CellError(f"looks like {looks}, the column is in {self.unit}", self._cure(looks))
            side = "below" if value < self.low else "above"
            limit = self.low if value < self.low else self.high
            remedy = f"if the column is in {looks}, {self._cure(looks)}; else correct the cell" if looks else ""
            raise CellError(f"a number {side} {limit:g}, the plausible limit in {self.unit}", remedy)
        return int(value) if self.whole else value

    def _slip(self, value: float) -> str:
        """Return what a value outside the range looks like, empty for nothing known."""
        low, high = self.usual or (self.low, self.high)
        return next((looks for factor, looks in (self.slips or {}).items() if low <= value * factor <= high), "")

    def _cure(self, looks: str) -> str:
        unit = looks.split()[0]
        if unit in UNITS:
            return f"declare it: `--column CANONICAL=YOURS:{unit}`, or convert it to {self.unit}"
        return f"convert it to {self.unit}"


def to_number(cell: str) -> float:
    """Return the number that a cell is, or say what stands there instead."""
    if _NUMBER.fullmatch(cell):
        value = float(cell)
        if math.isfinite(value):
            return value
        raise CellError("a number too large to hold")
    if cell[0] in "<>≤≥":
        raise CellError("a censored value where an exact number is needed")
    if _COMMA_NUMBER.fullmatch(cell):
        raise CommaNumberError("a number with a comma in it", "write decimals with a point and no thousands separators")
    if _OF_A_MAXIMUM.fullmatch(cell):
        raise CellError("points of a maximum, such as 3/5", "leave only the points in the cell")
    if _NUMBER_WITH_UNIT.fullmatch(cell):
        raise CellError("a number followed by a unit or text", "leave only the number in the cell")
    raise CellError("text where a number is needed")


_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}


def _to_sex(cell: str) -> str:
    sex = _SEXES.get(cell.lower())
    if sex is not None:
        return sex
    kind, example = ("a number code", "1=M,2=F") if _NUMBER.fullmatch(cell) else ("text", "w=F,m=M")
    raise CellError(
        f"{kind} other than F or M", f"write F or M, or say what the codes mean: `--column sex=YOURS:{example}`"
    )


_GENOTYPES = re.compile(r"(?:apo)?[e\u03b5]?([234])\s*[/|_-]?\s*[e\u03b5]?([234])", re.IGNORECASE)
_E4_COUNTS = Range(0, 2, "alleles", allowed=(0, 1, 2), whole=True)


def _to_e4_count(cell: str) -> float | int:
    """Read a number of alleles; of a genotype that can be no number (e3/e4, 3/4) the number of its 4s."""
    alleles = _GENOTYPES.fullmatch(cell)
    if alleles is None:
        return _E4_COUNTS.parse(cell)
    if cell.isdigit():  # 34 is a genotype, if it is no slip
        raise CellError(
            "a number other than 0, 1, 2",
            "if the column holds genotypes of two digits, declare them: `--column apoe4_count=YOURS:genotype`",
        )
    return alleles.groups().count("4")


def _to_diagnosis(cell: str) -> Diagnosis:
    name = cell.upper()
    if name == "NC":  # the method's word for the same group
        return Diagnosis.CN
    if name in Diagnosis.__members__:
        return Diagnosis[name]
    kind = "a number code" if _NUMBER.fullmatch(cell) else "text"
    raise NoClassError(f"{kind} other than CN, MCI or AD", "write CN, MCI or AD, or leave it empty if unknown")


def _to_date(cell: str) -> str:
    try:
        if not _DATE.fullmatch(cell):  # Python also reads weeks, ordinals and dates without dashes, which may be slips
            raise ValueError
        return date.fromisoformat(cell).isoformat()
    except ValueError:
        raise CellError("not a date in the form YYYY-MM-DD", "write year-month-day, e.g. 2012-05-31") from None


def _to_id(prefix: str) -> Callable[[str], str]:
    def parse(cell: str) -> str:
        if _SHORTENED.fullmatch(cell):
            raise CellError(
                "a number that a spreadsheet has shortened: digits of the id are lost",
                "take the ids from their source again, and keep the column as text in the spreadsheet",
            )
        name = re.sub(f"^{prefix}", "", unescape_cell(cell), flags=re.IGNORECASE)
        try:
            return check_id("id", name)
        except OutputError:  # its text quotes the id
            raise CellError("not an id (letters, digits, `.`, `_`, `-`, up to 64 characters)", "rename it") from None

    return parse


# Units that `--column canonical=theirs:UNIT` may declare: what a number in it is multiplied by.
UNITS: dict[str, float] = {"mm3": 1.0, "cm3": 1e3, "ml": 1e3, "years": 1.0, "months": 1 / 12, "days": 1 / 365.25}


def _volume(low: float, high: float) -> Callable[[str], float | int]:
    # Bounds are wide on purpose, about half of the smallest and twice the largest human value over 20-95 years and over
    # segmentation tools: they exist to catch a wrong unit, not an unusual brain.
    return Range(low, high, "mm3", slips={1e3: "cm3 (ml)", 1e-3: "thousandths of mm3"}).parse


_MONTHS_AND_DAYS = {1 / 12: "months", 1 / 365.25: "days"}

# Canonical column -> how its cell is read. Names and units: the project's contract; scores by their definition.
COLUMNS: dict[str, Callable[[str], Any]] = {
    "subject_id": _to_id("sub-"),
    "session_id": _to_id("ses-"),
    "visit_date": _to_date,
    "age_years": Range(0, 120, "years", slips=_MONTHS_AND_DAYS, usual=(18, 110)).parse,
    "sex": _to_sex,
    "education_years": Range(0, 40, "years", slips={1 / 12: "months"}, usual=(5, 25)).parse,
    "apoe4_count": _to_e4_count,
    "mmse": Range(0, 30, "points").parse,  # Folstein et al. 1975
    "cdr_global": Range(0, 3, "points", allowed=(0, 0.5, 1, 2, 3)).parse,  # Morris 1993
    "diagnosis": _to_diagnosis,
    "icv_mm3": _volume(5e5, 2.5e6),
    "hippocampus_mm3": _volume(1000, 20000),
    "hippocampus_left_mm3": _volume(500, 10000),
    "hippocampus_right_mm3": _volume(500, 10000),
    "ventricles_mm3": _volume(1000, 500000),
    "whole_brain_mm3": _volume(4e5, 2.2e6),
    "entorhinal_mm3": _volume(300, 20000),
    "fusiform_mm3": _volume(2000, 60000),
    "middle_temporal_mm3": _volume(2000, 80000),
    "scan": unescape_cell,
}
# Volumes that are read where a table has them and that no report prints: they serve the medial temporal norm score. A temporal
# horn may be closed, so it has no smallest volume; a wrong unit then shows in the hippocampus, without which there is no score.
FURTHER_VOLUMES: dict[str, Callable[[str], float | int]] = {
    "amygdala_left_mm3": _volume(150, 6000),
    "amygdala_right_mm3": _volume(150, 6000),
    "inferior_lateral_ventricle_left_mm3": Range(0, 60000, "mm3").parse,
    "inferior_lateral_ventricle_right_mm3": Range(0, 60000, "mm3").parse,
}


def parse_cell(column: str, cell: str) -> Any:
    """Return the value of one cell, or None where it is declared missing.

    Raises
    ------
    CellError
        If the content does not fit the column.
    """
    cell = cell.strip()
    return None if cell in MISSING else COLUMNS[column](cell)


def read_further(column: str) -> Callable[[str], float | int | None]:
    """Return a reader of cells of one of `FURTHER_VOLUMES`; an empty one is unknown."""
    return lambda cell: FURTHER_VOLUMES[column](cell) if cell else None


def are_plausible(volumes: Mapping[str, float]) -> bool:
    """Whether all volumes lie where a table's cell may: a segmentation that failed in one place is trusted in none."""
    readers = {**COLUMNS, **FURTHER_VOLUMES}
    try:
        for name in volumes.keys() & readers.keys():
            readers[name](f"{volumes[name]:.1f}")
    except CellError:
        return False
    return True


def to_further(values: Mapping[str, Any]) -> tuple[tuple[str, float], ...] | None:
    """Return the further volumes among the values of a row, as a Visit keeps them; None where there are none."""
    return tuple((column, float(values[column])) for column in FURTHER_VOLUMES if column in values) or None
