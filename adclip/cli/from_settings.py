"""From settings to the command line: the one place that turns what is said of a setting into an option and back.

A command is a function of its settings:

    def finetune_command(ctx: typer.Context, config: FinetuneConfig, dry_run: DryRun = False) -> None: ...

Each setting becomes a parameter of its own, which Typer reads as it reads any signature; variables, keys of the settings file,
help page and `docs/reference/cli.md` follow from the parameters.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from adclip.cli.settings import file_of
from adclip.errors import ConfigError
from adclip.settings.setting import SAME, Field, Settings, fields_of, parts_of


@dataclass(frozen=True)
class Before:
    """Says of an option that is no setting which setting it stands before on the help page."""

    name: str


def parse_with(function: Callable[..., None], **attributes: Any) -> TyperCommand:
    """Build the option parser that the signature of `function` describes; settings in it are spread out first."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(cls=SectionedCommand, **attributes)(spread(function))
    return cast(TyperCommand, typer.main.get_command(single))


def spread(function: Callable[..., None]) -> Callable[..., None]:
    """Return `function` with a parameter for each setting in place of the one for all of them.

    Where its annotation is `Callable[[], SomeConfig]`, the command is given a function that makes the settings: it looks at
    other options before it needs any.
    """
    config_parameter = _find_settings(function)
    return _spread(function, *config_parameter) if config_parameter else function


def settings_of(function: Callable[..., None]) -> type[Settings]:
    """Return the settings that a command is a function of."""
    if (config_parameter := _find_settings(function)) is None:
        raise TypeError(f"{function.__name__} has no settings")
    return config_parameter[1]


def _find_settings(function: Callable[..., None]) -> tuple[str, type[Settings], bool] | None:
    """Return the parameter's name, the class, and whether a function that makes it is wanted."""
    for name, hint in get_type_hints(function).items():
        is_later = get_origin(hint) is not None
        kind = get_args(hint)[-1] if is_later else hint
        if isinstance(kind, type) and issubclass(kind, Settings):
            return name, kind, is_later
    return None


def _spread(function: Callable[..., None], config: str, kind: type[Settings], is_later: bool) -> Callable[..., None]:
    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
        if name != config
    ]
    parameters = {parameter.name: parameter for parameter in (*own[:1], *parameters_of(kind))}  # the context first
    for parameter in own[1:]:
        places = [mark.name for mark in get_args(parameter.annotation) if isinstance(mark, Before)]
        behind = _take_from(parameters, places[0]) if places else {}
        parameters |= {parameter.name: parameter} | behind

    def command(**values: Any) -> None:
        context = values[own[0].name]
        extras = {parameter.name: values.pop(parameter.name) for parameter in own}
        make = partial(make_settings, kind, values)
        try:
            function(**extras, **{config: make if is_later else make()})
        except ConfigError as error:
            raise _with_file(error, context) from None

    command.__doc__, command.__name__ = function.__doc__, function.__name__
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]  # read by inspect
    command.__annotations__ = {}  # the signature has them
    return command


def parameters_of(kind: type[Settings]) -> list[inspect.Parameter]:
    """Return one parameter for each setting, those of parts included, as Typer reads them."""
    parts = parts_of(kind)
    fields = {field.name: field for field in fields_of(kind)}
    parameters = []
    for field in dataclasses.fields(kind):
        parameters += parameters_of(parts[field.name]) if field.name in parts else [_parameter(fields[field.name])]
    return parameters


def _parameter(field: Field) -> inspect.Parameter:
    setting, default = field.setting, field.default
    if setting.default_there is not SAME:
        default = setting.default_there
    if default == ():
        default = None  # how the parser says "never given" of an option that may be repeated
    is_required = default is dataclasses.MISSING
    declaration: dict[str, Any] = {
        "metavar": setting.metavar or "|".join(setting.choices) or None,
        "help": setting.help_with_unit,
        "show_default": setting.show_default,
        "rich_help_panel": field.section or None,
    }
    shape = typer.Argument(**declaration) if setting.is_argument else typer.Option(*setting.flags, **declaration)
    several: Any = list[field.one_kind]  # type: ignore[name-defined]  # made at run time
    typed = field.kind if not field.is_several else several if is_required else several | None
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if is_required else default,
        annotation=Annotated[typed, shape],
    )


def make_settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Make settings of what was parsed.

    Raises
    ------
    ConfigError
        If they do not fit.
    """
    parts: dict[str, Any] = {name: make_settings(part, values) for name, part in parts_of(kind).items()}
    own = {
        field.name: tuple(values[field.name] or ()) if field.is_several else values[field.name]
        for field in fields_of(kind)
    }
    return kind(**parts, **own)


def _with_file(error: ConfigError, context: Any) -> ConfigError:
    """Say in which file the setting stands that an error names."""
    called = error.problem.partition(": ")[0]
    named = [parameter for parameter in context.command.params if called in (*parameter.opts, parameter.metavar)]
    file = file_of(context, named[0]) if named else None
    return error if file is None else type(error)(f"{file}: {error.problem}", error.remedy)


def _take_from(parameters: dict[str, inspect.Parameter], name: str) -> dict[str, inspect.Parameter]:
    """Remove and return the parameters from `name` on."""
    names = list(parameters)
    return {parameter_name: parameters.pop(parameter_name) for parameter_name in names[names.index(name) :]}


class SectionedCommand(TyperCommand):
    """A command whose plain help page keeps the settings of a group together."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, groups of settings under their titles, and the other options last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(record)
        for title in sorted(sections, key=lambda title: (title == "Options", title != "Arguments")):
            with formatter.section(title):
                formatter.write_dl(sections[title])
