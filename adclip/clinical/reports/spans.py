"""Where a printed value of a report comes from."""

from __future__ import annotations

from typing import NamedTuple

KNOWLEDGE = "knowledge"  # the column of a span that is a statement of the knowledge table


class Span(NamedTuple):
    """One printed value of a report and its origin.

    Parameters
    ----------
    start, end : int
        Position of the value in `Report.text`, as in ``text[start:end]``.
    column : str
        Canonical column or derived field that the template asks for; ``knowledge`` for a statement.
    value : float or str
        What is printed, in `unit`; the id of a statement.
    unit : str
        mm3, years, %, alleles, standard deviations, centile, or empty.
    sources : tuple of str
        Columns of the table that the value was read from; of a statement the field it follows from.
    rule : str
        ``as given``, how `sources` were combined, or the reference of a statement.
    """

    start: int
    end: int
    column: str
    value: float | str
    unit: str
    sources: tuple[str, ...]
    rule: str
