"""UK Biobank's tables of fields, in the forms of its three ways to deliver them."""

from __future__ import annotations

import pytest

from adclip.clinical.dialects import study_key
from adclip.clinical.dialects.ukbiobank import SOURCE
from adclip.clinical.settings import TableOptions
from adclip.clinical.tables.table import Table, read_tables
from adclip.errors import TableError
from adclip.prediction.jobs import find_jobs

FORMS = {
    "tabular": "eid {0}-{1}.0",
    "R": "f.eid f.{0}.{1}.0",
    "platform": "eid p{0}_i{1}",
    "platform with its entity": "participant.eid participant.p{0}_i{1}",
}


def read(path, columns: tuple[str, ...] = ()) -> Table:
    return read_tables((path,), TableOptions(columns=columns))


def table(form: str, fields: list[tuple[int, int]], *rows: str) -> str:
    """Return a CSV with a column for each field and instance; the platform writes no instance for the sex."""
    eid, pattern = FORMS[form].split()
    names = [pattern.format(*field).replace("p31_i0", "p31") for field in fields]
    return "\n".join([",".join([eid, *names]), *rows]) + "\n"


@pytest.mark.parametrize("form", FORMS)
def test_sex_age_day_and_hippocampi_of_the_visit_of_imaging(tmp_path, form):
    fields = [(31, 0), (21003, 0), (21003, 2), (53, 2), (25019, 2), (25020, 2), (54, 2), (21022, 0)]
    path = tmp_path / "ukb.csv"
    path.write_text(table(form, fields, "1234567,0,55,64,2016-05-01,3800,3900,11025,55", "7654321,1,50,,,,,11025,50"))
    read_table = read(path)
    first, second = read_table.rows
    assert (first.subject_id, first.session_id, first.sex, first.age_years, first.visit_date) == (
        "1234567",
        "2",
        "F",
        64,
        "2016-05-01",
    )
    assert (first.hippocampus_left_mm3, first.hippocampus_right_mm3, first.volumes_source) == (3800, 3900, SOURCE)
    assert (second.subject_id, second.session_id, second.sex, second.age_years) == ("7654321", None, "M", None)
    assert read_table.dialects == {"ukb.csv": "UK Biobank"}


def test_several_instances_are_several_visits_and_those_without_mri_are_none(tmp_path):
    path = tmp_path / "ukb.csv"
    fields = [(31, 0), (21003, 0), (21003, 1), (21003, 2), (21003, 3), (25019, 2), (25019, 3)]
    path.write_text(table("tabular", fields, "1234567,1,55,59,64,67,3800,3700", "7654321,0,50,,62,,3600,"))
    assert [(v.subject_id, v.session_id, v.age_years, v.sex, v.hippocampus_left_mm3) for v in read(path).rows] == [
        ("1234567", "2", 64, "M", 3800), ("1234567", "3", 67, "M", 3700), ("7654321", "2", 62, "F", 3600),
    ]  # fmt: skip


def test_an_age_at_recruitment_is_no_age_at_a_scan(tmp_path):
    path = tmp_path / "ukb.csv"
    path.write_text(table("tabular", [(31, 0), (21003, 0), (21022, 0)], "1234567,1,55,55"))
    found = read(path)
    assert found.rows[0].age_years is None
    assert {m.source: "years before any scan" in m.why for m in found.meanings if m.source.startswith("21")} == {
        "21003-0.0": True,
        "21022-0.0": True,
    }


def test_an_error_names_the_column_and_the_line(tmp_path):
    path = tmp_path / "ukb.csv"
    path.write_text(table("tabular", [(31, 0), (21003, 2), (21003, 3)], "1234567,1,64,67", "7654321,5,62,"))
    with pytest.raises(TableError, match=r"line 3, column `31-0\.0`"):
        read(path)


def test_columns_that_the_user_maps_are_his(tmp_path):
    path = tmp_path / "ukb.csv"
    path.write_text(table("tabular", [(31, 0), (21003, 0), (21003, 2)], "1234567,1,55,64"))
    assert read(path, ("subject_id=eid", "sex=31-0.0:0=F,1=M")).rows[0].age_years == 64
    mapped = read(path, ("subject_id=eid", "age_years=21003-0.0", "sex=31-0.0:0=F,1=M")).rows[0]
    assert (mapped.age_years, mapped.sex, mapped.session_id) == (55, "M", None)


def test_a_bulk_file_of_a_t1_names_person_and_instance():
    assert study_key("1234567_20252_3_0") == ("UK Biobank", "1234567", "3")
    assert study_key("1234567_20227_2_0") is None  # resting fMRI


@pytest.mark.parametrize("unknown", ["NA", "n/a", " nan ", ""])
def test_cells_that_say_nothing_make_no_visit(tmp_path, unknown):
    path = tmp_path / "ukb.csv"
    fields = [(31, 0), (21003, 2), (21003, 3), (53, 3)]
    nothing = ",".join([unknown] * 2)
    path.write_text(table("R", fields, f"1234567,1,64,{nothing}", f"7654321,0,{unknown},{nothing}"))
    assert [(v.subject_id, v.session_id, v.age_years) for v in read(path).rows] == [
        ("1234567", "2", 64), ("7654321", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["{}.nii.gz", "{}.nii", "{}_T1w.nii.gz", "sub-{}_T1w.nii.gz", "{}/T1/T1.nii.gz"],
)
def test_a_bulk_file_gets_the_row_of_its_person_and_instance(tmp_path, name):
    path = tmp_path / "ukb.csv"
    fields = [(31, 0), (21003, 2), (21003, 3)]
    path.write_text(table("tabular", fields, "7654321,0,50,53", "1234567,1,64,67"))
    scan = tmp_path / "scans" / name.format("1234567_20252_3_0")
    scan.parent.mkdir(parents=True)
    scan.write_bytes(b"")
    (job,) = find_jobs((scan,), (path,), TableOptions(), None)
    assert job.visit is not None
    assert (job.visit.subject_id, job.visit.session_id, job.visit.age_years) == ("1234567", "3", 67)
