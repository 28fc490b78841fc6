"""Still pictures of a heatmap over a scan, and the self-contained HTML page around them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import InputContract
from adclip.runtime.paths import atomic_path

SHOWN_FROM = 0.15  # relevance below this is left transparent, so that the anatomy stays visible
MARKED_FROM = 0.08  # words below this share of the most relevant one have no line, so that the others stand out
PLANES = ("sagittal", "coronal", "axial")


def draw_overlay(
    image: NDArray[Any], heat: NDArray[Any], contract: InputContract, title: str, outline: NDArray[Any] | None = None
) -> bytes:
    """Draw three planes through the heatmap's peak and two more slices of each, as PNG.

    Parameters
    ----------
    image : ndarray (X, Y, Z)
        Preprocessed scan in [0, 1] on the contract's grid.
    heat : ndarray (X, Y, Z)
        Relevance in [0, 1] on the same grid.
    contract : InputContract
        For the millimetres beside the slices.
    title : str
        Lines above the picture.
    outline : ndarray of bool (X, Y, Z), optional
        A region to draw as a line.

    Notes
    -----
    Neurological view: the subject's left is on the left of the picture, and marked so.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    peak = np.unravel_index(int(np.argmax(heat)), heat.shape)
    figure = Figure(figsize=(10.5, 9.6), facecolor="black", layout="constrained")
    axes = figure.subplots(3, 3)
    affine = contract.affine_xyz
    for axis, plane in enumerate(PLANES):
        for column, offset_mm in enumerate((-20.0, 0.0, 20.0)):
            step = round(offset_mm / contract.spacing_xyz_mm[axis])
            place = int(np.clip(int(peak[axis]) + step, 0, heat.shape[axis] - 1))
            panel = axes[axis, column]
            picture, warm = np.take(image, place, axis).T, np.take(heat, place, axis).T
            panel.imshow(picture, cmap="gray", origin="lower", vmin=0, vmax=1)
            panel.imshow(
                np.ma.masked_less(warm, SHOWN_FROM), cmap=mpl.colormaps["inferno"], origin="lower", vmin=0, vmax=1,
                alpha=0.55,
            )  # fmt: skip
            if outline is not None and np.take(outline, place, axis).any():
                panel.contour(np.take(outline, place, axis).T, [0.5], colors="cyan", linewidths=0.7)
            millimetres = affine[axis, axis] * place + affine[axis, 3]
            panel.set_title(f"{plane} {'xyz'[axis]} = {millimetres:.0f} mm", color="white", fontsize=9)
            if plane != "sagittal":
                for x, side in ((0.02, "L"), (0.95, "R")):
                    panel.text(x, 0.03, side, transform=panel.transAxes, color="white", fontsize=9)
            panel.axis("off")
    figure.suptitle(title, color="white", fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90, metadata={"Software": None})
    return stream.getvalue()


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


def write_page(
    target: Path, title: str, notice: str, sections: Iterable[PageSection], group: str | None = None
) -> None:
    """Write what `render_page` returns, whole or not at all, one section in memory at a time; `group` is a page to link to."""
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(_parts_of_page(title, notice, sections, group))


def _parts_of_page(title: str, notice: str, sections: Iterable[PageSection], group: str | None = None) -> Iterator[str]:
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
    return environment.from_string(template).generate(title=title, notice=notice, sections=shown, group=group)


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
