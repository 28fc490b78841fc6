"""What is told of a head is counted on its labels, and the disease changes the brain inside a skull that stays as it was."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from adclip.config import SMALL, SimulateConfig
from adclip.simulation import population
from adclip.simulation.anatomies import SHAPE_GRID, TRUTH_CODES, template_head
from adclip.simulation.brains import Brain, changed_regions, grid_points, grow_brain
from adclip.simulation.counting import count_labels, fine_voxels, intracranial_volume, own_labels, volume_of
from adclip.simulation.derivative import to_derivative
from adclip.simulation.drive import driver_fields
from adclip.simulation.paint import LOOKS, draw_style
from adclip.simulation.population import DRIVERS, Person, draw_person
from adclip.simulation.scale import family_of, muse_per_label
from adclip.simulation.shapes import draw_shape
from adclip.simulation.skull import wall
from adclip.simulation.subject import RECORDS
from adclip.verbs.simulate import TRUTH, simulate

SEEDS = (0, 1, 2)


def of_severity(seed: int, severity: float) -> Person:
    """One of three people, as ill as is asked: everything but the disease is drawn once."""
    person = draw_person("x", np.random.default_rng([7, seed]))
    caused = {name: DRIVERS[family_of(name)].per_severity * (severity - person.severity) for name in person.log_change}
    changes = {name: change + caused[name] for name, change in person.log_change.items()}
    return dataclasses.replace(person, log_change=changes, disease_change=caused)


@pytest.fixture(scope="module")
def brains() -> dict[tuple[int, float], Brain]:
    return {
        (seed, severity): grow_brain(of_severity(seed, severity), None, 4.0, np.random.default_rng(seed))
        for seed in SEEDS
        for severity in (0.0, 2.4)
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_the_disease_shrinks_the_brain_and_leaves_the_skull_alone(
    brains: dict[tuple[int, float], Brain], seed: int
) -> None:
    well, ill = (brains[seed, severity].volumes_mm3 for severity in (0.0, 2.4))
    assert ill["icv_mm3"] == pytest.approx(well["icv_mm3"], rel=0.002)
    assert np.log(ill["hippocampus_mm3"] / well["hippocampus_mm3"]) == pytest.approx(-0.083 * 2.4, abs=0.05)
    assert ill["ventricles_mm3"] > 1.2 * well["ventricles_mm3"]
    assert ill["whole_brain_mm3"] < 0.99 * well["whole_brain_mm3"]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_intracranial_volume_is_counted_and_is_the_one_that_was_wished_for(
    brains: dict[tuple[int, float], Brain], seed: int
) -> None:
    brain, person = brains[seed, 0.0], of_severity(seed, 0.0)
    head = template_head()
    inside = head.labels > 0  # the template has no label outside its skull
    voxel = np.linalg.inv(head.affine) @ np.vstack(
        [brain.to_source(grid_points(SHAPE_GRID)).reshape(3, -1).numpy(), np.ones(np.prod(SHAPE_GRID.shape_xyz))]
    )
    share = map_coordinates(inside.astype(np.float32), voxel[:3], order=1).sum() * np.prod(SHAPE_GRID.spacing_mm)
    told = brain.volumes_mm3["icv_mm3"]
    assert told == pytest.approx(share * person.icv_mm3 / head.icv_mm3, rel=0.003)
    assert told == pytest.approx(person.icv_mm3, rel=0.01) and told != round(person.icv_mm3, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_head_of_ones_own_shape_keeps_the_size_of_its_cavity(seed: int) -> None:
    head = template_head()
    shape = draw_shape(None, np.random.default_rng(seed))
    assert shape.norm(dim=0).max() > 4  # mm: there is a shape
    counted = count_labels(fine_voxels(shape, head, None), None)
    assert intracranial_volume(counted) == pytest.approx(head.icv_mm3, rel=0.01)


def test_labels_are_counted_where_they_are() -> None:
    """Nothing moved: the labels' own volumes. All lengths 5 % shorter than the source's: 1.05 cubed times as small."""
    head = template_head()
    own = own_labels(head)
    still = torch.zeros((3, *SHAPE_GRID.shape_xyz))
    for factor, displacement in ((1.0, still), (1.05, 0.05 * grid_points(SHAPE_GRID))):
        found = count_labels(fine_voxels(displacement, head, None), None)
        for name in head.measurable:
            mine = volume_of(own, TRUTH_CODES[name])
            # the nearest label of a 1.25 mm voxel: the 15 structures differ by up to 92 mm3 either way
            assert volume_of(found, TRUTH_CODES[name]) * factor**3 == pytest.approx(mine, rel=0.02, abs=100), name
        assert intracranial_volume(found) * factor**3 == pytest.approx(head.icv_mm3, rel=0.005)


def test_no_driver_crosses_the_wall_of_the_skull() -> None:
    outward, held, _ = wall(None)
    at_wall = held > 0.999
    assert at_wall.sum() > 5000
    for name, field in driver_fields(None).items():
        through = np.abs((field * outward).sum(axis=0))[at_wall]
        assert through.max() < 0.01 * np.abs(field).max(), name
        assert not field[:, ~np.isfinite(held)].any() and not field[:, 0].any() and not field[..., -1].any()


def test_the_mask_of_change_is_the_labels_of_what_changed() -> None:
    person = dataclasses.replace(
        of_severity(1, 2.4), disease_change={"hippocampus_left": -0.2, "ventricles": 0.3, "sulci": 0.4}
    )
    brain = grow_brain(person, None, 4.0, np.random.default_rng(1))
    assert brain.changed == ("hippocampus_left", "ventricles")
    made = to_derivative(
        brain, draw_style(np.random.default_rng(0), LOOKS["mild"]), SMALL.contract, np.random.default_rng(2)
    )
    head = template_head()
    source = brain.to_source(made.points_mm).numpy()
    inverse = np.linalg.inv(head.affine)
    voxel = np.rint(np.tensordot(inverse[:3, :3], source, 1) + inverse[:3, 3][:, None, None, None]).astype(int)
    inside = ((voxel >= 0) & (voxel < np.array(head.labels.shape)[:, None, None, None])).all(axis=0)
    voxel = np.where(inside, voxel, 0)
    codes = TRUTH_CODES["hippocampus_left"] + TRUTH_CODES["ventricles"]
    expected = np.isin(head.labels[tuple(voxel)], codes) & inside
    assert expected.sum() > 500
    assert (made.changed != expected).sum() <= 0.002 * expected.sum()  # points that lie between two voxels


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t" if path.suffix == ".tsv" else ","))


def test_files_hold_what_the_truth_says(tmp_path: Path) -> None:
    """Scans without anything but the brain: their voxels are the ICV, and the mask's are the structures that changed."""
    simulate(
        SimulateConfig(
            tmp_path, 5, spacing_mm=1.5, thickness_mm=1.5, stripped=1.0, missing=0.0, measured=False, seed=3, workers=1
        )
    )
    masks = 0
    for row in rows_of(tmp_path / TRUTH):
        scan, mask = (
            nib.load(next((tmp_path / f"sub-{row['subject_id']}" / "anat").glob(f"*{ending}.nii.gz")))
            for ending in ("T1w", "desc-changed_mask")
        )
        voxel_mm3 = abs(np.linalg.det(scan.affine[:3, :3]))
        painted = np.asarray(scan.dataobj) > 0
        assert painted.sum() * voxel_mm3 == pytest.approx(float(row["icv_mm3"]), rel=0.012)
        changed = np.asarray(mask.dataobj) > 0
        record = json.loads((tmp_path / RECORDS / f"{row['subject_id']}.json").read_text())["visits"][0]
        names = changed_regions(Person.from_dict(record["person"]), template_head().measurable)
        told = sum(float(row[f"{name}_mm3"]) / muse_per_label(name) for name in names)
        assert changed.sum() * voxel_mm3 == pytest.approx(told, rel=0.03, abs=30)
        masks += bool(names)
    assert masks >= 2


def test_sicker_people_have_the_same_brain_masks_and_head_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outline of a mask must not tell the diagnosis: the brain that shrank leaves fluid inside it."""
    for name, shift in (("a", 0.0), ("b", 1.5)):
        moved = {group: (mean + shift, sd) for group, (mean, sd) in population.SEVERITY.items()}
        with monkeypatch.context() as patch:
            patch.setattr(population, "SEVERITY", moved)
            simulate(
                SimulateConfig(tmp_path / name, 4, preprocessed=True, missing=0.0, measured=False, seed=4, workers=1)
            )
    rows = {name: rows_of(tmp_path / name / TRUTH) for name in "ab"}
    for well, ill in zip(rows["a"], rows["b"], strict=True):
        assert float(ill["severity"]) == pytest.approx(float(well["severity"]) + 1.5, abs=1e-5)
        assert float(ill["whole_brain_mm3"]) < float(well["whole_brain_mm3"])
        assert float(ill["icv_mm3"]) == pytest.approx(float(well["icv_mm3"]), rel=0.002)
        mine, theirs = (
            np.asarray(
                nib.load(next((tmp_path / name / f"sub-{well['subject_id']}").rglob("*desc-brain_mask.nii.gz"))).dataobj
            )
            > 0
            for name in "ab"
        )
        assert mine.sum() == pytest.approx(theirs.sum(), rel=0.002)
        assert (mine != theirs).sum() < 0.005 * mine.sum()
