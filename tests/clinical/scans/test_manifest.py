"""Examples: the right row for each scan, nothing silently dropped, no picture under two names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adclip.clinical.scans.manifest import NO_DIAGNOSIS, NO_ROW, NO_SCAN, SHARED_ROW, Skipped, build_manifest
from adclip.clinical.tables.table import Table
from adclip.domain import Diagnosis, ScanItem, Visit
from adclip.errors import LeakError, ScanError, TableError


@pytest.fixture
def scan(tmp_path):
    def scan(subject: str, session: str | None = None, content: str | None = None) -> ScanItem:
        path = tmp_path / f"{subject}_{session}.nii.gz"
        path.write_text(content or f"{subject}{session}")
        return ScanItem(path, subject, session)

    return scan


def table(*rows: Visit) -> Table:
    return Table(list(rows), list(range(2, 2 + len(rows))), Path("table.csv"))


CN, AD = Diagnosis.CN, Diagnosis.AD


def test_joins_and_lists_what_was_left_out(scan):
    items = [scan("a", "1"), scan("a", "2"), scan("b"), scan("c")]
    rows = table(
        Visit(subject_id="a", session_id="2", diagnosis=AD),
        Visit(subject_id="a", session_id="1", diagnosis=CN),
        Visit(subject_id="b"),
        Visit(subject_id="z", diagnosis=CN),
    )
    manifest = build_manifest(items, rows)
    assert [(example.item, example.visit.diagnosis) for example in manifest] == [(items[0], CN), (items[1], AD)]
    assert manifest.examples[0].sha256 == hashlib.sha256(b"a1").hexdigest()
    assert manifest.skipped == (
        Skipped("b_None.nii.gz", NO_DIAGNOSIS), Skipped("c_None.nii.gz", NO_ROW), Skipped("line 5", NO_SCAN)
    )  # fmt: skip
    assert manifest.skipped_by_reason == {NO_DIAGNOSIS: 1, NO_ROW: 1, NO_SCAN: 1}
    assert len(manifest) == 2


def test_scan_column_gives_the_subject_of_the_table(scan):
    item = scan("file-stem")
    manifest = build_manifest([item, scan("x")], table(Visit(subject_id="S1", scan=str(item.path), diagnosis=CN)))
    assert manifest.examples[0].visit.subject_id == "S1"


def test_a_row_without_subject_takes_that_of_the_scan(scan):
    item = scan("s")
    manifest = build_manifest([item], table(Visit(scan=item.path.name, diagnosis=CN)))
    assert manifest.examples[0].visit.subject_id == "s"


def test_a_row_without_session_labels_no_second_visit(scan):
    manifest_items = [scan("a", "1"), scan("a", "2"), scan("b", "1")]
    manifest = build_manifest(
        manifest_items, table(Visit(subject_id="a", diagnosis=CN), Visit(subject_id="b", diagnosis=AD))
    )
    assert [example.item.subject_id for example in manifest] == ["b"]
    assert manifest.skipped_by_reason == {SHARED_ROW: 2}


def test_the_same_image_under_two_subjects_is_a_leak(scan):
    rows = table(Visit(subject_id="a", diagnosis=CN), Visit(subject_id="b", diagnosis=CN))
    with pytest.raises(LeakError, match="same image under two subject ids"):
        build_manifest([scan("a", content="same"), scan("b", content="same")], rows)


def test_the_same_image_twice_of_one_subject_is_none(scan):
    rows = table(
        Visit(subject_id="a", session_id="1", diagnosis=CN), Visit(subject_id="a", session_id="2", diagnosis=CN)
    )
    assert len(build_manifest([scan("a", "1", "same"), scan("a", "2", "same")], rows)) == 2


def test_ambiguous_rows_are_an_error(scan):
    rows = table(Visit(subject_id="a", diagnosis=CN), Visit(subject_id="a", diagnosis=AD))
    with pytest.raises(TableError, match="lines 2, 3"):
        build_manifest([scan("a")], rows)


def test_nothing_joined(scan):
    with pytest.raises(TableError, match="none of 2 scans"):
        build_manifest([scan("a"), scan("b")], table(Visit(subject_id="c", diagnosis=CN)))


def test_a_vanished_scan(scan):
    item = scan("a")
    item.path.unlink()
    with pytest.raises(ScanError):
        build_manifest([item], table(Visit(subject_id="a", diagnosis=CN)))
