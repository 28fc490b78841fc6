"""Cells as they stand in the file, in the order of the rows."""

from __future__ import annotations

from adclip.clinical.settings import TableOptions
from adclip.clinical.tables.cells import columns_taken_for, read_cells
from adclip.clinical.tables.table import read_table, read_tables


def test_cells_follow_the_rows_and_unknown_is_none(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("subject_id,diagnosis,FAQ,Site\na,CN,0,north\n\nb,AD,n/a,\nc,MCI, 7 ,south\n")
    table = read_table(path)
    cells = read_cells(table)
    assert cells["FAQ"] == ["0", None, "7"] and cells["Site"] == ["north", None, "south"]
    assert [row.subject_id for row in table.rows] == ["a", "b", "c"]
    assert columns_taken_for(table, "diagnosis", "subject_id") == {"diagnosis", "subject_id"}


def test_of_joined_tables_there_are_none(tmp_path):
    (tmp_path / "one.csv").write_text("subject_id,diagnosis\na,CN\nb,AD\n")
    (tmp_path / "two.csv").write_text("subject_id,age_years\na,70\nb,80\n")
    table = read_tables((tmp_path / "one.csv", tmp_path / "two.csv"), TableOptions())
    assert read_cells(table) == {}


def test_each_visit_of_a_line_has_the_cells_of_the_line(tmp_path):
    path = tmp_path / "ukb.csv"
    path.write_text("eid,21003-2.0,21003-3.0,54-2.0\n1234567,64,67,11025\n7654321,50,,11026\n")
    table = read_table(path)
    assert [(row.subject_id, row.session_id) for row in table.rows] == [
        ("1234567", "2"), ("1234567", "3"), ("7654321", "2"),
    ]  # fmt: skip
    cells = read_cells(table)
    assert cells["54-2.0"] == ["11025", "11025", "11026"]
    assert cells["21003-3.0"] == ["67", "67", None]
