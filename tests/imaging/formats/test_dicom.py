"""DICOM folders: the marked side stays where it is, what is no volume is refused, and no tag leaves the reader."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import PLANES, SECRET, plane, write_enhanced, write_series
from pydicom.uid import RLELossless

from adclip.domain import ReadOptions, Volume
from adclip.errors import ScanError
from adclip.imaging.formats import convert, pixels
from adclip.imaging.formats.series_facts import say_sequence
from adclip.imaging.sources.files import check_scan, read_volume, scan_sha256


def marker_mm(volume: Volume) -> np.ndarray:
    return (volume.affine @ [*np.argwhere(volume.array > 1200).mean(axis=0), 1])[:3]


@pytest.mark.parametrize("degrees", [0.0, 12.0])
@pytest.mark.parametrize("name", PLANES)
def test_left_stays_left_whatever_the_slices(name: str, degrees: float, tmp_path: Path) -> None:
    write_series(tmp_path / "scan", plane(name, degrees))
    check_scan(tmp_path / "scan")
    volume = read_volume(tmp_path / "scan")
    np.testing.assert_allclose(marker_mm(volume), (-20, 0, 0), atol=0.6)  # RAS: left is negative
    assert volume.facts["format"] == "DICOM"
    assert volume.facts["slices"] == 32
    assert volume.facts["obliquity_deg"] == pytest.approx(0 if degrees == 0 else 11.6, abs=0.1)
    assert volume.flags == ()


@pytest.mark.parametrize("name", PLANES)
def test_pixels_need_not_be_squares(name: str, tmp_path: Path) -> None:
    """PixelSpacing says the distance of rows first and that of columns second; exchanged, a brain is stretched."""
    write_series(tmp_path / "scan", plane(name), spacing_mm=(2.5, 3.0, 3.5))
    volume = read_volume(tmp_path / "scan")
    np.testing.assert_allclose(marker_mm(volume), (-20, 0, 0), atol=0.6)
    assert sorted(volume.facts["voxel_mm"]) == [2.5, 3.0, 3.5]


def test_multi_frame_and_compressed_files_are_read(tmp_path: Path) -> None:
    enhanced = write_enhanced(tmp_path / "scan.dcm")
    np.testing.assert_allclose(marker_mm(read_volume(enhanced)), (-20, 0, 0), atol=0.6)
    (tmp_path / "enhanced").mkdir()
    shutil.move(enhanced, tmp_path / "enhanced")
    plain = read_volume(tmp_path / "enhanced")
    write_series(tmp_path / "rle", change=lambda dataset, _: dataset.compress(RLELossless))
    np.testing.assert_array_equal(read_volume(tmp_path / "rle").array, plain.array)


def test_nothing_of_a_tag_leaves_the_reader(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path / "scan")
    volume = read_volume(tmp_path / "scan")
    text = json.dumps(dict(volume.facts)) + "".join(volume.flags) + "".join(capfd.readouterr())
    for tag in (SECRET, "Doe", "P1", "1940", "2020", "1.2.3", "SIEMENS", "mprage"):
        assert tag not in text
    assert capfd.readouterr() == ("", "")


def no_place(dataset: Any, index: int) -> None:
    del dataset.ImagePositionPatient


def no_pixels(dataset: Any, index: int) -> None:
    dataset.PixelData = b"\0\0"


def turned(dataset: Any, index: int) -> None:
    if index % 3 == 0:
        dataset.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]


def two_echoes(folder: Path) -> None:
    write_series(folder, series_uid="1.2.3.77")
    write_series(folder, series_uid="1.2.3.77", prefix="e2")


def two_sizes(folder: Path) -> None:
    write_series(folder, series_uid="1.2.3.77")
    write_series(folder, series_uid="1.2.3.77", prefix="b", size=(44, 36))


def two_patients(folder: Path) -> None:
    write_series(folder)
    write_series(folder, patient="P2", number=4, prefix="b")


def two_series(folder: Path) -> None:
    write_series(folder)
    write_series(folder, number=12, count=20, prefix="b")


def nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes").write_text("no image here")


def rubbish(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 4000)


CASES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing slice": (lambda folder: write_series(folder, leave_out=(9, 20, 21)), "3 DICOM slices missing"),
    "uneven": (lambda folder: write_series(folder, shift_mm={9: 1.2}), r"unevenly spaced \(2\.30 to 4\.70 mm\)"),
    "two patients": (two_patients, "files of 2 patients"),
    "two series": (two_series, r"several DICOM series: 3 \(32 x 40 x 36\), 12 \(20 x 40 x 36\)"),
    "CT": (lambda folder: write_series(folder, modality="CT"), "modality is CT"),
    "PT": (lambda folder: write_series(folder, modality="PT"), "modality is PT"),
    "localiser": (lambda folder: write_series(folder, count=3), "only 3 slices"),
    "one slice": (lambda folder: write_series(folder, count=1), "only 1 slice,"),
    "mixed orientation": (lambda folder: write_series(folder, change=turned), "differ in their orientation"),
    "mixed size": (two_sizes, "differ in their matrix size"),
    "repeated": (two_echoes, "32 DICOM slices lie where another one lies"),
    "no position": (lambda folder: write_series(folder, change=no_place), "without position"),
    "nothing": (nothing, "no DICOM images"),
    "rubbish": (rubbish, "no DICOM images|no readable DICOM header"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_wrong_series_has_its_own_answer(name: str, tmp_path: Path) -> None:
    make, words = CASES[name]
    make(tmp_path / "scan")
    for read in (check_scan, read_volume):
        with pytest.raises(ScanError, match=words) as caught:
            read(tmp_path / "scan")
        assert caught.value.remedy
        for tag in (SECRET, "Doe", "P1", "P2", "1.2.3", "mprage"):
            assert tag not in caught.value.problem.replace(str(tmp_path), "") + caught.value.remedy


def test_one_of_several_series_can_be_chosen(tmp_path: Path) -> None:
    two_series(tmp_path / "scan")
    for wanted, slices in (("3", 32), ("12", 20), ("1.2.3.12", 20)):
        volume = read_volume(tmp_path / "scan", ReadOptions(series=wanted))
        assert volume.facts["slices"] == slices
    with pytest.raises(ScanError, match="no DICOM series 5; there are: 3 "):
        check_scan(tmp_path / "scan", ReadOptions(series="5"))


def test_series_that_no_number_tells_apart_can_be_chosen_as_listed(tmp_path: Path) -> None:
    two_series(tmp_path / "scan")
    write_series(tmp_path / "scan", number=12, count=24, prefix="c", series_uid="1.2.3.99")

    def without_number(dataset: Any, index: int) -> None:
        del dataset.SeriesNumber

    for uid, count in (("1.2.3.50", 26), ("1.2.3.51", 28)):
        write_series(tmp_path / "scan", count=count, prefix=uid, series_uid=uid, change=without_number)
    with pytest.raises(ScanError, match="several DICOM series") as caught:
        check_scan(tmp_path / "scan")
    listing = caught.value.problem.partition("series: ")[2].split(", ")
    assert len(listing) == 5 and "1.2.3" not in caught.value.problem.replace(str(tmp_path), "")
    for listed in listing:
        slices = int(listed.partition("(")[2].split(" ")[0])
        volume = read_volume(tmp_path / "scan", ReadOptions(series=listed.split(" ")[0]))
        assert volume.facts["slices"] == slices, listed
    assert f"--series {listing[0].split(' ')[0]}`" in caught.value.remedy
    with pytest.raises(
        ScanError, match=r"the number 12: 4of5 with number 12 \(20.*, 5of5 with number 12 \(24"
    ) as caught:
        check_scan(tmp_path / "scan", ReadOptions(series="12"))
    assert "--series 4of5" in caught.value.remedy
    with pytest.raises(ScanError, match="no DICOM series 5of6"):
        check_scan(tmp_path / "scan", ReadOptions(series="5of6"))


def test_a_series_with_a_contrast_agent_is_called_so_and_never_the_example(tmp_path: Path) -> None:
    def with_agent(dataset: Any, index: int) -> None:
        dataset.ContrastBolusAgent = "Secretol"
        dataset.SeriesDescription = "POST anna"

    def plain(dataset: Any, index: int) -> None:
        dataset.MRAcquisitionType, dataset.RepetitionTime, dataset.EchoTime, dataset.InversionTime = (
            "3D",
            2300,
            2.98,
            900,
        )
        dataset.SeriesDescription = "MPRAGE anna"

    write_series(tmp_path / "scan", number=3, change=with_agent)
    write_series(tmp_path / "scan", number=7, count=24, prefix="b", change=plain)
    with pytest.raises(ScanError, match=r"3 \(32 x 40 x 36, contrast agent\), 7 \(24 x 40 x 36\)") as caught:
        check_scan(tmp_path / "scan")
    assert "--series 7`" in caught.value.remedy
    assert "3D, TR 2300, TE 2.98, TI 900 ms" in caught.value.remedy
    assert "Secretol" not in str(caught.value) and "anna" not in caught.value.remedy
    code = shlex.split(caught.value.remedy.rpartition(" `python ")[2].rstrip("`"))
    shown = subprocess.run([sys.executable, *code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["('3', 'POST anna')", "('7', 'MPRAGE anna')"]


@pytest.mark.parametrize("value", ["many", "nan", None])
def test_a_time_that_is_no_number_says_nothing(value: Any) -> None:
    assert say_sequence({"EchoTime": value, "PixelSpacing": [1.0, 1.0], "SliceThickness": "1.2"}) == "1 x 1 x 1.2 mm"


def test_one_slice_by_name_asks_for_its_folder(tmp_path: Path) -> None:
    (first, *_) = write_series(tmp_path / "scan")
    with pytest.raises(ScanError, match="one DICOM slice") as caught:
        check_scan(first)
    assert "folder" in caught.value.remedy


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "scan", change=no_pixels)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pixels, "LOSSLESS", frozenset())  # so that dcm2niix is asked
    with pytest.raises(
        ScanError, match=r"IM\d+\.dcm: the pixels cannot be decoded .* and those of at least \d+ more files"
    ):
        read_volume(tmp_path / "scan")
    monkeypatch.setattr(convert, "TIMEOUT_S", 0.0)
    with pytest.raises(ScanError, match="took longer"):
        read_volume(tmp_path / "scan")
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]  # nothing private is left behind


@pytest.mark.parametrize("of_dcm2niix", [False, True])
def test_a_slice_cut_short_is_noticed(of_dcm2niix: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_series(tmp_path / "scan")[15]
    file.write_bytes(file.read_bytes()[:-4])
    if of_dcm2niix:
        monkeypatch.setattr(pixels, "LOSSLESS", frozenset())
    with pytest.raises(ScanError, match="cut short") as caught:
        read_volume(tmp_path / "scan")
    assert caught.value.problem.startswith(f"{file}: ")


def test_a_volume_put_elsewhere_by_the_conversion_is_refused(tmp_path: Path) -> None:
    from adclip.imaging.formats.dicom import read_series

    write_series(tmp_path / "scan")
    series = read_series(tmp_path / "scan")
    affine = series.geometry.affine
    convert.check_agreement(tmp_path, series, affine, series.shape)
    mirrored = np.diag([-1.0, 1, 1, 1]) @ affine
    mirrored[0, 3] += 1.0
    with pytest.raises(ScanError, match="puts the volume"):
        convert.check_agreement(tmp_path, series, mirrored, series.shape)
    with pytest.raises(ScanError, match="made a volume of"):
        convert.check_agreement(tmp_path, series, affine, (36, 40, 31))


def test_the_content_hash_does_not_depend_on_names(tmp_path: Path) -> None:
    files = write_series(tmp_path / "scan")
    before = scan_sha256(tmp_path / "scan")
    for number, file in enumerate(files):
        file.rename(file.with_name(f"other{number}.dcm"))
    assert scan_sha256(tmp_path / "scan") == before
    write_series(tmp_path / "scan", number=12, prefix="b")
    assert scan_sha256(tmp_path / "scan", ReadOptions(series="3")) == before
    assert scan_sha256(tmp_path / "scan", ReadOptions(series="12")) != before
