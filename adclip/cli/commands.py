"""Stand-ins for the subcommands; each is imported only when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand


class LazyCommand(TyperCommand):
    """Stands in for a command until it is called, so that `adclip --help` imports none of them."""

    def function(self) -> Callable[..., None]:
        """Import the module of this command and return the function behind it."""
        module_name = str(self.name).replace("-", "_")
        function: Callable[..., None] = getattr(
            importlib.import_module(f"adclip.cli.{module_name}"), f"{module_name}_command"
        )
        return function

    def load(self) -> TyperCommand:
        """Build the real command, common options included."""
        from adclip.cli.from_settings import parse_with
        from adclip.cli.options import common_options

        command = parse_with(self.function(), name=self.name, epilog=self.epilog)
        command.params.extend(common_options())
        for parameter in command.params:
            long_names = [option for option in parameter.opts if option.startswith("--")]
            if long_names:
                parameter.envvar = "ADCLIP_" + long_names[0].lstrip("-").replace("-", "_").upper()
                parameter.show_envvar = False  # type: ignore[attr-defined]  # said once, in `adclip --help`
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse with the real command; the group then invokes what the context names."""
        return self.load().make_context(*args, **kwargs)
