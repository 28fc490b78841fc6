"""Reading: every kind of bad file has its own answer, fast and without heavy imports; writing: same data, same bytes."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import texture

from adclip.domain import ReadOptions
from adclip.errors import ConfigError, ScanError
from adclip.imaging.formats.stream import VOXEL_CAP
from adclip.imaging.sources.files import check_scan, read_volume, read_voxels, scan_sha256, to_source_order, write_nifti

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
AFFINE[:3, 3] = (-60, -70, -40)
BOMB = gzip.compress(bytes(1 << 20)) * 160  # 160 MB of zeros in 160 kB


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def edit(path: Path, offset: int, form: str, *values: float) -> None:
    data = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else bytes(data))


def rgb() -> np.ndarray:
    return np.zeros((40, 40, 40), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


def ct() -> np.ndarray:
    array = np.full((40, 40, 40), -1000, dtype=np.int16)
    array[8:32, 8:32, 8:32] = np.random.default_rng(0).integers(0, 900, (24, 24, 24))
    return array


def labels() -> np.ndarray:
    array = np.zeros((40, 40, 40), dtype=np.int16)
    for code in range(27):  # blocks of ten voxels
        x, y, z = (5 + 10 * (code // step % 3) for step in (9, 3, 1))
        array[x : x + 10, y : y + 10, z : z + 10] = 11 * code + 2
    return array


def with_nan() -> np.ndarray:
    array = texture()
    array[3, 3, 3:5] = np.nan
    return array


def with_one(value: float) -> np.ndarray:
    array = texture().astype(np.float64)
    array[3, 3, 3] = value
    return array


def in_ball(array: np.ndarray) -> np.ndarray:
    """Keep what lies within 17 voxels of the middle, as if a mask had been applied."""
    distance = np.linalg.norm(np.indices(array.shape) - np.reshape(array.shape, (3, 1, 1, 1)) / 2, axis=0)
    return np.where(distance < 17, array, 0).astype(array.dtype)


def white(shape: tuple[int, ...] = (40, 42, 44)) -> np.ndarray:
    return np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)


def wrapped() -> np.ndarray:
    return (500 * (texture() - 40)).astype(np.int32).astype(np.int16)  # C's way with numbers that do not fit


ARRAYS: dict[str, tuple[Callable[[], np.ndarray], str]] = {
    "4D": (lambda: texture((20, 20, 20, 5)), "expected a 3D image"),
    "2D": (lambda: texture((64, 64)), "expected a 3D image"),
    "slice": (lambda: texture((64, 64, 1)), "expected a 3D image"),
    "slab": (lambda: texture((64, 64, 8)), "too little for a head"),
    "rgb": (rgb, "RGB"),
    "complex": (lambda: texture().astype(np.complex64), "complex"),
    "nan": (with_nan, "2 voxels are NaN"),
    "nothing but nan": (lambda: np.full((40, 40, 40), np.nan, np.float32), "all voxels are NaN"),
    "infinite": (lambda: with_one(np.inf), "1 voxels are NaN or infinite"),
    "overflow": (lambda: with_one(1e300), "too large for 32-bit"),
    "wrapped": (wrapped, "integer overflow"),
    "constant": (lambda: np.full((40, 40, 40), 7, np.int16), "same value"),
    "mask": (lambda: (texture() > 100).astype(np.uint8), "this is a mask"),
    "labels": (labels, "label map"),
    "ct": (ct, "CT"),
    "noise": (white, "this is noise"),
    "masked noise": (lambda: in_ball(white()), "this is noise"),
    "integer noise": (lambda: np.abs(white()).astype(np.uint8), "this is noise"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_each_wrong_image_has_its_own_answer(name: str, tmp_path: Path) -> None:
    make, words = ARRAYS[name]
    path = save(tmp_path / "x.nii.gz", make())
    with pytest.raises(ScanError, match=words) as caught:
        read_volume(path)
    assert caught.value.remedy
    assert str(path) in caught.value.problem


def test_a_masked_image_is_none_of_these(tmp_path: Path) -> None:
    assert read_volume(save(tmp_path / "x.nii.gz", in_ball(texture()))).array.shape == (40, 42, 44)


def test_wrong_files_are_told_apart(tmp_path: Path) -> None:
    good = save(tmp_path / "good.nii.gz", texture()).read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    cases = {
        "empty.nii.gz": (b"", "is empty"),
        "text.nii.gz": (b"hello there\n" * 100, "this is a text file"),
        "text.nii": (b"hello there\n" * 100, "this is a text file"),
        "short.nii": (b"hi", "ends after 2 of its 348 bytes"),
        "cut.nii.gz": (good[: len(good) // 2], "ends too early"),
        "tail.nii.gz": (good[:-4], "ends too early"),
        "flip.nii.gz": (bytes(flipped), "damaged"),
        "crc.nii.gz": (good[:-6] + bytes([good[-6] ^ 1]) + good[-5:], "checksum is wrong"),
        "garbage.nii.gz": (good + b"garbage", "other bytes follow"),
        "bomb.nii.gz": (good + BOMB, "far more data"),
        "cut.nii": (gzip.decompress(good)[:-1000], "promises"),
        "zip.nii.gz": (gzip.compress(b"not an image" * 100), "this is a text file"),
        "scan.mgz": (b"x", "not gzip"),
        "scan.mgh": (b"x" * 400, "this is a text file"),
        "bytes.mgh": (bytes(range(1, 200)) * 2, "no MGH header"),
        "scan.hdr": (b"x" * 400, "one file of a pair"),
        "scan.png": (b"x", "not the name of a scan"),
    }
    for name, (data, words) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ScanError, match=words):
            read_volume(path)
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(ScanError, match="a folder with the name of a file"):
        read_volume(tmp_path / "folder.nii")
    with pytest.raises(ScanError, match="no such file"):
        read_volume(tmp_path / "absent.nii.gz")


def test_every_flipped_bit_of_the_stream_is_noticed(tmp_path: Path) -> None:
    good = save(tmp_path / "good.nii.gz", texture((30, 30, 30))).read_bytes()
    for position in np.random.default_rng(1).integers(20, len(good), 25):
        bad = bytearray(good)
        bad[position] ^= 1 << int(position % 8)
        (tmp_path / "bad.nii.gz").write_bytes(bytes(bad))
        with pytest.raises(ScanError):
            read_volume(tmp_path / "bad.nii.gz")


def test_a_lying_header_allocates_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "big.nii.gz", texture())
    edit(path, 42, "<3h", 30000, 30000, 30000)
    began = time.perf_counter()
    with pytest.raises(ScanError, match="the cap is"):
        read_volume(path)
    assert time.perf_counter() - began < 1
    assert VOXEL_CAP < 30000**3


def test_the_header_alone_tells_what_it_can(tmp_path: Path) -> None:
    good = save(tmp_path / "good.nii", texture())
    check_scan(good)
    (tmp_path / "cut.nii").write_bytes(good.read_bytes()[:-1000])
    save(tmp_path / "four.nii.gz", texture((20, 20, 20, 3)))
    nib.save(nib.Nifti1Pair(texture(), AFFINE), tmp_path / "pair.img")
    check_scan(tmp_path / "pair.img")
    (tmp_path / "pair.img").write_bytes((tmp_path / "pair.img").read_bytes()[:-1])
    cases = {"cut.nii": "promises", "four.nii.gz": "3D", "pair.hdr": "promises", "absent.nii": "no such file"}
    for name, words in cases.items():
        with pytest.raises(ScanError, match=words):
            check_scan(tmp_path / name)
    save(tmp_path / "noise.nii", white())
    check_scan(tmp_path / "noise.nii")  # what the voxels mean is left to reading


def test_bytes_behind_the_voxels_are_reported(tmp_path: Path) -> None:
    good = save(tmp_path / "x.nii", texture())
    assert read_volume(good).flags == ()
    good.write_bytes(good.read_bytes() + b"more")
    assert read_volume(good).flags == ("extra_bytes",)


def test_the_content_hash_is_of_what_is_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(texture(), AFFINE), tmp_path / "a.img")
    before = scan_sha256(tmp_path / "a.img")
    assert before == scan_sha256(tmp_path / "a.hdr")
    edit(tmp_path / "a.hdr", 280, "<f", -3.0)  # left becomes right: the voxels are the same, the scan is not
    assert before != scan_sha256(tmp_path / "a.img")
    with pytest.raises(ScanError, match="no such file"):
        scan_sha256(tmp_path / "absent.nii")
    with pytest.raises(ConfigError, match="three directions"):
        read_volume(tmp_path / "a.img", ReadOptions(orientation="RLS"))


def test_a_trailing_axis_of_one_is_fine(tmp_path: Path) -> None:
    assert read_volume(save(tmp_path / "x.nii.gz", texture()[..., None])).array.shape == (40, 42, 44)


def test_bad_files_answer_without_heavy_imports(tmp_path: Path) -> None:
    (tmp_path / "text.nii.gz").write_text("hello")
    save(tmp_path / "four.nii.gz", texture((20, 20, 20, 3)))
    code = (
        "import sys, pathlib\nfrom adclip.imaging.prepare import prepare_scan\nfrom adclip.errors import ScanError\n"
        "from adclip.config import SMALL\nfrom adclip.domain import ScanItem\nfrom adclip.imaging.steps.brain import DeepbetStripper\n"
        "for name in sys.argv[1:]:\n"
        "    try: prepare_scan(ScanItem(pathlib.Path(name), 'x'), SMALL.contract, DeepbetStripper())\n"
        "    except ScanError: continue\n"
        "    raise SystemExit('accepted')\n"
        "heavy = {'torch', 'monai', 'transformers', 'SimpleITK', 'scipy.ndimage', 'pandas'} & set(sys.modules)\n"
        "raise SystemExit(f'imported {heavy}' if heavy else 0)\n"
    )
    for name in ("nan", "ct", "noise", "mask", "labels", "rgb"):
        save(tmp_path / f"{name}.nii.gz", ARRAYS[name][0]())
    nib.save(nib.AnalyzeImage(texture(), AFFINE), tmp_path / "analyze.img")
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "IM1.dcm").write_bytes(bytes(128) + b"DICM" + b"rubbish" * 20)
    names = [str(path) for path in sorted(tmp_path.iterdir())] + [str(tmp_path / "absent.nii.gz")]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR", "SPL"])
def test_any_stored_order_reads_the_same_and_finds_its_way_back(codes: str, tmp_path: Path) -> None:
    array = texture()
    affine = np.diag([2.0, 2.5, 3.0, 1.0])
    affine[:3, 3] = (-30, 20, 7)
    image = nib.Nifti1Image(array, affine)
    change = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes))
    stored = image.as_reoriented(change)
    nib.save(stored, tmp_path / "x.nii.gz")
    volume = read_volume(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
    np.testing.assert_array_equal(to_source_order(volume.array, volume), np.asarray(stored.dataobj))


def test_scaled_integers_equal_their_float_copy(tmp_path: Path) -> None:
    path = save(tmp_path / "x.nii", texture().astype(np.uint8))
    edit(path, 112, "<2f", 17.514570, 3.25)
    save(tmp_path / "copy.nii", np.asarray(nib.load(path).dataobj).astype(np.float32))
    np.testing.assert_array_equal(read_volume(path).array, read_volume(tmp_path / "copy.nii").array)


def test_same_numbers_same_bytes(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((20, 21, 22)).astype(np.float32)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, image, AFFINE, np.int16)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    back, affine = read_voxels(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(back, image, atol=0.51 / 32767)
    np.testing.assert_array_equal(affine, AFFINE)
    np.testing.assert_allclose(nib.load(tmp_path / "a.nii.gz").get_fdata(), back, atol=1e-6)
    assert not [path for path in tmp_path.iterdir() if "part" in path.name]


# ----------------------------------------------------------------------------------------------- single voxels, shifted values


@pytest.mark.parametrize(
    ("value", "dtype"), [(3e38, np.float32), (-3e38, np.float32), (1e9, np.float32), (1e300, np.float64)]
)
def test_a_voxel_beyond_all_others_is_named_and_the_line_clears_it(
    value: float, dtype: type, tmp_path: Path, run_line: Callable[..., None]
) -> None:
    array = texture().astype(dtype)
    array[3, 14, 25] = value
    image = nib.Nifti1Image(array, np.diag([-2.0, 2.0, 2.0, 1.0]))  # stored from right to left: the index is the file's
    nib.save(image, tmp_path / "x.nii.gz")
    with pytest.raises(ScanError, match=r"1 voxel holds an impossible value: .* at index \(3, 14, 25\)") as caught:
        read_volume(tmp_path / "x.nii.gz")
    assert f"{value:.3g}" in caught.value.problem
    run_line(caught.value.remedy)
    cleared = read_volume(tmp_path / "cleared.nii.gz")
    assert cleared.array.max() < 1000
    assert cleared.array[::-1][3, 14, 25] == 0


@pytest.mark.parametrize(
    ("value", "share"), [(3.4e38, 0.6), (-3.4e38, 0.6), (3e38, 0.05), (np.nan, 0.6), (np.inf, 0.01)]
)
def test_what_fills_voxels_without_a_value_is_named_and_the_line_clears_it(
    value: float, share: float, tmp_path: Path, run_line: Callable[..., None]
) -> None:
    array = texture()
    filled = round(share * array.shape[0])
    array[: max(filled, 1)] = value
    with pytest.raises(ScanError, match=r"impossible value|NaN or infinite") as caught:
        read_volume(save(tmp_path / "x.nii.gz", array))
    assert f"{array[: max(filled, 1)].size} voxels" in caught.value.problem.replace(",", "")
    run_line(caught.value.remedy)
    cleared = read_volume(tmp_path / "cleared.nii.gz").array
    np.testing.assert_array_equal(np.sort(cleared[cleared != 0]), np.sort(array[max(filled, 1) :], axis=None))


def test_an_image_that_is_large_throughout_has_a_unit_of_its_own(tmp_path: Path) -> None:
    assert read_volume(save(tmp_path / "x.nii.gz", texture() * np.float32(1e33))).array.max() > 1e34


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 2)])
def test_one_image_of_a_series_is_taken_by_the_line_that_is_told(
    shape: tuple[int, ...], tmp_path: Path, run_line: Callable[..., None]
) -> None:
    series = np.stack([texture() + number for number in range(int(np.prod(shape)))], axis=-1)
    with pytest.raises(ScanError, match="expected a 3D image") as caught:
        read_volume(save(tmp_path / "x.nii.gz", series.reshape(*series.shape[:3], *shape)))
    run_line(caught.value.remedy)
    np.testing.assert_allclose(read_volume(tmp_path / "volume.nii.gz").array.max(), texture().max())


def test_bright_vessels_are_no_impossible_values(tmp_path: Path) -> None:
    array = texture()
    array[3:5, 3:5, 3:20] = 2000
    assert read_volume(save(tmp_path / "x.nii.gz", array)).array.max() == 2000


def test_shifted_values_can_be_declared_mr(tmp_path: Path) -> None:
    shifted = np.where(np.indices((40, 42, 44))[0] < 10, 0, 10 * texture()).astype(np.int16) - 1024
    path = save(tmp_path / "x.nii.gz", shifted)
    with pytest.raises(ScanError, match=r"look like CT .* % of the voxels") as caught:
        read_volume(path)
    assert "`--modality MR`" in caught.value.remedy
    volume = read_volume(path, ReadOptions(modality="MR"))
    np.testing.assert_array_equal(volume.array, shifted)
