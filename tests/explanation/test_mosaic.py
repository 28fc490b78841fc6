"""The picture: the right planes of the right scan, no face, both signs by more than colour, and text as it is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import image as images
from phantoms import turn
from scipy import ndimage

from adclip.config import SMALL
from adclip.explanation import mosaic
from adclip.explanation.mosaic import Caption, draw_mosaic
from adclip.explanation.planes import View

GRID = SMALL.contract
CAPTION = Caption("sub-x", "AD", "relevance", {"CN": 0.25, "AD": 0.75}, "caution", "Research use only.")


def ball(affine, shape, middle_mm, radius):
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    mm = grid @ affine[:3, :3].T + affine[:3, 3]
    return np.linalg.norm(mm - np.array(middle_mm), axis=-1) < radius


def head(spacing=(2.0, 2.0, 2.0), rotation=None, middle=(0.0, -17.0, 5.0)):
    """Return (scan, affine, mask): a bright brain of 60 mm in a dimmer head, and a brightest spot outside of the brain."""
    affine = (np.eye(4) if rotation is None else rotation) @ np.diag([*spacing, 1.0])
    shape = tuple(int(170 / size) | 1 for size in spacing)
    affine[:3, 3] = np.array(middle) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    mask = ball(affine, shape, middle, 60)
    scan = 100.0 * mask + 60.0 * ball(affine, shape, middle, 75) + 1e-3
    scan[ball(affine, shape, (middle[0], middle[1] + 68, middle[2]), 5)] = 5000.0
    return scan.astype(np.float32), affine, mask


def spot(middle_mm, value=1.0):
    return value * ball(GRID.affine_xyz, GRID.shape_xyz, middle_mm, 9).astype(np.float32)


def pixels(png):
    return images.imread(io.BytesIO(png))[..., :3]


GRIDS = {
    "plain": ((2.0, 2.0, 2.0), None), "thick": ((1.0, 1.0, 3.0), None), "oblique": ((1.5, 1.5, 1.5), turn(30, 0)),
    "oblique, thick": ((1.0, 1.0, 3.0), turn(25, 1) @ turn(20, 2)),
}  # fmt: skip


@pytest.mark.parametrize(("spacing", "rotation"), GRIDS.values(), ids=GRIDS)
def test_every_grid_shows_the_same_planes(spacing, rotation):
    """Of one head on several grids a plane shows the same brain at the same place, and the map's peak in it."""
    scan, affine, mask = head(spacing, rotation)
    heat = spot((-21.0, -33.0, 17.0))
    view = View(scan, mask, affine, heat, GRID.affine_xyz, None)
    np.testing.assert_allclose(view.peak_mm, (-21, -33, 17), atol=9)
    for axis in range(3):
        cut = view.cut(axis, float(view.peak_mm[axis]))
        across, up = (other for other in range(3) if other != axis)
        left, right, bottom, top = cut.extent
        rows, columns = cut.picture.shape
        assert (right - left) / columns == pytest.approx((top - bottom) / rows, rel=0.03)  # square pixels
        assert (right - left) / columns <= min(spacing) * 1.03  # none of the scan's detail is thrown away
        y, x = ndimage.center_of_mass(cut.brain)
        center = np.array([left + (x + 0.5) * (right - left) / columns, bottom + (y + 0.5) * (top - bottom) / rows])
        np.testing.assert_allclose(center, np.array((0.0, -17.0, 5.0))[[across, up]], atol=1.0)
        y, x = ndimage.center_of_mass(cut.heat)
        center = np.array([left + (x + 0.5) * (right - left) / columns, bottom + (y + 0.5) * (top - bottom) / rows])
        np.testing.assert_allclose(center, np.array((-21.0, -33.0, 17.0))[[across, up]], atol=1.0)
        radius = np.sqrt(cut.brain.sum() * ((right - left) / columns) ** 2 / np.pi)
        middle = (0.0, -17.0, 5.0)[axis]
        assert radius == pytest.approx(np.sqrt(60**2 - (view.peak_mm[axis] - middle) ** 2), abs=2.0)


def test_the_way_to_mni_is_taken():
    scan, affine, mask = head()
    scan_to_mni = np.eye(4)
    scan_to_mni[:3, 3] = (7.0, 0.0, 0.0)
    view = View(scan, mask, scan_to_mni @ affine, spot((0, 0, 0)), GRID.affine_xyz, None)
    assert (view.low[0] + view.high[0]) / 2 == pytest.approx(7.0, abs=2.0)


def test_nothing_outside_of_the_brain_is_drawn():
    """Whatever lies there: with another face the picture is the same, byte by byte."""
    scan, affine, mask = head()
    other = np.where(mask, scan, 7.0 * scan[::-1] + 3).astype(np.float32)
    everywhere = np.ones(GRID.shape_xyz, np.float32)
    one, two = (draw_mosaic(each, affine, everywhere, GRID.affine_xyz, CAPTION, mask=mask) for each in (scan, other))
    shouting = draw_mosaic(scan, affine, everywhere, GRID.affine_xyz, CAPTION, mask=np.ones_like(mask))
    assert one == two != shouting


def test_left_is_drawn_on_the_left():
    scan, affine, mask = head()
    left, right = (
        pixels(draw_mosaic(scan, affine, spot((x, -17, 5)), GRID.affine_xyz, CAPTION, mask=mask)) for x in (-30, 30)
    )
    columns = []
    for picture in (left, right):
        coloured = picture.max(axis=-1) - picture.min(axis=-1) > 0.25
        side = (picture.shape[1] - 2 * mosaic._SIDE - 2 * mosaic._GAP) / 3  # a ball: all planes are as wide
        start = int(mosaic._SIDE + mosaic._GAP + side)
        coronal = coloured[100 : 100 + int(side), start : start + int(side)]
        columns.append(np.argwhere(coronal)[:, 1].mean())
    assert columns[0] < columns[1] - 80


def test_both_signs_are_told_by_more_than_colour(monkeypatch):
    scan, affine, mask = head()
    drawn = []
    from matplotlib.axes import Axes

    real = Axes.contour
    monkeypatch.setattr(
        Axes,
        "contour",
        lambda self, *args, **named: drawn.append((args[1], named["linestyles"])) or real(self, *args, **named),
    )
    both = spot((-25, -17, 5)) + spot((25, -17, 5), -0.6)
    draw_mosaic(scan, affine, both, GRID.affine_xyz, CAPTION, mask=mask)
    assert {(level[0] > 0, style) for level, style in drawn} == {(True, "solid"), (False, "dotted")}
    assert {round(level[0], 3) for level, _ in drawn} == {0.5, -0.3}
    drawn.clear()
    draw_mosaic(scan, affine, spot((-25, -17, 5)), GRID.affine_xyz, CAPTION, mask=mask)
    assert {style for _, style in drawn} == {"solid"}


def test_lightness_alone_tells_how_strong_a_signed_map_is():
    """The two-way colours grow lighter from 0 both ways, as a reader without colour sees them."""
    import matplotlib as mpl

    colours = mosaic._two_way(mpl)(np.linspace(0, 1, 101))[:, :3]
    lightness = colours @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness[:51]) < 0).all() and (np.diff(lightness[51:]) > 0).all()
    assert colours[10, 2] > colours[10, 0] + 0.2 and colours[90, 0] > colours[90, 2] + 0.2


@pytest.mark.parametrize("text", ["sub-$x_{1}$", "sub-$\\frac{", "a^b_c$$", "\\alpha", "x" * 400, "tab\tand\x07bell"])
def test_any_text_is_drawn_as_it_is(text):
    scan, affine, mask = head((4.0, 4.0, 4.0))
    caption = Caption(text, text, text, {text: 0.5}, text, text)
    assert draw_mosaic(scan, affine, spot((0, -17, 5)), GRID.affine_xyz, caption, mask=mask)[:4] == b"\x89PNG"


def test_all_that_matters_stands_above_the_picture(monkeypatch):
    from matplotlib.figure import Figure

    said = []
    real = Figure.text
    monkeypatch.setattr(Figure, "text", lambda self, x, y, s, **named: said.append(s) or real(self, x, y, s, **named))
    scan, affine, mask = head()
    draw_mosaic(scan, affine, spot((-21, -33, 17)), GRID.affine_xyz, CAPTION, mask=mask)
    text = "\n".join(said)
    for wanted in (
        "sub-x: relevance for AD",
        "CN 25%, AD 75%",
        "status caution",
        "Research use only.",
        "left is on the left",
    ):
        assert wanted in text
    assert "sagittal, x = -" in text and "coronal, y = -" in text and "axial, z = 1" in text


@pytest.mark.parametrize("value", [0.0, -1.0, 1.0, np.nan])
def test_flat_maps_and_empty_masks_have_a_picture(value):
    scan, affine, mask = head((4.0, 4.0, 4.0))
    flat = np.full(GRID.shape_xyz, value, np.float32)
    for brain in (mask, mask & False):
        assert draw_mosaic(scan, affine, flat, GRID.affine_xyz, CAPTION, mask=brain)[:4] == b"\x89PNG"
    assert draw_mosaic(scan * 0, affine, flat, GRID.affine_xyz, CAPTION)[:4] == b"\x89PNG"


def test_the_same_numbers_give_the_same_bytes():
    scan, affine, mask = head()
    heat = spot((-21, -33, 17))
    one, two = (
        draw_mosaic(scan, affine, heat, GRID.affine_xyz, CAPTION, mask=mask, outline=heat > 0.5) for _ in range(2)
    )
    assert one == two
