"""Kinds of tables that people of the field hold: read right, or refused with a declaration that then reads them.

All rows are made up; columns and codes are those of the studies.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from adclip.clinical.columns import CellError
from adclip.clinical.tables.dates import date_reader
from adclip.clinical.tables.table import Table, read_tables
from adclip.config import TableOptions
from adclip.domain import Diagnosis
from adclip.errors import ConfigError, TableError


@pytest.fixture
def write(tmp_path):
    """Write a file; `|` between cells becomes its separator."""

    def write(name: str, text: str, separator: str = ",") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("|", separator))
        return path

    return write


def read(*paths: Path, columns: tuple[str, ...] = (), answers: bool = True, policy: str = "table") -> Table:
    return read_tables(paths, TableOptions(columns=columns, answers=answers, diagnosis_policy=policy))


def refused(*paths: Path, columns: tuple[str, ...] = (), **options) -> TableError:
    with pytest.raises(TableError) as caught:
        read(*paths, columns=columns, **options)
    return caught.value


def declared_in(error: TableError) -> tuple[str, ...]:
    """The `--column` that a refusal proposes, as a shell would give it."""
    return tuple(text.strip('"') for text in re.findall(r"`--column ([^`]+)`", error.remedy)[:1])


def sentences(table: Table) -> str:
    return "\n".join(f"{path.name}: {text}" for path, text in table.told)


# ----------------------------------------------------------------------------------------------- units and codes of sidecars


@pytest.fixture
def participants(write):
    def participants(ages: tuple[object, object], sidecar: dict[str, object]) -> Path:
        write("participants.json", json.dumps(sidecar))
        return write("participants.tsv", f"participant_id|age|sex\nsub-01|{ages[0]}|M\nsub-02|{ages[1]}|F\n", "\t")

    return participants


@pytest.mark.parametrize("unit", ["months", "Months", "month(s)", "mo", "age in months", "weeks", "days"])
def test_an_age_that_a_sidecar_makes_a_childs_is_refused_and_its_cure_reads_it(participants, unit):
    path = participants((72, 65), {"age": {"Units": unit}})
    error = refused(path)
    assert "participants.tsv line 2, column `age`" in error.problem
    assert "participants.json" in error.problem
    assert "72" not in error.problem.replace(str(path), "") + error.remedy
    assert [visit.age_years for visit in read(path, columns=declared_in(error)).rows] == [72, 65]


def test_a_conversion_by_a_sidecar_is_told(participants):
    table = read(participants((864, 780), {"age": {"Units": "months"}}))
    assert [visit.age_years for visit in table.rows] == [72, 65]
    assert "participants.tsv: `age` is converted to years: participants.json says that it is in months" in sentences(
        table
    )


@pytest.mark.parametrize(
    "unit", ["n/a", "N/A", "", " ", "unknown", "None", None, "Years", "year(s)", "years old", "decimal years", 1]
)
def test_a_unit_that_says_nothing_or_years_leaves_the_age_as_it_is(participants, unit):
    table = read(participants((72.5, 65), {"age": {"Units": unit}}))
    assert [visit.age_years for visit in table.rows] == [72.5, 65]
    assert not table.told


def test_an_age_in_no_unit_of_time_is_not_read_and_that_is_told(participants):
    path = participants((72, 65), {"age": {"Units": "kg"}})
    table = read(path)
    assert [visit.age_years for visit in table.rows] == [None, None]
    assert "--column age_years=age:years" in sentences(table)
    assert read(path, columns=("age_years=age:years",)).rows[0].age_years == 72


def test_levels_that_mean_unknown_empty_the_cells_of_any_column(participants):
    levels = {
        "age": {"Units": "years", "Levels": {"999": "missing"}},
        "sex": {"Levels": {"M": "male", "F": "not available"}},
    }
    table = read(participants((999, 65), levels))
    assert [(visit.age_years, visit.sex) for visit in table.rows] == [(None, "M"), (65, None)]


# ----------------------------------------------------------------------------------------------- codes for unknown


@pytest.mark.parametrize(
    ("column", "good", "code", "more"),
    [
        ("education_years", "12", "99", ""), ("education_years", "12", "-9999", ""), ("education_years", "12", "NULL", ""),
        ("education_years", "12", ".", ""), ("mmse", "27", "88", ""), ("mmse", "27", "95", ""), ("icv_mm3", "1500000", "-9999", ""),
        ("hippocampus_mm3", "6510", "9999.999", None), ("hippocampus_mm3", "6.51", "8.888", ":cm3"),
        ("icv_mm3", "1402.5", "9999.999", ":cm3"), ("cdr_global", "0.5", "9", ""), ("apoe4_count", "1", "9", ""),
    ],
)  # fmt: skip
def test_a_code_for_unknown_is_declared_and_all_other_cells_stay(write, column, good, code, more):
    path = write("t.csv", f"subject_id,X\ns1,{good}\ns2,{code}\n")
    plain = read(write("plain.csv", f"subject_id,X\ns1,{good}\n"), columns=(f"{column}=X{more or ''}",)).rows[0]
    first, second = read(path, columns=(f"{column}=X{more or ''}:{code}=",)).rows
    assert getattr(first, column) == getattr(plain, column) is not None
    assert getattr(second, column) is None


@pytest.mark.parametrize("code", ["99", "NULL", ".", "-9999", "9999.999"])
def test_the_refusal_of_a_usual_code_declares_it(write, code):
    path = write("t.csv", f"subject_id,EDUC\ns1,12\ns2,{code}\n")
    error = refused(path, columns=("education_years=EDUC",))
    assert "line 3, column `EDUC`" in error.problem
    assert read(path, columns=declared_in(error)).rows[1].education_years is None


def test_several_codes_and_a_unit_in_either_order(write):
    path = write("t.csv", "subject_id,V\ns1,6.5\ns2,88.888\ns3,9.999\n")
    for declared in ("V:cm3:88.888=,9.999=", "V:88.888=,9.999=:cm3"):
        assert [v.hippocampus_mm3 for v in read(path, columns=(f"hippocampus_mm3={declared}",)).rows] == [
            6500,
            None,
            None,
        ]


def test_a_code_for_unknown_leaves_a_studys_own_unit_and_meaning(write):
    path = write("t.csv", "ID,M/F,Age,eTIV,nWBV\nOAS1_0001_MR1,F,74,1344,0.743\nOAS1_0002_MR1,M,55,9999,0.8\n")
    table = read(path, columns=("icv_mm3=eTIV:9999=",))
    assert [visit.icv_mm3 for visit in table.rows] == [1344000, None]


def test_codes_with_a_meaning_leave_words_that_the_column_knows(write):
    path = write("t.csv", "subject_id,dx,sex\ns1,HC,0\ns2,MCI,1\ns3,AD,1\n")
    table = read(path, columns=("diagnosis=dx:HC=CN", "sex=sex:0=F,1=M"))
    assert [visit.diagnosis for visit in table.rows] == [Diagnosis.CN, Diagnosis.MCI, Diagnosis.AD]
    strict = write("n.csv", "subject_id,apoe\ns1,2\ns2,3\n")
    assert "a code other than 1, 2" in refused(strict, columns=("apoe4_count=apoe:1=0,2=1",)).problem


def test_numbers_of_repeated_eights_that_a_unit_makes_plausible_are_told(write):
    table = read(write("t.csv", "subject_id,V\ns1,6.51\ns2,8.888\n"), columns=("hippocampus_mm3=V:cm3",))
    assert "1 row (line 3)" in sentences(table)
    assert "hippocampus_mm3=V" in sentences(table)


@pytest.mark.parametrize(
    ("text", "why"),
    [("education_years=E:DMY", "no date"), ("visit_date=D:cm3", "cannot be in cm3"), ("icv_mm3=V:cm3:1=5", "unit and codes"),
     ("mmse=M:88=,88=", "two meanings")],
)  # fmt: skip
def test_declarations_that_contradict_themselves_are_refused(write, text, why):
    with pytest.raises(ConfigError) as caught:
        read(write("t.csv", "subject_id,E,D,V,M\ns1,1,1,1,1\n"), columns=(text,))
    assert why in str(caught.value)


# ----------------------------------------------------------------------------------------------- answers that nobody reads


@pytest.mark.parametrize("cells", ["HC,27/30", "Secretitis,>25", "3,unknown"])
def test_without_answers_a_table_is_read_and_one_sentence_tells_what_was_not(write, cells):
    path = write("meta.csv", f"subject_id,age_years,sex,diagnosis,mmse\ns1,70,F,{cells}\n")
    table = read(path, answers=False)
    assert (table.rows[0].age_years, table.rows[0].diagnosis, table.rows[0].mmse) == (70, None, None)
    assert len(table.told) == 1
    assert "`diagnosis` of meta.csv (1 row), `mmse` of meta.csv (1 row)" in sentences(table)
    assert not any(cell in sentences(table) for cell in cells.split(",") if not cell.isdigit())
    assert "line 2, column `diagnosis`" in refused(path).problem


def test_the_refusal_of_words_for_classes_maps_those_of_the_column(write):
    rows = "".join(f"s{n},70,{word}\n" for n, word in enumerate(["HC", "DAT", "HC", "DAT", "MCI", "aMCI", "aMCI"]))
    path = write("t.csv", f"subject_id,age_years,my dx\n{rows}")
    error = refused(path, columns=("diagnosis=my dx",))
    table = read(path, columns=declared_in(error))
    assert [str(visit.diagnosis) for visit in table.rows] == ["CN", "AD", "CN", "AD", "MCI", "MCI", "MCI"]


def test_a_word_of_one_row_is_not_repeated(write):
    error = refused(write("t.csv", "subject_id,diagnosis\ns1,Dementia\n"))
    assert "Dementia" not in error.problem + error.remedy
    assert "--column diagnosis=diagnosis:HC=CN" in error.remedy


def test_points_of_a_maximum_say_so(write):
    error = refused(write("t.csv", "subject_id,mmse\ns1,27/30\n"))
    assert "points of a maximum" in error.problem
    assert "27/30" not in error.problem + error.remedy


def test_parts_of_a_point_are_told(write):
    table = read(write("t.csv", "subject_id,mmse\ns1,27.5\ns2,22\n"))
    assert [visit.mmse for visit in table.rows] == [27.5, 22]
    assert "`mmse` has parts of a point in 1 row (line 2)" in sentences(table)


# ----------------------------------------------------------------------------------------------- forms of tables


@pytest.mark.parametrize(
    ("form", "cell", "day"),
    [
        ("DMY", "31/05/2012", "2012-05-31"), ("MDY", "05/31/2012", "2012-05-31"), ("DMY", "1.6.2012", "2012-06-01"),
        ("MDY", "1-6-2012", "2012-01-06"), ("DMY", "31-May-2012", "2012-05-31"), ("DMY", "31MAY2012", "2012-05-31"),
        ("MDY", "May 31, 2012", "2012-05-31"), ("YMD", "20120531", "2012-05-31"), ("YMD", "2012/5/31", "2012-05-31"),
        ("DMY", "31/05/2012 10:22", "2012-05-31"), ("DMY", "31052012", "2012-05-31"), ("DMY", "", None),
    ],
)  # fmt: skip
def test_days_in_a_declared_order(form, cell, day):
    assert date_reader(form)(cell) == day


@pytest.mark.parametrize(
    ("form", "cell", "why"),
    [("MDY", "31/05/2012", "order MDY"), ("DMY", "31/05/12", "two digits"), ("DMY", "2012", "order DMY"),
     ("YMD", "31/05/2012", "order YMD"), ("DMY", "31/xyz/2012", "order DMY"), ("DMY", "30/02/2012", "order DMY"),
     ("DMY", "soon", "order DMY")],
)  # fmt: skip
def test_days_of_another_order_are_refused(form, cell, why):
    with pytest.raises(CellError) as caught:
        date_reader(form)(cell)
    assert why in caught.value.why
    assert cell not in caught.value.why + caught.value.remedy


def test_the_refusal_of_a_date_says_how_its_order_is_declared(write):
    path = write("t.csv", "subject_id,scan day\ns1,31/05/2012\n")
    error = refused(path, columns=("visit_date=scan day",))
    assert read(path, columns=declared_in(error)).rows[0].visit_date == "2012-05-31"


def test_uk_biobanks_names_are_names(write):
    path = write("ukb.csv", "eid,31-0.0,21003-2.0,53-2.0\n1000001,0,62,2015-05-01\n1000002,1,65,2016-06-02\n")
    table = read(path, columns=("subject_id=eid", "sex=31-0.0:0=F,1=M", "age_years=21003-2.0", "visit_date=53-2.0"))
    assert [(v.subject_id, v.sex, v.age_years) for v in table.rows] == [("1000001", "F", 62), ("1000002", "M", 65)]
    numbers = write("numbers.csv", "eid,31,21003\n1000001,0,62\n")
    assert read(numbers, columns=("subject_id=eid", "sex=31:0=F,1=M", "age_years=21003")).rows[0].age_years == 62


@pytest.mark.parametrize("first", ["s1,72.5,F", "s1,2012-05-31,F", "s1,31/05/2012,F", "s1,31.5.2012,F"])
def test_a_table_without_a_header_is_still_refused(write, first):
    assert "the first row holds values" in refused(write("t.csv", f"{first}\n")).problem


def test_hints_name_the_file_that_has_the_column(write):
    one = write("one.csv", "subject_id,age_years\ns1,70\n")
    two = write("two.csv", "subject_id,EDUC\ns1,12\n")
    table = read(one, two)
    assert "two.csv: column `EDUC` of two.csv is not used" in sentences(table)
    with pytest.raises(TableError) as caught:
        read_tables((one, write("three.csv", "subject_id,dx\ns1,CN\n")), TableOptions(), need=("diagnosis",))
    assert "`dx` of three.csv" in caught.value.remedy
    assert "`EDUC` of two.csv" in refused(one, two, columns=("education_years=EDUCX",)).remedy


@pytest.mark.parametrize(
    "name", ["diagnosis_bl", "baseline diagnosis", "dx_baseline", "diagnosis_sc", "Diagnosis.first"]
)
def test_no_hint_proposes_a_diagnosis_of_one_occasion(write, name):
    path = write("t.csv", f"subject_id,age_years,{name}\ns1,70,CN\n")
    assert "diagnosis=" not in sentences(read(path))
    with pytest.raises(TableError) as caught:
        read_tables((path,), TableOptions(), need=("diagnosis",))
    assert f"={name}" not in caught.value.remedy
