"""`adclip synthesize-reports`: options in, counts and a first look at the reports out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import Columns, Overwrite, Style, session_of
from adclip.config import SynthesizeReportsConfig


def synthesize_reports_command(
    ctx: typer.Context,
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="Metadata table: CSV, TSV or JSON.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help=".jsonl or .csv file to write.", show_default=False)
    ],
    style: Style = SynthesizeReportsConfig.style,
    mode: Annotated[
        str,
        typer.Option(
            metavar="train|candidate|predict",
            help="Label phrase of the true class, one report per class, or no label phrase.",
        ),
    ] = SynthesizeReportsConfig.mode,
    columns: Columns = None,
    overwrite: Overwrite = SynthesizeReportsConfig.overwrite,
) -> None:
    """Turn a metadata table into synthetic reports.

    A report says only what its row knows, and never a score that defines the diagnosis; the diagnosis itself stands
    only in the label phrase. Every value can be traced to its column.
    """
    config = SynthesizeReportsConfig(
        table=table, out=out, style=style, mode=mode, columns=tuple(columns or ()), overwrite=overwrite
    )
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.synthesize_reports import synthesize_reports

        result = synthesize_reports(config, on_event)
    session.show([tables.as_record(result)], lambda records: _draw(records, result.rows))


def _draw(records: Sequence[tables.Record], first: Sequence[tables.Record]) -> None:
    """Print the counts, and the first reports to look at."""
    (record,) = records
    gaps = {column: count for column, count in (record.get("missing") or {}).items() if count}
    tables.draw_pairs(
        [
            ("out", tables.text(record["out"])),
            ("reports", tables.text(record["reports"])),
            ("classes", tables.counted(record.get("by_diagnosis"))),
            ("unavailable", tables.counted(gaps)),
            ("rows left out", tables.text(record.get("skipped") or None)),
            *((f"report {index}", tables.text(row["text"])) for index, row in enumerate(first, start=1)),
        ]
    )
    tables.draw_notices(records)
