"""Whom the model has met is never counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from adclip.clinical.scans.manifest import Example, Manifest
from adclip.clinical.scans.splits import Split
from adclip.domain import ScanItem, Visit
from adclip.errors import TableError
from adclip.evaluation.participants import choose_participants


def cohort(*names: str) -> Manifest:
    return Manifest(
        tuple(
            Example(ScanItem(Path(name), name), Visit(subject_id=name), f"sha-{name}", row)
            for row, name in enumerate(names)
        ),
        (),
    )


def run_of(folder: Path, **parts: str) -> Path:
    (folder / "private").mkdir()
    (folder / "private" / "splits.tsv").write_text(Split(parts).to_tsv())
    rows = [f"{name}\t01\t{part}\tsha-{name}\n" for name, part in parts.items()]
    (folder / "private" / "scans.tsv").write_text("subject_id\tsession_id\tpart\tsha256\n" + "".join(rows))
    return folder


def ids(examples) -> list[str]:
    return [example.visit.subject_id for example in examples]


def test_of_the_runs_own_people_the_test_part_alone_counts(tmp_path):
    run = run_of(tmp_path, a1="train", a2="test", a3="calibration", a4="validation", a5="unused", a6="test")
    chosen = choose_participants(cohort("a1", "a2", "a3", "a4", "a5", "a6", "b1"), run)
    assert ids(chosen.examples) == ["a2", "a6"] and ids(chosen.training) == ["a1"]
    assert (
        chosen.own and chosen.left_out["not known to the run"] == 1 and chosen.left_out["in the run's train part"] == 1
    )
    assert "own test people" in chosen.says


def test_an_id_written_otherwise_is_the_same_person(tmp_path):
    run = run_of(tmp_path, S007="train", S008="test")
    assert ids(choose_participants(cohort("s7", "s8"), run).examples) == ["s8"]


def test_of_another_cohort_everyone_counts_whom_the_run_has_not_met(tmp_path):
    run = run_of(tmp_path, a1="train", a2="test")
    chosen = choose_participants(cohort("a1", "b1", "b2", "b3"), run)
    assert ids(chosen.examples) == ["b1", "b2", "b3"] and not chosen.own and chosen.training == ()
    assert chosen.left_out == {"in the run's train part": 1}


def test_a_training_scan_under_another_id_is_not_counted(tmp_path):
    run = run_of(tmp_path, a1="train", a2="test")
    manifest = cohort("b1", "b2", "b3")
    disguised = Example(ScanItem(Path("b4"), "b4"), Visit(subject_id="b4"), "sha-a1", 3)
    chosen = choose_participants(Manifest((*manifest.examples, disguised), ()), run)
    assert ids(chosen.examples) == ["b1", "b2", "b3"]


def test_a_training_scan_under_the_id_of_a_test_person_is_not_counted(tmp_path):
    run = run_of(tmp_path, a1="train", a2="test", a3="test")
    swapped = Example(ScanItem(Path("a2"), "a2"), Visit(subject_id="a2"), "sha-a1", 1)
    chosen = choose_participants(Manifest((swapped, *cohort("a3").examples), ()), run)
    assert ids(chosen.examples) == ["a3"] and chosen.left_out == {"in the run's train part": 1}


def test_people_that_a_smaller_training_left_out_are_not_counted_in_another_cohort(tmp_path):
    run = run_of(tmp_path, a1="unused", a2="test")
    assert ids(choose_participants(cohort("a1", "a2", "b1", "b2", "b3"), run).examples) == ["a2", "b1", "b2", "b3"]


def test_where_only_ids_can_be_compared_it_is_said(tmp_path):
    run = run_of(tmp_path, a1="train", a2="test")
    assert choose_participants(cohort("a1", "a2"), run).checked
    (run / "private" / "scans.tsv").unlink()
    chosen = choose_participants(cohort("a1", "a2"), run)
    assert not chosen.checked and "by their ids alone" in chosen.says


def test_without_a_record_everyone_counts_and_it_is_said(tmp_path):
    chosen = choose_participants(cohort("b1", "b2"), tmp_path)
    assert ids(chosen.examples) == ["b1", "b2"] and "cannot be checked" in chosen.says and not chosen.checked


def test_nobody_left_is_an_error(tmp_path):
    run = run_of(tmp_path, a1="train", a2="validation")
    with pytest.raises(TableError, match="nobody may be counted"):
        choose_participants(cohort("a1", "a2"), run)
