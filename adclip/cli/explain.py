"""`adclip explain`: options in, heatmaps and pages on disk, their names out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import (
    Columns,
    Device,
    Inputs,
    MaxDays,
    Meta,
    Model,
    Orientation,
    OutFolder,
    Overwrite,
    Precision,
    Seed,
    Series,
    Subject,
    Volumes,
    session_of,
)
from adclip.config import ExplainConfig


def explain_command(
    ctx: typer.Context,
    inputs: Inputs,
    out: OutFolder,
    meta: Meta = None,
    model: Model = ExplainConfig.model,
    subject: Subject = ExplainConfig.subject,
    columns: Columns = None,
    max_days: MaxDays = ExplainConfig.max_days,
    target: Annotated[
        str | None,
        typer.Option(metavar="CN|MCI|AD|mmse", help="What to explain; by default the predicted class."),
    ] = ExplainConfig.target,
    volumes: Volumes = ExplainConfig.volumes,
    orientation: Orientation = ExplainConfig.orientation,
    series: Series = ExplainConfig.series,
    device: Device = ExplainConfig.device,
    precision: Precision = ExplainConfig.precision,
    seed: Seed = ExplainConfig.seed,
    overwrite: Overwrite = ExplainConfig.overwrite,
) -> None:
    """Show where in the scan a prediction comes from.

    For each scan a heatmap on its own grid and in MNI space, a table of regions, a faithfulness check and one
    self-contained HTML page are written to --out.
    """
    config = ExplainConfig(
        inputs=tuple(inputs),
        out=out,
        meta=tuple(meta or ()),
        model=model,
        subject=subject,
        columns=tuple(columns or ()),
        max_days=max_days,
        target=target,
        volumes=volumes,
        orientation=orientation,
        series=series,
        device=device,
        precision=precision,
        seed=seed,
        overwrite=overwrite,
    )
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.verbs.explain import explain

        result = explain(config, on_event)
    session.show([tables.as_record(item) for item in result.explanations], _draw)
    session.finish(failed=result.failed, total=len(result.explanations))


def _draw(records: Sequence[tables.Record]) -> None:
    """Print what was explained, and where each file is."""
    names = ("scan", "status", "target")
    tables.draw_table(names, ([tables.text(record.get(name)) for name in names] for record in records))
    for record in records:
        files = record.get("files") or {}
        tables.draw_pairs((kind, tables.text(path)) for kind, path in files.items())
    tables.draw_notices(records)
