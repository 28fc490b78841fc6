"""`adclip preprocess`: options in, one line per scan out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import (
    Device,
    DryRun,
    Inputs,
    Model,
    Orientation,
    OutFolder,
    Overwrite,
    Series,
    Shard,
    Workers,
    session_of,
)
from adclip.cli.session import Session
from adclip.config import PreprocessConfig


def preprocess_command(
    ctx: typer.Context,
    inputs: Inputs,
    out: OutFolder,
    volumes: Annotated[
        bool,
        typer.Option(
            "--volumes", help="Also hippocampus, ventricles, brain, ICV: from a table beside the scan, else measured."
        ),
    ] = PreprocessConfig.volumes,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--override",
            metavar="SUBJECT[/SESSION]=VERDICT",
            help="Your own quality verdict: pass, warn or fail. Recorded beside the measured one; may be repeated.",
        ),
    ] = None,
    orientation: Orientation = PreprocessConfig.orientation,
    series: Series = PreprocessConfig.series,
    model: Model = PreprocessConfig.model,
    device: Device = PreprocessConfig.device,
    workers: Workers = 0,
    shard: Shard = PreprocessConfig.shard,
    dry_run: DryRun = False,
    overwrite: Overwrite = PreprocessConfig.overwrite,
) -> None:
    """Turn raw T1 scans into normalised volumes.

    Each scan is skull-stripped, corrected for bias, aligned to MNI space and written to --out under BIDS derivative
    names, next to status.tsv and the quality page qc.html. Finished scans are kept, so an interrupted run continues.
    """
    config = PreprocessConfig(
        inputs=tuple(inputs),
        out=out,
        model=model,
        device=device,
        volumes=volumes,
        orientation=orientation,
        series=series,
        overrides=tuple(overrides or ()),
        workers=workers,
        shard=shard,
        overwrite=overwrite,
    )
    session = session_of(ctx)
    if dry_run:
        _show_plan(session, config)
        return
    with session.working() as on_event:
        from adclip.runtime.events import Step
        from adclip.verbs.preprocess import preprocess

        result = preprocess(config, on_event)
        on_event(Step(f"numbers in {config.out / 'status.tsv'}, pictures in {config.out / 'qc.html'}"))
    rows = [tables.as_record(row) for row in result.rows]
    session.show(rows, _draw)
    session.finish(failed=sum(row["status"] == "failed" for row in rows), total=len(rows))


def _show_plan(session: Session, config: PreprocessConfig) -> None:
    with session.working() as on_event:
        from adclip.runtime.events import Step
        from adclip.verbs.preprocess import plan

        found = plan(config, on_event)
        left = sum(row.status == "to do" for row in found.rows)
        on_event(
            Step(
                f"{left} of {len(found.rows)} scans to do: about {max(found.minutes, 0.1):.1f} minutes and "
                f"{found.memory_gb:.1f} GB with {found.workers} process{'es' if found.workers > 1 else ''}"
            )
        )
    names = ("scan", "subject_id", "session_id", "status", "flags", "error", "hint", "notice")
    rows = [{name: value for name, value in row.to_dict().items() if name in names} for row in found.rows]
    session.show(rows, _draw)
    session.finish(failed=sum(row["status"] == "failed" for row in rows), total=len(rows))


def _draw(rows: Sequence[tables.Record]) -> None:
    """Print scan, status and quality; the full record stands in status.tsv."""
    shown = ("subject_id", "session_id", "verdict", "brain_volume_ml", "template_overlap", "seconds")
    present = [name for name in shown if any(row.get(name) is not None for row in rows)]
    names = ["scan", "status", *present, "flags"]
    tables.draw_table(names, [[tables.text(row.get(name)) for name in names] for row in rows])
