"""Brains with known truth: wishes come true, on the right side, invertibly, and the mask says what changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from adclip.config import SMALL
from adclip.domain import InputContract
from adclip.simulation.anatomies import HORNS, SHAPE_GRID, TRUTH_CODES, head_map, template_head
from adclip.simulation.brains import Brain, grid_points, grow_brain
from adclip.simulation.drive import driver_fields
from adclip.simulation.fields import exponentiate, identity, sample, smooth_noise
from adclip.simulation.paint import LOOKS, brain_share, draw_ct_style, draw_style, expose, paint, to_own_borders
from adclip.simulation.population import Person, draw_course, draw_person
from adclip.simulation.scale import MUSE_PER_LABEL
from adclip.simulation.shapes import window

SPACING_MM = 4.0  # of the tissues; the shape does not depend on it


def person_with(**changes: float) -> Person:
    person = draw_person("x", np.random.default_rng(0))
    flat = dict.fromkeys(person.log_change, 0.0)
    return dataclasses.replace(person, log_change=flat | changes, disease_change=flat | changes)


def painted_mm3(brain: Brain, name: str) -> float:
    """Volume of a region's labels in template space, counted voxel by voxel on a grid of another size than the simulator's."""
    grid = InputContract(shape=(160, 180, 140), spacing_mm=(1.1, 1.1, 1.1), center_mm=(0.0, -17.0, 0.0))
    codes = brain.labels_in(brain.to_source(grid_points(grid))).numpy()
    return float(np.isin(codes, TRUTH_CODES[name]).sum() * np.prod(grid.spacing_mm))


def grow(person: Person, seed: int = 1) -> Brain:
    return grow_brain(person, None, SPACING_MM, np.random.default_rng(seed))


@pytest.mark.parametrize(("driver", "column"), [
    ("hippocampus_left", "hippocampus_left_mm3"), ("hippocampus_right", "hippocampus_right_mm3"),
    ("amygdala_right", "amygdala_right_mm3"), ("ventricles", "ventricles_mm3"), ("parietal_left", "parietal_left_mm3"), ("frontal_right", "frontal_right_mm3"),
])  # fmt: skip
def test_a_wished_change_is_measured_on_its_structure_and_its_side(driver: str, column: str) -> None:
    before, after = grow(person_with()).volumes_mm3, grow(person_with(**{driver: -0.3})).volumes_mm3
    assert np.log(after[column] / before[column]) == pytest.approx(-0.3, abs=0.08)
    if driver != "ventricles":
        other = column.replace("left", "@").replace("right", "left").replace("@", "right")
        assert abs(np.log(after[other] / before[other])) < 0.05


def test_the_mask_holds_what_the_disease_changed_and_nothing_else() -> None:
    brain = grow(person_with(hippocampus_left=-0.3))
    assert brain.changed == ("hippocampus_left",)
    points = grid_points(SMALL.contract)
    mask = brain.changed_in(brain.to_source(points))
    left = points[0].numpy()[mask]
    assert mask.sum() * np.prod(SMALL.contract.spacing_mm) > 500 and (left < 0).all()  # RAS+: left has negative x
    calm = grow(person_with())
    assert not calm.changed_in(calm.to_source(points)).any()


def test_a_deformation_folds_nowhere_in_the_oldest_and_illest() -> None:
    course = draw_course("x", np.random.default_rng(5), visits=12)
    last = dataclasses.replace(course[-1], age_years=92.0)
    assert last.diagnosis == "AD" and last.severity > 3
    brain = grow(last)
    points = (grid_points(SHAPE_GRID) + brain.displacement_mm).numpy()
    steps = [np.gradient(points[c], *SHAPE_GRID.spacing_xyz_mm) for c in range(3)]
    jacobian = np.linalg.det(np.moveaxis(np.array(steps), (0, 1), (-2, -1)))
    assert jacobian.min() > 0
    assert float(brain.displacement_mm[:, 0].abs().max()) < 1e-5  # still where the grid ends


def test_a_flow_and_its_way_back_meet() -> None:
    rng = np.random.default_rng(0)
    velocity = 2.5 * smooth_noise(rng, SHAPE_GRID.shape_xyz, 16.0, 3) * window()
    there, back = exponentiate(velocity, SHAPE_GRID.spacing_xyz_mm), exponentiate(-velocity, SHAPE_GRID.spacing_xyz_mm)
    spacing = torch.tensor(SHAPE_GRID.spacing_xyz_mm)[:, None, None, None]
    here = identity(SHAPE_GRID.shape_xyz)
    around = there + sample(back[None], here + there / spacing)[0]
    assert there.norm(dim=0).max() > 5 and around.norm(dim=0).flatten()[::7].quantile(0.99) < 0.5  # mm


def test_the_same_person_at_another_resolution_is_the_same_person() -> None:
    coarse, fine = (grow_brain(person_with(), None, step, np.random.default_rng(3)) for step in (4.0, 2.0))
    assert torch.equal(coarse.displacement_mm, fine.displacement_mm)
    assert coarse.volumes_mm3["hippocampus_mm3"] == fine.volumes_mm3["hippocampus_mm3"]
    assert coarse.volumes_mm3["whole_brain_mm3"] == pytest.approx(fine.volumes_mm3["whole_brain_mm3"], rel=0.03)


def test_head_size_scales_volumes_and_nothing_else() -> None:
    small, large = (grow(dataclasses.replace(person_with(), icv_mm3=icv)).volumes_mm3 for icv in (1.2e6, 1.6e6))
    for name in small:
        assert large[name] / small[name] == pytest.approx(4 / 3, rel=1e-4), name


def test_tables_say_the_volumes_of_muse_and_labels_have_those_of_freesurfer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hippocampus is painted as large as the maps' borders make it, and told as large as the published volumes are."""
    person = person_with()
    told = {}
    for ratio in (1.0, 0.8):
        monkeypatch.setitem(MUSE_PER_LABEL, "hippocampus", ratio)
        brain = grow(person)
        told[ratio] = brain.volumes_mm3["hippocampus_left_mm3"], painted_mm3(brain, "hippocampus_left")
    assert told[0.8][0] == pytest.approx(told[1.0][0], rel=0.05)
    assert told[0.8][1] / told[1.0][1] == pytest.approx(1 / 0.8, rel=0.05)


def test_every_region_of_the_truth_is_on_the_template_but_the_temporal_horns() -> None:
    head = template_head()
    for name in head.measurable:
        assert head.region(TRUTH_CODES[name]).sum() > 500, name
    assert set(TRUTH_CODES) - head.measurable == set(HORNS)
    drivers = set(driver_fields(None))
    assert drivers >= {"hippocampus_left", "amygdala_right", "ventricles", "sulci", "frontal_left", "parietal_right"}
    assert not drivers & set(HORNS)
    assert not any("lateral_ventricle" in name for name in grow(person_with()).volumes_mm3)


def test_folds_are_a_persons_own_and_crisper_than_the_average() -> None:
    head = head_map(None, 3.0)
    one, two = (to_own_borders(head, np.random.default_rng(seed)) for seed in (1, 2))
    cortex = head.tissues.index("cortex")
    average, mine, yours = (m.shares[cortex].astype(float) / 255 for m in (head, one, two))
    assert np.abs(mine - yours).mean() > 0.5 * np.abs(mine - average).mean()
    assert (mine * (1 - mine)).sum() < 0.8 * (average * (1 - average)).sum()
    assert mine.sum() == pytest.approx(average.sum(), rel=0.15)
    assert np.allclose(brain_share(one, fluid=True), brain_share(head, fluid=True), atol=0.02)


def test_t1_and_ct_have_the_right_order_of_tissues() -> None:
    head = head_map(None, 4.0)
    rng = np.random.default_rng(0)
    t1, ct = paint(head, draw_style(rng, LOOKS["mild"]), rng), paint(head, draw_ct_style(rng), rng)

    def mean(image: np.ndarray, tissue: str) -> float:
        return float(image[head.shares[head.tissues.index(tissue)] > 240].mean())

    assert mean(t1, "csf") < mean(t1, "cortex") < mean(t1, "white")
    assert mean(ct, "csf") < mean(ct, "white") < mean(ct, "cortex") < 60 < mean(ct, "bone")
    assert ct.min() < -900


def test_noise_of_air_is_that_of_a_magnitude_image() -> None:
    style = dataclasses.replace(draw_style(np.random.default_rng(0), LOOKS["mild"]), noise=0.05, blur_mm=0, motion_mm=0)
    air = expose(np.zeros((40, 40, 40), np.float32), style, (1.0, 1.0, 1.0), np.random.default_rng(1))
    assert air.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.02)  # mean of a Rayleigh distribution


def test_motion_moves_nothing_but_rings() -> None:
    image = np.zeros((20, 64, 20), np.float32)
    image[:, 24:40] = 1
    style = dataclasses.replace(
        draw_style(np.random.default_rng(0), LOOKS["mild"]), noise=0.0, blur_mm=0, motion_mm=1.0, bias=0.0
    )
    moved = expose(image, style, (1.0, 1.0, 1.0), np.random.default_rng(1))
    profile = moved[10, :, 10]
    assert np.abs(profile - image[10, :, 10]).max() > 0.03
    assert (profile * np.arange(64)).sum() / profile.sum() == pytest.approx(31.5, abs=1.0)
