"""Several tables of one study: what belongs to which visit, and what cannot be decided."""

from __future__ import annotations

from pathlib import Path

import pytest

from adclip.clinical.tables.table import read_tables
from adclip.config import TableOptions
from adclip.errors import TableError


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def problem(*paths: Path, **options) -> str:
    with pytest.raises(TableError) as caught:
        read_tables(paths, TableOptions(**options))
    assert caught.value.remedy
    return caught.value.problem


def test_sessions_are_joined_and_the_person_reaches_every_visit(write):
    visits = write("visits.csv", "subject_id,session_id,mmse\na,bl,29\na,m12,27\nb,bl,25\n")
    volumes = write("volumes.csv", "subject_id,session_id,hippocampus_mm3\na,m12,6000\na,bl,6100\n")
    people = write("people.csv", "subject_id,sex,apoe4_count\nb,F,1\na,M,0\n")
    table = read_tables((visits, volumes, people))
    found = [(v.subject_id, v.session_id, v.mmse, v.hippocampus_mm3, v.sex, v.apoe4_count) for v in table.rows]
    assert found == [("a", "bl", 29, 6100, "M", 0), ("a", "m12", 27, 6000, "M", 0), ("b", "bl", 25, None, "F", 1)]
    assert table.lines == [2, 3, 4]
    assert table.path == visits


def test_the_order_of_the_tables_does_not_change_what_a_visit_knows(write):
    one = write("one.csv", "subject_id,session_id,mmse\na,bl,29\nb,bl,25\n")
    two = write("two.csv", "subject_id,session_id,age_years\nb,bl,80\na,bl,70\n")
    forth, back = read_tables((one, two)).rows, read_tables((two, one)).rows
    assert sorted(forth, key=lambda visit: visit.subject_id) == sorted(back, key=lambda visit: visit.subject_id)


@pytest.mark.parametrize(("days", "expected"), [(120, 6000), (19, None)])
def test_a_dated_table_is_attached_to_the_nearest_visit_within_the_limit(write, days, expected):
    visits = write("visits.csv", "subject_id,session_id,visit_date\na,bl,2010-01-01\na,m12,2011-01-01\n")
    volumes = write("v.csv", "subject_id,visit_date,hippocampus_mm3\na,2011-01-21,6000\na,2010-01-02,6100\n")
    table = read_tables((visits, volumes), TableOptions(max_days=days))
    assert [visit.hippocampus_mm3 for visit in table.rows] == [6100, expected]
    assert [visit.visit_date for visit in table.rows] == ["2010-01-01", "2011-01-01"]
    assert any("v.csv: 1 row belongs to no visit" in note for note in table.notes) == (expected is None)


def test_sessions_of_other_names_are_joined_by_date(write):
    visits = write("visits.csv", "subject_id,session_id,visit_date,mmse\na,bl,2010-01-01,29\na,m12,2011-01-01,27\n")
    scans = write("scans.csv", "subject_id,session_id,visit_date,scan\na,MR2,2011-01-15,x.nii\n")
    table = read_tables((scans, visits))
    assert [(visit.session_id, visit.scan, visit.mmse) for visit in table.rows] == [("MR2", "x.nii", 27)]


def test_two_rows_equally_near_are_refused_with_their_lines(write):
    visits = write("visits.csv", "subject_id,session_id,visit_date\na,bl,2010-01-10\n")
    volumes = write("v.csv", "subject_id,visit_date,hippocampus_mm3\na,2010-01-05,6000\na,2010-01-15,6100\n")
    assert "lines 2 and 3: equally near" in problem(visits, volumes)


def test_contradictions_name_both_lines_and_no_value(write):
    one = write("one.csv", "subject_id,session_id,mmse\na,bl,29\nb,bl,23\n")
    two = write("two.csv", "subject_id,session_id,mmse\nb,bl,24\n")
    said = problem(one, two)
    assert "one.csv line 3 and" in said
    assert "two.csv line 2" in said
    assert "`mmse`" in said
    assert "23" not in said.split("/")[-1].replace("line 3", "")
    said = problem(write("three.csv", "subject_id,session_id,mmse\na,bl,29\na,bl,28\n"))
    assert "lines 2 and 3: the same visit with different `mmse`" in said


def test_repeated_rows_count_once_and_are_mentioned(write):
    table = read_tables((write("t.csv", "subject_id,session_id,mmse\na,bl,29\na,bl,29\n"),))
    assert len(table.rows) == 1
    assert table.notes == ("rows that repeat another one exactly: 1; each counts once",)


@pytest.mark.parametrize(
    "text",
    ["subject_id,mmse\na,29\na,28\n", "subject_id,session_id,mmse\na,bl,29\na,,28\n"],
)
def test_visits_that_nothing_tells_apart_are_refused(write, text):
    assert "lines 2 and 3: the same subject twice" in problem(write("t.csv", text))


def test_volumes_without_a_session_do_not_spread_over_several_visits(write):
    visits = write("visits.csv", "subject_id,session_id,mmse\na,bl,29\na,m12,27\n")
    volumes = write("volumes.csv", "subject_id,hippocampus_mm3\na,6000\n")
    assert "volumes.csv line 2: `hippocampus_mm3` of a subject with 2 visits" in problem(visits, volumes)


@pytest.mark.parametrize("ids", [("S1", "s1"), ("007", "7"), ("sub-01", "1"), ("A01b", "A1b")])
def test_ids_that_differ_in_case_or_zeros_are_refused(write, ids):
    said = problem(write("t.csv", "subject_id,mmse\n" + "".join(f"{one},29\n" for one in ids)))
    assert "lines 2 and 3: subject ids that differ only in" in said
    one, two = (write(f"{n}.csv", f"subject_id,{column}\n{name},29\n") for n, (name, column) in
                enumerate(zip(ids, ("mmse", "age_years"), strict=True)))  # fmt: skip
    assert "differ only in upper and lower case or leading zeros" in problem(one, two)


def test_tables_without_a_common_subject_are_refused(write):
    one, two = write("1.csv", "subject_id,mmse\na,29\n"), write("2.csv", "subject_id,age_years\nb,70\n")
    assert "no subject stands in both" in problem(one, two)


def test_the_cdr_policy_fills_only_what_is_unknown_and_is_told(write):
    path = write("t.csv", "subject_id,cdr_global,diagnosis\na,0,\nb,0.5,\nc,1,\nd,2,MCI\ne,,\n")
    table = read_tables((path,), TableOptions(diagnosis_policy="cdr"))
    assert [visit.diagnosis for visit in table.rows] == ["CN", "MCI", "AD", "MCI", None]
    assert any("CN 1, MCI 1, AD 1" in note for note in table.notes)
    assert [visit.diagnosis for visit in read_tables((path,)).rows] == [None, None, None, "MCI", None]


def test_a_needed_diagnosis_that_only_the_cdr_could_give_points_to_the_policy(write):
    with pytest.raises(TableError) as caught:
        read_tables((write("t.csv", "subject_id,cdr_global\na,0\n"),), need=("diagnosis",))
    assert "--diagnosis-policy cdr" in caught.value.remedy


@pytest.mark.parametrize(
    ("header", "cell", "mapping", "column", "value"),
    [
        ("eTIV", "1344", "icv_mm3=eTIV:cm3", "icv_mm3", 1344000),
        ("months", "858", "age_years=months:months", "age_years", 71.5),
        ("g", "2", "sex=g:1=M,2=F", "sex", "F"),
        ("g", "2.0", "sex=G:1=M,2=F", "sex", "F"),
        ("dx", "NL", "diagnosis=dx:nl=CN,dem=AD", "diagnosis", "CN"),
        ("Measure:ml", "6.1", "hippocampus_mm3=Measure:ml:ml", "hippocampus_mm3", 6100),
    ],
)
def test_units_and_codes_are_declared_not_guessed(write, header, cell, mapping, column, value):
    table = read_tables((write("t.csv", f"subject_id,{header}\na,{cell}\n"),), TableOptions(columns=(mapping,)))
    assert getattr(table.rows[0], column) == value
    assert any(meaning.column == column and "--column" in meaning.why for meaning in table.meanings)


def test_an_undeclared_code_is_refused(write):
    path = write("t.csv", "subject_id,g\na,3\n")
    assert "line 2, column `g`: a code other than 1, 2" in problem(path, columns=("sex=g:1=M,2=F",))


def test_values_in_the_wrong_unit_say_how_to_declare_it(write):
    with pytest.raises(TableError) as caught:
        read_tables((write("t.csv", "subject_id,eTIV\na,1344\n"),), TableOptions(columns=("icv_mm3=eTIV",)))
    assert "looks like cm3" in caught.value.problem
    assert "--column icv_mm3=eTIV:cm3" in caught.value.remedy
