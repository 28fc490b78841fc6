"""Every report fits the text tower: 482 tokens, which is BERT's 512 positions less the 30 prompts.

The builtin vocabulary writes numbers digit by digit and unknown words letter by letter, so it needs more tokens for a report than
bert-base-uncased, whose pieces are longer.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from adclip.clinical.reports import SCAN_ALONE, render, template_versions, traced
from adclip.clinical.reports.grammars import GRAMMARS
from adclip.clinical.reports.knowledge import BY_TEXT
from adclip.clinical.reports.sentences import UNAVAILABLE_NAMES
from adclip.config import LAST_TEXT_TOKEN, REPORT_STYLES
from adclip.domain import Visit
from adclip.model.text import read_tokenizer, tokenize

WORDS = Path(__file__).parents[3] / "examples" / "builtin" / "make_vocabulary.py"
# Everything known, every number at its longest, both sides far from each other, small and large at once.
LONGEST = Visit(
    age_years=79.9, sex="F", education_years=16.0, apoe4_count=2, icv_mm3=2099999.0, hippocampus_mm3=10999.0,
    hippocampus_left_mm3=3333.0, hippocampus_right_mm3=3111.0, ventricles_mm3=52222.0, whole_brain_mm3=1999999.0,
    entorhinal_mm3=10999.0, fusiform_mm3=39999.0, middle_temporal_mm3=39999.0, volumes_source="DLMUSE",
)  # fmt: skip


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    subprocess.run([sys.executable, str(WORDS), str(path)], check=True)
    return path


@pytest.mark.parametrize("style", REPORT_STYLES)
def test_the_longest_report_of_every_style_fits(vocabulary, style):
    tokenizer = read_tokenizer(vocabulary)
    texts = [
        render(visit, style, "MCI", phrasing=phrasing, version=version).text
        for version in template_versions(style)
        for visit in (LONGEST, Visit())
        for phrasing in range(400)
    ]
    longest = tokenize(texts, tokenizer).ids.shape[1]
    assert longest <= LAST_TEXT_TOKEN
    assert longest <= {"paper4": 60, "paper6": 100, "clinical": 300, "knowledge": LAST_TEXT_TOKEN}[style]


def test_the_longest_report_says_everything():
    said = {span.column for span in traced(LONGEST, "knowledge", None)[1]}
    assert {"knowledge", "hippocampus_left_z", "ventricles_z", "hippocampus_right_smaller_percent"} <= said
    assert sum(span.column == "knowledge" for span in traced(LONGEST, "knowledge", None)[1]) == 4


def test_the_words_of_reports_are_words_of_the_builtin_vocabulary(vocabulary):
    known = set(vocabulary.read_text().split())
    wordings = [
        wording for grammar in GRAMMARS.values() for sentence in grammar.sentences for wording in sentence.wordings
    ]
    texts = [re.sub(r"\{\w+\}", "", text) for text in (*wordings, *UNAVAILABLE_NAMES.values(), *BY_TEXT, SCAN_ALONE)]
    words = {word for text in texts for word in re.findall(r"[a-z0-9]+", text.lower())}
    assert words - known == set()
