"""What the page of one scan says, in plain types: kept in the scan's record, and read back without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from adclip.prediction.stored import to_dataclass
from adclip.told import to_plain


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Parameters
    ----------
    text : str
    place : float or None
        0 to 100, where a bar is drawn that shows where the value lies; None draws none.
    """

    text: str
    place: float | None = None


@dataclass(frozen=True)
class Table:
    """A table with its caption.

    Parameters
    ----------
    caption : str
    header : tuple of str
    rows : tuple of tuple of Cell
        The first cell of a row says what the row is of.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Region:
    """A row of the table of regions.

    Parameters
    ----------
    name : str
    cells : tuple of str
        Its numbers, under the table's header.
    code : int or None
        Its value in the viewer's label image; None where it has none.
    peak_mm : tuple of float or None
        Where the map is strongest in it, in millimetres of the image shown (x, y, z).
    """

    name: str
    cells: tuple[str, ...]
    code: int | None = None
    peak_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Regions:
    """The table of regions, whose rows move the viewer's crosshair; `header` has the region's name first."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[Region, ...]


@dataclass(frozen=True)
class Word:
    """A word of the report and its signed relevance, in units of the explained number."""

    text: str
    relevance: float


@dataclass(frozen=True)
class Curve:
    """The explained number as patches are changed in the order of the map, beside random orders.

    Parameters
    ----------
    name : str
        `deletion` or `insertion`.
    x : tuple of float
        Share of the brain's patches that is changed, 0 to 1.
    y : tuple of float
        The explained number.
    random_low, random_high : tuple of float
        The least and the largest of the random orders.
    reference : str
        What takes the place of a patch.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    random_low: tuple[float, ...]
    random_high: tuple[float, ...]
    reference: str = ""


@dataclass(frozen=True)
class Line:
    """A class and its probability for each value of a panel's x."""

    name: str
    y: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """Probabilities of each class over one changed number.

    Parameters
    ----------
    title : str
        What was changed: the scan itself, or the number in the table.
    x_label : str
    x : tuple of float
        For a structure that shrinks 1.0 first; drawn in the order given.
    lines : tuple of Line
        One a class.
    """

    title: str
    x_label: str
    x: tuple[float, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class WhatIf:
    """The same change made in the scan and in the table, side by side; None where it was not asked for or cannot be made."""

    caption: str
    image: Panel | None = None
    table: Panel | None = None


@dataclass(frozen=True)
class PageContent:
    """Everything that a page says of one scan, but for its picture and the images of the viewer.

    Parameters
    ----------
    title : str
        Such as `sub-01`.
    scan : str
        Name of the file.
    status : str
        `ok`, `caution` or `refer`.
    answer : str or None
        The predicted class.
    target : str
        Class or score that is explained.
    explained : str
        The explained number in words.
    verdict : str
        Whether the map can be believed, in words.
    doubtful : bool
        Whether it had better not be.
    notice : str
    probabilities : mapping
        Class -> probability.
    score : str
        The estimated score in words, empty where there is none.
    reasons : tuple of str
        Why the status is not `ok`.
    report : str
        The report that was read, empty where there was none.
    words : tuple of Word
    facts : mapping
        Name -> text.
    tables : tuple of Table
    regions : Regions or None
    sentences : tuple of str
        Which regions hold most of the map, and how large they are.
    curves : tuple of Curve
    orders : int
        Random orders that the curves are beside.
    measured : tuple of Table
        What was measured of the map.
    what_if : WhatIf or None
    self_test : Table or None
        How the method does where the truth is known.
    provenance : mapping
        Name -> text: by what the page can be made again.
    thumbnail : str
        A small picture for the index, WebP as base64.
    """

    title: str
    scan: str
    status: str
    answer: str | None
    target: str
    explained: str
    verdict: str
    doubtful: bool
    notice: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    score: str = ""
    reasons: tuple[str, ...] = ()
    report: str = ""
    words: tuple[Word, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    regions: Regions | None = None
    sentences: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    orders: int = 1
    measured: tuple[Table, ...] = ()
    what_if: WhatIf | None = None
    self_test: Table | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    thumbnail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        plain: dict[str, Any] = to_plain(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PageContent:
        """Return what `to_dict` gave."""
        return to_dataclass(cls, content)
