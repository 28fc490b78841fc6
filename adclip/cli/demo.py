"""`adclip demo`: everything once, on simulated heads."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from adclip.cli import tables
from adclip.cli.options import session_of
from adclip.verbs.settings import DemoConfig


def demo_command(ctx: typer.Context, config: DemoConfig) -> None:
    """Run everything once, on simulated heads.

    Needs no network and no GPU. Simulates a cohort, writes its reports, preprocesses two raw heads, fine-tunes the builtin model, predicts and explains,
    and prints what was measured beside what is known to be true.
    """
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.verbs.demo import demo

        result = demo(config, on_event)
    session.show([tables.as_record(result)], _draw)


def _draw(records: Sequence[tables.Record]) -> None:
    (record,) = records
    tables.draw_table(["what", "value", "n"], ([tables.text(cell) for cell in row] for row in record.get("rows") or []))
    predictions = [tables.as_record(item) for item in record.get("predictions") or []]
    if predictions:
        tables.draw_predictions(predictions)
    files = record.get("files") or []
    files = files.items() if isinstance(files, dict) else (("file", path) for path in files)
    tables.draw_pairs((str(name), tables.text(path)) for name, path in files)
    tables.draw_notices(records)
