"""Records read back: from plain JSON types to the dataclasses that they were written from, one at a time."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints, overload

from adclip.domain import Prediction

Record = TypeVar("Record")


class Stored(Sequence[Record], Generic[Record]):
    """The records of a cohort in the order of its scans, read when they are asked for: ten thousand need no memory.

    Parameters
    ----------
    read : callable
        Place -> record.
    count : int
        How many there are.
    """

    def __init__(self, read: Callable[[int], Record], count: int) -> None:
        self._read, self._count = read, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        places = range(self._count)[place]
        return [self._read(each) for each in places] if isinstance(places, range) else self._read(places)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) or not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it compares by what it holds, as a list does

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self._count} records"


def to_prediction(record: Mapping[str, Any]) -> Prediction:
    """Return the prediction that `Prediction.to_dict` gave; the estimate stands under the name of the task's score."""
    known = {field.name for field in dataclasses.fields(Prediction)}
    score_name = next((name for name in record if name not in known), "mmse")
    return to_dataclass(Prediction, {**record, "mmse": record.get(score_name), "score_name": score_name})


def to_dataclass(kind: type[Record], content: Mapping[str, Any]) -> Record:
    """Return a dataclass whose fields stand in `content` in JSON types; keys that are no fields are left out."""
    hints = _hints(kind)  # type: ignore[arg-type]  # a class is hashable
    values = {name: _as(hint, content[name]) for name, hint in hints.items() if name in content}
    return kind(**values)


@lru_cache(maxsize=16)
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _as(hint: Any, value: Any) -> Any:
    """Return a value out of JSON as the type that a field has: lists become tuples, objects dataclasses where they were."""
    if value is None:
        return None
    if get_origin(hint) in (Union, types.UnionType):
        hint = next((part for part in get_args(hint) if part is not types.NoneType), Any)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return to_dataclass(cast("type[Any]", hint), value)
    if get_origin(hint) is tuple and isinstance(value, list):
        inner = get_args(hint)[:1] or (Any,)
        return tuple(_as(inner[0], item) for item in value)
    return value
