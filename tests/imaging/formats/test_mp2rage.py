"""MP2RAGE's uniform image is recognised by its air, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import make_head, texture

from adclip.errors import ScanError
from adclip.imaging.formats.mp2rage import is_uni
from adclip.imaging.formats.values import to_float
from adclip.imaging.sources.files import read_volume


def uniform_image(head: np.ndarray, inside: np.ndarray, seed: int = 0) -> np.ndarray:
    """Two noisy complex signals whose ratio is the head's contrast, as the sequence makes it: -0.5 to 0.5."""
    rng = np.random.default_rng(seed)
    ratio = np.where(inside, np.clip(head / np.percentile(head[inside], 99.5) - 0.5, -0.499, 0.499), 0)
    safe = np.where(ratio == 0, 1, ratio)
    share = np.where(ratio == 0, 0, (1 - np.sqrt(1 - 4 * ratio**2)) / (2 * safe))
    second = np.where(inside, 25.0, 0.0)
    noise = rng.standard_normal((4, *head.shape))
    one, two = second * share + noise[0] + 1j * noise[1], second + noise[2] + 1j * noise[3]
    return (np.conj(one) * two).real / (np.abs(one) ** 2 + np.abs(two) ** 2)


def made_up() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    array, affine, _ = make_head(spacing=3.0)
    return array, affine, array > 100


@pytest.mark.parametrize("pad", [0, 8])
@pytest.mark.parametrize(("scale", "kind"), [(4095.0, np.int16), (1.0, np.float32)])
def test_a_uniform_image_is_refused_with_the_cure(pad: int, scale: float, kind: type, tmp_path: Path) -> None:
    array, affine, inside = made_up()
    array, inside = (np.pad(one, pad) for one in (array, inside))
    uni = uniform_image(array, inside)
    stored = (np.rint((uni + 0.5) * scale) if kind is np.int16 else uni).astype(kind)
    nib.save(nib.Nifti1Image(stored, affine), tmp_path / "sub-1_UNIT1.nii")
    with pytest.raises(ScanError, match=r"an MP2RAGE image \(UNI\) whose air is noise") as caught:
        read_volume(tmp_path / "sub-1_UNIT1.nii")
    assert "UNI-DEN" in caught.value.remedy and "INV2" in caught.value.remedy


def test_a_uniform_image_whose_air_was_masked_is_read(tmp_path: Path) -> None:
    array, affine, inside = made_up()
    masked = np.where(inside, np.rint((uniform_image(array, inside) + 0.5) * 4095), 0).astype(np.int16)
    nib.save(nib.Nifti1Image(masked, affine), tmp_path / "x.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii").array, masked)


def test_noise_and_common_scans_are_no_uniform_image() -> None:
    rng = np.random.default_rng(0)
    array, _, _ = made_up()
    noisy = np.abs(array + 150 * rng.standard_normal(array.shape))  # SNR of 5 in the brightest tissue
    others = [
        rng.standard_normal((60, 70, 50)),
        rng.random((60, 70, 50)),
        np.zeros((40, 40, 40)),
        texture(),
        array,
        noisy,
    ]
    assert not any(is_uni(other.astype(np.float32)) for other in others)


def test_of_real_heads_only_their_uniform_images_are_recognised(real_data: Path) -> None:
    files = [
        *sorted((real_data / "ixi_2mm").glob("*_T1.nii.gz"))[:3],
        next((real_data / "t1_fullres").glob("*.nii.gz")),
    ]
    for file in files:
        image = nib.load(file)
        head = to_float(np.asanyarray(image.dataobj), 1.0, 0.0)
        inside = head > 0.15 * np.percentile(head, 99)
        assert not is_uni(head), file.name
        assert is_uni(uniform_image(head, inside).astype(np.float32)), file.name
