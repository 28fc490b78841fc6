"""Heads with and without one loss: nothing else differs, and the loss is as large and where it was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from adclip.domain import InputContract
from adclip.simulation.planted import SIDES, HealthyHead, healthy_heads

CONTRACT = InputContract(shape=(54, 64, 54), spacing_mm=(3.0, 3.0, 3.0), center_mm=(0.0, -17.0, 5.0))
FACTOR = 0.7


@pytest.fixture(scope="module")
def heads() -> list[HealthyHead]:
    return list(healthy_heads(CONTRACT, 2, seed=3))


def halves(array: np.ndarray) -> dict[str, np.ndarray]:
    """Left and right half; X runs from left to right."""
    middle = array.shape[0] // 2
    return {"left": array[:middle], "right": array[middle:]}


@pytest.mark.parametrize("side", SIDES)
def test_the_other_side_of_a_one_sided_loss_is_the_same_bit_for_bit(heads, side):
    (other,) = set(SIDES) - {side}
    for head in heads:
        loss = head.lose("hippocampus", (side,), FACTOR)
        np.testing.assert_array_equal(halves(loss.image)[other], halves(head.image)[other])
        assert not halves(loss.region)[other].any()
        assert loss.region.any() and not loss.region[~head.mask].any()
        assert not loss.image[~head.mask].any()
        assert loss.remaining == pytest.approx(FACTOR, abs=0.12)


@pytest.mark.parametrize("side", SIDES)
def test_what_differs_lies_around_the_structure(heads, side):
    from scipy.ndimage import distance_transform_edt

    for head in heads:
        loss = head.lose("hippocampus", (side,), FACTOR)
        difference = np.abs(loss.image - head.image)
        distance = distance_transform_edt(~loss.region, sampling=CONTRACT.spacing_xyz_mm)
        assert difference[distance <= 15].sum() > 0.95 * difference.sum()
        assert not difference[distance > 30].any()
        assert difference[loss.region].mean() > 20 * difference[~loss.region & head.mask].mean()


def test_both_sides_at_once(heads):
    loss = heads[0].lose("hippocampus", SIDES, FACTOR)
    assert loss.remaining == pytest.approx(FACTOR, abs=0.12)
    for side in SIDES:
        alone = heads[0].lose("hippocampus", (side,), FACTOR)
        assert halves(loss.region)[side].any() and halves(alone.region)[side].any()
        assert (halves(loss.image)[side] != halves(heads[0].image)[side]).any()


def test_without_a_loss_nothing_differs(heads):
    loss = heads[0].lose("hippocampus", ("left",), 1.0)
    np.testing.assert_array_equal(loss.image, heads[0].image)
    assert loss.remaining == 1


def test_heads_are_healthy_people_and_hang_on_the_seed_alone(heads):
    assert [head.person.diagnosis for head in heads] == ["CN", "CN"]
    assert len({head.person.subject_id for head in heads}) == 2
    (again,) = healthy_heads(CONTRACT, 1, seed=3)
    (other,) = healthy_heads(CONTRACT, 1, seed=4)
    np.testing.assert_array_equal(again.image, heads[0].image)
    assert (other.image != again.image).mean() > 0.1
