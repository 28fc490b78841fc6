"""What is no T1 head is refused with a name; what is one goes through."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import make_head

from adclip.config import SMALL
from adclip.domain import SourceGrid, Volume
from adclip.errors import ScanError
from adclip.imaging.quality.modality import recognise
from adclip.imaging.quality.verdict import Quality, measure_quality, refuse_other_than_t1
from adclip.imaging.steps.grid import to_grid

CONTRACT = SMALL.contract
LEVELS = (0.0, 0.27, 0.65, 0.87, 1.0)  # air, fluid, grey, white and the brightest of the template
PAINT = {
    "t1": (0.0, 0.2, 0.65, 1.0, 1.05),
    "t2_like": (0.0, 1.6, 0.8, 0.5, 0.48),
    "flair_like": (0.0, 0.15, 0.9, 0.65, 0.6),
    "pd_like": (0.0, 0.9, 1.0, 0.8, 0.78),
}


def test_levels_at_the_right_places_name_the_contrast() -> None:
    head = {"template_overlap": 0.95, "template_correlation": 0.3}

    def named(contrast: float, gray: float, white: float, fluid: float | None) -> str:
        levels = {"gray_level": gray, "white_level": white, "fluid_level": fluid}
        return recognise({**head, "gray_white_contrast": contrast, **levels})

    assert named(1.2, 0.6, 0.8, 0.3) == "t1"
    assert named(0.35, 0.6, 0.7, 0.5) == "t1"  # faint, yet nothing else
    assert named(-1.0, 0.5, 0.4, 0.9) == "t2_like"
    assert named(-0.5, 0.75, 0.7, 0.25) == "flair_like"
    assert named(-0.5, 0.77, 0.68, 0.75) == "pd_like"
    assert named(-0.05, 0.58, 0.57, 0.56) == "no_contrast"
    assert recognise({**head, "template_overlap": 0.8, "gray_white_contrast": 0.1}) == "not_a_head"
    assert recognise({}) == "not_a_head"


@pytest.mark.parametrize("kind", list(PAINT))
def test_a_painted_head_is_recognised_though_the_first_alignment_went_astray(kind: str) -> None:
    array, affine, brain = make_head(skull=False, noise=0.0)
    rng = np.random.default_rng(0)
    painted = np.interp(array / 1000, LEVELS, PAINT[kind]) + 0.02 * rng.standard_normal(array.shape)
    volume = Volume((1000 * painted * brain).astype(np.float32), affine, SourceGrid(array.shape, affine))
    astray = np.eye(4)
    astray[:3, 3] = (0, 18, -14)
    # Dark fluid at the brain's edge lets FLAIR align at once; T2 and proton density need the second alignment.
    settled = kind in ("t1", "flair_like")
    scan_to_mni = np.eye(4) if settled else astray
    mask = to_grid(brain.astype(np.float32), affine, scan_to_mni, CONTRACT) > 0.5
    image = to_grid(volume.array, affine, scan_to_mni, CONTRACT) / 1000 / max(PAINT[kind])
    scan_mask = None if settled else brain
    quality = measure_quality(np.clip(image, 0, 1) * mask, mask, CONTRACT, scan_to_mni, 1500.0, volume, scan_mask)
    assert quality.modality == kind
    if kind == "t1":
        refuse_other_than_t1("x.nii.gz", quality)
        return
    with pytest.raises(ScanError, match=r"x\.nii\.gz: not a T1-weighted scan") as caught:
        refuse_other_than_t1("x.nii.gz", quality)
    assert "--override SUBJECT=pass" in caught.value.remedy


def test_a_ball_is_not_a_head() -> None:
    shape, affine = (90, 90, 90), np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -90
    radius = 2 * np.linalg.norm(np.indices(shape) - 45.0, axis=0)
    ball = radius < 72
    array = np.where(ball, 800 + 30 * np.random.default_rng(0).standard_normal(shape), 0).astype(np.float32)
    volume = Volume(array, affine, SourceGrid(shape, affine))
    mask = to_grid(ball.astype(np.float32), affine, np.eye(4), CONTRACT) > 0.5
    image = to_grid(array, affine, np.eye(4), CONTRACT) / 1000
    quality = measure_quality(image * mask, mask, CONTRACT, np.eye(4), 1500.0, volume)
    assert quality.modality == "not_a_head"
    with pytest.raises(ScanError, match="phantom or another part of the body"):
        refuse_other_than_t1("x.nii.gz", quality)


def test_every_refusal_says_what_the_image_seems_to_be() -> None:
    for kind, words in (("t2_like", "T2"), ("flair_like", "FLAIR"), ("pd_like", "proton"), ("no_contrast", "CT")):
        with pytest.raises(ScanError, match=words):
            refuse_other_than_t1("x.nii", Quality({}, "header", kind, "fail", ()))
