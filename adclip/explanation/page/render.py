"""The HTML of one scan: self-contained, escaped, and forbidden to ask anything of a network."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from adclip.explanation.page.charts import HEIGHT, WIDTH, chart_of_curve, chart_of_panel
from adclip.explanation.page.content import PageContent, Word
from adclip.explanation.page.volumes import ViewerImages
from adclip.runtime.paths import atomic_path

MARKED_FROM = 0.08  # words below this share of the most relevant one have no line, so that the others stand out
NIIVUE = "0.69.0"
NIIVUE_SHA256 = "a447defbdcd93038990d86a31d0d094c009e16e5dd7488c1527a6a1cae713daa"  # of niivue.umd.js, as in its notice


def render_page(content: PageContent, picture: bytes, images: ViewerImages | None = None) -> str:
    """Return the page of one scan.

    Parameters
    ----------
    content : PageContent
        Every text of it is escaped.
    picture : bytes
        PNG; what is seen where the viewer cannot run.
    images : ViewerImages, optional
        Without them the page has no viewer.
    """
    return "".join(_parts(content, picture, images))


def write_page(target: Path, content: PageContent, picture: bytes, images: ViewerImages | None = None) -> None:
    """Write what `render_page` returns, whole or not at all.

    Raises
    ------
    OSError
        If the disk is full.
    """
    write_parts(target, _parts(content, picture, images))


def write_parts(target: Path, parts: Iterator[str]) -> None:
    """Write the parts of a page as they come, whole or not at all."""
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(parts)


def generate(template: str, scripts: Sequence[str], values: Mapping[str, Any]) -> Iterator[str]:
    """Fill a template of `assets/explain`, and name in it the only scripts that may run.

    Parameters
    ----------
    template : str
        Name of the file.
    scripts : sequence of str
        Names of adclip's own scripts, which the template gets as `scripts`.
    values : mapping
        What else it is told.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(read_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    code = [read_asset(name) for name in scripts]
    allowed = " ".join(f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'" for text in code)
    viewer = f"'sha256-{_base64(bytes.fromhex(NIIVUE_SHA256))}'"
    policy = "; ".join((
        "default-src 'none'", f"script-src {allowed} {viewer}", "style-src 'unsafe-inline'", "img-src data:", "base-uri 'none'",
        "form-action 'none'",
    ))  # fmt: skip
    own = {
        "policy": policy,
        "scripts": [Markup(text) for text in code],  # noqa: S704  files of adclip
        "style": Markup(read_asset("page.css")),  # noqa: S704
    }
    yield from environment.get_template(template).generate(**own, **values)


def _parts(content: PageContent, picture: bytes, images: ViewerImages | None) -> Iterator[str]:
    what_if = content.what_if
    panels = [panel for panel in (what_if.image, what_if.table) if panel is not None] if what_if else []
    values = {
        "content": content,
        "picture": _base64(picture),
        "words": _marked(content.words),
        "curves": [chart_of_curve(curve, content.explained, content.orders) for curve in content.curves],
        "panels": [chart_of_panel(panel) for panel in panels],
        "chart_size": (WIDTH, HEIGHT),
        "images": images,
        "facts": _facts(content, images) if images is not None else {},
        "data": _data(images) if images is not None else {},
        "licences": [read_asset("LICENSE.txt", "niivue"), read_asset("NOTICE.txt", "niivue")]
        if images is not None
        else [],
        "niivue": NIIVUE,
    }
    return generate("scan.html", ["theme.js", "viewer.js"] if images is not None else ["theme.js"], values)


def _facts(content: PageContent, images: ViewerImages) -> dict[str, Any]:
    """Return what the viewer's script is told; the template writes it as JSON in which no tag can end."""
    regions = content.regions.rows if content.regions is not None else ()
    return {
        "target": content.target,
        "space": images.space,
        "peakMm": list(images.peak_mm),
        "labels": {
            "shape": list(images.labels_shape),
            "fromMm": images.labels_from_mm,
            "names": {str(row.code): row.name for row in regions if row.code is not None},
        },
    }


def _data(images: ViewerImages) -> dict[str, str]:
    """Return element id -> gzipped bytes as base64."""
    data = {"viewer-code": _viewer_code(), "scan-data": images.scan.nifti, "map-data": images.relevance.nifti}
    if images.labels:
        data["label-data"] = images.labels
    return {name: _base64(content) for name, content in data.items()}


@lru_cache(maxsize=1)
def _viewer_code() -> bytes:
    """Return NiiVue, gzipped: a third of its size, in every page."""
    return gzip.compress((files("adclip") / "assets" / "niivue" / "niivue.umd.js").read_bytes(), 9, mtime=0)


@lru_cache(maxsize=16)
def read_asset(name: str, folder: str = "explain") -> str:
    """Return a text among adclip's own files."""
    return (files("adclip") / "assets" / folder / name).read_text(encoding="utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _marked(words: Sequence[Word]) -> list[dict[str, Any]]:
    """Return each word with its relevance, and how thick it is marked: 1 for the most relevant, 0 below `MARKED_FROM` of that."""
    most = max((abs(word.relevance) for word in words), default=0.0) or 1.0
    return [
        {
            "text": word.text,
            "relevance": f"{word.relevance:+.3f}",
            "size": f"{share if (share := abs(word.relevance) / most) >= MARKED_FROM else 0.0:.2f}",
            "against": word.relevance < 0,
        }
        for word in words
    ]
