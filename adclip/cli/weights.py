"""`adclip weights`: one word for what to do, one for which base model."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from adclip.cli import tables
from adclip.cli.options import session_of
from adclip.verbs.settings import WeightsConfig


def weights_command(ctx: typer.Context, config: WeightsConfig) -> None:
    """Fetch, check and move base models.

    list: what is here and what could be. fetch: from the Hugging Face hub, verified and continued where it broke off;
    the only command that uses the network. verify: hash every file again and look at every number; a RUN, or the builtin model, must
    also answer a made-up scan and report as it did where it was written. path: where a base lies. export: one file for a
    machine without network, where import takes it; import also takes a folder or a safetensors file.
    """
    session = session_of(ctx)
    with session.working() as on_event:
        from adclip.verbs.weights import weights

        result = weights(config, on_event)
    session.show(result.to_dicts(), _draw)


def _draw(records: Sequence[tables.Record]) -> None:
    """Print a path alone, so that a shell can use it; else a table."""
    if records and set(records[0]) == {"action", "path"}:
        typer.echo(records[0]["path"])
        return
    verified = any("canary" in record for record in records)
    names = (
        ("name", "state", "canary", "sha256")
        if verified
        else ("name", "state", "size", "licence", "revision", "sha256")
    )
    tables.draw_table(names, ([_cell(name, record.get(name)) for name in names] for record in records))


def _cell(name: str, value: object) -> str:
    if name == "size" and isinstance(value, int):
        return f"{value / 1e6:.0f} MB"
    text = tables.text(value)
    return text[:12] if name in ("revision", "sha256") else text
