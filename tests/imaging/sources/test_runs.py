"""Several T1w of one session: the fullest and finest is read, the next where it is refused, and never an inversion image."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import texture

from adclip.domain import ScanItem
from adclip.errors import InputError, ScanError, TableError
from adclip.imaging.sources.files import read_volume
from adclip.imaging.sources.find import find_scans
from adclip.imaging.sources.in_turn import NEXT_RUN, try_in_turn

FULL, SLAB = (64, 76, 64), (64, 76, 28)
FINE, THICK = (3.0, 3.0, 3.0), (2.9, 2.9, 5.8)


def write(path: Path, shape: tuple[int, ...] = FULL, sizes: tuple[float, ...] = FINE, codes: str = "RAS") -> Path:
    """Write a textured box of (right-left, back-front, bottom-top) voxels, its middle at 0 mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    image = nib.Nifti1Image(texture(shape), affine)
    change = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes))
    nib.save(image.as_reoriented(change), path)
    return path


def chosen(folder: Path) -> ScanItem:
    (item,) = find_scans((folder,))
    return item


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
def test_a_full_head_comes_before_a_slab_whatever_their_names(codes: str, tmp_path: Path) -> None:
    anat = tmp_path / "sub-1" / "anat"
    write(anat / "sub-1_acq-a_T1w.nii.gz", SLAB, codes=codes)
    write(anat / "sub-1_run-1_T1w.nii.gz", (64, 30, 64), codes=codes)
    full = write(anat / "sub-1_run-2_T1w.nii.gz", codes=codes)
    item = chosen(tmp_path)
    assert item.path == full and item.flags == ("run_chosen",)
    assert "3 T1w files, reading sub-1_run-2_T1w.nii.gz (it covers 100% of a head, the next " in item.notes[0]


def test_fine_voxels_come_before_thick_slices_and_a_wide_field_is_no_merit(tmp_path: Path) -> None:
    anat = tmp_path / "sub-1" / "anat"
    write(anat / "sub-1_acq-a_T1w.nii.gz", (80, 90, 44), THICK)
    write(anat / "sub-1_acq-b_T1w.nii.gz", FULL, (3.5, 3.5, 3.5))
    fine = write(anat / "sub-1_acq-c_T1w.nii.gz")
    item = chosen(tmp_path)
    assert item.path == fine
    assert "its voxels are 3.0 x 3.0 x 3.0 mm, those of the next 3.5 x 3.5 x 3.5" in item.notes[0]


@pytest.mark.parametrize("below", ["anat{}", "anat{}/NIFTI", "scans/anat{}-T1w/resources/NIFTI/files"])
def test_oasis_3_has_a_folder_for_each_image_of_a_session(below: str, tmp_path: Path) -> None:
    day = tmp_path / "OAS30001_MR_d0129"
    slab = write(day / below.format(2) / "sub-OAS30001_ses-d0129_run-01_T1w.nii.gz", SLAB)
    full = write(day / below.format(3) / "sub-OAS30001_ses-d0129_run-02_T1w.nii.gz")
    write(tmp_path / "OAS30001_MR_d0757" / below.format(2) / "sub-OAS30001_ses-d0757_T1w.nii.gz")
    first, second = find_scans((tmp_path,))
    assert (first.path, first.others, first.session_id, second.session_id) == (full, (slab,), "d0129", "d0757")
    with pytest.raises(InputError, match="and so is"):
        find_scans((slab, full))  # named by the user: none is dropped


def test_equal_files_are_told_apart_by_their_run(tmp_path: Path) -> None:
    for run in (10, 2):
        write(tmp_path / "sub-1" / "anat" / f"sub-1_run-{run}_T1w.nii.gz")
    item = chosen(tmp_path)
    assert item.path.name == "sub-1_run-2_T1w.nii.gz" and "the first by its name" in item.notes[0]
    assert [path.name for path in item.others] == ["sub-1_run-10_T1w.nii.gz"]


def test_a_finer_scan_with_contrast_agent_does_not_come_before_a_plain_one(tmp_path: Path) -> None:
    anat = tmp_path / "sub-1" / "anat"
    write(anat / "sub-1_ce-gad_T1w.nii.gz", (90, 90, 90), (2.5, 2.5, 2.5))
    said = write(anat / "sub-1_acq-b_T1w.nii.gz", (90, 90, 90), (2.5, 2.5, 2.5))
    said.with_name("sub-1_acq-b_T1w.json").write_text(json.dumps({"ContrastBolusAgent": "Dotarem"}))
    plain = write(anat / "sub-1_acq-c_T1w.nii.gz")
    item = chosen(tmp_path)
    assert item.path == plain and item.flags == ("run_chosen",)
    plain.unlink()
    assert chosen(tmp_path).flags == ("contrast_agent", "run_chosen")
    assert chosen(anat / "sub-1_ce-gad_T1w.nii.gz").flags == ("contrast_agent",)


@pytest.mark.parametrize("where", ["T1w.json", "sub-1/sub-1_T1w.json", "sub-1/anat/sub-1_T1w.json"])
def test_a_field_counts_wherever_bids_lets_it_stand(where: str, tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    for who in ("1", "2"):
        write(tmp_path / f"sub-{who}" / "anat" / f"sub-{who}_T1w.nii.gz")
    (tmp_path / where).write_text(json.dumps({"ContrastBolusIngredient": "GADOLINIUM"}))
    (tmp_path / "sub-2" / "anat" / "sub-2_T1w.json").write_text(json.dumps({"ContrastBolusIngredient": "none"}))
    assert [item.flags for item in find_scans((tmp_path,))] == [("contrast_agent",), ()]


def test_damaged_words_beside_a_scan_say_nothing(tmp_path: Path) -> None:
    scan = write(tmp_path / "sub-1_T1w.nii.gz")
    for text in ("", "[1]", "{", '{"ContrastBolusAgent": {}}', '{"ContrastBolusVolume": [1, 2]}'):
        (tmp_path / "sub-1_T1w.json").write_text(text)
        assert chosen(scan).flags == ()


def test_what_cannot_be_read_comes_last_and_the_next_is_tried_in_turn(tmp_path: Path) -> None:
    anat = tmp_path / "sub-1" / "anat"
    (write(anat / "sub-1_acq-a_T1w.nii.gz")).write_bytes(b"x")
    damaged = write(anat / "sub-1_acq-b_T1w.nii.gz")
    damaged.write_bytes(damaged.read_bytes()[:-50_000])  # its header is whole
    good = write(anat / "sub-1_acq-c_T1w.nii.gz")
    item, heard = chosen(tmp_path), []
    assert item.path == damaged and [path.name[6:11] for path in item.others] == ["acq-c", "acq-a"]

    def work(one: ScanItem) -> ScanItem:
        read_volume(one.path)
        return one

    used = try_in_turn(item, work, lambda one, text: heard.append((one.path, text)))
    assert used.path == good and used.flags == ("run_chosen", NEXT_RUN)
    assert (
        heard == [(damaged, heard[0][1])]
        and "gzip stream is damaged" in heard[0][1]
        and heard[0][1].endswith(good.name)
    )
    good.write_bytes(b"x")
    with pytest.raises(ScanError, match=r"acq-b.*gzip stream is damaged"):
        try_in_turn(item, work, lambda one, text: None)


def test_another_error_than_a_refusal_is_not_tried_away(tmp_path: Path) -> None:
    item = ScanItem(tmp_path / "a.nii", "1", others=(tmp_path / "b.nii",))

    def work(one: ScanItem) -> None:
        raise TableError(one.path.name, "")

    with pytest.raises(TableError, match=r"a\.nii"):
        try_in_turn(item, work, lambda one, text: pytest.fail(text))


# ----------------------------------------------------------------------------------------------- no T1w at all


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def test_who_has_no_t1w_is_named_and_no_inversion_image_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "sub-1" / "anat", "sub-1_T1w.nii.gz", "sub-1_UNIT1.nii.gz", "sub-1_inv-1_T1w.nii.gz")
    touch(tmp_path / "sub-2" / "anat", "sub-2_UNIT1.nii.gz", "sub-2_T1map.nii.gz", "sub-2_inv-1_MP2RAGE.nii.gz")
    touch(
        tmp_path / "sub-3" / "ses-a" / "anat",
        "sub-3_ses-a_acq-INV1_T1w.nii.gz",
        "sub-3_ses-a_acq-mp2rageinv2_T1w.nii.gz",
    )
    touch(tmp_path / "sub-inv1" / "anat", "sub-inv1_T1w.nii.gz")
    items = find_scans((tmp_path,))
    assert [item.path.name for item in items] == ["sub-1_T1w.nii.gz", "sub-inv1_T1w.nii.gz"]
    (note,) = items[0].notes
    assert "no T1w scan: sub-2 (T1map, UNIT1, inversion images), sub-3_ses-a (inversion images);" in note
    assert items[1].notes == ()


def test_where_nobody_has_a_t1w_nothing_is_read_and_everybody_is_named(tmp_path: Path) -> None:
    for who in ("1", "2"):
        touch(
            tmp_path / f"sub-{who}" / "anat",
            *(f"sub-{who}_{name}.nii.gz" for name in ("UNIT1", "inv-1_MP2RAGE", "inv-2_MP2RAGE", "T1map")),
        )
    for folder, who in (
        (tmp_path, "sub-1 .*sub-2 "),
        (tmp_path / "sub-2", "sub-2 "),
        (tmp_path / "sub-2" / "anat", "sub-2 "),
    ):
        with pytest.raises(ScanError, match=f"no scans in this folder; left out, as they have no T1w scan: {who}"):
            find_scans((folder,))
    (item,) = find_scans((tmp_path / "sub-1" / "anat" / "sub-1_UNIT1.nii.gz",))
    assert item.subject_id == "1", "a file that is named is read"


def test_inversion_images_without_bids_names_are_left_out_aloud(tmp_path: Path) -> None:
    touch(tmp_path, "anna_T1.nii", "anna_INV1.nii", "anna_inv_2.nii.gz", "inv-2.mgz", "invivo1.nii", "MRinv12.nii")
    items = find_scans((tmp_path,))
    assert sorted(item.path.name for item in items) == ["MRinv12.nii", "anna_T1.nii", "invivo1.nii"]
    assert "left out 3 files" in items[0].notes[0]
