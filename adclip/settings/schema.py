"""Settings as JSON Schema, for editors and programs: what may stand in a settings file, with help, unit, note, source and limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adclip.record_schema import DIALECT
from adclip.settings.setting import SAME, Field, Settings, fields_of, parts_of

_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


def to_json_schema(kind: type[Settings]) -> dict[str, Any]:
    """Return the schema of the table of one command, `[finetune]` for example.

    Notes
    -----
    Keys are options without their dashes, and fields where they are called otherwise (`column`, `columns`). All may be left
    out: what is required can stand on the command line. Other keys are not refused, because options that are no settings
    (`json`, `dry-run`) may stand there too; adclip itself refuses those that no command knows.
    """
    properties: dict[str, Any] = {}
    for part in parts_of(kind).values():
        properties |= to_json_schema(part)["properties"]
    for field in fields_of(kind):
        option = field.flag.removeprefix("--")
        spellings = {field.name} if field.setting.is_argument else {field.name, option, option.replace("-", "_")}
        properties |= dict.fromkeys(sorted(spellings), _of(field))
    return {"type": "object", "description": (kind.__doc__ or "").partition("\n")[0], "properties": properties}


def file_schema(commands: Mapping[str, type[Settings]]) -> dict[str, Any]:
    """Return the schema of a whole settings file, with a table for each command."""
    tables = {name: to_json_schema(kind) for name, kind in commands.items()}
    return {"$schema": DIALECT, "title": "adclip settings file", "type": "object", "properties": tables}


def _of(field: Field) -> dict[str, Any]:
    setting = field.setting
    value_schema: dict[str, Any] = {"type": _NAMES[field.one_kind]}
    if setting.choices:
        value_schema["enum"] = list(setting.choices)
    limits = {"minimum": setting.at_least, "exclusiveMinimum": setting.above, "maximum": setting.at_most}
    value_schema |= {keyword: limit for keyword, limit in limits.items() if limit is not None}
    schema: dict[str, Any] = (
        {"anyOf": [value_schema, {"type": "array", "items": value_schema}]} if field.is_several else value_schema
    )
    schema = schema | {"description": setting.sentences}
    # a settings file is read by the command line, so its default is the one that holds
    default = field.default if setting.default_there is SAME else setting.default_there
    if not field.is_required and default not in (None, ()):
        schema["default"] = str(default) if isinstance(default, Path) else default
    return schema
