"""Config to network, and base weights to network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adclip.config import ModelConfig, PromptConfig
from adclip.errors import CheckpointError, WeightsError
from adclip.model.network import Network
from adclip.model.prompts import freeze_base
from adclip.model.text import read_tokenizer, tokenize

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUILTIN_FOLDER = Path(str(files("adclip") / "assets" / "builtin"))
BASE_WEIGHTS, BASE_CONFIG, VOCABULARY = "base.safetensors", "base.json", "vocab.txt"


@dataclass(frozen=True)
class BaseWeights:
    """A frozen base model on disk, pinned by name, revision and hash.

    Parameters
    ----------
    name, revision, sha256 : str
        What an adapter remembers of it.
    folder : Path
        Holds the weights, the config and the vocabulary.
    config : ModelConfig
        Its sizes and input contract.
    """

    name: str
    revision: str
    sha256: str
    folder: Path
    config: ModelConfig

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of its text tower."""
        return read_tokenizer(self.folder / VOCABULARY)


def read_base(name: str) -> BaseWeights:
    """Find a base model by name or folder.

    Parameters
    ----------
    name : str
        `builtin`, or a folder with `base.safetensors`, `base.json` and `vocab.txt`.

    Raises
    ------
    WeightsError
        If there is no such base.
    """
    folder = BUILTIN_FOLDER if name == "builtin" else Path(name)
    if not (folder / BASE_CONFIG).is_file():
        raise WeightsError.unknown_base(name, ["builtin", "a folder with base.safetensors"])
    record = json.loads((folder / BASE_CONFIG).read_text(encoding="utf-8"))
    config = ModelConfig.from_dict(record["model"])
    return BaseWeights(record["name"], record["revision"], record["sha256"], folder, config)


def build_network(config: ModelConfig, prompts: PromptConfig | None) -> Network:
    """Allocate a network of the given sizes with random weights, in evaluation mode."""
    return Network(config, prompts).eval()


def load_network(base: BaseWeights, prompts: PromptConfig | None) -> Network:
    """Build a network and fill its base weights; the adapter's own parts are fresh.

    Every key of the file is used and none may be missing but those that the adapter adds.

    Raises
    ------
    WeightsError
        If the file is not the one recorded.
    CheckpointError
        If its keys or shapes do not fit.
    """
    from safetensors.torch import load

    path = base.folder / BASE_WEIGHTS
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != base.sha256:
        raise WeightsError.hash_differs(path)
    network = build_network(base.config, prompts)
    fill(network, load(data), path, optional=added_by_adapter(network))
    freeze_base(network)
    return network


def added_by_adapter(network: Network) -> frozenset[str]:
    """Names of the parameters that no base file has."""
    added = ("vision_encoder.mmse_token", "vision_encoder.prompts", "text_prompts", "cross_attention.", "mmse_head.")
    return frozenset(name for name, _ in network.named_parameters() if name.startswith(added))


def fill(network: Network, state: dict[str, Tensor], where: Path, *, optional: frozenset[str] | set[str]) -> None:
    """Copy `state` into the network; every key must be used, and only `optional` parameters may be absent.

    Raises
    ------
    CheckpointError
        Naming the keys or shapes that differ.
    """
    wanted = dict(network.named_parameters())
    missing = {name for name in wanted if name not in state and name not in optional}
    unknown = {name for name in state if name not in wanted}
    if missing or unknown:
        raise CheckpointError.keys_differ(where, missing, unknown)
    for name, value in state.items():
        if wanted[name].shape != value.shape:
            raise CheckpointError.damaged(
                where, f"`{name}` has shape {tuple(value.shape)}, the model needs {tuple(wanted[name].shape)}"
            )
        with torch.no_grad():
            wanted[name].copy_(value)


class BaseModel:
    """A base model ready to embed scans and texts."""

    def __init__(self, base: BaseWeights) -> None:
        self.base = base
        self.network = load_network(base, None)

    @torch.inference_mode()
    def encode_image(self, images: Tensor) -> Tensor:
        """Embed scans: float (B, 1, D, H, W) in [0, 1] -> (B, E), L2-normalised."""
        return self.network.encode_image(images)

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts -> (len(texts), E), L2-normalised."""
        return self.network.encode_text(tokenize(list(texts), self.base.tokenizer, self.base.config.text_positions))


def load_base(name: str) -> BaseModel:
    """Load a base model (`builtin` or a folder) for embedding scans and texts."""
    return BaseModel(read_base(name))
