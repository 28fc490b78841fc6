"""What augmentation may do to a scan, and what it must leave alone."""

from __future__ import annotations

import pytest
import torch
from tiny import CONTRACT, make_cohort

from adclip.training.augment import Augment


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return make_cohort(4).image_batch(range(4), torch.device("cpu"))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_scans_change_within_their_range_and_each_in_its_own_way(images):
    found = Augment(CONTRACT)(images.repeat(2, 1, 1, 1, 1), seeded())
    assert found.shape == (8, 1, *CONTRACT.shape) and found.min() >= 0 and found.max() <= 1
    assert not torch.allclose(found[:4], found[4:], atol=1e-3)
    for before, after in zip(images, found, strict=False):
        together = torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1]
        assert 0.8 < together < 0.9999  # still the same head


def test_the_same_seed_gives_the_same_scans(images):
    assert torch.equal(Augment(CONTRACT)(images, seeded(3)), Augment(CONTRACT)(images, seeded(3)))
    assert not torch.equal(Augment(CONTRACT)(images, seeded(3)), Augment(CONTRACT)(images, seeded(4)))


def test_nothing_is_done_at_strength_zero(images):
    torch.testing.assert_close(Augment(CONTRACT, strength=0.0)(images, seeded()), images, rtol=0, atol=1e-5)


def test_air_stays_air(images):
    found = Augment(CONTRACT)(images, seeded())
    assert (found[:, :, 0, 0, 0] == 0).all() and (found == 0).float().mean() > 0.3


def test_left_stays_left_unless_asked():
    """A bright left side (high W is left or right, whichever: it must not change places)."""
    image = torch.zeros(64, 1, *CONTRACT.shape)
    image[:, :, 8:24, 10:30, 4:14] = 0.8
    kept = Augment(CONTRACT)(image, seeded())
    half = CONTRACT.shape[2] // 2
    assert (kept[..., :half].sum((1, 2, 3, 4)) > kept[..., half:].sum((1, 2, 3, 4))).all()
    flipped = Augment(CONTRACT, flip=True)(image, seeded())
    share = (flipped[..., :half].sum((1, 2, 3, 4)) < flipped[..., half:].sum((1, 2, 3, 4))).float().mean()
    assert 0.25 < share < 0.75


def test_a_turn_is_made_in_millimetres():
    """On voxels that are longer one way, a ball stays a ball."""
    from adclip.domain import InputContract

    contract = InputContract((16, 64, 64), (8.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    d, h, w = (torch.arange(n) - (n - 1) / 2 for n in contract.shape)
    radius = ((d[:, None, None] * 8) ** 2 + (h[None, :, None] * 2) ** 2 + (w[None, None] * 2) ** 2).sqrt()
    ball = (radius < 40).float()[None, None] * 0.5
    augment = Augment(contract)
    moved = augment._move(ball, seeded(1))[0, 0]
    mass = moved.sum()
    spread = []
    for axis, (place, mm) in enumerate(zip((d, h, w), contract.spacing_mm, strict=True)):
        other = [a for a in range(3) if a != axis]
        along = moved.sum(other) / mass
        mean = (along * place).sum()
        spread.append(float(((along * (place - mean) ** 2).sum()).sqrt() * mm))
    assert max(spread) / min(spread) < 1.15
