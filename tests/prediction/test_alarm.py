"""A model that gives every scan the same answer, or is certain of each, raises an alarm; an ordinary cohort does not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from adclip.domain import Prediction
from adclip.prediction.alarm import CERTAIN, CONSTANT, FEWEST_SCANS, SAME, Alarm
from adclip.prediction.prevalence import shift
from adclip.verbs.predict import predict
from adclip.verbs.settings import PredictConfig

LABELS = ("CN", "MCI", "AD")


def answers(rows) -> Alarm:
    alarm = Alarm()
    for number, row in enumerate(rows):
        alarm.add(Prediction(f"{number}.nii", "ok", scan_only=dict(zip(LABELS, row, strict=True))))
    return alarm


def test_an_ordinary_cohort_is_left_alone():
    rows = np.random.default_rng(0).dirichlet((1, 1, 1), 200)
    assert answers(rows).verdict() is None


def test_constant_answers_are_told_when_there_are_enough_of_them():
    row = (0.2, 0.3, 0.5)
    assert answers([row] * (FEWEST_SCANS - 1)).verdict() is None
    assert f"all {FEWEST_SCANS} scans get the same answer" in (answers([row] * FEWEST_SCANS).verdict() or "")
    half = SAME / 2
    assert answers([row, (0.2 + half, 0.3 - half, 0.5)] * FEWEST_SCANS).verdict() is not None
    assert answers([row, (0.2 + 3 * half, 0.3 - 3 * half, 0.5)] * FEWEST_SCANS).verdict() is None


def test_saturated_answers_are_told_though_they_differ():
    sure = (CERTAIN, 1 - CERTAIN, 0.0)
    rows = [sure, sure[::-1]] * FEWEST_SCANS
    assert "certain of everything" in (answers(rows).verdict() or "")
    assert answers([*rows, (0.9, 0.1, 0.0)]).verdict() is None


def test_failed_scans_are_no_answers():
    alarm = answers([(0.2, 0.3, 0.5)] * (FEWEST_SCANS - 1))
    alarm.add(Prediction("bad.nii", "failed", error="cut short"))
    assert alarm.verdict() is None and alarm.count == FEWEST_SCANS - 1


@pytest.mark.parametrize("shares", [(0.9995, 0.0003, 0.0002), (0.6, 0.3, 0.1), (1.0, 0.0, 0.0)])
def test_what_the_model_says_is_judged_and_not_how_rare_a_class_is_held_to_be(shares):
    prevalence = dict(zip(LABELS, shares, strict=True))

    def verdict(rows) -> str | None:
        alarm = Alarm()
        for row in rows:
            equal = dict(zip(LABELS, row, strict=True))
            told = Prediction("a.nii", "ok", scan_only=shift(equal, prevalence), prevalence=prevalence)
            alarm.add(told)
        return alarm.verdict()

    assert verdict(np.random.default_rng(0).dirichlet((4, 4, 4), 50)) is None
    same = verdict([(0.2, 0.3, 0.5)] * 50)
    assert same is None if 0.0 in shares else "the scan changes nothing" in same


@pytest.fixture
def blind_network(monkeypatch):
    """A network that sees the same in every scan."""
    import torch

    from adclip.model.network import ImageTokens, Network

    real = Network.image_tokens

    def same(self, images, record=None):
        found = real(self, torch.full_like(images, 0.5), record)
        return ImageTokens(found.cls, found.patches, found.mmse)

    monkeypatch.setattr(Network, "image_tokens", same)


def test_shards_hear_the_alarm_of_all_of_them(tiny_run, tiny_cohort, tmp_path, blind_network):
    config = PredictConfig(
        (tiny_cohort,), model=str(tiny_run), device="cpu", volumes=False, out=tmp_path / "out", workers=1
    )
    told: dict[int, list[str]] = {1: [], 2: []}
    for number, texts in told.items():
        predict(
            replace(config, shard=f"{number}/2"), lambda event, texts=texts: texts.append(getattr(event, "text", ""))
        )
    assert any("the scan changes nothing" in text for text in told[2])
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) > FEWEST_SCANS and all(CONSTANT in line["flags"] for line in lines)


@pytest.mark.parametrize("blind", [False, True])
def test_predict_says_so_and_flags_every_answer(tiny_run, tiny_cohort, request, blind):
    if blind:
        request.getfixturevalue("blind_network")
    told: list[str] = []
    config = PredictConfig(
        (tiny_cohort,), meta=tiny_cohort / "table.csv", model=str(tiny_run), device="cpu", volumes=False
    )
    result = predict(config, lambda event: told.append(getattr(event, "text", "")))
    assert len(result.predictions) >= FEWEST_SCANS
    assert any("the scan changes nothing" in text for text in told) is blind
    assert all((CONSTANT in item.flags) is blind for item in result.predictions)
    assert not blind or all(item.status != "ok" for item in result.predictions)
    assert len({item.scan for item in result.predictions}) == len(result.predictions)
