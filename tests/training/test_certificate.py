"""What stops a training before its first step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import CONTRACT, LABELS, make_cohort

from adclip.errors import LeakError
from adclip.prediction.dataset import QUANTUM
from adclip.prediction.scoring import report_texts
from adclip.training.certificate import certify, most_alike

PARTS = {"train": list(range(8)), "validation": [8], "calibration": [9, 10], "test": [11]}


def write(visit):
    return report_texts(visit, LABELS, "clinical")


@pytest.fixture
def cohort():
    return make_cohort()


def with_image(cohort, place, image):
    images = cohort.images.clone()
    images[place] = (image.clamp(0, 1) * QUANTUM).round().to(torch.int16)
    return replace(cohort, images=images)


def test_a_clean_cohort_is_certified(cohort):
    told = certify(cohort, PARTS, write, CONTRACT)
    assert told["subjects"] == {"train": 8, "validation": 1, "calibration": 2, "test": 1}
    assert told["subjects_in_two_parts"] == 0 and told["reports_unchanged_by_diagnosis_and_scores"] == 12
    assert told["largest_correlation_of_two_subjects"] < told["near_duplicate_above"]


def test_a_subject_on_two_sides_is_refused(cohort):
    visits = list(cohort.visits)
    visits[11] = replace(visits[11], subject_id=visits[0].subject_id)
    with pytest.raises(LeakError, match="more than one part"):
        certify(replace(cohort, visits=tuple(visits)), PARTS, write, CONTRACT)


@pytest.mark.parametrize("change", ["noise", "gamma", "equal"])
def test_a_scan_that_was_saved_again_under_another_id_is_refused(cohort, change):
    image = cohort.images[2].float() / QUANTUM
    noise = 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) * (image > 0)
    changed = {"noise": image + noise, "gamma": image**1.1, "equal": image}[change]
    with pytest.raises(LeakError, match="nearly the same image") as caught:
        certify(with_image(cohort, 7, changed), PARTS, write, CONTRACT)
    assert "p02" in caught.value.problem and "p07" in caught.value.problem


def test_two_visits_of_one_person_may_look_alike(cohort):
    visits = list(cohort.visits)
    visits[7] = replace(visits[7], subject_id="p02", session_id="02")
    same = with_image(cohort, 7, cohort.images[2].float() / QUANTUM)
    certify(replace(same, visits=tuple(visits)), PARTS, write, CONTRACT)


def test_few_subjects_are_compared_plainly():
    few = make_cohort(4)
    alike, _ = most_alike(few, CONTRACT)
    assert alike < 0.9995
    parts = {"train": [0, 1, 2], "validation": [], "calibration": [], "test": [3]}
    certify(few, parts, write, CONTRACT)
    with pytest.raises(LeakError):
        certify(with_image(few, 3, few.images[0].float() / QUANTUM), parts, write, CONTRACT)


def test_a_report_that_tells_the_answer_is_refused(cohort):
    with pytest.raises(LeakError, match="changes with the diagnosis"):
        certify(cohort, PARTS, lambda visit: [f"A photo of {visit.diagnosis}"], CONTRACT)
