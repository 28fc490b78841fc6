"""Days written in the order that a user declares, `--column visit_date=YOURS:DMY`, or counted as spreadsheets do, `:SERIAL`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, timedelta

from adclip.clinical.columns import CellError

_ORDERS, SERIAL = ("YMD", "DMY", "MDY"), "SERIAL"
FORMS = (*_ORDERS, SERIAL)
# Day 0 of spreadsheets, whose 1900 has a 29th of February; numbers of five digits are days of 1927 to 2173.
_DAY_0 = date(1899, 12, 30)
_COUNTED = re.compile(r"\d{5}(\.\d+)?")

_MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1)}  # fmt: skip
_TIME = re.compile(r"[T\s]+\d{1,2}:\d\d(:\d\d(\.\d+)?)?(\s*[ap]m)?(Z|[+-]\d\d:?\d\d)?$", re.IGNORECASE)
_PARTS = re.compile(r"\d+|[a-z]+", re.IGNORECASE)
_MONTHS_A_YEAR = 12
_FIRST_YEAR, _LAST_YEAR = 1800, 2199  # BIDS shifts days to before 1925
# Where the year stands in eight digits. No cell fits both: behind a year comes a month, and no year begins like one.
_EIGHT_DIGITS = {
    "YMD": re.compile(r"(18|19|20|21)\d\d(0[1-9]|1[0-2])\d\d"),
    "DMY": re.compile(r"(0[1-9]|[12]\d|3[01]){2}(18|19|20|21)\d\d"),  # or MDY
}
_DAY = re.compile(r"[0-9a-z]+([\s/.,-]+[0-9a-z]+){0,2}", re.IGNORECASE)


def date_reader(form: str) -> Callable[[str], str | None]:
    """Return a reader of days in one order of year, month and day.

    Parameters
    ----------
    form : str
        One of `FORMS`; `SERIAL` reads a number of days, see `is_counted`. Of the others parts are numbers, or English names for the month; between them stand slashes, points, dashes or blanks, or
        nothing (``31052012``, ``31may2012``). A time of day behind them is passed over.

    Returns
    -------
    callable
        Takes a cell; returns YYYY-MM-DD, None for an empty one, and raises `CellError`. Years need four digits: two do not tell
        1912 from 2012.
    """
    if form == SERIAL:
        return _to_counted_day

    def read(cell: str) -> str | None:
        if not cell:
            return None
        if is_counted(cell):
            raise CellError("a day as spreadsheets count them", f"declare that: `:{SERIAL}` in place of `:{form}`")
        day = _TIME.sub("", cell)
        parts = _split(day, form) if _DAY.fullmatch(day) else []
        if len(parts) != 3:
            raise _not_of(form)
        found = dict(zip(form, parts, strict=True))
        if len(found["Y"]) == 2 and not any(len(part) == 4 for part in parts):
            raise CellError("a year of two digits", "write years with four digits: 12 may be 1912 or 2012")
        month = _MONTHS.get(found["M"][:3].lower(), 0) if found["M"].isalpha() else int(found["M"])
        try:
            if len(found["Y"]) != 4 or not _FIRST_YEAR <= int(found["Y"]) <= _LAST_YEAR:
                raise ValueError  # 20111231 read as day, month, year is of 1120
            return date(int(found["Y"]), month, int(found["D"])).isoformat()
        except ValueError:
            raise _not_of(form) from None

    return read


def is_counted(cell: str) -> bool:
    """Whether a cell may be a day as spreadsheets count them, 43558 for 2019-04-03; a fraction is the time of day."""
    return _COUNTED.fullmatch(cell.strip()) is not None


def _to_counted_day(cell: str) -> str | None:
    if not cell:
        return None
    if not is_counted(cell):
        raise CellError(
            "not a day as spreadsheets count them",
            "if the column has dates, declare their order: `:YMD`, `:DMY` or `:MDY`",
        )
    return (_DAY_0 + timedelta(days=int(cell.partition(".")[0]))).isoformat()


def order_of(cells: Iterable[str]) -> str | None:
    """Return the order in which a column writes its days, None where the cells leave it open, contradict, or are no days.

    Parameters
    ----------
    cells : iterable of str
        Of the column. A number above 12 can be no month; of eight digits the year is the four that can be a year.

    Examples
    --------
    >>> order_of(["03/04/2011", "12/31/2011"])
    'MDY'
    >>> order_of(["21122011", "05122011"])
    'DMY'
    """
    found = set()
    for cell in cells:
        day = _TIME.sub("", cell.strip())
        form = next((form for form, pattern in _EIGHT_DIGITS.items() if pattern.fullmatch(day)), None)
        parts = _split(day, form) if form is not None else _PARTS.findall(day)
        if len(parts) != 3:
            continue
        if len(parts[0]) == 4:
            found.add("YMD")
        elif parts[0].isalpha():
            found.add("MDY")
        elif len(parts[2]) == 4 and (parts[1].isalpha() or int(parts[0]) > _MONTHS_A_YEAR):
            found.add("DMY")
        elif len(parts[2]) == 4 and int(parts[1]) > _MONTHS_A_YEAR:
            found.add("MDY")
    return found.pop() if len(found) == 1 else None


def _split(day: str, form: str) -> list[str]:
    if re.fullmatch(r"\d{8}", day):
        cuts = {"YMD": (4, 6), "DMY": (2, 4), "MDY": (2, 4)}[form]
        return [day[: cuts[0]], day[cuts[0] : cuts[1]], day[cuts[1] :]]
    return _PARTS.findall(day)


def _not_of(form: str) -> CellError:
    others = " or ".join(f"`:{other}`" for other in _ORDERS if other != form)
    return CellError(
        f"not a day in the order {form}",
        f"if the column has another order, declare that: {others} in place of `:{form}`",
    )
