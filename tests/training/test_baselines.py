"""The baseline that is a network of its own: what it answers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from adclip.training.baselines import CnnLearner


class Outputs(nn.Module):
    """Answer each image by the same numbers: three scores and a z-scored MMSE."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self.numbers = torch.tensor(numbers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.numbers.expand(len(images), -1)


def test_a_network_that_is_very_sure_still_gives_finite_scores():
    """A scan far from the training ones may get scores in the thousands; its probabilities must not be NaN."""
    cohort = SimpleNamespace(image_batch=lambda places, device: torch.zeros(len(places), 1, 2, 2, 2))
    learner = CnnLearner(Outputs(2000.0, 0.0, -2000.0, 0.5), cohort, torch.zeros(3), torch.zeros(3), 1.0)
    found = learner.answers((26.0, 2.0), 2, (0.0, 30.0))([0, 1, 2])
    assert np.array_equal(found.report, [[0.0, -2000.0, -4000.0]] * 3)
    assert np.array_equal(found.mmse, [27.0] * 3)
    learner = CnnLearner(Outputs(1.0, 0.0, -1.0, 0.5), cohort, torch.zeros(3), torch.zeros(3), 1.0)
    assert np.exp(learner.answers((26.0, 2.0), 2)([0]).report).sum() == pytest.approx(1)
