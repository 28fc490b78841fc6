"""Proof that the answer is not in the input: the tables are read again with other answers, and nothing else may change.

The road is the one of training, from the files on: cells, dialects, joins, policies, scans joined with rows, reports. On it every
diagnosis and score is once blanked and once moved to another row. Compared is what a model can be given of each scan that has a
row, with a diagnosis or without one: a scan takes part in training by its diagnosis, so a comparison of those that take part
could not find one that would not be there without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

from adclip.clinical import errors as clinical_errors
from adclip.clinical.dialects.canonical import ANSWERS
from adclip.clinical.measured import volumes_of
from adclip.clinical.scans.manifest import Manifest, TableReading
from adclip.clinical.settings import TableOptions
from adclip.clinical.tables.alteration import Alteration
from adclip.clinical.tables.table import Table, read_tables
from adclip.domain import Visit
from adclip.errors import InputError
from adclip.model.leak_record import InputsUnchanged
from adclip.prediction.metadata_baseline import features_of
from adclip.training import errors

ROW, REPORT = "row", "report"
INPUTS = tuple(column.name for column in fields(Visit) if column.name not in ANSWERS)
WriteReports = Callable[[Visit, int], Sequence[str]]
WORDINGS = 50  # of a report's many wordings a scan shows the canonical one and one of so many: a cohort shows them all


def prove_unchanged(
    first: TableReading,
    manifest: Manifest,
    tables: Sequence[Path],
    options: TableOptions,
    write_reports: WriteReports,
    usable: Sequence[str] | None = None,
    seed: int = 0,
) -> InputsUnchanged:
    """Read the tables again with other answers, and compare.

    Parameters
    ----------
    first : TableReading
        With the answers as they are.
    manifest : Manifest
        The examples that were made of it.
    tables : sequence of Path
        The files, as the user gave them.
    options : TableOptions
        By which they were read.
    write_reports : callable
        Visit and number of a wording -> reports that the model will read: all candidates, or one that stands for them.
    usable : sequence of str, optional
        Columns that the task may use.
    seed : int
        Of the shuffling.

    Returns
    -------
    InputsUnchanged

    Raises
    ------
    LeakError
        If any of it changes, a table cannot be read without its answers, an answer is still there when all are blanked, or no
        answer was found that could be altered. Named are the field, the subject and, where it is one, the column.
    TableError
        If a table is not as it was at the first reading.
    """
    proof = _Proof(first, tuple(tables), options, write_reports, usable)
    proof.check_examples(manifest)
    blanked = Alteration()
    try:
        table = proof.read(blanked)
    except InputError as error:
        raise errors.unreadable_without_answers(blanked.columns, error.problem) from error
    if not blanked.cells:
        raise errors.nothing_altered(tables[0])
    for visit, line in zip(table.rows, table.lines, strict=True):
        if answer_column := next((name for name in sorted(ANSWERS) if getattr(visit, name) is not None), None):
            raise errors.answer_stays(table.path, line, answer_column, blanked.columns)
    proof.compare(table, blanked)
    shuffled, set_aside = blanked.shuffled(seed), False
    try:
        table = proof.read(shuffled)
    except InputError:
        # Rows that say the same of one visit contradict each other in the answers of others. The reading that sets answers
        # aside, which is `predict`'s, stops at none.
        set_aside = True
        table = proof.read(shuffled, answers=False)
    proof.compare(table, shuffled)
    return InputsUnchanged(
        scans=sum(scan_inputs is not None for scan_inputs in proof.inputs),
        rows=blanked.rows,
        columns_altered=tuple(blanked.columns),
        cells_blanked=blanked.cells,
        cells_shuffled=shuffled.cells,
        shuffled_answers_set_aside=set_aside,
        compared=(ROW, *INPUTS, "metadata baseline", "volumes baseline", REPORT),
    )


class _Proof:
    """The first reading's inputs, and how to come by those of another."""

    def __init__(
        self,
        first: TableReading,
        paths: tuple[Path, ...],
        options: TableOptions,
        write_reports: WriteReports,
        usable: Sequence[str] | None,
    ) -> None:
        self._first, self._paths, self._options = first, paths, options
        self._write, self._usable = write_reports, usable
        self.inputs = self._inputs_of(first)

    def read(self, altered: Alteration | None, *, answers: bool = True) -> Table:
        """Read the tables with altered answers."""
        return read_tables(self._paths, replace(self._options, answers=answers), altered=altered)

    def check_examples(self, manifest: Manifest) -> None:
        """Refuse examples that are not what the rows of their scans say."""
        of = {item.path: inputs for item, inputs in zip(self._first.items, self.inputs, strict=True)}
        for example in manifest.examples:
            example_fields, row = self._fields(example.visit), of[example.item.path] or {}
            if name := next((name for name in example_fields if example_fields[name] != row.get(name)), None):
                raise errors.not_of_its_row(example.item.path.name, name)

    def compare(self, table: Table, altered: Alteration) -> None:
        """Raise LeakError at the first scan of which anything is not as at the first reading."""
        place = self._first_difference(table)
        if place is None:
            return
        if self._first_difference(self.read(None)) is not None:
            raise clinical_errors.changed(self._paths[0])
        number, name = place
        visit = self._first.visits()[number]
        scan = self._first.items[number]
        columns = self._culprit(altered)
        subject = visit.subject_id if visit else scan.subject_id
        if name == REPORT:
            raise errors.answer_in_report(subject, columns)
        raise errors.answer_in_input(name, subject, scan.path.name, columns, altered.how)

    def _culprit(self, altered: Alteration) -> tuple[str, ...]:
        """Return the one column that makes a difference alone, else all that were altered."""
        for name in altered.columns:
            try:
                table = self.read(Alteration(altered.new_answers, name))
            except InputError:
                continue
            if self._first_difference(table) is not None:
                return (name,)
        return altered.columns

    def _first_difference(self, table: Table) -> tuple[int, str] | None:
        """Return the place of the first scan that differs, and what of it: fields before what is made of them."""
        altered_inputs = self._inputs_of(self._reading_of(table))
        for number, (first_fields, altered_fields) in enumerate(zip(self.inputs, altered_inputs, strict=True)):
            if first_fields is None or altered_fields is None:
                if first_fields is not altered_fields:
                    return number, ROW
                continue
            if name := next((name for name in first_fields if first_fields[name] != altered_fields[name]), None):
                return number, name
        return None

    def _reading_of(self, table: Table) -> TableReading:
        """Join a table with the same scans, by the same knowledge of what derivatives were made of."""
        from adclip.imaging.sources.origins import find_origins

        items, origins = self._first.items, self._first.origins
        if table.scans_of_nobody != self._first.table.scans_of_nobody:
            origins = find_origins(items, table.scans_of_nobody)
        return TableReading(items, table, origins)

    def _inputs_of(self, table_reading: TableReading) -> list[dict[str, str] | None]:
        """Return everything that a model can be given of each scan's row, as text; None where it has no row."""
        return [
            None if visit is None else dict(self._told(visit, number))
            for number, visit in enumerate(table_reading.visits())
        ]

    def _told(self, visit: Visit, number: int) -> Iterator[tuple[str, str]]:
        yield from self._fields(visit).items()
        yield "metadata baseline", repr(features_of(visit, self._usable))
        yield "volumes baseline", repr(volumes_of(visit))
        yield REPORT, "\n".join([*self._write(visit, 0), *self._write(visit, 1 + number % WORDINGS)])

    @staticmethod
    def _fields(visit: Visit) -> dict[str, str]:
        return {name: repr(getattr(visit, name)) for name in INPUTS}
