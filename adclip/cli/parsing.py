"""From the signature of a function to an option parser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import typer
from typer.core import TyperCommand


def parse_with(function: Callable[..., None], **attributes: Any) -> TyperCommand:
    """Build the option parser that the signature of `function` describes."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(**attributes)(function)
    return cast(TyperCommand, typer.main.get_command(single))
