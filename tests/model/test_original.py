"""M3D-CLIP's layout: loaded whole, equal to a plain reference and to MONAI's blocks, and refused when it does not fit."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import plain
import pytest
import torch
from originals import FULL, FULL_TEXT, SMALL, original_shapes, write_original
from safetensors.torch import load_file, save_file
from tiny import PROMPTS
from torch import Tensor

from adclip.config import M3D_CLIP, PromptConfig
from adclip.domain import InputContract
from adclip.errors import AdclipError, CheckpointError, WeightsError
from adclip.model.base_model import load_base
from adclip.model.bases import BaseWeights, read_base
from adclip.model.build import load_network, resize_positions
from adclip.model.network import Network
from adclip.model.prompts import is_adapter
from adclip.model.text import tokenize

TEXTS = ["A photo of NC", "A photo of AD: Hippocampal Vol: 5210.00, Ventricular size: 61230.00"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_original(tmp_path_factory.mktemp("m3d"))


@pytest.fixture(scope="module")
def base(original: Path) -> BaseWeights:
    return read_base(str(original))


def make_images(shape=tuple(SMALL["img_size"]), count: int = 2) -> Tensor:
    return torch.rand((count, 1, *shape), generator=torch.Generator().manual_seed(1))


def change(folder: Path, edit) -> None:
    """Rewrite the weights of a copy."""
    path = folder / "model.safetensors"
    state = load_file(path)
    edit(state)
    save_file(state, path)


# ------------------------------------------------------------------------------------------------ equality


@torch.inference_mode()
def test_every_token_equals_the_plain_reference(base):
    network, state = load_network(base, None), load_file(base.weights)
    states = network.vision_encoder(make_images())
    found = torch.cat([states.cls[:, None], states.patches], 1)
    wanted = plain.vision_tokens(state, make_images(), (4, 16, 16), SMALL["num_heads"])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_image_embeddings_equal_the_plain_reference(original):
    state = load_file(original / "model.safetensors")
    tokens = plain.vision_tokens(state, make_images(), (4, 16, 16), SMALL["num_heads"])
    found = load_base(str(original)).encode_image(make_images())
    assert found.shape == (2, 40)
    torch.testing.assert_close(found, plain.embed(tokens, state, "mm_vision_proj"), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_text_embeddings_equal_the_plain_reference(original, base):
    state, batch = load_file(original / "model.safetensors"), tokenize(TEXTS, base.tokenizer)
    states = plain.text_states(state, batch.ids, batch.mask, SMALL["text_config"]["num_attention_heads"])
    found = load_base(str(original)).encode_text(TEXTS)
    torch.testing.assert_close(found, plain.embed(states, state, "mm_language_proj"), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_the_tower_equals_monais_blocks(base):
    from monai.networks.nets import ViT

    config = base.config
    theirs = ViT(
        1, config.contract.shape, config.patch, config.width, config.mlp_width, config.depth, config.heads,
        proj_type="perceptron", pos_embed_type="learnable", classification=False,
    ).eval()  # fmt: skip
    state = {name.removeprefix("vision_encoder."): value for name, value in load_file(base.weights).items()
             if name.startswith("vision_encoder.")}  # fmt: skip
    cls_token = state.pop("cls_token")
    lacking, unknown = theirs.load_state_dict(state, strict=False)
    assert not unknown and all("cross_attn" in name for name in lacking)
    tokens = torch.cat([cls_token.expand(2, -1, -1), theirs.patch_embedding(make_images())], 1)
    for block in theirs.blocks:
        tokens = block(tokens)
    found = load_network(base, None).vision_encoder(make_images())
    together = torch.cat([found.cls[:, None], found.patches], 1)
    torch.testing.assert_close(together, theirs.norm(tokens), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_bare_tower_gives_the_state_of_its_cls_token(tmp_path):
    folder = write_original(tmp_path / "vit", bare=True)
    state = load_file(folder / "model.safetensors")
    tokens = plain.vision_tokens(state, make_images(), (4, 16, 16), SMALL["num_heads"])
    wanted = torch.nn.functional.normalize(tokens[:, 0], dim=-1)
    torch.testing.assert_close(load_base(str(folder)).encode_image(make_images()), wanted, rtol=0, atol=1e-5)
    with pytest.raises(CheckpointError, match="no text tower"):
        load_base(str(folder)).encode_text(TEXTS)


@pytest.mark.slow
@torch.inference_mode()
def test_the_published_size_equals_the_plain_reference(tmp_path):
    folder = write_original(tmp_path / "full", full=True)
    base = read_base(str(folder))
    assert replace(base.config) == M3D_CLIP
    state, images = load_file(base.weights), make_images(tuple(FULL["img_size"]), 1)
    model = load_base(str(folder))
    tokens = plain.vision_tokens(state, images, (4, 16, 16), 12)
    torch.testing.assert_close(
        model.encode_image(images), plain.embed(tokens, state, "mm_vision_proj"), rtol=0, atol=1e-5
    )
    batch = tokenize(TEXTS, base.tokenizer)
    states = plain.text_states(state, batch.ids, batch.mask, 12)
    torch.testing.assert_close(
        model.encode_text(TEXTS), plain.embed(states, state, "mm_language_proj"), rtol=0, atol=1e-5
    )


# ------------------------------------------------------------------------------------------------ what is read


def test_the_published_names_and_sizes_are_ours():
    from adclip.model.original import expected_shapes

    published = original_shapes(FULL, FULL_TEXT, 768)
    assert expected_shapes(M3D_CLIP) == published
    with torch.device("meta"):
        network = Network(M3D_CLIP, None)
    assert {name: tuple(value.shape) for name, value in network.named_parameters()} == published
    assert sum(torch.Size(shape).numel() for shape in published.values()) == 198_052_609


def test_names_and_sizes_of_a_stem_are_the_networks():
    from adclip.config import SMALL
    from adclip.model.original import expected_shapes

    config = dataclasses.replace(SMALL, vocabulary=7)
    with torch.device("meta"):
        network = Network(config, None)
    assert expected_shapes(config) == {name: tuple(value.shape) for name, value in network.named_parameters()}


def test_sizes_come_from_the_file_and_its_config(base):
    config = base.config
    assert (config.width, config.depth, config.heads, config.mlp_width, config.patch) == (48, 3, 6, 80, (4, 16, 16))
    assert (config.text_width, config.text_depth, config.text_heads, config.embedding) == (32, 2, 4, 40)
    assert config.contract.shape == (16, 64, 32)
    box = [n * s for n, s in zip(config.contract.shape, config.contract.spacing_mm, strict=True)]
    assert box == pytest.approx([160.0, 204.8, 204.8])  # the same millimetres, whatever the voxels


def test_an_old_buffer_of_positions_is_accepted_by_name(original, tmp_path):
    folder = copy_of(original, tmp_path)
    change(folder, lambda state: state.update({"language_encoder.embeddings.position_ids": torch.arange(96)[None]}))
    assert torch.equal(load_base(str(folder)).encode_text(TEXTS), load_base(str(original)).encode_text(TEXTS))


def test_a_lone_file_needs_a_tokenizer_for_texts(tmp_path):
    folder = write_original(tmp_path, vocabulary=False)
    weights = folder / "model.safetensors"
    model = load_base(str(weights))
    assert model.encode_image(make_images()).shape == (2, 40)
    with pytest.raises(WeightsError, match=r"vocab\.txt") as caught:
        model.encode_text(TEXTS)
    assert caught.value.exit_code == 4 and "--tokenizer" in caught.value.remedy
    from adclip.model.bases import BUILTIN_FOLDER

    for place in (BUILTIN_FOLDER, BUILTIN_FOLDER / "vocab.txt"):
        assert load_base(str(weights), tokenizer=place).encode_text(TEXTS).shape == (2, 40)


def test_a_tokenizer_of_another_size_is_refused(original, tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    with pytest.raises(WeightsError, match="5 entries"):
        load_base(str(original), tokenizer=tmp_path).encode_text(TEXTS)


def copy_of(original: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(original, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda s: s.pop("mm_vision_proj.bias"), "mm_vision_proj.bias"),
        (lambda s: s.pop("vision_encoder.blocks.1.norm1.weight"), r"blocks\.1\.norm1\.weight"),
        (lambda s: s.pop("vision_encoder.patch_embedding.patch_embeddings.1.weight"), "patch_embeddings"),
        (lambda s: s.update(surprise=torch.zeros(1)), "surprise"),
        (lambda s: s.update({"vision_encoder.blocks.0.attn.qkv.bias": torch.zeros(144)}), "qkv.bias"),
        (lambda s: s.update(logit_scale=torch.zeros(1)), "logit_scale"),
        (lambda s: s.update({"vision_encoder.norm.weight": torch.zeros(47)}), "norm.weight"),
        (lambda s: s.update({"vision_encoder.patch_embedding.position_embeddings": torch.zeros(1, 33, 48)}), "33"),
        (lambda s: s.clear() or s.update(weight=torch.zeros(2)), "patch_embeddings"),
    ],
)  # fmt: skip
def test_names_and_shapes_must_fit(original, tmp_path, edit, words):
    folder = copy_of(original, tmp_path)
    change(folder, edit)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_base(str(folder))
    assert caught.value.remedy and "model.safetensors" in caught.value.problem


@pytest.mark.parametrize(
    "told",
    [
        {"patch_size": [4, 16, 8]}, {"num_layers": 4}, {"hidden_size": 64}, {"num_heads": 5}, {"in_channels": 3},
        {"img_size": [16, 64]}, {"img_size": [17, 64, 32]}, {"img_size": [0, 64, 32]}, {"patch_size": "x"},
        {"num_heads": 0}, {"text_config": {"num_attention_heads": 5}},
    ],
)  # fmt: skip
def test_a_config_that_contradicts_the_weights_is_told(original, tmp_path, told):
    folder = copy_of(original, tmp_path)
    (folder / "config.json").write_text(json.dumps(SMALL | told))
    with pytest.raises(CheckpointError) as caught:
        load_base(str(folder))
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_damaged_config_is_told(original, tmp_path, text):
    folder = copy_of(original, tmp_path)
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_base(str(folder))


@pytest.mark.parametrize("length", [0, 5, 100, -100])
def test_a_cut_file_is_told(original, tmp_path, length):
    folder = copy_of(original, tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="safetensors"):
        load_base(str(folder))


def test_pickled_weights_are_never_opened(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}")
    for place in (tmp_path, tmp_path / "pytorch_model.bin"):
        with pytest.raises(WeightsError, match="pickled"):
            read_base(str(place))


def test_folders_without_one_weights_file(original, tmp_path):
    with pytest.raises(WeightsError, match="no safetensors"):
        read_base(str(tmp_path))
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes((original / "model.safetensors").read_bytes())
    with pytest.raises(WeightsError, match=r"a\.safetensors, b\.safetensors"):
        read_base(str(tmp_path))


def test_weights_not_fetched_name_the_command():
    with pytest.raises(WeightsError) as caught:
        load_base("m3d-clip")
    assert caught.value.exit_code == 4 and "adclip weights fetch m3d-clip" in caught.value.remedy


# ------------------------------------------------------------------------------------------------ memory and grids


def test_frozen_weights_are_the_files_own_pages(base):
    """No second copy: a byte of the file read through the network's own tensor stands in the mapping of the file."""
    network = load_network(base, PROMPTS)
    place = network.vision_encoder.blocks[0].attn.qkv.weight.data_ptr()
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if "model.safetensors" in line]
    spans = [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in mapped]
    assert any(low <= place < high for low, high in spans)
    trained = network.mm_vision_proj.weight.data_ptr()
    assert not any(low <= trained < high for low, high in spans)


def test_training_never_writes_into_the_file(base):
    before = base.weights.read_bytes()
    network = load_network(base, PROMPTS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert base.weights.read_bytes() == before


def test_another_grid_interpolates_the_positions(base):
    finer = InputContract((32, 64, 48), (5.0, 3.2, 4.2), base.config.contract.center_mm)
    network = load_network(base, None, contract=finer)
    table = network.vision_encoder.patch_embedding.position_embeddings
    assert table.shape == (1, 8 * 4 * 3, 48)
    states = network.vision_encoder(make_images(finer.shape))
    assert states.patches.shape == (2, 96, 48)
    assert load_base(str(base.folder), contract=finer).encode_image(make_images(finer.shape)).shape == (2, 40)


def test_positions_keep_what_is_linear_and_where_it_is():
    """Depth, height and width each become a ramp; trilinear interpolation keeps ramps, and does not mix the axes."""
    axes = torch.meshgrid(*(torch.arange(n).float() for n in (4, 6, 8)), indexing="ij")
    table = torch.stack(axes, -1).reshape(1, -1, 3)
    found = resize_positions(table, (4, 6, 8), (8, 3, 16)).reshape(8, 3, 16, 3)
    wanted_d = (torch.arange(8) + 0.5) / 2 - 0.5
    wanted_h = (torch.arange(3) + 0.5) * 2 - 0.5
    wanted_w = (torch.arange(16) + 0.5) / 2 - 0.5
    torch.testing.assert_close(found[1:-1, 1, 4, 0], wanted_d[1:-1])
    torch.testing.assert_close(found[4, :, 4, 1], wanted_h)
    torch.testing.assert_close(found[4, 1, 1:-1, 2], wanted_w[1:-1])
    same = resize_positions(table, (4, 6, 8), (4, 6, 8))
    torch.testing.assert_close(same, table)


def test_images_on_another_grid_are_refused(original):
    with pytest.raises(CheckpointError, match=r"\(2, 1, 16, 32, 32\)"):
        load_base(str(original)).encode_image(make_images((16, 32, 32)))


# ------------------------------------------------------------------------------------------------ adapters on it


def test_an_adapter_starts_from_the_pretrained_projections(base):
    state = load_file(base.weights)
    network = load_network(base, PROMPTS)
    assert torch.equal(network.mm_vision_proj.weight, state["mm_vision_proj.weight"])
    assert torch.equal(network.vision_encoder.cls_token, state["vision_encoder.cls_token"])
    assert float(network.logit_scale) == pytest.approx(
        2.6593, abs=1e-4
    )  # ln(1 / 0.07): the file's is not exponentiated
    assert {name for name, value in network.named_parameters() if value.requires_grad} == {
        name for name, _ in network.named_parameters() if is_adapter(name)
    }


def test_the_papers_adapter_has_new_projections_and_the_scale_itself(base):
    network = load_network(base, replace(PromptConfig.paper(), visual_prompts=2, text_prompts=3))
    assert not torch.equal(network.mm_vision_proj.weight, load_file(base.weights)["mm_vision_proj.weight"])
    assert network.scale is network.logit_scale


@torch.inference_mode()
def test_the_papers_prompts_stand_before_cls_and_are_read_behind_them(base):
    network = load_network(base, replace(PromptConfig.paper(), visual_prompts=2, text_prompts=3))
    batch, asked = tokenize(TEXTS, base.tokenizer), {}
    handle = network.language_encoder.register_forward_pre_hook(lambda m, a, k: asked.update(k), with_kwargs=True)
    found = network.text_tokens(batch, 1)
    handle.remove()
    length = batch.ids.shape[1]
    assert asked["position_ids"][0].tolist() == list(range(3 + length))
    assert torch.equal(asked["inputs_embeds"][0, :3], network.text_prompts)
    states = network.language_encoder(**asked).last_hidden_state
    torch.testing.assert_close(found.cls[:, 0], network.mm_language_proj(states[:, 3]))


@torch.inference_mode()
def test_low_precision_keeps_what_is_ours_in_float32_and_the_answer_close(base):
    exact, low = load_network(base, PROMPTS), load_network(base, PROMPTS, dtype=torch.bfloat16)
    low.load_state_dict({n: v for n, v in exact.state_dict().items() if is_adapter(n)}, strict=False)
    kinds = {is_adapter(name): parameter.dtype for name, parameter in low.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    batch = tokenize(TEXTS, base.tokenizer)
    scores = [n.score(n.image_tokens(make_images()), n.text_tokens(batch, 2)) for n in (exact, low)]
    assert scores[1].dtype == torch.float32
    assert not torch.equal(*scores)
    torch.testing.assert_close(scores[0].softmax(-1), scores[1].softmax(-1), rtol=0, atol=1e-2)


def test_checkpointed_activations_give_the_same_gradients(base):
    torch.manual_seed(0)
    plainly = load_network(base, PROMPTS)
    again = load_network(base, PROMPTS)
    again.load_state_dict(plainly.state_dict())
    again.checkpoint_activations()
    batch = tokenize(TEXTS, base.tokenizer)
    for network in (plainly, again):
        network.score(network.image_tokens(make_images()), network.text_tokens(batch, 2)).square().sum().backward()
    wanted = {n: p.grad for n, p in plainly.named_parameters() if p.grad is not None}
    assert "vision_encoder.prompts" in wanted and "text_prompts" in wanted
    for name, parameter in again.named_parameters():
        if name in wanted:
            torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-5, atol=1e-6)


def test_the_text_tower_comes_with_the_first_text(base):
    network = load_network(base, PROMPTS, late_text=True)
    assert network.language_encoder is None
    network.image_tokens(make_images())
    assert network.language_encoder is None
    batch = tokenize(TEXTS, base.tokenizer)
    late = network.text_tokens(batch, 2).tokens
    whole = load_network(base, PROMPTS)
    whole.load_state_dict(network.state_dict())
    torch.testing.assert_close(late, whole.text_tokens(batch, 2).tokens)
    with pytest.raises(AdclipError):
        _ = load_network(read_base(str(base.weights)), None, late_text=True).text_tokens(
            tokenize(["x " * 600], base.tokenizer), 1
        )
