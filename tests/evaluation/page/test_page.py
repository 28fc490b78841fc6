"""The page: valid, escaped, complete; the checklists say what is open."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from adclip.evaluation.page.cases import draw_slices
from adclip.evaluation.page.checklists import OPEN, checklists_to_tsv, fill_checklists
from adclip.evaluation.page.findings import Finding, interval
from adclip.evaluation.page.render import Figure, Grid, Section, render
from adclip.evaluation.page.tables import to_tsv

VOID = {"meta", "img", "br", "link"}
EVIL = "<script>alert('x')</script>&\""


class Reader(HTMLParser):
    """Follows the tags of a page, and keeps its text and its addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        assert tag != "script"
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        self.ids += [value for name, value in attrs if name == "id"]
        assert tag != "img" or dict(attrs)["alt"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_every_text_is_escaped_and_nothing_is_loaded():
    png = draw_slices(np.random.default_rng(0).random((6, 8, 10)).astype(np.float32))
    section = Section(
        EVIL, [EVIL], [Finding("warn", EVIL)], [Grid(EVIL, [EVIL, EVIL], [[EVIL, EVIL]])], [Figure(EVIL, png)], [EVIL]
    )
    reader = read(render(EVIL, EVIL, [Finding("good", EVIL), Finding("plain", EVIL)], [section]))
    assert sum(EVIL in text for text in reader.text) >= 11
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in reader.addresses)
    assert {address[1:] for address in reader.addresses if address.startswith("#")} <= set(reader.ids)
    assert png.startswith(b"\x89PNG")


def test_checklists_have_every_item_once_and_leave_open_what_is_not_known():
    tripod, claim = fill_checklists({"aim": "evaluation", "updating": ""})
    assert len({item.number for item in tripod.items}) == len(tripod.items) == 52
    assert sorted({int(item.number.rstrip("abcdefg")) for item in tripod.items}) == list(range(1, 28))
    assert [item.number for item in claim.items] == [str(number) for number in range(1, 45)]
    answers = {item.number: item.answer for item in tripod.items}
    assert answers["4"] == "evaluation" and answers["17"] == answers["12f"] == OPEN
    assert checklists_to_tsv([tripod, claim]).count("\n") == 1 + 52 + 44
    formula, _ = fill_checklists({"aim": "=1+1"})
    assert "\t'=1+1\n" in checklists_to_tsv([formula])


def test_numbers_are_written_as_numbers_and_unknown_as_such():
    assert interval({"value": 0.81234, "low": 0.7, "high": 0.9}) == "0.812 (0.700 to 0.900)"
    assert interval({"value": 0.5, "low": None, "high": None}) == "0.500"
    assert interval(None) == interval({"value": None}) == interval({"value": float("nan")}) == "–"
    assert to_tsv(("a", "b"), [("=1+1", 0.123456789), (None, "x\ty")]) == "a\tb\n'=1+1\t0.123457\nn/a\tx y\n"
