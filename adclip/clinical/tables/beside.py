"""Tables of people that lie where the scans are and that nobody named: told with the option that reads them, never read unasked."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from adclip.clinical.dialects import AUXILIARY, PROGRAMS
from adclip.clinical.tables.opening import recognise_table
from adclip.clinical.tables.plain_words import open_words
from adclip.errors import AdclipError

_OF_PEOPLE = "participants.tsv"
_ENDINGS = (".csv", ".tsv")
_ABOVE = 4  # folders: sub-01/ses-01/anat lies in a dataset
_MOST_TABLES = 20  # in one folder; more are results or parts of something
_LARGEST = 50_000_000  # bytes; the whole text is decoded for its header, which takes half a CPU second then
_FACTS = frozenset({"age_years", "sex", "education_years", "apoe4_count", *AUXILIARY})


def say_unused(inputs: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield place and sentence for tables of people beside scans, for a run to which none was given.

    Parameters
    ----------
    inputs : sequence of Path
        Files and folders of scans, as the user named them. Of a table of scans it is the table itself.

    Yields
    ------
    place : Path
        The dataset, the folder or the table.
    sentence : str
        Which table lies there, and the option that reads it, as a shell takes it.
    """
    told: set[Path] = set()
    for path in inputs:
        place = _dataset_of(path)
        if place is not None:
            tables, metas = [_OF_PEOPLE], [place]
        else:
            place = path
            metas = list(_tables_at(path))
            tables = [table.name for table in metas]
        if metas and place not in told:
            told.add(place)
            several = len(tables) > 1
            options = " ".join(f"--meta {shlex.quote(str(meta))}" for meta in metas)
            yield (
                place,
                f"{_listed(tables)} {'lie' if several else 'lies'} here and {'are' if several else 'is'} not used; "
                f"to use {'them' if several else 'it'}, add `{options}`",
            )


def _dataset_of(path: Path) -> Path | None:
    """Return the BIDS dataset with a table of participants that a path is or lies in, as near to the path as there is one."""
    places = [path, *list(path.parents)[:_ABOVE]] if path.is_dir() else list(path.parents)[:_ABOVE]
    return next((place for place in places if _says_something(place / _OF_PEOPLE)), None)


def _tables_at(path: Path) -> Iterable[Path]:
    if path.suffix.lower() in _ENDINGS:
        return [path] if _says_something(path) else []
    if not path.is_dir():
        return []
    tables = sorted(file for file in path.iterdir() if file.suffix.lower() in _ENDINGS)
    return [file for file in tables if _says_something(file)] if len(tables) <= _MOST_TABLES else []


def _says_something(table: Path) -> bool:
    """Whether the names of a table's columns promise age, sex and the like of somebody, or a program's volumes; its rows are not read."""
    try:
        if not table.is_file() or table.stat().st_size > _LARGEST:
            return False
        dialect, header, rules, records = recognise_table(table, answers=False)
        if next(records, None) is None:
            return False
    except (AdclipError, OSError):
        return False  # what cannot be read is told when somebody asks for it
    columns = {rule.column for rule in rules} | {*open_words(dialect, rules, header).values()}
    if not columns & {"subject_id", "scan"}:
        return False
    return bool(columns & _FACTS) or (dialect in PROGRAMS and any(column.endswith("_mm3") for column in columns))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
