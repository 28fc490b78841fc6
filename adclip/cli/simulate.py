"""`adclip simulate`: options in, a cohort with known truth on disk, its counts out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import typer

from adclip.cli import tables
from adclip.cli.options import session_of
from adclip.simulation.settings import SimulateConfig


def simulate_command(ctx: typer.Context, config: SimulateConfig) -> None:
    """Make a cohort of heads with known truth.

    Disease, age and volumes follow published distributions, contrast and noise are drawn widely; volumes are measured on the
    simulated labels. The oracle printed at the end is a logistic regression on the true volumes: a reference for any model.
    The same command goes on where a stopped one was; more --subjects add to a finished cohort.
    """
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.verbs.simulate import simulate

        result = simulate(config, on_event)
    session.show([tables.as_record(result)], lambda records: _draw(records, config))


def _draw(records: Sequence[tables.Record], config: SimulateConfig) -> None:
    (record,) = records
    tables.draw_pairs(
        [
            ("out", tables.text(record.get("out"))),
            ("subjects", tables.text(record.get("subjects"))),
            *([("scans", tables.text(record.get("scans")))] if config.visits > 1 else []),
            ("groups", tables.counted(record.get("counts"))),
            *([("converters", tables.text(record.get("converters")))] if config.visits > 1 else []),
            *((f"oracle {name}", tables.interval(value)) for name, value in (record.get("oracle") or {}).items()),
            ("next", tables.text(_next_step(config))),
        ]
    )
    tables.draw_notices(records)


def _next_step(config: SimulateConfig) -> str:
    from adclip.model.bases import is_here
    from adclip.model.checkpoint import base_options

    out = str(config.out)
    if config.contrast == "ct":
        return "look at the scans; preprocess refuses CT"
    if config.preprocessed:
        base = base_options(config.model)
        fetch = "" if not base or is_here(base[1]) else f"adclip weights fetch {base[1]} && "
        return fetch + shlex.join(
            ["adclip", "finetune", "--scans", out, "--table", f"{out}/table.csv", *base, "--out", "run"]
        )
    model = [] if config.model == "builtin" else ["--model", config.model]
    return shlex.join(["adclip", "preprocess", out, *model, "--out", f"{out}-prep"])
