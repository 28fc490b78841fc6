"""Formats beside NIfTI files, and the table by which the geometry is chosen: left stays left, or the scan is refused."""

from __future__ import annotations

import gzip
import itertools
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import texture, turn

from adclip.domain import ReadOptions, Volume
from adclip.errors import ConfigError, ScanError
from adclip.imaging.quality.verdict import judge
from adclip.imaging.sources.files import check_scan, read_volume, to_source_order

SHAPE = (40, 42, 44)
AFFINE = np.diag([2.0, 2.5, 3.0, 1.0])
AFFINE[:3, 3] = (-30, 20, 7)
ORDERS = [
    "".join(codes)
    for order in itertools.permutations(("LR", "PA", "IS"))
    for codes in itertools.product(*order)
]  # fmt: skip


def marked() -> np.ndarray:
    """A texture with a bright spot at the left, the front and the bottom of the middle."""
    array = texture(SHAPE)
    array[8:12, 30:33, 12:14] = 900
    return array


def reorient(image: nib.spatialimages.SpatialImage, codes: str) -> nib.spatialimages.SpatialImage:
    change = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes))
    return image.as_reoriented(change)


def spot_mm(volume: Volume) -> np.ndarray:
    return (volume.affine @ [*np.argwhere(volume.array > 800).mean(axis=0), 1])[:3]


def edit(path: Path, offset: int, form: str, *values: float) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("codes", ORDERS)
def test_every_order_of_the_axes_is_one_scan(codes: str, tmp_path: Path) -> None:
    array = marked()
    stored = reorient(nib.Nifti1Image(array, AFFINE), codes)
    nib.save(stored, tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_array_equal(volume.affine, AFFINE)
    np.testing.assert_array_equal(to_source_order(volume.array, volume), np.asarray(stored.dataobj))
    assert volume.facts["stored_orientation"] == codes
    assert len(ORDERS) == 48


@pytest.mark.parametrize("name", ["x.mgz", "x.mgh", "x.img", "x.hdr"])
@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR", "SLP"])
def test_left_stays_left_in_every_format(name: str, codes: str, tmp_path: Path) -> None:
    affine = turn(9, 1) @ turn(7, 2) @ AFFINE
    image = reorient(nib.Nifti1Image(marked(), affine), codes)
    kind = nib.MGHImage if name.endswith(("mgz", "mgh")) else nib.Nifti1Pair
    nib.save(kind(np.asarray(image.dataobj), image.affine), tmp_path / name.replace("hdr", "img"))
    check_scan(tmp_path / name)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, marked())
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
    np.testing.assert_allclose(spot_mm(volume), (affine @ [9.5, 31, 12.5, 1])[:3], atol=1e-3)
    assert volume.facts["stored_orientation"] == codes
    assert volume.facts["format"] == ("MGH" if kind is nib.MGHImage else "NIfTI-1 pair")
    assert 8 < volume.facts["obliquity_deg"] < 13


def test_analyze_is_read_only_with_a_declared_orientation(tmp_path: Path) -> None:
    image = nib.AnalyzeImage(marked(), np.diag([2.0, 2.5, 3.0, 1.0]))
    nib.save(image, tmp_path / "x.img")
    for name in ("x.img", "x.hdr"):
        with pytest.raises(ScanError, match="no orientation") as caught:
            read_volume(tmp_path / name)
        assert "--orientation" in caught.value.remedy
    for codes, mirrored in (("RAS", False), ("las", True)):
        volume = read_volume(tmp_path / "x.hdr", ReadOptions(orientation=codes))
        np.testing.assert_array_equal(volume.array, marked()[::-1] if mirrored else marked())
        np.testing.assert_allclose(np.diag(volume.affine)[:3], (2, 2.5, 3))
        np.testing.assert_allclose((volume.affine @ [*(np.array(SHAPE) - 1) / 2, 1])[:3], 0, atol=1e-9)
        assert volume.flags == ("orientation_declared",)
    (tmp_path / "x.img").unlink()
    with pytest.raises(ScanError, match=r"x\.img is missing"):
        read_volume(tmp_path / "x.hdr", ReadOptions(orientation="RAS"))


@pytest.mark.parametrize(
    ("name", "words"),
    [("OAS1_0001_MR1_mpr-1_anon.img", "add `--orientation ASL`"), ("OAS1_0042_MR2_mpr_n4_anon_sbj_111.img", "add `--orientation ASL`"),
     ("OAS1_0001_MR1_mpr_n4_anon_111_t88_gfc.img", "in SUBJ_111 or RAW with `--orientation ASL`"), ("OAS1.img", "for example `--orientation LAS`")],
)  # fmt: skip
def test_files_of_oasis_1_are_told_how_they_are_read(tmp_path: Path, name: str, words: str) -> None:
    nib.save(nib.AnalyzeImage(marked(), np.diag([2.0, 2.5, 3.0, 1.0])), tmp_path / name)
    with pytest.raises(ScanError, match="no orientation") as caught:
        read_volume(tmp_path / name)
    assert words in caught.value.remedy
    assert read_volume(tmp_path / name, ReadOptions(orientation="ASL")).flags == ("orientation_declared",)


def test_an_mgh_without_orientation_needs_one_and_a_broken_stream_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.mgh"
    nib.save(nib.MGHImage(texture((80, 81, 82)), AFFINE), path)
    good = path.read_bytes()
    edit(path, 28, ">h", 0)
    with pytest.raises(ScanError, match="no orientation"):
        check_scan(path)
    volume = read_volume(path, ReadOptions(orientation="LIA"))
    assert volume.array.shape == (80, 82, 81)
    assert volume.facts["voxel_mm"] == [1, 1, 1]
    path.write_bytes(good[:5000])
    with pytest.raises(ScanError, match="promises"):
        check_scan(path)
    zipped = bytearray(gzip.compress(good))
    zipped[-6] ^= 1
    (tmp_path / "x.mgz").write_bytes(bytes(zipped))
    with pytest.raises(ScanError, match="checksum"):
        read_volume(tmp_path / "x.mgz")
    path.write_bytes(good)
    edit(path, 4, ">3i", 9999, 9999, 9999)
    with pytest.raises(ScanError, match="the cap is"):
        read_volume(path)


def test_a_declared_orientation_never_overrules_a_header(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(marked(), AFFINE), tmp_path / "x.nii")
    for codes, flags in (("RAS", ()), ("LPI", ("orientation_option_ignored",))):
        volume = read_volume(tmp_path / "x.nii", ReadOptions(orientation=codes))
        np.testing.assert_array_equal(volume.array, marked())
        assert volume.flags == flags
    nib.save(nib.Nifti1Image(marked(), np.diag([2.0, 2.5, 3.0, 1.0])), tmp_path / "x.nii")
    assert read_volume(tmp_path / "x.nii").flags == (
        "orientation_doubtful",
    )  # origin in a corner: filled in, not known
    volume = read_volume(tmp_path / "x.nii", ReadOptions(orientation="LAS"))
    np.testing.assert_array_equal(volume.array, marked()[::-1])
    with pytest.raises(ConfigError, match="three directions"):
        check_scan(tmp_path / "x.nii", ReadOptions(orientation="RRS"))


# ----------------------------------------------------------------------------------------------- the table

NAN = float("nan")
SFORM, QUATERN, CODES, PIXDIM, UNITS = 280, 256, 252, 80, 123  # nifti1.h


def both(path: Path, sform: np.ndarray, qform: np.ndarray) -> Path:
    image = nib.Nifti1Image(texture(SHAPE), AFFINE)
    image.set_qform(qform, code=1)
    image.set_sform(sform, code=2)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("change", "used", "flags"),
    [
        ((), "sform", ()),
        ((CODES + 2, "<h", 0), "qform", ()),
        ((CODES, "<h", 0), "sform", ()),
        ((SFORM, "<4f", 0, 0, 0, 0), "qform", ("sform_invalid",)),
        ((SFORM, "<f", NAN), "qform", ("sform_invalid",)),
        ((SFORM, "<4f", 2, 2, 0, 0), "qform", ("sform_invalid",)),  # 45 degrees off a right angle
        ((QUATERN, "<3f", 3, 3, 3), "sform", ("qform_invalid",)),
        ((QUATERN, "<f", NAN), "sform", ("qform_invalid",)),
        ((SFORM + 12, "<f", -22.0), "sform", ("sform_qform_disagree",)),
        ((SFORM, "<f", 2.015), "sform", ()),  # 0.75 %: the last digits of a scanner
        ((UNITS, "<B", 1), "sform", ("units_doubtful",)),
    ],
)
def test_the_table_of_geometry(change: tuple, used: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    path = both(tmp_path / "x.nii", AFFINE, AFFINE)
    if change:
        edit(path, *change)
    volume = read_volume(path)
    assert volume.facts["affine_from"] == used
    assert volume.flags == flags
    check_scan(path)
    if change == (SFORM + 12, "<f", -22.0):
        assert volume.facts["sform_qform_mm"] == pytest.approx(8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(CODES, "<2h", 0, 0)], "no orientation"),
        ([(SFORM, "<4f", -2, 0, 0, 0)], "sform and qform contradict"),
        ([(SFORM, "<8f", 0, 2.5, 0, 0, 2, 0, 0, 0)], "sform and qform contradict"),
        ([(SFORM, "<4f", 0, 0, 0, 0), (QUATERN, "<3f", 3, 3, 3)], "sform: it is singular; qform: it is no rotation"),
        ([(CODES, "<h", 0), (SFORM, "<f", NAN)], "NaN"),
        ([(CODES, "<h", 0), (SFORM, "<f", 30.0)], "voxel size 30 x"),
        ([(CODES, "<h", 0), (SFORM, "<f", 0.002)], "voxel size 0.002"),
    ],
)
def test_impossible_geometry_is_refused(changes: list, words: str, tmp_path: Path) -> None:
    path = both(tmp_path / "x.nii", AFFINE, AFFINE)
    for change in changes:
        edit(path, *change)
    for read in (read_volume, check_scan):
        with pytest.raises(ScanError, match=words):
            read(path)


@pytest.mark.parametrize(
    ("factor", "unit", "word"), [(0.001, 1, "metres"), (1000, 3, "micrometres"), (0.001, 2, "metres")]
)
def test_other_units_are_named_in_the_hint(factor: float, unit: int, word: str, tmp_path: Path) -> None:
    path = both(tmp_path / "x.nii", np.diag([factor, factor, factor, 1]) @ AFFINE, AFFINE)
    edit(path, CODES, "<h", 0)
    edit(path, UNITS, "<B", unit)
    with pytest.raises(ScanError, match="impossible") as caught:
        read_volume(path)
    assert word in caught.value.remedy


def test_slight_shear_and_oblique_turns_are_kept(tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[1, 0] = 0.2
    assert read_volume(both(tmp_path / "x.nii", sheared, AFFINE)).flags == ("sform_qform_disagree", "sheared")
    oblique = turn(20, 0) @ turn(25, 2) @ AFFINE
    volume = read_volume(both(tmp_path / "x.nii", oblique, oblique))
    np.testing.assert_allclose(volume.affine, oblique, atol=1e-4)
    assert volume.flags == ()
    assert volume.facts["obliquity_deg"] > 20


# ----------------------------------------------------------------------------------------------- real files


@pytest.mark.slow
def test_every_real_scan_is_read_and_every_label_map_refused(real_data: Path) -> None:
    accepted, refused = 0, 0
    for path in sorted(real_data.glob("*/*.nii.gz")):
        if "DLMUSE" in path.name or path.parent.name == "synthseg_labels":
            with pytest.raises(ScanError, match="label map"):
                read_volume(path)
            refused += 1
        else:
            read_volume(path)
            accepted += 1
    assert accepted >= 62
    assert refused >= 69


@pytest.mark.parametrize("name", ["x.nii", "x.hdr", "x.mgh"])
def test_a_header_of_chance_bytes_is_read_or_refused_but_never_a_crash(name: str, tmp_path: Path) -> None:
    kind = {"x.nii": nib.Nifti2Image, "x.hdr": nib.Nifti1Pair, "x.mgh": nib.MGHImage}[name]
    nib.save(kind(texture(SHAPE), AFFINE), tmp_path / name.replace("hdr", "img"))
    good = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(2)
    outcomes = set()
    for _ in range(150):
        bad = bytearray(good)
        for position in rng.integers(0, {"x.nii": 540, "x.hdr": 348, "x.mgh": 90}[name], 3):
            bad[position] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(bytes(bad))
        try:
            check_scan(tmp_path / name)
            outcomes.add("read")
        except ScanError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


# ----------------------------------------------------------------------------------------------- headers that contradict themselves


def scaled(factor: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, :3] *= factor
    return affine


@pytest.mark.parametrize(("sform", "qform"), [(0.9, 1.0), (1.0, 0.9), (1.02, 1.0)])
def test_two_voxel_sizes_are_refused_and_each_line_drops_one(
    sform: float, qform: float, tmp_path: Path, run_line: Callable[..., None]
) -> None:
    path = both(tmp_path / "x.nii", scaled(sform), scaled(qform))
    for read in (read_volume, check_scan):
        with pytest.raises(ScanError, match="two voxel sizes") as caught:
            read(path)
    for factor in (sform, qform):
        assert " x ".join(f"{size:.4g}" for size in np.array([2.0, 2.5, 3.0]) * factor) in caught.value.problem
    for dropped, kept in (("sform", qform), ("qform", sform)):
        run_line(caught.value.remedy, f"without-{dropped}")
        volume = read_volume(tmp_path / f"without-{dropped}.nii.gz")
        assert volume.flags == ()
        np.testing.assert_allclose(volume.facts["voxel_mm"], np.array([2.0, 2.5, 3.0]) * kept, rtol=1e-4)
        np.testing.assert_array_equal(volume.array, texture(SHAPE))


def test_pixdim_against_an_sform_alone_is_flagged(tmp_path: Path) -> None:
    path = both(tmp_path / "x.nii", AFFINE, AFFINE)
    edit(path, CODES, "<h", 0)
    edit(path, PIXDIM, "<f", 1.8)
    volume = read_volume(path)
    assert volume.flags == ("pixdim_disagrees",)
    assert volume.facts["pixdim_mm"] == [1.8, 2.5, 3.0]
    quality = judge({}, sizes_doubtful="pixdim_disagrees" in volume.flags)
    assert quality == ("warn", ("voxel_size_doubtful",))


def test_contradicting_directions_are_both_named_with_lines_that_drop_one(
    tmp_path: Path, run_line: Callable[..., None]
) -> None:
    path = both(tmp_path / "x.nii", np.diag([-1.0, 1, 1, 1]) @ AFFINE, AFFINE)
    with pytest.raises(ScanError, match=r"sform says LAS, qform says RAS") as caught:
        read_volume(path)
    for dropped, codes in (("sform", "RAS"), ("qform", "LAS")):
        run_line(caught.value.remedy, f"without-{dropped}")
        volume = read_volume(tmp_path / f"without-{dropped}.nii.gz")
        assert volume.facts["stored_orientation"] == codes
        assert volume.flags == ()


@pytest.mark.parametrize(("degrees", "flags"), [(0.0, ()), (0.002, ()), (0.02, ("sheared",)), (0.06, ("sheared",))])
def test_a_shear_that_other_programs_refuse_is_flagged(degrees: float, flags: tuple[str, ...], tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = np.tan(np.deg2rad(degrees))
    path = both(tmp_path / "x.nii", sheared @ AFFINE, AFFINE)
    assert read_volume(path).flags == flags


@pytest.mark.parametrize(
    ("slope", "intercept", "flags"),
    [
        (NAN, 0.0, ("scaling_ignored",)),
        (np.inf, 5.0, ("scaling_ignored",)),
        (-np.inf, 0.0, ("scaling_ignored",)),
        (1.0, np.inf, ("scaling_ignored",)),
        (1.0, NAN, ("scaling_ignored",)),
        (0.0, NAN, ()),  # a slope of 0 asks for no scaling at all
        (1.0, 0.0, ()),
    ],
)
def test_scaling_that_is_no_number_is_ignored_and_flagged(
    slope: float, intercept: float, flags: tuple[str, ...], tmp_path: Path
) -> None:
    path = both(tmp_path / "x.nii", AFFINE, AFFINE)
    edit(path, 112, "<2f", slope, intercept)
    volume = read_volume(path)
    assert volume.flags == flags
    np.testing.assert_array_equal(volume.array, texture(SHAPE))
