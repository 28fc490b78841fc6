"""What stands beside an answer as a person reads it: the same lines in the terminal and on pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adclip.prediction.reasons import notes

Record = Mapping[str, Any]  # of a prediction, as `Prediction.to_dict` returns it
SOURCES = (("scan alone", "scan_only"), ("metadata alone", "metadata_only"), ("volumes alone", "volumes_only"))


@dataclass(frozen=True)
class Lines:
    """A small table as text: headers, and rows of as many cells."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def source_lines(record: Record) -> Lines:
    """Lay out the probabilities of all evidence together and of each source alone; a source that was not there has dashes."""
    together = record.get("probabilities") or {}
    labels = tuple(together)
    rows = [("all", together)]
    if shares := record.get("prevalence"):
        given = ", ".join(f"{label} {share:g}" for label, share in shares.items())
        rows = [(f"all, where {given}", together), ("all, classes equally common", record.get("probabilities_equal"))]
    rows += [(name, record.get(key)) for name, key in SOURCES]
    return Lines(
        ("where the answer comes from", *labels), tuple((name, *_cells(shown, labels)) for name, shown in rows)
    )


def _cells(probabilities: Mapping[str, float] | None, labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("-" if probabilities is None else f"{probabilities[label]:.2f}" for label in labels)


def sentences(record: Record) -> Iterator[tuple[str, str]]:
    """Yield `why STATUS` with each reason, and `note` with what is worth knowing all the same."""
    for reason in record.get("reasons") or ():
        yield f"why {record['status']}", reason
    for note in notes(record.get("flags") or ()):
        yield "note", note
