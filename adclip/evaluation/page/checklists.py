"""TRIPOD+AI and CLAIM, filled in as far as a run knows the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from adclip.evaluation.page.tables import to_tsv

OPEN = "to be completed by the authors"


@dataclass(frozen=True)
class Item:
    """One item of a checklist: its number there, what it asks in our words, and the answer."""

    number: str
    asks: str
    answer: str

    @property
    def is_open(self) -> bool:
        """Whether the authors have to answer it."""
        return self.answer == OPEN


@dataclass(frozen=True)
class Checklist:
    """A reporting guideline with its items."""

    name: str
    source: str
    items: tuple[Item, ...]


def fill_checklists(facts: Mapping[str, str]) -> list[Checklist]:
    """Fill in what is known.

    Parameters
    ----------
    facts : mapping
        Key of `assets/checklists.json` -> sentence; what is absent or empty is left to the authors.
    """
    text = (files("adclip") / "assets" / "checklists.json").read_text(encoding="utf-8")
    return [
        Checklist(
            name,
            content["source"],
            tuple(Item(no, asks, facts.get(key or "") or OPEN) for no, asks, key in content["items"]),
        )
        for name, content in json.loads(text).items()
    ]


def checklists_to_tsv(checklists: list[Checklist]) -> str:
    """Return all items as the text of one table."""
    rows = ((one.name, item.number, item.asks, item.answer) for one in checklists for item in one.items)
    return to_tsv(("checklist", "item", "asks", "answer"), rows)
