"""The `adclip` command: its list of subcommands, and the one place where errors become text and exit codes."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from adclip import __version__
from adclip.cli.failures import Failure, describe, interrupted
from adclip.cli.session import Session

PROLOGUE = "From a raw T1 scan to CN / MCI / AD, MMSE and a heatmap. Research use only, not a medical device."


@dataclass(frozen=True)
class CommandEntry:
    """One line of `adclip --help`; the module behind it is imported only when the command is called.

    Parameters
    ----------
    summary : str
        The line itself, and the first line of the command's own help page.
    example : str
        A complete command line, shown on the help page and in hints.
    """

    summary: str
    example: str


COMMANDS = {
    "demo": CommandEntry(
        "Run everything once on simulated heads: offline, on a CPU.",
        "adclip demo --out adclip-demo",
    ),
    "preprocess": CommandEntry(
        "Turn raw T1 scans into normalised volumes, with quality numbers.",
        "adclip preprocess scans/ --out derivatives",
    ),
    "synthesize-reports": CommandEntry(
        "Write the synthetic report of every row of a metadata table.",
        "adclip synthesize-reports clinical.csv --out reports.jsonl",
    ),
    "finetune": CommandEntry(
        "Prompt-tune a base model on your own cohort.",
        "adclip finetune --scans derivatives --table clinical.csv --out run1",
    ),
    "predict": CommandEntry(
        "Predict CN / MCI / AD and the MMSE of each scan.",
        "adclip predict sub-01_T1w.nii.gz --meta clinical.csv --model run1",
    ),
    "explain": CommandEntry(
        "Show where in the scan, and in which words, a prediction comes from.",
        "adclip explain sub-01_T1w.nii.gz --meta clinical.csv --model run1 --out explained",
    ),
    "simulate": CommandEntry(
        "Make a cohort of simulated heads with known truth.",
        "adclip simulate --out cohort --subjects 40",
    ),
}


class LazyCommand(TyperCommand):
    """Stands in for a command until it is called, so that `adclip --help` imports none of them."""

    def load(self) -> TyperCommand:
        """Import the module of this command and build the real one, common options included."""
        from adclip.cli.options import common_options

        assert self.name is not None
        module_name = self.name.replace("-", "_")
        module = importlib.import_module(f"adclip.cli.{module_name}")
        single = typer.Typer(add_completion=False, context_settings={"auto_envvar_prefix": "ADCLIP"})
        single.command(name=self.name, epilog=self.epilog)(getattr(module, f"{module_name}_command"))
        command = typer.main.get_command(single)
        assert isinstance(command, TyperCommand)
        command.context_settings = {"auto_envvar_prefix": "ADCLIP"}
        command.params.extend(common_options())
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse with the real command; the group then invokes what the context names."""
        return self.load().make_context(*args, **kwargs)


class Root(TyperGroup):
    """The group behind `adclip`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, entry in COMMANDS.items():
            self.add_command(LazyCommand(name, help=entry.summary, epilog=f"Example: {entry.example}"))

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run one command line and leave with the exit code of the contract.

        `main` rather than `invoke`, because a misspelt root option fails before `invoke` is reached; so this is the
        only place where an exception becomes text.
        """
        session = Session()
        try:
            code = super().main(*args, standalone_mode=False, obj=session, **kwargs)
            if code == interrupted().exit_code:
                session.report(interrupted())
        except Exception as error:
            failure = describe(error)
            session.report(failure, error)
            code = failure.exit_code
        finally:
            session.close()
        if standalone_mode:
            raise SystemExit(code or 0)
        return code


app = typer.Typer(cls=Root, help=PROLOGUE, context_settings={"help_option_names": ["-h", "--help"]})


def _version(asked: bool) -> None:
    if asked:
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
    app()


__all__ = ["COMMANDS", "Failure", "LazyCommand", "Root", "app", "main"]
