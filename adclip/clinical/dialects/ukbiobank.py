"""UK Biobank: columns called by field, instance and array, `21003-2.0`, `f.21003.2.0` or `p21003_i2`; a row for each person.

Fields and codes: UK Biobank's showcase, as published scripts read it - 31 sex (0 female, 1 male), 21003 age when attending the
assessment centre, 53 the day of it, 25019 and 25020 the hippocampi by FSL FIRST in mm3. Instances 0 and 1 are visits without MRI,
2 and later ones are of imaging.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from adclip.clinical.columns import MISSING, parse_cell
from adclip.clinical.dialects.base import Dialect, Rule, codes, to_date

SOURCE = "FSL FIRST (UK Biobank)"
_IDS = ("eid", "f.eid", "participant.eid")
_INSTANCE = "instance (uk biobank)"  # the column that `by_instance` adds
_FIRST_OF_IMAGING = 2
_SEX, _DAY, _AGE, _LEFT, _RIGHT = 31, 53, 21003, 25019, 25020
_OF_A_VISIT = frozenset({_DAY, _AGE, _LEFT, _RIGHT})
_MARKS = frozenset({_SEX, *_OF_A_VISIT})
_NAMES = (
    re.compile(r"x?(\d{1,6})[-.](\d)\.(\d+)"),  # R writes X31.0.0
    re.compile(r"f\.(\d{1,6})\.(\d)\.(\d+)"),
    re.compile(r"(?:participant\.)?p(\d{1,6})(?:_i(\d))?(?:_a(\d+))?"),
)
Record = tuple[int, list[str]]


def _field_of(name: str) -> tuple[int, int, int] | None:
    """Return field, instance and array of a column's name; instance and array 0 where the name has none."""
    for pattern in _NAMES:
        if match := pattern.fullmatch(name.strip().lower()):
            field, instance, array = match.groups()
            return int(field), int(instance or 0), int(array or 0)
    return None


def is_ukbiobank(shown: Sequence[str]) -> bool:
    """Whether a header is of UK Biobank: its id and a field of those that are read."""
    plain = [name.strip().lower() for name in shown]
    fields = {field[0] for name in plain if (field := _field_of(name)) is not None}
    return any(name in _IDS for name in plain) and bool(fields & _MARKS)


def is_of_a_visit(name: str) -> bool:
    """Whether a column is a field that is read of each visit."""
    named = _field_of(name)
    return named is not None and named[0] in _OF_A_VISIT


def by_instance(shown: Sequence[str], records: Iterator[Record]) -> tuple[list[str], Iterator[Record]]:
    """Return the header and the rows of UK Biobank's table with a row for each visit of imaging.

    Parameters
    ----------
    shown : sequence of str
        Names of the columns as written.
    records : iterator of (int, list of str)
        Lines and cells.

    Returns
    -------
    shown : list of str
        The columns that are of the person, as written; one column for each field of a visit, called by the first instance that it
        has; and the instance.
    records : iterator of (int, list of str)
        One row for each instance with a cell that says something, one without an instance where there is none.
    """
    fields = [_field_of(name) for name in shown]
    places: dict[int, dict[int, int]] = {}
    for place, named in enumerate(fields):
        if named and named[0] in _OF_A_VISIT and named[1] >= _FIRST_OF_IMAGING and not named[2]:
            places.setdefault(named[1], {})[named[0]] = place
    of_visits = {place for row in places.values() for place in row.values()}
    kept = [place for place in range(len(shown)) if place not in of_visits]
    first = {
        field: place for row in reversed(list(dict(sorted(places.items())).values())) for field, place in row.items()
    }
    header = [*(shown[place] for place in kept), *(shown[place] for place in first.values()), _INSTANCE]

    def rows() -> Iterator[Record]:
        for line, cells in records:
            if len(cells) != len(shown):
                yield line, cells  # refused as it stands
                continue
            person = [cells[place] for place in kept]
            visits = [
                (instance, [cells[row[field]] if field in row else "" for field in first])
                for instance, row in sorted(places.items())
            ]
            told = [
                (instance, values)
                for instance, values in visits
                if any(value.strip() not in MISSING for value in values)
            ]
            for instance, values in told:
                yield line, [*person, *values, str(instance)]
            if not told:
                yield line, [*person, *[""] * len(first), ""]

    return header, rows()


def _respell(name: str) -> str:
    """Return the name of a field as the rules have it, whatever the form and the instance: ``31``; of recruitment ``21003 at 0``."""
    named = _field_of(name)
    if named is None or named[2] or named[0] not in _MARKS:
        return name
    field, instance, _ = named
    early = field in _OF_A_VISIT and instance < _FIRST_OF_IMAGING
    return f"ukb {field} at {instance}" if early or (field == _SEX and instance) else f"ukb {field}"


def scan_key(name: str) -> tuple[str, str | None] | None:
    """Return id and instance of ``1234567_20252_2_0``, as UK Biobank calls the bulk files of a T1.

    What may follow is the ending of a file or BIDS's ``_T1w``; `sub-` stands in front where a dataset was made of such files.
    """
    match = re.fullmatch(r"(?:sub-)?(\d{7})_(?:20252|20216|20263)_(\d)_\d+(?:[_.].*)?", name)
    return (match[1], match[2]) if match else None


UKBIOBANK = Dialect(
    name="UK Biobank",
    signatures=tuple(frozenset({name, _INSTANCE}) for name in _IDS),
    rules=(
        *(Rule("subject_id", (name,), "UK Biobank's id of the person", read=lambda cell: parse_cell("subject_id", cell)) for name in _IDS),
        Rule("session_id", (_INSTANCE,), "instance: 2 is the first visit of imaging, 3 the repeat"),
        Rule("sex", (f"ukb {_SEX}",), "field 31: 0 = F, 1 = M", "code", codes("sex", {"0": "F", "1": "M", "Female": "F", "Male": "M"})),
        Rule("age_years", (f"ukb {_AGE}",), "field 21003: age at the visit of imaging", "years"),
        Rule("visit_date", (f"ukb {_DAY}",), "field 53: day of the visit", "", to_date),
        Rule("hippocampus_left_mm3", (f"ukb {_LEFT}",), "field 25019: FSL FIRST", "mm3"),
        Rule("hippocampus_right_mm3", (f"ukb {_RIGHT}",), "field 25020: FSL FIRST", "mm3"),
    ),
    volumes_source=SOURCE,
    unused={
        r"ukb \d+ at \d+": "of a visit without MRI, years before any scan",
        r"(x?21022[-.]0\.0|f\.21022\.0\.0|(participant\.)?p21022)": "age at recruitment, years before any scan",
        r"(x?54[-.]\d\.0|f\.54\.\d\.0|(participant\.)?p54(_i\d)?)": "the assessment centre; no report uses it",
        r"x?\d+[-.]\d\.\d+|f\.\d+\.\d\.\d+|(participant\.)?p\d+(_i\d)?(_a\d+)?": "another field; no report uses it",
    },
    scan_key=scan_key,
    respell=_respell,
)  # fmt: skip
