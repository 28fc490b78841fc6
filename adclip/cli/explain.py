"""`adclip explain`: options in, heatmaps and pages on disk, their names out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import typer

from adclip.cli import tables
from adclip.cli.options import session_of
from adclip.verbs.settings import ExplainConfig


def explain_command(ctx: typer.Context, config: ExplainConfig) -> None:
    """Show where in the scan a prediction comes from.

    For each scan a heatmap on its own grid and in MNI space, a table of regions, a faithfulness check and one
    self-contained HTML page are written to --out.
    """
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.verbs.explain import explain

        result = explain(config, on_event)
    session.show(tables.Records(result.explanations), partial(_draw, result.group))
    session.finish(failed=result.failed, total=len(result.explanations))


def _draw(group: Path | None, records: Sequence[tables.Record]) -> None:
    """Print what was explained, where each file is, and the page of mean maps."""
    names = ("scan", "status", "target")
    tables.draw_table(names, ([tables.text(record.get(name)) for name in names] for record in records))
    for record in records:
        files = record.get("files") or {}
        tables.draw_pairs((kind, tables.text(path)) for kind, path in files.items())
    if group is not None:
        tables.draw_pairs([("mean maps", tables.text(group.name))])
    tables.draw_notices(records)
