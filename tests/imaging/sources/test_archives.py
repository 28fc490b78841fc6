"""Whose a scan is in the download trees of studies, and in trees that the user describes."""

from __future__ import annotations

from pathlib import Path

import pytest

from adclip.clinical.tables.people import count_people, person_of
from adclip.errors import ConfigError, InputError
from adclip.imaging.sources.find import find_scans


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def ids(root: Path, pattern: str | None = None) -> list[tuple[str, str | None]]:
    return sorted((item.subject_id, item.session_id) for item in find_scans((root,), pattern))


ADNI = "ADNI/002_S_0295/MPRAGE/{}_08_20_30.0/{}/ADNI_002_S_0295_MR_MPRAGE_br_raw_20060418193713091_1_S13408_{}.nii.gz"


@pytest.mark.parametrize("whole", [True, False], ids=["the whole tree", "one file"])
def test_adnis_tree_gives_the_person_the_day_and_the_image(tmp_path: Path, whole: bool) -> None:
    names = [ADNI.format(day, image, image) for day, image in (("2006-04-18", "I13722"), ("2007-05-25", "I62377"))]
    touch(tmp_path, *names)
    items = find_scans((tmp_path,)) if whole else [find_scans((tmp_path / name,))[0] for name in names]
    assert [(item.subject_id, item.session_id) for item in items] == [
        ("002_S_0295", "2006-04-18_I13722"), ("002_S_0295", "2007-05-25_I62377"),
    ]  # fmt: skip


def test_files_of_adni_without_their_folders_are_of_one_person(tmp_path: Path) -> None:
    stem = "ADNI_002_S_0295_MR_MPRAGE_br_raw_{}193713091_1_S13408_I{}.nii.gz"
    touch(tmp_path, stem.format("20060418", 13722), stem.format("20070525", 62377))
    assert ids(tmp_path) == [("002_S_0295", "I13722"), ("002_S_0295", "I62377")]


def test_two_images_of_one_day_and_one_image_in_two_trees_stay_apart(tmp_path: Path) -> None:
    touch(tmp_path, ADNI.format("2006-04-18", "I1", "I1"), ADNI.format("2006-04-18", "I2", "I2"))
    assert ids(tmp_path) == [("002_S_0295", "2006-04-18_I1"), ("002_S_0295", "2006-04-18_I2")]
    touch(tmp_path, "again/" + ADNI.format("2006-04-18", "I1", "I1"))
    assert len(set(ids(tmp_path))) == 3 and {subject for subject, _ in ids(tmp_path)} == {"002_S_0295"}


def test_aibls_and_other_projects_numbers_are_not_one_person(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "AIBL/7/MPRAGE_ADNI_confirmed/2009-03-02_11_35_25.0/I123/AIBL_7_MR_MPRAGE_x_I123.nii",
        "AIBL/7/MPRAGE_ADNI_confirmed/2010-09-02_11_35_25.0/I124/AIBL_7_MR_MPRAGE_x_I124.nii",
        "PPMI/7/MPRAGE/2010-09-02_11_35_25.0/I125/PPMI_7_MR_MPRAGE_x_I125.nii",
    )
    found = ids(tmp_path)
    assert found == [("AIBL_7", "2009-03-02_I123"), ("AIBL_7", "2010-09-02_I124"), ("PPMI_7", "2010-09-02_I125")]
    assert count_people(subject for subject, _ in found) == 2


@pytest.mark.parametrize(
    "name",
    ["anat2/sub-OAS30001_ses-d0129_run-01_T1w.nii.gz", "anat2/NIFTI/sub-OAS30001_sess-d0129_T1w.nii.gz", "T1w.nii.gz"],
)
def test_oasis_3_gives_person_and_day_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"OAS30001_MR_d0129/{name}", f"OAS30001_MR_d0757/{name.replace('d0129', 'd0757')}")
    assert ids(tmp_path) == [("OAS30001", "d0129"), ("OAS30001", "d0757")]


def test_ixis_other_contrasts_are_no_further_people(tmp_path: Path) -> None:
    contrasts = [f"IXI012-HH-1211-{contrast}.nii.gz" for contrast in ("T1", "T2", "PD", "MRA", "DTI-00")]
    touch(tmp_path, *contrasts, "IXI002-Guys-0828-T1.nii.gz")
    items = find_scans((tmp_path,))
    assert [item.subject_id for item in items] == ["IXI002-Guys-0828", "IXI012-HH-1211"]
    assert "left out 4 files" in items[0].notes[0]
    assert person_of("IXI012-HH-1211") == person_of("IXI012") != person_of("IXI002-Guys-0828")


def test_adnis_ids_in_bids_names_do_not_end_at_the_site(tmp_path: Path) -> None:
    touch(tmp_path, "a/sub-002_S_0413_ses-m06_T1w.nii.gz", "a/sub-002_S_0295_ses-m06_T1w.nii.gz")
    assert ids(tmp_path) == [("002_S_0295", "m06"), ("002_S_0413", "m06")]


# ----------------------------------------------------------------------------------------------- the user's own trees


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("{subject}/{date}_{image}/*", [("P01", "2019-05-02_b"), ("P01", "2020-01-31_a"), ("P02", "2020-01-31_a")]),
        ("{subject}/{session}/t1", [("P01", "20190502_b"), ("P01", "20200131_a"), ("P02", "20200131_a")]),
        ("site*/{subject}/{date}_*/t1.nii.gz", [("P01", "2019-05-02"), ("P01", "2020-01-31"), ("P02", "2020-01-31")]),
    ],
)
def test_a_pattern_names_the_scans_of_any_tree(tmp_path: Path, pattern: str, wanted: list[tuple[str, str]]) -> None:
    touch(
        tmp_path, "siteA/P01/20200131_a/t1.nii.gz", "siteA/P01/20190502_b/t1.nii.gz", "siteB/P02/20200131_a/t1.nii.gz"
    )
    assert ids(tmp_path, pattern) == wanted


def test_a_pattern_that_fits_nothing_is_refused_and_one_that_fits_some_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "P01/20200131/t1.nii.gz", "P02/20201331/t1.nii.gz")
    with pytest.raises(InputError, match=r"not made as `--name-pattern .* says, nor are the other 1"):
        find_scans((tmp_path,), "{subject}/x{session}/*")
    first, second = find_scans((tmp_path,), "{subject}/{date}/*")
    assert (first.subject_id, first.session_id, first.notes) == ("P01", "2020-01-31", ())
    assert "not made as --name-pattern says" in second.notes[0]  # there is no 13th month


@pytest.mark.parametrize("pattern", ["{session}/*", "{subject}/{subject}", "{person}/*", "*/t1"])
def test_a_pattern_that_says_nothing_or_too_much_is_refused(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "P01/t1.nii.gz")
    with pytest.raises(ConfigError, match="--name-pattern"):
        find_scans((tmp_path,), pattern)


def test_a_lists_ids_count_more_than_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "P01/1/t1.nii.gz")
    (tmp_path / "list.csv").write_text("scan,subject_id\nP01/1/t1.nii.gz,anna\n")
    assert ids(tmp_path / "list.csv", "{subject}/{session}/*") == [("anna", None)]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("002_S_0295/2006-04-18/T1.nii.gz", "002_S_0295/2007-05-25/T1.nii.gz", "002_S_0413/2006-05-02/T1.nii.gz"),
         [("002_S_0295", "2006-04-18"), ("002_S_0295", "2007-05-25"), ("002_S_0413", "2006-05-02")]),
        (("ADNI/002_S_0295/MPRAGE/2006-04-18_08_20_30.0/a.nii.gz",), [("002_S_0295", "2006-04-18")]),
        (("002_S_0295_bl.nii.gz", "002_S_0295_m06_T1.nii.gz"), [("002_S_0295", "bl"), ("002_S_0295", "m06")]),
        (("002_S_0295/m12/T1.nii.gz", "002_S_0413/bl/T1.nii.gz"), [("002_S_0295", "m12"), ("002_S_0413", "bl")]),
        (("002_S_0295/T1.nii.gz", "002_S_0413/T1.nii.gz"), [("002_S_0295", None), ("002_S_0413", None)]),
    ],
)  # fmt: skip
def test_a_folder_called_by_adnis_id_names_the_person(
    tmp_path: Path, names: tuple[str, ...], wanted: list[tuple[str, str]]
) -> None:
    touch(tmp_path, *names)
    assert ids(tmp_path) == wanted


def test_two_scans_below_adnis_id_stay_apart_and_one_person(tmp_path: Path) -> None:
    touch(tmp_path, "002_S_0295/one/T1.nii.gz", "002_S_0295/two/T1.nii.gz")
    found = ids(tmp_path)
    assert len(set(found)) == 2
    assert {subject for subject, _ in found} == {"002_S_0295"}


def test_of_oasis_3s_folders_for_each_scan_one_is_read_a_session(tmp_path: Path) -> None:
    stem = "sub-OAS30001_ses-d0129_run-0{}_T1w.nii.gz"
    touch(tmp_path, *(f"OAS30001_MR_d0129/anat{n + 1}/NIFTI/{stem.format(n)}" for n in (1, 2)))
    (item,) = find_scans((tmp_path,))
    assert (item.subject_id, item.session_id, len(item.others)) == ("OAS30001", "d0129", 1)
    assert any("2 T1w files" in note for note in item.notes)
