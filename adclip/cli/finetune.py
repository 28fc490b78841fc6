"""`adclip finetune`: options in, a RUN folder on disk, its measured numbers out."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from adclip.cli import tables
from adclip.cli.options import DryRun, session_of
from adclip.training.settings import FinetuneConfig


def finetune_command(ctx: typer.Context, config: FinetuneConfig, dry_run: DryRun = False) -> None:
    """Prompt-tune a base model on your own cohort.

    The base stays frozen; a few learned tokens and projections adapt it. Subjects are split once, and never straddle
    the split. RUN can be shared: individual data stay in RUN/private. An interrupted run continues.
    """
    session = session_of(ctx)
    if dry_run:
        with session.working() as on_event:
            from adclip.verbs.finetune import plan

            run_plan = plan(config, on_event)
        session.show([tables.as_record(run_plan)], _draw_plan)
        return
    with session.working() as on_event:
        from adclip.verbs.finetune import finetune

        result = finetune(config, on_event)
    session.show([tables.as_record(result)], _draw)


def _draw_plan(records: Sequence[tables.Record]) -> None:
    (record,) = records
    pairs = [(part, f"{count} subjects, {record['scans'][part]} scans") for part, count in record["subjects"].items()]
    cost = f"about {record['minutes']:.1f} minutes ({record['seconds_per_step']:.2f} s a step)"
    tables.draw_pairs([*pairs, ("training", cost), ("memory", f"{record['memory_gb']:.1f} GB")])


def _draw(records: Sequence[tables.Record]) -> None:
    (record,) = records
    tables.draw_pairs((name, tables.text(record.get(key))) for name, key in (("out", "out"), ("epochs", "epochs_run")))
    tables.draw_metrics(record.get("metrics") or {}, record.get("baselines") or {})
    tables.draw_differences(record.get("differences") or {})
    tables.draw_notices(records)
