"""Tables of programs that say nothing of people: structures in rows, numbers for names, percent for millimetres."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from adclip.clinical.dialects import PROGRAMS
from adclip.clinical.dialects.freesurfer_tables import MEASURE
from adclip.clinical.tables import errors
from adclip.clinical.tables.header import to_plain

Records = Iterator[tuple[int, list[str]]]

_LOOKED_AT = 400  # rows: the longest list of structures has about 280
_FEW = 2  # names of structures in one column: one might be a word
# The first cell of asegstats2table and aparcstats2table says what was measured: volumes, or anything else
_OTHER_MEASURE = re.compile(
    r"measure[:.](?!volume$)(\w+)|[lr]h\.[\w.]+\.(area|thickness|thicknessstd|meancurv|gauscurv|foldind|curvind)"
)
_ETIV = "estimatedtotalintracranialvol"


def check_rows(path: Path, shown: Sequence[str], records: Records, said_ids: bool) -> Records:
    """Refuse a table whose rows are structures, row numbers for people, or percent of the intracranial volume.

    Parameters
    ----------
    path : Path
        The table, for messages.
    shown : sequence of str
        Its header.
    records : iterator of (int, list of str)
        Its rows with their lines.
    said_ids : bool
        Whether the user said which column names the subjects.

    Returns
    -------
    iterator of (int, list of str)
        The same rows; the number of a lone row is no longer its name.

    Raises
    ------
    TableError
        With the program's option that made the table so, or because it holds another measure than volumes.
    """
    names = to_plain(shown)
    if names and (measure := _OTHER_MEASURE.fullmatch(names[0])):
        raise errors.other_measure(path, measure[1] or measure[2])
    first = list(islice(records, _LOOKED_AT))
    rows: Iterable[tuple[int, list[str]]] = chain(first, records)
    for place in range(len(names)):
        structures = _structures(cells[place] for _, cells in first if place < len(cells))
        if len(structures) >= _FEW:
            raise errors.rows_are_structures(path, structures, shown, place)
    if names and names[0] == MEASURE:
        listed = list(rows)
        rows = listed if said_ids else _without_numbers(path, listed)
        if _ETIV in names and _are_percent(
            cells[names.index(_ETIV)] for _, cells in listed if len(cells) == len(names)
        ):
            raise errors.percent_of_icv(path)
    return iter(rows)


def _structures(cells: Iterable[str]) -> list[str]:
    """Return the cells that are names of structures, each once; MUSE's bare numbers are none."""
    names = (cell.strip() for cell in cells)
    return list(dict.fromkeys(name for name in names if name.lower() in _NAMES))


_NAMES = frozenset(
    source
    for program in PROGRAMS
    for rule in program.rules
    if rule.column.endswith("_mm3")
    for source in rule.sources
    if not re.fullmatch(r"\d+|entorhinal|fusiform|middletemporal", source) and not source.endswith(".volume")
) | {"entorhinal", "fusiform", "middletemporal"}


def _without_numbers(path: Path, rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Refuse rows that are called 0, 1, 2 ... as `--inputs` calls them; a lone one goes without a name."""
    if [cells[0].strip() for _, cells in rows] != [str(number) for number in range(len(rows))]:
        return rows
    if len(rows) > 1:
        raise errors.numbers_for_names(path, len(rows))
    return [(line, ["", *cells[1:]]) for line, cells in rows]


def _are_percent(cells: Iterable[str]) -> bool:
    """Whether every intracranial volume is 100: all of them divided by themselves, in percent."""
    texts = [cell.strip() for cell in cells]
    return bool(texts) and all(re.fullmatch(r"100(\.0*)?|99\.9{4,}\d*|100\.0{3,}\d*", text) for text in texts)
