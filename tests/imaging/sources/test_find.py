"""Finding scans: every file once, ids that cannot leave the folder, choices that are said aloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adclip.errors import InputError, ScanError, TableError
from adclip.imaging.sources.files import check_scan, find_scans, read_volume


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_bids_dataset_gives_its_t1w_only(tmp_path: Path) -> None:
    anat = tmp_path / "sub-01" / "ses-A" / "anat"
    touch(
        anat / "sub-01_ses-A_T1w.nii.gz", anat / "sub-01_ses-A_T2w.nii.gz", anat / "sub-01_ses-A_desc-brain_mask.nii.gz"
    )
    touch(tmp_path / "derivatives" / "x" / "sub-01_T1w.nii.gz", tmp_path / "sub-02" / "anat" / "sub-02_T1w.nii")
    assert [(item.subject_id, item.session_id) for item in find_scans((tmp_path,))] == [("01", "A"), ("02", None)]


def test_a_plain_folder_leaves_masks_out(tmp_path: Path) -> None:
    touch(tmp_path / "IXI013-HH-1212_T1.nii.gz", tmp_path / "IXI013-HH-1212_T1_DLMUSE.nii.gz", tmp_path / "x_mask.nii")
    assert [item.subject_id for item in find_scans((tmp_path,))] == ["IXI013-HH-1212"]


def test_a_name_that_only_begins_like_a_map_is_a_scan(tmp_path: Path) -> None:
    scans = ("muse_01_T1.nii.gz", "label-study_007.nii", "swi.anna.T1.nii", "sub-muse.nii.gz", "SEG12.mgz")
    derived = ("a_T1_seg.nii.gz", "aparc+aseg.mgz", "b-mask.nii", "c_T1.synthseg.nii.gz", "d_FLAIR.nii", "wmparc.mgz")
    touch(*(tmp_path / name for name in (*scans, *derived)))
    items = find_scans((tmp_path,))
    assert sorted(item.path.name for item in items) == sorted(scans)
    (note,) = items[0].notes
    assert "left out 6 files named as masks, maps or other contrasts: " in note and "and 3 more" in note
    assert not any(item.notes for item in items[1:])


def test_a_folder_of_nothing_but_masks_says_what_was_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "a_mask.nii")
    with pytest.raises(ScanError, match=r"no scans in this folder; left out 1 file named as masks.*: a_mask\.nii"):
        find_scans((tmp_path,))


def test_the_folder_of_one_bids_subject_gives_its_t1w_only(tmp_path: Path) -> None:
    for session in ("1", "2"):
        anat = tmp_path / "sub-01" / f"ses-{session}" / "anat"
        touch(*(anat / f"sub-01_ses-{session}_{name}.nii.gz" for name in ("T1w", "T2starw", "run-1_MEGRE", "UNIT1")))
    for given in (tmp_path / "sub-01", tmp_path / "sub-01" / "ses-1", tmp_path):
        items = find_scans((given,))
        assert {item.path.name.rpartition("_")[2] for item in items} == {"T1w.nii.gz"}, given
        assert items[0].notes == ()
    touch(tmp_path / "sub-01" / "anna.nii")
    assert [item.subject_id for item in find_scans((tmp_path / "sub-01",))] == ["anna", "01", "01"]


def test_files_without_bids_names_in_a_bids_dataset_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "sub-01" / "anat" / "sub-01_T1w.nii.gz", tmp_path / "sub-02" / "anat" / "T1.nii.gz")
    (item,) = find_scans((tmp_path,))
    assert item.notes == ("left out 1 file without BIDS names: sub-02/anat/T1.nii.gz",)


def test_equal_file_names_take_their_folder(tmp_path: Path) -> None:
    touch(tmp_path / "anna" / "T1.nii.gz", tmp_path / "bert" / "T1.nii.gz")
    assert [item.subject_id for item in find_scans((tmp_path,))] == ["anna-T1", "bert-T1"]


def test_two_named_files_of_one_session_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "sub-01_run-1_T1w.nii.gz", tmp_path / "sub-01_run-2_T1w.nii.gz")
    with pytest.raises(InputError, match="so is"):
        find_scans(tuple(sorted(tmp_path.iterdir())))


def test_a_table_names_scans_beside_it(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "\ufeffSubject_ID;scan;session_id\nsub-7;a b.nii.gz;ses-1\n8;;1\n", encoding="utf-8"
    )
    (item,) = find_scans((tmp_path / "list.csv",))
    assert (item.path, item.subject_id, item.session_id) == (tmp_path / "a b.nii.gz", "7", "1")
    (tmp_path / "bad.csv").write_text("file\nx.nii\n")
    with pytest.raises(TableError, match="no column `scan`"):
        find_scans((tmp_path / "bad.csv",))


def test_a_table_that_names_one_scan_for_two_people_is_refused_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('scan,subject_id,note\na.nii,1,"two\nlines"\nb.nii,2,\n./a.nii,3,\n')
    with pytest.raises(TableError, match=r"list\.csv lines 3 and 5: one scan under two subjects"):
        find_scans((tmp_path / "list.csv",))
    (tmp_path / "visits.tsv").write_text("scan\tsession_id\na.nii\t1\na.nii\t2\n")
    with pytest.raises(TableError, match="lines 2 and 3"):
        find_scans((tmp_path / "visits.tsv",))
    (tmp_path / "same.csv").write_text("scan,subject_id\na.nii,1\na.nii,sub-1\n")
    touch(tmp_path / "a.nii")
    for inputs in ((tmp_path / "same.csv",), (tmp_path / "a.nii", tmp_path / "same.csv")):
        assert [item.subject_id for item in find_scans(inputs)] == ["1"], "the table says who it is"


def test_ids_that_no_file_name_may_hold_are_changed_aloud(tmp_path: Path) -> None:
    touch(tmp_path / "sub-01+x_T1w.nii.gz", tmp_path / "sub-02_T1w.nii.gz", tmp_path / "my scan.nii")
    (tmp_path / "list.csv").write_text("scan,subject_id\nz.nii,Müller\n")
    items = {item.subject_id: item for item in find_scans((tmp_path, tmp_path / "list.csv"))}
    assert sorted(items) == ["01-x", "02", "M-ller", "my-scan"]
    assert items["01-x"].notes[0].startswith("`01+x` goes by `01-x` here")
    assert "`Müller` goes by `M-ller`" in items["M-ller"].notes[0]
    assert items["02"].notes == items["my-scan"].notes == ()


def test_a_path_that_no_file_can_have_is_one_failure_not_the_end(tmp_path: Path) -> None:
    touch(tmp_path / "a.nii")
    (tmp_path / "list.csv").write_text(f"scan\na.nii\n{'x' * 300}.nii\n{'d' * 300}/b.nii\nc\0.nii\n")
    items = find_scans((tmp_path / "list.csv", Path("y" * 300)))
    assert len(items) == 5
    for item in items[1:]:
        with pytest.raises(ScanError, match=r"cannot be looked at|no such file") as caught:
            check_scan(item.path)
        assert len(caught.value.problem) < 200 and caught.value.remedy


def test_a_file_in_a_closed_folder_is_one_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "closed" / "a.nii")
    real = Path.stat

    def stat(self: Path, **options: bool) -> object:
        if self.parent.name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(self, **options)

    monkeypatch.setattr(Path, "stat", stat)
    (item,) = find_scans((tmp_path / "closed" / "a.nii",))
    with pytest.raises(ScanError, match="may not be read"):
        check_scan(item.path)


def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "huge.csv").write_text(f"scan,note\na.nii,\nb.nii,{'x' * 140_000}\n")
    with pytest.raises(TableError, match=r"huge\.csv line 3: a cell is longer than 131,072 characters"):
        find_scans((tmp_path / "huge.csv",))
    (tmp_path / "latin.csv").write_bytes("scan\nMüller.nii\n".encode("latin-1"))
    with pytest.raises(TableError, match="not UTF-8"):
        find_scans((tmp_path / "latin.csv",))
    with pytest.raises(TableError, match="no such table"):
        find_scans((tmp_path / "absent.csv",))
    with pytest.raises(TableError, match="no file can have this name"):
        find_scans((tmp_path / f"{'x' * 300}.csv",))

    def read_bytes(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(TableError, match="may not be read"):
        find_scans((tmp_path / "latin.csv",))


def test_odd_names_become_ids_that_cannot_leave_the_folder(tmp_path: Path) -> None:
    (item,) = find_scans((tmp_path / "..my scan (1)/..?.nii.gz",))
    assert set(item.subject_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not item.subject_id.startswith(".")
    with pytest.raises(ScanError, match="no scans in this folder"):
        empty = tmp_path / "empty"
        empty.mkdir()
        find_scans((empty,))


def test_of_several_runs_one_is_chosen_aloud(tmp_path: Path) -> None:
    anat = tmp_path / "sub-01" / "anat"
    for name in ("run-10", "run-2", "rec-norm_run-1", "ce-gad", "acq-a_run-1"):
        touch(anat / f"sub-01_{name}_T1w.nii.gz")
    touch(tmp_path / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    first, second = find_scans((tmp_path,))
    assert first.path.name == "sub-01_run-2_T1w.nii.gz"
    assert first.flags == ("run_chosen",)
    assert "5 T1w files" in first.notes[0]
    assert first.path.name in first.notes[0]
    assert (second.flags, second.notes) == ((), ())


def test_the_same_subject_of_two_sites_is_not_a_run(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "sub-01_T1w.nii.gz", tmp_path / "b" / "sub-01_T1w.nii.gz")
    with pytest.raises(InputError, match="so is"):
        find_scans((tmp_path,))


def test_a_pair_counts_once_under_either_name(tmp_path: Path) -> None:
    touch(tmp_path / "a.hdr", tmp_path / "a.img", tmp_path / "b.mgz", tmp_path / "C.HDR", tmp_path / "C.IMG")
    assert [item.path.name for item in find_scans((tmp_path,))] == ["C.HDR", "a.hdr", "b.mgz"]
    assert len(find_scans((tmp_path / "a.img", tmp_path / "a.hdr", tmp_path))) == 3


def test_a_freesurfer_subject_gives_its_head_and_its_own_name(tmp_path: Path) -> None:
    for who in ("anna", "sub-02_ses-A", "fsaverage"):
        touch(*(tmp_path / who / "mri" / f"{name}.mgz" for name in ("orig", "T1", "aseg", "brainmask")))
    touch(tmp_path / "carl" / "mri" / "T1.mgz")
    items = find_scans((tmp_path,))
    assert [(item.subject_id, item.session_id, item.path.name) for item in items] == [
        ("anna", None, "orig.mgz"), ("carl", None, "T1.mgz"), ("02", "A", "orig.mgz")
    ]  # fmt: skip
    assert "normalised" in items[1].notes[0]
    for named in (tmp_path / "anna", tmp_path / "anna" / "mri", tmp_path / "anna" / "mri" / "orig.mgz"):
        assert [item.subject_id for item in find_scans((named,))] == ["anna"]


def test_a_folder_of_dicom_files_is_one_scan_named_like_the_folder(tmp_path: Path) -> None:
    magic = b"\0" * 128 + b"DICM"
    for folder in ("anna/mprage", "bert/mprage", "carl"):
        touch(tmp_path / folder / "IM1", tmp_path / folder / "notes.txt")
        (tmp_path / folder / "IM1").write_bytes(magic)
    touch(tmp_path / "sub-07" / "ses-2" / "dicom" / "1.dcm", tmp_path / "text" / "README")
    items = find_scans((tmp_path,))
    assert [(item.subject_id, item.session_id) for item in items] == [
        ("anna-mprage", None), ("bert-mprage", None), ("carl", None), ("07", "2")
    ]  # fmt: skip
    assert [item.path for item in find_scans((tmp_path / "carl",))] == [tmp_path / "carl"]


def test_circles_of_links_end_and_links_to_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "a.nii")
    study = tmp_path / "study"
    touch(study / "b.nii")
    (study / "linked").symlink_to(tmp_path / "elsewhere")
    (study / "up").symlink_to(tmp_path)
    (study / "self.nii").symlink_to(study / "self.nii")
    items = find_scans((study,))
    assert [item.subject_id for item in items] == ["b", "a", "self"]
    with pytest.raises(ScanError, match="no such file"):
        read_volume(items[2].path)


def test_an_unreadable_subfolder_is_one_failure_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.nii", tmp_path / "closed" / "b.nii")
    real = Path.iterdir

    def iterdir(self: Path) -> Iterator[Path]:
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    items = find_scans((tmp_path,))
    assert [item.subject_id for item in items] == ["a", "closed"]
    with pytest.raises(ScanError, match="may not be read"):
        read_volume(items[1].path)
    with pytest.raises(ScanError, match="may not be read"):
        find_scans((tmp_path / "closed",))


def test_scans_of_a_download_tree_keep_whose_they_are_and_of_which_day(tmp_path: Path) -> None:
    tree = tmp_path / "ADNI" / "011_S_0002" / "MPRAGE"
    files = (
        "2005-08-26_06_36_14.0/S1/ADNI_011_S_0002_MR_MPRAGE_br_raw_2007_S1_I7128.nii",
        "2006-03-20_09_00_00.0/I9/image.nii",
    )
    for file in files:
        (tree / file).parent.mkdir(parents=True)
        (tree / file).write_bytes(b"x")
    dicom = tree / "2007-01-02_03_04_05.0" / "I77"
    dicom.mkdir(parents=True)
    (dicom / "a.dcm").write_bytes(b"x")
    assert sorted((item.subject_id, item.session_id) for item in find_scans((tmp_path / "ADNI",))) == [
        ("011_S_0002", "2005-08-26_I7128"), ("011_S_0002", "2006-03-20_I9"), ("011_S_0002", "2007-01-02_I77"),
    ]  # fmt: skip


def test_two_images_in_one_folder_of_a_download_tree_are_two_scans(tmp_path: Path) -> None:
    folder = tmp_path / "ADNI" / "011_S_0002" / "MPRAGE" / "2005-08-26_06_36_14.0" / "S1"
    folder.mkdir(parents=True)
    for image in ("I1", "I2"):
        (folder / f"ADNI_011_S_0002_MR_MPRAGE_{image}.nii").write_bytes(b"x")
    items = find_scans((tmp_path,))
    assert {item.subject_id for item in items} == {"011_S_0002"} and len({item.session_id for item in items}) == 2


def test_a_folder_called_after_a_moment_is_no_download_tree(tmp_path: Path) -> None:
    backup = tmp_path / "home" / "alice" / "scans" / "2020-01-01_12_00_00"
    for person in ("anna", "bert"):
        (backup / person).mkdir(parents=True)
        (backup / person / "T1.nii").write_bytes(b"x")
    (backup / "carl.nii").write_bytes(b"x")
    assert sorted(item.subject_id for item in find_scans((backup,))) == ["anna-T1", "bert-T1", "carl"]
