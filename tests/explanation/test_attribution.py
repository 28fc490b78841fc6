"""Relevance: of the model that decided, by its two roads, on the right side of the head."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from tiny import CONFIG, CONTRACT, LABELS, known_of, make_cohort

from adclip.domain import Visit
from adclip.explanation import attribution
from adclip.explanation.attribution import attribute, enlarge, explained_number, faithfulness
from adclip.imaging.steps.grid import from_model_order
from adclip.model.calibration import SCAN, TABLE_WITH_VOLUMES, Road
from adclip.model.close_up import CloseUp
from adclip.model.vision import AttentionRecord
from adclip.prediction.predictor import Predictor
from adclip.prediction.scoring import Records

WEIGHED = Road(scan=0.7, metadata=0.5, both=0.8)


@pytest.fixture
def predictor(tiny_run):
    found = Predictor.from_checkpoint(tiny_run, "cpu")
    with torch.no_grad():  # after three epochs the cross-attention is still nearly silent
        torch.nn.init.xavier_uniform_(found.reader.network.cross_attention.out_proj.weight)
    weigh_by(found, WEIGHED)
    return found


def weigh_by(predictor, road: Road) -> None:
    """Let answers from rows with volumes weigh their sources as `road` does; those from the scan alone keep their road."""
    roads = {SCAN: predictor.record.calibration.road(SCAN), TABLE_WITH_VOLUMES: road}
    predictor.record = replace(predictor.record, calibration=replace(predictor.record.calibration, roads=roads))


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(6)


@pytest.fixture
def image(cohort):
    return cohort.image_batch([2], torch.device("cpu"))


@pytest.fixture
def evidence(predictor, cohort):
    """A row with volumes, so that scan, row and both together all have a say."""
    found = known_of(predictor, cohort.visits[2])
    assert found.road == TABLE_WITH_VOLUMES and found.metadata_only
    return found


def scores_of(predictor, image, evidence) -> dict[str, float]:
    with torch.inference_mode():
        return predictor.to_answer(predictor.score(image, evidence), evidence).scores


def number_of(scores) -> torch.Tensor:
    """What explains AD, by hand: the row moves it, but no patch does so by the row."""
    own = [table[0, 2] - table[0, :2].mean() for table in (scores.bare, scores.report)]
    return WEIGHED.scan * own[0] + WEIGHED.both * own[1]


@pytest.mark.parametrize("with_report", [True, False])
def test_the_explained_pass_is_the_one_that_decided(predictor, image, cohort, with_report):
    evidence = known_of(predictor, cohort.visits[2] if with_report else None)
    found = attribute(predictor, image, evidence, None)
    wanted = scores_of(predictor, image, evidence)
    assert found.answer.scores == pytest.approx(wanted, abs=1e-6)
    assert found.target == max(wanted, key=wanted.get)
    assert found.answer.used_report == with_report
    assert found.answer.road == evidence.road == (TABLE_WITH_VOLUMES if with_report else SCAN)
    assert found.relevance.shape == CONFIG.token_grid
    assert found.relevance.min() == 0 and found.relevance.max() == pytest.approx(1)
    np.testing.assert_array_equal(found.relevance, found.signed.clip(0))
    assert sum(found.shares.values()) == pytest.approx(1) and set(found.shares) == {"vision", "cross_attention"}
    assert found.flags == ()


def test_the_answer_weighs_its_three_sources(predictor, image, evidence):
    with torch.inference_mode():
        scores = predictor.score(image, evidence)
        answer = predictor.to_answer(scores, evidence)
    for place, label in enumerate(LABELS):
        logarithm = float(np.log(evidence.metadata_only[label]))
        wanted = 0.7 * float(scores.bare[0, place]) + 0.5 * logarithm + 0.8 * float(scores.report[0, place])
        assert answer.scores[label] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    "road", [Road(scan=0.7, both=0.0), Road(both=1.3), Road(0.4, 2.0, 0.6)], ids=["scan", "both", "all"]
)
def test_what_is_explained_is_the_weighed_score(predictor, image, evidence, road):
    """A source that the answer does not weigh explains nothing of it, and the row has no patches."""
    weigh_by(predictor, road)
    found = attribute(predictor, image, evidence, "AD")
    assert found.answer.scores == pytest.approx(scores_of(predictor, image, evidence), abs=1e-6)
    vision, report, bare = AttentionRecord(), AttentionRecord(), AttentionRecord()
    scores = predictor.score(image, evidence, Records(vision, report, bare))
    number = explained_number(predictor.decide(scores, evidence)[0], 2)
    wanted = number_by_hand(predictor, number, {"vision": vision, "report": report, "bare": bare})
    np.testing.assert_allclose(found.signed.reshape(-1), wanted / wanted.max(), rtol=1e-3, atol=1e-4)
    assert not found.flags


def test_an_answer_by_the_row_alone_is_explained_by_no_patch(predictor, image, evidence):
    weigh_by(predictor, Road(metadata=1.0, both=0.0))
    found = attribute(predictor, image, evidence, "AD")
    assert found.flags == ("flat_map",) and not found.signed.any()
    assert scores_of(predictor, image, evidence) == scores_of(predictor, image.flip(4), evidence)


def test_the_same_scan_gives_the_same_map(predictor, image, evidence):
    one, two = (attribute(predictor, image, evidence, "AD") for _ in range(2))
    np.testing.assert_array_equal(one.signed, two.signed)
    assert not np.array_equal(one.signed, attribute(predictor, image, evidence, "CN").signed)


def test_the_mmse_comes_by_the_tower_alone(predictor, image, evidence):
    found = attribute(predictor, image, evidence, "mmse")
    assert found.target == "mmse" and found.shares == {"vision": pytest.approx(1.0)}
    assert not np.array_equal(found.signed, attribute(predictor, image, evidence, "AD").signed)


def test_the_explained_number():
    assert float(explained_number(torch.tensor([1.0, 2.0, 6.0]), 2)) == 4.5
    assert float(explained_number(torch.tensor([1.0, 2.0]), 0)) == -1.0


# ------------------------------------------------------------------------------------------------ the formula


def plain_relevance(record, gradient, first, rows):
    """Grad-ECLIP with loops: heads, then query rows, then patches."""
    heads, tokens = record.key.shape[1:3]
    total = np.zeros(tokens - first)
    for head in range(heads):
        for row in rows:
            query = record.query[0, head, row].double()
            cosines = [float(functional.cosine_similarity(query, record.key[0, head, i].double(), 0))
                       for i in range(first, tokens)]  # fmt: skip
            low, high = min(cosines), max(cosines)
            for place, cosine in enumerate(cosines):
                pull = gradient[0, head, row].double() @ record.value[0, head, first + place].double()
                total[place] += (cosine - low) / (high - low) * float(pull)
    return total


def number_by_hand(predictor, number, records) -> np.ndarray:
    """Sum of the loops over every road: the tower, and the cross-attention of either kind of candidates."""
    gradients = torch.autograd.grad(
        number, [record.output for record in records.values()], allow_unused=True, materialize_grads=True
    )
    first_patch = predictor.reader.network.vision_encoder.first_patch
    return sum(
        plain_relevance(record, gradient, *((first_patch, [0]) if name == "vision" else (1, [0, 1, 2])))
        for (name, record), gradient in zip(records.items(), gradients, strict=True)
    )


def test_the_map_equals_the_formula(predictor, image, evidence):
    vision, report, bare = AttentionRecord(), AttentionRecord(), AttentionRecord()
    number = number_of(predictor.score(image, evidence, Records(vision, report, bare)))
    total = number_by_hand(predictor, number, {"vision": vision, "report": report, "bare": bare})
    found = attribute(predictor, image, evidence, "AD")
    np.testing.assert_allclose(found.signed.reshape(-1), total / total.max(), rtol=1e-3, atol=1e-4)


@pytest.fixture
def closer_predictor(predictor):
    """The same with a closer look whose sums reach the read-out."""
    torch.manual_seed(1)
    looks = CloseUp(replace(CONFIG, close_up=(8, 12)))
    torch.nn.init.normal_(looks.gather.weight)
    predictor.reader.network.vision_encoder.patch_embedding.close_up = looks.eval()
    return predictor


def test_the_sums_of_the_closer_look_are_a_road_too(closer_predictor, image, evidence):
    vision, report, bare = AttentionRecord(), AttentionRecord(), AttentionRecord()
    number = number_of(closer_predictor.score(image, evidence, Records(vision, report, bare)))
    (of_sums,) = torch.autograd.grad(number, [vision.summed], retain_graph=True)
    total = number_by_hand(closer_predictor, number, {"vision": vision, "report": report, "bare": bare})
    close_up = closer_predictor.reader.network.vision_encoder.patch_embedding.close_up
    right, left = 10 * close_up(image)[0].double()
    for place in range(CONFIG.patches):
        features = torch.cat([right[place] + left[place], right[place] - left[place]])
        total[place] += CONFIG.patches * float(close_up.gather.weight.double() @ features @ of_sums[0].double())
    found = attribute(closer_predictor, image, evidence, "AD")
    np.testing.assert_allclose(found.signed.reshape(-1), total / total.max(), rtol=1e-3, atol=1e-4)
    assert set(found.shares) == {"vision", "cross_attention", "closer_look"} and found.shares["closer_look"] > 0.01
    assert found.answer.scores == pytest.approx(scores_of(closer_predictor, image, evidence), abs=1e-6)


def test_with_attention_cut_the_closer_look_is_what_remains(monkeypatch, closer_predictor, image, evidence):
    cut_roads(monkeypatch, closer_predictor, {"tower", "report", "bare"})
    first, second = (scores_of(closer_predictor, scan, evidence) for scan in (image, image.flip(4)))
    assert max(abs(first[label] - second[label]) for label in LABELS) > 1e-4
    torch.nn.init.zeros_(closer_predictor.reader.network.vision_encoder.patch_embedding.close_up.gather.weight)
    first, second = (scores_of(closer_predictor, scan, evidence) for scan in (image, image.flip(4)))
    assert first == second


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
def test_there_are_exactly_these_roads_from_the_patches(monkeypatch, predictor, image, evidence, open_road):
    """With all cut no patch moves the answer; each alone is enough to move it."""
    cut_roads(monkeypatch, predictor, set(ROADS_OF_PATCHES) - {open_road})
    one, two = (scores_of(predictor, scan, evidence) for scan in (image, image.flip(4)))
    if open_road is None:
        assert one == two
    else:
        assert max(abs(one[label] - two[label]) for label in LABELS) > 1e-4


@pytest.mark.parametrize("constant", ["zero", "equal"])
def test_equal_cosines_give_a_flat_map_and_say_so(predictor, image, evidence, constant):
    network = predictor.reader.network
    with torch.no_grad():
        width = CONFIG.width
        network.cross_attention.in_proj_weight[width : 2 * width] = 0
        network.cross_attention.in_proj_bias[width : 2 * width] = 0.0 if constant == "zero" else torch.randn(width)
        block = network.vision_encoder.blocks[-1]
        if constant == "zero":
            block.attn.qkv.weight[width : 2 * width] = 0
        else:  # every token becomes the same before the last attention; its qkv has no bias
            block.norm1.weight.zero_()
            block.norm1.bias.copy_(torch.randn(width))
    found = attribute(predictor, image, evidence, "AD")
    assert found.flags == ("flat_map",)
    assert not found.relevance.any() and set(found.shares.values()) == {0.0}


# ------------------------------------------------------------------------------------------------ back to the head


@pytest.mark.parametrize("x", [-60.0, 60.0])
@pytest.mark.parametrize("y", [-90.0, 50.0])
@pytest.mark.parametrize("z", [-55.0, 65.0])
def test_left_stays_left(x, y, z):
    """One relevant patch (D up, H back, W to the patient's left) ends up at its own millimetres."""
    grid = CONFIG.token_grid
    relevance = np.zeros(grid)
    relevance[-1 if z > 0 else 0, 0 if y > 0 else -1, 0 if x > 0 else -1] = 1.0
    heat = from_model_order(enlarge(relevance, CONTRACT.shape))
    assert heat.shape == CONTRACT.shape_xyz
    place = np.argwhere(heat == heat.max()).mean(0)
    found = CONTRACT.affine_xyz[:3, :3] @ place + CONTRACT.affine_xyz[:3, 3]
    assert np.abs(found - (x, y, z)).max() < 25  # half a patch and what is constant beyond its centre
    assert np.array_equal(np.sign(found - (0, -17, 5)), np.sign(np.array((x, y, z)) - (0, -17, 5)))


def test_enlarging_keeps_a_constant_and_the_peaks_of_patch_centres():
    assert np.allclose(enlarge(np.full((2, 3, 2), 0.7), (8, 12, 8)), 0.7)
    relevance = np.random.default_rng(0).random((3, 4, 5))
    wide = enlarge(relevance, (9, 20, 5))
    np.testing.assert_allclose(wide[1::3, 2::5, :], relevance, atol=1e-12)


# ------------------------------------------------------------------------------------------------ faithfulness


def test_the_curves_begin_at_the_scan_and_at_the_filling(predictor, image, evidence):
    found = attribute(predictor, image, evidence, "AD")
    filling = image.flip(4) * 0.5
    curves = faithfulness(predictor, image, evidence, found, filling, 0)
    for name in ("deletion", "deletion_random", "insertion", "insertion_random"):
        assert len(curves[name]) == 11 and np.isfinite(curves[name]).all()
    of_scan, of_filling = (
        scores["AD"] - (scores["CN"] + scores["MCI"]) / 2
        for scores in (scores_of(predictor, one, evidence) for one in (image, filling))
    )
    assert curves["deletion"][0] == curves["deletion_random"][0] == pytest.approx(of_scan, abs=1e-4)
    assert curves["insertion"][0] == curves["insertion_random"][0] == pytest.approx(of_filling, abs=1e-4)
    assert curves["deletion_gain"] == pytest.approx(np.mean(curves["deletion_random"]) - np.mean(curves["deletion"]))
    assert 0 < curves["patches"] <= CONFIG.patches
    assert curves == faithfulness(predictor, image, evidence, found, filling, 0)
    assert curves["deletion_random"] != faithfulness(predictor, image, evidence, found, filling, 1)["deletion_random"]


def test_filling_a_scan_with_itself_changes_nothing(predictor, image, evidence):
    found = attribute(predictor, image, evidence, "mmse")
    curves = faithfulness(predictor, image, evidence, found, image, 0)
    assert np.ptp(curves["deletion"] + curves["insertion_random"]) == 0
    assert curves["deletion_gain"] == curves["insertion_gain"] == 0


def test_a_true_map_beats_a_reversed_one(predictor, image, evidence, monkeypatch):
    """The patch means are the score: then the brightest patches are the most relevant, and the curves must say so."""
    means = attribution._patch_means(image, CONFIG.token_grid)

    def score(scan, _evidence):
        table = torch.stack([scan.mean() * 0, scan.mean() * 0, scan.mean()])[None]
        return SimpleNamespace(report=table, bare=table)

    monkeypatch.setattr(predictor, "score", score)
    found = attribution.Attribution(means, means.reshape(CONFIG.token_grid), {}, "AD", None, ())  # type: ignore[arg-type]
    good = faithfulness(predictor, image, evidence, found, torch.zeros_like(image), 0)
    bad = faithfulness(predictor, image, evidence, replace(found, signed=-found.signed), torch.zeros_like(image), 0)
    assert good["deletion_gain"] > 0 > bad["deletion_gain"] and good["insertion_gain"] > 0 > bad["insertion_gain"]


def test_an_empty_scan_is_explained_by_nothing(predictor):
    empty = torch.zeros((1, 1, *CONTRACT.shape))
    for visit in (Visit(), None):
        evidence = known_of(predictor, visit)
        found = attribute(predictor, empty, evidence, "AD")
        assert np.isfinite(found.signed).all()
        assert faithfulness(predictor, empty, evidence, found, empty, 0)["patches"] == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_builtin_explains_the_scores_that_it_predicts(precision):
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
    explained = attribute(predictor, image, evidence, None).answer
    assert explained.scores == pytest.approx(predicted.scores, abs=1e-5)
