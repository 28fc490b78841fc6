"""Files as ADNI, NACC and clinica deliver them today. All rows are made up; names and codes are the documented ones."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from adclip.clinical.tables.alteration import Alteration
from adclip.clinical.tables.table import Table, read_tables
from adclip.config import TableOptions
from adclip.domain import Diagnosis
from adclip.errors import TableError


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str, separator: str = ",") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("|", separator))
        return path

    return write


def read(*paths: Path, **options) -> Table:
    return read_tables(paths, TableOptions(**options))


def sentences(table: Table) -> str:
    return "\n".join(text for _, text in table.told)


# ----------------------------------------------------------------------------------------------- ADNI, 2024 to 2026

ADNIMERGE = (
    "RID,COLPROT,PTID,VISCODE,EXAMDATE,DX_bl,AGE,PTGENDER,PTEDUCAT,APOE4,MMSE,DX,EXAMDATE_bl,Years_bl\n"
    "9902,ADNI1,099_S_9902,bl,2005-09-08,CN,74.3,Male,16,1,28,CN,2005-09-08,0\n"
    "9902,ADNI1,099_S_9902,m06,2006-03-06,CN,74.3,Male,16,1,27,MCI,2005-09-08,0.498289\n"
)
DXSUM = (
    '"PHASE","PTID","RID","VISCODE","VISCODE2","EXAMDATE","DIAGNOSIS","DXNORM"\n'
    '"ADNI1","099_S_9902","9902","bl","bl","2005-09-29","1","1"\n'
    '"ADNI1","099_S_9902","9902","m06","m06","2006-03-16","2","-4"\n'
)
PTDEMOG = (
    '"PHASE","PTID","RID","VISCODE","VISCODE2","VISDATE","PTGENDER","PTDOB","PTDOBYY","PTEDUCAT"\n'
    '"ADNI1","099_S_9902","9902","sc","sc","2005-08-17","1","05/1931","1931","16"\n'
    '"ADNI3","099_S_9902","9902","init","m150","2018-02-17","1","05/1931","1931","-4"\n'
)
MMSE = (
    '"PHASE","PTID","RID","VISCODE","VISCODE2","VISDATE","MMDATE","MMSCORE"\n'
    '"ADNI1","099_S_9902","9902","sc","sc","2005-08-17","1","28"\n'
    '"ADNI1","099_S_9902","9902","m06","m06","2006-03-10","1","27"\n'
)
APOERES = '"PHASE","PTID","RID","VISCODE","GENOTYPE","APTESTDT"\n"ADNI1","099_S_9902","9902","sc","3/4","2005-08-20"\n'


@pytest.fixture
def adni(write):
    files = {"ADNIMERGE": ADNIMERGE, "DXSUM": DXSUM, "PTDEMOG": PTDEMOG, "MMSE": MMSE, "APOERES": APOERES}
    return {name: write(f"{name}_23Dec2025.csv", text) for name, text in files.items()}


def test_adnis_downloads_join_without_options_in_any_order(adni):
    seen = set()
    for order in permutations(adni.values()):
        rows = read(*order).rows
        by_session = sorted(
            (v.session_id, v.visit_date, v.age_years, v.sex, v.education_years, v.apoe4_count, v.mmse, v.diagnosis)
            for v in rows
        )
        seen.add(tuple(by_session))
    assert seen == {
        (
            ("bl", "2005-09-08", 74.3, "M", 16, 1, 28, Diagnosis.CN),
            ("m06", "2006-03-06", 74.798289, "M", 16, 1, 27, Diagnosis.MCI),
        )
    }


def test_without_adnimerge_the_registry_gives_age_and_the_screening_belongs_to_the_baseline(adni):
    table = read(*(adni[name] for name in ("MMSE", "DXSUM", "APOERES", "PTDEMOG")))
    first, second = sorted(table.rows, key=lambda visit: visit.session_id or "")
    assert (first.session_id, first.mmse, first.diagnosis, first.visit_date) == ("bl", 28, Diagnosis.CN, "2005-09-29")
    assert first.age_years == pytest.approx(74.38, abs=0.05)
    assert (second.session_id, second.visit_date, second.apoe4_count) == ("m06", "2006-03-16", 1)


def test_education_asked_again_is_told_and_the_first_answer_counts(adni, write):
    later = write("PTDEMOG.csv", PTDEMOG.replace('"-4"', '"18"'))
    table = read(adni["DXSUM"], later)
    assert {visit.education_years for visit in table.rows} == {16}
    assert "other years of education" in sentences(table)


def test_a_visit_without_a_translated_code_has_the_raw_one(write):
    rows = "PTID,RID,VISCODE,VISCODE2,EXAMDATE,DIAGNOSIS\n099_S_9902,9902,m12,,2006-09-01,2\n"
    assert read(write("d.csv", rows)).rows[0].session_id == "m12"


@pytest.mark.parametrize("cell", ["1931", "13/1931", "05/31", "May 1931"])
def test_a_month_of_birth_in_another_form_is_refused(write, cell):
    with pytest.raises(TableError) as caught:
        read(write("p.csv", f"PTID,RID,VISCODE2,PTGENDER,PTDOB\n099_S_9902,9902,sc,1,{cell}\n"))
    assert "column `PTDOB`" in caught.value.problem


# ----------------------------------------------------------------------------------------------- ADNIMERGE2

ADSL = (
    "STUDYID,USUBJID,SUBJID,SITEID,AGE,AGEU,AGEGR1,SEX,ENRLFL,ENRLDT,EDUC,DX\n"
    "ADNI,ADNI-099-00002,00002,099,74.3,Years,>=65,Male,Y,2005-09-08,16,CN\n"
    "ADNI,ADNI-098-10501,10501,098,80,Years,>=65,Female,Y,2005-10-08,12,MCI\n"
)
ADQS = (
    "STUDYID,USUBJID,AGE,SEX,DX,ENRLDT,AVISIT,VISIT,ADT,PARAMCD,PARAM,AVAL,ABLFL\n"
    "ADNI,ADNI-099-00002,74.3,Male,CN,2005-09-08,BASELINE,Baseline,2005-09-08,MMSCORE,MMSE,28,Y\n"
    "ADNI,ADNI-099-00002,74.3,Male,CN,2005-09-08,BASELINE,Baseline,2005-09-08,CDGLOBAL,CDR,0,Y\n"
    "ADNI,ADNI-099-00002,74.3,Male,CN,2005-09-08,Month 24,Month 24,2007-09-10,MMSCORE,MMSE,23,\n"
    "ADNI,ADNI-098-10501,80,Female,MCI,2005-10-08,BASELINE,Baseline,2005-10-08,MMSCORE,MMSE,24,Y\n"
    "ADNI,ADNI-098-10501,80,Female,MCI,2005-10-08,BASELINE,Baseline,2005-10-08,TOTAL13,ADAS,85,Y\n"
)
ADRS = (
    "STUDYID,USUBJID,PARAMCD,PARAM,AVISIT,ADT,AVAL,AVALC,ENRLDT,AGE,SEX,DX\n"
    "ADNI,ADNI-099-00002,DX,Status,Baseline,2005-09-10,1,CN,2005-09-08,74.3,Male,CN\n"
    "ADNI,ADNI-099-00002,DX,Status,Month 24,2007-09-12,2,MCI,2005-09-08,74.3,Male,CN\n"
    "ADNI,ADNI-098-10501,DX,Status,Baseline,2005-10-10,3,DEM,2005-10-08,80,Female,MCI\n"
    "ADNI,ADNI-098-10501,DEATH,Death,,2009-10-10,4,DEATH,2005-10-08,80,Female,MCI\n"
)


def test_adnimerge2_has_a_row_a_visit_and_the_diagnosis_of_that_visit(write):
    table = read(write("ADSL.csv", ADSL), write("ADQS.csv", ADQS), write("ADRS.csv", ADRS))
    rows = {(v.subject_id, v.visit_date): v for v in table.rows}
    later = rows["099_S_0002", "2007-09-10"]
    assert (later.mmse, later.diagnosis, later.sex, later.education_years) == (23, Diagnosis.MCI, "M", 16)
    assert later.age_years == pytest.approx(74.3 + 732 / 365.25, abs=1e-5)
    assert rows["099_S_0002", "2005-09-08"].cdr_global == 0
    assert rows["098_S_10501", "2005-10-08"].diagnosis is Diagnosis.AD  # DX, the baseline, says MCI
    assert len(rows) == 3


def test_the_baseline_status_of_adnimerge2_is_never_a_diagnosis(write):
    for name, text in (("ADSL.csv", ADSL), ("ADQS.csv", ADQS)):
        path = write(name, text)
        table = read(path)
        assert all(visit.diagnosis is None for visit in table.rows)
        assert "diagnosis=DX" not in sentences(table)
    with pytest.raises(TableError) as caught:
        read_tables((write("ADSL.csv", ADSL),), TableOptions(), need=("diagnosis",))
    assert "diagnosis=DX" not in caught.value.remedy
    assert "BASELINE" in caught.value.remedy
    assert "ADRS" in caught.value.remedy
    asked = read(write("ADSL.csv", ADSL), columns=("diagnosis=DX:DEM=AD",))
    assert "BASELINE" in sentences(asked)


@pytest.mark.parametrize(
    ("visit", "session"), [("Baseline", "bl"), ("Month 12", "m12"), ("Year 1 Visit", "m12"), ("m06", "m06")]
)
def test_visits_of_adnimerge2_without_dates_are_known_by_name(write, visit, session):
    path = write("q.csv", f"USUBJID,AVISIT,PARAMCD,AVAL\nADNI-099-00002,{visit},MMSCORE,27\n")
    found = read(path).rows[0]
    assert (found.subject_id, found.session_id, found.mmse) == ("099_S_0002", session, 27)


def test_rows_of_adnimerge2_do_not_come_and_go_with_the_answers(write):
    path = write("ADQS.csv", ADQS)
    blanked = Alteration()
    table = read_tables((path,), TableOptions(), altered=blanked)
    assert [visit.visit_date for visit in table.rows] == [visit.visit_date for visit in read(path).rows]
    assert all(visit.mmse is None for visit in table.rows)
    assert "PARAMCD" not in blanked.columns
    assert "AVAL" in blanked.columns


def test_two_values_of_one_parameter_at_one_visit_are_refused(write):
    twice = ADQS + "ADNI,ADNI-099-00002,74.3,Male,CN,2005-09-08,BASELINE,Baseline,2005-09-08,MMSCORE,MMSE,20,Y\n"
    with pytest.raises(TableError) as caught:
        read(write("ADQS.csv", twice))
    assert "lines 2 and 7" in caught.value.problem


# ----------------------------------------------------------------------------------------------- NACC

UDS = (
    "NACCID,NACCADC,PACKET,VISITMO,VISITDAY,VISITYR,NACCVNUM,SEX,EDUC,NACCAGE,NACCMMSE,CDRGLOB,NACCUDSD,NACCALZD,NACCNE4S\n"
    "NACC900001,99,I,5,12,2015,1,1,16,71,29,0,1,8,0\n"
    "NACC900001,99,F,5,20,2016,2,1,16,72,88,0.5,3,1,0\n"
    "NACC900002,99,I,6,2,2015,1,2,99,80,95,1,4,1,9\n"
    "NACC900003,99,I,6,2,2015,1,2,12,81,-4,1,4,0,1\n"
    "NACC900004,99,I,99,2,2015,1,2,12,81,20,0.5,2,0,1\n"
)


def test_nacc_uds(write):
    rows = read(write("uds.csv", UDS)).rows
    assert [(v.subject_id, v.session_id, v.sex, v.education_years, v.mmse, v.diagnosis, v.apoe4_count) for v in rows] == [
        ("NACC900001", "1", "M", 16, 29, Diagnosis.CN, 0), ("NACC900001", "2", "M", 16, None, Diagnosis.MCI, 0),
        ("NACC900002", "1", "F", None, None, Diagnosis.AD, None), ("NACC900003", "1", "F", 12, None, None, 1),
        ("NACC900004", "1", "F", 12, 20, None, 1),
    ]  # fmt: skip
    assert (rows[0].visit_date, rows[4].visit_date) == ("2015-05-12", None)


def test_naccs_dementia_without_a_cause_is_no_class(write):
    path = write("uds.csv", "NACCID,NACCVNUM,NACCUDSD\nNACC900001,1,4\nNACC900002,1,1\n")
    assert [visit.diagnosis for visit in read(path).rows] == [None, Diagnosis.CN]


def test_naccs_mri_tables_join_the_visits_by_date_in_cubic_centimetres(write):
    scan = write(
        "scan.csv",
        "NACCID,SCANDT,CEREBRUMTCV,HIPPOCAMPUS\nNACC900001,2015-06-01,1402.5,6.61\nNACC900002,2015-06-20,9999.999,88.888\n",
    )
    mixed = write(
        "mri.csv",
        "NACCID,MRIYR,MRIMO,MRIDY,NACCICV,NACCBRNV,LHIPPO,RHIPPO,LENT,RENT\n"
        "NACC900001,2015,6,1,1402.5,1100.2,3.21,3.4,1.5,1.25\nNACC900002,2015,6,20,8888.888,9999.999,8.8888,3.1,8.888,1.2\n",
    )
    first, _, second, *_ = read(write("uds.csv", UDS), scan).rows
    assert (first.icv_mm3, first.hippocampus_mm3, first.volumes_source) == (1402500, 6610, "UC Davis (NACC)")
    assert (second.icv_mm3, second.hippocampus_mm3, second.volumes_source) == (None, None, None)
    first, second = read(mixed).rows
    assert (first.hippocampus_left_mm3, first.whole_brain_mm3, first.entorhinal_mm3) == (3210, 1100200, 2750)
    assert (second.icv_mm3, second.hippocampus_left_mm3, second.hippocampus_right_mm3, second.entorhinal_mm3) == (
        None,
        None,
        3100,
        None,
    )


# ----------------------------------------------------------------------------------------------- BIDS by clinica


def sessions(write, subject: str, text: str) -> None:
    write(f"{subject}/{subject}_sessions.tsv", text, "\t")


def test_clinicas_adni(write, tmp_path):
    write("participants.tsv", "participant_id|alternative_id_1|sex|education_level|age_bl|diagnosis_sc|adni_rid|mmse_bl|apoe4|apoe_gen1|apoe_gen2\n"
          "sub-ADNI099S9902|099_S_9902|M|16|74.3|CN|9902|28|1.0|3.0|4.0\n", "\t")  # fmt: skip
    sessions(write, "sub-ADNI099S9902", "RID|session_id|examination_date|age|diagnosis|MMSE|cdr_global|adni_hippocampus_vol|adni_icv\n"
             "9902|ses-M000|2005-09-08|74.3|CN|28.0|0.0|8319.0|1984660.0\n9902|ses-M006|2006-03-06|74.8|MCI|27.0|0.5|n/a|n/a\n")  # fmt: skip
    table = read(tmp_path)
    first, second = table.rows
    assert (first.age_years, first.visit_date, first.education_years, first.apoe4_count) == (74.3, "2005-09-08", 16, 1)
    assert (first.hippocampus_mm3, first.icv_mm3, first.volumes_source) == (8319, 1984660, "FreeSurfer (UCSF)")
    assert (second.age_years, second.mmse, second.diagnosis, second.icv_mm3) == (74.8, 27, Diagnosis.MCI, None)
    assert not table.told


def test_clinicas_aibl(write, tmp_path):
    write(
        "participants.tsv",
        "participant_id|alternative_id_1|date_of_birth|sex|apoe_gen1|apoe_gen2\nsub-AIBL99|99|1934|M|3|4\n",
        "\t",
    )
    sessions(
        write,
        "sub-AIBL99",
        "session_id|examination_date|age|cdr_global|MMS|diagnosis\nses-M000|10/24/2007|73|0.0|29|CN\n",
    )
    visit = read(tmp_path).rows[0]
    assert (visit.visit_date, visit.age_years, visit.mmse, visit.apoe4_count) == ("2007-10-24", 73, 29, 1)


@pytest.fixture
def oasis_1(write, tmp_path):
    people = "".join(
        f"OAS1_990{n}_MR1|F|{n}.0|7{n}|AD|{cdr}|sub-OASIS1990{n}\n" for n, cdr in ((1, 0.0), (2, 0.5), (3, 1.0))
    )
    write(
        "participants.tsv",
        f"alternative_id_1|sex|education_level|age_bl|diagnosis_bl|cdr|participant_id\n{people}",
        "\t",
    )
    for n, cdr, diagnosis in ((1, 0.0, "CN"), (2, 0.5, "n/a"), (3, 1.0, "n/a")):
        sessions(write, f"sub-OASIS1990{n}", f"session_id|cdr_global|MMS|diagnosis\nses-M000|{cdr}|2{n}|{diagnosis}\n")
    return tmp_path


def test_clinicas_oasis_1_loses_diagnoses_and_that_is_told(oasis_1):
    table = read(oasis_1)
    assert [(v.age_years, v.mmse, v.education_years, v.diagnosis) for v in table.rows] == [
        (71, 21, None, Diagnosis.CN), (72, 22, None, None), (73, 23, None, None)
    ]  # fmt: skip
    assert "2 rows with a CDR above 0" in sentences(table)
    assert "--diagnosis-policy cdr" in sentences(table)
    assert "diagnosis_bl" not in sentences(table)
    by_policy = read(oasis_1, diagnosis_policy="cdr")
    assert [v.diagnosis for v in by_policy.rows] == [Diagnosis.CN, Diagnosis.MCI, Diagnosis.AD]


def test_clinicas_oasis_3_has_the_age_of_each_session(write, tmp_path):
    write("participants.tsv", "participant_id|age|sex|handedness|education|apoe\nsub-OAS39001|65.1|F|R|12|34\n", "\t")
    sessions(
        write,
        "sub-OAS39001",
        "session_id|Date|age|mmse|cdr|dx1|sumbox\nses-M006|d0129|65.5|28|0.0|x|0\nses-M024|d0800|67.3|27|0.5|x|1\n",
    )
    rows = read(tmp_path).rows
    assert [(v.age_years, v.education_years, v.cdr_global, v.apoe4_count) for v in rows] == [
        (65.5, 12, 0, 1),
        (67.3, 12, 0.5, 1),
    ]


def test_an_age_at_the_baseline_is_that_of_no_other_session(write, tmp_path):
    path = write("participants.tsv", "participant_id|sex|age_bl\nsub-ADNI099S9902|M|74.3\n", "\t")
    table = read(path)
    assert table.rows[0].age_years is None
    assert "--column age_years=age_bl" in sentences(table)
    sessions(write, "sub-ADNI099S9902", "session_id|MMS\nses-M000|28\nses-M012|27\n")
    assert [visit.age_years for visit in read(tmp_path).rows] == [74.3, None]


def test_a_dataset_of_many_subjects_has_as_many_tables(write, tmp_path):
    people = "".join(f"sub-{n:03}|F\n" for n in range(120))
    write("participants.tsv", f"participant_id|sex\n{people}", "\t")
    for n in range(120):
        sessions(write, f"sub-{n:03}", f"session_id|age\nses-1|{60 + n % 30}\n")
    table = read(tmp_path)
    assert len(table.rows) == 120
    assert set(table.dialects) == {"participants.tsv", "sub-*_sessions.tsv"}
    assert not table.told
