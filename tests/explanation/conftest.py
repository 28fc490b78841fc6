"""A small model, a scan of a person, and what is known of it."""

from __future__ import annotations

import pytest
import torch
from explaining import look_closer, open_predictor
from tiny import known_of, make_cohort

from adclip.model.calibration import TABLE_WITH_VOLUMES


@pytest.fixture
def predictor(tiny_run):
    return open_predictor(tiny_run)


@pytest.fixture
def closer_predictor(predictor):
    """The same with a closer look whose sums reach the read-out."""
    look_closer(predictor)
    return predictor


@pytest.fixture(params=["plain", "stem and closer look"])
def either(request, predictor):
    """A model without and one with a stem and a closer look."""
    if request.param != "plain":
        look_closer(predictor, stem=(8,))
    return predictor


@pytest.fixture(scope="session")
def cohort():
    return make_cohort(6)


@pytest.fixture
def image(cohort):
    return cohort.image_batch([2], torch.device("cpu"))


@pytest.fixture
def reference(cohort):
    """Another person, a healthy one: every patch differs from the scan's."""
    return cohort.image_batch([0], torch.device("cpu"))


@pytest.fixture
def evidence(predictor, cohort):
    """A row with volumes, so that scan, row and both together all have a say."""
    found = known_of(predictor, cohort.visits[2])
    assert found.road == TABLE_WITH_VOLUMES and found.metadata_only
    return found
