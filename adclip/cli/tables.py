"""What a person reads on stdout: tables and cards drawn from the records that `--json` would print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adclip.cli.console import one_line

Record = Mapping[str, Any]
STATUS_STYLES = {"ok": "green", "done": "green", "caution": "yellow", "refer": "yellow", "failed": "red"}
BAR_CELLS = 24
ROWS_AT_ONCE = 500  # a table needs all its rows in memory to know how wide a column is
_SIGNS = ("-", "+", "<", ">")  # a number may begin with one
WIDE = 10_000  # columns; output that is not a terminal is never wrapped or cut


def stdout() -> Console:
    """Return a console on the present stdout that takes every text literally."""
    width = None if sys.stdout.isatty() else WIDE
    return Console(highlight=False, markup=False, emoji=False, width=width)


def as_record(item: Any) -> Record:
    """Return a plain dictionary from a record of the library."""
    return item if isinstance(item, Mapping) else dict(item.to_dict())


class Records(Sequence[Record]):
    """Records of the library as plain dictionaries, each made when it is asked for, as there may be ten thousand."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        found = self._items[place]
        return [as_record(item) for item in found] if isinstance(place, slice) else as_record(found)


def number(value: Any, digits: int = 2) -> str:
    """Return a number at fixed precision, or a dash where it is unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-"
    return f"{value:.{digits}f}"


def text(value: Any) -> str:
    """Return a cell: lists joined, unknown as a dash, always one line."""
    if value is None or (isinstance(value, str | list | tuple) and not value):
        return "-"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(text(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return one_line(str(value))


def draw_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns; numbers to the right, nothing around them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    cells = [list(row) for row in rows]
    for index, header in enumerate(headers):
        column = [row[index] for row in cells]
        numeric = any(c != "-" for c in column) and all(c[:1].isdigit() or c[:1] in _SIGNS for c in column)
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style=STATUS_STYLES.get(cell, "")) for cell in row))
    _write(table)


def draw_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print `name  value` lines; a missing value leaves the line out."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value != "-":
            table.add_row(Text(name), Text(value))
    _write(table)


def _write(table: Table) -> None:
    """Print without the blanks that pad the last column."""
    console = stdout()
    with console.capture() as drawn:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))
    sys.stdout.flush()


def draw_notices(records: Iterable[Record]) -> None:
    """Print each distinct notice once, below the results."""
    for notice in dict.fromkeys(record["notice"] for record in records if record.get("notice")):
        stdout().print(Text(str(notice), style="italic"), soft_wrap=True)


def shares(values: Mapping[str, float] | None) -> str:
    """Return `CN 0.20  MCI 0.50  AD 0.30`."""
    return "  ".join(f"{name} {number(value)}" for name, value in values.items()) if values else "-"


def counted(counts: object) -> str:
    """Return `CN 12  MCI 20  AD 8`."""
    if not isinstance(counts, Mapping) or not counts:
        return "-"
    return "  ".join(f"{text(name)} {text(count)}" for name, count in counts.items())


def interval(value: Mapping[str, Any] | None, digits: int = 2) -> str:
    """Return `0.81 (0.74 to 0.88)` from `value` or `estimate`, `low` and `high`."""
    if not value:
        return "-"
    shown = number(value.get("value", value.get("estimate")), digits)
    if value.get("low") is not None and value.get("high") is not None:
        shown += f" ({number(value['low'], digits)} to {number(value['high'], digits)})"
    return shown


def draw_predictions(records: Sequence[Record]) -> None:
    """Print one card for one scan; a table for several, its header again every `ROWS_AT_ONCE` rows."""
    if len(records) == 1 and records[0].get("status") != "failed":
        _draw_card(records[0])
        draw_notices(records)
        return
    notices: dict[str, None] = {}
    for start in range(0, max(len(records), 1), ROWS_AT_ONCE):
        block = records[start : start + ROWS_AT_ONCE]
        _draw_rows(block)
        notices |= dict.fromkeys(record["notice"] for record in block if record.get("notice"))
    draw_notices({"notice": notice} for notice in notices)


def _draw_rows(records: Sequence[Record]) -> None:
    classes = list(dict.fromkeys(name for record in records for name in record.get("probabilities") or {}))
    score = _score_of(records)
    draw_table(
        ["scan", "status", "diagnosis", *classes, score.upper(), "flags"],
        (
            [
                text(record["scan"]),
                text(record["status"]),
                text(record.get("diagnosis")),
                *(number((record.get("probabilities") or {}).get(name)) for name in classes),
                interval(record.get(score), 1),
                text(record.get("flags")),
            ]
            for record in records
        ),
    )


def _score_of(records: Sequence[Record]) -> str:
    """Return the name under which the records hold the estimate of the task's score."""
    estimates = (key for record in records for key, value in record.items()
                 if isinstance(value, Mapping) and "estimate" in value)  # fmt: skip
    return next(estimates, "mmse")


def _draw_card(record: Record) -> None:
    from adclip.prediction import answer_lines

    probabilities = record.get("probabilities") or {}
    score = _score_of([record])
    estimate = record.get(score)
    block = "█" if stdout().encoding.startswith("utf") else "#"
    top = " of 30" if score == "mmse" else ""
    table_score = (
        f"; {number(estimate['known'], 0)} in the table" if estimate and estimate.get("known") is not None else ""
    )
    draw_pairs(
        [
            ("scan", text(record["scan"])),
            ("status", text(record["status"])),
            ("diagnosis", text(record.get("diagnosis"))),
            *(
                (f"  {name}", f"{value:.2f} {block * round(value * BAR_CELLS)}".rstrip())
                for name, value in probabilities.items()
            ),
            ("rescans", text(answer_lines.rescan_line(record))),
            ("prediction set", _prediction_set(record)),
            (score.upper(), f"{interval(estimate, 1)}{top}{table_score}" if estimate else "-"),
            *((name, text(sentence)) for name, sentence in answer_lines.sentences(record)),
            ("flags", text(record.get("flags"))),
            ("report", text(record.get("report"))),
            ("model", text((record.get("model") or {}).get("id"))),
        ]
    )
    for lines in answer_lines.tables_beside(record):
        sys.stdout.write("\n")
        draw_table(lines.headers, lines.rows)
    if record.get("volumes"):
        _draw_volumes(record)


def _prediction_set(record: Record) -> str:
    """Return the classes of the set, or why there is none."""
    from adclip.prediction.answer import WHY_NO_SET

    why = [words for flag, words in WHY_NO_SET.items() if flag in (record.get("flags") or ())]
    return f"none: {why[0]}" if why and record.get("prediction_set") is None else text(record.get("prediction_set"))


def _draw_volumes(record: Record) -> None:
    """Print the volumes of one scan, each with its share, its centile and its error, and whose they are."""
    from adclip.prediction.volume_lines import HEADERS, notes, rows

    volumes, source = record["volumes"], record.get("volumes_source")
    sys.stdout.write("\n")
    draw_table(HEADERS, [[*row.cells] for row in rows(volumes)])
    for note in notes(volumes, source, record.get("flags") or ()):
        stdout().print(Text(note), soft_wrap=True)


def draw_metrics(metrics: Mapping[str, Any], baselines: Mapping[str, Any]) -> None:
    """Print measured numbers beside what a plain baseline reaches on the same subjects."""
    flat = {name: value for name, value in baselines.items() if isinstance(value, Mapping)}
    headers = ["metric", "model", *flat, "n"]

    def rows(*, short: bool) -> list[list[str]]:
        return [
            [
                text(name),
                interval(value),
                *(_of(baseline, name, short=short) for baseline in flat.values()),
                text(value.get("n")),
            ]
            for name, value in metrics.items()
            if isinstance(value, Mapping)
        ]

    # a narrow terminal gets the baselines without their intervals, and if need be no counts, rather than broken lines
    for cells in (rows(short=False), rows(short=True), [row[:-1] for row in rows(short=True)]):
        lines = [headers[: len(cells[0])] if cells else headers, *cells]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        if sum(widths) + 2 * (len(widths) - 1) <= stdout().width:
            break
    draw_table(lines[0], cells)


def draw_differences(differences: Mapping[str, Any]) -> None:
    """Print what the model's numbers have more than those of who stands beside it, with the intervals of the differences."""
    groups = {name: value for name, value in differences.items() if isinstance(value, Mapping) and value}
    names = list(dict.fromkeys(metric for value in groups.values() for metric in value))
    rows = [
        (group, metric, interval(value.get(metric)))
        for group, value in groups.items()
        for metric in names
        if metric in value
    ]
    if rows:
        draw_table(["model less", "metric", "difference"], [[text(cell) for cell in row] for row in rows])


def _of(baseline: Mapping[str, Any], metric: str, *, short: bool) -> str:
    estimate = baseline.get(metric)
    if not isinstance(estimate, Mapping):
        return number(estimate)
    return number(estimate.get("value")) if short else interval(estimate)
