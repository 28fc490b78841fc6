"""Volumes of a prediction as a person reads them: the same lines in the terminal and on pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adclip.domain import SEGMENTER

HEADERS = ("structure", "mm3", "% of ICV", "centile", "error, mm3")
CENTILE = HEADERS.index("centile")


@dataclass(frozen=True)
class Row:
    """One volume as text.

    Parameters
    ----------
    cells : tuple of str
        Under `HEADERS`; a dash where something is not known.
    centile : float or None
        0 to 100, for a bar.
    """

    cells: tuple[str, str, str, str, str]
    centile: float | None


def rows(volumes: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Write the `volumes` of a prediction as the lines of a table."""
    table_rows = []
    for column, entry in volumes.items():
        share, centile, error = entry.get("icv_share"), entry.get("centile"), entry.get("error_mm3")
        name = "intracranial volume" if column == "icv_mm3" else column.removesuffix("_mm3").replace("_", " ")
        cells = (
            name,
            f"{entry['mm3']:.0f}",
            "-" if share is None else f"{100 * share:.3g}",
            "-" if centile is None else _centile(centile, bool(entry.get("centile_beyond"))),
            "-" if error is None else f"{error:.0f}",
        )
        table_rows.append(Row(cells, centile))
    return table_rows


def _centile(centile: float, beyond: bool) -> str:
    if not beyond:
        return f"{centile:.0f}"
    return f"<{centile:.0f}" if centile < 50 else f">{centile:.0f}"


def notes(volumes: Mapping[str, Mapping[str, Any]], source: str | None, flags: Iterable[str]) -> list[str]:
    """Say below a table of volumes whose numbers they are, what the error is, whose centiles, and which side is smaller."""
    entries = volumes.values()
    measured = source is not None and source.startswith(SEGMENTER)
    unused = measured and "estimated_volumes" not in set(flags)
    sentences = [
        f"measured by {source or 'a program that the table does not name'}{'; not in the report' if unused else ''}"
    ]
    if people := {entry["n"] for entry in entries if entry.get("n") is not None}:
        counts = " or ".join(str(count) for count in sorted(people))
        sentences.append(f"error: standard deviation of the differences to the reference, in {counts} people")
    for norms, bridged in sorted({(e["norms"], bool(e["bridged"])) for e in entries if e.get("norms")}):
        over = ", over a bridge to the scale of another program" if bridged else ""
        sentences.append(f"centile: among healthy people of this age and sex, norms {norms}{over}")
    for column, entry in volumes.items():
        percent = entry.get("asymmetry_percent")
        if percent is not None:
            side = "right" if percent > 0 else "left"
            name = column.removesuffix("_mm3").replace("_", " ")
            sentences.append(f"{name}: {side} larger by {abs(percent):.1f} % of the mean of both sides")
    return sentences
