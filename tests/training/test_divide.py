"""A division of people that is taken over from a file: who stands only in the file, or only in the table, is told."""

from __future__ import annotations

from dataclasses import replace

from adclip.clinical.scans.splits import Split
from adclip.config import FinetuneConfig
from adclip.domain import Diagnosis, Visit
from adclip.runtime.events import Warned
from adclip.training.enrol import _divide


def test_subjects_of_a_split_that_the_run_does_not_have_are_told(tmp_path):
    visits = [Visit(f"s{n}", diagnosis=Diagnosis.CN if n % 2 else Diagnosis.AD) for n in range(8)]
    parts = dict.fromkeys((f"s{n}" for n in range(6)), "train") | {
        "s6": "test",
        "S007": "test",
        "x1": "train",
        "x2": "test",
    }
    path = tmp_path / "splits.tsv"
    path.write_text(Split(parts).to_tsv())
    config = replace(FinetuneConfig(scans=tmp_path, table=tmp_path / "t.csv", out=tmp_path / "run"), splits=path)
    told: list[object] = []
    split = _divide(visits, config, told.append)
    assert split.part("test") == ("s6", "s7")  # S007 of the file is s7
    (warned,) = told
    assert isinstance(warned, Warned)
    assert warned.item == str(path)
    assert "2 of its subjects have no scan with a diagnosis in this run: `x1`, `x2`" in warned.text
