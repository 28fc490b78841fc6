"""Bad tables: each has one error that names the file, the line and the column, exit code 2, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

ADNI = "RID,PTID,VISCODE,EXAMDATE,AGE,PTGENDER,PTEDUCAT,APOE4,MMSE,DX,Hippocampus,Years_bl,ICV"
GOOD = "1,011_S_0001,bl,2010-02-03,71.5,Male,16,0,29,CN,7100,0,1400000"
OASIS_1 = "ID,M/F,Hand,Age,Educ,SES,MMSE,CDR,eTIV,nWBV,ASF,Delay"
OASIS_2 = "Subject ID,MRI ID,Group,Visit,MR Delay,M/F,Hand,Age,EDUC,SES,MMSE,CDR,eTIV,nWBV,ASF"
AIBL = "RID,SITEID,VISCODE,DXCURREN"
FREESURFER = "# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n"


def adni(**cells: str) -> str:
    """Return an ADNIMERGE of two rows, of which the second has these cells."""
    row = dict(zip(ADNI.split(","), GOOD.split(","), strict=True)) | {"PTID": "011_S_0002"} | cells
    return f"{ADNI}\n{GOOD}\n{','.join(row.values())}\n"


def canonical(*rows: str, header: str = "subject_id,session_id,age_years,sex,diagnosis,icv_mm3") -> str:
    return "\n".join([header, *rows]) + "\n"


# name: (file name, content, words of the error, and options)
BAD: dict[str, tuple[str, str | bytes, list[str], list[str]]] = {
    # the file
    "absent": ("gone.csv", "", ["gone.csv", "no such table"], []),
    "empty": ("t.csv", "", ["t.csv", "empty"], []),
    "header only": ("t.csv", "subject_id,mmse\n", ["no rows"], []),
    "UTF-16": ("t.csv", "subject_id\na\n".encode("utf-16"), ["UTF-16"], []),
    "Latin-1": ("t.csv", b"subject_id,note\na,caf\xe9\n", ["line 2 is not UTF-8"], []),
    "binary": ("t.csv", b"subject_id\0,mmse\n", ["binary"], []),
    "an image": ("t.csv", b"\x5c\x01\x00\x00" + b"\0" * 400, ["binary"], []),
    "old Excel": ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, ["t.xls"], []),
    "no workbook": ("t.xlsx", b"PK\x03\x04 broken", ["no Excel workbook"], []),
    "workbook by another name": ("t.csv", b"PK\x03\x04 something", ["Excel workbook"], []),
    "broken JSON": ("t.json", '[{"subject_id": "a"},\n {"subject_id" "b"}]', ["line 2 is not valid JSON"], []),
    "JSON of another shape": ("t.json", '{"a": [1]}', ["list of objects"], []),
    "no known column": ("t.csv", "shoe,hat\n43,58\n", ["no column name is known"], []),
    "a name twice": ("t.csv", "subject_id,mmse,mmse\na,1,2\n", ["`mmse` more than once"], []),
    "two names for one": ("t.csv", "subject_id,participant_id\na,a\n", ["all mean `subject_id`"], []),
    # rows
    "ragged, short": ("t.csv", canonical("a,bl,70,F,CN"), ["line 2: 5 cells, the header has 6"], []),
    "ragged, long": ("t.csv", canonical("a,bl,70,F,CN,1400000,9"), ["line 2: 7 cells"], []),
    "unquoted comma": ("t.csv", canonical("a,bl,70,5,F,CN,1400000"), ["line 2: 7 cells"], []),
    "open quote": ("t.csv", canonical('a,bl,70,F,CN,"1400000'), ["line 2", "not readable as CSV"], []),
    "a row twice with other values": ("t.csv", canonical("a,bl,70,F,CN,", "a,bl,71,F,CN,"), ["lines 2 and 3", "`age_years`"], []),
    "visits nothing tells apart": ("t.csv", canonical("a,,70,F,CN,", "a,,71,F,CN,"), ["lines 2 and 3", "tells the visits apart"], []),
    "ids that differ in case": ("t.csv", canonical("a1,bl,70,F,CN,", "A1,m6,70,F,CN,"), ["lines 2 and 3", "upper and lower case"], []),
    "ids that differ in zeros": ("t.csv", canonical("007,bl,70,F,CN,", "7,m6,70,F,CN,"), ["lines 2 and 3", "leading zeros"], []),
    # cells
    "id with a path": ("t.csv", canonical("../x,bl,70,F,CN,"), ["line 2, column `subject_id`", "not an id"], []),
    "a word for a number": ("t.csv", canonical("a,bl,seventy,F,CN,"), ["line 2, column `age_years`", "text where a number"], []),
    "decimal comma": ("t.csv", 'subject_id,age_years\na,"70,5"\n', ["line 2, column `age_years`", "comma"], []),
    "decimal commas and points": ("t.csv", "subject_id;age_years\na;70,5\nb;70.5\n", ["line 2, column `age_years`", "comma"], []),
    "thousands or decimals": ("t.csv", "subject_id;icv_mm3\na;1,344\n", ["line 2, column `icv_mm3`", "comma"], []),
    "a unit in the cell": ("t.csv", canonical("a,bl,70 y,F,CN,"), ["line 2", "followed by a unit"], []),
    "an age of 170": ("t.csv", canonical("a,bl,170,F,CN,"), ["line 2, column `age_years`", "above 120"], []),
    "a negative age": ("t.csv", canonical("a,bl,-70,F,CN,"), ["line 2", "below 0"], []),
    "a missing code of others": ("t.csv", canonical("a,bl,-4,F,CN,"), ["line 2", "below 0"], []),
    "sex as 0": ("t.csv", canonical("a,bl,70,0,CN,"), ["line 2, column `sex`", "number code"], []),
    "diagnosis as 3": ("t.csv", canonical("a,bl,70,F,3,"), ["line 2, column `diagnosis`", "number code"], []),
    "diagnosis in words": ("t.csv", canonical("a,bl,70,F,Demenz,"), ["line 2, column `diagnosis`", "other than CN, MCI or AD"], []),
    "ICV in cm3": ("t.csv", canonical("a,bl,70,F,CN,1344"), ["line 2, column `icv_mm3`", "looks like cm3"], []),
    "hippocampus in litres": ("t.csv", "subject_id,hippocampus_mm3\na,0.006\n", ["line 2", "below 1000"], []),
    "MMSE of 31": ("t.csv", "subject_id,mmse\na,31\n", ["line 2, column `mmse`", "above 30"], []),
    "CDR of 0.7": ("t.csv", "subject_id,cdr_global\na,0.7\n", ["line 2", "other than 0, 0.5, 1, 2, 3"], []),
    "APOE as genotype": ("t.csv", "subject_id,apoe4_count\na,34\n", ["line 2", "other than 0, 1, 2"], []),
    "a censored age": ("t.csv", "subject_id,age_years\na,>89\n", ["line 2", "censored"], []),
    "a date of the other kind": ("t.csv", "subject_id,visit_date\na,31.12.2010\n", ["line 2", "YYYY-MM-DD"], []),
    "infinity": ("t.csv", "subject_id,mmse\na,1e999\n", ["line 2", "too large"], []),
    "a formula": ("t.csv", "subject_id,mmse\na,=1+1\n", ["line 2", "text where a number"], []),
    # studies
    "ADNI: unknown diagnosis": ("t.csv", adni(DX="Dubious"), ["line 3, column `DX`"], []),
    "ADNI: unknown sex": ("t.csv", adni(PTGENDER="1"), ["line 3, column `PTGENDER`"], []),
    "ADNI: three alleles": ("t.csv", adni(APOE4="3"), ["line 3, column `APOE4`"], []),
    "ADNI: volumes in cm3": ("t.csv", adni(Hippocampus="7.1"), ["line 3, column `Hippocampus`", "cm3"], []),
    "ADNI: a date that is none": ("t.csv", adni(EXAMDATE="2010-13-40"), ["line 3, column `EXAMDATE`"], []),
    "ADNI: age of 200": ("t.csv", adni(AGE="200"), ["line 3", "AGE"], []),
    "OASIS-1: a strange id": ("t.csv", f"{OASIS_1}\nOAS1_1,F,R,74,2,3,29,0,1344,0.743,1.3,\n", ["line 2, column `ID`"], []),
    "OASIS-1: nWBV in per cent": ("t.csv", f"{OASIS_1}\nOAS1_0001_MR1,F,R,74,2,3,29,0,1344,74.3,1.3,\n", ["line 2", "nWBV"], []),
    "OASIS-2: another subject": ("t.csv", f"{OASIS_2}\nOAS2_0001,OAS2_0002_MR1,Demented,1,0,M,R,87,14,2,27,0,1987,.69,.88\n",
                                ["line 2", "another subject"], []),
    "AIBL: a code without meaning": ("t.csv", f"{AIBL}\n1,1,bl,9\n", ["line 2, column `DXCURREN`"], []),
    "FreeSurfer: cut off": ("aseg.stats", "# Title Segmentation Statistics\n", ["aseg.stats", "cut off"], []),
    "FreeSurfer: a word for a volume": ("aseg.stats", FREESURFER + "1 17 400 many Left-Hippocampus\n", ["aseg.stats line 2"], []),
    "FreeSurfer: another unit": ("aseg.stats", "# Measure EstimatedTotalIntraCranialVol, eTIV, x, 1.4, l\n" + FREESURFER
                                 + "1 17 400 4000.0 Left-Hippocampus\n", ["aseg.stats line 1", "no volume in mm^3"], []),
    # what the user asks
    "an absent mapped column": ("t.csv", canonical("a,bl,70,F,CN,"), ["no column `MMS`"], ["--column", "mmse=MMS"]),
    "no canonical column": ("t.csv", canonical("a,bl,70,F,CN,"), ["`mms` is not a canonical column"], ["--column", "mms=sex"]),
    "a unit that cannot be": ("t.csv", canonical("a,bl,70,F,CN,"), ["cannot be in cm3"], ["--column", "sex=age_years:cm3"]),
    "a code of no meaning": ("t.csv", canonical("a,bl,70,F,CN,"), ["a code of `sex` means"], ["--column", "sex=session_id:1=X"]),
    "training without a diagnosis": ("t.csv", "subject_id,mmse\na,29\n", ["no column `diagnosis`"], []),
    "training without any known diagnosis": ("t.csv", canonical("a,bl,70,F,,"), ["no row has a diagnosis"], []),
    "a policy without its column": ("t.csv", canonical("a,bl,70,F,,"), ["no column `cdr_global`"], ["--diagnosis-policy", "cdr"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_told_in_one_error_and_nothing_is_written(run, tmp_path: Path, name: str):
    file, content, words, options = BAD[name]
    if name != "absent":
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(tmp_path.iterdir())
    result = run("synthesize-reports", file, "--out", "out/r.jsonl", "--write-canonical", "out/c.csv", *options)
    assert result.code == 2, result.stderr
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert all(word in result.stderr for word in words), result.stderr
    assert "\nhint: " in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_clinical_value_never_reaches_an_error(run, tmp_path: Path):
    for cells in ({"MMSE": "77"}, {"Hippocampus": "7.1234"}, {"PTEDUCAT": "987"}, {"DX": "Secretitis"}):
        (tmp_path / "t.csv").write_text(adni(**cells))
        result = run("synthesize-reports", "t.csv", "--check", "--debug")
        assert result.code == 2
        assert not any(cell in result.stderr.replace("Traceback", "") for cell in cells.values()), result.stderr
