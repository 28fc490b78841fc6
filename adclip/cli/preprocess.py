"""`adclip preprocess`: options in, one line per scan out."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from adclip.cli import tables
from adclip.cli.options import Device, Inputs, Model, OutFolder, Overwrite, session_of
from adclip.config import PreprocessConfig


def preprocess_command(
    ctx: typer.Context,
    inputs: Inputs,
    out: OutFolder,
    model: Model = PreprocessConfig.model,
    device: Device = PreprocessConfig.device,
    overwrite: Overwrite = PreprocessConfig.overwrite,
) -> None:
    """Turn raw T1 scans into normalised volumes.

    Each scan is skull-stripped, corrected for bias, aligned to MNI space and written to --out under BIDS derivative
    names, next to status.tsv. Scans that are done already are kept, so an interrupted run continues.
    """
    config = PreprocessConfig(inputs=tuple(inputs), out=out, model=model, device=device, overwrite=overwrite)
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.preprocess import preprocess

        result = preprocess(config, on_event)
    rows = [tables.as_record(row) for row in result.rows]
    session.show(rows, _draw)
    session.finish(failed=sum(row["status"] == "failed" for row in rows), total=len(rows))


def _draw(rows: Sequence[tables.Record]) -> None:
    """Print scan, status and quality; the full record stands in status.tsv."""
    quality = [name for name in rows[0] if name in ("verdict", "brain_volume_ml", "template_overlap")] if rows else []
    names = ["scan", "status", *quality, "seconds", "flags"]
    draw = [[tables.text(row.get(name)) for name in names] for row in rows]
    tables.draw_table(names, draw)
