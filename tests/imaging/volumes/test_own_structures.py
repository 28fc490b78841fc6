"""Where the hippocampi lie in a scan that is prepared already."""

from __future__ import annotations

import numpy as np
import pytest

from adclip.config import SMALL
from adclip.domain import InputContract
from adclip.imaging.volumes.own_structures import OF_TEMPLATE, find_structure
from adclip.imaging.volumes.regions import region_maps, template_image

FINE = InputContract(shape=(64, 192, 160), spacing_mm=(2.5, 1.0, 1.0), center_mm=(0.0, -17.0, 5.0))


@pytest.mark.parametrize("contract", [SMALL.contract, FINE], ids=["2 mm", "slices"])
def test_they_lie_where_the_template_has_them_each_on_its_side(contract):
    found = find_structure(template_image(contract), contract)
    maps = region_maps(contract)
    assert found.flags == ()
    for name, share in (("left", found.left), ("right", found.right)):
        assert share.shape == contract.shape_xyz and share.min() >= 0 and share.max() <= 1
        own, atlas = share >= 0.5, maps[f"hippocampus_{name}"] >= 0.5
        dice = 2 * (own & atlas).sum() / (own.sum() + atlas.sum())
        assert dice > 0.6, name
        x = (np.argwhere(own) @ contract.affine_xyz[:3, :3].T + contract.affine_xyz[:3, 3])[:, 0]
        assert (np.sign(x) == (-1 if name == "left" else 1)).all()
        volume = share.sum() * np.prod(contract.spacing_xyz_mm)
        assert 2500 < volume < 7000


def test_a_mirrored_brain_has_them_exchanged():
    contract = SMALL.contract
    image = template_image(contract).copy()
    image[:, :40] *= 0.999  # nothing is symmetric to the last bit
    found, mirrored = find_structure(image, contract), find_structure(image[::-1].copy(), contract)
    np.testing.assert_allclose(mirrored.left[::-1], found.right, atol=1e-3)
    np.testing.assert_allclose(mirrored.right[::-1], found.left, atol=1e-3)


def test_other_structures_are_found_too():
    contract = SMALL.contract
    image = template_image(contract)
    amygdala, hippocampus = (find_structure(image, contract, name) for name in ("amygdala", "hippocampus"))
    for one, other in zip(amygdala.sides, hippocampus.sides, strict=True):
        assert 0.1 < one.sum() / other.sum() < 0.8
        assert np.argwhere(one >= 0.5)[:, 1].mean() > np.argwhere(other >= 0.5)[:, 1].mean()  # in front of it


def test_where_none_is_found_the_template_stands_in_and_says_so():
    contract = SMALL.contract
    found = find_structure(
        template_image(contract)[:, :, ::-1].copy(), contract
    )  # the crown lies where the lobes should
    assert found.flags == (OF_TEMPLATE,)
    np.testing.assert_array_equal(found.left, region_maps(contract)["hippocampus_left"])
    np.testing.assert_array_equal(found.right, region_maps(contract)["hippocampus_right"])
