"""Tables read as they would be if they held other answers: cells of diagnoses and scores blanked, or shuffled among rows.

What is read besides the answers must not change by that. Cells are altered as soon as they are read from a file of whatever form,
before anything is known of their meaning, so that every later step - dialects, joins, policies, reports - works on altered ones.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adclip.clinical import errors
from adclip.clinical.dialects import AUXILIARY, DIALECTS, Rule
from adclip.clinical.dialects.canonical import ANSWERS
from adclip.clinical.leak_words import SCORE_NAMES
from adclip.clinical.tables.header import Header
from adclip.clinical.tables.mapping import ColumnMapping

_KEYS = frozenset({"subject_id", "session_id", "visit_date", "scan", *AUXILIARY})
# Answers that no dialect reads: what studies call diagnoses of other occasions, and parts of scores. Dates and visits of tests are none.
_DIAGNOSIS = re.compile(
    r"((clinical|current|baseline|last|research)?[ _.-]?)(dx|diagnos[ie]s|group)([ _.-]?(bl|baseline|current|last|first|change|code|\d+))*"
)
_SCORE = re.compile(
    r"cdr.*|adas.*|mms(e|core).*|moca.*|faq.*|ravlt.*|gds.*|npi.*|judgment|commun|homehobb|perscare|(l[di]|lim)m?total.*"
)
_OF_AN_OCCASION = re.compile(r".*(date|day|days|visit|session|time|age|years|version|id)")


@dataclass(frozen=True)
class AlteredTable:
    """What was altered in one file.

    Parameters
    ----------
    rows : int
    columns : tuple of str
        Their names as written.
    cells : int
        How many have another content than in the file.
    answers : list of list of str
        What stands in the file: for each row the cells of these columns.
    """

    rows: int
    columns: tuple[str, ...]
    cells: int
    answers: list[list[str]]


@dataclass
class Alteration:
    """How the answers of tables are altered, and what came of it.

    Parameters
    ----------
    new_answers : mapping of Path to list of list of str, optional
        File -> for each row the new content of its answers; None blanks them.
    only : str or None
        The one column, as written, that is altered; None alters all answers.

    Attributes
    ----------
    tables : dict of Path to AlteredTable
        Every file that was read.
    """

    new_answers: Mapping[Path, list[list[str]]] | None = None
    only: str | None = None
    tables: dict[Path, AlteredTable] = field(default_factory=dict)

    @property
    def how(self) -> str:
        """What is done to the cells, in words."""
        return "blanked" if self.new_answers is None else "shuffled among rows"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns that were altered, each once."""
        return tuple(dict.fromkeys(name for table in self.tables.values() for name in table.columns))

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(table.rows for table in self.tables.values())

    @property
    def cells(self) -> int:
        """Cells of all files that have another content."""
        return sum(table.cells for table in self.tables.values())

    def __call__(
        self, path: Path, records: Iterator[tuple[int, list[str]]], shown: Sequence[str], places: Sequence[int]
    ) -> Iterator[tuple[int, list[str]]]:
        """Alter the rows of a file.

        Parameters
        ----------
        path : Path
        records : iterator of (int, list of str)
            Lines and cells, without the header.
        shown : sequence of str
            The header as written.
        places : sequence of int
            Where the answers stand, see `places_of_answers`.

        Raises
        ------
        TableError
            If the file has not as many rows as it had when the new answers were made.
        """
        rows = list(records)
        whole = [cells for _, cells in rows if len(cells) == len(shown)]  # others are refused as they stand
        before = [[cells[place] for place in places] for cells in whole]
        after = [[""] * len(places)] * len(whole) if self.new_answers is None else self.new_answers.get(path, [])
        if len(after) != len(whole):
            raise errors.changed(path)
        changed = 0
        for cells, old, new in zip(whole, before, after, strict=True):
            for place, old_cell, new_cell in zip(places, old, new, strict=True):
                if self.only in (None, shown[place]):
                    cells[place] = new_cell
                    changed += old_cell.strip() != new_cell.strip()
        self.tables[path] = AlteredTable(len(rows), tuple(shown[place] for place in places), changed, before)
        return iter(rows)

    def shuffled(self, seed: int) -> Alteration:
        """Return the alteration that moves the answers of the files which this one has read.

        Those of a row move together to another row of the file, or of one with the same columns, as the sessions of BIDS
        have a file for each subject; none stays where it was.
        """
        alike: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
        for path, table in self.tables.items():
            alike[table.columns] += [(path, number) for number in range(len(table.answers))]
        answers = {path: list(table.answers) for path, table in self.tables.items()}
        for places in alike.values():
            # in a random order each takes what the next one has
            random.Random(seed).shuffle(places)
            for (path, number), (source_path, following) in zip(places, places[1:] + places[:1], strict=True):
                answers[path][number] = self.tables[source_path].answers[following]
        return Alteration(answers)


def places_of_answers(header: Header, rules: Sequence[Rule], mappings: Sequence[ColumnMapping]) -> list[int]:
    """Return where the answers of a table stand: all that this or any other dialect, the user or the task reads as one.

    Columns that name a diagnosis or a score and that nobody reads are among them. A column which tells rows apart and is read
    beside an answer, such as ADNI's visit code, is none.

    Parameters
    ----------
    header : Header
        Of the table.
    rules : sequence of Rule
        By which it is read.
    mappings : sequence of Mapping
        What the user and the task say of columns.
    """
    every = [*rules, *(rule for dialect in DIALECTS for rule in dialect.rules)]
    answer_sources = [rule.sources for rule in every if rule.column in ANSWERS]
    keys = {
        rule.sources[0]
        for dialect in DIALECTS
        for rule in dialect.rules
        if rule.column in _KEYS and len(rule.sources) == 1
    } | {
        dialect.tall.code for dialect in DIALECTS if dialect.tall is not None
    }  # which score a row is of, not which value
    alone = {sources[0] for sources in answer_sources if len(sources) == 1}
    named = alone | ({source for sources in answer_sources for source in sources} - keys) | ANSWERS
    named |= {mapping.table_column.lower() for mapping in mappings if mapping.column in ANSWERS}
    places = {header.place(name) for name in named & header.names}
    places |= {place for place, name in enumerate(header.shown) if _names_answer(name)}
    return sorted(places)


def _names_answer(name: str) -> bool:
    """Whether a column is called as a diagnosis or a clinical score."""
    plain = name.strip().lower()
    if _OF_AN_OCCASION.fullmatch(plain):
        return False
    if _DIAGNOSIS.fullmatch(plain) or _SCORE.fullmatch(plain):
        return True
    return any(next(rule.find(name, name.lower()), None) is not None for rule in SCORE_NAMES)
