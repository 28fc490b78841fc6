"""A still picture of a map over the scan it explains: planes through its peak, on the scan's own voxels, upright in MNI space.

Pixels are as fine as the scan's finest voxel and lie on the axes of MNI space, so that oblique, thick and rotated scans look alike
and every slice has one place in mm. The scan is interpolated once for this, linearly; the files keep its own grid.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adclip.domain import FloatArray
from adclip.explanation.planes import Cut, View

PLANES = ("sagittal", "coronal", "axial")
SHOWN_FROM, OPAQUE_FROM, OPAQUE = (
    0.12,
    0.5,
    0.72,
)  # share of the largest value: nothing is drawn below, and how it covers the scan
HALF = 0.5  # contours lie where the map has fallen to half of its largest (smallest) value
_SCALE = 2.4  # pixels a mm of the large planes; a voxel of 1 mm is seen as it is
_DPI = 100
_GAP, _SIDE, _TOP, _LINE, _FOOT = 14.0, 18.0, 12.0, 18.0, 76.0  # pixels
_LETTERS = 170  # a line holds
_DIRECTIONS = {"sagittal": ("P", "A"), "coronal": ("L", "R"), "axial": ("L", "R")}


@dataclass(frozen=True)
class Caption:
    """What stands above the picture; any text, as it is.

    Parameters
    ----------
    subject : str
    target : str
        What is explained: a class or a score.
    unit : str
        Of the map, beside the colour bar.
    probabilities : mapping
        Class -> 0 to 1; empty where there are none.
    status : str
    notice : str
    """

    subject: str
    target: str
    unit: str
    probabilities: Mapping[str, float]
    status: str
    notice: str


def draw_mosaic(
    scan: NDArray[Any],
    scan_affine: FloatArray,
    heat: NDArray[Any],
    heat_affine: FloatArray,
    caption: Caption,
    *,
    scan_to_mni: FloatArray | None = None,
    mask: NDArray[np.bool_] | None = None,
    outline: NDArray[np.bool_] | None = None,
) -> bytes:
    """Draw a map over a scan, as PNG.

    Parameters
    ----------
    scan : ndarray (X, Y, Z)
        Intensities in any unit, RAS+.
    scan_affine : ndarray (4, 4)
        Its voxels to its mm.
    heat : ndarray (x, y, z)
        The map. One that is nowhere negative is drawn from 0 to its largest value; else both ways from 0.
    heat_affine : ndarray (4, 4)
        Its voxels to MNI mm.
    caption : Caption
    scan_to_mni : ndarray (4, 4), optional
        Scan mm to MNI mm; by default they are the same.
    mask : ndarray of bool (X, Y, Z), optional
        Brain: what lies outside is black, so that no face is shown. By default where the scan is above 0.
    outline : ndarray of bool (x, y, z), optional
        A region to draw as a thin line, on the grid of `heat`.

    Returns
    -------
    bytes
        The same numbers give the same bytes.

    Notes
    -----
    Neurological view: the subject's left is on the left, and marked so. Contours say the same as the colours: a solid line where the
    map has half of its largest value, a dotted one where it has half of its smallest.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mask = np.asarray(scan > 0) if mask is None else mask
    to_mni = scan_affine if scan_to_mni is None else scan_to_mni @ scan_affine
    heat = np.nan_to_num(np.asarray(heat, dtype=np.float32))
    largest, smallest = max(float(heat.max()), 0.0), min(float(heat.min()), 0.0)
    view = View(scan, mask, to_mni, heat, heat_affine, outline)
    lines = _lines(caption, view, flat=largest == smallest)

    length = view.high - view.low
    widths, heights = (length[1], length[0], length[0]), (length[2], length[2], length[1])
    header = _TOP + _LINE * len(lines)
    width = 2 * _SIDE + 2 * _GAP + _SCALE * sum(widths)
    row = _SCALE * max(heights)
    height = header + 1.5 * row + 2 * (_LINE + _GAP) + _FOOT
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="black")

    def panel(x: float, top: float, wide: float, high: float) -> Any:
        return figure.add_axes((x / width, 1 - (top + high) / height, wide / width, high / height))

    # both ways to the largest value for the target: a strong value against it must not fade that out
    bound = largest or -smallest or 1.0
    colours = mpl.colormaps["inferno"] if smallest == 0 else _two_way(mpl)
    norm = mpl.colors.Normalize(-bound if smallest < 0 else 0.0, bound)
    x, levels = _SIDE, [(max(smallest, -bound) * HALF, "dotted"), (largest * HALF, "solid")]
    for axis, plane in enumerate(PLANES):
        wide, high = _SCALE * widths[axis], _SCALE * heights[axis]
        for place_mm, size in zip(view.places(axis), (1.0, 0.5, 0.5), strict=True):
            large = size == 1
            left = x + (wide + _GAP / 2) / 2 if place_mm > view.peak_mm[axis] else x
            top = header + _LINE + (0 if large else row + _LINE + _GAP)
            size -= 0 if large else _GAP / 4 / wide  # leaves room between the two
            axes = panel(left, top + (row - high) * (0.5 if large else 0.25), size * wide, size * high)
            _draw_plane(axes, view.cut(axis, place_mm), colours, norm, levels, line=size)
            _mark(axes, plane, size)
            title = f"{plane}, " * large + f"{'xyz'[axis]} = {round(place_mm)} mm"
            figure.text(
                (left + size * wide / 2) / width, 1 - (top - 2) / height, title, color="white", fontsize=9 if large else 8, ha="center"
            )  # fmt: skip
        x += wide + _GAP
    for number, (text, look) in enumerate(lines):
        figure.text(
            _SIDE / width, 1 - (_TOP + _LINE * (number + 1)) / height, text, va="bottom", parse_math=False, **look
        )
    bar = panel(_SIDE, height - _FOOT + 22, width - 2 * _SIDE, 12)
    _draw_bar(bar, colours, norm, [level for level in levels if level[0]], caption.unit)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()


def _draw_plane(axes: Any, cut: Cut, colours: Any, norm: Any, levels: list[tuple[float, str]], line: float) -> None:
    axes.imshow(cut.picture, cmap="gray", origin="lower", vmin=0, vmax=1, extent=cut.extent, aspect="auto")
    share = np.abs(cut.heat) / norm.vmax
    cover = OPAQUE * np.clip((share - SHOWN_FROM) / (OPAQUE_FROM - SHOWN_FROM), 0, 1)
    pixels = colours(norm(cut.heat))
    pixels[..., 3] = cover * cut.brain
    axes.imshow(pixels, origin="lower", extent=cut.extent, aspect="auto")
    for level, style in levels:
        if level and cut.heat.min() < level < cut.heat.max():
            axes.contour(
                cut.heat,
                [level],
                colors="white",
                linewidths=0.5 + 0.6 * line,
                linestyles=style,
                origin="lower",
                extent=cut.extent,
            )
    if cut.outline is not None and cut.outline.min() < 0.5 < cut.outline.max():
        axes.contour(cut.outline, [0.5], colors="cyan", linewidths=0.8, origin="lower", extent=cut.extent)
    axes.axis("off")


def _mark(axes: Any, plane: str, size: float) -> None:
    for x, letter in zip((0.01, 0.99), _DIRECTIONS[plane], strict=True):
        axes.text(
            x, 0.02, letter, transform=axes.transAxes, color="white", fontsize=7 + 3 * size, ha="left" if x < 0.5 else "right"
        )  # fmt: skip


def _draw_bar(axes: Any, colours: Any, norm: Any, levels: list[tuple[float, str]], unit: str) -> None:
    from matplotlib.cm import ScalarMappable

    bar = axes.figure.colorbar(ScalarMappable(norm, colours), cax=axes, orientation="horizontal")
    bar.outline.set_edgecolor("white")
    axes.tick_params(colors="white", labelsize=8)
    for level, style in levels:
        axes.axvline(level, color="white", linestyle=style, linewidth=1.4)
    lines = " and ".join(f"{style} at {level:.2g}" for level, style in reversed(levels))
    text = (
        _printable(unit)
        + (f"; contour {lines}" if lines else "")
        + f"; below {SHOWN_FROM:.0%} of the largest nothing is drawn"
    )
    axes.set_xlabel(text, color="white", fontsize=8, parse_math=False)


def _two_way(mpl: Any) -> Any:
    """Blue below 0 and orange above, dark between: told apart with every common colour blindness, and by lightness from 0."""
    return mpl.colors.LinearSegmentedColormap.from_list(
        "two_way", ["#c8ecff", "#4fb3f0", "#14589c", "#151515", "#a34a00", "#f59a23", "#ffe9b8"]
    )


def _lines(caption: Caption, view: View, *, flat: bool) -> list[tuple[str, dict[str, Any]]]:
    """Return the lines above the picture with their look."""
    plain = {"color": "white", "fontsize": 9}
    shares = ", ".join(f"{name} {value:.0%}" for name, value in caption.probabilities.items())
    answer = "; ".join(part for part in (shares, f"status {caption.status}" if caption.status else "") if part)
    x, y, z = (round(float(value)) for value in view.peak_mm)
    sizes = " x ".join(f"{size:.2g}" for size in view.voxel_mm)
    place = (
        "the map is flat: planes through the middle"
        if flat
        else f"planes through the peak of the map at {x}, {y}, {z} mm (MNI)"
    )
    texts = [
        (
            f"{caption.subject}: relevance for {caption.target}",
            {"color": "white", "fontsize": 12, "fontweight": "bold"},
        ),
        (answer, plain),
        (f"{place}; the scan's voxels have {sizes} mm in MNI space; the subject's left is on the left", plain),
        (caption.notice, {"color": "#ffd27f", "fontsize": 9}),
    ]
    return [(line, look) for text, look in texts for line in textwrap.wrap(_printable(text), _LETTERS, max_lines=2)]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
