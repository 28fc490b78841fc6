"""The list of subcommands, as `adclip --help` shows it; importing it imports none of them."""

from __future__ import annotations

from dataclasses import dataclass


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
    "evaluate": CommandEntry(
        "Measure a model on its test people or another cohort.",
        "adclip evaluate --model run1 --scans derivatives --table clinical.csv --out evaluated",
    ),
    "weights": CommandEntry(
        "Fetch, check and move base models.",
        "adclip weights fetch m3d-clip",
    ),
    "simulate": CommandEntry(
        "Make a cohort of heads with known truth.",
        "adclip simulate --out cohort --subjects 40",
    ),
    "doctor": CommandEntry(
        "Say what this machine can do, and mend what it cannot.",
        "adclip doctor",
    ),
    "schema": CommandEntry(
        "Print the JSON Schema of any output.",
        "adclip schema prediction",
    ),
}


EXAMPLE = "Example: "  # how the last line of a command's help begins
