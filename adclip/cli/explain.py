"""`adclip explain`: options in, heatmaps and pages on disk, their names out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from adclip.cli import tables
from adclip.cli.options import session_of
from adclip.verbs.settings import ExplainConfig

if TYPE_CHECKING:
    from adclip.cli.session import Session
    from adclip.verbs.explain_selftest import SelfTestResult


def explain_command(ctx: typer.Context, config: ExplainConfig) -> None:
    """Show where in the scan a prediction comes from.

    For each scan a heatmap on its own grid and in MNI space, a table of regions, a faithfulness check and one
    self-contained HTML page are written to --out. With --selftest no scan is explained: it is measured whether maps of this
    model find changes that were planted.
    """
    session = session_of(ctx)
    if config.selftest:
        _selftest(session, config)
        return
    with session.working() as on_event:
        from adclip.verbs.explain import explain

        result = explain(config, on_event)
    session.show(tables.Records(result.explanations), partial(_draw, result.group))
    session.finish(failed=result.failed, total=len(result.explanations))


def _selftest(session: Session, config: ExplainConfig) -> None:
    with session.working() as on_event:
        from adclip.verbs.explain_selftest import explain_selftest

        result = explain_selftest(config, on_event)
    session.show(result.rows, partial(_draw_selftest, result=result))
    session.finish(failed=result.failed, total=result.total)


def _draw_selftest(rows: Sequence[tables.Record], result: SelfTestResult) -> None:
    """Print for each planted change what each method makes of it, and where that is kept."""
    headers = (
        "method",
        "heads",
        "share of relevance",
        "of volume",
        "within 15 mm",
        "of volume",
        "own side",
        "peak in it",
        "AUC",
    )
    test = result.test
    for planted in dict.fromkeys(row["planted"] for row in rows):
        tables.draw_pairs([("planted", planted)])
        tables.draw_table(headers, (_cells(row) for row in rows if row["planted"] == planted))
    tables.draw_pairs(
        (
            f"{test.target}, {one.planted}",
            f"{one.moved:+.3f} ({one.low:+.3f} to {one.high:+.3f}), {one.remaining:.0%} of the volume left",
        )
        for one in test.effects
    )
    if test.text is not None:
        differs = "yes" if test.text.differs else "no"
        tables.draw_pairs([("maps differ between phrases", f"{differs} (Spearman {test.text.likeness:.2f})")])
    kept = [("record", result.record), ("every map", result.heads), ("for later maps", result.beside_model)]
    tables.draw_pairs((name, tables.text(path)) for name, path in kept)
    tables.draw_notices([{"notice": test.notice}])


def _cells(row: tables.Record) -> list[str]:
    share = {"estimate": row["energy_share"], "low": row["energy_low"], "high": row["energy_high"]}
    numbers = ("volume_share", "near_share", "near_volume_share", "own_side", "pointing", "auc")
    digits = {"volume_share": 4}
    return [
        row["method"], str(row["heads"]), tables.interval(share, 3),
        *(tables.number(row[name], digits.get(name, 2)) for name in numbers),
    ]  # fmt: skip


def _draw(group: Path | None, records: Sequence[tables.Record]) -> None:
    """Print what was explained, where each file is, and the page of mean maps."""
    names = ("scan", "status", "target")
    tables.draw_table(names, ([tables.text(record.get(name)) for name in names] for record in records))
    for record in records:
        files = record.get("files") or {}
        tables.draw_pairs((kind, tables.text(path)) for kind, path in files.items())
    if group is not None:
        tables.draw_pairs([("mean maps", tables.text(group.name))])
    tables.draw_pairs([("open first", "explain.html")])
    tables.draw_notices(records)
