"""`adclip weights`: one word for what to do, one for which base model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adclip.cli import tables
from adclip.cli.options import Overwrite, session_of
from adclip.config import WEIGHTS_ACTIONS, WeightsConfig


def weights_command(
    ctx: typer.Context,
    action: Annotated[str, typer.Argument(metavar="|".join(WEIGHTS_ACTIONS), help="What to do.", show_default=False)],
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[WHAT]",
            help="A base model: `m3d-clip`, `builtin`, an imported name. For import a folder, file or archive; "
            "export also takes a RUN folder.",
        ),
    ] = WeightsConfig.what,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.zip", help="Archive to export to.")
    ] = WeightsConfig.out,
    name: Annotated[str | None, typer.Option(help="Name for an imported base.")] = WeightsConfig.name,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="VOCAB.txt", help="Vocabulary for an imported base that lies without one.")
    ] = WeightsConfig.tokenizer,
    revision: Annotated[
        str | None, typer.Option(help="Revision to fetch: a commit of the hub, a branch or a tag.")
    ] = WeightsConfig.revision,
    overwrite: Overwrite = WeightsConfig.overwrite,
) -> None:
    """Fetch, check and move base models.

    list: what is here and what could be. fetch: from the Hugging Face hub, verified and continued where it broke off;
    the only command that uses the network. verify: hash every file again. path: where a base lies. export: one file for a
    machine without network, where import takes it; import also takes a folder or a safetensors file.
    """
    config = WeightsConfig(
        action=action,
        what=what,
        out=out,
        name=name,
        tokenizer=tokenizer,
        revision=revision,
        overwrite=overwrite,
    )
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
    names = ("name", "state", "size", "licence", "revision", "sha256")
    tables.draw_table(names, ([_cell(name, record.get(name)) for name in names] for record in records))


def _cell(name: str, value: object) -> str:
    if name == "size" and isinstance(value, int):
        return f"{value / 1e6:.0f} MB"
    text = tables.text(value)
    return text[:12] if name in ("revision", "sha256") else text
