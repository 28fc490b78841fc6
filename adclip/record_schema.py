"""From a typed record to JSON Schema (2020-12): names and types from its fields, descriptions from its docstring."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_PLAIN: dict[Any, Schema] = {
    bool: {"type": "boolean"}, int: {"type": "integer"}, float: NUMBER, str: TEXT, Path: TEXT, type(None): {"type": "null"}, Any: {},
}  # fmt: skip
_ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*)(?: : .*)?$")


def document(name: str, title: str, body: Schema) -> Schema:
    """Return a whole schema: its dialect, what it is of, and the body."""
    return {"$schema": DIALECT, "$id": f"adclip:{name}", "title": title, **body}


def of_type(hint: Any, names: Mapping[str, Any] | None = None) -> Schema:
    """Return the schema of values of a type, as `to_dict` writes them: a tuple is a list, a path is text.

    Raises
    ------
    TypeError
        If nothing is known of the type, so that no field is let through by an oversight.
    """
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return of_type(parts[0], names)
    if origin in (Union, types.UnionType):
        return any_of(*(of_type(part, names) for part in parts))
    if origin is tuple and Ellipsis not in parts:
        return {
            "type": "array",
            "prefixItems": [of_type(part, names) for part in parts],
            "items": False,
            "minItems": len(parts),
        }
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return mapping_of(of_type(parts[1], names))
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return list_of(of_type(parts[0], names))
    if inspect.isclass(hint) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    if dataclasses.is_dataclass(hint) or hasattr(hint, "_fields"):
        return of_record(hint, names=names)
    raise TypeError(f"no JSON Schema for {hint}")


def of_record(
    kind: Any,
    changed: Mapping[str, Schema | None] | None = None,
    *,
    optional: Sequence[str] = (),
    closed: bool = True,
    names: Mapping[str, Any] | None = None,
) -> Schema:
    """Return the schema of a record: an object with a key for each field.

    Parameters
    ----------
    kind : type
        A dataclass or a named tuple.
    changed : mapping, optional
        Key -> its schema, where the file has another key or type than the class; None for a field that the file has not.
    optional : sequence of str
        Keys that may be absent.
    closed : bool
        Whether keys that are not named here are wrong.
    names : mapping, optional
        Name -> type of what the class's module imports for type checkers alone.
    """
    hints = get_type_hints(kind, localns=dict(names or {}))
    fields = (
        [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else list(kind._fields)
    )
    said = {name: words for base in reversed(kind.__mro__) for name, words in describe_fields(base).items()}
    changed = dict(changed or {})
    properties: dict[str, Schema] = {}
    for field in fields:
        body = changed.pop(field) if field in changed else of_type(hints[field], names)
        if body is not None:
            properties[field] = {"description": said[field], **body} if said.get(field) else body
    properties |= {name: body for name, body in changed.items() if body is not None}
    return object_of(properties, optional=optional, closed=closed, description=summary(kind))


def object_of(
    properties: Mapping[str, Schema], *, optional: Sequence[str] = (), closed: bool = True, description: str = ""
) -> Schema:
    """Return the schema of an object with these keys, all of which must be there but the optional ones."""
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        **({"additionalProperties": False} if closed else {}),
    }


def mapping_of(value: Schema) -> Schema:
    """Return the schema of an object whose keys are free, and whose values are alike."""
    return {"type": "object", "additionalProperties": value}


def list_of(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def one_of(*values: str) -> Schema:
    """Return the schema of a word out of a few."""
    return {"enum": list(values)}


def or_null(schema: Schema) -> Schema:
    """Return the schema of a value that may be unknown."""
    return any_of(schema, {"type": "null"})


def any_of(*schemas: Schema) -> Schema:
    """Return the schema of a value that is one of several kinds; plain kinds are named together."""
    if any(schema == {} for schema in schemas):
        return {}
    if all(set(schema) == {"type"} for schema in schemas):
        named = [schema["type"] for schema in schemas]
        kinds = list(dict.fromkeys(kind for one in named for kind in ([one] if isinstance(one, str) else one)))
        return {"type": kinds[0] if len(kinds) == 1 else kinds}
    return {"anyOf": list(schemas)}


def summary(kind: type) -> str:
    """Return the first sentence of a class's docstring."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def describe_fields(kind: type) -> dict[str, str]:
    """Return field -> what the `Parameters` of a NumPy docstring say of it, the text below its type in one line."""
    _, found, section = (inspect.getdoc(kind) or "").partition("Parameters\n----------\n")
    described: dict[str, str] = {}
    current: list[str] = []
    lines: list[str] = []
    for line in (section.splitlines() if found else []) + [""]:
        entry = _ENTRY.match(line)
        if entry is None and line.startswith(" "):
            lines.append(line.strip())
            continue
        described |= {name: " ".join(lines) for name in current if lines}
        if entry is None:
            break
        current, lines = entry["names"].split(", "), []
    return described
