"""`adclip evaluate`: options in, page and tables on disk, the measured numbers out."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from adclip.cli import tables
from adclip.cli.options import DryRun, session_of
from adclip.verbs.settings import EvaluateConfig


def evaluate_command(ctx: typer.Context, config: EvaluateConfig, dry_run: DryRun = False) -> None:
    """Measure a model on its test people or another cohort.

    People whom the model was trained on are never counted, as far as the model's folder tells. Beside it stand those
    who see less: volumes, metadata, an untrained network, the commonest class; scans and reports are shuffled, and table
    and quality are asked for the diagnosis. evaluate.html has it all; what names people stands in private/.
    """
    session = session_of(ctx)
    if dry_run:
        with session.working() as on_event:
            from adclip.verbs.evaluate import plan

            evaluation_plan = plan(config, on_event)
        session.show([tables.as_record(evaluation_plan)], _draw_plan)
        return
    with session.working() as on_event:
        from adclip.verbs.evaluate import evaluate

        result = evaluate(config, on_event)
    session.show([tables.as_record(result)], _draw)
    session.finish(failed=result.failed, total=result.total)


def _draw_plan(records: Sequence[tables.Record]) -> None:
    (record,) = records
    counted = f"{record['scans']} scans of {record['people']} people"
    cost = f"about {record['minutes']:.1f} minutes"
    memory = f"{record['memory_gb']:.1f} GB"
    tables.draw_pairs([("counted", counted), ("who", record["says"]), ("scoring alone", cost), ("memory", memory)])
    tables.draw_notices(records)


def _draw(records: Sequence[tables.Record]) -> None:
    (record,) = records
    tables.draw_pairs([("out", tables.text(record["out"])), ("who", tables.text(record["who"]))])
    tables.draw_metrics(record["metrics"], record["beside"])
    tables.draw_differences(record["less"])
    tables.draw_pairs(("!" if one["level"] == "warn" else " ", tables.text(one["text"])) for one in record["findings"])
    tables.draw_notices(records)
