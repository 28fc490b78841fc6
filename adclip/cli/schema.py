"""`adclip schema`: the name of an output in, its JSON Schema out."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer

from adclip.cli import tables
from adclip.cli.options import session_of
from adclip.verbs.settings import SchemaConfig


def schema_command(ctx: typer.Context, config: SchemaConfig) -> None:
    """Print the JSON Schema of any output.

    Every JSON that adclip writes has one, of dialect 2020-12; without a name they are listed. `docs/reference/schemas` holds the
    same.
    """
    session = session_of(ctx)
    with session.working():
        from adclip.verbs.schema import schema

        result = schema(config)
    if result.schema is not None:
        session.show([result.schema], lambda records: typer.echo(json.dumps(records[0], indent=2)))
        return
    session.show([entry.to_dict() for entry in result.entries], _draw)


def _draw(records: Sequence[tables.Record]) -> None:
    rows = [
        [tables.text(record["name"]), "a line" if record["is_lines"] else "a file", tables.text(record["where"])]
        for record in records
    ]
    tables.draw_table(("name", "of", "where"), rows)
