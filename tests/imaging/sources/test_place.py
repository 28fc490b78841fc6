"""A map on a scan's voxels has the scan's place: both forms, their codes, voxel sizes, shape and axis order."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from phantoms import turn
from scipy import ndimage

from adclip.domain import ReadOptions
from adclip.imaging.formats.nifti import PLACE_FIELDS
from adclip.imaging.sources.files import read_volume, write_nifti

SHAPE = (71, 65, 81)


def write_scan(path, sform_code, qform_code, kind=nib.Nifti1Image, shift_mm=0.0, codes="PIR"):
    """Write a scan whose qform lies `shift_mm` beside its sform."""
    affine = turn(24, 0) @ turn(-13, 2) @ np.diag([0.9, 1.3, 1.2, 1.0])
    affine[:3, 3] = (-40.3, -51.2, -38.7)
    values = 100 + 20 * ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 1.5)
    image = kind(values.astype(np.float32), affine)
    wanted = nib.orientations.axcodes2ornt(codes)
    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), wanted))
    header = image.header
    moved = image.affine.copy()
    moved[:3, 3] += shift_mm
    header.set_qform(moved, code=qform_code)
    header.set_sform(image.affine, code=sform_code)
    header["descrip"] = b"Name of a person"
    nib.save(kind(np.asarray(image.dataobj), None, header), path)
    stored = nib.load(path).header
    assert (int(stored["sform_code"]), int(stored["qform_code"])) == (sform_code, qform_code)


def map_of(path, volume):
    target = path.with_name("map.nii.gz")
    source = volume.source
    write_nifti(target, np.zeros(source.shape, np.float32), source.affine, place=source.place)
    return nib.load(target)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image], ids=["NIfTI-1", "NIfTI-2"])
@pytest.mark.parametrize("codes", ["RAS", "LAS", "PIR"])
@pytest.mark.parametrize(("sform_code", "qform_code"), [(1, 1), (2, 1), (4, 1), (0, 1), (0, 2), (2, 0), (1, 3)])
def test_forms_and_codes_are_kept(tmp_path, sform_code, qform_code, codes, kind):
    path = tmp_path / "scan.nii.gz"
    write_scan(path, sform_code, qform_code, kind, codes=codes)
    scan, made = nib.load(path), map_of(path, read_volume(path))
    assert made.shape == scan.shape
    for name in PLACE_FIELDS:  # 32-bit in NIfTI-1
        np.testing.assert_array_equal(made.header[name], np.float32(scan.header[name]), err_msg=name)
    np.testing.assert_array_equal(made.header["pixdim"][:4], np.float32(scan.header["pixdim"][:4]))
    np.testing.assert_allclose(made.affine, scan.affine, atol=2e-6)
    assert nib.aff2axcodes(made.affine) == nib.aff2axcodes(scan.affine)
    assert b"person" not in made.header.binaryblock


def test_forms_that_disagree_stay_two(tmp_path):
    path = tmp_path / "scan.nii.gz"
    write_scan(path, 2, 1, shift_mm=2.0)
    volume = read_volume(path)
    assert "sform_qform_disagree" in volume.flags
    scan, made = nib.load(path), map_of(path, volume)
    np.testing.assert_array_equal(made.get_sform(), scan.get_sform())
    np.testing.assert_array_equal(made.get_qform(), scan.get_qform())


def test_a_form_that_is_no_place_is_not_passed_on(tmp_path):
    path = tmp_path / "scan.nii.gz"
    write_scan(path, 2, 1)
    image = nib.load(path)
    header = image.header.copy()
    header["srow_x"] = np.nan
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, header), path)
    volume = read_volume(path)
    assert "sform_invalid" in volume.flags
    made = map_of(path, volume)
    assert (int(made.header["sform_code"]), int(made.header["qform_code"])) == (0, 1)
    np.testing.assert_allclose(made.affine, volume.source.affine, atol=1e-5)


def test_what_the_user_declared_stands_in_the_map(tmp_path):
    """A scan without forms has no sides; its map has those that the user gave."""
    path = tmp_path / "scan.nii.gz"
    write_scan(path, 0, 0)
    volume = read_volume(path, ReadOptions(orientation="LPI"))
    made = map_of(path, volume)
    assert (int(made.header["sform_code"]), int(made.header["qform_code"])) == (1, 1)
    assert nib.aff2axcodes(made.affine) == ("L", "P", "I")


def test_an_mgh_scan_has_a_map_with_its_affine(tmp_path):
    path = tmp_path / "scan.mgz"
    affine = turn(18, 1) @ np.diag([1.0, 1.1, 1.3, 1.0])
    values = 100 + 20 * ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 1.5)
    nib.save(nib.MGHImage(values.astype(np.float32), affine), path)
    volume = read_volume(path)
    assert not volume.source.place
    made = map_of(path, volume)
    assert made.shape == SHAPE and int(made.header["sform_code"]) == 1
    np.testing.assert_allclose(made.affine, nib.load(path).affine, atol=1e-4)
