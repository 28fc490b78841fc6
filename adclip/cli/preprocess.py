"""`adclip preprocess`: options in, one line per scan out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.from_settings import Before
from adclip.cli.options import DryRun, session_of
from adclip.cli.session import Session
from adclip.prediction.settings import PreprocessConfig


def preprocess_command(
    ctx: typer.Context, config: PreprocessConfig, dry_run: Annotated[DryRun, Before("overwrite")] = False
) -> None:
    """Turn raw T1 scans into normalised volumes.

    Each scan is skull-stripped, corrected for bias, aligned to MNI space and written to --out under BIDS derivative
    names, next to status.tsv and the quality page qc.html. Finished scans are kept, so an interrupted run continues.
    """
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

        run_plan = plan(config, on_event)
        to_do = sum(row.status == "to do" for row in run_plan.rows)
        on_event(
            Step(
                f"{to_do} of {len(run_plan.rows)} scans to do: about {max(run_plan.minutes, 0.1):.1f} minutes and "
                f"{run_plan.memory_gb:.1f} GB with {run_plan.workers} process{'es' if run_plan.workers > 1 else ''}"
            )
        )
    names = ("scan", "subject_id", "session_id", "status", "flags", "error", "hint", "notice")
    rows = [{name: value for name, value in row.to_dict().items() if name in names} for row in run_plan.rows]
    session.show(rows, _draw)
    session.finish(failed=sum(row["status"] == "failed" for row in rows), total=len(rows))


def _draw(rows: Sequence[tables.Record]) -> None:
    """Print scan, status and quality; the full record stands in status.tsv."""
    shown = ("subject_id", "session_id", "verdict", "brain_volume_ml", "template_overlap", "seconds")
    present = [name for name in shown if any(row.get(name) is not None for row in rows)]
    names = ["scan", "status", *present, "flags"]
    tables.draw_table(names, [[tables.text(row.get(name)) for name in names] for row in rows])
