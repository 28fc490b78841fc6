"""Options that several commands share, as annotated types, and the common ones that every command gets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from adclip.cli.parsing import parse_with
from adclip.cli.session import Session
from adclip.cli.settings import read_settings
from adclip.config import DIAGNOSIS_POLICIES, PRECISIONS, REPORT_STYLES

Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT",
        help="Scans (.nii, .nii.gz, .mgz, .mgh, .img/.hdr), DICOM folders, folders of scans, BIDS datasets, "
        "adclip derivatives, or a CSV/TSV with a `scan` column.",
        show_default=False,
    ),
]
OutFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.", show_default=False)]
Meta = Annotated[
    list[Path] | None,
    typer.Option(
        "--meta", metavar="FILE", help="Metadata table, joined to the scans by row; several are joined to each other."
    ),
]
Model = Annotated[str, typer.Option("--model", metavar="RUN", help="`builtin`, or the folder of a finished finetune.")]
Subject = Annotated[
    str | None, typer.Option("--subject", help="Subject whose row to use when nothing else joins scan and table.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="CANONICAL=THEIRS",
        help="Name of a column in your table; `:cm3` or `:1=M,2=F` behind it declares unit or codes. May be repeated.",
    ),
]
DiagnosisPolicy = Annotated[
    str,
    typer.Option(
        metavar="|".join(DIAGNOSIS_POLICIES),
        help="Diagnoses as the table states them, or CDR 0, 0.5, >= 1 read as CN, MCI, AD where it states none.",
    ),
]
Volumes = Annotated[
    bool,
    typer.Option(
        "--volumes/--no-volumes",
        help="Report hippocampus, ventricles and other volumes where no table has any: from a table beside the scan, "
        "else measured (2 s a raw scan).",
    ),
]
MaxDays = Annotated[int, typer.Option(help="Days that a row may be away from the visit it is joined to by date.")]
Style = Annotated[str, typer.Option("--style", metavar="|".join(REPORT_STYLES), help="Report style.")]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N|mps", help="Where to compute.")]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="|".join(PRECISIONS),
        help="Of the frozen weights; auto: bf16 on GPUs that compute in it, fp32 elsewhere.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same result on a CPU.")]
Workers = Annotated[
    int, typer.Option("--workers", help="Processes that share the work; 0: as many as cores and memory allow.")
]
Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Only every N-th scan from the I-th on; SLURM job arrays set it."),
]
Orientation = Annotated[
    str | None,
    typer.Option("--orientation", metavar="RAS|LAS|...", help="Directions of the stored axes, for files without any."),
]
Series = Annotated[
    str | None, typer.Option("--series", metavar="N", help="Series to take from a DICOM folder that holds several.")
]
TaskFile = Annotated[
    Path | None,
    typer.Option("--task", metavar="FILE.toml",
                 help="Other classes, phrases and score than CN, MCI, AD and MMSE.", show_default=False),
]  # fmt: skip
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, with an estimate of time and memory.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite/--no-overwrite", help="Replace earlier results in --out."),
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
        others = getattr(ctx.parent.command, "commands", {}) if ctx.parent else {}
        ctx.default_map = read_settings(value, ctx.command, others)
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
