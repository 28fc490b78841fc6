"""What was measured of a map, as curves and tables of the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adclip.explanation.faithfulness.record import Curves, Faithfulness, Gain, SelfTestRow
from adclip.explanation.page.content import Cell, Curve, Table


def curves_of(measured: Sequence[Curves], number: float) -> tuple[Curve, ...]:
    """Return deletion and insertion for each reference image; none where one fraction alone was measured, which a table tells better.

    Parameters
    ----------
    measured : sequence of Curves
    number : float
        Of the scan as it is, where deletion begins.
    """
    curves = []
    for one in measured:
        if len(one.fractions) < 2:
            continue
        for name, values, orders in (
            ("deletion", one.deletion, one.deletion_random),
            ("insertion", one.insertion, one.insertion_random),
        ):
            random = np.array(orders)
            low, high = tuple(random.min(axis=0).tolist()), tuple(random.max(axis=0).tolist())
            start, at = ((0.0,), (number,)) if name == "deletion" else ((), ())
            curves.append(Curve(name, start + one.fractions, at + values, at + low, at + high, one.reference))
    return tuple(curves)


def tables_of(faithful: Faithfulness) -> tuple[Table, ...]:
    """Return tables of the gains, of rival methods, of weights drawn anew and of pseudo-rescans, as far as they were measured."""
    tables: list[Table] = []
    rows: list[tuple[str, ...]]
    if faithful.curves:
        part = "half" if faithful.curves[0].fractions == (0.5,) else "up to half"
        rows = [(one.reference, *_gain(one.deletion_gain), *_gain(one.insertion_gain)) for one in faithful.curves]
        header = ("patches are replaced by", "deletion gain", "better than", "insertion gain", "better than")
        caption = f"The explained number with {part} of the brain's {faithful.patches} patches replaced, against random orders"
        tables.append(_table(caption, header, rows))
    if faithful.rivals:
        rows = [
            (one.method, f"{one.agreement:+.2f}", *_gain(one.deletion_gain), *_gain(one.insertion_gain))
            for one in faithful.rivals
        ]
        headers = ("method", "agreement with the map", "deletion gain", "better than", "insertion gain", "better than")
        tables.append(_table("Other methods on this scan", headers, rows))
    if faithful.randomised:
        rows = [(one.down_to, f"{one.agreement:+.2f}") for one in faithful.randomised]
        caption = "What is left of the map with the network's weights drawn anew, from the answer down (0 is nothing)"
        tables.append(_table(caption, ("down to", "agreement with the map"), rows))
    if faithful.rescans is not None:
        told = faithful.rescans
        caption = f"The same head, as {told.of} pseudo-rescans would show it (1 is the same map)"
        rows = [(f"{told.median:+.2f}", f"{told.least:+.2f}")]
        tables.append(_table(caption, ("median agreement with the map", "least"), rows))
    return tuple(tables)


def self_test_table(rows: Sequence[SelfTestRow]) -> Table | None:
    """Return how this model's maps did where a change was planted; None where nobody tested them."""
    if not rows:
        return None
    header = (
        "planted", "map", "heads", "of the relevance in it", "of the brain", "within 15 mm", "of the brain", "on its side", "peak in it",
    )  # fmt: skip
    cells = [
        (
            row.planted, row.method, str(row.heads), f"{row.energy_share:.0%} ({row.energy_low:.0%} to {row.energy_high:.0%})",
            f"{row.volume_share:.1%}", f"{row.near_share:.0%}", f"{row.near_volume_share:.0%}",
            "both sides changed" if row.own_side is None else f"{row.own_side:.0%}", f"{row.pointing:.0%}",
        )
        for row in rows
    ]  # fmt: skip
    return _table("Self-test of this model: a change was planted, and the maps were asked to find it", header, cells)


def _gain(gain: Gain) -> tuple[str, str]:
    return f"{gain.estimate:+.2f}", f"{gain.beats} of {gain.of}"


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, tuple(header), tuple(tuple(Cell(text) for text in row) for row in rows))
