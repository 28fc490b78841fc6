"""Tables: what is read, what is refused, and that a refusal never repeats a clinical value."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adclip.clinical.columns import COLUMNS, MISSING, CellError, parse_cell
from adclip.clinical.scans.matching import match_rows
from adclip.clinical.tables.table import read_table
from adclip.domain import Diagnosis, ScanItem, Visit
from adclip.errors import ConfigError, TableError


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# ----------------------------------------------------------------------------------------------- dialects


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiter_byte_order_mark_and_line_ends_do_not_matter(write, delimiter, bom, newline):
    lines = ["Subject_ID,AGE_years,sex,diagnosis,note", 'sub-01,71.5,f,nc,"a, b; c"', "02,n/a,M,AD,", ""]
    text = newline.join(line.replace(",", delimiter) if delimiter != "," else line for line in lines)
    table = read_table(write(bom + text.encode(), "table.tsv"))
    assert table.rows == [
        Visit(subject_id="01", age_years=71.5, sex="F", diagnosis=Diagnosis.CN),
        Visit(subject_id="02", sex="M", diagnosis=Diagnosis.AD),
    ]
    assert table.lines == [2, 3]
    assert table.columns == ("subject_id", "age_years", "sex", "diagnosis")
    assert table.extra == ("note",)


def test_json_list_with_numbers_nulls_and_line_numbers(write):
    text = '[{"subject_id": "a", "mmse": 29, "apoe4_count": 1, "more": [1, 2]},\n\n {"subject_id": "b", "mmse": null}]'
    table = read_table(write(text, "table.json"))
    assert table.rows == [Visit(subject_id="a", mmse=29.0, apoe4_count=1), Visit(subject_id="b")]
    assert table.lines == [1, 3]


def test_participant_id_and_session_prefixes_are_bids(write):
    table = read_table(write("participant_id\tsession_id\nsub-01\tses-m06\n"))
    assert (table.rows[0].subject_id, table.rows[0].session_id) == ("01", "m06")


def test_lines_are_those_of_the_file_after_blank_and_multiline_rows(write):
    table = read_table(write('subject_id,note\n\na,"two\nlines"\n,\nb,\n'))
    assert [visit.subject_id for visit in table.rows] == ["a", "b"]
    assert table.lines == [3, 6]


@pytest.mark.parametrize("token", [*sorted(MISSING), "  "])
def test_missing_tokens_are_unknown_in_every_column(token):
    assert all(parse_cell(column, token) is None for column in COLUMNS)


@pytest.mark.slow
def test_a_hundred_thousand_rows_take_seconds(write):
    header = "subject_id,session_id,age_years,sex,mmse,diagnosis,icv_mm3,hippocampus_mm3,ventricles_mm3,note\n"
    row = "S{},m00,71.3,F,28,CN,1400000.5,7000.1,30000,hello\n"
    path = write(header + "".join(row.format(number) for number in range(100_000)))
    begin = time.process_time()
    table = read_table(path)
    assert match_rows(table, [ScanItem(Path("x.nii"), "S99999", "m00")]) == [99_999]
    assert time.process_time() - begin < 30  # about 2 s; the limit only catches a quadratic mistake


# ----------------------------------------------------------------------------------------------- column names


def test_a_mapping_wins_over_the_canonical_name(write):
    path = write("subject_id,mmse,MMSE total\na,1,29\n")
    assert read_table(path, columns=("mmse=mmse total",)).rows[0].mmse == 29
    assert read_table(path).rows[0].mmse == 1


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("mmse", "canonical=theirs"),
        ("mmsee=x", "did you mean `mmse`?"),
        ("weight=x", "canonical columns: subject_id"),
    ],
)
def test_malformed_mappings(write, mapping, words):
    with pytest.raises(ConfigError) as caught:
        read_table(write("subject_id,x\na,1\n"), columns=(mapping,))
    assert words in caught.value.problem + caught.value.remedy


def test_a_mapping_onto_an_absent_column_suggests_the_near_one(write):
    with pytest.raises(TableError) as caught:
        read_table(write("subject_id,MMSE_total\na,1\n"), columns=("mmse=MMSE_totl",))
    assert caught.value.remedy == "did you mean `MMSE_total`?"


@pytest.mark.parametrize("mappings", [("mmse=x", "mmse=y"), ("mmse=x", "age_years=x")])
def test_double_mappings(write, mappings):
    with pytest.raises(ConfigError):
        read_table(write("x,y\n1,2\n"), columns=mappings)


@pytest.mark.parametrize(("theirs", "column"), [("DX", "diagnosis"), ("diagnosi", "diagnosis"), ("Group", "diagnosis")])
def test_a_needed_column_that_is_absent_is_guessed_but_not_taken(write, theirs, column):
    with pytest.raises(TableError) as caught:
        read_table(write(f"subject_id,{theirs}\na,CN\n"), need=(column,))
    assert f"no column `{column}`" in caught.value.problem
    assert f"did you mean `{theirs}`?" in caught.value.remedy


def test_near_misses_are_hinted_at_and_not_read(write):
    table = read_table(write("subject_id,age,shoe\na,7,43\n"))  # a group of ages?
    assert table.rows[0].age_years is None
    assert len(table.hints) == 1
    assert "--column age_years=age" in table.hints[0]


def test_no_known_column_at_all(write):
    with pytest.raises(TableError) as caught:
        read_table(write("PTGENDER;AGE\nFemale;over 70\n"))
    assert "--column sex=PTGENDER" in caught.value.remedy


@pytest.mark.parametrize(
    ("header", "column"),
    [("mmse,MMSE", "mmse"), ("note,mmse,note", "note"), ("participant_id,subject_id", "subject_id")],
)
def test_two_columns_of_one_meaning_are_refused(write, header, column):
    with pytest.raises(TableError) as caught:
        read_table(write(header + "\n" + ",".join("1" for _ in header.split(",")) + "\n"))
    assert f"`{column}`" in caught.value.problem


# ----------------------------------------------------------------------------------------------- cells


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("age_years", "121", "above 120"),
        ("age_years", "-3.25", "below 0"),
        ("age_years", "861.5", "limit in years"),
        ("age_years", "seventy", "text where a number"),
        ("age_years", "71 y", "followed by a unit"),
        ("age_years", "71,25", "comma"),
        ("age_years", "inf", "text where a number"),
        ("age_years", "1e999", "too large"),
        ("age_years", ">90", "censored"),
        ("mmse", "31", "above 30"),
        ("mmse", "-4", "below 0"),
        ("cdr_global", "0.75", "other than 0, 0.5, 1, 2, 3"),
        ("apoe4_count", "34", "other than 0, 1, 2"),
        ("apoe4_count", "0.5", "other than 0, 1, 2"),
        ("sex", "1", "number code"),
        ("sex", "woman", "text other than F or M"),
        ("diagnosis", "3", "number code"),
        ("diagnosis", "Dementia", "text other than CN, MCI or AD"),
        ("visit_date", "31/05/2012", "YYYY-MM-DD"),
        ("subject_id", "../../etc", "not an id"),
        ("subject_id", "..", "not an id"),
        ("session_id", "x" * 65, "not an id"),
        ("icv_mm3", "1344", "looks like cm3"),
        ("hippocampus_mm3", "5.21", "looks like cm3"),
        ("hippocampus_mm3", "0.003", "below 1000"),
        ("ventricles_mm3", "61.23", "looks like cm3"),
        ("whole_brain_mm3", "0.73", "below 400000"),
        ("whole_brain_mm3", "-1", "below 400000"),
    ],
)
def test_a_bad_cell_names_line_column_and_kind_but_not_the_value(write, column, cell, why):
    path = write(json.dumps([{column: cell}]), "table.json")
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert caught.value.problem.startswith(f"{path} line 1, column `{column}`: ")
    assert why in caught.value.problem
    assert caught.value.remedy
    said = caught.value.problem.split(": ", 1)[1] + caught.value.remedy
    assert cell not in said or cell in ("1", "3", "..")  # digits of the explanation itself


@given(st.sampled_from(sorted(COLUMNS)), st.text(max_size=12))
def test_any_cell_is_read_or_refused_in_words(column, cell):
    try:
        parse_cell(column, cell)
    except CellError as error:
        assert error.why


@pytest.mark.parametrize(("cell", "value"), [("1.0", 1), ("2", 2), (" 0 ", 0)])
def test_whole_numbers_become_int(cell, value):
    found = parse_cell("apoe4_count", cell)
    assert found == value
    assert isinstance(found, int)


# ----------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "t.csv", "empty"),
        (b"\xef\xbb\xbf\n\n", "t.csv", "empty"),
        (b"subject_id\n", "t.csv", "no rows"),
        (b"PK\x03\x04rest", "t.xlsx", "Excel"),
        ("subject_id\na\n".encode("utf-16"), "t.csv", "UTF-16"),
        (b"subject_id,x\na,\xe9\n", "t.csv", "line 2 is not UTF-8"),
        (b"subject_id\0\na\n", "t.csv", "binary"),
        (b"subject_id,mmse\na,1,2\n", "t.csv", "line 2: 3 cells"),
        (b"subject_id,mmse\na\n", "t.csv", "line 2: 1 cells"),
        (b'subject_id,mmse\nb,2\na,"1\n', "t.csv", "line 3: not readable"),
        (b"{}", "t.json", "list of objects"),
        (b"[1]", "t.json", "line 1 begins an entry that is not an object"),
        (b'[{"mmse": 1},\n{"mmse" 2}]', "t.json", "line 2 is not valid JSON"),
        (b'[{"mmse": 1}', "t.json", "not valid JSON"),
        (b'[{"mmse": 1}] x', "t.json", "not valid JSON"),
        (b'[{"mmse": 1, "mmse": 2}]', "t.json", "same key twice"),
        (b'[{"mmse": true}]', "t.json", "true or false"),
        (b'[{"mmse": {"value": 3}}]', "t.json", "a list or an object"),
        (b"[]", "t.json", "empty"),
        (b"[" * 100_000, "t.json", "not valid JSON|nested|not an object"),
    ],
)
def test_unusable_files_are_told_apart(write, content, name, words):
    with pytest.raises(TableError, match=words) as caught:
        read_table(write(content, name))
    assert caught.value.remedy


def test_absent_file_and_folder(tmp_path):
    with pytest.raises(TableError, match="no such table"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="not a readable table"):
        read_table(tmp_path)


def test_real_oasis_tables_are_not_misread(real_data):
    with pytest.raises(TableError) as caught:
        read_table(real_data / "tables" / "oasis_cross-sectional_odd_ids.csv", columns=("icv_mm3=eTIV",))
    assert "looks like cm3" in caught.value.problem
    table = read_table(
        real_data / "tables" / "oasis_longitudinal_odd_ids.csv",
        columns=("subject_id=Subject ID", "session_id=MRI ID", "sex=M/F", "age_years=Age", "education_years=EDUC"),
    )
    assert {visit.sex for visit in table.rows} == {"F", "M"}
    assert all(visit.diagnosis is None and visit.age_years for visit in table.rows)
