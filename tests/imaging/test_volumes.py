"""Measured volumes scale with the scan, keep left left, and say their error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import make_head

from adclip.errors import WeightsError
from adclip.imaging import segmenter
from adclip.imaging.anatomy import REGION_CODES, read_anatomy
from adclip.imaging.segmenter import BOX, CLASSES, join_halves, load_segmenter, split_halves
from adclip.imaging.volumes import FIELDS, VolumeEstimate, measure_volumes, read_accuracy, to_segmenter_box

ASSETS = Path(segmenter.__file__).parent.parent / "assets" / "segmenter"


@pytest.fixture(scope="module")
def template_volumes() -> VolumeEstimate:
    """Of the template's own brain, in place."""
    return measure_volumes(*make_head(skull=False), np.eye(4))


def test_the_template_has_the_volumes_of_an_adult(template_volumes: VolumeEstimate) -> None:
    found = template_volumes
    assert found.hippocampus_mm3 == pytest.approx(found.hippocampus_left_mm3 + found.hippocampus_right_mm3)
    assert 2500 < found.hippocampus_left_mm3 < 9000  # MNI space is about a fifth larger than a head
    assert found.hippocampus_left_mm3 == pytest.approx(found.hippocampus_right_mm3, rel=0.05)  # it is symmetric
    assert 8e3 < found.ventricles_mm3 < 8e4
    assert 1.1e6 < found.whole_brain_mm3 < found.icv_mm3 < 2.2e6


def test_a_head_a_tenth_larger_has_volumes_a_third_larger(template_volumes: VolumeEstimate) -> None:
    array, affine, brain = make_head(skull=False)
    grow = np.diag([1.1, 1.1, 1.1, 1.0])
    found = measure_volumes(array, grow @ affine, brain, np.linalg.inv(grow))
    for name in FIELDS:
        assert getattr(found, name) == pytest.approx(1.331 * getattr(template_volumes, name), rel=1e-3), name


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
    assert mirrored.hippocampus_left_mm3 == pytest.approx(found.hippocampus_right_mm3, rel=1e-3)
    assert mirrored.hippocampus_right_mm3 == pytest.approx(found.hippocampus_left_mm3, rel=1e-3)
    assert mirrored.ventricles_mm3 == pytest.approx(found.ventricles_mm3, rel=1e-3)


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


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "assets" / "segmenter"
    folder.mkdir(parents=True)
    (folder / "segmenter.json").write_bytes((ASSETS / "segmenter.json").read_bytes())
    data = bytearray((ASSETS / "segmenter.safetensors").read_bytes())
    monkeypatch.setattr(segmenter, "files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match="missing"):
        load_segmenter.__wrapped__()
    (folder / "segmenter.safetensors").write_bytes(data)
    assert load_segmenter.__wrapped__().version == load_segmenter().version
    data[-1] ^= 1
    (folder / "segmenter.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_segmenter.__wrapped__()


def test_outputs_state_an_error_that_was_measured_with_these_weights(template_volumes: VolumeEstimate) -> None:
    record = read_accuracy()
    assert record["segmenter_sha256"] == load_segmenter().record["sha256"]
    assert set(record["volumes"]) == set(FIELDS)
    told = json.loads(json.dumps(template_volumes.to_dict()))
    assert told["measured_error"]["n"] == record["n"] == 59
    assert set(told["volumes"]) == set(told["definitions"]) == set(FIELDS)
    assert told["version"] == load_segmenter().version
    assert replace(template_volumes, icv_mm3=1.0).to_dict()["volumes"]["icv_mm3"] == 1.0


def test_the_record_says_what_the_network_was_made_of() -> None:
    record = load_segmenter().record
    assert tuple(record["classes"]) == CLASSES
    assert record["box"] == BOX.to_dict()
    assert "Apache License 2.0" in record["notice"]
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 1.6e6
