"""The page of an explained scan in a real browser, without a network: the viewer, its keys, its table, its colours."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from explained import CONTENT, NASTY, a_scan, images_of, nasty
from tiny import CONTRACT

from adclip.explanation.page.content import Region, Regions
from adclip.explanation.page.index import write_run_page
from adclip.explanation.page.render import write_page
from adclip.explanation.page.volumes import mni_from_shown

BROWSERS = ("chromium", "google-chrome", "chromium-browser", "chrome")
SOFTWARE_GL = (
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--no-sandbox",
)
PATIENCE_MS = 60_000  # WebGL by software, on a machine that has other work
CODES = {"hippocampus left": 1, "ventricles": 2}


def system_browser() -> str | None:
    named = os.environ.get("ADCLIP_TEST_BROWSER")
    return named or next((found for name in BROWSERS if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install adclip[test]"
    )
    path = system_browser()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on PATH, and ADCLIP_TEST_BROWSER names none")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=SOFTWARE_GL)
        yield started
        started.close()


@pytest.fixture(scope="module")
def peaks() -> dict[str, tuple[float, float, float]]:
    prepared, signed, labels, _ = a_scan()
    to_shown = np.linalg.inv(mni_from_shown(prepared)) @ CONTRACT.affine_xyz
    found = {}
    for name, code in CODES.items():
        places = np.argwhere(labels == code)
        strongest = places[int(np.argmax(np.abs(signed[tuple(places.T)])))]
        x, y, z = (float(value) for value in to_shown[:3, :3] @ strongest + to_shown[:3, 3])
        found[name] = (x, y, z)
    return found


@pytest.fixture(scope="module")
def content(peaks):
    rows = tuple(Region(name, ("1%", "2%"), code, peaks[name]) for name, code in CODES.items())
    return dataclasses.replace(CONTENT, regions=Regions("Relevance by region", ("region", "relevance", "volume"), rows))


@pytest.fixture(scope="module")
def png() -> bytes:
    stream = io.BytesIO()
    matplotlib.image.imsave(stream, np.zeros((30, 40)), cmap="gray", format="png")
    return stream.getvalue()


class Watched:
    """A page in a context of its own: what it asked for, and what it said in the console."""

    def __init__(self, browser: Any, path: Path, **settings: Any) -> None:
        self.context = browser.new_context(offline=True, viewport={"width": 900, "height": 700}, **settings)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.path = path
        self.page.goto(path.as_uri())

    def ready(self) -> Any:
        self.page.wait_for_selector("html[data-viewer]")
        assert self.page.get_attribute("html", "data-viewer") == "ready", self.said
        return self.page

    def where(self) -> np.ndarray:
        """Where NiiVue itself says that its crosshair is."""
        found = self.page.evaluate(
            "() => Array.from(adclipViewer.nv.frac2mm(adclipViewer.nv.scene.crosshairPos, 0, true))"
        )
        return np.array(found[:3], dtype=float)


@pytest.fixture(scope="module")
def watched(browser, content, png, tmp_path_factory) -> Iterator[Watched]:
    path = tmp_path_factory.mktemp("page") / "explain.html"
    write_page(path, content, png, images_of(*a_scan()))
    watched = Watched(browser, path, color_scheme="light")
    watched.ready()
    yield watched
    watched.context.close()


def press(page: Any, *keys: str) -> None:
    page.focus("#canvas")
    for key in keys:
        page.keyboard.press(key)


# ------------------------------------------------------------------------------------------------ the viewer


def test_it_starts_at_the_map_s_peak_and_asks_for_nothing_but_itself(watched, peaks):
    *_, place_mm = a_scan()
    assert np.linalg.norm(watched.where() - place_mm) < 6
    assert watched.asked == [watched.path.as_uri()] and watched.said == []
    assert "hippocampus left" in watched.page.inner_text("#where") and "speaks for AD" in watched.page.inner_text(
        "#where"
    )
    assert not watched.page.is_visible("#no-viewer") and watched.page.is_visible("#canvas")


def test_keys_move_the_crosshair_by_millimetres(watched):
    page = watched.page
    for key, step in (
        ("ArrowLeft", (-1, 0, 0)), ("ArrowRight", (1, 0, 0)), ("ArrowUp", (0, 1, 0)), ("ArrowDown", (0, -1, 0)), ("PageUp", (0, 0, 1)),
        ("PageDown", (0, 0, -1)), ("Shift+ArrowLeft", (-10, 0, 0)),
    ):  # fmt: skip
        before = watched.where()
        press(page, key)
        np.testing.assert_allclose(watched.where() - before, step, atol=0.02, err_msg=key)
    shown = [float(value) for value in page.inner_text("#where").replace("\u2212", "-").replace(",", "").split()[1:6:2]]
    np.testing.assert_allclose(shown, watched.where(), atol=0.06)
    press(page, "Home")
    *_, place_mm = a_scan()
    assert np.linalg.norm(watched.where() - place_mm) < 6


def test_a_region_s_row_moves_the_crosshair_to_its_peak_and_is_marked(watched, peaks):
    page = watched.page
    for name, sign in (("ventricles", "against"), ("hippocampus left", "for")):
        page.click(f"#regions button:text-is('{name}')")
        np.testing.assert_allclose(watched.where(), peaks[name], atol=0.02)
        assert page.inner_text("#regions tr[aria-current] th") == name
        assert name in page.inner_text("#where") and f"speaks {sign} AD" in page.inner_text("#where")
    page.focus("#regions button:text-is('ventricles')")
    page.keyboard.press("Enter")
    np.testing.assert_allclose(watched.where(), peaks["ventricles"], atol=0.02)
    press(page, "Shift+PageUp", "Shift+PageUp", "Shift+PageUp", "Shift+PageUp")
    assert page.query_selector("#regions tr[aria-current]") is None and "no region" in page.inner_text("#where")
    press(page, "Home")


def set_to(page: Any, element: str, value: str) -> None:
    page.evaluate(
        "([id, value]) => { const one = document.getElementById(id); one.value = value; one.dispatchEvent(new Event('input')); }",
        [element, value],
    )


def pixels(page: Any) -> np.ndarray:
    page.wait_for_timeout(150)
    return matplotlib.image.imread(io.BytesIO(page.locator("#canvas").screenshot()))[..., :3]


def coloured(picture: np.ndarray) -> np.ndarray:
    """Where the map's colour is, and not the green of the crosshair."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    return (red - blue > 0.25) & (red >= green)


def bluish(picture: np.ndarray) -> np.ndarray:
    red, _, blue = np.moveaxis(picture, -1, 0)
    return blue - red > 0.25


def test_map_lies_on_the_crosshair_at_its_peak_also_where_the_scan_is_oblique(watched, peaks):
    """What is drawn, not what is computed: the coloured blob of each plane is round the crosshair, and on the L side."""
    page = watched.page
    set_to(page, "view", "axial")
    set_to(page, "threshold", "0.5")
    set_to(page, "opacity", "1")
    press(page, "Home")
    for view in ("axial", "coronal", "sagittal"):
        set_to(page, "view", view)
        picture = pixels(page)
        blob = np.argwhere(coloured(picture))
        assert len(blob) > 50, view
        green = (picture[..., 1] > 0.6) & (picture[..., 0] < 0.6) & (picture[..., 2] < 0.7)
        row, column = int(np.argmax(green.sum(axis=1))), int(np.argmax(green.sum(axis=0)))
        scale = picture.shape[0] / 250  # pixels a millimetre, at most
        assert np.linalg.norm(blob.mean(axis=0) - (row, column)) < 8 * scale, (view, blob.mean(axis=0), row, column)
        if view != "sagittal":
            brain = np.argwhere(picture.max(axis=-1) > 0.2)
            assert blob[:, 1].mean() < brain[:, 1].mean(), "left is on the left"
    set_to(page, "view", "multi")


def test_threshold_sign_opacity_and_outline_change_what_is_drawn(watched):
    page = watched.page
    set_to(page, "view", "axial")
    press(page, "Home")
    set_to(page, "opacity", "1")
    counts = []
    for threshold in ("0.1", "0.5", "0.9"):
        set_to(page, "threshold", threshold)
        counts.append(int(coloured(pixels(page)).sum()))
    assert counts[0] > 1.5 * counts[1] > 1.5 * 1.5 * counts[2] >= 0, counts
    set_to(page, "threshold", "0.1")
    whole = pixels(page)
    page.check("#contour")
    assert np.abs(pixels(page) - whole).sum() > 20, "the outline is drawn"
    page.uncheck("#contour")
    page.click("#regions button:text-is('ventricles')")
    assert bluish(pixels(page)).sum() < 20, "only what speaks for the target"
    set_to(page, "sign", "signed")
    assert (
        bluish(pixels(page)).sum() > 100
        and "\u22121" in page.inner_text("#scale-low")
        and "against it" in page.inner_text("#scale-told")
    )
    set_to(page, "opacity", "0")
    assert bluish(pixels(page)).sum() < 20
    for element, value in (("opacity", "0.6"), ("sign", "positive"), ("view", "multi")):
        set_to(page, element, value)


# ------------------------------------------------------------------------------------------------ for everybody


def test_every_control_has_the_focus_in_turn_and_it_is_seen(watched):
    page = watched.page
    page.focus(".skip")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement === document.body"):
            break  # once round
        seen.append(page.evaluate("() => document.activeElement.id || document.activeElement.textContent.slice(0, 20)"))
        outline = page.evaluate(
            "() => getComputedStyle(document.activeElement.id === 'canvas' ? document.getElementById('stage') : document.activeElement).outlineStyle"
        )
        assert outline != "none", seen[-1]
    wanted = [
        "theme",
        "view",
        "sign",
        "opacity",
        "threshold",
        "contour",
        "to-peak",
        "canvas",
        "hippocampus left",
        "ventricles",
    ]
    assert [name for name in seen if name in wanted][: len(wanted)] == wanted


def test_dark_and_light_by_the_system_and_by_the_button(browser, content, png, tmp_path):
    path = tmp_path / "page.html"
    write_page(path, content, png)
    for scheme, other in (("light", "dark"), ("dark", "light")):
        watched = Watched(browser, path, color_scheme=scheme)
        brightness = {}
        for name in (scheme, other):
            text, ground = (
                np.mean(
                    [
                        float(part)
                        for part in watched.page.evaluate(f"() => getComputedStyle(document.body).{key}")[4:-1].split(
                            ","
                        )
                    ]
                )
                for key in ("color", "backgroundColor")
            )
            brightness[name] = ground
            assert abs(text - ground) > 150, "text stands out"
            watched.page.click("#theme")
        assert brightness["light"] > 200 > 60 > brightness["dark"]
        assert watched.said == []
        watched.context.close()


def test_nothing_is_cut_off_at_200_percent(browser, content, png, tmp_path):
    """A window of 1280 pixels at 200 % is 640 wide, and of a telephone 360."""
    path = tmp_path / "page.html"
    write_page(path, content, png, images_of(*a_scan()))
    watched = Watched(browser, path)
    watched.page.set_viewport_size({"width": 640, "height": 450})
    watched.ready()
    for width in (640, 360):
        watched.page.set_viewport_size({"width": width, "height": 450})
        assert watched.page.evaluate("() => document.documentElement.scrollWidth") <= width
        box = watched.page.locator("#canvas").bounding_box()
        assert box["width"] > 0.8 * width and box["height"] > 250
    watched.context.close()


def test_without_a_script_the_picture_and_the_tables_are_there(browser, content, png, tmp_path):
    path = tmp_path / "page.html"
    write_page(path, content, png, images_of(*a_scan()))
    watched = Watched(browser, path, java_script_enabled=False)
    page = watched.page
    assert (
        page.is_visible("#no-viewer")
        and page.is_visible("#still img")
        and page.is_visible("#regions")
        and not page.is_visible("#viewer")
    )
    watched.context.close()


def test_without_webgl_too(browser, content, png, tmp_path):
    path = tmp_path / "page.html"
    write_page(path, content, png, images_of(*a_scan()))
    watched = Watched(browser, tmp_path / "page.html", java_script_enabled=True)
    watched.context.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) { return kind === 'webgl2' ? null : real.call(this, kind, ...rest); };"
    )
    watched.page.goto(path.as_uri())
    watched.page.wait_for_selector("html[data-viewer='absent']")
    assert (
        watched.page.is_visible("#no-viewer")
        and watched.page.is_visible("#still img")
        and not watched.page.is_visible("#viewer")
    )
    watched.context.close()


def test_a_script_in_a_name_never_runs(browser, content, png, tmp_path):
    """In every text of the page and of the index; the viewer writes names too."""
    pages = [tmp_path / "page.html", tmp_path / "explain.html"]
    wicked = dataclasses.replace(nasty(content), thumbnail="")  # no picture at all, which the console would tell of
    write_page(pages[0], wicked, png, images_of(*a_scan()))
    record = {"status": "ok", "files": {"page": "page.html"}, "section": wicked.to_dict()}
    write_run_page(pages[1], NASTY, NASTY, [record, {"status": "failed", "scan": NASTY, "error": NASTY}], 2)
    for path in pages:
        watched = Watched(browser, path)
        if path == pages[0]:
            page = watched.ready()
            page.locator("#regions button").first.click()
            assert NASTY in page.inner_text("#where")
        watched.page.wait_for_timeout(200)
        assert watched.page.title() != "ran" and "onerror" in watched.page.title()
        assert watched.asked == [path.as_uri()] and watched.said == []
        watched.context.close()


def test_a_script_that_were_not_escaped_would_not_run_either(browser, content, png, tmp_path):
    """The page's policy knows its own scripts by their hashes, and no other."""
    path = tmp_path / "page.html"
    write_page(path, content, png)
    foreign = "<script>document.title='ran'</script><img src=data:, onerror=\"document.title='ran'\">"
    foreign += "<script>fetch('https://example.org/').catch(() => {})</script>"
    path.write_text(path.read_text().replace("</body>", foreign + "</body>"))
    watched = Watched(browser, path)
    watched.page.wait_for_timeout(200)
    assert watched.page.title() == f"{content.title}, adclip explanation" and watched.asked == [path.as_uri()]
    assert any("Content Security Policy" in line for line in watched.said)
    watched.context.close()
