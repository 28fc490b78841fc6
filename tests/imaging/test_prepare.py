"""From a scan to the model's grid: the alignment is the true one, and storage changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from phantoms import FakeStripper, make_head, save, turn

from adclip.config import SMALL
from adclip.domain import ScanItem, Volume
from adclip.errors import ScanError
from adclip.imaging.derivatives.files import read_derivative, write_derivative
from adclip.imaging.derivatives.names import mask_path, sidecar_path, xfm_path
from adclip.imaging.prepare import prepare_scan, write_dataset_description
from adclip.imaging.sources.files import find_scans, read_volume
from adclip.imaging.steps.bias import correct_bias
from adclip.imaging.steps.brain import DeepbetStripper, find_stripped_mask
from adclip.imaging.steps.register import register_affine
from adclip.imaging.steps.templates import read_template

CONTRACT = SMALL.contract


def truth() -> np.ndarray:
    """A tilted, shifted, smaller head."""
    matrix = turn(12, 0) @ turn(-6, 2) @ np.diag([1.08, 1.05, 1.1, 1.0])
    matrix[:3, 3] = (8, -22, 35)
    return matrix


def distance_mm(one: np.ndarray, two: np.ndarray) -> float:
    """Largest distance of where two scan-to-MNI maps put the template's brain."""
    t1, affine = read_template()
    voxels = np.argwhere(t1[::12, ::12, ::12] > 0) * 12
    mni = np.c_[voxels @ affine[:3, :3].T + affine[:3, 3], np.ones(len(voxels))]
    scan = mni @ np.linalg.inv(one).T
    return float(np.linalg.norm((scan @ two.T - mni)[:, :3], axis=1).max())


def test_registration_finds_a_known_transform() -> None:
    array, affine, brain = make_head(truth())
    found = register_affine(array, affine, brain)
    assert distance_mm(truth(), found) < 0.5
    np.testing.assert_array_equal(found, register_affine(array, affine, brain))


def test_registration_does_not_depend_on_where_the_scanner_put_the_head() -> None:
    array, affine, brain = make_head(truth())
    moved = turn(15, 1)
    moved[:3, 3] = (150, -90, 220)
    assert (
        distance_mm(register_affine(array, affine, brain), register_affine(array, moved @ affine, brain) @ moved) < 1e-3
    )


def test_bias_field_goes_and_anatomy_stays() -> None:
    array, _, brain = make_head()
    x = np.linspace(-1, 1, array.shape[0])[:, None, None]
    field = np.exp(0.3 * x + 0.2 * x**2).astype(np.float32)
    clean, corrected = (correct_bias(one, brain, (2.0, 2.0, 2.0)) for one in (array, array * field))
    left = np.log(corrected[brain & (clean > 50)] / clean[brain & (clean > 50)])
    assert left.std() < 0.35 * np.log(np.broadcast_to(field, array.shape)[brain]).std()


def test_a_stripped_scan_is_recognised_and_a_head_is_not() -> None:
    for skull in (False, True):
        array, affine, brain = make_head(skull=skull)
        mask = find_stripped_mask(Volume(array, affine, None))  # type: ignore[arg-type]
        assert (mask is None) == skull
        if mask is not None:
            assert (mask == brain).mean() > 0.999


@pytest.mark.parametrize(("codes", "dtype"), [("LIA", np.float64), ("PSR", np.int16)])
def test_storage_does_not_change_the_answer(codes: str, dtype: type, tmp_path: Path) -> None:
    array, affine, _ = make_head(truth())
    array = np.rint(array)
    one, two = (
        prepare_scan(
            ScanItem(save(tmp_path / f"{name}.nii.gz", array, affine, order, kind), "x"), CONTRACT, FakeStripper()
        )
        for name, order, kind in (("a", "RAS", np.float32), ("b", codes, dtype))
    )
    np.testing.assert_allclose(one.image, two.image, atol=1e-3)
    np.testing.assert_allclose(one.scan_to_mni, two.scan_to_mni, atol=1e-4)


def test_the_prepared_scan_keeps_its_promises_and_its_derivative_gives_the_same_numbers(tmp_path: Path) -> None:
    array, affine, _ = make_head(truth())
    path = save(tmp_path / "in.nii.gz", array, affine, "LPS")
    item = ScanItem(path, "002_S_0413", "A")
    prepared = prepare_scan(item, CONTRACT, FakeStripper())
    assert prepared.image.shape == prepared.mask.shape == CONTRACT.shape_xyz
    assert prepared.image.dtype == np.float32
    assert prepared.image.min() >= 0 and 0.9 < prepared.image.max() <= 1
    assert not prepared.image[~prepared.mask].any()
    assert prepared.qc.verdict == "pass", prepared.qc
    assert distance_mm(truth(), prepared.scan_to_mni) < 1.5
    assert [step.name for step in prepared.steps] == [
        "read",
        "level",
        "brain",
        "bias",
        "register",
        "normalise",
        "resample",
        "quality",
    ]

    out = tmp_path / "out"
    write_dataset_description(out)
    target = write_derivative(prepared, item, out, CONTRACT)
    assert target.relative_to(out).as_posix() == (
        "sub-002S0413/ses-A/anat/sub-002S0413_ses-A_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz"
    )
    assert mask_path(target).is_file()
    assert np.loadtxt(xfm_path(target)) == pytest.approx(prepared.scan_to_mni, abs=1e-6)
    assert str(tmp_path) not in sidecar_path(target).read_text()
    (found,) = find_scans((out,))
    assert found.preprocessed and (found.subject_id, found.session_id) == ("002_S_0413", "A")
    again = prepare_scan(found, CONTRACT, None)
    np.testing.assert_array_equal(again.image, prepared.image)
    np.testing.assert_array_equal(again.mask, prepared.mask)
    np.testing.assert_allclose(again.scan_to_mni, prepared.scan_to_mni)
    assert again.qc == prepared.qc and again.volume is None

    with pytest.raises(ScanError, match="preprocessed on a grid"):
        read_derivative(found, type(CONTRACT)((32, 40, 32), (5.0, 5.0, 5.0), (0.0, -17.0, 5.0)))
    other = type(CONTRACT)(CONTRACT.shape, CONTRACT.spacing_mm, CONTRACT.center_mm, (1.0, 99.0))
    with pytest.raises(ScanError, match="other intensity rules"):
        read_derivative(found, other)
    sidecar = json.loads(sidecar_path(target).read_text())
    sidecar["GeneratedBy"][0]["Name"] = "somebody else"
    sidecar_path(target).write_text(json.dumps(sidecar))
    with pytest.raises(ScanError, match="not an adclip derivative"):
        read_derivative(found, CONTRACT)


class Blind(FakeStripper):
    """Finds nothing."""

    def __call__(self, volume: Volume) -> np.ndarray:
        return np.zeros(volume.array.shape, bool)


def test_no_brain_is_said_so(tmp_path: Path) -> None:
    array, affine, _ = make_head()
    path = save(tmp_path / "in.nii.gz", array, affine)
    with pytest.raises(ScanError, match="no brain found"):
        prepare_scan(ScanItem(path, "x"), CONTRACT, Blind())


# ----------------------------------------------------------------------------------------------- real scans


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t1_fullres/trio_b17_t1mprage.nii.gz", "ixi_2mm/IXI051-HH-1328_T1.nii.gz"])
def test_real_heads_align_and_storage_changes_nothing(name: str, real_data: Path, tmp_path: Path) -> None:
    stripper = DeepbetStripper("cpu")
    path = real_data / name
    one = prepare_scan(ScanItem(path, "x"), CONTRACT, stripper)
    assert one.qc.verdict == "pass"
    assert one.qc.numbers["template_overlap"] > 0.95
    volume = read_volume(path)
    other = save(tmp_path / "other.nii", volume.array, volume.affine, "SLP", np.float64)
    two = prepare_scan(ScanItem(other, "x"), CONTRACT, stripper)
    assert np.abs(one.image - two.image).max() < 1e-3


@pytest.mark.slow
def test_real_stripped_scans_need_no_stripper(real_data: Path) -> None:
    for path in sorted((real_data / "oasis1_stripped").glob("*.nii.gz")):
        prepared = prepare_scan(ScanItem(path, "x"), CONTRACT, None)
        assert "already_stripped" in prepared.flags
        assert prepared.qc.numbers["template_overlap"] > 0.9
