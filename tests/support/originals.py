"""Checkpoints in M3D-CLIP's original layout with random numbers: the same names, any sizes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from adclip.model.bases import BUILTIN_FOLDER

SMALL: dict[str, Any] = {
    "img_size": [16, 64, 32], "patch_size": [4, 16, 16], "in_channels": 1, "hidden_size": 48, "mlp_dim": 80,
    "num_layers": 3, "num_heads": 6, "text_config": {"num_attention_heads": 4},
}  # fmt: skip
FULL: dict[str, Any] = {
    "img_size": [32, 256, 256], "patch_size": [4, 16, 16], "in_channels": 1, "hidden_size": 768, "mlp_dim": 3072,
    "num_layers": 12, "num_heads": 12,
}  # fmt: skip
SMALL_TEXT = {"width": 32, "depth": 2, "mlp": 64, "words": 363, "positions": 96}
FULL_TEXT = {"width": 768, "depth": 12, "mlp": 3072, "words": 30522, "positions": 512}


def original_shapes(config: dict[str, Any], text: dict[str, int], embedding: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes as the published checkpoint lists them."""
    width, mlp = config["hidden_size"], config["mlp_dim"]
    voxels = config["patch_size"][0] * config["patch_size"][1] * config["patch_size"][2]
    tokens = 1
    for size, part in zip(config["img_size"], config["patch_size"], strict=True):
        tokens *= size // part
    shapes: dict[str, tuple[int, ...]] = {
        "logit_scale": (),
        "vision_encoder.cls_token": (1, 1, width),
        "vision_encoder.patch_embedding.patch_embeddings.1.weight": (width, voxels),
        "vision_encoder.patch_embedding.patch_embeddings.1.bias": (width,),
        "vision_encoder.patch_embedding.position_embeddings": (1, tokens, width),
    }
    norms = {"vision_encoder.norm": width}
    linears = {"mm_vision_proj": (embedding, width), "mm_language_proj": (embedding, text["width"])}
    for number in range(config["num_layers"]):
        block = f"vision_encoder.blocks.{number}."
        norms |= {block + "norm1": width, block + "norm2": width}
        shapes[block + "attn.qkv.weight"] = (3 * width, width)
        linears |= {
            block + "attn.out_proj": (width, width),
            block + "mlp.linear1": (mlp, width),
            block + "mlp.linear2": (width, mlp),
        }
    wide, bert = text["width"], "language_encoder."
    shapes[bert + "embeddings.word_embeddings.weight"] = (text["words"], wide)
    shapes[bert + "embeddings.position_embeddings.weight"] = (text["positions"], wide)
    shapes[bert + "embeddings.token_type_embeddings.weight"] = (2, wide)
    norms[bert + "embeddings.LayerNorm"] = wide
    linears[bert + "pooler.dense"] = (wide, wide)
    for number in range(text["depth"]):
        layer = f"{bert}encoder.layer.{number}."
        for part in ("query", "key", "value"):
            linears[f"{layer}attention.self.{part}"] = (wide, wide)
        linears |= {
            layer + "attention.output.dense": (wide, wide),
            layer + "intermediate.dense": (text["mlp"], wide),
            layer + "output.dense": (wide, text["mlp"]),
        }
        norms |= {layer + "attention.output.LayerNorm": wide, layer + "output.LayerNorm": wide}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in norms.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    return shapes


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Numbers of the usual size, none of them at its neutral start."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in sorted(shapes.items()):
        values = torch.randn(shape, generator=generator)
        if "norm" in name.lower():
            values = 0.1 * values + (1.0 if name.endswith("weight") else 0.0)
        elif len(shape) == 2 and "embeddings" not in name.split(".")[1]:
            values = values / shape[1] ** 0.5
        else:
            values = 0.3 * values
        state[name] = values
    return state


def write_original(
    folder: Path,
    *,
    full: bool = False,
    bare: bool = False,
    seed: int = 0,
    vocabulary: bool = True,
    config: bool = True,
    positions: int = SMALL_TEXT["positions"],
) -> Path:
    """Write model.safetensors, config.json and vocab.txt; `bare` writes the image tower alone, without its prefix."""
    sizes, text = (FULL, FULL_TEXT) if full else (SMALL, SMALL_TEXT | {"positions": positions})
    state = random_state(original_shapes(sizes, text, 768 if full else 40), seed)
    if bare:
        prefix = "vision_encoder."
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(json.dumps(sizes))
    if vocabulary and not full:
        shutil.copy(BUILTIN_FOLDER / "vocab.txt", folder / "vocab.txt")
    elif vocabulary:
        lines = (BUILTIN_FOLDER / "vocab.txt").read_text().splitlines()
        lines += [f"[unused{number}]" for number in range(text["words"] - len(lines))]
        (folder / "vocab.txt").write_text("\n".join(lines) + "\n")
    return folder


def shard(folder: Path) -> Path:
    """Split model.safetensors into three parts with an index, as Hugging Face's tools write them; returns the index."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places: dict[str, str] = {}
    for number in range(3):
        name = f"model-{number + 1:05d}-of-00003.safetensors"
        part = {key: value for place, (key, value) in enumerate(sorted(state.items())) if place % 3 == number}
        save_file(part, folder / name)
        places |= dict.fromkeys(part, name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index
