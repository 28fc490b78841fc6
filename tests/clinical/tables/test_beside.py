"""Tables that lie beside the scans are told, with an option that runs, and never read unasked."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from adclip.clinical.settings import TableOptions
from adclip.clinical.tables import beside, plain_words
from adclip.prediction.jobs import find_jobs
from adclip.runtime.events import Warned

PEOPLE = "participant_id\tage\tsex\nsub-01\t71\tF\nsub-02\t80\tM\n"
ADNI = "RID,PTID,VISCODE,AGE,PTGENDER\n1,011_S_0001,bl,71,Male\n"
LIST = "scan,subject_id,age_years\nsub-01_T1w.nii.gz,01,71\n"


def lay(folder: Path, **files: str) -> Path:
    """Write a scan of two people and tables; `__` in a name is a folder, the last `_` the point."""
    for number in ("01", "02"):
        scan = folder / f"sub-{number}" / "anat" / f"sub-{number}_T1w.nii.gz"
        scan.parent.mkdir(parents=True)
        scan.write_bytes(b"")
    for name, text in files.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text)
    return folder


def told(*inputs: Path) -> list[Warned]:
    events: list[Warned] = []
    jobs = find_jobs(inputs, (), TableOptions(), None, events.append)
    assert all(job.visit is None for job in jobs)
    return events


def test_the_option_that_is_told_reads_the_table_of_the_dataset(tmp_path):
    dataset = lay(tmp_path / "our study", participants_tsv=PEOPLE)
    (event,) = told(dataset)
    assert event.item == str(dataset)
    assert event.text.startswith("participants.tsv lies here and is not used")
    option, value = shlex.split(event.text.split("`")[1])
    assert option == "--meta"
    jobs = find_jobs((dataset,), (Path(value),), TableOptions(), None)
    assert [job.visit and job.visit.age_years for job in jobs] == [71, 80]


def test_one_scan_of_a_dataset_and_both_scans_are_told_once(tmp_path):
    dataset = lay(tmp_path / "bids", participants_tsv=PEOPLE)
    scans = sorted(dataset.glob("sub-*/anat/*.nii.gz"))
    assert [event.item for event in told(*scans)] == [str(dataset)]


def test_a_studys_table_in_the_folder_of_its_scans_is_told(tmp_path):
    folder = lay(tmp_path / "ADNI", ADNIMERGE_csv=ADNI, notes_csv="shoe,hat\n43,58\n")
    (event,) = told(folder)
    assert f"ADNIMERGE.csv lies here and is not used; to use it, add `--meta {folder / 'ADNIMERGE.csv'}`" in event.text


def test_a_list_of_scans_that_knows_ages_is_told(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "sub-01_T1w.nii.gz").write_bytes(b"")
    (folder / "list.csv").write_text(LIST)
    (event,) = told(folder / "list.csv")
    assert f"--meta {folder / 'list.csv'}" in event.text


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"participants_tsv": "participant_id\tgroup\nsub-01\tx\n"},  # nothing that a report could say
        {"status_tsv": "scan\tsubject_id\tstatus\nsub-01_T1w.nii.gz\t01\tdone\n"},  # adclip's own
        {"damaged_csv": "subject_id,age_years"},
        {"long_csv": f"one,two\n{'x' * 140_000},2\n"},  # a cell beyond what csv reads
        {"wide_csv": f"{'x' * 140_000},two\n1,2\n"},
        {"commas_csv": ",,\n,,\n"},
        {"said_csv": "sep=;\n"},
    ],
)
def test_nothing_is_told_where_no_table_knows_of_people(tmp_path, files):
    assert told(lay(tmp_path / "x", **files)) == []


def test_nothing_is_told_where_a_table_is_given(tmp_path):
    dataset = lay(tmp_path / "bids", participants_tsv=PEOPLE)
    events: list[Warned] = []
    find_jobs((dataset,), (dataset,), TableOptions(), None, events.append)
    assert not [event for event in events if "not used" in event.text]


def test_plain_words_are_told_by_their_names_and_their_rows_are_not_read(tmp_path, monkeypatch):
    folder = lay(tmp_path / "x", people_csv="PTID,Age\n011_S_0001,71\n011_S_0002,eighty\n")
    asked: list[Path] = []
    read = plain_words.read_records
    monkeypatch.setattr(plain_words, "read_records", lambda path, names: asked.append(path) or read(path, names))
    (event,) = told(folder)
    assert f"--meta {folder / 'people.csv'}" in event.text
    assert asked == []


def test_a_table_too_large_for_a_glance_is_not_opened(tmp_path, monkeypatch):
    folder = lay(tmp_path / "x", ADNIMERGE_csv=ADNI)
    monkeypatch.setattr(beside, "_LARGEST", len(ADNI) - 1)
    assert told(folder) == []
    monkeypatch.setattr(beside, "_LARGEST", len(ADNI))
    assert len(told(folder)) == 1
