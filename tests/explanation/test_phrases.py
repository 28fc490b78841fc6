"""Maps of free text: flagged where the model looks at the same places whatever is asked; and what a scan is explained with."""

from __future__ import annotations

import pytest
import torch
from explaining import open_predictor

from adclip.domain import ScanItem
from adclip.explanation.attribution import attribute
from adclip.explanation.flags import SAME_FOR_ANY_TEXT
from adclip.explanation.phrases import OTHER_PHRASES, flags_of_phrase
from adclip.explanation.references import reference_image
from adclip.explanation.seen import SeenScan
from adclip.explanation.target import Target, class_target
from adclip.imaging.steps.grid import to_model_order
from adclip.prediction.prevalence import likeliest

PHRASE = Target("A photo of AD", phrase="A photo of AD")


@pytest.fixture
def seen(tiny_run, tiny_cohort):
    predictor = open_predictor(tiny_run)
    path = next(iter(sorted(tiny_cohort.rglob("*_desc-preproc_T1w.nii.gz"))))
    prepared = predictor.prepare(ScanItem(path, "p01", preprocessed=True))
    return SeenScan(predictor, prepared, predictor.evidence(prepared, None))


def flags(seen, target=PHRASE, method="grad-eclip"):
    explained = seen.explained(target)
    return flags_of_phrase(explained, attribute(explained, method), seen)


def test_a_model_whose_words_matter_is_not_flagged(seen):
    assert flags(seen) == ()


def test_a_model_that_hears_no_word_is_flagged(seen):
    """Its projection says the same of every text, and of other maps nothing is said."""
    projection = seen.predictor.reader.network.mm_language_proj
    with torch.no_grad():
        projection.weight.zero_()
        projection.bias.copy_(torch.randn(projection.bias.shape, generator=torch.Generator().manual_seed(0)))
    assert flags(seen) == (SAME_FOR_ANY_TEXT,)
    assert flags(seen, class_target("AD")) == flags(seen, Target("mmse")) == ()


def test_a_method_that_hears_no_word_is_flagged_in_any_model(seen):
    assert flags(seen, method="attention-rollout") == (SAME_FOR_ANY_TEXT,)


@pytest.mark.parametrize("phrase", [OTHER_PHRASES[0], OTHER_PHRASES[0].lower(), OTHER_PHRASES[1]])
def test_a_phrase_is_not_compared_with_itself(seen, phrase, monkeypatch):
    asked = []
    real = seen.explained
    monkeypatch.setattr(seen, "explained", lambda target: asked.append(target.phrase) or real(target))
    explained = real(Target(phrase, phrase=phrase))
    flags_of_phrase(explained, attribute(explained, "grad-eclip"), seen)
    assert len(asked) == 1 and asked[0].lower() != phrase.lower()


# ------------------------------------------------------------------------------------------------ the scan as explaining looks at it


def test_a_scan_is_explained_against_healthy_heads_of_its_age(seen, tiny_cohort):
    contract = seen.predictor.record.model.contract
    assert "of 75 to 80 years" in seen.reference_described  # nothing is known of the person
    torch.testing.assert_close(
        seen.explained(None).reference[0, 0], torch.from_numpy(to_model_order(reference_image(contract, 75.0)).copy())
    )
    young = SeenScan(seen.predictor, seen.prepared, seen.predictor.evidence_of(*[visit_of(60.0)] * 2))
    assert "of 55 to 70 years" in young.reference_described and not torch.equal(young.reference, seen.reference)


def visit_of(age: float):
    from adclip.domain import Visit

    return Visit(age_years=age)


def test_without_a_target_the_class_that_predict_names_is_explained(seen):
    answer = seen.predictor.answer(seen.prepared, seen.evidence)
    explained = seen.explained(None)
    assert explained.answer.scores == pytest.approx(answer.scores, abs=1e-6)
    assert explained.target == class_target(seen.predictor.diagnosis(answer)) and explained.target.name in answer.scores
    assert likeliest(answer.scores) in seen.predictor.labels


def test_rescans_are_other_versions_of_the_same_head(seen):
    image = seen.explained(None).image
    rescans = list(seen.rescans(3))
    assert len(rescans) == 3 and all(one.shape == image.shape for one in rescans)
    for one in rescans:
        assert 0.8 < float(torch.corrcoef(torch.stack([one.flatten(), image.flatten()]))[0, 1]) < 0.9999
    assert all(torch.equal(one, two) for one, two in zip(rescans, seen.rescans(3), strict=True))
    assert torch.equal(seen.explained(None, rescans[0]).image, rescans[0])
