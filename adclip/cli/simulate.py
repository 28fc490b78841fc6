"""`adclip simulate`: options in, a cohort with known truth on disk, its counts out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import Model, OutFolder, Overwrite, Seed, Workers, session_of
from adclip.config import APPEARANCES, CONTRASTS, SimulateConfig

SHAPE, SCAN, TABLES = "Who is simulated", "How the scans look", "What the tables hold"


def simulate_command(
    ctx: typer.Context,
    out: OutFolder,
    subjects: Annotated[int, typer.Option(help="Number of people.", rich_help_panel=SHAPE)] = SimulateConfig.subjects,
    visits: Annotated[
        int, typer.Option(help="Visits of each person; some do not happen, see --dropout.", rich_help_panel=SHAPE)
    ] = SimulateConfig.visits,
    interval_months: Annotated[
        int, typer.Option("--interval", metavar="MONTHS", help="Months between visits.", rich_help_panel=SHAPE)
    ] = SimulateConfig.interval_months,
    wide_age: Annotated[
        bool, typer.Option(help="Ages 20-95 instead of the clinical range.", rich_help_panel=SHAPE)
    ] = SimulateConfig.wide_age,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Whole-head label maps (FreeSurfer codes) to make the heads of.",
            rich_help_panel=SHAPE,
            show_default="the template",
        ),
    ] = SimulateConfig.labels,
    preprocessed: Annotated[
        bool,
        typer.Option(help="Write volumes that are ready for finetune, instead of raw heads.", rich_help_panel=SCAN),
    ] = SimulateConfig.preprocessed,
    model: Model = SimulateConfig.model,
    appearance: Annotated[
        str,
        typer.Option(
            metavar="|".join(APPEARANCES), help="Range of contrast, noise and artefacts.", rich_help_panel=SCAN
        ),
    ] = SimulateConfig.appearance,
    contrast: Annotated[
        str, typer.Option(metavar="|".join(CONTRASTS), help="MRI, or numbers like those of CT.", rich_help_panel=SCAN)
    ] = SimulateConfig.contrast,
    sites: Annotated[
        int, typer.Option(help="Scanners that the people are spread over at random.", rich_help_panel=SCAN)
    ] = SimulateConfig.sites,
    spacing_mm: Annotated[
        float, typer.Option("--spacing", metavar="MM", help="In-plane voxel size of raw heads.", rich_help_panel=SCAN)
    ] = SimulateConfig.spacing_mm,
    thickness_mm: Annotated[
        float | None,
        typer.Option(
            "--thickness",
            metavar="MM",
            help="Slice thickness of raw heads.",
            rich_help_panel=SCAN,
            show_default="each scanner's own",
        ),
    ] = SimulateConfig.thickness_mm,
    defaced: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of raw heads without face.", rich_help_panel=SCAN)
    ] = SimulateConfig.defaced,
    stripped: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of raw heads without skull.", rich_help_panel=SCAN)
    ] = SimulateConfig.stripped,
    missing: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of cells without value.", rich_help_panel=TABLES)
    ] = SimulateConfig.missing,
    dropout: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of later visits that did not happen.", rich_help_panel=TABLES)
    ] = SimulateConfig.dropout,
    measured: Annotated[
        bool,
        typer.Option(
            "--measured/--no-measured",
            help="Measure each scan with adclip's segmenter too, for measured.tsv and table-measured.csv.",
            rich_help_panel=TABLES,
        ),
    ] = SimulateConfig.measured,
    seed: Seed = SimulateConfig.seed,
    workers: Workers = 0,
    overwrite: Overwrite = SimulateConfig.overwrite,
) -> None:
    """Make a cohort of heads with known truth.

    Disease, age and volumes follow published distributions, contrast and noise are drawn widely; volumes are measured on the
    simulated labels. The oracle printed at the end is a logistic regression on the true volumes: a reference for any model.
    The same command goes on where a stopped one was; more --subjects add to a finished cohort.
    """
    config = SimulateConfig(
        out=out,
        subjects=subjects,
        preprocessed=preprocessed,
        model=model,
        labels=labels,
        visits=visits,
        interval_months=interval_months,
        wide_age=wide_age,
        appearance=appearance,
        contrast=contrast,
        sites=sites,
        spacing_mm=spacing_mm,
        thickness_mm=thickness_mm,
        defaced=defaced,
        stripped=stripped,
        missing=missing,
        dropout=dropout,
        measured=measured,
        seed=seed,
        workers=workers,
        overwrite=overwrite,
    )
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
    if config.contrast == "ct":
        return "look at the scans; preprocess refuses CT"
    if config.preprocessed:
        return f"adclip finetune --scans {config.out} --table {config.out}/table.csv --out run"
    return f"adclip preprocess {config.out} --out {config.out}-prep"
