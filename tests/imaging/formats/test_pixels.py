"""Pixels of DICOM files: each frame in its own scaling at its own place, whatever the file is called and however it is packed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import PLANES, head_with_marker, plane, write_enhanced, write_series
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from adclip.domain import ReadOptions, Volume
from adclip.errors import MissingPackageError, ScanError
from adclip.imaging.formats import convert, pixels
from adclip.imaging.sources.files import check_scan, read_volume, to_source_order
from adclip.imaging.sources.find import find_scans

COUNT = 32
SLOPES, INTERCEPTS = 1 + 0.05 * np.arange(COUNT), -3.0 * np.arange(COUNT)


def stored() -> np.ndarray:
    """The made-up head, RAS, as its files hold it."""
    slices, _, _ = head_with_marker(COUNT)
    return slices[:, ::-1, ::-1].transpose(2, 1, 0).astype(np.float64)


def scaled() -> np.ndarray:
    return stored() * SLOPES + INTERCEPTS


def scale(dataset: Any, index: int) -> None:
    dataset.RescaleSlope, dataset.RescaleIntercept = f"{SLOPES[index]:.6g}", f"{INTERCEPTS[index]:.6g}"


def enhance(
    folder: Path,
    *,
    scaling: str = "",
    shuffled: bool = False,
    without_index: bool = False,
    syntax: str = "",
    maker: str = "SIEMENS",
    change: Callable[[Any], None] = lambda dataset: None,
) -> Path:
    """Write one enhanced file whose frames are scaled by `frame`, all alike (`shared`), or not at all."""
    folder.mkdir()
    path = write_enhanced(folder / "scan.dcm", COUNT)
    dataset = dcmread(path)
    dataset.Manufacturer = maker
    for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        if scaling == "frame":
            frame.PixelValueTransformationSequence = [transformation(SLOPES[index], INTERCEPTS[index])]
    if scaling == "shared":
        dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [transformation(2.0, -5.0)]
    if shuffled:
        order = np.random.default_rng(5).permutation(COUNT)
        dataset.PixelData = dataset.pixel_array[order].tobytes()
        frames = [dataset.PerFrameFunctionalGroupsSequence[int(index)] for index in order]
        dataset.PerFrameFunctionalGroupsSequence = frames
    if without_index:
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            del frame.FrameContentSequence
    change(dataset)
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
    elif syntax:
        dataset.compress(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return folder


def transformation(slope: float, intercept: float) -> Dataset:
    item = Dataset()
    item.RescaleSlope, item.RescaleIntercept, item.RescaleType = slope, intercept, "US"
    return item


def read(path: Path) -> Volume:
    check_scan(path)
    return read_volume(path)


# ----------------------------------------------------------------------------------------------- names and content


@pytest.mark.parametrize("ending", ["img", "MR", "mri", "bin", "v2", "IMA2", "nodicom", ""])
def test_a_file_is_dicom_by_its_content_whatever_its_ending(ending: str, tmp_path: Path) -> None:
    for file in write_series(tmp_path / "study" / "anna"):
        file.rename(file.with_suffix(f".{ending}" if ending else ""))
    (item,) = find_scans((tmp_path / "study",))
    assert item.path == tmp_path / "study" / "anna"
    np.testing.assert_array_equal(read(item.path).array, stored())


@pytest.mark.parametrize("cut", ["preamble", "meta data"])
def test_a_file_may_lack_what_newer_ones_begin_with(cut: str, tmp_path: Path) -> None:
    for file in write_series(tmp_path / "scan"):
        data = file.read_bytes()
        (length,) = struct.unpack("<I", data[140:144])
        file.write_bytes(data[132:] if cut == "preamble" else data[144 + length :])
        file.rename(file.with_suffix(".mri"))
    (item,) = find_scans((tmp_path,))
    np.testing.assert_array_equal(read(item.path).array, stored())


def test_an_enhanced_file_of_another_name_may_be_named_itself(tmp_path: Path) -> None:
    file = enhance(tmp_path / "scan") / "scan.dcm"
    renamed = file.rename(file.with_name("scan.img"))
    np.testing.assert_array_equal(read(renamed).array, stored())


def test_a_pair_and_papers_are_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(np.arange(8, 40_000, dtype="<i2").tobytes())  # begins with the bytes 08 00
    (tmp_path / "a.hdr").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"\0" * 128 + b"DICM")
    assert [item.path.name for item in find_scans((tmp_path,))] == ["a.hdr"]


# ----------------------------------------------------------------------------------------------- scaling and order


@pytest.mark.parametrize("maker", ["SIEMENS", "GE MEDICAL SYSTEMS", "Philips", ""])
@pytest.mark.parametrize("shuffled", [False, True])
def test_every_frame_has_its_own_scaling(maker: str, shuffled: bool, tmp_path: Path) -> None:
    volume = read(enhance(tmp_path / "scan", scaling="frame", maker=maker, shuffled=shuffled))
    np.testing.assert_allclose(volume.array, scaled(), rtol=1e-6, atol=1e-3)


def test_a_scaling_that_frames_share_counts_for_all(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(enhance(tmp_path / "scan", scaling="shared")).array, 2 * stored() - 5)


def test_every_slice_of_its_own_file_has_its_own_scaling(tmp_path: Path) -> None:
    write_series(tmp_path / "scan", change=scale)
    np.testing.assert_allclose(read(tmp_path / "scan").array, scaled(), rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("without_index", [False, True])
@pytest.mark.parametrize("syntax", ["", RLELossless, DeflatedExplicitVRLittleEndian])
def test_frames_lie_where_their_headers_say(without_index: bool, syntax: str, tmp_path: Path) -> None:
    folder = enhance(tmp_path / "scan", shuffled=True, without_index=without_index, syntax=syntax)
    np.testing.assert_array_equal(read(folder).array, stored())


def test_slices_lie_where_their_headers_say_and_not_by_their_numbers(tmp_path: Path) -> None:
    numbers = np.random.default_rng(3).permutation(COUNT)

    def renumber(dataset: Any, index: int) -> None:
        dataset.InstanceNumber = int(numbers[index])

    write_series(tmp_path / "scan", change=renumber)
    np.testing.assert_array_equal(read(tmp_path / "scan").array, stored())


def test_a_deflated_series_is_read(tmp_path: Path) -> None:
    def deflate(dataset: Any, index: int) -> None:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    write_series(tmp_path / "scan", change=deflate)
    np.testing.assert_array_equal(read(tmp_path / "scan").array, stored())


def test_enhanced_files_of_one_frame_are_slices(tmp_path: Path) -> None:
    folder = enhance(tmp_path / "whole", scaling="frame")
    whole = dcmread(folder / "scan.dcm")
    (tmp_path / "single").mkdir()
    for index, frame in enumerate(whole.PerFrameFunctionalGroupsSequence):
        one = dcmread(folder / "scan.dcm")
        one.PerFrameFunctionalGroupsSequence, one.NumberOfFrames = [frame], 1
        one.PixelData = whole.pixel_array[index].tobytes()
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.3.{index + 1}"
        one.save_as(tmp_path / "single" / f"{COUNT - index}.dcm", enforce_file_format=True)
    np.testing.assert_allclose(read(tmp_path / "single").array, scaled(), rtol=1e-6, atol=1e-3)


def test_the_second_factor_of_philips_makes_slices_comparable(tmp_path: Path) -> None:
    def philips(dataset: Any, index: int) -> None:
        scale(dataset, index)
        block = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", 0.004)

    write_series(tmp_path / "scan", change=philips)
    expected = scaled() / (SLOPES * 0.004)
    np.testing.assert_allclose(read(tmp_path / "scan").array, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("degrees", [0.0, 12.0])
@pytest.mark.parametrize("name", PLANES)
def test_dcm2niix_and_the_headers_agree_on_grid_and_values(
    name: str, degrees: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two readers that share no code: the same voxels on the same stored grid."""
    write_series(tmp_path / "scan", plane(name, degrees), spacing_mm=(2.5, 3.0, 3.5))
    here = read_volume(tmp_path / "scan")
    monkeypatch.setattr(pixels, "LOSSLESS", frozenset())  # leaves everything to dcm2niix
    there = read_volume(tmp_path / "scan")
    np.testing.assert_array_equal(here.array, there.array)
    np.testing.assert_allclose(here.affine, there.affine, atol=1e-4)
    np.testing.assert_allclose(here.source.affine, there.source.affine, atol=1e-4)
    assert here.source.shape == there.source.shape and here.facts == there.facts and here.flags == there.flags
    np.testing.assert_array_equal(to_source_order(here.array, here), to_source_order(there.array, there))


# ----------------------------------------------------------------------------------------------- damage


def refuse(path: Path, words: str, file: Path | None = None) -> ScanError:
    with pytest.raises((ScanError, MissingPackageError), match=words) as caught:
        read_volume(path)
    assert str(file or path) in caught.value.problem
    assert caught.value.remedy and "dcm2niix ended" not in caught.value.problem
    return caught.value


def of_slice(index: int, do: Callable[[Any], None]) -> Callable[[Any, int], None]:
    return lambda dataset, number: do(dataset) if number == index else None


def test_a_slice_cut_off_is_named_with_what_is_left(tmp_path: Path) -> None:
    files = write_series(tmp_path / "scan")
    files[7].write_bytes(files[7].read_bytes()[:-1000])
    refuse(tmp_path / "scan", r"cut short \(1,880 of 2,880 bytes", files[7])
    files[7].write_bytes(files[7].read_bytes()[:-1880])
    refuse(tmp_path / "scan", "without pixels: cut short before them", files[7])


@pytest.mark.parametrize("index", [0, 9], ids=["at the end", "in between"])
@pytest.mark.parametrize("ending", [".dcm", ""])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda data: data[:500], "this DICOM file is cut short: its header ends"),
        (lambda data: b"", "the file is empty"),
        (lambda data: b"<html>please log in</html>" * 40, "this is a web page"),
        (lambda data: b"\x93" * 900, "no readable DICOM header"),
    ],
    ids=["cut in its header", "empty", "web page", "rubbish"],
)
def test_a_slice_that_is_none_any_more_is_named_wherever_it_lay(
    content: Callable[[bytes], bytes], words: str, ending: str, index: int, tmp_path: Path
) -> None:
    slices = [file.rename(file.with_suffix(ending)) for file in write_series(tmp_path / "scan", count=20)]
    damaged = content(slices[index].read_bytes())
    if damaged and not ending and b"DICM" not in damaged:
        pytest.skip("without an ending nothing tells that it was a slice")
    slices[index].write_bytes(damaged)
    error = refuse(tmp_path / "scan", words)
    assert error.problem.startswith(f"{slices[index]}: ")


def test_reports_and_indexes_beside_a_series_play_no_part(tmp_path: Path) -> None:
    file = write_series(tmp_path / "scan")[0]
    for number, kind in enumerate(
        ("1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.1.3.10")
    ):
        report = dcmread(file)
        report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = kind
        for name in ("PixelData", "Rows", "Columns"):
            delattr(report, name)
        report.save_as(tmp_path / "scan" / f"report{number}.dcm")
    np.testing.assert_array_equal(read(tmp_path / "scan").array, stored())


def test_a_multi_frame_file_cut_off_is_named(tmp_path: Path) -> None:
    file = enhance(tmp_path / "scan") / "scan.dcm"
    file.write_bytes(file.read_bytes()[:-40_000])
    refuse(tmp_path / "scan", "cut short", file)


def drop_pixels(dataset: Any) -> None:
    del dataset.PixelData


def empty_pixels(dataset: Any) -> None:
    dataset.PixelData = b""


@pytest.mark.parametrize("empty", [drop_pixels, empty_pixels])
def test_files_without_pixels_are_named_and_counted(empty: Callable[[Any], None], tmp_path: Path) -> None:
    files = write_series(tmp_path / "one", change=of_slice(9, empty))
    refuse(tmp_path / "one", r"without pixels: cut", files[9])
    write_series(tmp_path / "all", change=lambda dataset, index: empty(dataset))
    refuse(tmp_path / "all", "as in 31 more of the 32 files")


def test_a_slice_whose_codec_fails_is_named(tmp_path: Path) -> None:
    files = write_series(tmp_path / "scan", change=lambda dataset, index: dataset.compress(RLELossless))
    dataset = dcmread(files[4])
    data = bytearray(dataset.PixelData)
    data[16:80] = b"\xff" * 64
    dataset.PixelData = bytes(data)
    dataset.save_as(files[4])
    refuse(tmp_path / "scan", r"cannot be decoded \(RLE Lossless\)", files[4])


def test_a_frame_whose_codec_fails_is_named(tmp_path: Path) -> None:
    def break_one(dataset: Any) -> None:
        dataset.compress(RLELossless)
        frames = list(pixels_of(dataset))
        frames[20] = b"\xff" * 64 + frames[20][64:]
        dataset.PixelData = encapsulate(frames)

    file = enhance(tmp_path / "scan", change=break_one) / "scan.dcm"
    refuse(tmp_path / "scan", "pixels of frame 21 cannot be decoded", file)


def pixels_of(dataset: Any) -> Any:
    from pydicom.encaps import generate_frames

    return generate_frames(dataset.PixelData, number_of_frames=COUNT)


def as_codec(syntax: str) -> Callable[[Any, int], None]:
    def pack(dataset: Any, index: int) -> None:
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xc3 no image" + bytes(500)])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = syntax

    return pack


def test_what_dcm2niix_cannot_decode_is_named_by_trying_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "LOSSLESS", frozenset())
    pack = as_codec(JPEGLosslessSV1)
    files = write_series(tmp_path / "one", change=lambda dataset, index: pack(dataset, index) if index == 9 else None)
    refuse(tmp_path / "one", r"cannot be decoded \(", files[9])


def test_a_compression_that_nobody_here_knows_has_a_command_that_helps(tmp_path: Path) -> None:
    write_series(tmp_path / "scan", count=20, change=as_codec(HTJ2KLossless))
    error = refuse(tmp_path / "scan", r"no decoder for this compression is installed \(High-Throughput JPEG 2000")
    assert isinstance(error, MissingPackageError) and error.remedy.startswith("`pip install pylibjpeg")


@pytest.mark.parametrize("what", ["scaling", "order"])
def test_dcm2niix_is_never_asked_for_frames_that_it_would_mix_up(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = enhance(tmp_path / "scan", scaling="frame" if what == "scaling" else "", shuffled=what == "order")
    monkeypatch.setattr(pixels, "_has_decoder", lambda syntax: False)
    monkeypatch.setattr(convert, "_find_program", lambda: pytest.fail("dcm2niix was asked"))
    refuse(folder, f"its frames differ in their {what}")


def test_a_frame_count_that_is_not_true_takes_no_memory(tmp_path: Path) -> None:
    def lie(dataset: Any) -> None:
        dataset.NumberOfFrames = 2_000_000_000

    enhance(tmp_path / "scan", change=lie)
    with pytest.raises(ScanError, match="no readable DICOM header"):
        check_scan(tmp_path / "scan")


def test_a_deflated_file_is_measured_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = enhance(tmp_path / "scan", syntax=DeflatedExplicitVRLittleEndian)
    file = folder / "scan.dcm"
    whole = file.read_bytes()
    file.write_bytes(whole[:-2000])
    with pytest.raises(ScanError, match="deflated data are damaged or cut short"):
        check_scan(folder)
    (length,) = struct.unpack("<I", whole[140:144])
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    file.write_bytes(whole[: 144 + length] + packer.compress(bytes(1 << 22)) + packer.flush())
    monkeypatch.setattr("adclip.imaging.formats.deflate._MOST_BYTES", 1 << 21)
    monkeypatch.setattr("pydicom.dcmread", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(ScanError, match="the cap is"):
        check_scan(folder)


def test_a_contrast_agent_is_flagged(tmp_path: Path) -> None:
    def give(name: str, value: Any) -> Callable[[Any, int], None]:
        return lambda dataset, index: setattr(dataset, name, value)

    item = Dataset()
    item.CodeMeaning = "Gadolinium"
    for number, (name, value, found) in enumerate([
        ("ContrastBolusAgent", "GADAVIST", True), ("ContrastBolusAgent", "NONE", False), ("ContrastBolusAgent", "", False),
        ("ContrastBolusAgentSequence", [item], True), ("ContrastBolusVolume", "7.5", True), ("ContrastBolusVolume", "0", False),
        ("SeriesDescription", "AX T1 +C", True), ("SeriesDescription", "T1 pre contrast", False), ("ProtocolName", "t1_mprage_gd", True),
    ]):  # fmt: skip
        write_series(tmp_path / str(number), count=20, change=give(name, value))
        assert ("contrast_agent" in read(tmp_path / str(number)).flags) is found, (name, value)
    enhance(tmp_path / "enhanced", change=lambda dataset: setattr(dataset, "ContrastBolusAgentSequence", [item]))
    assert "contrast_agent" in read_volume(tmp_path / "enhanced", ReadOptions()).flags
