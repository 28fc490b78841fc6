"""`adclip simulate`: options in, a cohort with known truth on disk, its counts out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import OutFolder, Overwrite, Seed, session_of
from adclip.config import SimulateConfig


def simulate_command(
    ctx: typer.Context,
    out: OutFolder,
    subjects: Annotated[int, typer.Option(help="Number of people, one visit each.")] = SimulateConfig.subjects,
    preprocessed: Annotated[
        bool, typer.Option(help="Write volumes that are ready for finetune, instead of raw heads.")
    ] = SimulateConfig.preprocessed,
    wide_age: Annotated[bool, typer.Option(help="Ages 20-95 instead of the clinical range.")] = SimulateConfig.wide_age,
    spacing_mm: Annotated[
        float, typer.Option("--spacing", metavar="MM", help="Voxel size of raw heads.")
    ] = SimulateConfig.spacing_mm,
    seed: Seed = SimulateConfig.seed,
    overwrite: Overwrite = SimulateConfig.overwrite,
) -> None:
    """Make a cohort of heads with known truth.

    Disease, age and volumes follow published distributions, contrast and noise are drawn widely; volumes are measured on the
    simulated labels. The oracle printed at the end is a logistic regression on the true volumes: a reference for any model.
    """
    config = SimulateConfig(
        out=out,
        subjects=subjects,
        preprocessed=preprocessed,
        wide_age=wide_age,
        spacing_mm=spacing_mm,
        seed=seed,
        overwrite=overwrite,
    )
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.simulate import simulate

        result = simulate(config, on_event)
    session.show([tables.as_record(result)], _draw)


def _draw(records: Sequence[tables.Record]) -> None:
    (record,) = records
    tables.draw_pairs(
        [
            ("out", tables.text(record.get("out"))),
            ("subjects", tables.text(record.get("subjects"))),
            ("groups", tables.counted(record.get("counts"))),
            *((f"oracle {name}", tables.interval(value)) for name, value in (record.get("oracle") or {}).items()),
        ]
    )
    tables.draw_notices(records)
