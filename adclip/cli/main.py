"""The `adclip` command: the one place where errors become text and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from adclip.cli.catalog import COMMANDS, EXAMPLE
from adclip.cli.commands import LazyCommand
from adclip.cli.failures import describe, interrupted
from adclip.cli.session import Session
from adclip.errors import EXIT_TERMINATED
from adclip.version import __version__

PROLOGUE = "From a raw T1 scan to CN / MCI / AD, MMSE and a heatmap. Research use only, not a medical device."
EPILOGUE = "Options of a command can also stand in `adclip.toml`, or in variables: ADCLIP_BATCH_SIZE for --batch-size."
EXIT_READER_GONE = 141  # 128 + SIGPIPE, what a shell shows for other tools


class Root(TyperGroup):
    """The group behind `adclip`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, entry in COMMANDS.items():
            self.add_command(
                LazyCommand(name, rich_markup_mode=None, help=entry.summary, epilog=f"{EXAMPLE}{entry.example}")
            )

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command line and leave with the exit code of the contract.

        `main` rather than `invoke`, because a misspelt root option fails before `invoke` is reached; so this is the
        only place where an exception becomes text.
        """
        session = Session()
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, obj=session, **extra)
            if code == interrupted().exit_code:
                session.report(interrupted())
        except TerminatedError:
            session.report(interrupted(EXIT_TERMINATED))
            raise
        except Exception as error:
            failure = describe(error)
            session.report(failure, error)
            code = failure.exit_code
        if standalone_mode:
            raise SystemExit(code or 0)
        return code

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a reader that stops early (`| head`) ends it quietly, as it ends other Unix tools."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit has nothing to flush
            raise typer.Exit(EXIT_READER_GONE) from None


app = typer.Typer(
    cls=Root,
    rich_markup_mode=None,
    help=PROLOGUE,
    epilog=EPILOGUE,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show_version: bool) -> None:
    if show_version:
        typer.echo(f"adclip {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


root.__doc__ = PROLOGUE


def main() -> None:
    """Run `adclip`; the entry point of the installed command."""
    signal.signal(signal.SIGTERM, _terminated)
    app()


def _terminated(*_: object) -> None:
    """End as Ctrl-C does, so that other processes are dismissed and temporary files - perhaps of a head that has a face - go."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is on its way out; a second one would cut that short
    raise TerminatedError


class TerminatedError(SystemExit):
    """SIGTERM came; what was done is on disk."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)
