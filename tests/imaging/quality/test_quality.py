"""The verdict: every harm is named, a healthy scan is left alone, and numbers mean the same on both grids."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from phantoms import make_head, turn
from scipy import ndimage

from adclip.config import M3D_CLIP, SMALL
from adclip.domain import InputContract, SourceGrid, Volume
from adclip.imaging.quality.limits import ADVICE, LIMITS
from adclip.imaging.quality.measurements import measure_noise
from adclip.imaging.quality.verdict import Quality, judge, measure_quality, tell_left_from_right
from adclip.imaging.steps.grid import to_grid

CONTRACT = SMALL.contract


@pytest.fixture(scope="module")
def head() -> tuple[Volume, np.ndarray]:
    """A head that lies in MNI space, and its brain."""
    array, affine, brain = make_head()
    return Volume(array, affine, SourceGrid(array.shape, affine)), brain


def measure(
    volume: Volume,
    brain: np.ndarray,
    *,
    contract: InputContract = CONTRACT,
    scan_to_mni: np.ndarray | None = None,
    image: np.ndarray | None = None,
    again: bool = False,
) -> Quality:
    """Measure as preprocessing does, the alignment being known; `again` lets doubtful contrasts be aligned anew."""
    scan_to_mni = np.eye(4) if scan_to_mni is None else scan_to_mni
    mask = to_grid(brain.astype(np.float32), volume.affine, scan_to_mni, contract) > 0.5
    if image is None:
        image = to_grid(np.where(brain, volume.array, 0), volume.affine, scan_to_mni, contract) / 1000
    millilitres = float(brain.sum()) * abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    return measure_quality(
        np.clip(image, 0, 1) * mask, mask, contract, scan_to_mni, millilitres, volume, brain if again else None
    )


@pytest.mark.parametrize("contract", [SMALL.contract, M3D_CLIP.contract])
def test_a_healthy_head_passes_and_its_record_is_plain_json(
    head: tuple[Volume, np.ndarray], contract: InputContract
) -> None:
    quality = measure(*head, contract=contract, again=True)
    assert (quality.verdict, quality.reasons) == ("pass", ())
    assert quality.modality == "t1" and quality.left_right == "header"
    record = json.loads(json.dumps(quality.to_dict(), allow_nan=False))
    assert record["coverage"] == 1 and record["rotation_degrees"] == 0
    assert {limit.name for limit in LIMITS} < set(record)
    assert not any(isinstance(value, dict) for value in record.values())


def test_a_cut_off_top_is_called_a_cut_off_top(head: tuple[Volume, np.ndarray]) -> None:
    volume, brain = head
    top = int(np.flatnonzero(brain.any(axis=(0, 1)))[-1]) - 17
    cut = replace(volume, array=volume.array[:, :, :top])
    found = measure(cut, brain[:, :, :top], again=True)
    assert {"brain_cut_off", "top_cut_off", "mask_at_border"} <= set(found.reasons)
    assert "bottom_cut_off" not in found.reasons
    padded = volume.array.copy()
    padded[:, :, top:] = 0
    assert "top_cut_off" in measure(replace(volume, array=padded), brain).reasons  # padding is no field of view


def test_a_cut_off_bottom_is_called_a_cut_off_bottom(head: tuple[Volume, np.ndarray]) -> None:
    volume, brain = head
    start = int(np.flatnonzero(brain.any(axis=(0, 1)))[0]) + 18
    affine = volume.affine.copy()
    affine[2, 3] += start * affine[2, 2]
    found = measure(replace(volume, array=volume.array[:, :, start:], affine=affine), brain[:, :, start:])
    assert "bottom_cut_off" in found.reasons and "top_cut_off" not in found.reasons


def test_a_mask_that_is_wrong_is_named(head: tuple[Volume, np.ndarray]) -> None:
    volume, brain = head
    tiny = ndimage.binary_erosion(brain, iterations=9)
    assert {"low_template_overlap", "unusual_brain_volume"} <= set(measure(volume, tiny).reasons)
    assert measure(volume, tiny).verdict == "fail"
    middle = np.argwhere(brain).mean(axis=0).astype(int)
    holed, pieces = brain.copy(), brain.copy()
    holed[tuple(slice(m - 9, m + 9) for m in middle)] = False
    pieces[12:20, 10:35, 15:32] = True  # far left, behind and below: inside the box, apart from the brain
    assert "mask_with_holes" in measure(volume, holed).reasons
    assert "mask_in_pieces" in measure(volume, pieces).reasons
    depth = ndimage.distance_transform_edt(brain) - ndimage.distance_transform_edt(~brain)
    waves = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(brain.shape), 1.5)
    rough = depth + 2 * waves / waves.std() > 0  # the surface wanders by two voxels
    assert "rough_mask" in measure(volume, rough).reasons


def test_other_contrast_and_flat_tissue_are_named(head: tuple[Volume, np.ndarray]) -> None:
    volume, brain = head
    image = to_grid(volume.array, volume.affine, np.eye(4), CONTRACT) / 1000
    assert "not_t1_contrast" in measure(volume, brain, image=1.1 - image).reasons
    noise = np.random.default_rng(0).standard_normal(image.shape)
    assert "uneven_tissue" in measure(volume, brain, image=0.5 + 0.15 * image + 0.1 * noise).reasons


def test_noise_is_measured_as_it_was_painted(head: tuple[Volume, np.ndarray]) -> None:
    volume, brain = head
    rng = np.random.default_rng(0)
    for share in (0.03, 0.15):
        sigma = share * 850.0
        real, imaginary = (sigma * rng.standard_normal(volume.array.shape) for _ in range(2))
        clean = ndimage.gaussian_filter(np.where(brain, volume.array, 0), 1.0)
        noisy = replace(volume, array=np.hypot(clean + real, imaginary).astype(np.float32))
        found = measure_noise(np.eye(4), noisy)
        assert found["snr"] == pytest.approx(1 / share, rel=0.15)
        assert found["air_noise_percent"] == pytest.approx(100 * share, rel=0.15)
    reasons = measure(noisy, brain).reasons
    assert {"noisy", "noisy_air"} <= set(reasons)
    empty = replace(volume, array=np.where(brain, volume.array, 0))
    assert measure_noise(np.eye(4), empty)["air_noise_percent"] is None  # nothing was measured there


def test_a_turned_header_makes_the_sides_doubtful(head: tuple[Volume, np.ndarray]) -> None:
    volume, brain = head
    for degrees, doubtful in ((25, False), (60, True), (180, True)):
        rotation = turn(degrees, 1)
        # The scan's own millimetres turn one way, the alignment turns them back.
        found = measure(replace(volume, affine=np.linalg.inv(rotation) @ volume.affine), brain, scan_to_mni=rotation)
        assert found.numbers["rotation_degrees"] == pytest.approx(degrees, abs=1e-3)
        assert ("orientation_doubtful" in found.reasons) == doubtful
        assert found.left_right == ("doubtful" if doubtful else "header")
        assert found.numbers["template_overlap"] > 0.95


def test_an_impossible_size_fails(head: tuple[Volume, np.ndarray]) -> None:
    volume, brain = head
    growth = np.diag([1.7, 1.7, 1.7, 1.0])
    small = replace(volume, affine=np.linalg.inv(growth) @ volume.affine)
    found = measure(small, brain, scan_to_mni=growth)
    assert found.verdict == "fail" and {"impossible_scale", "unusual_brain_volume"} <= set(found.reasons)


def test_what_the_sides_rest_on() -> None:
    assert tell_left_from_right((), 10.0) == "header"
    assert tell_left_from_right(("orientation_declared",), 10.0) == "declared"
    assert tell_left_from_right(("orientation_doubtful",), 10.0) == "doubtful"
    assert tell_left_from_right(("orientation_declared",), 120.0) == "doubtful"
    assert judge({}, "doubtful") == ("warn", ("left_right_doubtful",))


def test_fail_beats_warn_beats_pass() -> None:
    good = {"template_overlap": 0.95, "template_correlation": 0.6, "snr": 30.0, "coverage": 1.0}
    assert judge(good) == ("pass", ())
    assert judge({**good, "snr": 9.0}) == ("warn", ("noisy",))
    assert judge({**good, "snr": 9.0, "template_overlap": 0.5}) == ("fail", ("low_template_overlap", "noisy"))
    assert judge({**good, "snr": None}) == ("pass", ())
    assert judge({**good, "snr": float("nan")})[0] == "fail"


def test_thresholds_are_in_order_and_every_reason_has_advice() -> None:
    assert set(ADVICE) == {limit.reason for limit in LIMITS if limit.reason} | {
        "left_right_doubtful",
        "voxel_size_doubtful",
    }
    for limit in LIMITS:
        (low, high), (lowest, highest) = limit.usual, limit.usable
        assert lowest is None or (low is not None and lowest <= low)
        assert highest is None or (high is not None and highest >= high)
