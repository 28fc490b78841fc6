"""What stops a training before its first step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import CONTRACT, make_cohort

from adclip.errors import LeakError
from adclip.model.leak_record import InputsUnchanged, LeakCertificate
from adclip.prediction.dataset import QUANTUM
from adclip.training.alike import fit_pairs, most_alike
from adclip.training.certificate import NEAR_DUPLICATE, certify

PARTS = {"train": list(range(8)), "validation": [8], "calibration": [9, 10], "test": [11]}


UNCHANGED = InputsUnchanged(
    scans=12,
    rows=13,
    columns_altered=("DX", "MMSE"),
    cells_blanked=26,
    cells_shuffled=20,
    shuffled_answers_set_aside=False,
    compared=("report",),
)


@pytest.fixture
def cohort():
    return make_cohort()


def with_image(cohort, place, image):
    images = cohort.images.clone()
    images[place] = (image.clamp(0, 1) * QUANTUM).round().to(torch.int16)
    return replace(cohort, images=images)


def test_a_clean_cohort_is_certified(cohort):
    certificate = certify(cohort, PARTS, CONTRACT, UNCHANGED)
    told = certificate.to_dict()
    assert LeakCertificate.from_dict(told) == certificate
    assert told["subjects"] == {"train": 8, "validation": 1, "calibration": 2, "test": 1}
    assert told["subjects_in_two_parts"] == 0 and told["reports_unchanged_by_diagnosis_and_scores"] == 12
    assert told["largest_correlation_of_two_subjects"] < told["near_duplicate_above"]


def test_a_subject_on_two_sides_is_refused(cohort):
    visits = list(cohort.visits)
    visits[11] = replace(visits[11], subject_id=visits[0].subject_id)
    with pytest.raises(LeakError, match="more than one part"):
        certify(replace(cohort, visits=tuple(visits)), PARTS, CONTRACT, UNCHANGED)


@pytest.mark.parametrize("change", ["noise", "gamma", "equal"])
def test_a_scan_that_was_saved_again_under_another_id_is_refused(cohort, change):
    image = cohort.images[2].float() / QUANTUM
    noise = 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) * (image > 0)
    changed = {"noise": image + noise, "gamma": image**1.1, "equal": image}[change]
    with pytest.raises(LeakError, match="nearly the same image") as caught:
        certify(with_image(cohort, 7, changed), PARTS, CONTRACT, UNCHANGED)
    assert "p02" in caught.value.problem and "p07" in caught.value.problem


def test_two_visits_of_one_person_may_look_alike(cohort):
    visits = list(cohort.visits)
    visits[7] = replace(visits[7], subject_id="p02", session_id="02")
    same = with_image(cohort, 7, cohort.images[2].float() / QUANTUM)
    certify(replace(same, visits=tuple(visits)), PARTS, CONTRACT, UNCHANGED)


def test_few_subjects_are_compared_plainly():
    few = make_cohort(4)
    alike, _ = most_alike(few, CONTRACT)
    assert alike < 0.9995
    parts = {"train": [0, 1, 2], "validation": [], "calibration": [], "test": [3]}
    certify(few, parts, CONTRACT, UNCHANGED)
    with pytest.raises(LeakError):
        certify(with_image(few, 3, few.images[0].float() / QUANTUM), parts, CONTRACT, UNCHANGED)


def turned(image, degrees, shift_mm):
    """Return a scan (1, D, H, W) as another registration would have laid it."""
    from scipy.ndimage import affine_transform
    from scipy.spatial.transform import Rotation

    matrix = Rotation.from_euler("xyz", [degrees, -degrees, degrees / 2], degrees=True).as_matrix()
    middle = (torch.tensor(image.shape[1:]).numpy() - 1) / 2
    shift = shift_mm / CONTRACT.spacing_mm[0]
    return torch.from_numpy(affine_transform(image[0].numpy(), matrix, middle + shift - matrix @ middle, order=1))[None]


@pytest.mark.parametrize(("degrees", "shift_mm"), [(0, 2.5), (3, 0), (3, 4), (5, -4)])
def test_a_scan_that_lies_otherwise_under_another_id_is_refused(cohort, degrees, shift_mm):
    """Laid over each other they are alike; as they lie, all but the first are below the limit."""
    moved = with_image(cohort, 7, turned(cohort.images[2].float() / QUANTUM, degrees, shift_mm) ** 1.3)
    with pytest.raises(LeakError, match="nearly the same image"):
        certify(moved, PARTS, CONTRACT, UNCHANGED)


def test_laying_strangers_over_each_other_makes_them_no_relatives(cohort):
    alike, _ = most_alike(cohort, CONTRACT)
    assert 0 < alike < NEAR_DUPLICATE - 0.04


def test_the_fit_undoes_a_known_map():
    """A blob field that was turned by a known angle comes back to a correlation near 1, from far below."""
    field = torch.nn.functional.interpolate(
        torch.randn(1, 1, 9, 10, 9, generator=torch.Generator().manual_seed(1)), size=(27, 32, 27), mode="trilinear"
    )
    moved = turned(field[0], 6, 5)[None]
    levels = [torch.cat([field, moved])] * 2
    before = torch.nn.functional.cosine_similarity(field.flatten(), moved.flatten(), dim=0)
    (after,) = fit_pairs(levels, torch.tensor([[0, 1]])).tolist()
    assert before < 0.7 and after > 0.9
