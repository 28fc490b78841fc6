"""`adclip predict`: options in, one prediction per scan out."""

from __future__ import annotations

import typer

from adclip.cli import tables
from adclip.cli.options import session_of
from adclip.verbs.settings import PredictConfig


def predict_command(ctx: typer.Context, config: PredictConfig) -> None:
    """Predict CN / MCI / AD and the MMSE of each scan.

    Raw scans are preprocessed on the way; adclip derivatives are taken as they are. Volumes of brain structures
    are measured where no table has them. Next to each answer stands what the scan, the metadata and the volumes alone
    would say. Diagnosis and test scores in the table are never used.
    """
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.verbs.predict import predict

        result = predict(config, on_event)
    session.show(tables.Records(result.predictions), tables.draw_predictions)
    session.finish(failed=result.failed, total=len(result.predictions))
