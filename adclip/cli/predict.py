"""`adclip predict`: options in, one prediction per scan out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import (
    Columns,
    Device,
    Inputs,
    MaxDays,
    Meta,
    Model,
    Orientation,
    Overwrite,
    Precision,
    Series,
    Subject,
    Volumes,
    session_of,
)
from adclip.config import PredictConfig


def predict_command(
    ctx: typer.Context,
    inputs: Inputs,
    meta: Meta = None,
    model: Model = PredictConfig.model,
    subject: Subject = PredictConfig.subject,
    columns: Columns = None,
    max_days: MaxDays = PredictConfig.max_days,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write predictions.jsonl and predictions.csv here.")
    ] = PredictConfig.out,
    volumes: Volumes = PredictConfig.volumes,
    orientation: Orientation = PredictConfig.orientation,
    series: Series = PredictConfig.series,
    device: Device = PredictConfig.device,
    precision: Precision = PredictConfig.precision,
    overwrite: Overwrite = PredictConfig.overwrite,
) -> None:
    """Predict CN / MCI / AD and the MMSE of each scan.

    Raw scans are preprocessed on the way; adclip derivatives are taken as they are. Volumes of brain structures
    are measured where no table has them. Next to each answer stands what the scan, the metadata and the volumes alone
    would say. Diagnosis and test scores in the table are never used.
    """
    config = PredictConfig(
        inputs=tuple(inputs),
        meta=tuple(meta or ()),
        model=model,
        subject=subject,
        columns=tuple(columns or ()),
        max_days=max_days,
        out=out,
        volumes=volumes,
        orientation=orientation,
        series=series,
        device=device,
        precision=precision,
        overwrite=overwrite,
    )
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.verbs.predict import predict

        result = predict(config, on_event)
    session.show([tables.as_record(item) for item in result.predictions], tables.draw_predictions)
    session.finish(failed=result.failed, total=len(result.predictions))
