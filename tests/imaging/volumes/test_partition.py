"""The brain in parts: nothing is lost, nothing counted twice, and the scan's own structures come before the template's."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import CONTRACT

from adclip.config import SMALL
from adclip.imaging.volumes import medial_temporal, segmenter
from adclip.imaging.volumes.anatomy import read_anatomy
from adclip.imaging.volumes.partition import PARCELS, REST, onto_grid, partition
from adclip.imaging.volumes.structures import place_structures

VOXEL_MM3 = {id(SMALL.contract): 8.0, id(CONTRACT): 125.0}


def sizes_mm3(contract, structures=None):
    parts = partition(contract, structures)
    sums = parts.sum_over(np.ones(contract.shape_xyz)) * VOXEL_MM3[id(contract)]
    return dict(zip((region.key for region in parts.regions), sums, strict=True))


def square(middle_mm, half=8, value=1.0):
    """Return a cube of 1 mm voxels round a place in MNI space, with air around it."""
    share = np.zeros((2 * half + 9,) * 3, np.float32)
    share[4:-4, 4:-4, 4:-4] = value
    affine = np.eye(4)
    affine[:3, 3] = np.array(middle_mm) - (np.array(share.shape) - 1) / 2
    return share, affine


@pytest.mark.parametrize("contract", [SMALL.contract, CONTRACT], ids=["small", "tiny"])
@pytest.mark.parametrize("own", [False, True])
def test_all_parts_of_each_voxel_are_the_voxel(contract, own):
    structures = {
        "hippocampus_left": square((-26, -20, -16), value=0.7),
        "amygdala_left": square((-24, -10, -18), value=0.6),  # where both are, they claim more than the voxel
        "lateral_ventricle_right": square((12, -20, 18)),
    }
    parts = partition(contract, structures if own else None)
    assert parts.shares.data.min() >= 0
    np.testing.assert_allclose(np.asarray(parts.shares.sum(axis=0)).ravel(), 1, atol=1e-6)
    array = np.random.default_rng(0).random(contract.shape_xyz)
    assert parts.sum_over(array).sum() == pytest.approx(array.sum(), rel=1e-6)


def test_every_region_of_the_atlas_has_its_template_volume():
    """Counted in the label map itself, in 1 mm3 voxels; the grid is wide enough for all of them."""
    labels = read_anatomy().labels
    found = sizes_mm3(SMALL.contract)
    assert len(PARCELS) == 34 and len(found) == 2 * (34 + 7 + 1) + 4
    for number, name in PARCELS.items():
        assert found[f"{name}_left"] == pytest.approx((labels == 1000 + number).sum(), rel=0.01, abs=2)
        assert found[f"{name}_right"] == pytest.approx((labels == 2000 + number).sum(), rel=0.01, abs=2)
    for key, codes in {"hippocampus_left": (17,), "inferior_lateral_ventricle_left": (5,), "brain_stem": (16,),
                       "cerebellum_right": (46, 47), "fourth_ventricle": (15,)}.items():  # fmt: skip
        assert found[key] == pytest.approx(np.isin(labels, codes).sum(), rel=0.03), key


def test_left_is_left():
    parts = partition(SMALL.contract)
    x = np.broadcast_to(
        (SMALL.contract.affine_xyz[0, 3] + 2.0 * np.arange(SMALL.contract.shape_xyz[0]))[:, None, None],
        SMALL.contract.shape_xyz,
    )
    means = parts.sum_over(x) / np.maximum(parts.sum_over(np.ones(x.shape)), 1)
    for region, mean in zip(parts.regions, means, strict=True):
        assert {"left": mean < -1, "right": mean > 1, None: abs(mean) < 3}[region.side], (region, mean)
    rest = [means[place] for place, region in enumerate(parts.regions) if region.name == REST]
    assert rest[0] == pytest.approx(-rest[1], rel=0.02)


def test_the_scans_own_structure_takes_the_place_of_the_template_and_nothing_else():
    before, placed = sizes_mm3(SMALL.contract), square((-26, -20, -16))
    after = sizes_mm3(SMALL.contract, {"hippocampus_left": placed})
    assert after["hippocampus_left"] == pytest.approx(placed[0].sum(), rel=1e-3)
    assert before["hippocampus_left"] != pytest.approx(placed[0].sum(), rel=0.1)
    assert after["hippocampus_right"] == before["hippocampus_right"]
    assert after["precentral_left"] == before["precentral_left"]
    assert sum(after.values()) == pytest.approx(sum(before.values()))
    sources = {region.key: region.source for region in partition(SMALL.contract, {"hippocampus_left": placed}).regions}
    assert sources["hippocampus_left"] == "this scan" and sources["hippocampus_right"] == "template"


def test_what_the_scan_does_not_have_goes_to_its_neighbours():
    """A hippocampus that was looked for and not found leaves no hole called hippocampus, and its place is not lost."""
    nothing = np.zeros((4, 4, 4), np.float32), np.eye(4)
    before, after = sizes_mm3(SMALL.contract), sizes_mm3(SMALL.contract, {"hippocampus_left": nothing})
    assert after["hippocampus_left"] == 0
    gained = {key: after[key] - before[key] for key in after if after[key] > before[key] + 10}
    assert sum(gained.values()) == pytest.approx(before["hippocampus_left"], rel=0.01)
    assert set(gained) <= {
        "white_matter_left", "rest_of_brain_left", "parahippocampal_left", "lateral_ventricle_left", "deep_grey_left",
        "entorhinal_left", "isthmus_cingulate_left", "amygdala_left", "inferior_lateral_ventricle_left", "fusiform_left",
        "lingual_left", "white_matter_right",
    }  # fmt: skip


def test_a_map_in_mni_keeps_its_volume_and_place_on_the_grid():
    share, affine = square((-25.5, -19.5, -14.5))
    for contract, tolerance in (
        (SMALL.contract, 0.01),
        (CONTRACT, 0.05),
    ):  # three points an axis of a voxel, of 2 and of 5 mm
        found = onto_grid(share, affine, contract)
        assert found.sum() * VOXEL_MM3[id(contract)] == pytest.approx(share.sum(), rel=tolerance)
        place = np.argwhere(found > 0).mean(axis=0)
        mm = contract.affine_xyz[:3, :3] @ place + contract.affine_xyz[:3, 3]
        assert np.abs(mm - (-25.5, -19.5, -14.5)).max() < contract.spacing_mm[0] / 2


def test_what_the_networks_found_lies_where_they_found_it():
    """The close look mirrors the left side; on the map it is left again, and each structure on its own side of MNI space."""
    lobes = np.zeros((2, len(medial_temporal.CLASSES), medial_temporal.SIDE, 64, 56), np.float32)
    hippocampus = medial_temporal.CLASSES.index("hippocampus")
    lobes[0, hippocampus, 20:26, 30:40, 20:28] = 1.0
    lobes[1, hippocampus, 20:26, 30:34, 20:28] = 1.0
    whole = np.zeros((len(segmenter.CLASSES), *segmenter.BOX.shape_xyz), np.float32)
    whole[segmenter.CLASSES.index("lateral ventricle"), 40:62, 40:90, 50:70] = 1.0
    placed = place_structures(whole, lobes)
    sizes = {key: float(share.sum()) for key, (share, _) in placed.items()}
    assert sizes["hippocampus_right"] == 6 * 10 * 8 and sizes["hippocampus_left"] == 6 * 4 * 8
    assert sizes["amygdala_left"] == 0
    for key, (share, affine) in placed.items():
        if share.any():
            x = (affine[:3, :3] @ np.argwhere(share).T + affine[:3, 3:])[0]
            assert (x < 0).all() if key.endswith("left") else (x > 0).all(), key
    right = medial_temporal.BOX.affine_xyz[0, 3] + (100 - 48 + 20)
    share, affine = placed["hippocampus_right"]
    assert (affine[:3, :3] @ np.argwhere(share).T + affine[:3, 3:])[0].min() == pytest.approx(right)
    share, affine = placed["hippocampus_left"]
    assert (affine[:3, :3] @ np.argwhere(share).T + affine[:3, 3:])[0].max() == pytest.approx(-right)


def test_the_close_look_has_the_last_word_on_the_temporal_horn():
    horn = medial_temporal.CLASSES.index("inferior lateral ventricle")
    lobes = np.zeros((2, len(medial_temporal.CLASSES), medial_temporal.SIDE, 64, 56), np.float32)
    lobes[0, horn] = 1.0
    whole = np.ones((len(segmenter.CLASSES), *segmenter.BOX.shape_xyz), np.float32)
    placed = place_structures(whole, lobes)
    both = sum(
        float(share.sum() * abs(np.linalg.det(affine[:3, :3])))
        for key, (share, affine) in placed.items()
        if key.endswith("_right")
    )
    half_box = np.prod(segmenter.BOX.shape_xyz) / 2 * 1.5**3
    assert both == pytest.approx(half_box, rel=0.01)  # each place once
    assert placed["lateral_ventricle_left"][0].min() == 1
