"""`adclip demo`: everything once, on simulated heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import Device, Overwrite, Seed, session_of
from adclip.config import DemoConfig


def demo_command(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything the demo makes.")] = DemoConfig.out,
    subjects: Annotated[int, typer.Option(help="Size of the simulated cohort.")] = DemoConfig.subjects,
    epochs: Annotated[int, typer.Option(help="Passes of the fine-tuning.")] = DemoConfig.epochs,
    device: Device = DemoConfig.device,
    seed: Seed = DemoConfig.seed,
    overwrite: Overwrite = DemoConfig.overwrite,
) -> None:
    """Run everything once, on simulated heads.

    Needs no network and no GPU. Simulates a cohort, writes its reports, preprocesses two raw heads, fine-tunes the builtin model, predicts and explains,
    and prints what was measured beside what is known to be true.
    """
    config = DemoConfig(out=out, subjects=subjects, epochs=epochs, device=device, seed=seed, overwrite=overwrite)
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
