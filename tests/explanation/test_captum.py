"""Methods that captum has too give the same maps: https://captum.ai, the library of others for what is done here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from captum import attr
from explaining import KINDS, WEIGHED, explained_of
from tiny import CONFIG, known_of

from adclip.explanation.methods import METHODS, gradients
from adclip.explanation.word_relevance import NODES, _Number, _places, _report_of, attribute_words
from adclip.prediction.scoring import score_tokens


@pytest.fixture(params=KINDS)
def explained(request, either, image, reference, cohort):
    return explained_of(either, image, known_of(either, cohort.visits[2]), request.param, reference)


@pytest.fixture(params=KINDS)
def plain(request, predictor, image, reference, evidence):
    """Without a stem, where a patch is embedded by itself."""
    return explained_of(predictor, image, evidence, request.param, reference)


def alike(found: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-4) -> None:
    largest = float(wanted.abs().max())
    assert largest > 0
    torch.testing.assert_close(found.reshape(wanted.shape), wanted, rtol=0, atol=tolerance * largest)


def test_gradient_times_input(explained):
    wanted = attr.InputXGradient(explained.of_images).attribute(explained.image.clone().requires_grad_())
    alike(METHODS["gradient-x-input"](explained).by_voxel, wanted.detach()[0, 0])


def test_integrated_gradients_over_voxels(explained):
    wanted = attr.IntegratedGradients(explained.of_images).attribute(
        explained.image,
        explained.reference,
        n_steps=gradients.VOXEL_NODES,
        method="gausslegendre",
        internal_batch_size=1,
    )
    alike(METHODS["integrated-gradients"](explained).by_voxel, wanted.detach()[0, 0].float())


def test_gradients_over_noise(explained, monkeypatch):
    """Captum is handed the same noise, none of it outside the brain."""
    image = explained.image
    drawn: list[torch.Tensor] = []
    real = explained.of_images
    with monkeypatch.context() as patch:
        patch.setattr(explained, "of_images", lambda images: drawn.append(images.detach() - image) or real(images))
        found = METHODS["smoothgrad"](explained).by_voxel
    noise = torch.cat(drawn)
    assert len(noise) == gradients.NOISY_COPIES
    monkeypatch.setattr(torch, "normal", lambda mean, sd: noise + mean + 0 * sd)
    tunnel = attr.NoiseTunnel(attr.Saliency(lambda images: torch.cat([real(one[None]) for one in images])))
    wanted = tunnel.attribute(image, nt_samples=len(noise), stdevs=gradients.NOISE, nt_type="smoothgrad", abs=False)
    alike(found, (wanted * image).detach()[0, 0])


def test_occlusion_by_patches(plain):
    windows = {"sliding_window_shapes": (1, *CONFIG.patch), "strides": (1, *CONFIG.patch)}
    with torch.no_grad():
        by_window = attr.Occlusion(plain.of_images).attribute(plain.image, baselines=plain.reference, **windows)
        numbers = torch.arange(CONFIG.patches).reshape(1, 1, *CONFIG.token_grid).float()
        masks = torch.nn.functional.interpolate(numbers, size=plain.image.shape[2:], mode="nearest").long()
        by_feature = attr.FeatureAblation(plain.of_images).attribute(
            plain.image, baselines=plain.reference, feature_mask=masks
        )
    inside = plain.brain_patches().reshape(CONFIG.token_grid)
    found = METHODS["occlusion"](plain).by_patch
    for wanted in (by_window, by_feature):
        first_voxels = wanted[0, 0, ::8, ::8, ::8].float()  # one number for all voxels of a patch
        assert (wanted[0, 0, 3::8, 4::8, 5::8] == first_voxels).all()
        alike(found[inside], first_voxels[inside], 3e-4)


def test_integrated_gradients_over_patches(plain):
    """Captum's layer is the one that embeds patches: what comes behind it is the same for both ends of the path."""
    layer = plain.network.vision_encoder.patch_embedding.patch_embeddings[1]
    wanted = attr.LayerIntegratedGradients(plain.of_images, layer).attribute(
        plain.image, plain.reference, n_steps=gradients.PATCH_NODES, method="gausslegendre", internal_batch_size=1
    )
    alike(METHODS["patch-integrated-gradients"](plain).by_patch, wanted.detach().sum(-1)[0].float())


@pytest.mark.parametrize("kind", ["AD", "CN-AD"])
def test_words_of_the_report(predictor, image, evidence, kind):
    """The path of all candidates' word embeddings, by captum; then the same sum over pieces of words."""
    explained = explained_of(predictor, image, evidence, kind)
    told = attribute_words(predictor, explained.tokens, evidence, explained.target)
    visit, reader = evidence.completed, predictor.reader
    text, _ = _report_of(predictor, visit)
    candidates = list(dict.fromkeys(reader.report_texts(visit)))
    places = _places(reader.tokenizer, candidates, text)
    layer = reader.network.text_tower.embeddings.word_embeddings
    number = _Number(predictor, evidence, explained.target)
    kept = SimpleNamespace(own=None, given=None, first=False)

    def hook(module, inputs, output):
        if kept.first:
            return None  # bare phrases come after the report
        kept.first, kept.own = True, output.detach()
        return kept.given

    def ask(embeddings: torch.Tensor | None) -> torch.Tensor:
        kept.given, kept.first = None if embeddings is None else embeddings[0], False
        return number.of(score_tokens(reader, explained.tokens, [visit]))[None]

    handle = layer.register_forward_hook(hook)
    try:
        ask(None)
        own = kept.own[None]
        masked = torch.tensor(places >= 0)[None, ..., None]
        mask = layer.weight[reader.tokenizer.token_to_id("[MASK]")].detach()
        wanted = attr.IntegratedGradients(ask).attribute(
            own, torch.where(masked, mask, own), n_steps=len(NODES), method="riemann_middle", internal_batch_size=1
        )
    finally:
        handle.remove()
    by_piece = wanted.detach().sum(-1)[0]
    by_word = [float(by_piece[torch.tensor((places >= word.start) & (places < word.end))].sum()) for word in told.words]
    assert len(by_word) > 10 and WEIGHED.both
    alike(torch.tensor([word.relevance for word in told.words]), torch.tensor(by_word))
