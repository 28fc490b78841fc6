"""The settings file: `--config FILE.toml`, else `adclip.toml` in the current folder."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from adclip.cli.catalog import COMMANDS
from adclip.errors import ConfigError

DEFAULT_FILE = Path("adclip.toml")
NOT_IN_A_FILE = {"config", "help"}
IN_USE = "adclip.settings_file"  # key of a context's `meta`


def read_settings(path: Path | None, command: Any, commands: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the settings file says to one command.

    Parameters
    ----------
    path : Path or None
        The file; None looks for `adclip.toml` in the current folder and is content without one.
    command : typer command
        Whose options are wanted.
    commands : mapping
        Name -> the other commands, each with a `load`: a key at the top of the file may be theirs alone.

    Returns
    -------
    values : dict
        Parameter name to value, for the parser's lowest-but-one layer of defaults.

    Raises
    ------
    ConfigError
        If the file is missing or no TOML, or has a key that no command knows.

    Notes
    -----
    Keys at the top of the file speak to every command that has such an option; a table `[finetune]` speaks to that
    command alone and wins. Keys are option names, `learning-rate` or `learning_rate`. Paths count from the
    current folder, as on the command line.
    """
    file = path or DEFAULT_FILE
    if path is None and not file.is_file():
        return {}
    data = _read_toml(file)
    own = data.pop(command.name, {})
    tables = {name: data.pop(name) for name in list(data) if name in COMMANDS and isinstance(data[name], dict)}
    if not isinstance(own, dict):
        raise ConfigError.bad_value(str(file), f"`{command.name}` must be a table, `[{command.name}]`")
    own_names = _names(command)
    everyone = (
        own_names | {key: value for name in commands for key, value in _names(commands[name].load()).items()}
        if data
        else own_names
    )
    shared = _translate(file, data, everyone)
    for name, table in tables.items():
        if name in commands:
            _translate(file, table, _names(commands[name].load()), name)
    values = {key: value for key, value in shared.items() if key in set(own_names.values())}
    values |= _translate(file, own, own_names, command.name)
    several = {parameter.name for parameter in command.params if parameter.nargs == -1 or parameter.multiple}
    return {key: [value] if key in several and isinstance(value, str) else value for key, value in values.items()}


def file_of(context: Any, parameter: Any) -> Path | None:
    """Return the settings file if it is where the value of an option comes from."""
    source = context.get_parameter_source(parameter.name)
    return context.meta.get(IN_USE) if source is not None and source.name == "DEFAULT_MAP" else None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError.bad_value(str(file), "no such settings file", "check the path after --config") from None
    except UnicodeDecodeError:
        raise ConfigError.bad_value(str(file), "not UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError.bad_value(str(file), f"not valid TOML ({error})", "correct that line") from None


def _names(command: Any) -> dict[str, str]:
    """Map every accepted key to the parameter it sets."""
    names: dict[str, str] = {}
    for parameter in command.params:
        spelled = [option.lstrip("-").replace("-", "_") for option in parameter.opts if option.startswith("--")]
        names |= {key: parameter.name for key in (parameter.name, *spelled) if key not in NOT_IN_A_FILE}
    return names


def _translate(file: Path, table: dict[str, Any], names: dict[str, str], section: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = names.get(key.replace("-", "_"))
        if name is None:
            raise ConfigError.bad_value(str(file), f"unknown key `{key}`" + (f" in [{section}]" if section else ""),
                                        _suggestion(key, names))  # fmt: skip
        values[name] = value
    return values


def _suggestion(key: str, keys: Iterable[str]) -> str:
    close = difflib.get_close_matches(key.replace("-", "_"), list(keys), n=1)
    return f"did you mean `{close[0]}`?" if close else "keys are the names of options, see `--help` of the command"
