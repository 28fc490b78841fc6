"""What "nothing to see" looks like: whose heads, of which age, on which grid."""

from __future__ import annotations

import hashlib
import itertools
import json

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from tiny import CONTRACT

from adclip.config import M3D_CLIP, SMALL
from adclip.explanation.references import (
    BLUR_FWHM_MM,
    FOLDER,
    age_bands,
    band_of,
    blurred,
    reference_image,
)
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.steps.templates import read_template


def template_on(contract) -> np.ndarray:
    """Return the template's brain in [0, 1] on a grid."""
    image = to_grid(*read_template(), np.eye(4), contract)
    return image / image.max()


def test_the_images_are_those_that_the_record_names():
    record = json.loads((FOLDER / "references.json").read_text())
    assert record["made_of"] == "simulated healthy heads"
    named = {band["file"]: band["sha256"] for band in record["bands"]}
    there = {path.name for path in FOLDER.iterdir() if path.name.endswith(".nii.gz")}
    assert set(named) == there
    for name, digest in named.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_bands_follow_each_other_and_rest_on_fifty_heads_and_more():
    bands = age_bands()
    assert all(one.high == two.low for one, two in itertools.pairwise(bands))
    assert all(band.low < band.high and band.people >= 50 for band in bands)


@pytest.mark.parametrize(
    ("age", "low"),
    [(20, 55), (55, 55), (69.9, 55), (70, 70), (74.99, 70), (75, 75), (79.5, 75), (80, 80), (90, 80), (104, 80), (None, 75),
     (float("nan"), 75)],
)  # fmt: skip
def test_each_age_has_its_band(age, low):
    band = band_of(age)
    assert band.low == low
    assert band.described == f"the mean of {band.people} simulated healthy heads of {band.low:g} to {band.high:g} years"


@pytest.mark.parametrize("contract", [SMALL.contract, CONTRACT, M3D_CLIP.contract], ids=["builtin", "tiny", "m3d-clip"])
def test_on_each_grid_it_is_a_healthy_head_in_its_place(contract):
    image = reference_image(contract, 75.0)
    assert image.shape == contract.shape_xyz and image.dtype == np.float32
    assert image.min() == 0 and 0.5 < image.max() <= 1
    template = template_on(contract)
    brain = template > 0
    # what is nearer to a border than a head is to the next one may lie on either side of it
    assert image[binary_erosion(brain)].mean() > 0.3 and image[~binary_dilation(brain, iterations=3)].mean() < 0.02

    def likeness(one: np.ndarray) -> float:
        return float(np.corrcoef(one.flatten(), template.flatten())[0, 1])

    assert likeness(image) > 0.85
    assert likeness(image) > max(likeness(image[:, ::-1]), likeness(image[..., ::-1]))


def test_on_its_own_grid_it_is_the_stored_image():
    stored = np.asarray(nib.load(FOLDER / "healthy_75-80.nii.gz").dataobj)
    np.testing.assert_array_equal(reference_image(SMALL.contract, 75.0), stored.astype(np.float32) / 255)
    assert not np.array_equal(reference_image(SMALL.contract, 60.0), reference_image(SMALL.contract, 85.0))


def test_older_people_have_larger_ventricles():
    """It is darker where they lie, from 18 mm on the right to 18 on the left: what the bands are there for."""
    corners = (
        np.linalg.solve(SMALL.contract.affine_xyz, np.array([[-18, -35, 8, 1], [18, 20, 26, 1]]).T)[:3]
        .round()
        .astype(int)
    )
    ventricles = tuple(slice(low, high + 1) for low, high in corners)
    shades = [float(reference_image(SMALL.contract, age)[ventricles].mean()) for age in (60, 72, 77, 85)]
    assert shades == sorted(shades, reverse=True)


def test_a_blurred_scan_keeps_its_brain_and_loses_its_structures():
    image = template_on(SMALL.contract)
    found = blurred(image, SMALL.contract)
    assert found.shape == image.shape and found.dtype == np.float32
    np.testing.assert_array_equal(found > 0, image > 0)
    inside = image > 0
    assert found[inside].std() < 0.5 * image[inside].std()
    assert found[inside].mean() == pytest.approx(image[inside].mean(), rel=0.05)


def test_a_blurred_scan_is_as_bright_at_its_edge_as_within():
    flat = np.zeros(CONTRACT.shape_xyz, np.float32)
    flat[8:24, 8:30, 8:24] = 0.6
    np.testing.assert_allclose(blurred(flat, CONTRACT)[flat > 0], 0.6, rtol=1e-5)
    assert not blurred(np.zeros_like(flat), CONTRACT).any()


def test_it_is_blurred_in_millimetres():
    """Along each axis half of the peak is left at half of the width, on a grid whose voxels are no cubes."""
    contract = M3D_CLIP.contract
    image = np.full(contract.shape_xyz, 1e-3, np.float32)
    middle = tuple(size // 2 for size in image.shape)
    image[middle] = 1000.0
    found = blurred(image, contract) - 1e-3
    for axis, spacing in enumerate(contract.spacing_xyz_mm):
        line = np.moveaxis(found, axis, 0)[:, *(place for other, place in enumerate(middle) if other != axis)]
        mm = (np.arange(len(line)) - middle[axis]) * spacing
        half = np.interp(0.5, (line / line[middle[axis]])[mm >= 0][::-1], mm[mm >= 0][::-1])
        assert half == pytest.approx(BLUR_FWHM_MM / 2, rel=0.05)
