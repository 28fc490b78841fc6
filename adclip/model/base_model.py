"""A base model by itself, for embedding scans and texts: `adclip.load_base`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor

from adclip.domain import InputContract
from adclip.model import errors
from adclip.model.bases import BaseWeights, read_base
from adclip.model.build import load_network
from adclip.model.device import choose_device, choose_dtype
from adclip.model.numbers import check_embeddings
from adclip.model.text import tokenize


class BaseModel:
    """A base model ready to embed scans and texts.

    Parameters
    ----------
    base : BaseWeights
    device : str
        `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
    precision : str
        `auto`, `fp32`, `bf16` or `fp16`; see `adclip.model.device.choose_dtype`.
    contract : InputContract, optional
        Another grid than the base was taught on.
    """

    def __init__(
        self,
        base: BaseWeights,
        device: str = "cpu",
        precision: str = "auto",
        contract: InputContract | None = None,
    ) -> None:
        self.base = base
        self.device = choose_device(device)
        dtype = choose_dtype(precision, self.device)
        self.network = load_network(base, None, contract=contract, dtype=dtype, late_text=True).to(self.device)
        self.contract = self.network.config.contract

    @torch.inference_mode()
    def encode_image(self, images: Tensor) -> Tensor:
        """Embed scans: float (B, 1, D, H, W) in [0, 1] -> (B, E), L2-normalised.

        A bare ViT has no projection; its embedding is the state of its CLS token.

        Raises
        ------
        CheckpointError
            If the images are not on the grid of the input contract, or an embedding is zero or not finite.
        """
        expected_shape = (1, *self.contract.shape)
        if images.ndim != 5 or tuple(images.shape[1:]) != expected_shape:
            raise errors.other_grid(tuple(images.shape), expected_shape)
        images = images.to(self.device)
        if not self.base.config.text_depth:
            states = self.network.vision_encoder(images, with_patches=False).cls
            return _checked(functional.normalize(states, dim=-1), "scan")
        return _checked(self.network.encode_image(images), "scan")

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts -> (len(texts), E), L2-normalised.

        Raises
        ------
        InputError
            If a text is longer than the text tower takes; nothing is cut silently.
        """
        network = self.network
        _ = network.text_tower  # a bare ViT says that it has none, before any vocabulary is missed
        if not texts:
            return torch.empty((0, self.base.config.embedding), device=self.device)
        batch = tokenize(list(texts), self.base.tokenizer, self.base.config.text_positions)
        return _checked(network.encode_text(batch.to(self.device)), "text")


def _checked(embeddings: Tensor, what: str) -> Tensor:
    """Return embeddings that have a direction: normalising leaves one of zeros, or of NaN, as it is."""
    check_embeddings(embeddings, what)
    return embeddings


def load_base(
    name: str,
    *,
    tokenizer: Path | str | None = None,
    device: str = "cpu",
    precision: str = "auto",
    contract: InputContract | None = None,
) -> BaseModel:
    """Load a base model for embedding scans and texts.

    Parameters
    ----------
    name : str
        `builtin`, `m3d-clip`, another name in the store, a folder, or a safetensors file.
    tokenizer : path, optional
        `vocab.txt` where none lies beside the weights.
    device, precision, contract
        See `BaseModel`.
    """
    base = read_base(str(name), None if tokenizer is None else Path(tokenizer))
    return BaseModel(base, device, precision, contract)
