"""Which row belongs to which scan, and who is one person: from files on disk to the records of the command line."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest

ENDING = "_desc-preproc_T1w.nii.gz"
DERIVATIVE = "sub-{0}/ses-01/anat/sub-{0}_ses-01_space-MNI152NLin2009aSym" + ENDING


@pytest.fixture
def place(tmp_path, tiny_cohort):
    """Put the preprocessed scan of a painted person under another name, as a person would call the file."""

    def place(name: str, person: int = 1) -> Path:
        target = tmp_path / (name + ENDING)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tiny_cohort / DERIVATIVE.format(f"p{person:02d}")
        shutil.copy(source, target)
        sidecar = json.loads(Path(str(source).replace(".nii.gz", ".json")).read_text())
        sidecar = {key: value for key, value in sidecar.items() if key not in ("SubjectID", "SessionID")}
        Path(str(target).replace(".nii.gz", ".json")).write_text(json.dumps(sidecar))
        return target

    return place


@pytest.fixture
def ask(run, tiny_run):
    """Predict, and return exit code, records by the name of the scan (its folders where names repeat), and stderr."""

    def ask(*words: object):
        ran = run("predict", *map(str, words), "--model", str(tiny_run), "--device", "cpu", "--json")
        records = [json.loads(line) for line in ran.stdout.splitlines()]
        return ran.code, {Path(record["scan"]).name.removesuffix(ENDING): record for record in records}, ran.stderr

    return ask


def known(record: dict) -> float | None:
    """Return the MMSE of the row: every row of these tables has its own, so it tells which row it was."""
    return record["mmse"]["known"]


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


# ----------------------------------------------------------------------------------------------- the rules, in order


def test_one_scan_and_a_table_of_one_row_belong_together(place, ask, tmp_path):
    code, found, _ = ask(place("anna"), "--meta", table(tmp_path / "t.csv", "age_years,mmse", "71,21"))
    assert code == 0 and known(found["anna"]) == 21
    assert "no_metadata_row" not in found["anna"]["flags"]


@pytest.mark.parametrize(
    ("row", "words", "warned"),
    [
        (f"y,sub-x{ENDING},21", (), False), ("y,sub-w.nii,21", (), True), ("y,,21", (), True), ("x,,21", (), False),
        ("y,,21", ("--subject", "y"), False), ("y,,21", ("--subject", "x"), True),
    ],
)  # fmt: skip
def test_a_lone_row_of_another_subject_is_spoken_of(place, ask, tmp_path, row, words, warned):
    meta = table(tmp_path / "t.csv", "subject_id,scan,mmse", row)
    code, found, said = ask(place("sub-x"), "--meta", meta, *words)
    assert code == 0 and known(found["sub-x"]) == 21
    assert ("row_of_other_subject" in found["sub-x"]["flags"], "is it this person's?" in said) == (warned, warned)


def test_a_lone_row_belongs_to_none_of_several_scans(place, ask, tmp_path):
    meta = table(tmp_path / "t.csv", "subject_id,mmse", "x,21")
    code, found, _ = ask(place("sub-y"), place("sub-z", 2), "--meta", meta)
    assert code == 0 and {name: known(one) for name, one in found.items()} == {"sub-y": None, "sub-z": None}
    assert all("no_metadata_row" in one["flags"] for one in found.values())


def test_rows_of_nobody_belong_to_no_scan(place, ask, tmp_path):
    code, found, _ = ask(place("sub-x"), "--meta", table(tmp_path / "t.csv", "age_years,mmse", "71,21", "72,22"))
    assert code == 0 and known(found["sub-x"]) is None and "no_metadata_row" in found["sub-x"]["flags"]


def test_rows_join_by_their_scan_with_and_without_subjects(place, ask, tmp_path):
    scans = [place("anna"), place("deep/bert", 2)]
    rows = (f"anna{ENDING},71,21", f"deep/bert{ENDING},72,22")
    code, found, said = ask(*scans, "--meta", table(tmp_path / "t.csv", "scan,age_years,mmse", *rows))
    assert code == 0 and {name: known(one) for name, one in found.items()} == {"anna": 21, "bert": 22}
    assert "no column of subject ids" in said
    named = [f"S{number},{row}" for number, row in enumerate(rows)]
    code, found, said = ask(*scans, "--meta", table(tmp_path / "t.csv", "subject_id,scan,age_years,mmse", *named))
    assert code == 0 and {name: known(one) for name, one in found.items()} == {"anna": 21, "bert": 22}
    assert {name: one["subject_id"] for name, one in found.items()} == {"anna": "S0", "bert": "S1"}
    assert "no column of subject ids" not in said


def test_two_scans_of_one_session_each_have_their_row(place, ask, tmp_path):
    scans = [place("first"), place("second", 2)]
    header = "subject_id,session_id,scan,mmse"
    meta = table(tmp_path / "t.csv", header, f"a,bl,first{ENDING},21", f"a,bl,second{ENDING},22")
    code, found, _ = ask(*scans, "--meta", meta)
    assert code == 0 and (known(found["first"]), known(found["second"])) == (21, 22)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("subject_id,session_id,scan", "a,bl,{0}", "b,bl,{1}"), ("scan,hippocampus_mm3,mmse", "{1},6001,22", "{0},6000,21")),
        (("subject_id,scan", "a,{0}", "b,{1}"), ("scan,hippocampus_mm3,mmse", "{0},6000,21", "{1},6001,22")),
        (("subject_id,session_id,scan", "a,bl,{0}", "a,bl,{1}"), ("scan,hippocampus_mm3,mmse", "{0},6000,21", "{1},6001,22")),
        (("subject_id,session_id,scan", "a,bl,{0}", "b,bl,{1}"), ("subject_id,session_id,hippocampus_mm3,mmse", "a,bl,6000,21", "b,bl,6001,22")),
    ],
)  # fmt: skip
def test_two_tables_join_by_the_scan_in_either_order(place, ask, tmp_path, first, second, order):
    names = [f"{name}{ENDING}" for name in ("anna", "bert")]
    tables = [table(tmp_path / f"{number}.csv", *(line.format(*names) for line in lines))
              for number, lines in enumerate((first, second))]  # fmt: skip
    metas = [word for number in order for word in ("--meta", tables[number])]
    code, found, said = ask(place("anna"), place("bert", 2), *metas)
    assert code == 0, said
    assert {name: known(one) for name, one in found.items()} == {"anna": 21, "bert": 22}
    assert [found[name]["subject_id"] for name in ("anna", "bert")] == [line[0] for line in first[1:]]


def test_what_a_session_knows_reaches_each_of_its_scans(place, ask, tmp_path):
    scans = [place("first"), place("second", 2)]
    people = table(tmp_path / "p.csv", "subject_id,session_id,age_years,sex", "a,bl,71,F", "z,bl,70,M")
    listed = table(tmp_path / "s.csv", "subject_id,session_id,scan", f"a,bl,first{ENDING}", f"a,bl,second{ENDING}")
    for metas in ((people, listed), (listed, people)):
        code, found, said = ask(*scans, *(word for meta in metas for word in ("--meta", meta)))
        assert code == 0, said
        assert all("woman, aged 71" in one["report"] for one in found.values())


def test_bids_names_join_by_subject_and_session(place, ask, tmp_path):
    scans = [place("sub-x_ses-1"), place("sub-x_ses-2", 2), place("sub-x_ses-3", 3)]
    meta = table(tmp_path / "t.csv", "participant_id,session_id,mmse", "sub-x,ses-2,22", "sub-x,ses-1,21")
    code, found, said = ask(*scans, "--meta", meta)
    assert code == 0
    assert {name: known(one) for name, one in found.items()} == {
        "sub-x_ses-1": 21,
        "sub-x_ses-2": 22,
        "sub-x_ses-3": None,
    }
    assert "no_metadata_row" in found["sub-x_ses-3"]["flags"] and "sub-x, ses-3" in said


def test_the_only_row_of_a_person_is_not_borrowed_by_another_session(place, ask, tmp_path):
    """A person's volumes of two years ago say nothing of today's scan."""
    scans = [place("sub-x_ses-2"), place("sub-y_ses-1", 2)]
    meta = table(tmp_path / "t.csv", "participant_id,session_id,mmse", "sub-x,ses-1,21", "sub-y,ses-1,22")
    code, found, _ = ask(*scans, "--meta", meta)
    assert code == 0
    assert known(found["sub-y_ses-1"]) == 22
    assert known(found["sub-x_ses-2"]) is None and "no_metadata_row" in found["sub-x_ses-2"]["flags"]


def test_a_row_without_a_session_is_of_each_session_of_its_person(place, ask, tmp_path):
    scans = [place("sub-x_ses-1"), place("sub-x_ses-2", 2)]
    meta = table(tmp_path / "t.csv", "subject_id,session_id,mmse", "y,1,21", "x,,22")
    code, found, _ = ask(*scans, "--meta", meta)
    assert code == 0 and {name: known(one) for name, one in found.items()} == {"sub-x_ses-1": 22, "sub-x_ses-2": 22}


def test_the_scan_column_comes_before_the_name(place, ask, tmp_path):
    meta = table(tmp_path / "t.csv", "subject_id,scan,mmse", "x,,21", f"y,sub-x{ENDING},22")
    code, found, _ = ask(place("sub-x"), place("sub-w", 2), "--meta", meta)
    assert code == 0 and known(found["sub-x"]) == 22 and found["sub-x"]["subject_id"] == "y"


def test_subject_is_the_last_resort_for_one_scan(place, ask, tmp_path):
    meta = table(tmp_path / "t.csv", "subject_id,mmse", "x,21", "y,22")
    code, found, _ = ask(place("sub-x"), place("anna", 2), "--meta", meta, "--subject", "sub-y")
    assert code == 0 and {name: known(one) for name, one in found.items()} == {"sub-x": 21, "anna": 22}


def test_a_subject_that_no_row_has_joins_nothing(place, ask, tmp_path):
    meta = table(tmp_path / "t.csv", "subject_id,mmse", "x,21", "y,22")
    code, found, _ = ask(place("anna"), "--meta", meta, "--subject", "z")
    assert code == 0 and known(found["anna"]) is None and "no_metadata_row" in found["anna"]["flags"]


def test_subject_for_several_scans_is_refused(place, ask, tmp_path):
    meta = table(tmp_path / "t.csv", "subject_id,mmse", "x,21", "y,22")
    code, found, said = ask(place("sub-x"), place("anna", 2), place("bert", 3), "--meta", meta, "--subject", "y")
    assert code == 2 and not found
    assert "error: --subject y: 2 scans" in said and f"anna{ENDING}" in said and f"bert{ENDING}" in said
    assert "\nhint: " in said


def test_a_scan_cell_may_name_the_raw_scan_that_a_derivative_was_made_of(place, ask, tmp_path):
    scans, lines = [], ["scan,age_years,mmse"]
    for number, name in enumerate(("anna", "bert"), 1):
        raw = tmp_path / "raw" / f"{name}.nii.gz"
        raw.parent.mkdir(exist_ok=True)
        raw.write_bytes(name.encode())
        scans.append(place(f"derivatives/{name[::-1]}", number))
        sidecar = Path(str(scans[-1]).replace(".nii.gz", ".json"))
        made_of = {"SourceSHA256": hashlib.sha256(name.encode()).hexdigest()}
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | made_of))
        lines.append(f"raw/{name}.nii.gz,70,{20 + number}")
    code, found, said = ask(*scans, "--meta", table(tmp_path / "t.csv", *lines, "raw/gone.nii.gz,70,19"))
    assert code == 0, said
    assert {name: known(one) for name, one in found.items()} == {"anna"[::-1]: 21, "bert"[::-1]: 22}


def test_no_row_is_told_with_the_nearest_id(place, ask, tmp_path):
    meta = table(tmp_path / "t.csv", "subject_id,mmse", "S007,21", "T100,22")
    code, found, said = ask(place("sub-S7"), "--meta", meta)
    assert code == 0 and "no_metadata_row" in found["sub-S7"]["flags"]
    assert "nearest id there is S007" in said
    _, _, said = ask(place("ADNI_011_S_0002_MR_MPRAGE_I1"), "--meta", table(tmp_path / "t.csv", ADNI, *ADNI_ROWS[2:]))
    assert "nearest id there is 011_S_0003" in said


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (("x,1,,21", "x,2,,22"), "2, 3"),
        (("x,1,,21", "w,1,,23", "x,2,,22"), "2, 4"),
        (("y,1,sub-x{0},21", "z,1,sub-x{0},22"), "2, 3"),
        (("y,1,sub-x{0},21", "z,1,./sub-x{0},22"), "2, 3"),
    ],
)
def test_two_rows_for_one_scan_are_refused_with_their_lines(place, ask, tmp_path, rows, lines):
    meta = table(tmp_path / "t.csv", "subject_id,session_id,scan,mmse", *(row.format(ENDING) for row in rows))
    code, found, said = ask(place("sub-x"), "--meta", meta)
    assert code == 2 and not found and f"lines {lines} all match" in said


@pytest.mark.parametrize("subjects", [True, False])
def test_a_bare_name_that_two_scans_have_is_refused_and_a_path_is_not(place, ask, tmp_path, subjects):
    scans = [place("anna/T1"), place("bert/T1", 2)]
    header, who = ("subject_id,scan,mmse", "anna,") if subjects else ("scan,mmse", "")
    other = "bert," if subjects else ""
    code, found, said = ask(*scans, "--meta", table(tmp_path / "t.csv", header, f"{who}T1{ENDING},21"))
    assert code == 2 and not found
    assert f"anna/T1{ENDING}" in said and f"bert/T1{ENDING}" in said and "t.csv line 2" in said
    meta = table(tmp_path / "t.csv", header, f"{who}anna/T1{ENDING},21", f"{other}bert/../bert/T1{ENDING},22")
    ran_code, _, said = ask(*scans, "--meta", meta)
    assert ran_code == 0, said
    code, found, _ = ask(scans[1], "--meta", table(tmp_path / "t.csv", header, f"{who}T1{ENDING},21", f"{who}x.nii,20"))
    assert code == 0 and known(found["T1"]) == 21


# ----------------------------------------------------------------------------------------------- blank ids


BLANK = ("subject_id,session_id,age_years,sex,scan", "a,bl,71,F,a.nii", ",bl,72,M,b.nii", "NA,bl,73,M,c.nii")


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "sub-x.nii", "--meta", "t.csv"),
        ("explain", "sub-x.nii", "--meta", "t.csv", "--out", "o"),
        ("synthesize-reports", "t.csv", "--check"),
        ("preprocess", "t.csv", "--out", "o"),
        ("predict", "t.csv"),
    ],
)
def test_blank_ids_among_named_ones_are_refused_at_the_first(run, tmp_path, words):
    table(tmp_path / "t.csv", *BLANK)
    ran = run(*words)
    assert ran.code == 2 and ran.stdout == ""
    assert "t.csv line 3: no subject id" in ran.stderr and "\nhint: " in ran.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("cells", [("PTID,VISCODE,AGE", "011_S_0002,bl,70", ",m12,70"), ("RID,VISCODE,EXAMDATE", "-4,bl,2010-01-01", "7,bl,2010-01-01")])  # fmt: skip
def test_blank_ids_of_studies_are_refused(run, tmp_path, cells):
    table(tmp_path / "t.csv", *cells)
    ran = run("synthesize-reports", "t.csv", "--check")
    assert ran.code == 2 and f"t.csv line {3 if cells[2].startswith(',') else 2}: no subject id" in ran.stderr


def test_a_table_without_a_column_of_ids_is_spoken_of(run, tmp_path):
    table(tmp_path / "t.csv", "age_years,sex", "71,F", "72,M")
    ran = run("synthesize-reports", "t.csv", "--check")
    assert ran.code == 0 and "no column of subject ids" in ran.stderr and "--column subject_id=" in ran.stderr


# ----------------------------------------------------------------------------------------------- studies


ADNI = "RID,PTID,VISCODE,EXAMDATE,AGE,Years_bl,PTGENDER,MMSE,DX"
ADNI_ROWS = (
    "2,011_S_0002,bl,2005-09-08,74.3,0,Male,21,CN",
    "2,011_S_0002,m06,2006-03-06,74.3,0.498,Male,22,CN",
    "3,011_S_0003,bl,2005-09-12,81.3,0,Male,23,Dementia",
    "3,011_S_0003,m12,2006-09-12,81.3,1,Male,24,Dementia",
)
OASIS_1 = "ID,M/F,Hand,Age,Educ,SES,MMSE,CDR,eTIV,nWBV,ASF,Delay"
OASIS_1_ROWS = tuple(
    f"OAS1_{number:04d}_MR{session},F,R,74,2,3,{points},0,1344,0.743,1.3,"
    for number, session, points in ((61, 1, 21), (61, 2, 22), (62, 1, 23))
)
OASIS_2 = "Subject ID,MRI ID,Group,Visit,MR Delay,M/F,Hand,Age,EDUC,SES,MMSE,CDR,eTIV,nWBV,ASF"
OASIS_2_ROWS = tuple(
    f"OAS2_0001,OAS2_0001_MR{session},Nondemented,{session},{delay},M,R,87,14,2,{points},0,1987,.69,.88"
    for session, delay, points in ((1, 0, 21), (2, 457, 22))
)
OASIS_3 = "OASISID,OASIS_session_label,days_to_visit,age at visit,MMSE,CDRTOT"
OASIS_3_ROWS = tuple(
    f"OAS30001,OAS30001_UDSb4_d{day:04d},{day:04d},{65 + day / 365:.2f},{points},0"
    for day, points in ((0, 21), (339, 22), (722, 23))
)
AIBL = "RID,SITEID,VISCODE,EXAMDATE,MMSCORE"
AIBL_ROWS = ("7,2,bl,5/17/2007,21", "7,2,m18,11/30/2008,22", "11,2,bl,5/17/2007,23")
LONI = "ADNI/011_S_0002/MPRAGE/{}/S9558/ADNI_011_S_0002_MR_MPRAGE_br_raw_20070101000000000_1_S9558_I{}"
AIBL_LONI = "AIBL/7/MPRAGE_ADNI_confirmed/{}/S1/AIBL_7_MR_MPRAGE_ADNI_confirmed_br_raw_20090101_S1_I{}"

STUDIES = {
    "ADNI's download tree": (ADNI, ADNI_ROWS, {LONI.format("2005-08-26_06_36_14.0", 7128): 21, LONI.format("2006-03-20_09_00_00.0", 7129): 22}),
    "ADNI's download tree, too far in time": (ADNI, ADNI_ROWS, {LONI.format("2009-08-26_06_36_14.0", 7128): None}),
    "ADNI without PTID": (
        ADNI.replace("PTID,", ""), tuple(row.replace(f",011_S_000{row[0]}", "", 1) for row in ADNI_ROWS),
        {LONI.format("2005-08-26_06_36_14.0", 7128): 21, "sub-ADNI011S0003_ses-M12": 24},
    ),
    "clinica, ADNI": (
        ADNI, ADNI_ROWS,
        {"sub-ADNI011S0002_ses-M000": 21, "sub-ADNI011S0002_ses-M006": 22, "sub-ADNI011S0003_ses-M00": 23, "sub-ADNI011S0003_ses-M06": None},
    ),
    "ADNI's ids in BIDS names": (ADNI, ADNI_ROWS, {"sub-011_S_0002_ses-m06": 22}),
    "OASIS-1": (
        OASIS_1, OASIS_1_ROWS,
        {"OAS1_0061_MR1_mpr-1_anon": 21, "OAS1_0061_MR2_mpr-1_anon": 22, "disc1/OAS1_0062_MR1/RAW/OAS1_0062_MR1_mpr-2_anon": 23},
    ),
    "OASIS-1 by its folder": (OASIS_1, OASIS_1_ROWS, {"disc1/OAS1_0061_MR2/PROCESSED/MPRAGE/T88_111/t88_gfc": 22}),
    "clinica, OASIS-1": (OASIS_1, OASIS_1_ROWS, {"sub-OASIS10061_ses-M000": 21, "sub-OASIS10062_ses-M00": 23}),
    "OASIS-2": (OASIS_2, OASIS_2_ROWS, {"OAS2_0001_MR1/RAW/mpr-1.nifti": 21, "OAS2_0001_MR2/RAW/mpr-3.nifti": 22}),
    "OASIS-3": (
        OASIS_3, OASIS_3_ROWS,
        {"OAS30001_MR_d0129/anat2/NIFTI/sub-OAS30001_ses-d0129_run-01": None, "OAS30001_MR_d0757/anat2/sub-OAS30001_ses-d0757": 23},
    ),
    "OASIS-3 by its folder": (OASIS_3, OASIS_3_ROWS, {"OAS30001_MR_d0400/anat2/t1": 22}),
    "clinica, OASIS-3": (OASIS_3, OASIS_3_ROWS, {"sub-OAS30001_ses-M000": 21, "sub-OAS30001_ses-M012": 22, "sub-OAS30001_ses-M018": None}),
    "AIBL's download tree": (AIBL, AIBL_ROWS, {AIBL_LONI.format("2007-06-01_12_00_00.0", 1): 21, AIBL_LONI.format("2008-12-01_12_00_00.0", 2): 22}),
    "AIBL by its folder": (AIBL, AIBL_ROWS, {"AIBL/11/MPRAGE/2007-06-01_12_00_00.0/I3/image": 23}),
    "clinica, AIBL": (AIBL, AIBL_ROWS, {"sub-AIBL7_ses-M000": 21, "sub-AIBL7_ses-M018": 22, "sub-AIBL11_ses-M00": 23}),
}  # fmt: skip


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_knows_its_scans_by_their_names(place, ask, tmp_path, study):
    header, rows, wanted = STUDIES[study]
    scans = {name: place(name, number) for number, name in enumerate(wanted, 1)}
    code, found, said = ask(*scans.values(), "--meta", table(tmp_path / "t.csv", header, *rows))
    assert code == 0, said
    assert {name: known(found[Path(name).name]) for name in wanted} == wanted
    for name, points in wanted.items():
        assert ("no_metadata_row" in found[Path(name).name]["flags"]) == (points is None)


def test_the_volumes_of_another_session_are_never_borrowed(place, ask, tmp_path):
    volumes = table(tmp_path / "fs.csv", "Subject,MR_session,IntraCranialVol", "OAS30001,OAS30001_MR_d0329,1500000")
    clinic = table(tmp_path / "cdr.csv", OASIS_3, *OASIS_3_ROWS)
    near, other = "sub-OAS30001_ses-d0329", "sub-OAS30001_ses-d0400"
    code, found, said = ask(place(near), place(other, 2), "--meta", volumes, "--meta", clinic)
    assert code == 0, said
    assert known(found[near]) == 22 and "no_metadata_row" not in found[near]["flags"]
    assert known(found[other]) is None and "no_metadata_row" in found[other]["flags"]


def test_a_whole_download_tree_joins_its_table(place, ask, tmp_path):
    for number, (day, image) in enumerate((("2005-08-26_06_36_14.0", 7128), ("2006-03-20_09_00_00.0", 7129)), 1):
        place(LONI.format(day, image), number)
    place(LONI.format("2005-09-20_06_36_14.0", 7200).replace("0002", "0003"), 3)
    code, found, said = ask(tmp_path / "ADNI", "--meta", table(tmp_path / "t.csv", ADNI, *ADNI_ROWS))
    assert code == 0, said
    who = {(one["subject_id"], one["session_id"], known(one)) for one in found.values()}
    assert who == {("011_S_0002", "bl", 21), ("011_S_0002", "m06", 22), ("011_S_0003", "bl", 23)}


@pytest.mark.parametrize(
    ("header", "rows", "name"),
    [
        (ADNI, ADNI_ROWS, "ADNI_011_S_0002_MR_MPRAGE_br_raw_2007_S9558_I7128"),
        (OASIS_1, OASIS_1_ROWS, "OAS1_0061"),
        (AIBL, AIBL_ROWS, "AIBL_7_MR_MPRAGE_I1"),
        (ADNI, ADNI_ROWS, "011_S_0003/ADNI_011_S_0002_MR_MPRAGE_I7128"),
        (OASIS_1, OASIS_1_ROWS, "OAS1_0061_MR1/RAW/OAS1_0061_MR2_mpr-1_anon"),
    ],
)
def test_a_name_that_leaves_the_row_open_is_refused(place, ask, tmp_path, header, rows, name):
    code, found, said = ask(place(name), "--meta", table(tmp_path / "t.csv", header, *rows))
    assert code == 2 and not found and "\nhint: " in said
    assert "all match" in said or "different people or sessions" in said


def test_rs_adnimerge_keeps_the_age_of_follow_ups(run, tmp_path):
    written = ADNI.replace("Years_bl", "Years.bl").replace("DX", "DX.bl")
    lines = [f'"","{written.replace(",", chr(34) + "," + chr(34))}"']
    lines += [f'"{number}",{row.rpartition(",")[0]},{state}' for number, (row, state) in
              enumerate(zip(ADNI_ROWS, ("CN", "CN", "AD", "AD"), strict=True), 1)]  # fmt: skip
    table(tmp_path / "r.csv", *lines)
    ran = run("synthesize-reports", "r.csv", "--write-canonical", "clean.csv")
    assert ran.code == 0, ran.stderr
    with (tmp_path / "clean.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["age_years"]) for row in rows] == pytest.approx([74.3, 74.798, 81.3, 82.3])
    assert [row["diagnosis"] for row in rows] == ["CN", "", "AD", ""]


@pytest.mark.parametrize(
    ("header", "rows", "dialect"),
    [
        (OASIS_1, OASIS_1_ROWS, "OASIS-1"), (OASIS_2, OASIS_2_ROWS, "OASIS-2"), (OASIS_3, OASIS_3_ROWS, "OASIS-3"),
    ],
)  # fmt: skip
def test_names_that_r_has_changed_are_known(run, tmp_path, header, rows, dialect):
    table(tmp_path / "plain.csv", header, *rows)
    table(tmp_path / "r.csv", header.replace("/", ".").replace(" ", "."), *rows)
    for name in ("plain", "r"):
        ran = run("synthesize-reports", f"{name}.csv", "--write-canonical", f"{name}.clean.csv", "--json")
        assert ran.code == 0, ran.stderr
        assert json.loads(ran.stdout.splitlines()[-1])["tables"] == {f"{name}.csv": dialect}
    assert (tmp_path / "r.clean.csv").read_text() == (tmp_path / "plain.clean.csv").read_text()


@pytest.mark.parametrize(
    ("header", "answers", "dialect"),
    [
        (ADNI, ("DX", "MMSE"), "ADNIMERGE"), (ADNI.replace("PTID,", ""), ("DX", "MMSE"), "ADNIMERGE"),
        ("PTID,VISCODE,DX,Hippocampus", ("DX",), "ADNIMERGE"), ("RID,VISCODE,PTGENDER,DX_bl", ("DX_bl",), "ADNIMERGE"),
        (OASIS_1, ("CDR", "MMSE"), "OASIS-1"), (OASIS_2, ("CDR", "MMSE", "Group"), "OASIS-2"),
        (OASIS_3, ("CDRTOT", "MMSE"), "OASIS-3"), (AIBL, ("MMSCORE",), "AIBL"),
        ("RID,SITEID,VISCODE,DXCURREN", ("DXCURREN",), "AIBL"), ("RID,VISCODE,CDGLOBAL", ("CDGLOBAL",), "AIBL"),
        ("Phase,RID,SITEID,VISCODE,VISCODE2,EXAMDATE,DXCHANGE", ("DXCHANGE",), "ADNIMERGE"),
    ],
)  # fmt: skip
def test_a_dialect_is_known_without_its_answers(header, answers, dialect):
    from adclip.clinical.dialects import recognise

    whole = header.split(",")
    assert recognise(whole).name == dialect
    assert recognise([name for name in whole if name not in answers]).name == dialect
    assert recognise([name.replace("_bl", ".bl").replace("/", ".").replace(" ", ".") for name in whole]).name == dialect


# ----------------------------------------------------------------------------------------------- answers


WRONG = ("Dubious", "77", "[1]", "1e999", ">30", "NL to what")


@pytest.mark.parametrize("cell", WRONG)
@pytest.mark.parametrize(
    ("header", "row", "name", "columns"),
    [
        (ADNI, ADNI_ROWS[0], "sub-011_S_0002_ses-bl", ("DX", "MMSE")),
        (OASIS_1, OASIS_1_ROWS[0], "OAS1_0061_MR1_mpr-1_anon", ("CDR", "MMSE")),
        ("RID,VISCODE,EXAMDATE,PTGENDER,PTDOB,MMSCORE,CDGLOBAL,DXCURREN", "7,bl,5/17/2007,1,/1934,29,0,1", "sub-AIBL7_ses-M000",
         ("MMSCORE", "CDGLOBAL", "DXCURREN")),
        ("subject_id,age_years,sex,diagnosis,mmse,cdr_global", "x,71,F,CN,29,0", "sub-x", ("diagnosis", "mmse", "cdr_global")),
    ],
)  # fmt: skip
def test_an_answer_stops_no_prediction_and_changes_none(place, ask, tmp_path, header, row, name, columns, cell):
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    scan = place(name)
    _, wanted, _ = ask(scan, "--meta", table(tmp_path / "t.csv", ",".join(cells), ",".join(cells.values())))
    wrong = cells | dict.fromkeys(columns, cell)
    code, found, said = ask(scan, "--meta", table(tmp_path / "t.csv", ",".join(cells), ",".join(wrong.values())))
    assert code == 0, said
    without = {key: value for key, value in cells.items() if key not in columns}
    code, bare, said = ask(scan, "--meta", table(tmp_path / "t.csv", ",".join(without), ",".join(without.values())))
    assert code == 0, said
    for other in (found, bare):
        record = other[name]
        assert record["mmse"].pop("known") is None
        wanted[name]["mmse"].pop("known", None)
        assert record == wanted[name]
    assert cell not in said


def test_rows_that_differ_in_answers_alone_are_one_row(place, ask, tmp_path):
    lines = ("subject_id,session_id,age_years,mmse,diagnosis", "x,1,71,29,CN", "x,1,71,28,AD", "y,1,70,20,AD")
    code, found, said = ask(place("sub-x_ses-1"), "--meta", table(tmp_path / "t.csv", *lines))
    assert code == 0, said
    assert known(found["sub-x_ses-1"]) is None and "71 years" in found["sub-x_ses-1"]["report"]


@pytest.mark.parametrize("words", [("--column", "diagnosis=DX"), ("--column", "mmse=total")])
def test_an_option_about_absent_answers_stops_no_prediction(place, ask, tmp_path, words):
    meta = table(tmp_path / "t.csv", "subject_id,age_years", "x,71")
    code, _, said = ask(place("sub-x"), "--meta", meta, *words)
    assert code == 0, said


def test_a_column_of_answers_twice_stops_no_prediction(place, ask, tmp_path):
    meta = table(tmp_path / "t.csv", "subject_id,age_years,diagnosis,diagnosis", "x,71,CN,AD")
    code, found, said = ask(place("sub-x"), "--meta", meta)
    assert code == 0 and "71 years" in found["sub-x"]["report"], said


def test_answers_of_aibl_stop_no_prediction_in_any_form(place, ask, tmp_path):
    row = {"RID": "7", "VISCODE": "bl", "EXAMDATE": "5/17/2007", "PTDOB": "/1934", "MMSCORE": [1], "CDGLOBAL": {}}
    (tmp_path / "t.json").write_text(json.dumps([row, {"RID": "8", "VISCODE": "bl"}]))
    code, found, said = ask(place("sub-AIBL7_ses-M000"), "--meta", tmp_path / "t.json")
    assert code == 0 and "73 years" in found["sub-AIBL7_ses-M000"]["report"], said


def test_answers_of_any_kind_in_json_stop_no_prediction(place, ask, tmp_path):
    row = {"subject_id": "x", "age_years": 71, "diagnosis": ["AD"], "mmse": True, "cdr_global": {"a": 1}}
    (tmp_path / "t.json").write_text(json.dumps([row, {"subject_id": "y"}]))
    code, found, said = ask(place("sub-x"), "--meta", tmp_path / "t.json")
    assert code == 0 and "71 years" in found["sub-x"]["report"], said


def test_training_still_checks_its_answers(run, tmp_path):
    table(tmp_path / "t.csv", "subject_id,diagnosis", "x,Dubious", "y,CN")
    ran = run("synthesize-reports", "t.csv", "--out", "r.jsonl")
    assert ran.code == 2 and "line 2, column `diagnosis`" in ran.stderr


# ----------------------------------------------------------------------------------------------- what is said where no row fits


@pytest.mark.parametrize(
    ("rows", "name", "said_so"),
    [
        (("subject_id,session_id,mmse", "1,bl,21", "2,bl,22"), "sub-01_ses-bl", "the nearest id there is 1, of the session bl"),
        (
            ("subject_id,session_id,mmse", "x,M000,21", "x,M006,22", "y,M000,23"), "sub-x_ses-M00",
            "its rows there are of the sessions M000, M006, the nearest is M000",
        ),
        (("subject_id,session_id,mmse", "x,2,21", "y,2,22"), "sub-x_ses-1", "its rows there are of the session 2"),
        ((ADNI, *ADNI_ROWS), LONI.format("2009-08-26_06_36_14.0", 7128), "days from the scan's day, and --max-days is 120"),
        ((ADNI, *ADNI_ROWS), "sub-ADNI011S0009_ses-M000", "the nearest id there is 011_S_000"),
    ],
    ids=["another id", "another spelling of the session", "another session", "another day", "another person of the site"],
)  # fmt: skip
def test_a_scan_without_row_is_told_what_comes_nearest_and_joined_to_nothing(place, ask, tmp_path, rows, name, said_so):
    code, found, said = ask(place(name), "--meta", table(tmp_path / "t.csv", *rows))
    assert code == 0 and known(found[Path(name).name]) is None
    assert "no_metadata_row" in found[Path(name).name]["flags"]
    assert said_so in " ".join(said.split())


def test_ixis_table_of_numbers_joins_its_scans(place, ask, tmp_path):
    rows = ('IXI_ID,"SEX_ID (1=m, 2=f)",AGE,mmse', "12,1,38.78,21", "2,2,35.8,22")
    code, found, said = ask(
        place("IXI012-HH-1211"), place("IXI002-Guys-0828", 2), "--meta", table(tmp_path / "t.csv", *rows)
    )
    assert code == 0, said
    assert (known(found["IXI012-HH-1211"]), known(found["IXI002-Guys-0828"])) == (21, 22)


def test_a_pattern_joins_by_the_day_that_a_folder_names(place, ask, tmp_path):
    rows = (
        "subject_id,session_id,visit_date,mmse",
        "P01,v1,2020-01-20,21",
        "P01,v2,2021-03-01,22",
        "P02,v1,2020-01-20,23",
    )
    scans = [place("P01/20200131/one"), place("P01/20210228/two", 2)]
    meta = table(tmp_path / "t.csv", *rows)
    ran, found, said = ask(tmp_path / "P01", "--name-pattern", "{subject}/{date}/*", "--meta", meta)
    assert ran == 0 and len(scans) == 2, said
    assert {name: known(record) for name, record in found.items()} == {"one": 21, "two": 22}
