"""Rows that are called after files, and what is said of a scan that no row belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from adclip.clinical.scans.manifest import build_manifest
from adclip.clinical.scans.matching import match_rows
from adclip.clinical.scans.unmatched import say_unmatched
from adclip.clinical.tables.table import read_table
from adclip.domain import ScanItem
from adclip.errors import TableError


def item(name: str, subject_id: str, session_id: str | None = None) -> ScanItem:
    return ScanItem(Path(name), subject_id, session_id)


def test_a_row_called_after_the_file_is_its_scans(tmp_path: Path) -> None:
    path = tmp_path / "volumes.csv"
    path.write_text(
        "subject,left hippocampus,right hippocampus\nanna_T1,4000,4100\nbert_T1w.nii.gz,3900,3950\ncarl,3800,3850\n"
    )
    items = [
        item("anna_T1.nii.gz", "anna"),
        item("bert_T1w.nii.gz", "bert"),
        item("carl.nii", "carl"),
        item("ann.nii", "ann"),
    ]
    assert match_rows(read_table(path), items) == [0, 1, 2, None]


def test_two_images_of_one_day_are_of_one_visit(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("subject_id,visit_date,diagnosis\n002_S_0295,2006-04-20,CN\n")
    scans = [tmp_path / name for name in ("one.nii", "two.nii")]
    for number, scan in enumerate(scans):
        scan.write_bytes(bytes([number]))
    items = [ScanItem(scan, "002_S_0295", f"2006-04-18_I{number}") for number, scan in enumerate(scans)]
    assert len(build_manifest(items, read_table(path))) == 2
    days_apart = [ScanItem(scans[0], "002_S_0295", "2006-04-18_I0"), ScanItem(scans[1], "002_S_0295", "2006-04-24_I1")]
    with pytest.raises(TableError, match="none of them a diagnosis that may be used"):
        build_manifest(days_apart, read_table(path))


@pytest.mark.parametrize(
    ("session", "nearest"), [("M00", "M000"), ("m6", "M006"), ("06", "M006"), ("m012", "M012"), ("M01", None)]
)  # fmt: skip
def test_sessions_are_near_by_their_numbers(tmp_path: Path, session: str, nearest: str | None) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "subject_id,session_id,age_years\n" + "".join(f"x,M{month:03d},{70 + month / 12}\n" for month in (0, 6, 12))
    )
    said = say_unmatched(read_table(path), item("x.nii", "x", session))
    assert "its rows there are of the sessions M000, M006, M012" in said and "write the session in one way" in said
    assert nearest is None or f"the nearest is {nearest};" in said


def test_a_table_without_ids_is_told_how_to_name_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code,age_years\na,70\nb,71\n")
    assert "`--column subject_id=NAME`" in say_unmatched(read_table(path), item("x.nii", "x"))
