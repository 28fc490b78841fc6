"""The quality page: nothing from elsewhere, nothing unescaped, the same bytes again, and left on the left."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import numpy as np
import pytest

from adclip.config import SMALL
from adclip.domain import RESEARCH_NOTICE, SourceGrid, Volume
from adclip.imaging.derivatives import qc_page
from adclip.imaging.derivatives.qc_page import QcEntry, render_qc_page
from adclip.imaging.derivatives.qc_picture import MASK_COLOR, draw_qc
from adclip.imaging.quality.limits import LIMITS
from adclip.imaging.quality.measurements import template_on

CONTRACT = SMALL.contract


def scene() -> tuple[np.ndarray, np.ndarray]:
    """The template, its left half dark, with a mask of the left half alone."""
    template = template_on(CONTRACT)
    left = (np.arange(CONTRACT.shape_xyz[0]) < CONTRACT.shape_xyz[0] // 2)[:, None, None]
    return np.where(left, 0.2, 1.0).astype(np.float32) * template.brain, template.brain & left


def pixels(picture: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def entries() -> list[QcEntry]:
    good = {limit.name: 1.0 for limit in LIMITS} | {"brain_volume_ml": 1400.0, "snr": 40.0, "cnr": 9.0}
    picture = draw_qc(*scene(), CONTRACT)
    return [
        QcEntry("b", "2", "b2.nii.gz", "warn", ("noisy",), {**good, "snr": 8.0}, ("qc_warn",), picture=picture),
        QcEntry("b", "1", "b1.nii.gz", "pass", (), good, ("qc_overridden",), {"from": "fail", "to": "pass"}, picture),
        QcEntry("a<i>", None, "<script>alert(1)</script>.nii", "failed", error="a & <b>bad</b> file", hint='say "no"'),
        QcEntry(
            "c", None, "c.nii.gz", "fail", ("low_template_overlap",), {**good, "template_overlap": 0.5, "cjv": None}
        ),
    ]


def test_the_subjects_left_is_on_the_left_and_marked() -> None:
    image, mask = scene()
    shown = pixels(draw_qc(image, mask, CONTRACT))
    height, width, _ = shown.shape
    axial = shown[int(height * 0.68) :, width // 3 : width * 2 // 3]  # the middle axial slice
    gray = axial.min(axis=2)
    half = axial.shape[1] // 2
    assert gray[:, :half].sum() < 0.5 * gray[:, half:].sum()  # the left half was painted dark
    yellow = (axial[..., 0] - axial[..., 2] > 60) & (axial[..., 1] > 90)
    assert yellow[:, : half - 4].sum() > 20 * max(yellow[:, half + 6 :].sum(), 1)  # and carries the mask alone
    assert MASK_COLOR[2] == 0


def test_pictures_are_small_and_repeat_to_the_byte() -> None:
    image, mask = scene()
    affine = CONTRACT.affine_xyz
    volume = Volume(image * 500 + 5, affine, SourceGrid(image.shape, affine))
    for more in ({}, {"scan_to_mni": np.eye(4), "volume": volume}):
        one, two = (draw_qc(image, mask, CONTRACT, **more) for _ in range(2))
        assert one == two and len(one) < 30_000


def test_a_picture_is_drawn_even_of_an_empty_mask() -> None:
    image, mask = scene()
    assert pixels(draw_qc(image * 0, mask & False, CONTRACT)).shape[2] == 3


def test_the_page_loads_nothing_and_tells_no_time() -> None:
    page = render_qc_page(entries())
    without_pictures = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<link|<iframe|srcset", without_pictures)
    assert set(re.findall(r'src="([^"]*)"', without_pictures)) == {""}
    assert not re.search(r"\b20\d\d-\d\d|\d\d:\d\d", without_pictures)
    assert RESEARCH_NOTICE in page


def test_ids_and_errors_are_escaped() -> None:
    page = render_qc_page(entries())
    assert "<i>" not in page and "<b>bad" not in page and "alert(1)</script>" not in page
    assert "a&lt;i&gt;" in page and "a &amp; &lt;b&gt;bad&lt;/b&gt; file" in page


def test_order_does_not_matter_and_sessions_follow_subjects() -> None:
    page = render_qc_page(entries())
    assert page == render_qc_page(entries()[::-1])
    names = re.findall(r"<h3[^>]*>(\S+(?: ses-\S+)?)", page)
    assert names == ["sub-a&lt;i&gt;", "sub-b ses-1", "sub-b ses-2", "sub-c"]


def test_verdicts_numbers_and_overrides_are_said_in_words() -> None:
    page = render_qc_page(entries())
    for verdict in ("pass", "warn", "fail", "not processed"):
        assert re.search(rf"<b>1</b> <span[^>]*>.</span> {verdict}", page)
    assert "8.00 !" in page and "0.50 ✗" in page  # colour is not the only sign
    assert "pass (was fail)" in page and "verdict set by hand: fail → pass" in page
    assert "say &#34;no&#34;" in page
    assert page.count("<img") == page.count('alt="Nine slices') == 2
    for limit in LIMITS:
        assert not limit.reason or f"<code>{limit.reason}</code>" in page


@pytest.mark.parametrize("count", [0, 1])
def test_a_page_of_few_scans_is_whole(count: int) -> None:
    page = render_qc_page(entries()[:count])
    assert page.rstrip().endswith("</html>")
    assert f"<b>{count}</b> scan" in page


class CountedReads(Sequence[float]):
    """Numbers of a group that count how often one of them is looked at."""

    def __init__(self, values: list[float]) -> None:
        self.values, self.reads = values, 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> float:
        self.reads += 1
        return self.values[index]


def test_the_work_for_a_large_cohort_grows_with_its_size_and_not_with_its_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups: list[CountedReads] = []

    def counted(ordered: Sequence[QcEntry], name: str) -> CountedReads:
        groups.append(CountedReads(sorted(float(entry.numbers[name]) for entry in ordered)))
        return groups[-1]

    monkeypatch.setattr(qc_page, "_values", counted)
    one, lengths = entries()[0], {}
    for count in (100, 800):
        groups.clear()
        many = [
            QcEntry(f"s{n:04d}", None, "x.nii", one.verdict, one.reasons, {k: v + n for k, v in one.numbers.items()})
            for n in range(count)
        ]
        page = render_qc_page(many)
        assert page.count("<section") == count
        lengths[count] = len(page)
        # Two searches by halves and the ends for each scan, and a few looks at the whole for each number.
        assert max(group.reads for group in groups) <= count * (2 * (count.bit_length() + 1) + 10)
    assert (lengths[800] - lengths[100]) / 700 < 1.1 * lengths[100] / 100
