"""Measured volumes scale with the scan, keep left left, and say their error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from phantoms import make_head

from adclip.errors import WeightsError
from adclip.imaging.steps.grid import to_grid
from adclip.imaging.volumes import medial_temporal, segmenter
from adclip.imaging.volumes.anatomy import REGION_CODES, read_anatomy
from adclip.imaging.volumes.measure import (
    FIELDS,
    METHOD,
    VolumeEstimate,
    measure_volumes,
    read_accuracy,
    to_muse_scale,
    to_segmenter_box,
    volumes_version,
)
from adclip.imaging.volumes.medial_temporal import (
    load_networks,
    segment_medial_temporal,
    split_sides,
    sum_structures,
    to_level,
)
from adclip.imaging.volumes.segmenter import BOX, CLASSES, join_halves, load_segmenter, split_halves

ASSETS = Path(segmenter.__file__).parents[2] / "assets" / "segmenter"


@pytest.fixture(scope="module")
def template_volumes() -> VolumeEstimate:
    """Of the template's own brain, in place."""
    return measure_volumes(*make_head(skull=False), np.eye(4))


def test_the_template_has_the_volumes_of_an_adult(template_volumes: VolumeEstimate) -> None:
    found = template_volumes
    assert found.hippocampus_mm3 == pytest.approx(found.hippocampus_left_mm3 + found.hippocampus_right_mm3)
    for name in ("hippocampus", "amygdala", "inferior_lateral_ventricle"):
        left, right, both = (getattr(found, f"{name}_{side}mm3") for side in ("left_", "right_", ""))
        assert both == pytest.approx(left + right), name
        if name != "inferior_lateral_ventricle":  # closed in the template
            assert left == pytest.approx(right, rel=0.1), name  # the template is symmetric
    assert 2500 < found.hippocampus_left_mm3 < 7000  # MNI space is about a fifth larger than a head
    assert 700 < found.amygdala_left_mm3 < 2500
    assert found.inferior_lateral_ventricle_mm3 < found.ventricles_mm3
    assert 8e3 < found.ventricles_mm3 < 8e4
    assert 1.1e6 < found.whole_brain_mm3 < found.icv_mm3 < 2.2e6


def test_a_head_a_tenth_larger_has_volumes_a_third_larger() -> None:
    array, affine, brain = make_head(skull=False)
    grow = np.diag([1.1, 1.1, 1.1, 1.0])
    small = measure_volumes(array, affine, brain, np.eye(4), calibrated=False)
    found = measure_volumes(array, grow @ affine, brain, np.linalg.inv(grow), calibrated=False)
    for name in FIELDS:  # the line that calibrates the temporal horn does not scale
        assert getattr(found, name) == pytest.approx(1.331 * getattr(small, name), rel=1e-3), name


def test_left_stays_left_and_mirroring_swaps_the_sides(template_volumes: VolumeEstimate) -> None:
    array, affine, brain = make_head(skull=False)
    anatomy = read_anatomy()
    to_label = np.linalg.inv(anatomy.affine) @ affine
    index = np.rint(np.argwhere(brain) @ to_label[:3, :3].T + to_label[:3, 3]).astype(int)
    hit = np.isin(anatomy.labels[tuple(index.T)], REGION_CODES["hippocampus_left"])
    gone = tuple(np.argwhere(brain)[hit].T)
    array[gone] = 200  # fluid where the left hippocampus was
    found = measure_volumes(array, affine, brain, np.eye(4))
    assert found.hippocampus_left_mm3 < 0.7 * template_volumes.hippocampus_left_mm3
    assert found.hippocampus_right_mm3 > 0.9 * template_volumes.hippocampus_right_mm3

    flipped = affine.copy()
    flipped[0, 3] = -(affine[0, 3] + affine[0, 0] * (array.shape[0] - 1))
    mirrored = measure_volumes(array[::-1].copy(), flipped, brain[::-1].copy(), np.eye(4))
    for name in ("hippocampus", "amygdala", "inferior_lateral_ventricle"):
        for one, other in (("left", "right"), ("right", "left")):
            there, here = getattr(mirrored, f"{name}_{one}_mm3"), getattr(found, f"{name}_{other}_mm3")
            assert there == pytest.approx(here, rel=1e-3), name
    assert mirrored.ventricles_mm3 == pytest.approx(found.ventricles_mm3, rel=1e-3)


def test_a_shrunken_hippocampus_measures_smaller_in_step(template_volumes: VolumeEstimate) -> None:
    """A part of the left hippocampus becomes fluid, as in atrophy: the measured loss follows the true one."""
    array, affine, brain = make_head(skull=False)
    anatomy = read_anatomy()
    to_label = np.linalg.inv(anatomy.affine) @ affine
    index = np.rint(np.argwhere(brain) @ to_label[:3, :3].T + to_label[:3, 3]).astype(int)
    hit = np.isin(anatomy.labels[tuple(index.T)], REGION_CODES["hippocampus_left"])
    places = np.argwhere(brain)[hit]
    above = np.argsort(-places[:, 2])  # from the top, where the temporal horn and the choroid fissure are
    found = [template_volumes.hippocampus_left_mm3]
    for share in (0.2, 0.4):
        shrunken = array.copy()
        shrunken[tuple(places[above[: int(share * len(places))]].T)] = 250
        found.append(measure_volumes(shrunken, affine, brain, np.eye(4)).hippocampus_left_mm3)
    assert found[0] > found[1] > found[2]
    assert found[2] < 0.85 * found[0]


def test_levels_ignore_gain_and_empty_boxes_stay_empty() -> None:
    side = np.random.default_rng(0).uniform(1, 2, (48, 64, 56)).astype(np.float32)
    np.testing.assert_allclose(to_level(3 * side), to_level(side), atol=1e-5)
    assert to_level(side).max() <= 1.5
    assert not to_level(np.zeros_like(side)).any()
    seen = split_sides(np.arange(100)[:, None, None] * np.ones(medial_temporal.BOX.shape_xyz))
    np.testing.assert_array_equal(seen[0, :, 0, 0], np.arange(52, 100))  # from the mid-plane out, on the right
    np.testing.assert_array_equal(seen[1, :, 0, 0], np.arange(47, -1, -1))


def test_volumes_are_the_networks_by_one_rule_a_structure(template_volumes: VolumeEstimate) -> None:
    head, affine, brain = make_head(skull=False)
    raw = measure_volumes(head, affine, brain, np.eye(4), calibrated=False)
    for name in FIELDS:
        assert getattr(template_volumes, name) == pytest.approx(to_muse_scale(name, getattr(raw, name)), rel=1e-6), name
    assert to_muse_scale("hippocampus_left_mm3", 3000.0) == to_muse_scale("hippocampus_right_mm3", 3000.0)
    assert to_muse_scale("hippocampus_mm3", 0.0) == to_muse_scale("inferior_lateral_ventricle_left_mm3", 0.0) == 0.0
    box = to_grid(np.where(brain, head, 0), affine, np.eye(4), medial_temporal.BOX)
    left, right = sum_structures(segment_medial_temporal(box), 1.0)["hippocampus"]
    assert (raw.hippocampus_left_mm3, raw.hippocampus_right_mm3) == pytest.approx((left, right), rel=1e-6)


@pytest.mark.slow
def test_the_same_scan_gives_the_same_numbers(template_volumes: VolumeEstimate) -> None:
    assert measure_volumes(*make_head(skull=False), np.eye(4)) == template_volumes


def test_intensities_may_have_any_scale_and_the_skull_is_not_looked_at() -> None:
    array, affine, brain = make_head(skull=False)
    box = to_segmenter_box(array, affine, brain, np.eye(4))
    assert box.shape == BOX.shape_xyz
    assert box.min() >= 0
    assert box.max() <= 1 + 1e-6
    other = to_segmenter_box(3 * array + 50 + 1e4 * ~brain, affine, brain, np.eye(4))
    np.testing.assert_allclose(other, box, atol=1e-4)


def test_halves_come_together_again() -> None:
    box = np.random.default_rng(0).random(BOX.shape_xyz, dtype=np.float32)
    np.testing.assert_array_equal(join_halves(split_halves(box)), box)


@pytest.mark.parametrize(
    ("module", "stem", "load"),
    [(segmenter, "segmenter", load_segmenter), (medial_temporal, "medial_temporal", load_networks)],
)
def test_altered_weights_are_refused(
    module: ModuleType, stem: str, load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "assets" / "segmenter"
    folder.mkdir(parents=True)
    monkeypatch.setattr(module, "files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="missing"):
        load.__wrapped__()
    (folder / f"{stem}.json").write_bytes((ASSETS / f"{stem}.json").read_bytes())
    data = bytearray((ASSETS / f"{stem}.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="missing"):
        load.__wrapped__()
    (folder / f"{stem}.safetensors").write_bytes(data)
    assert load.__wrapped__().version == load().version
    data[-1] ^= 1
    (folder / f"{stem}.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="SHA-256"):
        load.__wrapped__()
    record = json.loads((folder / f"{stem}.json").read_text())
    (folder / f"{stem}.json").write_text(json.dumps(record | {"schema_version": 99}))
    with pytest.raises(WeightsError, match="newer"):
        load.__wrapped__()


def test_outputs_state_an_error_that_was_measured_with_these_weights(template_volumes: VolumeEstimate) -> None:
    record = read_accuracy()
    assert record["segmenter_sha256"] == load_segmenter().record["sha256"]
    assert set(record["volumes"]) == set(FIELDS)
    told = json.loads(json.dumps(template_volumes.to_record().to_dict()))
    assert told["measured_error"]["n"] == record["n"] == 59
    assert set(told["volumes"]) == set(told["definitions"]) == set(FIELDS)
    assert told["source"] == f"{METHOD} {volumes_version()}"
    assert volumes_version().startswith(load_segmenter().version[:4] + load_networks().version[:4])
    assert record["medial_temporal_sha256"] == load_networks().record["sha256"]
    assert replace(template_volumes, icv_mm3=1.0).to_record().mm3["icv_mm3"] == 1.0


def test_the_records_say_what_the_networks_were_made_of() -> None:
    for record, box, classes in (
        (load_segmenter().record, BOX, CLASSES),
        (load_networks().record, medial_temporal.BOX, medial_temporal.CLASSES),
    ):
        assert tuple(record["classes"]) == classes
        assert record["box"] == box.to_dict()
        assert "Apache License 2.0" in record["notice"]
    assert (ASSETS / "medial_temporal.safetensors").stat().st_size < 3.0e6
    assert (
        sum(path.stat().st_size for path in ASSETS.parent.rglob("*") if path.is_file()) < 14.5e6
    )  # of the whole package: 12 MB of models, atlas and norms, 2.3 of the viewer in pages


def test_every_label_map_was_measured_by_a_network_that_never_saw_it() -> None:
    record = load_networks().record
    out = [set(fold) for fold in record["training"]["left_out"]]
    assert len(out) == record["networks"] == len(load_networks().networks)
    assert len(set.union(*out)) == sum(len(fold) for fold in out) == 16
    assert record["training"]["wrong_sides_left_out"] == [["training_seg_07.nii.gz", "left"]]
    for kind in record["cross_validation"].values():
        assert kind["lobes"] == 31
        assert (
            kind["hippocampus"]["pearson_r_low"]
            < kind["hippocampus"]["pearson_r"]
            < kind["hippocampus"]["pearson_r_high"]
        )


def test_the_version_changes_with_the_calibration_and_not_with_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from adclip.imaging.volumes import measure as volumes

    record = json.loads(json.dumps(read_accuracy()))
    monkeypatch.setattr(volumes, "read_accuracy", lambda: record)
    record["volumes"]["hippocampus_mm3"]["sd_mm3"] = 1
    assert volumes.volumes_version.__wrapped__() == volumes_version()
    record["volumes"]["hippocampus_mm3"]["calibration"]["factor"] = 1.0
    assert volumes.volumes_version.__wrapped__() != volumes_version()


def test_an_error_of_other_networks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from adclip.imaging.volumes import measure as volumes

    folder = tmp_path / "assets" / "segmenter"
    folder.mkdir(parents=True)
    record = json.loads((ASSETS / "accuracy.json").read_text())
    (folder / "accuracy.json").write_text(json.dumps(record | {"medial_temporal_sha256": "0" * 64}))
    monkeypatch.setattr(volumes, "files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="other networks"):
        volumes.read_accuracy.__wrapped__()


def test_volumes_do_not_depend_on_the_number_of_threads(template_volumes: VolumeEstimate) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert measure_volumes(*make_head(skull=False), np.eye(4)) == template_volumes
        assert torch.get_num_threads() == 2  # and whoever asked for two keeps them
    finally:
        torch.set_num_threads(before)
