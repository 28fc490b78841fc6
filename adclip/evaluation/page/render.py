"""Sections to one HTML page that loads nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from adclip.evaluation.page.findings import Finding


@dataclass(frozen=True)
class Grid:
    """A table: caption, head and rows of texts; the first cell of a row is its name."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A picture with what it shows in words, for those who see it and those who do not."""

    caption: str
    png: bytes
    is_wide: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page: title, sentences, findings, tables, pictures, and a list in the end."""

    title: str
    texts: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    grids: Sequence[Grid] = ()
    figures: Sequence[Figure] = ()
    listed: Sequence[str] = ()


def render(title: str, notice: str, lead: Sequence[Finding], sections: Sequence[Section]) -> str:
    """Return the page as HTML; every text is escaped, and it holds no date, no path and no script.

    Parameters
    ----------
    title, notice : str
    lead : sequence of Finding
        Stand on top.
    sections : sequence of Section
    """
    from jinja2 import Environment, StrictUndefined

    template = (files("adclip") / "assets" / "evaluate.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    return environment.from_string(template).render(title=title, notice=notice, lead=lead, sections=sections)
