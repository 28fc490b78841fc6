"""Relevance: of the model that decided, by all its roads, on the right side of the head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from explaining import KINDS, PHRASE, WEIGHED, explained_of, scores_of, weigh_by
from tiny import CONFIG, CONTRACT, LABELS, known_of

from adclip.domain import Visit
from adclip.explanation.attribution import attribute, resolution_of
from adclip.explanation.explained import Explained
from adclip.explanation.methods import METHODS
from adclip.explanation.relevance import Relevance, enlarge_patches, scaled, smooth, sum_patches
from adclip.explanation.settings import DEFAULT_METHOD, METHOD_NAMES
from adclip.explanation.target import class_target
from adclip.imaging.steps.grid import from_model_order
from adclip.model.calibration import SCAN, TABLE_WITH_VOLUMES, Road
from adclip.prediction.predictor import Predictor


def number_of(scores, weights: Road = WEIGHED) -> torch.Tensor:
    """What explains AD, by hand: the row moves it, but no patch does so by the row."""
    own = [table[0, 2] - table[0, :2].mean() for table in (scores.bare, scores.report)]
    return weights.scan * own[0] + weights.both * own[1]


def test_the_methods_that_can_be_asked_for_are_those_there_are():
    assert set(METHOD_NAMES) == set(METHODS) and len(METHOD_NAMES) == len(METHODS)
    assert DEFAULT_METHOD in METHODS


# ------------------------------------------------------------------------------------------------ the pass that decided


@pytest.mark.parametrize("with_report", [True, False])
def test_the_explained_pass_is_the_one_that_decided(predictor, image, cohort, with_report):
    evidence = known_of(predictor, cohort.visits[2] if with_report else None)
    found = attribute(explained_of(predictor, image, evidence), "grad-eclip")
    wanted = scores_of(predictor, image, evidence)
    assert found.answer.scores == pytest.approx(wanted, abs=1e-6)
    assert found.target == class_target(max(wanted, key=wanted.get)) and found.method == "grad-eclip"
    assert found.answer.used_report == with_report
    assert found.answer.road == evidence.road == (TABLE_WITH_VOLUMES if with_report else SCAN)
    assert found.per_patch.shape == CONFIG.token_grid and found.signed.shape == CONTRACT.shape
    assert found.positive.min() == 0 and found.positive.max() == pytest.approx(1)
    np.testing.assert_array_equal(found.positive, found.signed.clip(0))
    assert sum(found.roads.values()) == pytest.approx(1) and set(found.roads) == {"vision", "cross_attention"}
    assert found.flags == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_each_method_explains_the_number_of_the_scores_that_predict_gives(
    either, image, reference, cohort, method, kind
):
    evidence = known_of(either, cohort.visits[2])
    explained = explained_of(either, image, evidence, kind, reference)
    found = attribute(explained, method)
    assert found.answer.scores == pytest.approx(scores_of(either, image, evidence), abs=1e-6)
    scores = found.answer.scores
    with torch.inference_mode():
        network, reader = either.reader.network, either.reader
        wanted = {
            "AD": scores["AD"] - (scores["CN"] + scores["MCI"]) / 2,
            "AD-CN": scores["AD"] - scores["CN"],
            "mmse": float(either.score(image, evidence).mmse),
            "text": float((network.encode_image(image) * functional.normalize(reader.encode([PHRASE], 1).cls[:, 0])).sum()),
        }[kind]  # fmt: skip
    with torch.no_grad():
        versions = (explained.of_images(image), explained.of_patches(explained.patches, explained.shares))
    assert [float(number) for number in versions] == pytest.approx([wanted, wanted], abs=1e-5)
    # and what is found is a map of a scan
    assert (
        found.per_patch.shape == CONFIG.token_grid
        and np.isfinite(found.per_patch).all()
        and np.ptp(found.per_patch) > 0
    )
    assert found.signed.shape == CONTRACT.shape and np.isfinite(found.signed).all()
    assert found.flags == () and found.signed.max() == pytest.approx(1)
    assert sum(found.roads.values()) == pytest.approx(1) or not found.roads
    assert found.fine_resolution_mm <= found.resolution_mm


def test_the_answer_weighs_its_three_sources(predictor, image, evidence):
    with torch.inference_mode():
        scores = predictor.score(image, evidence)
        answer = predictor.to_answer(scores, evidence)
    for place, label in enumerate(LABELS):
        logarithm = float(np.log(evidence.metadata_only[label]))
        wanted = 0.7 * float(scores.bare[0, place]) + 0.5 * logarithm + 0.8 * float(scores.report[0, place])
        assert answer.scores[label] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"attention-rollout"}))
def test_an_answer_by_the_row_alone_is_explained_by_no_patch(predictor, image, reference, evidence, method):
    """Rollout is left out: it hangs on no class and tells where the network looks."""
    weigh_by(predictor, Road(metadata=1.0, both=0.0))
    found = attribute(explained_of(predictor, image, evidence, "AD", reference), method)
    assert found.flags == ("flat_map",) and not found.signed.any()
    assert scores_of(predictor, image, evidence) == scores_of(predictor, image.flip(4), evidence)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_same_scan_gives_the_same_map(predictor, image, reference, evidence, method):
    one, two = (attribute(explained_of(predictor, image, evidence, "AD", reference), method) for _ in range(2))
    np.testing.assert_array_equal(one.signed, two.signed)
    of_another_class = attribute(explained_of(predictor, image, evidence, "CN", reference), method)
    assert np.array_equal(one.signed, of_another_class.signed) is (method == "attention-rollout")
    of_the_score = attribute(explained_of(predictor, image, evidence, "mmse", reference), method)
    assert not np.array_equal(one.signed, of_the_score.signed)


def test_the_mmse_comes_by_the_tower_alone(predictor, image, evidence):
    found = attribute(explained_of(predictor, image, evidence, "mmse"), "grad-eclip")
    assert found.target.name == "mmse" and found.roads == {"vision": pytest.approx(1.0)}


# ------------------------------------------------------------------------------------------------ roads


ROADS_OF_PATCHES = ("tower", "report", "bare")


def cut_roads(monkeypatch, predictor, cut: set[str]) -> None:
    """Let no token but the patches look at patches: in the tower, or in the cross-attention of report or of bare candidates."""
    first, patches = 1 + 1 + 3, CONFIG.patches
    real, network = functional.scaled_dot_product_attention, predictor.reader.network
    score, candidates = network.score, ["report"]

    def scored(image, texts, *rest):
        candidates[0] = "bare" if texts is predictor.reader.bare() else "report"
        return score(image, texts, *rest)

    def attend(query, key, value, attn_mask=None, **options):
        tokens = key.shape[2]
        if "tower" in cut and tokens == first + patches:
            attn_mask = torch.ones(tokens, tokens, dtype=torch.bool)
            attn_mask[:first, first:] = False
        if candidates[0] in cut and tokens == 1 + patches:
            attn_mask = (torch.arange(tokens) < 1).expand(query.shape[2], -1)
        return real(query, key, value, attn_mask=attn_mask, **options)

    monkeypatch.setattr(network, "score", scored)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", attend)


@pytest.mark.parametrize("open_road", [None, *ROADS_OF_PATCHES])
def test_there_are_exactly_these_roads_from_the_patches(monkeypatch, predictor, image, reference, evidence, open_road):
    """With all cut no patch moves the answer; each alone is enough to move it. The same of versions whose patches are replaced."""
    cut_roads(monkeypatch, predictor, set(ROADS_OF_PATCHES) - {open_road})
    one, two = (scores_of(predictor, scan, evidence) for scan in (image, image.flip(4)))
    explained = explained_of(predictor, image, evidence, "AD", reference)
    masks = torch.stack([torch.zeros(CONFIG.patches), torch.ones(CONFIG.patches)]).bool()
    numbers = explained.replaced(masks)
    if open_road is None:
        assert one == two and numbers[0] == numbers[1]
    else:
        assert max(abs(one[label] - two[label]) for label in LABELS) > 1e-4 and abs(numbers[0] - numbers[1]) > 1e-4


def test_with_attention_cut_the_closer_look_is_what_remains(monkeypatch, closer_predictor, image, reference, evidence):
    cut_roads(monkeypatch, closer_predictor, {"tower", "report", "bare"})
    masks = torch.stack([torch.zeros(CONFIG.patches), torch.ones(CONFIG.patches)]).bool()

    def change() -> tuple[float, float]:
        first, second = (scores_of(closer_predictor, scan, evidence) for scan in (image, image.flip(4)))
        one, two = explained_of(closer_predictor, image, evidence, "AD", reference).replaced(masks).tolist()
        return max(abs(first[label] - second[label]) for label in LABELS), abs(one - two)

    assert min(change()) > 1e-4
    torch.nn.init.zeros_(closer_predictor.reader.network.vision_encoder.patch_embedding.close_up.gather.weight)
    assert change() == (0.0, 0.0)


# ------------------------------------------------------------------------------------------------ versions of the scan


def test_replacing_all_patches_gives_the_number_of_the_other_image(either, image, reference, cohort):
    """Patches and what the closer look found go together, so that half a replacement is a scan of two people."""
    evidence = known_of(either, cohort.visits[2])
    explained = explained_of(either, image, evidence, "AD-CN", reference)
    masks = torch.stack([torch.zeros(CONFIG.patches), torch.ones(CONFIG.patches)]).bool()
    own, other = explained.replaced(masks).tolist()
    with torch.no_grad():
        wanted = [float(explained.of_images(scan)) for scan in (image, reference)]
    assert [own, other] == pytest.approx(wanted, abs=1e-5) and abs(own - other) > 1e-3
    third = cohort.image_batch([4], torch.device("cpu"))
    with torch.no_grad():
        by = either.reader.network.vision_encoder.embed(third)
        of_third = float(explained.of_images(third))
    assert float(explained.replaced(masks[1:], by)) == pytest.approx(of_third, abs=1e-5)


def test_many_versions_go_through_in_pieces_and_in_order(predictor, image, reference, evidence):
    explained = explained_of(predictor, image, evidence, "AD", reference)
    masks = torch.eye(CONFIG.patches).bool()
    assert len(masks) > 2 * explained.at_once
    one_by_one = torch.cat([explained.replaced(mask[None]) for mask in masks])
    torch.testing.assert_close(explained.replaced(masks), one_by_one, rtol=0, atol=2e-5)
    assert len(set(one_by_one.tolist())) > CONFIG.patches / 2


def test_without_a_reference_nothing_to_see_is_black(predictor, image, evidence):
    explained = Explained(predictor, image, evidence, class_target("AD"))
    assert not explained.reference.any() and explained.reference.shape == image.shape


def test_patches_that_hold_brain_are_those_with_a_voxel_of_it(predictor, evidence):
    scan = torch.zeros(1, 1, *CONTRACT.shape)
    scan[0, 0, 7, 8, 31] = 0.5
    inside = explained_of(predictor, scan, evidence, "AD").brain_patches().reshape(CONFIG.token_grid)
    assert torch.nonzero(inside).tolist() == [[0, 1, 3]]


def test_an_empty_scan_is_explained_by_nothing(predictor):
    empty = torch.zeros((1, 1, *CONTRACT.shape))
    for visit in (Visit(), None):
        explained = explained_of(predictor, empty, known_of(predictor, visit), "AD")
        assert not explained.brain_patches().any()
        for method in METHODS:
            found = attribute(explained, method)
            assert np.isfinite(found.signed).all()
            if method in ("gradient-x-input", "smoothgrad", "integrated-gradients", "occlusion"):
                assert found.flags == ("flat_map",)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["grad-eclip", "patch-integrated-gradients"])
def test_the_builtin_explains_the_scores_that_it_predicts(precision, method):
    """At its real size, where predicting takes shortcuts that gradients do not allow."""
    predictor = Predictor.from_checkpoint("builtin", "cpu", precision)
    weigh_by(predictor, WEIGHED)
    visit = Visit(hippocampus_mm3=6100.0, icv_mm3=1.4e6, age_years=74.0, volumes_source="DLMUSE")
    evidence = known_of(predictor, visit)
    assert evidence.road == TABLE_WITH_VOLUMES
    shape = predictor.record.model.contract.shape
    image = torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        predicted = predictor.to_answer(predictor.score(image, evidence), evidence)
    found = attribute(explained_of(predictor, image, evidence), method)
    assert found.answer.scores == pytest.approx(predicted.scores, abs=1e-5)
    assert np.isfinite(found.signed).all() and found.signed.max() == pytest.approx(1)


# ------------------------------------------------------------------------------------------------ from patches to voxels


@pytest.mark.parametrize("x", [-60.0, 60.0])
@pytest.mark.parametrize("y", [-90.0, 50.0])
@pytest.mark.parametrize("z", [-55.0, 65.0])
def test_left_stays_left(x, y, z):
    """One relevant patch (D up, H back, W to the patient's left) ends up at its own millimetres."""
    grid = CONFIG.token_grid
    relevance = np.zeros(grid)
    relevance[-1 if z > 0 else 0, 0 if y > 0 else -1, 0 if x > 0 else -1] = 1.0
    heat = from_model_order(enlarge_patches(relevance, CONTRACT.shape))
    assert heat.shape == CONTRACT.shape_xyz
    place = np.argwhere(heat == heat.max()).mean(0)
    found = CONTRACT.affine_xyz[:3, :3] @ place + CONTRACT.affine_xyz[:3, 3]
    assert np.abs(found - (x, y, z)).max() < 25  # half a patch and what is constant beyond its centre
    assert np.array_equal(np.sign(found - (0, -17, 5)), np.sign(np.array((x, y, z)) - (0, -17, 5)))


def test_enlarging_keeps_a_constant_and_the_peaks_of_patch_centres():
    assert np.allclose(enlarge_patches(np.full((2, 3, 2), 0.7), (8, 12, 8)), 0.7)
    relevance = np.random.default_rng(0).random((3, 4, 5))
    wide = enlarge_patches(relevance, (9, 20, 5))
    np.testing.assert_allclose(wide[1::3, 2::5, :], relevance, atol=1e-6)


@pytest.mark.parametrize(
    "grid", [CONFIG.token_grid, (5, 4, 4)], ids=["whole patches", "patches of six and seven voxels"]
)
def test_a_patch_is_the_sum_of_its_voxels(grid):
    voxels = torch.randn(CONTRACT.shape, generator=torch.Generator().manual_seed(0))
    found, wanted = sum_patches(voxels, grid), torch.zeros(grid)
    for place in np.ndindex(*CONTRACT.shape):
        wanted[
            tuple(int((p + 0.5) * count / size) for p, count, size in zip(place, grid, CONTRACT.shape, strict=True))
        ] += voxels[place]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_map_by_patch_and_by_voxel_keeps_its_sum_in_both_forms():
    draw = torch.Generator().manual_seed(0)
    by_patch, by_voxel = torch.randn(CONFIG.token_grid, generator=draw), torch.zeros(CONTRACT.shape)
    by_voxel[10:20, 10:20, 10:20] = torch.randn(10, 10, 10, generator=draw)
    found = Relevance(CONFIG.token_grid, by_patch, by_voxel)
    wanted = float(by_patch.sum() + by_voxel.sum())
    assert float(found.per_patch().sum()) == pytest.approx(wanted, abs=1e-3)
    assert float(found.per_voxel(CONTRACT.shape, CONTRACT.spacing_mm).sum()) == pytest.approx(wanted, abs=1e-3)
    torch.testing.assert_close(Relevance(CONFIG.token_grid, by_patch).per_patch(), by_patch)


def test_smoothing_is_a_gaussian_of_the_width_it_says():
    """Against SciPy's, of voxels with three sizes, and by the width at half of the peak."""
    from scipy.ndimage import gaussian_filter

    voxels = torch.zeros(41, 41, 41)
    voxels[20, 20, 20], voxels[12, 30, 22] = 1.0, -0.5
    found = smooth(voxels, (1.0, 1.5, 2.0)).numpy()
    sd = 6 / np.sqrt(8 * np.log(2))
    wanted = gaussian_filter(voxels.numpy(), [sd, sd / 1.5, sd / 2], mode="constant", truncate=4.0)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert found[23, 20, 20] / found[20, 20, 20] == pytest.approx(0.5, abs=1e-3)  # 3 mm from the middle


def test_the_largest_value_is_one_and_what_has_none_is_flat():
    values, is_flat = scaled(torch.tensor([-4.0, 1.0, 2.0]))
    assert values.tolist() == [-2.0, 0.5, 1.0] and not is_flat
    values, is_flat = scaled(torch.tensor([-4.0, 0.0]))
    assert values.tolist() == [0.0, 0.0] and is_flat


@pytest.mark.parametrize(
    ("by_patch", "by_voxel", "parts", "wanted"),
    [
        (True, False, 1, (40.0, 40.0)),
        (True, True, 1, (40.0, 6.0)),
        (False, True, 1, (6.0, 6.0)),
        (True, False, 2, (20.0, 20.0)),
    ],
)
def test_how_fine_a_map_is(predictor, image, evidence, by_patch, by_voxel, parts, wanted):
    """Patches of 40 mm; voxels of 5 mm, smoothed over 6."""
    patches, voxels = torch.ones(CONFIG.token_grid), torch.ones(CONTRACT.shape)
    found = Relevance(CONFIG.token_grid, patches if by_patch else None, voxels if by_voxel else None)
    assert resolution_of(explained_of(predictor, image, evidence, "AD"), found, parts) == wanted
