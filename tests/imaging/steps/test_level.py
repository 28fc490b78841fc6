"""A scan that somebody rescaled is the same scan: a * x + b changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from phantoms import FakeStripper, make_head, save

from adclip.config import SMALL
from adclip.domain import ScanItem, Volume
from adclip.imaging.prepare import prepare_scan
from adclip.imaging.sources.files import read_volume
from adclip.imaging.steps.brain import DeepbetStripper
from adclip.imaging.steps.level import level
from adclip.model.checkpoint import read_contract

CONTRACT = SMALL.contract


class RelativeStripper(FakeStripper):
    """Looks at the scan relative to its brightest voxels, as deepbet does."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__()
        self.bright = float(np.percentile(array, 99))

    def __call__(self, volume: Volume) -> NDArray[np.bool_]:
        factor = self.bright / float(np.percentile(volume.array, 99))
        return super().__call__(replace(volume, array=volume.array * factor))


@pytest.mark.parametrize("skull", [True, False])
@pytest.mark.parametrize(("factor", "shift"), [(1.0, 1000.0), (1 / 300, -1.0), (0.01, 0.0), (250.0, -30.0)])
def test_the_answer_does_not_change_with_the_scale(tmp_path: Path, skull: bool, factor: float, shift: float) -> None:
    array, affine, _ = make_head(skull=skull)
    stripper = RelativeStripper(array)
    one, two = (
        prepare_scan(ScanItem(save(tmp_path / f"{name}.nii.gz", values, affine, "RAS"), "x"), CONTRACT, stripper)
        for name, values in (("a", array), ("b", array * factor + shift))
    )
    np.testing.assert_allclose(one.image, two.image, atol=1e-3)
    np.testing.assert_allclose(one.scan_to_mni, two.scan_to_mni, atol=1e-3)
    assert ("already_stripped" in one.flags) == ("already_stripped" in two.flags) == (not skull)


@pytest.mark.parametrize("outside", [0.0, -1.0])
def test_a_brain_scored_by_its_own_mean_keeps_its_dark_half(outside: float) -> None:
    array, _, brain = make_head(skull=False)
    scored = np.where(brain, (array - array[brain].mean()) / array[brain].std(), outside).astype(np.float32)
    levelled, how = level(scored)
    assert how.background in ("inside", "constant")
    assert not levelled[~brain].any()
    assert (levelled[brain] > 0).mean() > 0.999
    assert np.corrcoef(levelled[brain], array[brain])[0, 1] > 0.999


def test_the_values_of_the_file_can_be_had_back() -> None:
    array, _, _ = make_head()
    levelled, how = level((array * 0.003 - 1.0).astype(np.float32))
    place = np.unravel_index(array.argmax(), array.shape)
    assert how.to_file(float(levelled[place])) == pytest.approx(float(array[place]) * 0.003 - 1.0, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "shift"), [(1.0, 1000.0), (1 / 200, -1.0)])
def test_real_scans_do_not_change_with_the_scale(real_data: Path, tmp_path: Path, factor: float, shift: float) -> None:
    contract, stripper = read_contract("builtin"), DeepbetStripper("cpu")
    scans = [
        sorted((real_data / "ixi_2mm").glob("*_T1.nii.gz"))[5],
        sorted((real_data / "oasis1_stripped").glob("*.nii.gz"))[0],
    ]
    for scan in scans:
        volume = read_volume(scan)
        moved = save(tmp_path / "moved.nii.gz", volume.array * factor + shift, volume.affine, "RAS")
        plain = save(tmp_path / "plain.nii.gz", volume.array, volume.affine, "RAS")
        one, two = (prepare_scan(ScanItem(path, "x"), contract, stripper) for path in (plain, moved))
        assert np.abs(one.image - two.image).max() < 1e-3
        assert one.qc.verdict == two.qc.verdict
