"""The self-contained HTML page of explanations: what it says of each scan, and how it is written."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from adclip.runtime.paths import atomic_path

MARKED_FROM = 0.08  # words below this share of the most relevant one have no line, so that the others stand out


@dataclass(frozen=True)
class Bar:
    """A cell of a table that is drawn: where a value lies between 0 and 100.

    Parameters
    ----------
    place : float
        0 to 100.
    text : str
        The value as it is written beside the bar.
    """

    place: float
    text: str


PageTable = tuple[str, Sequence[str], Sequence[Sequence[str | Bar]]]


@dataclass(frozen=True)
class PageSection:
    """One scan on the HTML page.

    Parameters
    ----------
    title : str
    picture : bytes
        PNG.
    facts : mapping
        Name -> text, shown as a table.
    tables : sequence of tuple
        (caption, header, rows); a cell is a text or a `Bar`.
    words : sequence of tuple
        Each word of the report and its signed relevance; none where no report was read.
    """

    title: str
    picture: bytes
    facts: Mapping[str, str]
    tables: Sequence[PageTable]
    words: Sequence[tuple[str, float]] = ()


def render_page(title: str, notice: str, sections: Iterable[PageSection]) -> str:
    """Return one HTML page that loads nothing from elsewhere; every text is escaped."""
    return "".join(_parts_of_page(title, notice, sections))


def write_page(target: Path, title: str, notice: str, sections: Iterable[PageSection]) -> None:
    """Write what `render_page` returns, whole or not at all, one section in memory at a time."""
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(_parts_of_page(title, notice, sections))


def _parts_of_page(title: str, notice: str, sections: Iterable[PageSection]) -> Iterator[str]:
    from jinja2 import Environment, StrictUndefined

    template = (files("adclip") / "assets" / "explain.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shown = (
        {
            "title": section.title,
            "picture": base64.b64encode(section.picture).decode("ascii"),
            "facts": list(section.facts.items()),
            "tables": section.tables,
            "words": _marked(section.words),
        }
        for section in sections
    )
    return environment.from_string(template).generate(title=title, notice=notice, sections=shown)


def _size(share: float) -> str:
    return f"{share if share >= MARKED_FROM else 0.0:.2f}"


def _marked(words: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """Return each word with its relevance, and how thick it is marked: 1 for the most relevant, 0 below `MARKED_FROM` of that."""
    most = max((abs(relevance) for _, relevance in words), default=0.0) or 1.0
    return [
        {
            "text": text,
            "relevance": f"{relevance:+.3f}",
            "size": _size(abs(relevance) / most),
            "against": relevance < 0,
        }
        for text, relevance in words
    ]
