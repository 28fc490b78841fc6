"""The tokenizer against ids that bert-base-uncased's own vocabulary gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adclip.model.text import read_tokenizer, tokenize

GOLDEN = json.loads(Path(__file__).with_name("bert_base_uncased_golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    """Every piece that the texts need at its place in the real vocabulary, fillers elsewhere."""
    lines = [f"[filler{number}]" for number in range(GOLDEN["size"])]
    for piece, place in GOLDEN["pieces"].items():
        lines[place] = piece
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_tokenizer(path)


@pytest.mark.parametrize("row", GOLDEN["texts"], ids=lambda row: row["text"][:30])
def test_golden_ids(tokenizer, row):
    assert tokenize([row["text"]], tokenizer).ids[0].tolist() == row["ids"]


def test_the_vocabulary_has_its_full_length(tokenizer):
    assert tokenizer.get_vocab_size() == 30522


def test_no_text_is_all_unknown(tokenizer):
    """A tokenizer made the wrong way maps every word to [UNK] without a word."""
    assert 100 not in tokenize(["A photo of AD: Hippocampal Vol: 5210.00"], tokenizer).ids
