"""Simulated cohorts: same seed same bytes, truth that follows the severity, sides that stay."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from adclip.config import SMALL, SimulateConfig
from adclip.errors import OutputError
from adclip.simulate import simulate
from adclip.simulation.brains import deform
from adclip.simulation.population import draw_person


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("preprocessed", [True, False])
def test_same_seed_same_bytes(tmp_path: Path, preprocessed: bool) -> None:
    for name in ("a", "b"):
        simulate(SimulateConfig(tmp_path / name, 2, preprocessed=preprocessed, spacing_mm=3.0, seed=4))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    with pytest.raises(OutputError, match="exists"):
        simulate(SimulateConfig(tmp_path / "a", 2, preprocessed=preprocessed))


def test_a_one_sided_change_is_on_that_side() -> None:
    person = draw_person("x", np.random.default_rng(0))
    small_left = dataclasses.replace(
        person, log_change=person.log_change | {"hippocampus_left": -0.4, "hippocampus_right": 0.0}
    )
    brain = deform(small_left, SMALL.contract, np.random.default_rng(1))
    ratio = brain.volumes_mm3["hippocampus_left_mm3"] / brain.volumes_mm3["hippocampus_right_mm3"]
    assert 0.55 < ratio < 0.85
    x_mm = SMALL.contract.affine_xyz[0, 3] + SMALL.contract.spacing_mm[2] * np.arange(SMALL.contract.shape_xyz[0])
    left = brain.tissue["hippocampus_left"].sum(axis=(1, 2))
    assert (left * x_mm).sum() / left.sum() < -10  # RAS+: the subject's left has negative x


def test_severity_shrinks_the_hippocampus_and_widens_the_ventricles() -> None:
    person = draw_person("x", np.random.default_rng(0))
    volumes = []
    for change in (-0.2, 0.2):
        wished = {name: change * (-1 if name in ("ventricles", "sulci") else 1) for name in person.log_change}
        changed = dataclasses.replace(person, log_change=wished)
        volumes.append(deform(changed, SMALL.contract, np.random.default_rng(1)).volumes_mm3)
    ill, well = volumes
    assert ill["hippocampus_mm3"] < 0.8 * well["hippocampus_mm3"]
    assert ill["ventricles_mm3"] > 1.2 * well["ventricles_mm3"]


def test_groups_lie_near_the_published_marginals() -> None:
    people = [draw_person(str(i), np.random.default_rng([9, i])) for i in range(3000)]
    for group, mmse, sd in (("CN", 29.05, 1.12), ("MCI", 27.62, 1.81), ("AD", 23.19, 2.11)):
        found = np.array([person.mmse for person in people if person.diagnosis == group])
        assert found.mean() == pytest.approx(mmse, abs=0.6) and found.std() == pytest.approx(sd, abs=0.4)
