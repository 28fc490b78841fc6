"""Forms of tables that people hold and no study's pages show: LONI's image tables, chosen columns, renamed structures, declared units."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program_tables import aseg_columns, stats, wide

from adclip.clinical.dialects import recognise
from adclip.clinical.scans.matching import match_rows
from adclip.clinical.scans.unmatched import say_unmatched
from adclip.clinical.settings import TableOptions
from adclip.clinical.tables.dates import order_of
from adclip.clinical.tables.table import Table, read_tables
from adclip.domain import ScanItem
from adclip.errors import TableError

COLLECTION = (
    '"Image Data ID","Subject","Group","Sex","Age","Visit","Modality","Description","Type","Acq Date","Format","Downloaded"\n'
    '"I40966","005_S_0223","AD","F",82,"m06","MRI","MPRAGE","Original","12/22/2006","DCM","3/06/2025"\n'
    '"I63874","005_S_0223","AD","F",81,"bl","MRI","MPRAGE","Original","6/22/2006","DCM","3/06/2025"\n'
)


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(*paths: Path, columns: tuple[str, ...] = ()) -> Table:
    return read_tables(paths, TableOptions(columns=columns))


def declared(error: TableError) -> str:
    """Return the value of `--column` that a hint gives."""
    return error.remedy.split("`--column ")[1].split("`")[0].strip('"')


# ----------------------------------------------------------------------------------------------- LONI


def test_lonis_collection_names_image_and_day_and_gives_no_diagnosis(tmp_path):
    table = read(put(tmp_path / "c.csv", COLLECTION))
    assert [(v.subject_id, v.session_id, v.visit_date, v.age_years, v.sex) for v in table.rows] == [
        ("005_S_0223", "I40966", "2006-12-22", 82, "F"), ("005_S_0223", "I63874", "2006-06-22", 81, "F"),
    ]  # fmt: skip
    assert "diagnosis" not in table.columns
    assert not table.hints  # the group is that of the enrolment: nobody is told to read it
    group = next(meaning for meaning in table.meanings if meaning.source == "Group")
    assert "enrolled" in group.why
    with pytest.raises(TableError) as caught:
        read_tables((tmp_path / "c.csv",), need=("diagnosis",))
    assert "enrolled" in caught.value.remedy


def test_lonis_table_tells_the_rows_of_files_without_folders(tmp_path):
    table = read(put(tmp_path / "c.csv", COLLECTION))
    flat = [ScanItem(tmp_path / f"ADNI_005_S_0223_MR_x_{i}.nii.gz", "005_S_0223", i) for i in ("I63874", "I40966")]
    tree = ScanItem(tmp_path / "a.nii.gz", "005_S_0223", "2006-06-22_I63874")
    assert match_rows(table, [*flat, tree]) == [1, 0, 1]
    other = ScanItem(tmp_path / "b.nii.gz", "005_S_0223", "2006-06-22_I1")
    assert match_rows(table, [other, tree])[0] is None
    assert "max-days" not in say_unmatched(table, other)  # it is no matter of days
    assert "I40966, I63874" in say_unmatched(table, other)


def test_lonis_search_beside_adnimerge_takes_the_visits_own_scores(tmp_path):
    search = put(
        tmp_path / "s.csv",
        "Subject ID,Sex,Research Group,APOE A1,APOE A2,Visit,Study Date,Age,Global CDR,MMSE Total Score,Image ID\n"
        "005_S_0223,F,AD,3,4,ADNI Baseline,6/22/2006,81.6,1,23,63874\n",
    )
    merge = put(
        tmp_path / "m.csv",
        "PTID,VISCODE,EXAMDATE,DX,AGE,PTGENDER,Years_bl,MMSE\n005_S_0223,bl,2006-06-20,MCI,81.5,Female,0,20\n",
    )
    (alone,) = read(search).rows
    assert (alone.session_id, alone.mmse, alone.cdr_global, alone.apoe4_count) == ("I63874", 23, 1, 1)
    for order in ((merge, search), (search, merge)):
        (visit,) = read(*order).rows
        assert (visit.mmse, visit.cdr_global, visit.apoe4_count, str(visit.diagnosis)) == (20, 1, 1, "MCI")


# ----------------------------------------------------------------------------------------------- ADNI


def test_a_choice_of_adnimerge2s_columns_never_gives_the_status_at_baseline(tmp_path):
    text = "USUBJID,VISIT,DX,AGE,SEX\nADNI-011-00002,Baseline,CN,74,Male\nADNI-011-00002,Month 12,CN,74,Male\n"
    table = read(put(tmp_path / "chosen.csv", text))
    assert [(v.subject_id, v.session_id, v.sex, v.diagnosis) for v in table.rows] == [
        ("011_S_0002", "bl", "M", None), ("011_S_0002", "m12", "M", None),
    ]  # fmt: skip
    assert not any("diagnosis=DX" in note for note in (*table.notes, *table.hints))
    assert recognise(("usubjid", "subject_id", "age")).name == "canonical"


def test_a_screening_that_became_a_baseline_is_no_further_visit(tmp_path):
    people = "011_S_0002,bl,2017-03-10,CN,75.9,Male,0\n012_S_0003,bl,2017-03-10,CN,70,Female,0\n"
    merge = put(tmp_path / "m.csv", "PTID,VISCODE,EXAMDATE,DX,AGE,PTGENDER,Years_bl\n" + people)
    head = "Phase,PTID,RID,VISCODE,VISCODE2,EXAMDATE,DIAGNOSIS\nADNI3,012_S_0003,3,bl,bl,2017-03-12,1\n"
    screened = head + "ADNI3,011_S_0002,2,sc,sc,2017-03-02,1\n"
    table = read(merge, put(tmp_path / "d.csv", screened))
    assert len(table.rows) == 2
    assert not any("do not have" in note for note in table.notes)
    later = put(tmp_path / "e.csv", screened + "ADNI3,011_S_0002,2,y1,m12,2018-03-02,2\n")
    assert any("e.csv: 1 row is a visit" in note for note in read(merge, later).notes)


@pytest.mark.parametrize("name", ["sub-011S0002_T1w.nii.gz", "011_S_0002.nii.gz", "sub-ADNI011S0002_T1w.nii.gz"])
def test_adnis_id_is_one_in_all_its_spellings(tmp_path, name):
    table = read(put(tmp_path / "m.csv", "PTID,VISCODE,AGE\n011_S_0002,bl,75\n012_S_0002,bl,70\n"))
    items = [
        ScanItem(tmp_path / name, name.split("_T1w")[0].removeprefix("sub-").removesuffix(".nii.gz")),
        ScanItem(tmp_path / "x.nii", "x"),
    ]
    assert match_rows(table, items) == [0, None]


# ----------------------------------------------------------------------------------------------- programs


def test_the_longitudinal_stream_gives_one_row_a_visit(tmp_path):
    for folder, hippocampus in (("s1_a", 3000.0), ("s1_b", 3100.0), ("s1", 3200.0), ("s1_a.long.s1", 3300.0), ("s1_b.long.s1", 3400.0),
                                ("fsaverage", 3500.0)):  # fmt: skip
        put(
            tmp_path / folder / "stats" / "aseg.stats",
            stats({"Left-Hippocampus": (17, hippocampus), "Right-Hippocampus": (53, 4000.0)}),
        )
    table = read(tmp_path)
    assert {visit.hippocampus_left_mm3 for visit in table.rows} == {3300.0, 3400.0}
    assert any("longitudinal" in note for note in table.notes)


def test_a_visit_that_the_longitudinal_stream_has_not_done_keeps_its_own_result(tmp_path):
    for folder, hippocampus in (("s1_a", 3000.0), ("s1_b", 3100.0), ("s1", 3200.0), ("s1_a.long.s1", 3300.0), ("s2_a", 3400.0),
                                ("s2", 3500.0)):  # fmt: skip
        measured = stats({"Left-Hippocampus": (17, hippocampus), "Right-Hippocampus": (53, 4000.0)})
        put(tmp_path / folder / "stats" / "aseg.stats", measured)
    for unfinished in ("s1_b.long.s1", "s2_a.long.s2"):
        put(tmp_path / unfinished / "scripts" / "recon-all.log", "")
    table = read(tmp_path)
    assert {visit.hippocampus_left_mm3 for visit in table.rows} == {3300.0, 3100.0, 3400.0}  # and no template's
    (note,) = (note for note in table.notes if "longitudinal" in note)
    assert "1 result is of the longitudinal stream" in note
    assert "2 are cross-sectional" in note


def test_two_results_of_one_subject_are_refused_by_their_folders(tmp_path):
    for folder in ("sub-01", "01"):
        put(
            tmp_path / folder / "stats" / "aseg.stats",
            stats({"Left-Hippocampus": (17, 3000.0), "Right-Hippocampus": (53, 4000.0)}),
        )
    with pytest.raises(TableError, match="01 and sub-01 are of the same subject"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("first", "measure"),
    [
        ("Measure:mean", "mean"),
        ("Measure:nvoxels", "nvoxels"),
        ("lh.aparc.area", "area"),
        ("rh.aparc.DKTatlas.thickness", "thickness"),
    ],
)
def test_what_is_no_volume_is_refused_as_what_it_is(tmp_path, first, measure):
    columns = (
        "entorhinal,fusiform"
        if first.endswith(("area", "thickness"))
        else "Left-Hippocampus,Right-Hippocampus,BrainSegVol"
    )
    path = put(tmp_path / "t.csv", f"{first},{columns}\na" + ",4000" * (columns.count(",") + 1) + "\n")
    with pytest.raises(TableError, match=f"it holds `{measure}`") as caught:
        read(path)
    assert "entorhinal_mm3=" not in caught.value.remedy
    put(tmp_path / "people.csv", "subject_id,age_years\na,70\n")
    assert read(tmp_path).rows[0].age_years == 70  # one of several tables of a folder is passed over


@pytest.mark.parametrize(
    "turn", [lambda n: n.replace("-", "_"), lambda n: n.replace("-", "."), str.lower], ids=["_", ".", "lower"]
)
def test_names_of_structures_as_databases_write_them(tmp_path, turn):
    columns = {**aseg_columns(), "EstimatedTotalIntraCranialVol": 1500000.0}
    forms = (columns, {turn(name): value for name, value in columns.items()})
    plain, turned = (read(put(tmp_path / "t.csv", wide("id", form, ["a"], ","))).rows[0] for form in forms)
    assert turned == plain
    assert turned.ventricles_mm3 is not None


def test_rows_called_after_stats_files_are_of_the_folders(tmp_path):
    names = ["fs/sub-01/stats/aseg.stats", "fs/sub-02/stats/aseg.stats"]
    table = read(put(tmp_path / "t.csv", wide("Measure:volume", aseg_columns(), names, ",")))
    assert [visit.subject_id for visit in table.rows] == ["01", "02"]


def test_hippocampi_with_etiv_alone_are_freesurfers(tmp_path):
    path = put(
        tmp_path / "participants.tsv",
        "participant_id\tage\tLeft-Hippocampus\tRight-Hippocampus\teTIV\nsub-01\t70\t3800\t3900\t1500000\n",
    )
    (visit,) = read(path).rows
    assert (visit.hippocampus_mm3, visit.icv_mm3, visit.volumes_source) == (7700, 1500000, "FreeSurfer")


def test_a_row_number_of_pandas_is_nobodys_name(tmp_path):
    text = ",scan_id,left hippocampus,right hippocampus\n0,anna,4000,4100\n1,bert,4000,4100\n"
    assert [visit.subject_id for visit in read(put(tmp_path / "t.csv", text)).rows] == ["anna", "bert"]
    single = ",eTIV,hippoL,hippoR\nanna,1500000,2900,3000\n"
    assert read(put(tmp_path / "h.csv", single)).rows[0].subject_id == "anna"


def test_one_hemisphere_alone_is_told(tmp_path):
    half = put(tmp_path / "lh.csv", "lh.aparc.volume,lh_entorhinal_volume,eTIV\nsub-01,1800,1500000\n")
    other = put(tmp_path / "rh.csv", "rh.aparc.volume,rh_entorhinal_volume,eTIV\nsub-01,1700,1500000\n")
    assert any("1 row has gyri of the left hemisphere alone" in note for note in read(half).notes)
    both = read(half, other)
    assert both.rows[0].entorhinal_mm3 == 3500
    assert not any("hemisphere" in note for note in both.notes)


# ----------------------------------------------------------------------------------------------- units, codes, days


@pytest.mark.parametrize(("column", "cell", "read_as"), [("age_years", "864", 72), ("education_years", "192", 16)])
def test_a_sidecar_that_contradicts_a_columns_name_is_told_or_refused(tmp_path, column, cell, read_as):
    path = put(tmp_path / "p.tsv", f"participant_id\t{column}\nsub-01\t{cell}\n")
    put(tmp_path / "p.json", json.dumps({column: {"Units": "months"}}))
    table = read(path)
    assert getattr(table.rows[0], column) == read_as
    assert any("converted to years" in note for note in table.notes)


def test_an_age_in_years_that_the_sidecar_calls_months_is_refused_with_a_cure(tmp_path):
    path = put(tmp_path / "p.tsv", "participant_id\tage_years\nsub-01\t72\n")
    put(tmp_path / "p.json", json.dumps({"age_years": {"Units": "months"}}))
    with pytest.raises(TableError, match="no adult's age") as caught:
        read(path)
    assert read(path, columns=(declared(caught.value),)).rows[0].age_years == 72


def test_one_declaration_is_enough_for_all_codes_of_a_column(tmp_path):
    path = put(tmp_path / "t.csv", "subject_id,education_years\na,NULL\nb,12\nc,95\nd,-9\ne,NULL\n")
    with pytest.raises(TableError) as caught:
        read(path)
    assert declared(caught.value) == "education_years=education_years:NULL=,95=,-9="
    assert [visit.education_years for visit in read(path, columns=(declared(caught.value),)).rows] == [
        None,
        12,
        None,
        None,
        None,
    ]


def test_hints_name_the_column_that_the_table_has(tmp_path):
    path = put(tmp_path / "t.tsv", "participant_id\tage\tsex\nsub-01\t70\t1\nsub-02\t71\t2\n")
    with pytest.raises(TableError) as caught:
        read(path)
    assert [visit.sex for visit in read(path, columns=(declared(caught.value),)).rows] == ["M", "F"]


def test_no_hint_declares_an_id_unknown(tmp_path):
    with pytest.raises(TableError) as caught:
        read(put(tmp_path / "t.csv", "subject_id,age_years\n.,70\nb,71\n"))
    assert "subject_id=" not in caught.value.remedy  # rows of nobody among named ones are refused as well


@pytest.mark.parametrize(
    ("cells", "order"),
    [(["03/04/2011", "12/31/2011"], "MDY"), (["31.12.2011"], "DMY"), (["3-Dec-2011"], "DMY"), (["Dec 3, 2011"], "MDY"),
     (["2011/12/03"], "YMD"), (["20111231"], "YMD"), (["03/04/2011"], None), (["31/12/2011", "12/31/2011"], None), (["x"], None),
     (["21122011", "05122011"], "DMY"), (["12212011"], "MDY"), (["05122011"], None), (["20122011"], "DMY"), (["20111220"], "YMD"),
     (["99999999"], None), (["20113112"], None)],
)  # fmt: skip
def test_the_order_of_days_is_told_from_the_column_or_left_open(cells, order):
    assert order_of(cells) == order


@pytest.mark.parametrize(
    "cell", ["12/31/2011", "31.12.2011", "20111231", "31122011", "12312011", "2011-12-31 10:20:30"]
)
def test_the_hint_for_days_runs_in_the_same_command(tmp_path, cell):
    path = put(tmp_path / "t.csv", f"subject_id,visit_date,age_years\na,{cell},70\n")
    with pytest.raises(TableError) as caught:
        read(path)
    assert read(path, columns=(declared(caught.value),)).rows[0].visit_date == "2011-12-31"


def test_digits_in_another_order_are_no_day_of_the_middle_ages(tmp_path):
    path = put(tmp_path / "t.csv", "subject_id,visit_date\na,20111231\n")
    with pytest.raises(TableError, match="not a day in the order DMY"):
        read(path, columns=("visit_date=visit_date:DMY",))
