"""Where the points and lines of a page's charts lie: numbers for the SVG of the template."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adclip.explanation.page.content import Curve, Panel

WIDTH, HEIGHT = 360, 220  # of a chart, in its own units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 40  # room for the axes' numbers
TICKS = 5
MARKS = ("circle", "square", "triangle", "diamond")
DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Tick:
    """A number on an axis, and where it stands."""

    at: float
    text: str


@dataclass(frozen=True)
class Trace:
    """One line: its points, how it is dashed, and the shape of its marks."""

    name: str
    points: str
    marks: tuple[tuple[float, float], ...]
    shape: str
    dash: str


@dataclass(frozen=True)
class Chart:
    """A chart ready to be drawn.

    Parameters
    ----------
    title, x_label, y_label : str
    summary : str
        What it shows, in a sentence: its text alternative.
    x_ticks, y_ticks : tuple of Tick
    band : str
        Points of a polygon, empty where there is none.
    traces : tuple of Trace
    header, rows : tuple
        The same numbers as a table.
    """

    title: str
    x_label: str
    y_label: str
    summary: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    band: str
    traces: tuple[Trace, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def chart_of_curve(curve: Curve, explained: str, orders: int) -> Chart:
    """Lay out one curve of faithfulness with the interval of the random orders."""
    x, y = (
        _Axis(curve.x, LEFT, WIDTH - RIGHT),
        _Axis((*curve.y, *curve.random_low, *curve.random_high), HEIGHT - BOTTOM, TOP),
    )
    outline = [*zip(curve.x, curve.random_high, strict=True), *reversed([*zip(curve.x, curve.random_low, strict=True)])]
    deletes = curve.name == "deletion"
    random = "one random order" if orders == 1 else f"all {orders} random orders"
    wished = "below" if deletes else "above"
    ahead = sum(
        value < low if deletes else value > high
        for share, value, low, high in zip(curve.x, curve.y, curve.random_low, curve.random_high, strict=True)
        if share
    )
    rows = zip(curve.x, curve.y, curve.random_low, curve.random_high, strict=True)
    return Chart(
        title=f"{curve.name.capitalize()}: the most relevant patches {'removed' if deletes else 'put back'} first"
        + (f"; in their place {curve.reference}" if curve.reference else ""),
        x_label=f"share of the brain's patches {'removed' if deletes else 'put back'}",
        y_label=explained,
        summary=f"The {explained} goes from {curve.y[0]:.2f} to {curve.y[-1]:.2f}. It lies {wished} {random}, as it does for a map that"
        f" can be believed, at {ahead} of {sum(share > 0 for share in curve.x)} steps.",
        x_ticks=x.ticks("{:.0%}"),
        y_ticks=y.ticks("{:.3g}"),
        band=" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in outline),
        traces=(_trace("in the order of the map", curve.x, curve.y, x, y, 0),),
        header=("patches", "order of the map", "random, low", "random, high"),
        rows=tuple((f"{share:.0%}", *(f"{value:.4f}" for value in values)) for share, *values in rows),
    )  # fmt: skip


def chart_of_panel(panel: Panel) -> Chart:
    """Lay out the probabilities of each class as one number changes; the first value of x is on the left."""
    x, y = (
        _Axis(panel.x, LEFT, WIDTH - RIGHT, falling=panel.x[0] > panel.x[-1]),
        _Axis((0.0, 1.0), HEIGHT - BOTTOM, TOP),
    )
    ends = "; ".join(f"{line.name} from {line.y[0]:.0%} to {line.y[-1]:.0%}" for line in panel.lines)
    return Chart(
        title=panel.title,
        x_label=panel.x_label,
        y_label="probability",
        summary=f"From {panel.x[0]:g} to {panel.x[-1]:g}: {ends}.",
        x_ticks=x.ticks("{:.3g}"),
        y_ticks=y.ticks("{:.0%}"),
        band="",
        traces=tuple(_trace(line.name, panel.x, line.y, x, y, place) for place, line in enumerate(panel.lines)),
        header=(panel.x_label, *(line.name for line in panel.lines)),
        rows=tuple(
            (f"{value:g}", *(f"{line.y[place]:.3f}" for line in panel.lines)) for place, value in enumerate(panel.x)
        ),
    )


class _Axis:
    """From a number to its place between two ends of an axis; all of the numbers have room."""

    def __init__(self, values: Iterable[float], start: float, end: float, *, falling: bool = False) -> None:
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        self._low, high = min(finite), max(finite)
        self._span = (high - self._low) or 1.0
        self._start, self._end = (end, start) if falling else (start, end)

    def __call__(self, value: float) -> float:
        return self._start + (value - self._low) / self._span * (self._end - self._start)

    def ticks(self, form: str) -> tuple[Tick, ...]:
        """Return round numbers along the axis."""
        step = 10 ** math.floor(math.log10(self._span / TICKS))
        step *= next(factor for factor in (1, 2, 2.5, 5, 10, 20) if self._span / (step * factor) <= TICKS)
        first = math.ceil(self._low / step - 1e-9)
        last = math.floor((self._low + self._span) / step + 1e-9)
        numbers = [round(place * step, 10) + 0.0 for place in range(first, last + 1)]
        return tuple(Tick(round(self(number), 1), form.format(number)) for number in numbers)


def _trace(name: str, xs: Sequence[float], ys: Sequence[float], x: _Axis, y: _Axis, place: int) -> Trace:
    points = tuple((round(x(a), 1), round(y(b), 1)) for a, b in zip(xs, ys, strict=True) if math.isfinite(b))
    shape, dash = MARKS[place % len(MARKS)], DASHES[place % len(DASHES)]
    return Trace(name, " ".join(f"{a},{b}" for a, b in points), points, shape, dash)
