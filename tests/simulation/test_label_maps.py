"""Label maps of real heads as anatomies: what they must be, what they lack, and that left stays left."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt

from adclip.config import SMALL, SimulateConfig
from adclip.errors import ConfigError, ScanError
from adclip.imaging.volumes.anatomy import read_anatomy
from adclip.simulation import label_maps, parcels
from adclip.simulation.anatomies import read_head
from adclip.simulation.brains import grid_points, grow_brain
from adclip.simulation.label_maps import name_of, prepare_label_map, read_label_maps, read_labels
from adclip.simulation.population import draw_person
from adclip.verbs.simulate import simulate

STEP = 2  # of the maps made here, mm
SCALP = 507


def whole_head() -> tuple[np.ndarray, np.ndarray]:
    """The template's labels as such maps have them: cortex as 3 and 42, something outside the brain, no parcels."""
    from scipy.ndimage import binary_dilation, binary_erosion

    anatomy = read_anatomy()
    labels = anatomy.labels[::STEP, ::STEP, ::STEP].copy()
    gray, white, brain = (a[::STEP, ::STEP, ::STEP] for a in (anatomy.gray, anatomy.white, anatomy.brain))
    affine = anatomy.affine @ np.diag([STEP, STEP, STEP, 1])
    left = (np.arange(labels.shape[0]) * affine[0, 0] + affine[0, 3] < 0)[:, None, None]
    cerebrum = (labels == 0) | (labels >= 1000) | np.isin(labels, (2, 41))
    labels[(labels >= 1000)] = 0
    labels[cerebrum & (brain > 0.5)] = 24
    for mask, (one, two) in ((gray > 0.4, (3, 42)), (white > 0.5, (2, 41))):
        labels[cerebrum & mask & left] = one
        labels[cerebrum & mask & ~left] = two
    inside = binary_erosion(np.pad(labels > 0, 4), iterations=1)
    labels = np.pad(labels, 4)
    affine = affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [4, 4, 4]
    labels[binary_dilation(inside, iterations=4) & (labels == 0)] = SCALP
    return labels.astype(np.int16), affine


def save(path: Path, labels: np.ndarray, affine: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(labels, affine), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two maps of one head, in other orders of axes, the second shifted."""
    made = tmp_path_factory.mktemp("maps")
    labels, affine = whole_head()
    moved = affine.copy()
    moved[:3, 3] += (5, -8, 10)
    save(made / "one.nii.gz", labels, moved)
    turn = axcodes2ornt("LSP")  # flips left and right in the array, and the affine says so
    turned = nib.Nifti1Image(labels, affine).as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(affine), turn)
    )
    nib.save(turned, made / "two.nii.gz")
    return made


@pytest.fixture(scope="module", autouse=True)
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the module, and fewer iterations: these heads are the template's own."""
    home = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_maps, "cache_folder", lambda: home / "cache")
        patch.setattr(parcels, "LEVELS", ((4.0, 10),))
        yield home
    read_head.cache_clear()


def test_maps_are_listed_by_name(folder: Path) -> None:
    assert [name_of(path) for path in read_label_maps(folder)] == ["one", "two"]


@pytest.mark.parametrize("kind", ["absent", "empty", "two of one name"])
def test_a_folder_without_usable_maps_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "maps"
    if kind != "absent":
        folder.mkdir()
    if kind == "two of one name":
        (folder / "a.nii").write_bytes(b"x")
        (folder / "a.mgz").write_bytes(b"x")
    with pytest.raises(ConfigError, match="--labels"):
        read_label_maps(folder)


@pytest.mark.parametrize(("kind", "told"), [
    ("scan", "not codes"), ("negative", "not codes"), ("mask", "code"), ("text", "a.nii.gz"), ("cut short", "a.nii.gz"),
])  # fmt: skip
def test_a_file_that_is_no_label_map_is_named(tmp_path: Path, kind: str, told: str) -> None:
    labels, affine = whole_head()
    path = tmp_path / "a.nii.gz"
    if kind == "scan":
        save(path, labels.astype(np.float32) * 1.37, affine)
    elif kind == "negative":
        save(path, -labels, affine)
    elif kind == "mask":
        save(path, (labels > 0).astype(np.int16), affine)
    elif kind == "text":
        path.write_text("no image")
    else:
        save(path, labels, affine)
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ScanError, match=told) as caught:
        read_labels(path)
    assert "a.nii.gz" in caught.value.problem
    with pytest.raises(ScanError):
        simulate(SimulateConfig(tmp_path / "out", 1, labels=tmp_path, spacing_mm=3.0, measured=False))


def test_parcels_are_carried_to_their_place_and_side(folder: Path) -> None:
    template = read_anatomy()
    for path in read_label_maps(folder):
        found = prepare_label_map(path)
        where = np.argwhere(found.labels == 1006)  # left entorhinal cortex
        centre = nib.affines.apply_affine(found.affine, where).mean(axis=0)
        own = nib.affines.apply_affine(template.affine, np.argwhere(template.labels == 1006)).mean(axis=0)
        assert centre[0] < -10 and np.linalg.norm(centre - own) < 5
        for hemisphere, first in ((3, 1000), (42, 2000)):
            assert not (found.labels == hemisphere).any()
            x = nib.affines.apply_affine(
                found.affine, np.argwhere((found.labels > first) & (found.labels < first + 36))
            )[:, 0]
            assert np.mean(x < 0) == pytest.approx(1.0 if first == 1000 else 0.0, abs=0.03)
        assert {"entorhinal", "fusiform", "middle_temporal"} <= {
            name.removesuffix("_left") for name in found.measurable
        }


def test_a_prepared_map_is_read_again_and_a_damaged_one_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = read_label_maps(folder)[0]
    first = prepare_label_map(path)
    (kept,) = (label_maps.cache_folder() / "label-maps").glob(f"{label_maps.file_sha256(path)}*")
    with monkeypatch.context() as patch:
        patch.setattr(label_maps, "_prepare", None)  # must not be needed
        assert np.array_equal(prepare_label_map(path).labels, first.labels)
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2])
    assert np.array_equal(prepare_label_map(path).labels, first.labels)
    assert kept.stat().st_size == len(content)


def test_a_one_sided_atrophy_is_on_that_side_of_a_label_map(folder: Path) -> None:
    person = draw_person("x", np.random.default_rng(0))
    calm = dict.fromkeys(person.log_change, 0.0)
    for path in read_label_maps(folder):
        before, after = (
            grow_brain(
                dataclasses.replace(person, log_change=change, disease_change=change),
                path,
                4.0,
                np.random.default_rng(1),
            )
            for change in (calm, calm | {"hippocampus_left": -0.4})
        )
        ratio = {
            side: np.log(after.volumes_mm3[f"hippocampus_{side}_mm3"] / before.volumes_mm3[f"hippocampus_{side}_mm3"])
            for side in ("left", "right")
        }
        assert ratio["left"] == pytest.approx(-0.4, abs=0.1) and abs(ratio["right"]) < 0.06
        points = grid_points(SMALL.contract)
        assert (points[0].numpy()[after.changed_in(after.to_source(points))] < 0).all()


def test_the_disease_moves_no_skull_of_a_label_map(folder: Path) -> None:
    """Every label inside the skull counts, named by a tissue or not, and what is outside never does."""
    path = read_label_maps(folder)[0]
    person = draw_person("x", np.random.default_rng(3))
    ill = {name: change - 0.3 for name, change in person.log_change.items()} | {"ventricles": 0.5, "sulci": 0.4}
    icv = [
        grow_brain(dataclasses.replace(person, log_change=change), path, 4.0, np.random.default_rng(1)).volumes_mm3[
            "icv_mm3"
        ]
        for change in (person.log_change, ill)
    ]
    assert icv[1] == pytest.approx(icv[0], rel=0.003)
    assert icv == pytest.approx([person.icv_mm3] * 2, rel=0.015)


def test_lesions_and_every_choroid_plexus_of_such_maps_are_painted() -> None:
    from adclip.simulation.anatomies import TRUTH_CODES
    from adclip.simulation.tissues import is_intracranial, tissue_of_code

    painted = tissue_of_code()
    assert painted[136] == painted[163] == painted[137] == painted[164] == "csf"
    assert painted[25] == painted[57] == "deep_gray"
    assert {136, 163, 137, 164} <= set(TRUTH_CODES["ventricles"])
    assert is_intracranial(np.array([0, 24, 25, 499, 500, 530, 999, 1000, 2035])).tolist() == [
        False, True, True, True, False, False, False, True, True,
    ]  # fmt: skip


def test_what_a_map_lacks_stays_empty(folder: Path, tmp_path: Path) -> None:
    labels, affine = whole_head()
    labels[np.isin(labels, (3, 42))] = 24  # a map without cortex
    labels[np.isin(labels, (17,))] = 2  # and without the left hippocampus
    (tmp_path / "maps").mkdir()
    save(tmp_path / "maps" / "bare.nii.gz", labels, affine)
    result = simulate(
        SimulateConfig(
            tmp_path / "out",
            1,
            labels=tmp_path / "maps",
            spacing_mm=3.0,
            missing=0.0,
            preprocessed=True,
            measured=False,
        )
    )
    header, row = (line.split(",") for line in Path(result.files["table"]).read_text().splitlines())
    known = {name for name, cell in zip(header, row, strict=True) if cell}
    assert {"ventricles_mm3", "icv_mm3", "hippocampus_right_mm3"} <= known
    assert not {"entorhinal_mm3", "fusiform_mm3", "hippocampus_left_mm3", "hippocampus_mm3"} & known


def test_a_cohort_of_label_maps_is_the_same_for_any_number_of_workers(
    folder: Path, tmp_path: Path, _kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCLIP_HOME", str(_kept))  # where the processes find what this one prepared
    for workers in (1, 2):
        simulate(
            SimulateConfig(
                tmp_path / str(workers), 3, labels=folder, spacing_mm=3.0, workers=workers, seed=1, measured=False
            )
        )
    for name in ("table.csv", "truth.tsv", "adnimerge.csv"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    truth = (tmp_path / "1" / "truth.tsv").read_text()
    assert "one" in truth or "two" in truth
    scans = sorted((tmp_path / "1").glob("sub-*/anat/*_T1w.nii.gz"))
    assert len(scans) == 3
    for scan in scans:
        assert scan.read_bytes() == (tmp_path / "2" / scan.relative_to(tmp_path / "1")).read_bytes()
