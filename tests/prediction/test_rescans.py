"""Pseudo-rescans: a little different, always the same, and never more than a brain."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from adclip.domain import InputContract
from adclip.prediction.rescans import DEFAULT_COUNT, SMALL_TOWER, default_count, pseudo_rescans, to_range

CONTRACT = InputContract(shape=(36, 40, 32), spacing_mm=(4.0, 4.0, 5.0), center_mm=(0.0, -17.0, 5.0))


def make_scan(seed: int = 0):
    """A smooth ball of several shades on a grid whose voxels are no cubes."""
    draw = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in CONTRACT.shape_xyz), indexing="ij")
    mask = x**2 + y**2 + z**2 < 0.6
    shades = gaussian_filter(draw.normal(size=mask.shape), 3)
    image = np.where(mask, np.clip(0.5 + 0.15 * shades / shades.std(), 0, 1), 0).astype(np.float32)
    return image, mask


def test_each_is_a_brain_that_moved_a_little():
    image, mask = make_scan()
    stranger, _ = make_scan(1)
    for again in pseudo_rescans(image, mask, CONTRACT, 6):
        assert again.dtype == np.float32 and again.shape == image.shape and again.min() >= 0 and again.max() <= 1
        assert abs((again > 0).mean() / mask.mean() - 1) < 0.02
        both = mask & (again > 0)
        alike, unlike = (np.corrcoef(one[both], again[both])[0, 1] for one in (image, stranger))
        assert unlike < 0.5 and 0.85 < alike < 0.9999
        # 0.5 voxel and 2 degrees: no centre of mass moves by a whole voxel
        centres = [np.array(np.nonzero(part)).mean(axis=1) for part in (mask, again > 0)]
        assert np.abs(centres[0] - centres[1]).max() < 0.8


def test_they_hang_on_content_and_seed_alone():
    image, mask = make_scan()
    first = list(pseudo_rescans(image, mask, CONTRACT, 3))
    for one, other in zip(first, pseudo_rescans(image.copy(order="F"), mask, CONTRACT, 3), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first[0], next(pseudo_rescans(image, mask, CONTRACT, 1)))  # more begin with fewer
    assert all(np.any(first[0] != other) for other in first[1:])
    for other in (
        next(pseudo_rescans(image, mask, CONTRACT, 1, seed=1)),
        next(pseudo_rescans(*make_scan(1), CONTRACT, 1)),
    ):
        assert np.any(first[0] != other)


def test_another_process_makes_the_same(tmp_path):
    image, mask = make_scan()
    np.savez(tmp_path / "scan.npz", image=image, mask=mask)
    code = (
        "import sys, hashlib, numpy as np\n"
        "from adclip.domain import InputContract\n"
        "from adclip.prediction.rescans import pseudo_rescans\n"
        f"scan, contract = np.load({str(tmp_path / 'scan.npz')!r}), {CONTRACT!r}\n"
        "for one in pseudo_rescans(scan['image'], scan['mask'], contract, 2):\n"
        "    print(hashlib.sha256(one.tobytes()).hexdigest())\n"
    )
    import hashlib

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    wanted = [hashlib.sha256(one.tobytes()).hexdigest() for one in pseudo_rescans(image, mask, CONTRACT, 2)]
    assert done.stdout.split() == wanted, done.stderr


def test_an_empty_or_a_constant_scan_does_no_harm():
    nothing = np.zeros(CONTRACT.shape_xyz, np.float32)
    assert not next(pseudo_rescans(nothing, nothing > 0, CONTRACT, 1)).any()
    assert np.isfinite(next(pseudo_rescans(nothing + 1, nothing == 0, CONTRACT, 1))).all()


def test_the_range_holds_what_is_printed_and_counts_who_kept_the_class():
    present = {"CN": 0.2, "AD": 0.8}
    again = [{"CN": 0.3, "AD": 0.7}, {"CN": 0.6, "AD": 0.4}]
    found = to_range(present, again)
    assert (found.low, found.high, found.kept, found.of) == (0.4, 0.8, 1, 2)


@pytest.mark.parametrize(
    ("is_raw", "device", "parameters", "wanted"),
    [
        (True, "cpu", SMALL_TOWER, DEFAULT_COUNT), (True, "cpu", SMALL_TOWER + 1, 0), (True, "cuda", 10**9, DEFAULT_COUNT),
        (False, "cpu", 1, 0), (False, "cuda", 1, 0), (True, "mps", 10**9, DEFAULT_COUNT),
    ],
)  # fmt: skip
def test_the_default_is_a_rule_and_no_clock(is_raw, device, parameters, wanted):
    assert default_count(is_raw=is_raw, device_type=device, tower_parameters=parameters) == wanted
