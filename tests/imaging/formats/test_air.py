"""Noise over the whole range around a head, as MP2RAGE's UNI image has it, is told from noise, and from a noisy scan."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import make_head

from adclip.errors import ScanError
from adclip.imaging.formats.air import has_noise_of_full_range
from adclip.imaging.sources.files import read_volume


def quotient(noise: float = 0.02, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return MP2RAGE's UNI image, -0.5 to 0.5, of two painted inversions, the second inversion, and the affine."""
    array, affine, _ = make_head(noise=0.0)
    signal = array > 50
    wanted = np.clip(array / 1000, 0.02, 0.98) - 0.5
    second = np.where(signal, 0.6, 0.0)
    first = second * np.tan(np.arcsin(2 * wanted) / 2)
    rng = np.random.default_rng(seed)

    def measured(image: np.ndarray) -> np.ndarray:
        return image + noise * (rng.standard_normal(image.shape) + 1j * rng.standard_normal(image.shape))

    one, two = measured(first), measured(second)
    uni = (np.conj(one) * two).real / (abs(one) ** 2 + abs(two) ** 2)
    return uni.astype(np.float32), abs(two).astype(np.float32), affine


def test_a_quotient_is_recognised_in_any_unit_and_with_margins() -> None:
    uni, _, _ = quotient()
    for values in (uni, np.rint((uni + 0.5) * 4095).astype(np.float32), np.pad(uni, 10), 3000 * uni - 7):
        assert has_noise_of_full_range(values)


def test_scans_and_noise_are_none() -> None:
    array, _, brain = make_head(noise=0.0)
    rng = np.random.default_rng(0)
    for share in (0.01, 0.05, 0.1, 0.2):
        noise = 1000 * share * rng.standard_normal((2, *array.shape))
        assert not has_noise_of_full_range(np.hypot(array + noise[0], noise[1]).astype(np.float32))
    assert not has_noise_of_full_range(rng.random(array.shape).astype(np.float32))
    assert not has_noise_of_full_range(np.where(brain, array, 0))
    assert not has_noise_of_full_range(np.full((40, 40, 40), 3, np.float32))


def test_the_refusal_names_the_kind_and_its_cure_gives_a_readable_scan(tmp_path: Path, run_line) -> None:
    uni, second, affine = quotient()
    nib.save(nib.Nifti1Image(np.rint((uni + 0.5) * 4095).astype(np.int16), affine), tmp_path / "UNI.nii.gz")
    nib.save(nib.Nifti1Image(second, affine), tmp_path / "INV2.nii.gz")
    with pytest.raises(ScanError, match="UNI image of MP2RAGE") as caught:
        read_volume(tmp_path / "UNI.nii.gz")
    assert "UNI-DEN" in caught.value.remedy
    run_line(caught.value.remedy)
    assert read_volume(tmp_path / "UNI-masked.nii.gz").array.shape == uni.shape
