"""What long work reports while it runs: plain records that a terminal, a notebook or a test can listen to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Started:
    """A task of known length begins."""

    task: str
    total: int


@dataclass(frozen=True)
class Advanced:
    """One more unit of `task` is done; `detail` may name it."""

    task: str
    done: int
    detail: str = ""


@dataclass(frozen=True)
class Step:
    """A milestone worth one line of text."""

    text: str


@dataclass(frozen=True)
class Warned:
    """Something the user should know about one item, though the work goes on."""

    item: str
    text: str


@dataclass(frozen=True)
class Failed:
    """One item failed and was left out; the others go on."""

    item: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Produced:
    """The record of one item is ready, in plain JSON types; the rest of the work goes on."""

    record: Mapping[str, Any]


Event = Started | Advanced | Step | Warned | Failed | Produced
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing: the library's default."""


def without_records(on_event: OnEvent) -> OnEvent:
    """Return a listener that is told everything but the records of the commands that another one is made of."""

    def tell(event: Event) -> None:
        if not isinstance(event, Produced):
            on_event(event)

    return tell
