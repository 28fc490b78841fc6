"""The list of subcommands; each is imported only when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import typer
from typer.core import TyperCommand


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
        "Run everything once, on simulated heads.",
        "adclip demo --out adclip-demo",
    ),
    "preprocess": CommandEntry(
        "Turn raw T1 scans into normalised volumes.",
        "adclip preprocess scans/ --out derivatives",
    ),
    "synthesize-reports": CommandEntry(
        "Turn metadata tables into synthetic reports.",
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
        "Show where in the scan a prediction comes from.",
        "adclip explain sub-01_T1w.nii.gz --meta clinical.csv --model run1 --out explained",
    ),
    "weights": CommandEntry(
        "Fetch, check and move base models.",
        "adclip weights fetch m3d-clip",
    ),
    "simulate": CommandEntry(
        "Make a cohort of heads with known truth.",
        "adclip simulate --out cohort --subjects 40",
    ),
}


EXAMPLE = "Example: "  # how the last line of a command's help begins


def parse_with(function: Callable[..., None], **attributes: Any) -> TyperCommand:
    """Build the option parser that the signature of `function` describes."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(**attributes)(function)
    return cast(TyperCommand, typer.main.get_command(single))


class LazyCommand(TyperCommand):
    """Stands in for a command until it is called, so that `adclip --help` imports none of them."""

    def load(self) -> TyperCommand:
        """Import the module of this command and build the real one, common options included."""
        from adclip.cli.options import common_options

        module_name = str(self.name).replace("-", "_")
        module = importlib.import_module(f"adclip.cli.{module_name}")
        command = parse_with(getattr(module, f"{module_name}_command"), name=self.name, epilog=self.epilog)
        command.params.extend(common_options())
        for parameter in command.params:
            long_names = [option for option in parameter.opts if option.startswith("--")]
            if long_names:
                parameter.envvar = "ADCLIP_" + long_names[0].lstrip("-").replace("-", "_").upper()
                parameter.show_envvar = False  # type: ignore[attr-defined]  # said once, in `adclip --help`
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse with the real command; the group then invokes what the context names."""
        return self.load().make_context(*args, **kwargs)
