"""Tables that people wrote themselves: plain words, spreadsheets, and hints of which each runs in the same command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adclip.clinical.column_names import near_miss
from adclip.clinical.columns import CellError, NoClassError
from adclip.clinical.dialects import Rule
from adclip.clinical.settings import TableOptions
from adclip.clinical.tables import errors
from adclip.clinical.tables.alteration import Alteration
from adclip.clinical.tables.cures import cure
from adclip.clinical.tables.mapping import parse_mappings
from adclip.clinical.tables.table import Table, read_tables
from adclip.clinical.tables.titles import check_no_title
from adclip.clinical.tables.wanted import answer_names, wanted_names
from adclip.errors import TableError


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "t.csv") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def read(*paths: Path, columns: tuple[str, ...] = ()) -> Table:
    return read_tables(paths, TableOptions(columns=columns))


def refused(*paths: Path, columns: tuple[str, ...] = ()) -> TableError:
    with pytest.raises(TableError) as caught:
        read(*paths, columns=columns)
    return caught.value


def options_in(text: str) -> tuple[str, ...]:
    """Return the values of all `--column` of a hint."""
    return tuple(value.strip('"') for value in re.findall(r'--column ("[^"]+"|[^\s`]+)', text))


# ----------------------------------------------------------------------------------------------- plain words


def test_plain_words_are_read_with_a_note_where_their_numbers_are_plausible(write):
    table = read(write("ID_of_case,PTID,Age,SEX,Education\n1,011_S_0001,71.5,F,16\n2,011_S_0002,64,male,8\n"))
    assert [(v.subject_id, v.age_years, v.sex, v.education_years) for v in table.rows] == [
        ("011_S_0001", 71.5, "F", 16), ("011_S_0002", 64, "M", 8),
    ]  # fmt: skip
    assert sum("plausible years" in note for note in table.notes) == 2


@pytest.mark.parametrize(
    ("word", "cells"),
    [
        ("Age", ["858", "700"]),  # months
        ("Age", ["1", "2"]),  # groups
        ("Age", ["71", "999"]),
        ("Age", ["71", "over 80"]),
        ("Education", ["1", "5"]),  # levels
        ("Education", ["2", "9"]),  # levels, of which 9 is unknown
        ("Education", ["12", "99"]),
        ("Education", ["", ""]),
    ],
)
def test_plain_words_are_hinted_at_where_their_cells_may_be_anything_else(write, word, cells):
    table = read(
        write("subject_id," + word + "\n" + "".join(f"{name},{cell}\n" for name, cell in zip("ab", cells, strict=True)))
    )
    assert not {"age_years", "education_years"} & {*table.columns}
    assert any(f"={word}`" in hint for hint in table.hints)


def test_plain_words_beside_a_programs_volumes_are_read(write):
    table = read(write("subject,age,left hippocampus,right hippocampus\na,71,3500,3600\n"))
    assert (table.rows[0].age_years, table.rows[0].hippocampus_mm3) == (71, 7100)


def test_a_studys_age_at_baseline_is_no_plain_word(write):
    table = read(write("RID,PTID,EXAMDATE,AGE,PTGENDER\n1,011_S_0001,2010-02-03,71,Male\n"))
    assert "age_years" not in table.columns


def test_the_canonical_name_counts_before_the_plain_word(write):
    table = read(write("subject_id,age_years,Age\na,71,20\n"))
    assert table.rows[0].age_years == 71


# ----------------------------------------------------------------------------------------------- units


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [("age_years", "858", 71.5), ("age_years", "26115", 71.4990), ("education_years", "192", 16)],
)
def test_the_hint_for_another_unit_of_time_reads_it(write, column, cell, value):
    path = write(f"subject_id,{column}\na,{cell}\n")
    table = read(path, columns=options_in(refused(path).remedy))
    assert getattr(table.rows[0], column) == pytest.approx(value, abs=1e-3)


def test_an_age_with_a_wrong_digit_is_not_taken_for_months(write):
    assert "months" not in refused(write("subject_id,age_years\na,171\n")).remedy


@pytest.mark.parametrize(
    ("name", "cell", "column", "value"),
    [("hippocampus_ml", "7.1", "hippocampus_mm3", 7100), ("hippocampus (cc)", "7.1", "hippocampus_mm3", 7100), ("eTIV_cm3", "1400", "icv_mm3", 1400000),
     ("age_months", "858", "age_years", 71.5), ("icv_mm3_", "1400000", "icv_mm3", 1400000)],
)  # fmt: skip
def test_a_hint_takes_the_unit_from_the_name(write, name, cell, column, value):
    path = write(f"subject_id,{name}\na,{cell}\n")
    (hint,) = read(path).hints
    assert getattr(read(path, columns=options_in(hint)).rows[0], column) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("HippL", "hippocampus_left_mm3"), ("HippR", "hippocampus_right_mm3"), ("lhHippo", "hippocampus_left_mm3"), ("hippo_right_ml", "hippocampus_right_mm3"),
     ("Right-Hippocampus-Volume", "hippocampus_right_mm3"), ("lh_hippocampal_tail", None), ("parahippocampal_left", None), ("hippocampus", "hippocampus_mm3")],
)  # fmt: skip
def test_names_of_one_hippocampus_are_known(name, meant):
    assert near_miss(name) == meant


# ----------------------------------------------------------------------------------------------- spreadsheets


def test_excels_line_that_names_the_delimiter_is_passed_over(write):
    path = write("sep=;\r\nsubject_id;age_years\r\na;71\r\nb;x\r\n")
    assert "line 4" in refused(path).problem
    assert read(write("sep=|\nsubject_id|age_years\na|71\n")).rows[0].age_years == 71


@pytest.mark.parametrize("title", ["Our patients 2024", "Our patients 2024;;", "2024", "Unsere Patienten\n\n"])
def test_a_title_above_the_names_is_told_with_their_line(write, title):
    path = write(f"{title}\nsubject_id;age_years;sex\na;71;F\n")
    error = refused(path)
    line = 2 + title.count("\n")
    assert f"stand in line {line}" in error.problem
    assert f"tail -n +{line} " in error.remedy
    rest = "".join(path.read_text().splitlines(keepends=True)[line - 1 :])
    assert read(write(rest, "with-header.csv")).rows[0].age_years == 71


def test_names_below_a_title_are_looked_for_in_the_first_rows_of_a_sheet_alone():
    rows = iter([(number, ["x", "y"]) for number in range(2, 31)] + [(31, ["subject_id", "age_years"])])
    check_no_title(Path("t.xlsx"), rows, {"subject_id", "age_years"})
    assert next(rows)[0] == 21  # as of a text: 20 lines, the first of which was read before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"subject_id,{'x' * 140_000}\na,1\n", "line 1: not readable as CSV"),
        (f"one,two\n{'x' * 140_000},2\n", "line 2: not readable as CSV"),
        (",,\n,,\n", "it is empty"),
        ("sep=;\n", "it is empty"),
        ("sep=;\n;;\n", "it is empty"),
    ],
    ids=["a name too long", "a cell too long", "delimiters", "their name", "both"],
)
def test_what_the_csv_reader_refuses_is_refused_in_words(write, text, words):
    assert words in refused(write(text)).problem


def test_a_semicolon_table_with_decimal_commas_is_read_with_a_note(write):
    table = read(
        write(
            "subject_id;age_years;cdr_global;icv_mm3;mmse\na;71,2;0,5;1344,5;27\nb;80;0;1400;29\n".replace(
                ";1400;", ";1400000;"
            ).replace("1344,5", "1344000,5")
        )
    )
    assert [(v.age_years, v.cdr_global, v.icv_mm3) for v in table.rows] == [(71.2, 0.5, 1344000.5), (80, 0, 1400000)]
    assert any("comma for the decimal point" in note for note in table.notes)


def test_answers_never_decide_how_inputs_are_read(write):
    path = write("subject_id;icv_mm3;cdr_global;diagnosis\na;1,344;0,5;MCI\nb;1,400;0;CN\n")
    assert "`icv_mm3`" in refused(path).problem  # thousands or decimals: the CDR does not tell
    alone = write("subject_id;age_years;cdr_global\na;71;0,5\nb;70;0\n", "alone.csv")
    assert [visit.cdr_global for visit in read(alone).rows] == [0.5, 0]


def test_commas_in_words_and_notes_stay(write):
    table = read(write("subject_id;scan;age_years\na;x,1.nii.gz;71,2\n"))
    assert table.rows[0].scan == "x,1.nii.gz"


def test_a_day_that_a_spreadsheet_counts_is_read_as_its_hint_says(write):
    for columns in ((), ("visit_date=day:DMY",)):
        name = "visit_date" if not columns else "day"
        path = write(f"subject_id,{name}\na,43558\nb,43558.75\n")
        table = read(path, columns=options_in(refused(path, columns=columns).remedy))
        assert [visit.visit_date for visit in table.rows] == ["2019-04-03"] * 2


@pytest.mark.parametrize("cell", ["1.00E+05", "1E+12", '"1,23E+08"'])
def test_an_id_that_a_spreadsheet_has_shortened_is_called_so(write, cell):
    error = refused(write(f"subject_id,age_years\n{cell},71\n"))
    assert "digits of the id are lost" in error.problem


def test_ids_that_a_spreadsheet_made_days_of_are_told(write):
    table = read(write("subject_id,age_years\n1-Mar,71\n02-Mrz,72\nMay-01,73\nS-01,74\n"))
    assert any("look like days" in note and "3 rows (lines 2, 3, 4)" in note for note in table.notes)
    assert len(table.rows) == 4


def test_german_names_are_hinted_at_and_the_hints_read_the_table(write):
    path = write("Proband;Alter;Geschlecht;Diagnose\na;71;w;MCI\n")
    columns = options_in(refused(path).remedy)
    codes = options_in(refused(path, columns=columns).remedy)
    table = read(path, columns=(*(one for one in columns if not one.startswith("sex=")), *codes))
    visit = table.rows[0]
    assert (visit.subject_id, visit.age_years, visit.sex, str(visit.diagnosis)) == ("a", 71, "F", "MCI")


# ----------------------------------------------------------------------------------------------- genotypes, codes


def test_genotypes_are_counted_and_bare_digits_are_declared(write):
    path = write("subject_id,APOE\na,e3/e4\nb,3/3\nc,\u03b54\u03b54\nd,4|2\n")
    assert [v.apoe4_count for v in read(path, columns=("apoe4_count=APOE",)).rows] == [1, 0, 2, 1]
    digits = write("subject_id,APOE\na,34\nb,33\n", "digits.csv")
    error = refused(digits, columns=("apoe4_count=APOE",))
    assert [v.apoe4_count for v in read(digits, columns=options_in(error.remedy)).rows] == [1, 0]


def test_one_hint_declares_the_codes_of_all_columns(write):
    path = write("subject_id,age_years,education_years,mmse\na,999,99,-9\nb,70,12,98\n")
    columns = options_in(refused(path).remedy)
    assert len(columns) == 3
    assert [(v.age_years, v.education_years, v.mmse) for v in read(path, columns=columns).rows] == [
        (None, None, None),
        (70, 12, None),
    ]


def test_a_negative_digit_that_several_rows_hold_is_declared(write):
    path = write("subject_id,apoe4_count\na,-4\nb,1\nc,-4\n")
    assert [v.apoe4_count for v in read(path, columns=options_in(refused(path).remedy)).rows] == [None, 1, None]
    assert "-4" not in refused(write("subject_id,apoe4_count\na,-4\nb,1\n")).remedy


# ----------------------------------------------------------------------------------------------- whose fault


def test_what_is_told_of_joining_names_the_file_that_it_is_about(write):
    first = write("subject_id,session_id,age_years\na,m0,71\n", "first.csv")
    second = write("subject_id,session_id,sex\na,m0,F\na,m0,F\n", "second.csv")
    table = read(first, second)
    assert (second, "rows that repeat another one exactly: 1; each counts once") in table.told
    assert any(note.startswith("second.csv: rows that repeat") for note in table.notes)


def test_altered_answers_leave_decimal_commas_of_inputs(write):
    path = write("subject_id;age_years;mmse;diagnosis\na;71,5;27;MCI\nb;70,5;29;CN\n")
    blanked = read_tables((path,), altered=Alteration())
    assert [(visit.age_years, visit.mmse) for visit in blanked.rows] == [(71.5, None), (70.5, None)]


# ----------------------------------------------------------------------------------------------- programs' names in other spellings


def test_synthsegs_names_with_underlines_are_its_own_where_one_tells_it(write):
    header = "subject,left_hippocampus,right_hippocampus,total_intracranial,left_lateral_ventricle,ctx_lh_fusiform,ctx_rh_fusiform"
    (visit,) = read(write(f"{header}\na,3500,3600,1400000,12000,8000,8500\n")).rows
    assert (visit.volumes_source, visit.hippocampus_mm3, visit.icv_mm3, visit.fusiform_mm3) == (
        "SynthSeg",
        7100,
        1400000,
        16500,
    )
    table = read(write("subject_id,left_hippocampus,right_hippocampus\na,3500,3600\n"))
    assert table.rows[0].volumes_source is None  # whose they are, nothing says
    assert [
        read(
            write("subject_id,left_hippocampus,right_hippocampus\na,3500,3600\n"),
            columns=options_in(" ".join(table.hints)),
        )
        .rows[0]
        .hippocampus_left_mm3
    ] == [3500]


def test_dlmuses_codes_as_numbers_of_pandas(write):
    (visit,) = read(write("MRID,47.0,48.0,702.0,31.0\na,3500,3600,1400000,1500\n")).rows
    assert (visit.volumes_source, visit.hippocampus_mm3, visit.icv_mm3) == ("DLMUSE", 7100, 1400000)


def test_muses_written_names_are_not_synthsegs(write):
    path = write(
        "ID,Left Hippocampus,Right Hippocampus,Right Inf Lat Vent,Right Thalamus Proper\na,3500,3600,500,7000\n"
    )
    columns = options_in(refused(path).remedy)
    (visit,) = read(path, columns=columns).rows
    assert (visit.subject_id, visit.hippocampus_left_mm3, visit.hippocampus_right_mm3, visit.volumes_source) == (
        "a",
        3500,
        3600,
        None,
    )


# ----------------------------------------------------------------------------------------------- many tables, many errors


def test_names_that_are_looked_for_are_gathered_once_for_all_tables():
    mapping = parse_mappings(("diagnosis=Label",))
    for answers in (True, False):
        assert wanted_names(mapping, answers=answers) is wanted_names([*mapping], answers=answers)
    assert wanted_names(mapping) - wanted_names(mapping, answers=False) == answer_names(mapping)
    assert {"label", "dx"} <= answer_names(mapping)
    assert "label" not in wanted_names(())


def test_a_word_for_no_class_is_cured_whatever_the_sentence_says():
    rule = Rule("diagnosis", ("dx",), "a reader of a study", read=lambda cell: cell)
    assert "`--column diagnosis=dx:" in cure(rule, "dx", "demented", NoClassError("another sentence"), ())
    assert cure(rule, "dx", "demented", CellError("text other than CN, MCI or AD"), ()) == ""


def test_tables_of_no_interest_are_passed_over_in_a_folder_by_their_kind(write, tmp_path, monkeypatch):
    write("shoe,hat\n43,58\n", "b.csv")
    write("lh.aparc.thickness,lh_entorhinal_thickness\na,3.1\n", "d.csv")
    write("subject_id,age_years\na,71\n", "a.csv")
    assert isinstance(errors.no_known_column("t.csv", ()), errors.NothingOfInterestError)
    assert isinstance(errors.other_measure("t.csv", "thickness"), errors.NothingOfInterestError)
    for name in ("no_known_column", "other_measure"):
        monkeypatch.setattr(
            errors, name, lambda path, what: errors.NothingOfInterestError(f"{path}: in other words", "")
        )
    assert [visit.age_years for visit in read(tmp_path).rows] == [71]
    write("subject_id,age_years\na,x\n", "c.csv")
    assert "c.csv line 2" in refused(tmp_path).problem
