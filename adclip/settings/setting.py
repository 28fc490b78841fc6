"""A setting: a typed field of a frozen dataclass that carries its help, unit, source and limits.

They are said once, beside the field:

    epochs: Annotated[int, Setting("Passes over the training scans.", at_least=1)] = 10

The checks here, and option, variable, key of the settings file, help page and schema (`adclip.cli.from_settings`,
`adclip.settings.schema`) are made of them.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints

from adclip.errors import ConfigError

SAME = object()  # the default on the command line is that of the field
_SEEN: dict[type, tuple[Field, ...]] = {}


@dataclass(frozen=True)
class Setting:
    """What is to be said of one setting.

    Parameters
    ----------
    help : str
        One line, as `--help` shows it.
    metavar : str or None
        What stands for the value on the command line; by default the choices, else the kind.
    flags : tuple of str
        Spellings as Typer takes them; by default the name of the field.
    is_argument : bool
        Whether it stands on the command line without a flag.
    called : str
        What errors call an argument.
    show_default : bool or str
        Whether the help page tells the default, or what it tells in its place.
    default_there : object
        Default on the command line, where it is another than from Python, or where Python has none.
    unit, source : str
        Of the value; where it comes from.
    note : str
        What else is to be known, in whole sentences; the reference page and the schema tell it, `--help` does not.
    choices : sequence of str
        All that it may be.
    at_least, above, at_most : float or None
        Limits, in its unit; `above` is not reached itself. One with a limit below may not be endless.
    check : callable or None
        Called with flag and value; raises ConfigError.
    """

    help: str
    metavar: str | None = None
    flags: tuple[str, ...] = ()
    is_argument: bool = False
    called: str = ""
    show_default: bool | str = True
    default_there: Any = SAME
    unit: str = ""
    source: str = ""
    note: str = ""
    choices: Sequence[str] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    check: Callable[[str, Any], None] | None = None

    @property
    def help_with_unit(self) -> str:
        """The help, and the unit where the help does not name it."""
        is_named = re.search(rf"\b{re.escape(self.unit)}\b", self.help, re.IGNORECASE)
        return self.help if not self.unit or is_named else f"{self.help} Unit: {self.unit}."

    @property
    def sentences(self) -> str:
        """All that is said in words: help, unit, note and source."""
        source = f"Source: {self.source}." if self.source else ""
        return " ".join(sentence for sentence in (self.help_with_unit, self.note, source) if sentence)


@dataclass(frozen=True)
class Field:
    """One setting of a class: its name, its type, what is said of it, and the section of the group that it belongs to.

    Parameters
    ----------
    kind : type
        Without what `Annotated` adds.
    default : object
        `dataclasses.MISSING` where it must be given.
    """

    name: str
    kind: Any
    setting: Setting
    default: Any
    section: str

    @property
    def flag(self) -> str:
        """What errors call it."""
        long = [flag for flag in self.setting.flags if flag.startswith("--")]
        own = long[0].partition("/")[0] if long else "--" + self.name.replace("_", "-")
        return self.setting.called or own

    @property
    def is_required(self) -> bool:
        """Whether there is no default."""
        return self.default is dataclasses.MISSING

    @property
    def is_several(self) -> bool:
        """Whether it is a tuple of values."""
        return any(get_origin(kind) is tuple for kind in (self.kind, *get_args(self.kind)))

    @property
    def one_kind(self) -> type:
        """The type of a single value: `Path` of `Path | tuple[Path, ...] | None`."""
        kinds = [kind for kind in get_args(self.kind) if kind not in (type(None), Ellipsis)] or [self.kind]
        return next(kind for kind in kinds if get_origin(kind) is not tuple)


@dataclass(frozen=True)
class Settings:
    """Base of all settings: checked when they are made, and turned into plain JSON types and back.

    Nothing is read from disk for it. A subclass with a `SECTION` is a group: `--help` and schema keep its fields together.
    """

    def __post_init__(self) -> None:
        for field in fields_of(type(self)):
            value, setting = getattr(self, field.name), field.setting
            if value is None:
                continue
            if setting.choices:
                check_choice(field.flag, value, setting.choices)
            if setting.at_least is not None:
                check_at_least(field.flag, value, setting.at_least)
            if setting.above is not None:
                check_above(field.flag, value, setting.above)
            if setting.at_most is not None:
                check_at_most(field.flag, value, setting.at_most)
            if setting.check is not None:
                setting.check(field.flag, value)
        self.check_together()

    def check_together(self) -> None:
        """Raise ConfigError where settings contradict each other; groups call the next one by `super`."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, paths as text."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`; unknown keys are an error."""
        names = {f.name for f in dataclasses.fields(cls)}
        for key in data:
            if key not in names:
                raise ConfigError.bad_value(key, f"unknown setting of {cls.__name__}")
        return cls(**data)


def fields_of(kind: type[Settings]) -> tuple[Field, ...]:
    """Return the fields of a class that say something of themselves, in order; a part made of settings is none of them."""
    if kind not in _SEEN:
        hints = get_type_hints(kind, include_extras=True)
        annotated_fields = [field for field in dataclasses.fields(kind) if get_origin(hints[field.name]) is Annotated]
        _SEEN[kind] = tuple(_to_field(kind, field, hints[field.name]) for field in annotated_fields)
    return _SEEN[kind]


def _to_field(kind: type[Settings], field: dataclasses.Field[Any], hint: Any) -> Field:
    own, *metadata = get_args(hint)
    setting = next(mark for mark in metadata if isinstance(mark, Setting))
    group = next(base for base in kind.__mro__ if field.name in vars(base).get("__annotations__", {}))
    return Field(field.name, own, setting, field.default, vars(group).get("SECTION", ""))


def parts_of(kind: type[Settings]) -> dict[str, type[Settings]]:
    """Return the fields that are settings themselves."""
    hints = get_type_hints(kind)
    return {name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Settings)}


def check_at_least(flag: str, value: float, smallest: float) -> None:
    """Raise ConfigError if `value` is below `smallest`, or endless."""
    if not smallest <= value < math.inf:  # written so that NaN fails too
        raise ConfigError.bad_value(flag, f"must be at least {smallest:g}, and a number, got {value:g}")


def check_above(flag: str, value: float, limit: float) -> None:
    """Raise ConfigError unless `value` is above `limit`, and not endless."""
    if not limit < value < math.inf:
        raise ConfigError.bad_value(flag, f"must be above {limit:g}, and a number, got {value:g}")


def check_at_most(flag: str, value: float, largest: float) -> None:
    """Raise ConfigError if `value` is above `largest`, or no number."""
    if not -math.inf < value <= largest:
        raise ConfigError.bad_value(flag, f"must be at most {largest:g}, and a number, got {value:g}")


def check_choice(flag: str, choice: str, choices: Sequence[str]) -> None:
    """Raise ConfigError unless `choice` is one of `choices`."""
    if choice not in choices:
        raise ConfigError.bad_value(flag, f"`{choice}` is not one of {', '.join(choices)}")


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum | Path):
        return str(value)
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
