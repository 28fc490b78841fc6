"""Options that several commands share, as annotated types, and the common ones that every command gets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from adclip.cli.from_settings import parse_with
from adclip.cli.session import Session
from adclip.cli.settings import DEFAULT_FILE, IN_USE, read_settings

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done, with an estimate of time and memory."),
]


def session_of(ctx: typer.Context) -> Session:
    """Return the session that the root group made for this command line."""
    return cast(Session, ctx.obj)


def _set(ctx: typer.Context, param: typer.CallbackParam, value: bool) -> bool:
    if value and isinstance(ctx.obj, Session):
        setattr(ctx.obj, str(param.name), value)
    return value


def _use_settings(ctx: typer.Context, value: Path | None) -> Path | None:
    """Put the config file beneath flags and environment, as the parser's own defaults."""
    if not ctx.resilient_parsing:
        commands = getattr(ctx.parent.command, "commands", {}) if ctx.parent else {}
        ctx.default_map = read_settings(value, ctx.command, commands)
        ctx.meta[IN_USE] = value or DEFAULT_FILE
    return value


def _common(
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Settings file; without it `adclip.toml` in the current folder, if there.",
            callback=_use_settings,
            is_eager=True,
            expose_value=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Results on stdout as JSON lines, nothing else there.",
            callback=_set,
            expose_value=False,
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.", callback=_set, expose_value=False),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="More detail on stderr.", callback=_set, expose_value=False),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Everything on stderr, with the traceback of an error.",
            callback=_set,
            is_eager=True,
            expose_value=False,
        ),
    ] = False,
) -> None:
    """Carry the declarations; never called."""


def common_options() -> list[typer.CallbackParam]:
    """Return fresh `--config`, `--json`, `--quiet`, `--verbose` and `--debug` for one command."""
    return cast(list[typer.CallbackParam], parse_with(_common).params)
