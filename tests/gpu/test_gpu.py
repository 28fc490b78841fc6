"""The same numbers on a CUDA device as on the CPU:  pytest -m gpu."""

from __future__ import annotations

import pytest
import torch
from tiny import CONTRACT, LABELS, PROMPTS, base_network, make_cohort, make_reader

from adclip.domain import Visit
from adclip.explanation.settings import METHOD_NAMES
from adclip.model.base_model import load_base
from adclip.model.build import load_network
from adclip.model.checkpoint import load_model
from adclip.model.prompts import is_adapter
from adclip.prediction.predictor import Predictor

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
VISIT = Visit(hippocampus_mm3=6100.0, ventricles_mm3=40000.0, icv_mm3=1.4e6, age_years=74.0, volumes_source="DLMUSE")


@pytest.fixture
def exact_products():
    """TensorFloat-32 would move float32 results by 1e-3."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def make_images(shape) -> torch.Tensor:
    return torch.rand((2, 1, *shape), generator=torch.Generator().manual_seed(0))


def test_embeddings(tiny_base, exact_products):
    here, there = load_base(str(tiny_base)), load_base(str(tiny_base), device="cuda", precision="fp32")
    images = make_images(CONTRACT.shape)
    torch.testing.assert_close(there.encode_image(images).cpu(), here.encode_image(images), rtol=0, atol=1e-4)
    texts = ["A photo of NC", "A photo of AD"]
    torch.testing.assert_close(there.encode_text(texts).cpu(), here.encode_text(texts), rtol=0, atol=1e-4)


def weighed(model: Predictor, image: torch.Tensor, visit: Visit | None) -> torch.Tensor:
    """Return the answer's scores (1, K), all that the model weighs taken together."""
    evidence = model.evidence_of(visit, visit)
    return model.decide(model.score(image, evidence), evidence)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 1e-2)])
@pytest.mark.parametrize("visit", [None, VISIT], ids=["scan alone", "with a report"])
def test_probabilities_of_the_builtin_model(precision, tolerance, visit, exact_products):
    here = Predictor.from_checkpoint("builtin", "cpu")
    there = Predictor.from_checkpoint("builtin", "cuda", precision)
    image = make_images(here.record.model.contract.shape)[:1]
    with torch.inference_mode():
        wanted = weighed(here, image, visit).softmax(-1)
        found = weighed(there, image.cuda(), visit).softmax(-1).cpu()
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", sorted(METHOD_NAMES))
def test_heatmaps_of_the_builtin_model(exact_products, method):
    from adclip.explanation.attribution import attribute
    from adclip.explanation.explained import Explained
    from adclip.explanation.target import class_target

    image = make_images(load_model("builtin").record.model.contract.shape)[:1]
    models = [Predictor.from_checkpoint("builtin", device, "fp32") for device in ("cpu", "cuda")]
    maps = [
        attribute(Explained(model, image.to(model.device), model.evidence_of(VISIT, VISIT), class_target("AD")), method)
        for model in models
    ]
    assert maps[0].answer.scores == pytest.approx(maps[1].answer.scores, abs=1e-3)
    assert abs(maps[0].signed - maps[1].signed).max() < 1e-3


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_training_step_moves_only_what_is_ours(tiny_base, precision, tmp_path):
    from adclip.model.bases import read_base
    from adclip.runtime.events import ignore
    from adclip.training.loop import Loop, LoopConfig
    from adclip.training.objective import Objective, ObjectiveConfig

    network = load_network(read_base(str(tiny_base)), PROMPTS, dtype=precision).cuda()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    config = LoopConfig(epochs=2, batch_size=4, learning_rate=3e-3, weight_decay=0.01, seed=0)
    cohort = make_cohort()
    objective = Objective(make_reader(network), cohort, range(9), (27.0, 2.5), ObjectiveConfig())
    loop = Loop(objective, cohort, range(9), range(9, 12), config, "one")
    loop.run(tmp_path / "state.safetensors", ignore)
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name]) != is_adapter(name), name


def test_the_reader_follows_the_network(tiny_base):
    reader = make_reader(base_network(tiny_base).cuda())
    assert reader.bare().tokens.device.type == "cuda" and len(LABELS) == reader.bare().tokens.shape[1]


def test_a_gate_fitted_on_the_gpu_in_bfloat16_serves_the_cpu(tiny_base):
    from adclip.model.bases import read_base
    from adclip.training.fit_gate import fit_gate, read_outs

    cohort, outs = make_cohort(48), []
    for device, precision in (("cuda", torch.bfloat16), ("cpu", torch.float32)):
        torch.manual_seed(3)
        network = load_network(read_base(str(tiny_base)), PROMPTS, dtype=precision).to(device)
        outs.append(read_outs(network, cohort, range(48), torch.device(device)))
    gate = fit_gate(outs[0][:32])
    there, here = (gate.distance(read_out[32:]) for read_out in outs)
    torch.testing.assert_close(here, there, rtol=0.1, atol=0)
