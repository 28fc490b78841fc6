"""The page of an explained scan without a browser: what stands in it, what cannot get out of it, and the images of its viewer."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import itertools
import json
import re
from importlib.resources import files

import nibabel as nib
import numpy as np
import pytest
from explained import CONTENT, NASTY, a_scan, images_of, nasty
from scipy.spatial.transform import Rotation
from tiny import CONTRACT

from adclip.domain import SourceGrid, Volume
from adclip.explanation.faithfulness.record import Curves, Gain
from adclip.explanation.page import render, volumes
from adclip.explanation.page.charts import chart_of_curve, chart_of_panel
from adclip.explanation.page.content import Curve, Line, PageContent, Panel, Word
from adclip.explanation.page.index import write_run_page
from adclip.explanation.page.measured import curves_of
from adclip.explanation.page.places import regions_of
from adclip.explanation.page.render import NIIVUE, NIIVUE_SHA256, render_page
from adclip.explanation.page.volumes import viewer_images
from adclip.explanation.region_table import region_table
from adclip.imaging.derivatives.files import PreparedScan
from adclip.imaging.volumes.partition import partition
from adclip.model.settings import SMALL

PNG = b"\x89PNG of a picture"


@pytest.fixture(scope="module")
def page():
    return render_page(CONTENT, PNG, images_of(*a_scan()))


def blocks(page: str, pattern: str) -> list[str]:
    return re.findall(pattern, page, flags=re.DOTALL)


# ------------------------------------------------------------------------------------------------ content


def test_content_is_plain_json_and_comes_back_the_same():
    assert PageContent.from_dict(json.loads(json.dumps(CONTENT.to_dict(), allow_nan=False))) == CONTENT
    bare = PageContent("t", "s", "ok", None, "AD", "score", "v", False, "n")
    assert PageContent.from_dict(json.loads(json.dumps(bare.to_dict()))) == bare


def test_every_part_is_on_the_page_and_the_verdict_before_the_picture(page):
    for text in (
        "sub-07", "scan.nii.gz", "62 %", "MMSE estimated at 25.0", "Look at the scan.", "cannot be believed", ">report.</span>", "hippocampus",
        "Deletion:", "In the scan", "pointing game", "grad-eclip", "Research use only",
    ):  # fmt: skip
        assert text in page, text
    assert page.index("cannot be believed") < page.index('id="canvas"') < page.index("data:image/png")
    assert page.index("Research use only") < page.index("In short"), "the notice comes first"


def test_what_was_not_made_is_left_out():
    bare = dataclasses.replace(
        CONTENT, words=(), report="", curves=(), what_if=None, self_test=None, regions=None, tables=(), score="", reasons=()
    )  # fmt: skip
    page = render_page(bare, PNG)
    for text in ("by word", "How faithful", "What if", "<canvas", "NiiVue", "viewer-code", "WebGL"):
        assert text not in page, text
    assert len(page) < 40_000 and "data:image/png;base64," + base64.b64encode(PNG).decode() in page


def test_words_are_marked_by_what_they_are_worth():
    words = (Word("<b>hippocampus", -0.5), Word("3000", 0.25), Word("of", 0.03))
    page = render_page(dataclasses.replace(CONTENT, words=words), PNG)
    assert "<b>hippocampus" not in page and "&lt;b&gt;hippocampus" in page
    assert 'class="against" style="--size: 1.00" title="-0.500"' in page
    assert 'class="for" style="--size: 0.50" title="+0.250"' in page
    assert 'style="--size: 0.00" title="+0.030">of' in page, "words that hardly count have no line"
    assert '<th scope="row">&lt;b&gt;hippocampus</th><td>-0.500</td>' in page, "the number is there without a mouse"


# ------------------------------------------------------------------------------------------------ what cannot get out


def test_every_text_is_escaped_also_inside_of_scripts():
    content = nasty(CONTENT)
    page = render_page(content, PNG, images_of(*a_scan()))
    assert NASTY not in page and "<img src=x" not in page and page.count("&lt;img src=x") > 20
    own = len(blocks(render_page(CONTENT, PNG, images_of(*a_scan())), r"<script"))
    assert len(blocks(page, r"<script")) == len(blocks(page, r"</script>")) == own
    (told,) = blocks(page, r'id="viewer-facts">(.*?)</script>')
    assert NASTY in json.loads(told)["labels"]["names"].values() and "<" not in told


def test_the_index_escapes_names_and_links(tmp_path):
    record = {
        "status": "ok", "files": {"page": 'sub-x"><script>alert(1)</script>.html'}, "section": nasty(CONTENT).to_dict(),
    }  # fmt: skip
    failed = {"status": "failed", "scan": NASTY, "subject_id": NASTY, "error": NASTY, "files": {}}
    write_run_page(tmp_path / "explain.html", NASTY, NASTY, [record, failed], 3)
    page = (tmp_path / "explain.html").read_text()
    assert NASTY not in page and len(blocks(page, "<script")) == 1 and 'href="sub-x%22%3E%3Cscript%3E' in page


def test_a_scan_of_an_earlier_version_has_no_row_and_a_failed_one_says_why(tmp_path):
    records = [
        {"status": "ok", "files": {"figure": "x.png"}, "section": {"title": "old"}},
        {"status": "failed", "scan": "b.nii", "subject_id": "b", "error": "cut short", "files": {}},
    ]
    write_run_page(tmp_path / "explain.html", "t", "n", records, 5)
    page = (tmp_path / "explain.html").read_text()
    assert page.count("<tr>") == 2 and "cut short" in page and "5 scans" in page


def test_nothing_is_asked_of_a_network(page):
    assert "http:" not in page and "https:" not in page and "//cdn" not in page
    sources = blocks(page, r'(?:src|href)="([^"]*)"')
    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    for name in ("viewer.js", "theme.js", "page.css", "scan.html", "index.html", "parts.html"):
        own = render.read_asset(name)
        assert not re.search(
            r"fetch\(|XMLHttpRequest|import\(|@import|url\(|WebSocket|new Worker|eval\(|innerHTML", own
        ), name


def test_only_the_scripts_of_the_page_may_run(page):
    (policy,) = blocks(page, r'Content-Security-Policy" content="([^"]*)"')
    policy = policy.replace("&#39;", "'")
    running = blocks(page, r"<script>(.*?)</script>")
    assert len(running) == 2
    niivue = (files("adclip") / "assets" / "niivue" / "niivue.umd.js").read_bytes()
    wanted = [base64.b64encode(hashlib.sha256(code).digest()).decode() for code in (*map(str.encode, running), niivue)]
    assert re.findall(r"'sha256-([^']*)'", policy) == wanted
    assert "default-src 'none'" in policy and "connect-src" not in policy and "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    for own in running:
        assert "</script" not in own.lower() and "<!--" not in own, "an HTML parser would end or change it"


def test_niivue_is_the_file_that_its_notice_tells_of(page):
    folder = files("adclip") / "assets" / "niivue"
    code, notice = (folder / "niivue.umd.js").read_bytes(), (folder / "NOTICE.txt").read_text()
    assert (
        hashlib.sha256(code).hexdigest() == NIIVUE_SHA256 and NIIVUE_SHA256 in notice and f"niivue {NIIVUE}" in notice
    )
    (packed,) = blocks(page, r'id="viewer-code">([^<]*)</script>')
    assert gzip.decompress(base64.b64decode(packed)) == code
    assert "Copyright (c) 2021, Niivue" in page and "THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS" in page


def test_headings_captions_alternatives_and_language(page):
    assert '<html lang="en">' in page and len(blocks(page, "<h1")) == 1
    levels = [int(level) for level in blocks(page, r"<h([1-6])")]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), "no level is left out"
    for kind in ("table", "img", "svg"):
        assert blocks(page, f"<{kind}[ >]"), kind
    assert len(blocks(page, "<table")) == len(blocks(page, r"<caption>[^<]+"))
    assert all('alt="' in image for image in blocks(page, r"<img[^>]*>"))
    assert all("aria-hidden" in svg or 'role="img" aria-label="' in svg for svg in blocks(page, r"<svg[^>]*>"))
    labels = set(blocks(page, r'aria-(?:labelledby|describedby)="([^"]*)"'))
    assert {name for label in labels for name in label.split()} <= set(blocks(page, r'id="([^"]*)"'))


# ------------------------------------------------------------------------------------------------ images of the viewer


def read(data: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(data))


@pytest.mark.parametrize("codes", ["RAS", "PSR", "LIP"])
def test_scan_and_map_lie_on_the_scanner_s_millimetres_whatever_the_axes(codes):
    """A blob planted in MNI space is found at its place in the oblique scan, in all three images."""
    prepared, signed, labels, place_mm = a_scan(codes)
    images = images_of(prepared, signed, labels)
    scan, relevance = read(images.scan.nifti), read(images.relevance.nifti)
    source = prepared.volume.source
    step = np.linalg.inv(source.affine) @ scan.affine
    np.testing.assert_allclose(step[:3, :3], np.eye(3), atol=1e-5)
    np.testing.assert_allclose(step[:3, 3], np.round(step[:3, 3]), atol=1e-4)
    values = relevance.get_fdata()
    found = nib.affines.apply_affine(relevance.affine, np.argwhere(values > 0.6 * values.max()).mean(0))
    assert np.linalg.norm(found - place_mm) < 4.0
    assert np.linalg.norm(np.array(images.peak_mm) - place_mm) < 6.0
    assert values.min() < -0.2, "what speaks against is kept"
    codes_found = np.frombuffer(gzip.decompress(images.labels), np.uint8).reshape(images.labels_shape)
    at = np.rint(nib.affines.apply_affine(np.array(images.labels_from_mm), place_mm)).astype(int)
    assert codes_found[tuple(at)] == 1


def test_no_face_is_in_the_page():
    prepared, signed, labels, _ = a_scan()
    scan = read(images_of(prepared, signed, labels).scan.nifti)
    shown = np.asarray(scan.dataobj) > 0
    to_mni = prepared.scan_to_mni @ scan.affine
    grid = np.rint(nib.affines.apply_affine(np.linalg.inv(CONTRACT.affine_xyz) @ to_mni, np.argwhere(shown))).astype(
        int
    )
    grid = grid.clip(0, np.array(CONTRACT.shape_xyz) - 1)
    wide = volumes_near(prepared.mask)
    assert wide[tuple(grid.T)].all(), "a voxel is shown that is not within one model voxel of the brain"
    head = prepared.volume.array > 150
    assert shown.sum() < 0.8 * head.sum(), "the head has a skull"


def volumes_near(mask: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.binary_dilation(mask, np.ones((3, 3, 3)))


def test_grey_values_use_the_range_of_the_brain_and_zero_is_outside():
    prepared, signed, labels, _ = a_scan()
    scan = read(images_of(prepared, signed, labels).scan.nifti)
    values = np.asarray(scan.dataobj)
    inside = values[values > 0]
    assert values.dtype == np.uint8 and inside.min() == 1 and inside.max() == 255 and inside.std() > 20
    assert scan.header["sform_code"] > 0 and not bytes(scan.header["descrip"]).strip(b"\0")


def test_a_scan_that_is_too_large_is_averaged_until_it_fits(monkeypatch):
    prepared, signed, labels, _ = a_scan()
    whole = images_of(prepared, signed, labels)
    assert not whole.averaged
    monkeypatch.setattr(volumes, "MOST_BYTES", len(whole.scan.nifti) // 3)
    less = images_of(prepared, signed, labels)
    assert less.averaged and len(less.scan.nifti) <= volumes.MOST_BYTES
    before, after = read(whole.scan.nifti), read(less.scan.nifti)
    centres = []
    for image in (before, after):
        weight = image.get_fdata()
        places = nib.affines.apply_affine(image.affine, np.argwhere(weight > 0))
        centres.append(np.average(places, axis=0, weights=weight[weight > 0]))
    assert np.linalg.norm(centres[0] - centres[1]) < 0.5, "averaging moves nothing"


def test_a_page_of_a_scan_of_noise_stays_below_8_mb():
    """Noise in 0.7 mm cannot be compressed; it is the worst that a scanner gives."""
    shape = (240, 280, 240)
    affine = np.diag([0.7, 0.7, 0.7, 1.0])
    affine[:3, 3] = -0.35 * np.array(shape)
    array = np.random.default_rng(1).normal(100, 30, shape).astype(np.float32)
    volume = Volume(array, affine, SourceGrid(shape, affine))
    mask = np.ones(CONTRACT.shape_xyz, dtype=bool)
    prepared = PreparedScan(np.zeros(CONTRACT.shape_xyz, np.float32), mask, np.eye(4), volume.source, volume)
    images = viewer_images(prepared, CONTRACT, np.zeros(CONTRACT.shape_xyz))
    page = render_page(CONTENT, bytes(600_000), images)
    assert images.averaged and len(page) < 8_000_000


def test_a_derivative_is_shown_as_it_is_in_mni_space():
    prepared, signed, labels, _ = a_scan()
    images = images_of(dataclasses.replace(prepared, volume=None), signed, labels)
    assert images.space == "MNI152NLin2009aSym"
    relevance = read(images.relevance.nifti)
    values = relevance.get_fdata()
    found = nib.affines.apply_affine(relevance.affine, np.unravel_index(values.argmax(), values.shape))
    wanted = nib.affines.apply_affine(CONTRACT.affine_xyz, np.unravel_index(signed.argmax(), signed.shape))
    assert np.linalg.norm(found - wanted) < 4.0


def test_a_map_without_a_value_starts_in_the_brain():
    prepared, signed, labels, _ = a_scan()
    images = images_of(prepared, 0 * signed, labels)
    to_grid = np.linalg.inv(CONTRACT.affine_xyz) @ prepared.scan_to_mni
    assert prepared.mask[tuple(np.rint(nib.affines.apply_affine(to_grid, images.peak_mm)).astype(int))]
    assert not read(images.relevance.nifti).get_fdata().any()


def test_the_same_scan_gives_the_same_bytes():
    one, two = (images_of(*a_scan()) for _ in range(2))
    assert one == two


def test_a_click_on_a_region_leads_to_the_peak_of_its_row():
    """Where the table says that the map is strongest, in the millimetres of the image shown, and with the code of that place."""
    contract = SMALL.contract
    parts = partition(contract)
    codes = {region.key: code for code, region in enumerate(parts.regions, 1)}
    labels = parts.labels(contract.shape_xyz)
    mask = np.ones(contract.shape_xyz, dtype=bool)
    signed = np.zeros(contract.shape_xyz)
    for key, value in (("hippocampus_left", 0.4), ("insula_right", -0.9)):
        inside = np.argwhere(labels == codes[key])
        signed[tuple(inside[len(inside) // 2])] = value
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    rows = region_table(signed, mask, contract)
    found = {row.code: row for row in regions_of(rows, codes, turned).rows}
    assert len(found) == len(parts.regions)
    for key, sign in (("hippocampus_left", 1), ("insula_right", -1)):
        mni = nib.affines.apply_affine(turned, found[codes[key]].peak_mm)
        place = np.rint(nib.affines.apply_affine(np.linalg.inv(contract.affine_xyz), mni)).astype(int)
        assert labels[tuple(place)] == codes[key] and np.sign(signed[tuple(place)]) == sign
    assert found[codes["cuneus_left"]].peak_mm is None, "nothing lies there"


# ------------------------------------------------------------------------------------------------ charts


def measured(fractions, **curves) -> Curves:
    gain = Gain(0.1, 0.0, 0.2, 8, 8)
    return Curves("the mean", fractions, **curves, deletion_gain=gain, insertion_gain=gain)


def test_curves_have_the_range_of_the_random_orders():
    orders = tuple((0.9 + step / 1000, 0.8) for step in range(101))
    one = measured((0.25, 0.5), deletion=(0.4, 0.1), deletion_random=orders, insertion=(0.6, 0.9),
                   insertion_random=((0.2, 0.3),))  # fmt: skip
    deletion, insertion = curves_of([one], 1.5)
    assert (
        deletion.x == (0, 0.25, 0.5)
        and deletion.y[0] == deletion.random_low[0] == 1.5
        and insertion.x == (0.25, 0.5)
        and deletion.reference == "the mean"
    )
    assert deletion.random_low[1] == pytest.approx(0.9) and deletion.random_high[1] == pytest.approx(1.0)
    assert insertion.random_low == insertion.random_high == (0.2, 0.3)
    chart = chart_of_curve(deletion, "score", 101)
    assert "at 2 of 2 steps" in chart.summary and "in their place the mean" in chart.title
    above = Curve("deletion", (0, 0.5), (1.0, 0.9), (1.0, 0.2), (1.0, 0.3))
    assert "at 0 of 1 steps" in chart_of_curve(above, "score", 101).summary


def test_one_fraction_alone_is_told_by_the_table():
    half = measured(
        (0.5,), deletion=(0.1,), insertion=(0.9,), deletion_random=((0.5,),) * 8, insertion_random=((0.5,),) * 8
    )
    assert curves_of([half], 1.0) == ()


def test_axes_have_round_numbers_and_run_as_they_are_told():
    panel = Panel("t", "factor", (1.0, 0.85, 0.7), (Line("CN", (0.9, 0.5, 0.1)), Line("AD", (0.1, 0.5, 0.9))))
    chart = chart_of_panel(panel)
    assert [tick.text for tick in chart.y_ticks] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    xs = {tick.text: tick.at for tick in chart.x_ticks}
    assert xs["1"] < xs["0.9"] < xs["0.7"], "the scan as it is stands on the left"
    first, last = (trace.marks for trace in chart.traces)
    assert first[0][1] < first[-1][1] and last[0][1] > last[-1][1], "more is higher up"
    assert len({trace.dash for trace in chart.traces}) == len({trace.shape for trace in chart.traces}) == 2
    flat = chart_of_curve(Curve("insertion", (0, 0.5), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0)), "score", 1)
    assert "nan" not in flat.band and flat.y_ticks
