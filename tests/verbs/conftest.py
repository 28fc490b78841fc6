"""A short run, and raw heads whose volumes a stand-in for the segmenter measures; `tests/support/measured.py` has its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from measured import SOURCE, Measured, with_training
from phantoms import FakeStripper, make_head, save, turn
from tiny import finetune_config

from adclip.config import PredictConfig


@pytest.fixture
def one_epoch(tmp_path, tiny_base, tiny_cohort):
    """Settings of a run of one epoch."""
    return finetune_config(tiny_cohort, tiny_base, tmp_path / "run", epochs=1)


@pytest.fixture
def fake_brain(monkeypatch):
    """Find the brain of phantoms without the network."""
    monkeypatch.setattr("adclip.imaging.steps.brain.DeepbetStripper", lambda _device: FakeStripper())


@pytest.fixture
def measured(monkeypatch, fake_brain):
    stand_in = Measured()
    monkeypatch.setattr("adclip.imaging.prepare.prepare_scan", stand_in)
    monkeypatch.setattr("adclip.imaging.volumes.measure.measured_by", lambda: SOURCE)
    return stand_in


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A raw head of the template's anatomy, 3 mm, tilted."""
    array, affine, _ = make_head(turn(8, 0), spacing=3.0)
    return save(tmp_path_factory.mktemp("head") / "sub-x_T1w.nii.gz", array, affine, "RAS", np.int16)


@pytest.fixture(scope="module")
def measuring_run(tiny_run, tmp_path_factory):
    """A model that learned from volumes as the segmenter measures them, in whatever version."""
    return with_training(
        tiny_run, tmp_path_factory.mktemp("run") / "run", training={"volumes_sources": ["adclip segmenter"]}
    )


@pytest.fixture
def raw_config(head, measuring_run):
    return PredictConfig((head,), model=measuring_run, device="cpu")


@pytest.fixture
def meta(tmp_path):
    """Return a function that writes a table of one row."""

    def write(**cells: object) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(",".join(["subject_id", *cells]) + "\n" + ",".join(["x", *map(str, cells.values())]) + "\n")
        return path

    return write
