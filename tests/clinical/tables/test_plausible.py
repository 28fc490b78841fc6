"""What does not fit together is told, and nothing is taken from where it does not belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adclip.clinical.tables.canonical import write_canonical
from adclip.clinical.tables.segmentations import read_segmentation
from adclip.clinical.tables.table import read_tables
from adclip.config import SynthesizeReportsConfig, TableOptions
from adclip.errors import ConfigError, InputError, OutputError, TableError
from adclip.verbs.synthesize_reports import synthesize_reports

VISITS = "subject_id,session_id,visit_date,age_years,sex,apoe4_count\n"
APARC = "# ColHeaders StructName NumVert SurfArea GrayVol\nentorhinal 1 1 {}\nfusiform 1 1 {}\n"


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(("second", "column"), [
    ("a,m12,2011-01-01,71,M,0", "sex"), ("a,m12,2011-01-01,71,F,1", "apoe4_count"),
    ("a,m12,2011-01-01,78,F,0", "age_years"), ("a,m12,2011-01-01,66,F,0", "age_years"),
])  # fmt: skip
def test_one_person_has_one_sex_one_genotype_and_ages_that_follow_the_dates(write, second, column):
    path = write("t.csv", f"{VISITS}a,bl,2010-01-01,70,F,0\n{second}\n")
    with pytest.raises(TableError, match=f"line.* 2.*3.*{column}|{column}.*line") as caught:
        read_tables((path,))
    assert "M" not in caught.value.problem.split("t.csv", 1)[1].split()


def test_years_rounded_to_whole_ones_are_no_contradiction(write):
    assert len(read_tables((write("t.csv", f"{VISITS}a,bl,2010-01-01,70,F,0\na,m6,2010-07-01,71,F,0\n"),)).rows) == 2


def test_a_session_under_two_spellings_is_refused(write):
    with pytest.raises(TableError, match=r"line 2.*line 3|lines? 2"):
        read_tables((write("t.csv", f"{VISITS}a,m12,2010-01-01,70,F,0\na,M12,2010-01-01,70,F,0\n"),))


def test_the_prefix_of_an_id_is_no_part_of_it_in_any_case(write):
    one, two = write("a.csv", "subject_id,sex\nSUB-01,F\n"), write("b.csv", "subject_id,mmse\nsub-01,29\n")
    (row,) = read_tables((one, two)).rows
    assert (row.subject_id, row.sex, row.mmse) == ("01", "F", 29)


@pytest.mark.parametrize("cell", ["2012-05-3199", "2012-W05-3", "20120531", "2012-13-01"])
def test_only_one_way_of_writing_a_date_is_read(write, cell):
    with pytest.raises(TableError, match="not a date"):
        read_tables((write("t.csv", f"subject_id,visit_date\na,{cell}\n"),))


def test_parts_larger_than_the_whole_are_told_and_kept(write):
    header = "subject_id,icv_mm3,whole_brain_mm3,hippocampus_mm3,hippocampus_left_mm3,hippocampus_right_mm3\n"
    table = read_tables(
        (write("t.csv", f"{header}a,1400000,1500000,7000,2000,2500\nb,1400000,1100000,7000,3500,3500\n"),)
    )
    notes = [note for note in table.notes if note.startswith("implausible")]
    assert len(notes) == 2 and all("in 1 row (line 2)" in note for note in notes)
    assert table.rows[0].whole_brain_mm3 == 1500000


@pytest.mark.parametrize(("rows", "words"), [("b,0.5,\n", "the one row"), ("b,0.5,\nc,1,\n", "any of the 2 rows")])
def test_diagnoses_of_the_healthy_alone_are_told_with_the_number_of_other_rows(write, rows, words):
    (note,) = read_tables((write("t.csv", f"subject_id,cdr_global,diagnosis\na,0,CN\n{rows}"),)).notes
    assert f"in {words} with a CDR above 0" in note


# ------------------------------------------------------------------------------------------- rows of nobody


@pytest.mark.parametrize("nobody", ["", "NA", "nan"])
@pytest.mark.parametrize("lines", [("a,bl,29", "{},bl,20"), ("a,bl,29", "b,bl,28", "{},bl,20", "{},m12,20")])
def test_rows_without_id_among_named_ones_are_refused_at_the_first(write, nobody, lines):
    text = "\n".join(("subject_id,session_id,mmse", *(line.format(nobody) for line in lines))) + "\n"
    with pytest.raises(
        TableError, match=f"v.csv line {text.count(chr(10), 0, text.index(f'{nobody},bl,20')) + 1}: no subject id"
    ):
        read_tables((write("v.csv", text),))


def test_a_table_that_names_nobody_joins_nothing(write):
    with pytest.raises(TableError, match=r"v.csv|p.csv"):
        read_tables((write("v.csv", "subject_id,mmse\na,29\n"), write("p.csv", "sex,age_years\nF,70\n")))


def test_visits_that_only_a_later_table_has_are_counted(write):
    one = write("one.csv", "subject_id,session_id,mmse\na,bl,29\n")
    two = write("two.csv", "subject_id,session_id,hippocampus_mm3\na,bl,7000\na,m12,6900\n")
    assert any(note.startswith("two.csv: 1 row is a visit") for note in read_tables((one, two)).notes)


def test_an_age_measured_on_another_day_is_moved_to_the_visit(write):
    scans = write("s.csv", "subject_id,session_id,visit_date,scan\na,bl,2010-01-01,a.nii\n")
    clinic = write("c.csv", "subject_id,visit_date,age_years\na,2010-07-02,70.5\n")
    (row,) = read_tables((scans, clinic), TableOptions(max_days=200)).rows
    assert row.age_years == pytest.approx(70.0, abs=0.01)


# ------------------------------------------------------------------------------------------- who measured


def test_one_hemisphere_is_not_read_as_both(write):
    left = write("s/lh.aparc.stats", APARC.format(1500, 9000))
    with pytest.raises(TableError, match="one hemisphere"):
        read_segmentation(left)
    write("s/rh.aparc.stats", APARC.format(1400, 8800))
    assert read_segmentation(left) == {"entorhinal_mm3": 2900, "fusiform_mm3": 17800}


@pytest.mark.parametrize("cell", ["90000", "1_000", "12", "1e400"])
def test_gyri_are_checked_as_all_volumes_are(write, cell):
    write("s/rh.aparc.stats", APARC.format(20, 8800))
    left = write("s/lh.aparc.stats", APARC.format(cell, 9000))
    with pytest.raises(TableError, match="line 2"):
        read_segmentation(left)


def test_a_clean_table_keeps_what_its_volumes_are_whatever_is_done_to_its_rows(write, tmp_path):
    table = read_tables((
        write("t.csv", "subject_id,hippocampus_mm3,volumes_source\na,7000,DLMUSE\nb,6000,FreeSurfer\nc,6500,DLMUSE\n"),
    ))  # fmt: skip
    write_canonical(tmp_path / "clean.csv", table)
    header, *rows = (tmp_path / "clean.csv").read_text().splitlines()
    write("clean.csv", "\n".join([header, rows[2], rows[1]]) + "\n")
    again = read_tables((tmp_path / "clean.csv",))
    assert [(row.subject_id, row.volumes_source) for row in again.rows] == [("c", "DLMUSE"), ("b", "FreeSurfer")]


def test_a_clean_table_keeps_what_ventricles_sum(write, tmp_path):
    header = "RID,VISCODE,PTGENDER,DX,AGE,Years_bl,PTID,Ventricles"
    table = read_tables((write("adni.csv", f"{header}\n1,bl,Female,CN,70,,011_S_0001,30000\n"),))
    assert table.rows[0].age_years == 70 and table.rows[0].volumes_source == "FreeSurfer (UCSF)"
    write_canonical(tmp_path / "clean.csv", table)
    again = read_tables((tmp_path / "clean.csv",))
    assert again.definitions["ventricles_mm3"] == table.definitions["ventricles_mm3"]
    assert again.rows == table.rows


def test_simulated_tables_in_adnis_form_are_not_taken_for_measured_ones(write):
    header = "RID,VISCODE,PTGENDER,DX,PTID,FSVERSION,Hippocampus"
    table = read_tables((write("adni.csv", f"{header}\n1,bl,Female,CN,sim0001,Simulation,7000\n"),))
    assert table.rows[0].volumes_source == "simulation"


def test_scans_are_found_from_a_clean_table_elsewhere(write, tmp_path):
    write("study/scans/a.nii", "x")
    table = read_tables((write("study/t.csv", "subject_id,scan\na,scans/a.nii\n"),))
    (tmp_path / "out").mkdir()
    write_canonical(tmp_path / "out" / "clean.csv", table)
    (row,) = read_tables((tmp_path / "out" / "clean.csv",)).rows
    assert (tmp_path / "out" / row.scan).resolve() == (tmp_path / "study/scans/a.nii").resolve()


# ------------------------------------------------------------------------------------------- inputs and outputs


def test_codes_that_contradict_each_other_are_refused(write):
    with pytest.raises(ConfigError, match="two meanings"):
        read_tables((write("t.csv", "subject_id,g\na,1\n"),), TableOptions(columns=("sex=g:1=M,1=F",)))


@pytest.mark.parametrize("unit", ["mL", "ml", "CM3", "cc"])
def test_units_are_known_however_they_are_written(write, unit):
    table = write("t.csv", "subject_id,tiv\na,1400\n")
    assert read_tables((table,), TableOptions(columns=(f"icv_mm3=tiv:{unit}",))).rows[0].icv_mm3 == 1.4e6


def test_a_table_without_header_quotes_none_of_its_cells(write):
    with pytest.raises(TableError) as caught:
        read_tables((write("t.csv", "S-731,71.5,F,Dementia\nS-732,70,M,CN\n"),))
    assert "first row holds values" in caught.value.problem
    assert not any(cell in str(caught.value) for cell in ("S-731", "71.5", "Dementia"))


@pytest.mark.parametrize(("out", "clean"), [("clean.csv", "clean.csv"), ("r.jsonl", "notes.csv")])
def test_no_output_takes_the_place_of_another_or_of_what_stands_there(write, tmp_path, out, clean):
    table = write("t.csv", "subject_id,sex\na,F\n")
    notes = write("notes.json", json.dumps({"mine": 1}))
    with pytest.raises(OutputError):
        synthesize_reports(
            SynthesizeReportsConfig((table,), out=tmp_path / out, canonical=tmp_path / clean, mode="predict")
        )
    assert json.loads(notes.read_text()) == {"mine": 1} and not (tmp_path / clean).exists()


def test_a_place_that_cannot_be_written_is_told_before_anything_is(write, tmp_path):
    table, file = write("t.csv", "subject_id,sex\na,F\n"), write("file", "x")
    with pytest.raises(InputError, match="cannot be written"):
        synthesize_reports(
            SynthesizeReportsConfig((table,), out=file / "r.jsonl", canonical=tmp_path / "c.csv", mode="predict")
        )
    assert not (tmp_path / "c.csv").exists()


def test_the_wording_of_a_report_does_not_follow_other_peoples_diagnoses(write, tmp_path):
    texts = []
    for number, diagnosis in enumerate(("CN", "")):
        table = write(
            f"{number}.csv", f"subject_id,age_years,sex,diagnosis\na,70,F,{diagnosis}\nb,75,M,AD\nc,71,F,MCI\n"
        )
        out = tmp_path / f"{number}.jsonl"
        synthesize_reports(SynthesizeReportsConfig((table,), out=out, mode="train", style="clinical", seed=3))
        records = [json.loads(line) for line in out.read_text().splitlines()]
        texts.append({record["subject_id"]: record["text"] for record in records})
    assert texts[0]["b"] == texts[1]["b"] and texts[0]["c"] == texts[1]["c"]
