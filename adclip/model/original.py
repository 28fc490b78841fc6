"""The original layout of M3D-CLIP checkpoints: what their names and shapes say of the model, and what must be in them.

A whole model has `vision_encoder.`, `language_encoder.`, `mm_vision_proj.`, `mm_language_proj.` and `logit_scale`; a bare
ViT has the keys of the vision encoder without their prefix. adclip's own networks use the same names, so nothing is
renamed but that prefix. This module knows names and shapes alone and needs no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from adclip.domain import InputContract
from adclip.errors import AdclipError
from adclip.model import errors
from adclip.model.settings import M3D_CLIP, ModelConfig
from adclip.model.tensor_files import open_tensors

Shapes = Mapping[str, tuple[int, ...]]

VISION, TEXT = "vision_encoder.", "language_encoder."
# A buffer that older transformers saved with BERT; it holds 0, 1, 2, ... and nothing is lost with it.
IGNORED = frozenset({"language_encoder.embeddings.position_ids"})
WRAPPERS = (
    "module.",
    "_orig_mod.",
    "model.",
    "clip.",
)  # what training code puts before every name when it saves a wrapped model
BERT_HEAD_WIDTH = 64  # of every published BERT size (Devlin et al. 2019, arXiv:1810.04805; Turc et al. 2019)
CLOSE_UP_CLASSES = 9  # of `adclip.model.close_up`
# The box in MNI space that every grid of this layout covers, along D, H, W in mm.
BOX_MM = tuple(n * s for n, s in zip(M3D_CLIP.contract.shape, M3D_CLIP.contract.spacing_mm, strict=True))


@dataclass(frozen=True)
class Layout:
    """What a checkpoint of the original layout holds.

    Parameters
    ----------
    config : ModelConfig
        Sizes, read from shapes; heads and patch shape from its `config.json`. `text_depth` is 0 for a bare ViT.
    prefix : str
        What the file's names lack of the network's: `vision_encoder.` for a bare ViT.
    """

    config: ModelConfig
    prefix: str


def read_shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of a safetensors file or of all that an index names, from headers alone.

    Raises
    ------
    CheckpointError
        If it is no safetensors file, or cut short.
    """
    with open_tensors(weights, framework="np") as file:
        return {name: file.shape(name) for name in file.names()}


def read_layout(weights: Path, config_file: Path | None) -> Layout:
    """Read the sizes of a checkpoint and check that its names and shapes are those of one model, none missing, none over.

    Parameters
    ----------
    weights : Path
        A safetensors file.
    config_file : Path or None
        The `config.json` beside it. Without one, the heads and patches of M3D-CLIP are taken if the shapes allow them.

    Raises
    ------
    CheckpointError
        If the file is of another layout, or names, shapes and config contradict each other.
    """
    shapes = {name: shape for name, shape in read_shapes(weights).items() if name not in IGNORED}
    for wrapper in WRAPPERS:
        if shapes and all(name.startswith(wrapper) for name in shapes):
            raise errors.wrapped_names(weights, wrapper)
    prefix = "" if any(name.startswith(VISION) for name in shapes) else VISION
    named = {prefix + name: shape for name, shape in shapes.items()}
    declared = _read_config(config_file) if config_file else {}
    try:
        config = _to_config(named, declared)
    except KeyError as error:
        missing = str(error.args[0])
        raise errors.base_keys_differ(weights, {missing.removeprefix(prefix)}, set()) from error
    except (AdclipError, ValueError, TypeError, ZeroDivisionError, IndexError) as error:
        reason = error.problem if isinstance(error, AdclipError) else str(error)
        raise errors.bad_base(weights, f"its shapes and config.json make no model ({reason})") from error
    _check(weights, named, config, prefix)
    return Layout(config, prefix)


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every parameter of a base model of these sizes.

    The names are a file format; that networks have them too is a test. Written out, a file is checked without torch.
    """
    wide, patch = config.width, config.patch[0] * config.patch[1] * config.patch[2]
    if config.stem:  # a patch is then cut of what the last level sees
        patch = patch // 8 ** len(config.stem) * config.stem[-1]
    shapes: dict[str, tuple[int, ...]] = {
        VISION + "cls_token": (1, 1, wide),
        VISION + "patch_embedding.position_embeddings": (1, config.patches, wide),
    }
    linears = {VISION + "patch_embedding.patch_embeddings.1": (wide, patch)}
    norms = {VISION + "norm": wide}
    _add_stem(config, shapes, norms)
    _add_close_up(config, shapes, norms)
    for number in range(config.depth):
        block = f"{VISION}blocks.{number}."
        norms |= {block + "norm1": wide, block + "norm2": wide}
        shapes[block + "attn.qkv.weight"] = (3 * wide, wide)  # the one without a bias
        linears[block + "attn.out_proj"] = (wide, wide)
        linears[block + "mlp.linear1"] = (config.mlp_width, wide)
        linears[block + "mlp.linear2"] = (wide, config.mlp_width)
    if config.text_depth:
        shapes["logit_scale"] = ()
        linears["mm_vision_proj"] = (config.embedding, wide)
        linears["mm_language_proj"] = (config.embedding, config.text_width)
        _add_bert(config, shapes, linears, norms)
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in norms.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    return shapes


def _add_stem(config: ModelConfig, shapes: dict[str, tuple[int, ...]], norms: dict[str, int]) -> None:
    """Add the parameters of `adclip.model.patches.ConvStem`: twice a convolution, a normalisation and a GELU a level."""
    in_channels = 1
    for level, out_channels in enumerate(config.stem):
        first = 6 * level
        for layer, channels in ((first, in_channels), (first + 3, out_channels)):
            name = f"{VISION}patch_embedding.stem.layers."
            shapes[f"{name}{layer}.weight"] = (out_channels, channels, 3, 3, 3)
            norms[f"{name}{layer + 1}"] = out_channels
        in_channels = out_channels


def _add_close_up(config: ModelConfig, shapes: dict[str, tuple[int, ...]], norms: dict[str, int]) -> None:
    """Add the parameters of `adclip.model.close_up.CloseUp`: an `adclip.unet.UNet`, a projection and the map of its sums."""
    if not config.close_up:
        return
    start, widths = f"{VISION}patch_embedding.close_up.", config.close_up
    blocks = {"stem": (1, widths[0]), "last": (widths[0], widths[0])}
    points = {"head": (widths[0], CLOSE_UP_CLASSES)}
    level = "levels."
    for above, width in pairwise(widths):
        blocks |= {f"{level}down.0": (above, width), f"{level}down.1": (width, width), f"{level}up": (width, width)}
        points[f"{level}out"] = (width, above)
        level += "inner."
    for name, (before, after) in blocks.items():
        shapes[f"{start}network.{name}.conv.weight"] = (after, before, 3, 3, 3)
        norms[f"{start}network.{name}.norm"] = after
    for name, (before, after) in points.items():
        shapes[f"{start}network.{name}.weight"] = (after, before, 1, 1, 1)
        shapes[f"{start}network.{name}.bias"] = (after,)
    shapes[f"{start}project.weight"] = (config.width, CLOSE_UP_CLASSES)
    shapes[f"{start}gather.weight"] = (config.width, 2 * CLOSE_UP_CLASSES)
    shapes[f"{start}gather.bias"] = (config.width,)


def _add_bert(
    config: ModelConfig,
    shapes: dict[str, tuple[int, ...]],
    linears: dict[str, tuple[int, int]],
    norms: dict[str, int],
) -> None:
    """Add the parameters of transformers' BertModel, pooler included."""
    wide, embeddings = config.text_width, TEXT + "embeddings."
    shapes[embeddings + "word_embeddings.weight"] = (config.vocabulary, wide)
    shapes[embeddings + "position_embeddings.weight"] = (config.text_positions, wide)
    shapes[embeddings + "token_type_embeddings.weight"] = (2, wide)
    norms[embeddings + "LayerNorm"] = wide
    linears[TEXT + "pooler.dense"] = (wide, wide)
    for number in range(config.text_depth):
        layer = f"{TEXT}encoder.layer.{number}."
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            linears[layer + part] = (wide, wide)
        linears[layer + "intermediate.dense"] = (config.text_mlp_width, wide)
        linears[layer + "output.dense"] = (wide, config.text_mlp_width)
        norms[layer + "attention.output.LayerNorm"] = wide
        norms[layer + "output.LayerNorm"] = wide


def _check(weights: Path, named: Shapes, config: ModelConfig, prefix: str) -> None:
    expected = expected_shapes(config)
    missing, unknown = expected.keys() - named.keys(), named.keys() - expected.keys()
    if missing or unknown:
        raise errors.base_keys_differ(
            weights, {name.removeprefix(prefix) for name in missing}, {name.removeprefix(prefix) for name in unknown}
        )
    for name, shape in expected.items():
        if named[name] != shape:
            raise errors.shape_differs(weights, name.removeprefix(prefix), named[name], shape)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        declared = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(declared, dict):
            raise ValueError("not an object")
    except (ValueError, OSError) as error:
        raise errors.bad_base(path, "not a readable JSON object") from error
    return declared


def _to_config(shapes: Shapes, declared: Mapping[str, Any]) -> ModelConfig:
    """Read sizes from shapes, and from the config what no shape tells."""
    embedding = "vision_encoder.patch_embedding."
    width, voxels = shapes[embedding + "patch_embeddings.1.weight"]
    patch = _three(declared.get("patch_size", M3D_CLIP.patch))
    shape = _three(declared.get("img_size", M3D_CLIP.contract.shape))
    channels = int(declared.get("in_channels", 1))
    if channels != 1:
        raise ValueError(f"{channels} input channels, a T1 scan has one")
    if voxels != patch[0] * patch[1] * patch[2]:
        raise ValueError(f"patches of {voxels} voxels, but patch_size {list(patch)}; give its config.json")
    heads = int(declared.get("num_heads", width // BERT_HEAD_WIDTH))
    spacing = tuple(box / size for box, size in zip(BOX_MM, shape, strict=True))
    contract = InputContract(shape=shape, spacing_mm=spacing, center_mm=M3D_CLIP.contract.center_mm)  # type: ignore[arg-type]  # always three
    vision: dict[str, Any] = {
        "contract": contract,
        "patch": patch,
        "width": width,
        "depth": _depth(shapes, r"vision_encoder\.blocks\.(\d+)\."),
        "heads": heads,
        "mlp_width": shapes["vision_encoder.blocks.0.mlp.linear1.weight"][0],
    }
    declared_depth, declared_width = declared.get("num_layers", vision["depth"]), declared.get("hidden_size", width)
    if (declared_depth, declared_width) != (vision["depth"], width):
        raise ValueError(
            f"{vision['depth']} blocks of width {width}, config.json says {declared_depth} of {declared_width}"
        )
    if not any(name.startswith(TEXT) for name in shapes):
        # a bare ViT: no text, no shared space; what the config says of them has no use
        return ModelConfig(**vision, text_width=width, text_depth=0, text_heads=1, embedding=width, fusion_heads=1)
    vocabulary, text_width = shapes[TEXT + "embeddings.word_embeddings.weight"]
    text = declared.get("text_config") or {}
    return ModelConfig(
        **vision,
        text_width=text_width,
        text_depth=_depth(shapes, r"language_encoder\.encoder\.layer\.(\d+)\."),
        text_heads=int(text.get("num_attention_heads", max(text_width // BERT_HEAD_WIDTH, 1))),
        text_mlp_width=shapes[TEXT + "encoder.layer.0.intermediate.dense.weight"][0],
        vocabulary=vocabulary,
        text_positions=shapes[TEXT + "embeddings.position_embeddings.weight"][0],
        embedding=shapes["mm_vision_proj.weight"][0],
    )


def _depth(shapes: Shapes, pattern: str) -> int:
    block_numbers = [int(match[1]) for name in shapes if (match := re.match(pattern, name))]
    return max(block_numbers, default=-1) + 1


def _three(value: Any) -> tuple[int, int, int]:
    depth, height, width = (int(number) for number in value)
    return depth, height, width
