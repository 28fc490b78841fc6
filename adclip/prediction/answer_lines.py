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


def rescan_line(record: Record) -> str | None:
    """Return `AD 0.72, range over rescans 0.66 to 0.78, class kept in 8 of 8`; None where nothing was scanned again."""
    found = record.get("rescans")
    if not found:
        return None
    label = record["diagnosis"]
    share = record["probabilities"][label]
    low, high, kept, of = (found[name] for name in ("low", "high", "kept", "of"))
    return f"{label} {share:.2f}, range over rescans {low:.2f} to {high:.2f}, class kept in {kept} of {of}"


def curve_lines(record: Record) -> Iterator[Lines]:
    """Yield a table for each column that was asked for: its values, the present one marked, and the probabilities."""
    for curve in record.get("what_if") or ():
        points = curve["points"]
        labels = tuple(points[0]["probabilities"])
        rows = tuple(
            (
                f"{point['value']:g}" + (" (now)" if point["is_present"] else ""),
                *_cells(point["probabilities"], labels),
            )
            for point in points
        )
        yield Lines((curve["column"], *labels), rows)


def similar_lines(record: Record) -> Lines | None:
    """Lay out the training scans that are most like this one; None where nobody asked."""
    cases = record.get("similar")
    if cases is None:
        return None
    rows = tuple(
        (str(place), case["diagnosis"], case["age_band"] or "unknown", f"{case['distance']:.3f}")
        for place, case in enumerate(cases, 1)
    )
    return Lines(("similar training scan", "diagnosis", "age band", "cosine distance"), rows)


def tables_beside(record: Record) -> Iterator[Lines]:
    """Yield every small table of one answer, in the order in which it is read."""
    if record.get("probabilities"):
        yield source_lines(record)
    yield from curve_lines(record)
    if (cases := similar_lines(record)) is not None:
        yield cases
