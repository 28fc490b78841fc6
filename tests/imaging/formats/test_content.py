"""What a file really is: pointers, other contents and damaged headers are told apart, each with a cure of its own."""

from __future__ import annotations

import gzip
import os
import shlex
import struct
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicoms import write_series
from phantoms import texture

from adclip.errors import ScanError
from adclip.imaging.formats.content import describe, pointer_in
from adclip.imaging.sources.files import check_scan, read_volume
from adclip.imaging.sources.find import find_scans

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
AFFINE[:3, 3] = (-60, -70, -40)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"
KEY = "MD5E-s1234--0123456789abcdef0123456789abcdef.nii.gz"
UNLOCKED = f"/annex/objects/{KEY}\n".encode()
LINK = f"../../.git/annex/objects/Xx/Yy/{KEY}/{KEY}"


def refuse(path: Path, words: str) -> ScanError:
    errors = []
    for read in (check_scan, read_volume):
        with pytest.raises(ScanError, match=words) as caught:
            read(path)
        errors.append(caught.value)
    assert errors[0].args == errors[1].args and errors[0].remedy and "dcm2niix" not in errors[0].remedy
    return errors[0]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    nib.save(nib.Nifti1Image(texture(), AFFINE), tmp_path / "good.nii")
    return tmp_path / "good.nii"


def edited(scan: Path, offset: int, form: str, *values: object) -> Path:
    data = bytearray(scan.read_bytes())
    struct.pack_into(form, data, offset, *values)
    target = scan.with_name("bad.nii")
    target.write_bytes(bytes(data))
    return target


# ----------------------------------------------------------------------------------------------- pointers


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.mgz", "a.mgh", "a.img"])
@pytest.mark.parametrize(
    ("content", "owner"), [(LFS, "Git LFS"), (UNLOCKED, "git-annex"), (LINK.encode(), "git-annex")]
)
def test_a_pointer_is_named_as_such_whatever_it_stands_for(
    name: str, content: bytes, owner: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    if name == "a.img":
        (tmp_path / "a.hdr").write_bytes(content)
    error = refuse(tmp_path / name, f"a pointer of {owner}; the scan itself has not been fetched")
    assert ("annex get" if owner == "git-annex" else "lfs pull") in error.remedy


def test_a_link_into_an_annex_without_its_content_is_a_pointer(tmp_path: Path) -> None:
    (tmp_path / "a b.nii.gz").symlink_to(LINK)
    error = refuse(tmp_path / "a b.nii.gz", "a pointer of git-annex")
    assert "annex get 'a b.nii.gz'" in error.remedy
    (tmp_path / "gone.nii.gz").symlink_to("nowhere.nii.gz")
    refuse(tmp_path / "gone.nii.gz", "no such file")


def test_pointers_in_a_folder_of_dicom_files_are_counted(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "text").mkdir(exist_ok=True)
        (tmp_path / "text" / f"{number}.dcm").write_bytes(LFS)
        (tmp_path / "links").mkdir(exist_ok=True)
        (tmp_path / "links" / f"{number}.dcm").symlink_to(LINK)
    for item, owner in zip(find_scans((tmp_path,)), ("git-annex", "Git LFS"), strict=True):
        refuse(item.path, f"a pointer of {owner}, as 2 more in this folder")


def test_pointers_count_as_slices_by_their_names_where_no_ending_says_so(tmp_path: Path) -> None:
    for number in range(20):
        for folder, name in (("links", f"IM{number:04d}"), ("text", f"1.3.12.2.{number}"), ("few", f"IM{number:04d}")):
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            if folder == "links":
                path.symlink_to(LINK)
            elif folder == "text" or number < 3:
                path.write_bytes(LFS)
    assert [item.path.name for item in find_scans((tmp_path,))] == ["links", "text"], "three pointers are no series"
    refuse(tmp_path / "links", "a pointer of git-annex, as 19 more in this folder")
    refuse(tmp_path / "text", "a pointer of Git LFS, as 19 more in this folder")


def test_a_series_fetched_in_part_is_not_read_as_a_smaller_one(tmp_path: Path) -> None:
    slices = write_series(tmp_path / "scan")
    for number, path in enumerate(sorted(slices)):
        path.rename(path.with_suffix(""))
        if number % 2:
            path.with_suffix("").write_bytes(UNLOCKED)
    refuse(tmp_path / "scan", "a pointer of git-annex, as 15 more in this folder")


def test_pointers_of_earlier_versions_and_of_windows_are_known() -> None:
    for head in (
        b"version http://git-media.io/v/2\noid sha256:a\n",
        b"version https://hawser.github.com/spec/v1\r\noid a\r\n",
    ):
        assert pointer_in(head) == "Git LFS"
    assert pointer_in(rb"..\..\.git\annex\objects\MD5E-s12--a.nii.gz") == "git-annex"


def test_the_command_that_fetches_runs_wherever_one_is(tmp_path: Path) -> None:
    """What stands between the quotes is given to a shell, with git in the place of annex and LFS."""
    folder = tmp_path / "my study"
    folder.mkdir()
    (folder / "a b.nii.gz").write_bytes(UNLOCKED)
    command = refuse(folder / "a b.nii.gz", "pointer").remedy.split("`")[1]
    words = shlex.split(command)
    assert words == ["git", "-C", str(folder), "annex", "get", "a b.nii.gz"]
    (tmp_path / "git").write_text('#!/bin/sh\ncd "$2" && test -f "$5" && echo fetched\n')
    (tmp_path / "git").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "fetched\n"


def test_what_only_resembles_a_pointer_is_none() -> None:
    for head in (b"", b"/annex/object/x", b"see /annex/objects/x", b"version https://example.org/spec/v1"):
        assert pointer_in(head) is None


# ----------------------------------------------------------------------------------------------- other contents


CONTENTS = {
    "web page": (b"<!DOCTYPE html><html><body>Please log in</body></html>", "logged in"),
    "text file": (b'{"message": "Not found"}' + b" " * 300, "read the text"),
    "ZIP archive": (b"PK\x03\x04" + bytes(600), "unzip"),
    "tar archive": (bytes(1) + b"x" * 256 + b"ustar\x0000" + bytes(400), "tar xf"),
    "compressed by xz": (b"\xfd7zXZ\x00" + bytes(600), "unxz"),
    "HDF5": (b"\x89HDF\r\n" + bytes(600), "mnc2nii"),
    "PNG picture": (b"\x89PNG\r\n" + bytes(600), "scan itself"),
    "DICOM file": (bytes(128) + b"DICM" + bytes(600), "folder"),
    "nothing but zeros": (bytes(2000), "again"),
}


@pytest.mark.parametrize("what", CONTENTS)
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.mgh"])
def test_a_file_with_another_content_is_told_what_it_is(what: str, name: str, tmp_path: Path) -> None:
    content, cure = CONTENTS[what]
    (tmp_path / name).write_bytes(content)
    error = refuse(tmp_path / name, f"not what its name says, this is .*{what}")
    assert cure in error.remedy and "FILE" not in error.remedy


def test_a_plain_nifti_named_gz_is_still_to_be_renamed(scan: Path) -> None:
    error = refuse(scan.rename(scan.with_name("x.nii.gz")), "its content is not gzip")
    assert "rename it to .nii" in error.remedy


def test_random_bytes_are_nothing_known() -> None:
    assert all(describe(np.random.default_rng(seed).bytes(600)) is None for seed in range(50))


# ----------------------------------------------------------------------------------------------- damaged headers


DAMAGE = {
    "magic": (344, "4s", (b"\0\0\0\0",), "the word `n\\+1` is missing"),
    "length": (0, "<i", (0x7FFFFFFF,), "it begins with the number 2147483647"),
    "vox_offset": (108, "<f", (float("nan"),), "begin at byte nan"),
    "negative vox_offset": (108, "<f", (-5.0,), "begin at byte -5"),
    "number of axes": (40, "<h", (200,), "number of axes"),
    "length of an axis": (42, "<h", (-5,), "axis has -5 voxels"),
    "data type": (70, "<h", (9999,), "data type, number 9999"),
}


@pytest.mark.parametrize("field", DAMAGE)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_damaged_header_is_called_damaged_and_says_where(field: str, zipped: bool, scan: Path) -> None:
    offset, form, values, words = DAMAGE[field]
    bad = edited(scan, offset, form, *values)
    if zipped:
        data, bad = bad.read_bytes(), bad.with_name("bad.nii.gz")
        bad.write_bytes(gzip.compress(data))
    error = refuse(bad, f"the NIfTI header is damaged: .*{words}")
    assert "copy or download it again" in error.remedy


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_that_ends_in_its_header_says_so(zipped: bool, scan: Path) -> None:
    short = scan.read_bytes()[:200]
    bad = scan.with_name("short.nii.gz" if zipped else "short.nii")
    bad.write_bytes(gzip.compress(short) if zipped else short)
    refuse(bad, "ends after 200 of its 348 bytes")


def test_the_header_of_a_pair_under_the_name_of_a_single_file_is_told(scan: Path) -> None:
    error = refuse(edited(scan, 344, "4s", b"ni1\0"), "the header of a pair")
    assert ".hdr" in error.remedy


def test_bytes_of_nobody_are_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_bytes(np.random.default_rng(0).bytes(4000))
    refuse(tmp_path / "x.nii", "no NIfTI header found, and nothing else that adclip knows")


# ----------------------------------------------------------------------------------------------- names


def test_a_name_that_is_not_utf8_is_refused_and_shown_by_its_bytes(scan: Path) -> None:
    bad = Path(os.fsdecode(os.fsencode(scan.parent) + b"/M\xfcller.nii"))
    try:
        scan.rename(bad)
    except OSError:
        pytest.skip("this file system has no such names")
    error = refuse(bad, "not UTF-8")
    assert r"M\xfcller.nii" in error.problem
    error.problem.encode("utf-8")
