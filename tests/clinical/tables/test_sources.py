"""Folders of tables: BIDS datasets, studies' extracts, FreeSurfer subjects."""

from __future__ import annotations

from pathlib import Path

import pytest

from adclip.clinical.tables.table import read_tables
from adclip.errors import TableError


def bids(folder: Path) -> Path:
    (folder / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t70\tF\nsub-02\t75\tM\n")
    for subject in ("01", "02"):
        (folder / f"sub-{subject}").mkdir()
        (folder / f"sub-{subject}" / f"sub-{subject}_sessions.tsv").write_text(
            f"session_id\tacq_time\nses-a\t2010-0{subject[1]}-03T10:00:00\nses-b\t2011-01-03T10:00:00\n"
        )
    (folder / "phenotype").mkdir()
    (folder / "phenotype" / "tests.tsv").write_text(
        "participant_id\tsession_id\tmmse\nsub-01\tses-a\t29\nsub-02\tses-b\t21\n"
    )
    return folder


def test_a_bids_dataset_is_one_table_of_visits(tmp_path: Path):
    (tmp_path / "participants.json").write_text('{"age": {"Units": "years"}}')
    with pytest.raises(TableError, match="`age_years` of a subject with 2 visits"):
        read_tables((bids(tmp_path),))  # of which visit is the age?
    (tmp_path / "participants.tsv").write_text("participant_id\tsex\nsub-01\tF\nsub-02\tM\n")
    found = [(v.subject_id, v.session_id, v.visit_date, v.sex, v.mmse) for v in read_tables((tmp_path,)).rows]
    assert found == [
        ("01", "a", "2010-01-03", "F", 29),
        ("01", "b", "2011-01-03", "F", None),
        ("02", "a", "2010-02-03", "M", None),
        ("02", "b", "2011-01-03", "M", 21),
    ]


def test_freesurfer_subjects_of_a_folder(tmp_path: Path):
    for name in ("sub-01_ses-a", "sub-02"):
        stats = tmp_path / name / "stats"
        stats.mkdir(parents=True)
        (stats / "aseg.stats").write_text(
            "# subjectname whatever\n# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n"
            "1 17 4000 4000.0 Left-Hippocampus\n2 53 4000 4100.0 Right-Hippocampus\n"
        )
    found = [(v.subject_id, v.session_id, v.hippocampus_mm3, v.volumes_source) for v in read_tables((tmp_path,)).rows]
    assert found == [("01", "a", 8100, "FreeSurfer"), ("02", None, 8100, "FreeSurfer")]


def test_tables_of_no_interest_in_an_extract_are_passed_over_and_damaged_ones_are_not(tmp_path: Path):
    (tmp_path / "a.csv").write_text("subject_id,mmse\na,29\n")
    (tmp_path / "b.csv").write_text("shoe,hat\n43,58\n")
    assert len(read_tables((tmp_path,)).rows) == 1
    (tmp_path / "c.csv").write_text("subject_id,age_years\na,old\n")
    with pytest.raises(TableError, match=r"c\.csv line 2"):
        read_tables((tmp_path,))


@pytest.mark.parametrize("text", [None, "shoe\n43\n"])
def test_a_folder_without_any_known_table_is_told(tmp_path: Path, text: str | None):
    if text:
        (tmp_path / "b.csv").write_text(text)
    with pytest.raises(TableError) as caught:
        read_tables((tmp_path,))
    assert caught.value.remedy
