"""`adclip doctor`: what this machine can do, a line each, and the exit code that says whether something is missing."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from adclip.cli import tables
from adclip.cli.options import session_of
from adclip.errors import EXIT_MISSING
from adclip.verbs.settings import DoctorConfig


def doctor_command(ctx: typer.Context, config: DoctorConfig) -> None:
    """Say what this machine can do, and mend what it cannot.

    Python, torch, GPU, memory against the need of each model, folders and free disk, weights and their hashes, optional packages,
    variables, telemetry of other people's packages. Exit code 4 where something needed is missing, else 0.
    """
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.verbs.doctor import doctor

        result = doctor(config, on_event)
    session.show([finding.to_dict() for finding in result.findings], _draw)
    if result.missing:
        raise typer.Exit(EXIT_MISSING)


def _draw(records: Sequence[tables.Record]) -> None:
    names = ("status", "name", "what", "fix")
    tables.draw_table(names, ([tables.text(record[name]) for name in names] for record in records))
